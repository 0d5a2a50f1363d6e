//! A Terraform root folder: where it keeps its data, and which program runs it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What Terraform takes from the environment, read once.
///
/// A value instead of calls to `std::env`, so that one run cannot see two environments.
#[derive(Debug, Clone, Default)]
pub struct TerraformEnv {
    /// `TF_DATA_DIR`.
    pub data_dir: Option<OsString>,
    /// `TF_WORKSPACE`.
    pub workspace: Option<String>,
    /// `HYBRID_TERRAFORM_BINARY`.
    pub binary: Option<OsString>,
    /// `PATH`.
    pub path: Option<OsString>,
    /// Whether `AWS_SSE_CUSTOMER_KEY` is set: then S3 needs a key that only Terraform is given.
    pub encrypts: bool,
}

impl TerraformEnv {
    /// The environment of this process. Empty values count as unset, as they do for Terraform.
    #[must_use]
    pub fn from_process() -> Self {
        let get = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            data_dir: get("TF_DATA_DIR"),
            workspace: get("TF_WORKSPACE").and_then(|value| value.into_string().ok()),
            binary: get("HYBRID_TERRAFORM_BINARY"),
            path: get("PATH"),
            encrypts: get("AWS_SSE_CUSTOMER_KEY").is_some(),
        }
    }
}

/// Why a folder cannot be used as a Terraform root.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The folder is not there.
    #[error("the Terraform folder {} does not exist", .0.display())]
    Missing(PathBuf),
    /// The folder holds no configuration.
    #[error("{} is not a Terraform folder: it holds no .tf file", .0.display())]
    NotTerraform(PathBuf),
    /// The folder cannot be listed.
    #[error("could not read the Terraform folder {}: {source}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The program that was asked for by name or path is not there.
    #[error("the Terraform program `{}` was not found", .0.display())]
    NoSuchBinary(PathBuf),
    /// Neither `terraform` nor `tofu` is installed.
    #[error("neither `terraform` nor `tofu` is on PATH")]
    NoBinary,
}

impl RootError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Missing(_) | Self::NotTerraform(_) | Self::Unreadable { .. } => {
                "Name the folder as `dir` in the table [terraform] of hybrid.toml."
            }
            Self::NoSuchBinary(_) => {
                "Correct `binary` in the table [terraform] of hybrid.toml, or HYBRID_TERRAFORM_BINARY."
            }
            Self::NoBinary => "Install Terraform or OpenTofu, 1.11 or later.",
        }
    }
}

/// A Terraform root module on disk.
#[derive(Debug, Clone)]
pub struct Root {
    dir: PathBuf,
    data_dir: PathBuf,
    configured_binary: Option<PathBuf>,
    env: TerraformEnv,
}

impl Root {
    /// Opens `dir`; `binary` is the program of the configuration, which wins over the environment.
    pub fn open(dir: &Path, binary: Option<&Path>, env: TerraformEnv) -> Result<Self, RootError> {
        let unreadable = |source: std::io::Error| RootError::Unreadable {
            path: dir.into(),
            source,
        };
        if !dir.is_dir() {
            return Err(RootError::Missing(dir.into()));
        }
        let mut has_configuration = false;
        for entry in dir.read_dir().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            has_configuration |= is_configuration(&entry.file_name());
        }
        if !has_configuration {
            return Err(RootError::NotTerraform(dir.into()));
        }
        // Terraform changes into the folder first, so a relative TF_DATA_DIR starts there.
        let data_dir = dir.join(env.data_dir.as_deref().unwrap_or(OsStr::new(".terraform")));
        Ok(Self {
            dir: dir.into(),
            data_dir,
            configured_binary: binary.map(Into::into),
            env,
        })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where Terraform keeps what `init` found: `TF_DATA_DIR`, else `.terraform`.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// What Terraform takes from the environment.
    #[must_use]
    pub const fn env(&self) -> &TerraformEnv {
        &self.env
    }

    /// The program, see [`program`].
    pub fn binary(&self) -> Result<PathBuf, RootError> {
        program(self.configured_binary.as_deref(), &self.env)
    }

