//! Go commands built from their modules.
//!
//! `go install PACKAGE@VERSION` refuses modules that replace others, and asks for lists of
//! versions that not every module proxy serves. A module of our own that requires the one wanted,
//! with the same replacements, needs neither.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Cache, SupplyError, build, child, machine, version};

/// The oldest Go that builds every recipe: Kubernetes 1.34 asks for it.
pub(super) const OLDEST_GO: &str = "1.24";

/// How one or more commands are built from one module.
#[derive(Debug)]
pub(super) struct Recipe {
    /// Names the build in the cache folder.
    pub(super) name: &'static str,
    pub(super) module: &'static str,
    /// Without the leading `v`.
    pub(super) version: &'static str,
    /// What the module's own go.mod replaces: old path, new path, version.
    pub(super) replaces: &'static [(&'static str, &'static str, &'static str)],
    /// Modules that are replaced by themselves at one version.
    pub(super) pinned: Option<(&'static [&'static str], &'static str)>,
    /// Variables that are set while linking.
    pub(super) stamps: &'static [(&'static str, &'static str)],
    /// Packages, and the file that each becomes.
    pub(super) programs: &'static [(&'static str, &'static str)],
}

impl Recipe {
    /// The go.mod of the module of our own.
    pub(super) fn go_mod(&self) -> String {
        let mut text = format!(
            "module hybrid.invalid/{}\n\ngo {OLDEST_GO}\n\nrequire {} v{}\n",
            self.name, self.module, self.version
        );
        let (names, at) = self.pinned.unwrap_or_default();
        if self.replaces.is_empty() && names.is_empty() {
            return text;
        }
        text.push_str("\nreplace (\n");
        for (old, new, at) in self.replaces {
            let _ = writeln!(text, "\t{old} => {new} v{at}");
        }
        for name in names {
            let _ = writeln!(text, "\t{name} => {name} v{at}");
        }
        text.push_str(")\n");
        text
    }

    /// What the linker is told.
    pub(super) fn ldflags(&self) -> String {
        let mut flags = "-s -w".to_owned();
        for (variable, value) in self.stamps {
            let _ = write!(flags, " -X {variable}={value}");
        }
        flags
    }

    /// The folder of the finished build.
    pub(super) fn folder(&self, cache: &Cache) -> PathBuf {
        cache.build(self.name, self.version)
    }

    /// One finished command; `None` when it is not built yet.
    pub(super) fn built(&self, cache: &Cache, file: &str) -> Option<PathBuf> {
        Some(self.folder(cache).join(file)).filter(|path| machine::is_executable(path))
    }

    /// Builds all commands of the recipe in one go, so that what they share is compiled once.
    pub(super) fn build(&self, go: &Path, cache: &Cache) -> Result<(), SupplyError> {
        let what = format!("The build of {} {}", self.name, self.version);
        build::whole(&self.folder(cache), |folder| {
            let source = folder.join("source");
            fs::create_dir(&source).map_err(SupplyError::io("make the folder", &source))?;
            build::write(&source.join("go.mod"), self.go_mod())?;
            let packages: Vec<&str> = self.programs.iter().map(|(package, _)| *package).collect();
            let log = cache
                .root()
                .join(format!("logs/{}-{}.log", self.name, self.version));
            compile(go, &source, folder, &self.ldflags(), &packages, &what, &log)?;
            for (package, file) in self.programs {
                let made = folder.join(base_name(package));
                let wanted = folder.join(file);
                if let Some(parent) = wanted.parent() {
                    fs::create_dir_all(parent)
                        .map_err(SupplyError::io("make the folder", parent))?;
                }
                if made != wanted {
                    fs::rename(&made, &wanted).map_err(SupplyError::io("move", &made))?;
                }
                if !machine::is_executable(&wanted) {
                    return Err(SupplyError::Absent {
                        what: what.clone(),
                        path: wanted,
                    });
                }
            }
            build::remove(&source)
        })
    }
}

/// Compiles packages into `out`, from the module in `source`.
pub(super) fn compile(
    go: &Path,
    source: &Path,
    out: &Path,
    ldflags: &str,
    packages: &[&str],
    what: &str,
    log: &Path,
) -> Result<(), SupplyError> {
    // A build takes all cores for minutes; whatever else runs on the machine goes first.
    let mut command = match machine::find("nice") {
        Some(nice) => {
            let mut command = child::command(nice);
            command.arg(go);
            command
        }
        None => child::command(go),
    };
    command
        .current_dir(source)
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .args([
            "build",
            "-mod=mod",
            "-buildvcs=false",
            "-ldflags",
            ldflags,
            "-o",
        ])
        .arg(out.join(""))
        .args(packages);
    child::run(what, &mut command, log)
}

/// What `go build` calls the command of a package: the last part of its path that is not a major
/// version.
fn base_name(package: &str) -> &str {
    let is_major = |part: &str| {
        part.strip_prefix('v')
            .is_some_and(|rest| rest.parse::<u32>().is_ok())
    };
    package
        .rsplit('/')
        .find(|part| !is_major(part))
        .unwrap_or(package)
}

/// The go command and its version, or a fragment that says why it cannot be used.
pub(super) fn find(known: &mut version::Known) -> Result<PathBuf, String> {
    let go = machine::find("go").ok_or_else(|| "the go command is not there".to_owned())?;
    let found = known
        .of(&go, || {
            let text = child::output(child::command(&go).args(["env", "GOVERSION"]))?;
            version::first(text.trim().trim_start_matches("go")).map(str::to_owned)
        })
        .unwrap_or_default();
    if version::numbers(&found) < version::numbers(OLDEST_GO) {
        return Err(format!(
            "the go command at `{}` is of version {found}",
            go.display()
        ));
    }
    Ok(go)
}

#[cfg(test)]
mod tests {
    use super::super::recipes;
    use super::*;

    #[test]
    fn a_module_without_replacements_is_required_and_nothing_else() {
        assert_eq!(
            recipes::KREW.go_mod(),
            "module hybrid.invalid/krew\n\ngo 1.24\n\nrequire sigs.k8s.io/krew v0.4.4\n"
        );
    }

    #[test]
    fn kubernetes_replaces_its_staging_modules_by_the_published_ones() {
        let text = recipes::KUBERNETES.go_mod();
        assert!(text.contains("require k8s.io/kubernetes v1.34.2\n\nreplace (\n"));
        assert!(text.contains("\tk8s.io/api => k8s.io/api v0.34.2\n"));
        assert!(text.contains("\tk8s.io/sample-apiserver => k8s.io/sample-apiserver v0.34.2\n"));
        assert_eq!(text.matches(" => ").count(), 29);
    }

    #[test]
    fn kubernetes_is_stamped_or_it_would_call_itself_v0() {
        assert_eq!(
            recipes::KUBERNETES.ldflags(),
            "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.2 \
             -X k8s.io/component-base/version.gitMajor=1 \
             -X k8s.io/component-base/version.gitMinor=34"
        );
    }

    #[test]
    fn commands_are_named_as_go_names_them() {
        assert_eq!(base_name("k8s.io/kubernetes/cmd/kubelet"), "kubelet");
        assert_eq!(base_name("example.com/tool/v2"), "tool");
        assert_eq!(base_name("example.com/vim"), "vim");
    }
}
