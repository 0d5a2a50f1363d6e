//! The Terraform processes of this machine.

use std::path::{Path, PathBuf};

/// Whether a process works on the state at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SameState {
    /// Its folder is initialised for the same bucket and key.
    Yes,
    /// For others. Only Linux shows in which folder a process works.
    #[cfg(any(test, target_os = "linux"))]
    No,
    /// The system does not say.
    Unknown,
}

/// A Terraform process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// `None` when the system does not say.
    pub(super) cwd: Option<PathBuf>,
    pub(super) state: SameState,
}

impl Process {
    pub(super) fn works_in(&self, dir: Option<&Path>) -> bool {
        dir.is_some() && self.cwd.as_deref() == dir
    }
}

/// Looks for them; `bucket` and `key` are those of the state. `None` when the system does not show
/// its processes.
pub(super) fn of_terraform(bucket: &str, key: &str) -> Option<Vec<Process>> {
    system::processes(bucket, key)
}

#[cfg(target_os = "linux")]
mod system {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;

    use super::{Process, SameState};
    use crate::terraform::backend::{Backend, locate};
    use crate::terraform::root::{Root, TerraformEnv};

    pub(super) fn processes(bucket: &str, key: &str) -> Option<Vec<Process>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").ok()? {
            let Ok(entry) = entry else { continue };
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let folder = entry.path();
            // A process that ends meanwhile is simply not there.
            let Ok(name) = std::fs::read_to_string(folder.join("comm")) else {
                continue;
            };
            if !matches!(name.trim_end(), "terraform" | "tofu") || is_zombie(&folder) {
                continue;
            }
            let cwd = std::fs::read_link(folder.join("cwd")).ok();
            let state = cwd
                .as_deref()
                .map_or(SameState::Unknown, |cwd| same(cwd, &folder, bucket, key));
            found.push(Process { pid, cwd, state });
        }
        Some(found)
    }

    /// A killed process stays in the table until its parent asks for it.
    fn is_zombie(process: &Path) -> bool {
        std::fs::read_to_string(process.join("status"))
            .is_ok_and(|status| status.lines().any(|line| line.starts_with("State:\tZ")))
    }

    fn same(cwd: &Path, process: &Path, bucket: &str, key: &str) -> SameState {
        let Ok(variables) = std::fs::read(process.join("environ")) else {
            return SameState::Unknown;
        };
        let env = TerraformEnv {
            data_dir: variables
                .split(|byte| *byte == 0)
                .find_map(|variable| variable.strip_prefix(b"TF_DATA_DIR="))
                .filter(|value| !value.is_empty())
                .map(|value| OsStr::from_bytes(value).to_owned()),
            ..TerraformEnv::default()
        };
        let Ok(root) = Root::open(cwd, None, env) else {
            return SameState::Unknown;
        };
        match locate(Some(&root), None) {
            Ok(Backend::S3(other)) if other.bucket == bucket && other.key == key => SameState::Yes,
            Ok(_) => SameState::No,
            Err(_) => SameState::Unknown,
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_folder_is_of_the_same_state_when_bucket_and_key_are() {
            let dir = tempfile::tempdir().unwrap();
            let (root, process) = (dir.path().join("root"), dir.path().join("process"));
            std::fs::create_dir_all(&root).unwrap();
            std::fs::create_dir_all(&process).unwrap();
            let judged = || same(&root, &process, "b", "k");
            assert_eq!(judged(), SameState::Unknown);
            std::fs::write(process.join("environ"), "A=1\0TF_DATA_DIR=../data\0").unwrap();
            assert_eq!(judged(), SameState::Unknown);
            let main = "terraform {\n  backend \"s3\" {\n    key = \"k\"\n  }\n}\n";
            std::fs::write(root.join("main.tf"), main).unwrap();
            assert_eq!(judged(), SameState::Unknown);
            std::fs::write(root.join("backend.hcl"), "bucket = \"b\"\n").unwrap();
            assert_eq!(judged(), SameState::Yes);
            // What it was initialised for counts, in the data folder of the process.
            let data = dir.path().join("data");
            std::fs::create_dir_all(&data).unwrap();
            let initialised = r#"{"backend":{"type":"s3","config":{"bucket":"other","key":"k"}}}"#;
            std::fs::write(data.join("terraform.tfstate"), initialised).unwrap();
            assert_eq!(judged(), SameState::No);
        }
    }
}

/// Their names come from a list that each system prints; their folders are not in it.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::process::{Command, Stdio};

    use super::{Process, SameState, listed};

    pub(super) fn processes(_bucket: &str, _key: &str) -> Option<Vec<Process>> {
        let (program, args): (&str, &[&str]) = if cfg!(windows) {
            ("tasklist", &["/FO", "CSV", "/NH"])
        } else {
            ("ps", &["-axo", "pid=,comm="])
        };
        let output = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let found = listed(&text).map(|pid| Process {
            pid,
            cwd: None,
            state: SameState::Unknown,
        });
        Some(found.collect())
    }
}

/// The ids of Terraform's processes in the output of `ps -axo pid=,comm=`, or of
/// `tasklist /FO CSV /NH`, whose lines are `"terraform.exe","7","Console",…`.
#[cfg(any(test, not(target_os = "linux")))]
fn listed(text: &str) -> impl Iterator<Item = u32> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let (name, pid) = if let Some(quoted) = line.strip_prefix('"') {
            let mut fields = quoted.split("\",\"");
            (fields.next()?, fields.next()?)
        } else {
            let (pid, name) = line.split_once(char::is_whitespace)?;
            (name.trim_start(), pid)
        };
        let file = name.rsplit(['/', '\\']).next()?;
        let file = file.strip_suffix(".exe").unwrap_or(file);
        matches!(file, "terraform" | "tofu")
            .then(|| pid.trim_matches('"').parse().ok())
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_terraform_itself_is_taken_from_the_lists_of_other_systems() {
        let ps = "    1 /sbin/launchd\n  412 /opt/homebrew/bin/terraform\n  413 terraform-ls\n  \
                  414 /Users/ann/my tools/tofu\n  415 /opt/terraform/bin/vault\n";
        assert_eq!(listed(ps).collect::<Vec<_>>(), [412, 414]);
        let tasklist = "\"System\",\"4\",\"Services\",\"0\",\"148 K\"\r\n\
                        \"terraform.exe\",\"7124\",\"Console\",\"1\",\"65,100 K\"\r\n\
                        \"terraform-ls.exe\",\"7125\",\"Console\",\"1\",\"65,100 K\"\r\n";
        assert_eq!(listed(tasklist).collect::<Vec<_>>(), [7124]);
    }
}
