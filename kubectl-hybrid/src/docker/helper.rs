//! The credential helper as Docker finds it: a program of a fixed name on `PATH`.

use std::io;
use std::path::{Path, PathBuf};

/// What a Docker configuration calls the helper; the program's name has a prefix.
pub const HELPER: &str = "ecr-hybrid";

/// The program's file name.
pub fn program_name() -> &'static str {
    if cfg!(windows) {
        "docker-credential-ecr-hybrid.exe"
    } else {
        "docker-credential-ecr-hybrid"
    }
}

/// The program that can answer as the helper: the one beside this executable, else this
/// executable itself, which answers as the helper when it is started under that name.
pub fn answering_program(own: &Path) -> PathBuf {
    let resolved = own.canonicalize();
    let places = [Some(own), resolved.as_deref().ok()];
    places
        .into_iter()
        .flatten()
        .filter_map(|place| Some(place.parent()?.join(program_name())))
        .find(|sibling| sibling.is_file())
        .unwrap_or_else(|| own.to_path_buf())
}

/// Puts the program into this folder under the helper's name, and says where.
pub fn install_into(folder: &Path, program: &Path) -> io::Result<PathBuf> {
    let place = folder.join(program_name());
    link(program, &place)?;
    Ok(place)
}

#[cfg(unix)]
fn link(program: &Path, place: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(program, place)
}

/// A copy: symbolic links need a privilege on Windows, and a hard link to a program that runs cannot
/// be removed.
#[cfg(not(unix))]
fn link(program: &Path, place: &Path) -> io::Result<()> {
    std::fs::copy(program, place).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_helper_beside_the_executable_comes_before_the_executable() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("kubectl-hybrid");
        std::fs::write(&own, "").unwrap();
        assert_eq!(answering_program(&own), own);
        let sibling = folder.path().join(program_name());
        std::fs::write(&sibling, "").unwrap();
        assert_eq!(answering_program(&own), sibling);
    }

    #[test]
    fn the_program_is_installed_under_the_helper_s_name() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("kubectl-hybrid");
        std::fs::write(&own, "binary").unwrap();
        let place = install_into(folder.path(), &own).unwrap();
        assert_eq!(place.file_name().unwrap(), program_name());
        assert_eq!(std::fs::read_to_string(place).unwrap(), "binary");
    }
}
