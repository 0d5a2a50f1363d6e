//! The folder that keeps builds and downloads between runs, outside the source tree.

use std::env;
use std::path::{Path, PathBuf};

use super::SupplyError;

/// The cache folder: `builds/NAME-VERSION/`, `downloads/` and the Rust build output in `target/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The folder that the environment names: `HYBRID_CACHE`, else `kubectl-hybrid` below
    /// `XDG_CACHE_HOME` or `~/.cache`.
    pub fn from_env() -> Result<Self, SupplyError> {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let root = set("HYBRID_CACHE")
            .map(PathBuf::from)
            .or_else(|| set("XDG_CACHE_HOME").map(|base| Path::new(&base).join("kubectl-hybrid")))
            .or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache/kubectl-hybrid")))
            .ok_or(SupplyError::NoCacheFolder)?;
        Ok(Self::at(root))
    }

    /// The cache in a given folder, which need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Finished builds, one folder per name and version.
    pub fn builds(&self) -> PathBuf {
        self.root.join("builds")
    }

    /// Where the build of `name` at `version` is, once it is finished.
    pub fn build(&self, name: &str, version: &str) -> PathBuf {
        self.builds().join(format!("{name}-{version}"))
    }

    /// Files fetched from elsewhere, provider mirrors among them.
    pub fn downloads(&self) -> PathBuf {
        self.root.join("downloads")
    }
}
