//! The environment of everything that works in the sandbox: nothing of the user's own settings.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::endpoints::{Endpoints, REGION};
use super::{Layout, SandboxError};

/// Taken over from the caller as they are: how to print, and what a Rust build needs.
const KEPT: [&str; 8] = [
    "LANG",
    "LC_ALL",
    "TERM",
    "NO_COLOR",
    "TZ",
    "USER",
    "RUST_BACKTRACE",
    "RUST_LOG",
];
const KEPT_PREFIXES: [&str; 2] = ["CARGO_", "RUSTUP_"];

/// Removed by `cargo sandbox env` when they are set, since they would win over what is exported.
const LEAKING: [&str; 25] = [
    "AWS_CA_BUNDLE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_ECR",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "DOCKER_CERT_PATH",
    "DOCKER_CONTEXT",
    "DOCKER_TLS_VERIFY",
    "KUBE_CONFIG_PATH",
    "KUBE_CONFIG_PATHS",
    "KUBERNETES_MASTER",
    "TF_CLI_ARGS",
    "TF_PLUGIN_CACHE_DIR",
    "TF_WORKSPACE",
];
/// The same by prefix.
const LEAKING_PREFIXES: [&str; 3] = ["KUBE_", "TF_CLI_ARGS_", "TF_VAR_"];

/// Variables for whatever runs in the sandbox, on the host or inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    own: BTreeMap<&'static str, OsString>,
    kept: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// The environment of `layout`, with what is kept of the caller's.
    pub fn new(layout: &Layout) -> Result<Self, SandboxError> {
        Ok(Self::from_caller(
            layout,
            &layout.binaries()?,
            env::vars_os(),
        ))
    }

    fn from_caller(
        layout: &Layout,
        binaries: &Path,
        caller: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let endpoints = Endpoints::default();
        let mut kept = BTreeMap::new();
        let mut path =
            OsString::from("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let mut home = None;
        for (name, value) in caller {
            match name.to_str() {
                Some("PATH") => path = value,
                Some("HOME") => home = Some(value),
                Some(text) if is_kept(text) => {
                    kept.insert(name, value);
                }
                _ => {}
            }
        }
        if let Some(home) = home {
            keep_tool_chain(&mut kept, Path::new(&home));
        }
        let mut own: BTreeMap<&'static str, OsString> = BTreeMap::new();
        for (name, value) in [
            ("AWS_ENDPOINT_URL", endpoints.aws.as_str()),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("AWS_REGION", REGION),
            // AWS CLI v1 reads this one alone.
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_PAGER", ""),
            ("CHECKPOINT_DISABLE", "1"),
            ("TF_IN_AUTOMATION", "1"),
            ("TF_INPUT", "0"),
            ("HYBRID_STORE", "file"),
        ] {
            own.insert(name, value.into());
        }
        for (name, value) in [
            ("HOME", layout.home()),
            ("AWS_CONFIG_FILE", layout.aws().join("config")),
            (
                "AWS_SHARED_CREDENTIALS_FILE",
                layout.aws().join("credentials"),
            ),
            ("DOCKER_CONFIG", layout.docker_config()),
            ("KUBECONFIG", layout.kubeconfig()),
            ("TF_CLI_CONFIG_FILE", layout.terraform_cli_config()),
            ("TF_DATA_DIR", layout.terraform_data()),
            ("HYBRID_TERRAFORM_DIR", layout.terraform()),
            ("HYBRID_CACHE_DIR", layout.tokens()),
            ("HYBRID_SANDBOX_DIR", layout.state().to_owned()),
            // Verbs that are called from inside must find the same builds.
            ("HYBRID_CACHE", layout.cache().root().to_owned()),
        ] {
            own.insert(name, value.into());
        }
        let mut docker_host = OsString::from("unix://");
        docker_host.push(layout.docker_socket());
        own.insert("DOCKER_HOST", docker_host);
        own.insert("PATH", with_first(&[binaries, &layout.tools()], &path));
        Self { own, kept }
    }

    /// Sets or replaces one variable.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.own.insert(name, value.into());
        self
    }

    /// All variables of a child process, nothing else of the caller's.
    pub fn vars(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let own = self
            .own
            .iter()
            .map(|(name, value)| (OsStr::new(*name), value.as_os_str()));
        self.kept
            .iter()
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
            .chain(own)
    }

    /// The value of one variable.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.own
            .get(name)
            .or_else(|| self.kept.get(OsStr::new(name)))
            .map(OsString::as_os_str)
    }

    /// A command with this environment and no other.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.vars());
        command
    }

    /// Lines for a POSIX shell: `export` of what is ours, `unset` of what would leak in.
    ///
    /// HOME stays the user's own: a person's shell without its home is of little use.
    pub fn shell(&self, caller: impl IntoIterator<Item = String>) -> String {
        let mut lines = String::new();
        let mut leaking: Vec<String> = LEAKING.iter().map(ToString::to_string).collect();
        leaking.extend(caller.into_iter().filter(|name| {
            LEAKING_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix))
                && is_identifier(name)
        }));
        leaking.sort();
        leaking.dedup();
        lines.push_str("unset ");
        lines.push_str(&leaking.join(" "));
        lines.push('\n');
        for (name, value) in &self.own {
            if *name != "HOME" {
                // Writing to a string cannot fail.
                let _ = writeln!(lines, "export {name}={}", quoted(&value.to_string_lossy()));
            }
        }
        lines
    }
}

