//! Debian packages: all that are missing in one call, and no daemon is started by them.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{SupplyError, child, machine};

/// What maintainer scripts start daemons with, now and at each boot. Covered for the installer alone, in a mount
/// namespace that ends with it, so that nothing has to be put back.
const STARTERS: [&str; 3] = [
    "/usr/sbin/invoke-rc.d",
    "/usr/bin/deb-systemd-helper",
    "/usr/bin/deb-systemd-invoke",
];

/// Covers each starter with a command that does nothing, and then becomes the installer.
const COVER: &str = r#"
for starter in $STARTERS; do
    if [ -e "$starter" ]; then mount --bind "$NOTHING" "$starter" || exit 1; fi
done
exec "$@"
"#;

/// Whether this machine installs packages with apt-get.
pub(super) fn is_here() -> bool {
    machine::find("apt-get").is_some()
}

/// Installs packages, of each group of alternatives the first that is known. The lists are
/// fetched only when a package is not known, or when what they say is out of date.
pub(super) fn install(wanted: &[&[&str]], logs: &Path) -> Result<(), SupplyError> {
    let mut packages = choose(wanted);
    let mut lists_are_new = false;
    if packages.is_none() {
        update(logs)?;
        lists_are_new = true;
        packages = choose(wanted);
    }
    // An unknown name is left for apt-get to complain about.
    let packages = packages.unwrap_or_else(|| {
        wanted
            .iter()
            .filter_map(|group| group.first().copied())
            .collect()
    });
    let first = child::run(&title(&packages), &mut installer(&packages), &log(logs));
    match first {
        Err(SupplyError::Command { .. }) if !lists_are_new => {
            // Old lists name files that the archive no longer has.
            update(logs)?;
            child::run(&title(&packages), &mut installer(&packages), &log(logs))
        }
        other => other,
    }
}

fn title(packages: &[&str]) -> String {
    format!("The installation of {}", packages.join(", "))
}

fn log(logs: &Path) -> std::path::PathBuf {
    logs.join("apt-get.log")
}

fn update(logs: &Path) -> Result<(), SupplyError> {
    let mut command = child::command("apt-get");
    command.args(["update", "-o", LOCK_TIMEOUT]);
    child::run("The update of the package lists", &mut command, &log(logs))
}

/// Another apt-get may be at work; its end is waited for, in seconds.
const LOCK_TIMEOUT: &str = "DPkg::Lock::Timeout=300";

fn installer(packages: &[&str]) -> Command {
    let mut command = child::command("unshare");
    command
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            COVER,
            "sh",
        ])
        .args(["apt-get", "install", "--yes", "--no-install-recommends"])
        .args(["-o", LOCK_TIMEOUT, "-o", "Dpkg::Options::=--force-confold"])
        .args(packages)
        .env("STARTERS", STARTERS.join(" "))
        .env("NOTHING", nothing())
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// A command that does nothing, by its real path: a link cannot be bound over a file.
fn nothing() -> std::path::PathBuf {
    let found = machine::find("true").unwrap_or_else(|| "/bin/true".into());
    fs::canonicalize(&found).unwrap_or(found)
}

/// The first known package of each group; `None` as soon as a group has none.
fn choose<'a>(wanted: &[&[&'a str]]) -> Option<Vec<&'a str>> {
    wanted
        .iter()
        .map(|group| group.iter().copied().find(|package| is_known(package)))
        .collect::<Option<Vec<_>>>()
        .map(|mut packages| {
            packages.sort_unstable();
            packages.dedup();
            packages
        })
}

fn is_known(package: &str) -> bool {
    child::command("apt-cache")
        .args(["show", "--no-all-versions", package])
        .output()
        .is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_packages_go_into_one_call_that_asks_nothing() {
        let command = installer(&["runc", "etcd-server"]);
        let words: Vec<_> = command
            .get_args()
            .map(|word| word.to_string_lossy())
            .collect();
        assert_eq!(words[words.len() - 2..], ["runc", "etcd-server"]);
        assert!(words.contains(&"--yes".into()));
        let environment: Vec<_> = command.get_envs().map(|(name, _)| name).collect();
        assert!(environment.contains(&"DEBIAN_FRONTEND".as_ref()));
    }

    #[test]
    fn the_command_that_covers_the_starters_is_a_file_of_its_own() {
        let nothing = nothing();
        assert!(machine::is_executable(&nothing));
        assert!(!nothing.is_symlink());
    }
}