    /// The name that a person would type for [`Self::binary`].
    #[must_use]
    pub fn binary_name(&self) -> String {
        self.binary()
            .ok()
            .and_then(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .unwrap_or_else(|| "terraform".to_owned())
    }
}

/// The program: the configuration's, else `HYBRID_TERRAFORM_BINARY`, else `terraform`, else `tofu`,
/// as found on `PATH`.
pub fn program(configured: Option<&Path>, env: &TerraformEnv) -> Result<PathBuf, RootError> {
    let path = env.path.as_deref();
    if let Some(asked) = configured.or(env.binary.as_deref().map(Path::new)) {
        return find(asked, path).ok_or_else(|| RootError::NoSuchBinary(asked.to_owned()));
    }
    ["terraform", "tofu"]
        .into_iter()
        .find_map(|name| find(Path::new(name), path))
        .ok_or(RootError::NoBinary)
}

/// `.tofu` files are `OpenTofu`'s own.
pub(crate) fn is_configuration(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        [".tf", ".tf.json", ".tofu", ".tofu.json"]
            .iter()
            .any(|end| name.ends_with(end))
    })
}

/// A name is looked up on `PATH`; a path is taken as it is.
fn find(program: &Path, path: Option<&OsStr>) -> Option<PathBuf> {
    let is_name = program.components().count() == 1 && !program.has_root();
    if !is_name {
        return program.is_file().then(|| program.into());
    }
    let mut file = program.as_os_str().to_owned();
    if program.extension().is_none() {
        file.push(std::env::consts::EXE_SUFFIX);
    }
    std::env::split_paths(path?)
        .map(|dir| dir.join(&file))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root_with(env: TerraformEnv, binary: Option<&Path>) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("main.tf"), "").unwrap();
        let root = Root::open(dir.path(), binary, env).unwrap();
        (dir, root)
    }

    #[test]
    fn a_folder_without_configuration_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("notes.txt"), "").unwrap();
        let error = Root::open(dir.path(), None, TerraformEnv::default()).unwrap_err();
        assert!(matches!(error, RootError::NotTerraform(_)), "{error}");
        let gone = dir.path().join("gone");
        let error = Root::open(&gone, None, TerraformEnv::default()).unwrap_err();
        assert!(matches!(error, RootError::Missing(_)), "{error}");
    }

    #[test]
    fn a_relative_data_dir_starts_in_the_root() {
        let (dir, root) = root_with(TerraformEnv::default(), None);
        assert_eq!(root.data_dir(), dir.path().join(".terraform"));
        let env = TerraformEnv {
            data_dir: Some("../data".into()),
            ..TerraformEnv::default()
        };
        let (dir, root) = root_with(env, None);
        assert_eq!(root.data_dir(), dir.path().join("../data"));
        let absolute = std::env::temp_dir().join("data");
        let env = TerraformEnv {
            data_dir: Some(absolute.clone().into()),
            ..TerraformEnv::default()
        };
        assert_eq!(root_with(env, None).1.data_dir(), absolute);
    }

    #[test]
    fn the_program_is_chosen_by_configuration_then_environment_then_path() {
        let bin = tempfile::tempdir().unwrap();
        let exe = |name: &str| format!("{name}{}", std::env::consts::EXE_SUFFIX);
        let put = |name: &str| {
            let file = bin.path().join(exe(name));
            std::fs::write(&file, "").unwrap();
            file
        };
        let env = TerraformEnv {
            path: Some(bin.path().into()),
            ..TerraformEnv::default()
        };
        let error = root_with(env.clone(), None).1.binary().unwrap_err();
        assert!(matches!(error, RootError::NoBinary), "{error}");
        let tofu = put("tofu");
        assert_eq!(root_with(env.clone(), None).1.binary().unwrap(), tofu);
        let terraform = put("terraform");
        assert_eq!(root_with(env.clone(), None).1.binary().unwrap(), terraform);
        let env = TerraformEnv {
            binary: Some("tofu".into()),
            ..env
        };
        assert_eq!(root_with(env.clone(), None).1.binary().unwrap(), tofu);
        let own = put("own");
        let (_dir, root) = root_with(env.clone(), Some(&own));
        assert_eq!(root.binary().unwrap(), own);
        assert_eq!(root.binary_name(), "own");
        let error = root_with(env, Some(Path::new("nope")))
            .1
            .binary()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the Terraform program `nope` was not found"
        );
    }
}