fn is_kept(name: &str) -> bool {
    // Cargo tells a running crate about itself; a child's build must not take that for its own.
    let about_this_crate = [
        "CARGO_PKG_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "CARGO_MANIFEST_",
    ];
    KEPT.contains(&name)
        || (KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            && !about_this_crate
                .iter()
                .any(|prefix| name.starts_with(prefix)))
}

/// cargo and rustup look below HOME unless they are told; HOME is another one here.
fn keep_tool_chain(kept: &mut BTreeMap<OsString, OsString>, home: &Path) {
    for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        kept.entry(name.into())
            .or_insert_with(|| home.join(folder).into());
    }
}

fn with_first(first: &[&Path], path: &OsStr) -> OsString {
    let rest = env::split_paths(path).filter(|entry| !first.contains(&entry.as_path()));
    let first = first.iter().map(|entry| (*entry).to_owned());
    env::join_paths(first.chain(rest))
        // A folder with a colon in its name cannot be on a PATH at all.
        .unwrap_or_else(|_| path.to_owned())
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::supply::Cache;

    fn environment(caller: &[(&str, &str)]) -> Environment {
        let layout = Layout::at("/s", Cache::at("/c"));
        let caller = caller
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        Environment::from_caller(&layout, Path::new("/b"), caller)
    }

    #[test]
    fn nothing_of_the_users_clouds_and_clusters_comes_through() {
        let environment = environment(&[
            ("AWS_PROFILE", "work"),
            ("AWS_SESSION_TOKEN", "secret"),
            ("KUBECONFIG", "/home/u/.kube/config"),
            ("DOCKER_CONTEXT", "desktop"),
            ("TF_WORKSPACE", "prod"),
            ("TF_VAR_environment", "prod"),
            ("SSH_AUTH_SOCK", "/tmp/agent"),
            ("CARGO_PKG_NAME", "hybrid-tests"),
        ]);
        let names: Vec<_> = environment
            .vars()
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in [
            "AWS_PROFILE",
            "AWS_SESSION_TOKEN",
            "DOCKER_CONTEXT",
            "TF_WORKSPACE",
            "TF_VAR_environment",
            "SSH_AUTH_SOCK",
            "CARGO_PKG_NAME",
        ] {
            assert!(!names.contains(&name.into()), "{name}");
        }
        assert_eq!(
            environment.get("KUBECONFIG"),
            Some(OsStr::new("/s/kubeconfig"))
        );
        assert_eq!(
            environment.get("DOCKER_HOST"),
            Some(OsStr::new("unix:///s/run/docker.sock"))
        );
    }

    #[test]
    fn a_rust_build_works_although_home_is_another_one() {
        let environment = environment(&[("HOME", "/home/u"), ("CARGO_TARGET_DIR", "/t")]);
        assert_eq!(environment.get("HOME"), Some(OsStr::new("/s/home")));
        assert_eq!(
            environment.get("CARGO_HOME"),
            Some(OsStr::new("/home/u/.cargo"))
        );
        assert_eq!(
            environment.get("RUSTUP_HOME"),
            Some(OsStr::new("/home/u/.rustup"))
        );
        assert_eq!(environment.get("CARGO_TARGET_DIR"), Some(OsStr::new("/t")));
    }

    #[test]
    fn the_products_binaries_come_first_on_the_path_and_once() {
        let environment = environment(&[("PATH", "/usr/bin:/b:/bin")]);
        assert_eq!(
            environment.get("PATH"),
            Some(OsStr::new("/b:/s/bin:/usr/bin:/bin"))
        );
    }

    #[test]
    fn shell_lines_unset_what_leaks_and_quote_what_is_set() {
        let environment = environment(&[]).with("HYBRID_STORE", "it's");
        let lines = environment.shell(["TF_VAR_region".to_owned(), "TF_VAR_$(x)".to_owned()]);
        let unset = lines.lines().next().unwrap();
        assert!(unset.starts_with("unset "));
        assert!(unset.contains(" AWS_PROFILE ") && unset.contains(" TF_VAR_region"));
        assert!(!lines.contains("$(x)"));
        assert!(lines.contains("export HYBRID_STORE='it'\\''s'\n"));
        assert!(!lines.contains("export HOME="));
    }
}
