//! The tag that says what an image was made from.
//!
//! An image whose tag is in the registry already need not be built again, so the tag must name
//! everything that decides what the image is: what Docker sees of the context, the Dockerfile, the
//! stage, the build arguments and the platform. It must not name anything else, or a commit to one
//! service rebuilds all others.
//!
//! | state | tag |
//! |---|---|
//! | what Docker sees is committed | `TREE[-ARCH][-OPTIONS]` |
//! | something differs from the commit | `TREE-dirty-CONTENT` |
//! | no Git, or nothing committed | `src-CONTENT` |
//!
//! `TREE` is Git's own id of the context folder (`git rev-parse HEAD:FOLDER`, 12 digits). It is the
//! same in every clone, shallow or not, before and after a rebase, and a commit elsewhere does not
//! touch it; the id of a commit is none of that. `ARCH` is left out for `linux/amd64`, `OPTIONS`
//! for a plain build. `CONTENT` covers bytes, modes and links of every file that Docker sees, and
//! all options; times are not counted.
//!
//! A file counts as committed only when Git knows it and calls it unchanged. So an ignored file
//! that Docker sees, such as a `dist` folder that was built before, makes the tree dirty, and so
//! do files that Git was told not to look at. Two clones may differ in line ends, in what a filter
//! made of a file, or in permissions that Git does not keep: there the commit decides. What lies
//! outside is not covered either: base images, and whatever a `RUN` step downloads.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::build::Source;
use super::command::Command;
use super::context::{self, Context};
use crate::registry::Tag;

/// How many digits of Git's id of a folder, and of a content hash, a tag holds.
const DIGITS: usize = 12;

/// How many digits of the options' hash a tag holds.
const OPTION_DIGITS: usize = 8;

/// How long Git may take. Its first look at a large tree on a cold disk is slow.
const GIT: Duration = Duration::from_mins(2);

/// Why the content of a service cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// A file or folder cannot be read.
    #[error("cannot read {} of the build context: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Reading was interrupted.
    #[error("reading the build context {} was interrupted", context.display())]
    Interrupted {
        /// The context.
        context: PathBuf,
    },
}

/// How the content relates to Git.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// What Docker sees is what is committed.
    Clean,
    /// Something that Docker sees differs from the commit.
    Dirty,
    /// There is no commit to compare with.
    Unversioned,
}

/// The tag of a service's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentTag {
    tag: Tag,
    state: State,
}

impl ContentTag {
    /// Reads the content of this source.
    ///
    /// A clean tree is only listed, not read. Otherwise every file that Docker sees is read.
    pub async fn of(source: &Source) -> Result<Self, ContentError> {
        let owned = source.clone();
        let (context, repository) = tokio::join!(
            blocking(&source.context, move || Context::read(&owned)),
            Repository::of(&source.context)
        );
        let context = context?;
        let clean = repository
            .as_ref()
            .is_some_and(|repository| repository.has_committed(&context));
        let tree = repository.map(|repository| first(&repository.tree, DIGITS).to_owned());
        let (text, state) = match tree {
            Some(tree) if clean => (clean_tag(&tree, source, &context), State::Clean),
            tree => {
                let options = options(source, &context, &source.platforms);
                let folder = source.context.clone();
                let hash =
                    blocking(&source.context, move || context.hash(&folder, &options)).await?;
                let hash = first(&hash, DIGITS);
                match tree {
                    Some(tree) => (format!("{tree}-dirty-{hash}"), State::Dirty),
                    None => (format!("src-{hash}"), State::Unversioned),
                }
            }
        };
        // The text is made of digits, letters and dashes; a platform's slug may be long.
        let tag = Tag::from_name(&text).ok_or_else(|| ContentError::Interrupted {
            context: source.context.clone(),
        })?;
        Ok(Self { tag, state })
    }

    /// The tag.
    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    /// How the content relates to Git.
    pub fn state(&self) -> State {
        self.state
    }
}

/// The commit that last changed the context, for a label or for people. `None` without Git.
pub async fn revision(context: &Path) -> Option<String> {
    let commit = git(context, &["log", "-1", "--format=%H", "HEAD", "--", "."]).await?;
    let commit = commit.trim();
    (!commit.is_empty()).then(|| commit.to_owned())
}

fn clean_tag(tree: &str, source: &Source, context: &Context) -> String {
    let mut tag = tree.to_owned();
    // One platform is shown by its name, several are among the options.
    let counted = match source.platforms.as_slice() {
        [] => &[],
        [one] => {
            if one.to_string() != "linux/amd64" {
                let slug = one.slug();
                tag.push('-');
                tag.push_str(slug.strip_prefix("linux-").unwrap_or(&slug));
            }
            &[]
        }
        several => several,
    };
    let is_plain = source.target.is_none()
        && source.build_args.is_empty()
        && counted.is_empty()
        && context.dockerfile.as_deref() == Some(b"Dockerfile")
        && context.outside.is_empty();
    if !is_plain {
        let mut hash = Sha256::new();
        hash.update(options(source, context, counted));
        tag.push('-');
        tag.push_str(first(&context::hex(&hash.finalize()), OPTION_DIGITS));
    }
    tag
}

/// All that decides beside the files of the context, in a form in which no two choices are alike.
fn options(source: &Source, context: &Context, platforms: &[super::platform::Platform]) -> Vec<u8> {
    let mut bytes = b"options 1".to_vec();
    let mut field = |name: &str, value: &[u8]| {
        bytes.extend_from_slice(&(name.len() as u64).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        bytes.extend_from_slice(value);
    };
    if let Some(path) = &context.dockerfile {
        field("dockerfile", path);
    }
    for content in &context.outside {
        field("outside", content);
    }
    if let Some(target) = &source.target {
        field("target", target.as_bytes());
    }
    for (name, value) in &source.build_args {
        field("argument", name.as_bytes());
        field("value", value.as_bytes());
    }
    for platform in platforms {
        field("platform", platform.to_string().as_bytes());
    }
    bytes
}

fn first(hex: &str, digits: usize) -> &str {
    hex.get(..digits).unwrap_or(hex)
}

async fn blocking<T: Send + 'static>(
    context: &Path,
    work: impl FnOnce() -> Result<T, ContentError> + Send + 'static,
) -> Result<T, ContentError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(ContentError::Interrupted {
            context: context.to_path_buf(),
        }),
    }
}

/// What Git knows of a context.
struct Repository {
    /// The id of the context's folder in the last commit.
    tree: String,
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
    async fn of(context: &Path) -> Option<Self> {
        let (place, files, status) = tokio::join!(
            git(context, &["rev-parse", "--show-prefix", "HEAD:./"]),
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
        let (prefix, tree) = place.trim_end().rsplit_once('\n')?;
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
            tree: tree.to_owned(),
            watched,
            unwatched,
            changed,
        })
    }

    /// Whether everything that Docker sees is as it was committed.
    fn has_committed(&self, context: &Context) -> bool {
        let differs = self
            .changed
            .iter()
            .chain(&self.unwatched)
            .any(|path| context.sees(path));
        !differs && context.files().all(|path| self.watched.contains(path))
    }
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
