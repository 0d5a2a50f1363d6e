//! Where the sandbox keeps what: one state folder, one cache folder.

use std::env;
use std::path::{Path, PathBuf};

use super::SandboxError;
use super::supply::Cache;

/// The state folder when `HYBRID_SANDBOX_DIR` is not set.
const DEFAULT_STATE: &str = "/var/lib/hybrid-sandbox";

/// Paths below the state folder, and the cache folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    state: PathBuf,
    cache: Cache,
}

impl Layout {
    /// The layout that the environment names: `HYBRID_SANDBOX_DIR`, and the cache's own variables.
    pub fn from_env() -> Result<Self, SandboxError> {
        let state = env::var_os("HYBRID_SANDBOX_DIR")
            .filter(|value| !value.is_empty())
            .map_or_else(|| PathBuf::from(DEFAULT_STATE), PathBuf::from);
        let state = std::path::absolute(&state).map_err(|source| SandboxError::Io {
            action: "resolve",
            path: state.clone(),
            source,
        })?;
        Ok(Self::at(state, Cache::from_env()?))
    }

    /// The layout of a given state folder, which must be absolute and need not exist yet.
    pub fn at(state: impl Into<PathBuf>, cache: Cache) -> Self {
        Self {
            state: state.into(),
            cache,
        }
    }

    /// The folder that survives `down`.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Builds and downloads.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Held while the sandbox is brought up or taken down.
    pub fn lock_file(&self) -> PathBuf {
        self.state.join("lock")
    }

    /// Held while the tests run.
    pub fn test_lock_file(&self) -> PathBuf {
        self.state.join("test.lock")
    }

    /// Sockets and the records of the processes outside the namespaces.
    pub fn run(&self) -> PathBuf {
        self.state.join("run")
    }

    /// The supervisor's socket.
    pub fn control_socket(&self) -> PathBuf {
        self.run().join("control.sock")
    }

    /// The Docker engine's socket.
    pub fn docker_socket(&self) -> PathBuf {
        self.run().join("docker.sock")
    }

    /// The socket of containerd.
    pub fn containerd_socket(&self) -> PathBuf {
        self.run().join("containerd.sock")
    }

    /// The supervisor: its process id and since when it has run.
    pub fn supervisor_record(&self) -> PathBuf {
        self.run().join("supervisor.json")
    }

    /// The gate: its process id and since when it has run.
    pub fn gate_record(&self) -> PathBuf {
        self.run().join("gate.json")
    }

    /// Written when an `up` has come to its end; gone with the machine.
    pub fn completion(&self) -> PathBuf {
        self.run().join("complete")
    }

    /// One log file per part.
    pub fn log_dir(&self) -> PathBuf {
        self.state.join("log")
    }

    /// The log file of a part.
    pub fn log(&self, part: &str) -> PathBuf {
        self.log_dir().join(format!("{part}.log"))
    }

    /// Keys and certificates.
    pub fn pki(&self) -> PathBuf {
        self.state.join("pki")
    }

    /// The certificate that signs all others here.
    pub fn ca_certificate(&self) -> PathBuf {
        self.pki().join("ca.crt")
    }

    /// Configuration files of the parts, written anew by each `up`.
    pub fn etc(&self) -> PathBuf {
        self.state.join("etc")
    }

    /// What a part keeps: the cluster's objects, image layers, containers.
    pub fn data(&self, part: &str) -> PathBuf {
        self.state.join("data").join(part)
    }

    /// The home folder of every child process.
    pub fn home(&self) -> PathBuf {
        self.state.join("home")
    }

    /// `DOCKER_CONFIG`: config.json and the buildx plugin.
    pub fn docker_config(&self) -> PathBuf {
        self.state.join("docker")
    }

    /// The folder with the AWS files `config` and `credentials`.
    pub fn aws(&self) -> PathBuf {
        self.state.join("aws")
    }

    /// The kubeconfig with the admin's credentials.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// The Terraform configuration that is applied, a copy of the project's.
    pub fn terraform(&self) -> PathBuf {
        self.state.join("terraform")
    }

    /// Terraform's own settings: which provider mirrors it reads.
    pub fn terraform_cli_config(&self) -> PathBuf {
        self.state.join("terraform.tfrc")
    }

    /// `TF_DATA_DIR` of the root configuration.
    pub fn terraform_data(&self) -> PathBuf {
        self.state.join("terraform-data")
    }

    /// The product's token cache.
    pub fn tokens(&self) -> PathBuf {
        self.state.join("tokens")
    }

    /// Links to the commands that the sandbox has brought along: those that are not on the
    /// caller's `PATH`.
    pub fn tools(&self) -> PathBuf {
        self.state.join("bin")
    }

    /// The folder of the running executable: `cargo build` puts the product's binaries beside it.
    pub fn binaries(&self) -> Result<PathBuf, SandboxError> {
        let exe = env::current_exe().map_err(|source| SandboxError::OwnPath { source })?;
        let mut dir = exe.parent().unwrap_or(Path::new("/")).to_owned();
        // A test's own executable is one level deeper.
        if dir.file_name().is_some_and(|name| name == "deps") {
            dir.pop();
        }
        Ok(dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_builds_is_below_the_state_folder() {
        let layout = Layout::at("/s", Cache::at("/c"));
        for path in [
            layout.control_socket(),
            layout.docker_socket(),
            layout.log("etcd"),
            layout.data("etcd"),
            layout.kubeconfig(),
            layout.tokens(),
        ] {
            assert!(path.starts_with("/s"), "{}", path.display());
        }
        assert_eq!(layout.cache().root(), Path::new("/c"));
    }
}
