//! What Git knows of a build context.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use super::command::Command;
use super::context::Context;

/// How long Git may take. Its first look at a large tree on a cold disk is slow.
const GIT: Duration = Duration::from_mins(2);

/// The commit that last changed the context, for a label or for people. `None` without Git.
pub async fn revision(context: &Path) -> Option<String> {
    let commit = git(context, &["log", "-1", "--format=%H", "HEAD", "--", "."]).await?;
    let commit = commit.trim();
    (!commit.is_empty()).then(|| commit.to_owned())
}

/// What Git knows of a context.
pub(super) struct Repository {
    /// The last commit.
    pub(super) commit: String,
    /// The id of the context's folder in the last commit.
    pub(super) tree: String,
    /// The files that Git looks at, relative to the context.
    watched: HashSet<Vec<u8>>,
    /// The files that Git was told not to look at.
    unwatched: Vec<Vec<u8>>,
    /// The files that differ from the commit.
    changed: Vec<Vec<u8>>,
}

impl Repository {
    /// Asks Git. `None` when there is no Git, no repository, no commit, or the context is not in
    /// it; also when Git refuses to answer, since nothing can be told then.
    pub(super) async fn of(context: &Path) -> Option<Self> {
        // Git would say the same, and a project of twenty services would ask it sixty times.
        if !is_below_a_repository(context) {
            return None;
        }
        let (place, files, status) = tokio::join!(
            git(context, &["rev-parse", "--show-prefix", "HEAD", "HEAD:./"]),
            git(context, &["ls-files", "-v", "-z", "--", "."]),
            git(
                context,
                &[
                    "status",
                    "--porcelain=v1",
                    "-z",
                    "--untracked-files=no",
                    "--no-renames",
                    "--ignore-submodules=none",
                    "--",
                    ".",
                ],
            )
        );
        let place = place?;
        let (rest, tree) = place.trim_end().rsplit_once('\n')?;
        let (prefix, commit) = rest.rsplit_once('\n')?;
        let (mut watched, mut unwatched) = (HashSet::new(), Vec::new());
        for entry in files?.split_terminator('\0') {
            let (flag, path) = entry.split_once(' ')?;
            // Lower case: assumed unchanged. `S`: outside a sparse checkout.
            if flag == "H" {
                watched.insert(path.as_bytes().to_vec());
            } else {
                unwatched.push(path.as_bytes().to_vec());
            }
        }
        let changed = status?
            .split_terminator('\0')
            .map(|entry| {
                let path = entry.get(3..).unwrap_or_default();
                let path = path.strip_prefix(prefix).unwrap_or(path);
                path.as_bytes().to_vec()
            })
            .collect();
        Some(Self {
            commit: commit.to_owned(),
            tree: tree.to_owned(),
            watched,
            unwatched,
            changed,
        })
    }

    /// Whether everything that Docker sees is as it was committed.
    pub(super) fn has_committed(&self, context: &Context) -> bool {
        let differs = self
            .changed
            .iter()
            .chain(&self.unwatched)
            .any(|path| context.sees(path));
        !differs && context.files().all(|path| self.watched.contains(path))
    }
}

/// Whether the folder, or one above it, has what Git looks for: its folder, or the file that stands for
/// one in a worktree and in a submodule (`gitrepository-layout(5)`).
fn is_below_a_repository(context: &Path) -> bool {
    // Where nothing can be looked at, Git may know more.
    context.canonicalize().map_or(true, |place| {
        place
            .ancestors()
            .any(|folder| folder.join(".git").try_exists().unwrap_or(true))
    })
}

/// Runs Git in the context. Its own locks are left alone, and so are variables that a hook set
/// for another repository.
async fn git(context: &Path, args: &[&str]) -> Option<String> {
    let mut command = Command::new("git")
        .args(args.iter().copied())
        .cwd(context)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .timeout(GIT);
    let foreign = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"];
    command = command.env_changes(&foreign.map(|name| (name.into(), None)));
    command.run().await.ok().map(|done| done.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_is_asked_where_it_could_know_something() {
        let folder = tempfile::tempdir().unwrap();
        let context = folder.path().join("app/web");
        std::fs::create_dir_all(&context).unwrap();
        // A temporary folder of somebody's may itself be in a repository.
        if is_below_a_repository(folder.path()) {
            return;
        }
        assert!(!is_below_a_repository(&context));
        std::fs::write(folder.path().join("app/.git"), "gitdir: elsewhere").unwrap();
        assert!(is_below_a_repository(&context));
        assert!(is_below_a_repository(&folder.path().join("nowhere")));
    }
}
