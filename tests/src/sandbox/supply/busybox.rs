//! The root folder of `busybox:1.36`, for machines that cannot pull it: Debian's static busybox
//! with a link for each of its commands.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::{Cache, SupplyError, build, child, machine};

/// Names the build in the cache folder.
const NAME: &str = "busybox-root";

/// Folders of the root, and their rights where they are not the usual ones.
const FOLDERS: [(&str, u32); 9] = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("root", 0o700),
    ("tmp", 0o1777),
    ("usr/bin", 0o755),
    ("var/www", 0o755),
    ("www", 0o755),
];

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    www-data:x:33:33:www-data:/var/www:/bin/false\n\
    nobody:x:65534:65534:nobody:/home:/bin/false\n";
const GROUP: &str = "root:x:0:\nwww-data:x:33:\nnobody:x:65534:\n";

/// A busybox of the machine that runs in an empty root.
pub(super) fn find() -> Option<PathBuf> {
    machine::find("busybox")
        .filter(|path| fs::read(path).is_ok_and(|bytes| machine::is_static(&bytes)))
}

/// The folder that an earlier run made from any version, and that version.
pub(super) fn built(cache: &Cache) -> Option<(PathBuf, String)> {
    let entries = fs::read_dir(cache.builds()).ok()?.flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix(NAME)?.strip_prefix('-')?.to_owned();
            machine::is_executable(&entry.path().join("bin/busybox"))
                .then(|| (entry.path(), version))
        })
        .max_by(|one, two| one.1.cmp(&two.1))
}

/// Makes the folder from this busybox.
pub(super) fn make(busybox: &Path, version: &str, cache: &Cache) -> Result<(), SupplyError> {
    let list = child::output(child::command(busybox).arg("--list")).unwrap_or_default();
    build::whole(&cache.build(NAME, version), |folder| {
        fill(folder, busybox, &list)
    })
}

fn fill(folder: &Path, busybox: &Path, list: &str) -> Result<(), SupplyError> {
    for (name, mode) in FOLDERS {
        let path = folder.join(name);
        fs::create_dir_all(&path).map_err(SupplyError::io("make the folder", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .map_err(SupplyError::io("set the rights of", &path))?;
    }
    // A build's own folder is private to its maker at first; this one becomes the root of images.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
        .map_err(SupplyError::io("set the rights of", folder))?;
    let program = folder.join("bin/busybox");
    fs::copy(busybox, &program).map_err(SupplyError::io("copy busybox to", &program))?;
    let commands: Vec<&str> = list
        .lines()
        .map(str::trim)
        .filter(|name| is_command(name) && *name != "busybox")
        .collect();
    if !commands.contains(&"sh") || !commands.contains(&"httpd") {
        let what = "The list of busybox's commands".to_owned();
        return Err(SupplyError::Absent {
            what,
            path: folder.join("bin/httpd"),
        });
    }
    for name in commands {
        let path = folder.join("bin").join(name);
        symlink("busybox", &path).map_err(SupplyError::io("make the link", &path))?;
    }
    // Scripts begin with it.
    let env = folder.join("usr/bin/env");
    symlink("../../bin/env", &env).map_err(SupplyError::io("make the link", &env))?;
    build::write(&folder.join("etc/passwd"), PASSWD)?;
    build::write(&folder.join("etc/group"), GROUP)
}

fn is_command(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && name != "." && name != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_becomes_a_link_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let busybox = folder.path().join("busybox");
        fs::write(&busybox, "program").unwrap();
        fs::set_permissions(&busybox, fs::Permissions::from_mode(0o755)).unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        fill(&root, &busybox, "[\nbusybox\nhttpd\nsh\n../evil\n").unwrap();
        assert_eq!(
            fs::read_link(root.join("bin/sh")).unwrap(),
            Path::new("busybox")
        );
        assert_eq!(
            fs::read_link(root.join("bin/[")).unwrap(),
            Path::new("busybox")
        );
        assert_eq!(
            fs::read_to_string(root.join("bin/httpd")).unwrap(),
            "program"
        );
        assert!(!root.join("evil").exists());
        let mode = fs::metadata(root.join("tmp")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o1777);
    }

    #[test]
    fn a_busybox_without_a_web_server_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let busybox = folder.path().join("busybox");
        fs::write(&busybox, "program").unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        let error = fill(&root, &busybox, "sh\nls\n").unwrap_err();
        assert!(error.to_string().contains("bin/httpd"), "{error}");
    }
}
