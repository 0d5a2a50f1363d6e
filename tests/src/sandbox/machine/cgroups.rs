//! Control groups: the one thing of the machine that is not in a namespace and stays behind.

use std::fs;
use std::path::{Path, PathBuf};

/// Parent of every group that the container runtimes make, in each hierarchy.
pub const CGROUP: &str = "/hybrid-sandbox";

const ROOT: &str = "/sys/fs/cgroup";

/// Removes the groups; those that still hold a process stay. Returns what could not be removed.
pub fn remove() -> Vec<PathBuf> {
    let mut left = Vec::new();
    for root in roots(Path::new(ROOT)) {
        let group = root.join(CGROUP.trim_start_matches('/'));
        if group.is_dir() {
            remove_tree(&group);
            if group.is_dir() {
                left.push(group);
            }
        }
    }
    left
}

/// The root of version 2, and one folder per controller of version 1.
fn roots(root: &Path) -> Vec<PathBuf> {
    let mut roots = vec![root.to_owned()];
    if root.join("cgroup.controllers").exists() {
        return roots;
    }
    if let Ok(entries) = fs::read_dir(root) {
        roots.extend(
            entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.is_dir()),
        );
    }
    roots
}

/// A group's folder holds files that cannot be removed; the folder itself can, once it has no
/// children.
fn remove_tree(group: &Path) {
    if let Ok(entries) = fs::read_dir(group) {
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove_tree(&entry.path());
            }
        }
    }
    // Whether it worked is seen from the outermost one.
    let _ = fs::remove_dir(group);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hierarchy_of_version_1_is_a_root_and_version_2_has_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("memory")).unwrap();
        fs::create_dir(dir.path().join("unified")).unwrap();
        assert_eq!(roots(dir.path()).len(), 3);
        fs::write(dir.path().join("cgroup.controllers"), "cpu").unwrap();
        assert_eq!(roots(dir.path()), [dir.path()]);
    }

    #[test]
    fn nested_groups_are_removed_from_the_inside() {
        let dir = tempfile::tempdir().unwrap();
        let group = dir.path().join("group");
        fs::create_dir_all(group.join("pod/container")).unwrap();
        remove_tree(&group);
        assert!(!group.exists());
    }
}
