//! Python programs, each in an environment of its own.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Cache, SupplyError, build, child, machine};

/// A Python package and the program that it brings.
#[derive(Debug)]
pub(super) struct Program {
    /// Names the environment in the cache folder.
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// The extra features of the package that are needed, in brackets, or nothing.
    pub(super) extras: &'static str,
    pub(super) file: &'static str,
}

/// The emulator of the AWS APIs, with its server.
pub(super) static MOTO: Program = Program {
    name: "moto",
    version: "5.2.1",
    extras: "[server]",
    file: "moto_server",
};

/// The AWS command line, version 1: version 2 is not a Python package.
pub(super) static AWS_CLI: Program = Program {
    name: "awscli",
    version: "1.45.11",
    extras: "",
    file: "aws",
};

/// checkov, with the rules that the configuration's list of skipped ones was written for.
pub(super) static CHECKOV: Program = Program {
    name: "checkov",
    version: "3.3.30",
    extras: "",
    file: "checkov",
};

impl Program {
    fn folder(&self, cache: &Cache) -> PathBuf {
        cache.build(self.name, self.version)
    }

    /// Written last. An environment holds its own path and so cannot be made beside its place
    /// and moved there; without this file it does not count.
    fn seal(folder: &Path) -> PathBuf {
        folder.join("finished")
    }

    /// The program in its finished environment.
    pub(super) fn built(&self, cache: &Cache) -> Option<PathBuf> {
        let folder = self.folder(cache);
        let program = folder.join("bin").join(self.file);
        // The environment is of no use when the Python that it was made with has gone.
        let works = machine::is_executable(&folder.join("bin/python"))
            && machine::is_executable(&program)
            && Self::seal(&folder).is_file();
        works.then_some(program)
    }

    /// Makes the environment and installs the package into it.
    pub(super) fn install(&self, python: &Path, cache: &Cache) -> Result<(), SupplyError> {
        let folder = self.folder(cache);
        let logs = cache.root().join("logs");
        build::remove(&folder)?;
        child::run(
            &format!("The Python environment for {}", self.name),
            child::command(python).args(["-m", "venv"]).arg(&folder),
            &logs.join(format!("{}-environment.log", self.name)),
        )?;
        let requirement = format!("{}{}=={}", self.name, self.extras, self.version);
        child::run(
            &format!("The installation of {requirement}"),
            child::command(folder.join("bin/python"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--no-input",
                    "--progress-bar",
                    "off",
                ])
                .args(["--disable-pip-version-check", &requirement]),
            &logs.join(format!("{}-{}.log", self.name, self.version)),
        )?;
        let program = folder.join("bin").join(self.file);
        if !machine::is_executable(&program) {
            let what = format!("The installation of {requirement}");
            return Err(SupplyError::Absent {
                what,
                path: program,
            });
        }
        build::write(&Self::seal(&folder), "")
    }
}

/// A Python that can make environments, or nothing.
pub(super) fn find() -> Option<PathBuf> {
    machine::find("python3").filter(|python| {
        child::command(python)
            .args(["-c", "import ensurepip, venv"])
            .output()
            .is_ok_and(|output| output.status.success())
    })
}

/// The version of a moto that the machine has, when it is recent and its server can start.
pub(super) fn version_of_moto(program: &Path) -> Option<String> {
    let python = interpreter(program)?;
    let script = "import importlib.metadata as m, flask, flask_cors, werkzeug, moto; \
                  print(m.version('moto'))";
    let text = child::output(child::command(python).args(["-c", script]))?;
    let version = super::version::first(text.trim())?.to_owned();
    // Anything but a version on the first line is the text of an error.
    text.starts_with(&version).then_some(version)
}

/// The Python that a script names in its first line.
fn interpreter(script: &Path) -> Option<PathBuf> {
    let bytes = fs::read(script).ok()?;
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    let path = std::str::from_utf8(line.strip_prefix(b"#!")?).ok()?.trim();
    Some(PathBuf::from(path)).filter(|path| path.is_absolute() && machine::is_executable(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn executable(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn an_environment_counts_only_once_it_is_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let place = MOTO.folder(&cache);
        executable(&place.join("bin/python"));
        executable(&place.join("bin/moto_server"));
        assert_eq!(MOTO.built(&cache), None);
        fs::write(Program::seal(&place), "").unwrap();
        assert_eq!(MOTO.built(&cache), Some(place.join("bin/moto_server")));
        fs::remove_file(place.join("bin/python")).unwrap();
        assert_eq!(MOTO.built(&cache), None);
    }

    #[test]
    fn a_script_names_its_interpreter_in_its_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        fs::write(&script, "#!/bin/sh\nexit\n").unwrap();
        assert_eq!(interpreter(&script), Some(PathBuf::from("/bin/sh")));
        fs::write(&script, "#!python\n").unwrap();
        assert_eq!(interpreter(&script), None);
        fs::write(&script, [0x7f, b'E', b'L', b'F', 0xff]).unwrap();
        assert_eq!(interpreter(&script), None);
    }
}
