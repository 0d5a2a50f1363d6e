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
//! do files that Git was told not to look at. Of Git's own folder, when Docker sees it, the commit
//! counts, as an option. Two clones may differ in line ends, in what a filter
//! made of a file, or in permissions that Git does not keep: there the commit decides. What lies
//! outside is not covered either: base images, and whatever a `RUN` step downloads.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use super::build::Source;
use super::context::{self, Context, Seen};
use super::platform::Platform;
use super::repository::Repository;
use crate::registry::Tag;

/// How many digits of Git's id of a folder, and of a content hash, a tag holds.
const DIGITS: usize = 12;

/// How many digits of the options' hash a tag holds.
const OPTION_DIGITS: usize = 8;

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
#[derive(Debug, Clone)]
pub struct ContentTag {
    tag: Tag,
    state: State,
    /// What the files looked like, where that tells whether they are still the same.
    seen: Option<Seen>,
}

/// Two are the same when they tag the same content, whatever they were read from.
impl PartialEq for ContentTag {
    fn eq(&self, other: &Self) -> bool {
        (&self.tag, self.state) == (&other.tag, other.state)
    }
}

impl Eq for ContentTag {}

impl ContentTag {
    /// Reads the content of this source.
    ///
    /// A clean tree is only listed, not read. Otherwise every file that Docker sees is read.
    pub async fn of(source: &Source) -> Result<Self, ContentError> {
        let owned = source.clone();
        let looked = SystemTime::now();
        let (context, repository) = tokio::join!(
            blocking(&source.context, move || Context::read(&owned)),
            Repository::of(&source.context)
        );
        let context = context?;
        let seen = context.seen(looked);
        let clean = repository
            .as_ref()
            .is_some_and(|repository| repository.has_committed(&context));
        let commit = repository
            .as_ref()
            .filter(|_| context.sees_git)
            .map(|repository| repository.commit.clone());
        let tree = repository.map(|repository| first(&repository.tree, DIGITS).to_owned());
        let (text, state) = match tree {
            Some(tree) if clean => (
                clean_tag(&tree, source, &context, commit.as_deref()),
                State::Clean,
            ),
            tree => {
                let options = options(source, &context, &source.platforms, commit.as_deref());
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
        Ok(Self { tag, state, seen })
    }

    /// Whether this is still the tag of that source. What has not been touched is not read again, and
    /// Git is not asked.
    pub async fn still_names(&self, source: &Source) -> Result<bool, ContentError> {
        if let Some(seen) = self.seen {
            let owned = source.clone();
            let now = blocking(&source.context, move || Context::read(&owned)).await?;
            if now.has_the_look_of(seen) {
                return Ok(true);
            }
        }
        Ok(Self::of(source).await?.tag == self.tag)
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

fn clean_tag(tree: &str, source: &Source, context: &Context, commit: Option<&str>) -> String {
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
        && commit.is_none()
        && context.dockerfile.as_deref() == Some(b"Dockerfile")
        && context.outside.is_empty();
    if !is_plain {
        let mut hash = Sha256::new();
        hash.update(options(source, context, counted, commit));
        tag.push('-');
        tag.push_str(first(&context::hex(&hash.finalize()), OPTION_DIGITS));
    }
    tag
}

/// All that decides beside the files of the context, in a form in which no two choices are alike.
fn options(
    source: &Source,
    context: &Context,
    platforms: &[Platform],
    commit: Option<&str>,
) -> Vec<u8> {
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
    if let Some(commit) = commit {
        field("commit", commit.as_bytes());
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

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;
    use crate::docker::repository::revision;

    /// A folder with one service, `web`, in it.
    struct Project {
        folder: TempDir,
        source: Source,
    }

    impl Project {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let context = folder.path().join("web");
            std::fs::create_dir_all(&context).unwrap();
            let source = Source {
                context,
                dockerfile: None,
                target: None,
                build_args: std::collections::BTreeMap::new(),
                platforms: vec!["linux/amd64".parse().unwrap()],
            };
            let project = Self { folder, source };
            project.write("web/Dockerfile", "FROM busybox:1.36\nCOPY . /\n");
            project.write("web/index.html", "hello");
            project
        }

        fn committed() -> Self {
            let project = Self::new();
            project.git(&["init", "-q"]);
            project.commit();
            project
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn git(&self, args: &[&str]) -> String {
            let output = std::process::Command::new("git")
                .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
                .args(args)
                .current_dir(self.folder.path())
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_CONFIG_SYSTEM", "/dev/null")
                .output()
                .unwrap();
            assert!(output.status.success(), "{args:?}: {output:?}");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        }

        fn commit(&self) {
            self.git(&["add", "-A"]);
            self.git(&["commit", "-q", "--allow-empty", "-m", "change"]);
        }

        async fn content(&self) -> ContentTag {
            ContentTag::of(&self.source).await.unwrap()
        }

        async fn tag(&self) -> String {
            self.content().await.tag().to_string()
        }
    }

    #[tokio::test]
    async fn what_was_not_touched_is_not_read_again() {
        for project in [Project::new(), Project::committed()] {
            let tag = loop {
                // Until the files are old enough to be known again.
                let tag = ContentTag::of(&project.source).await.unwrap();
                if tag.seen.is_some() {
                    break tag;
                }
            };
            let page = project.source.context.join("index.html");
            assert!(tag.still_names(&project.source).await.unwrap());
            // As long as before, and with the time that it had.
            let before = std::fs::metadata(&page).unwrap().modified().unwrap();
            project.write("web/index.html", "hallo");
            let file = std::fs::File::options().write(true).open(&page).unwrap();
            file.set_modified(before).unwrap();
            assert!(!tag.still_names(&project.source).await.unwrap());
            // Back again: the look is another one, the content is not.
            project.write("web/index.html", "hello");
            assert!(tag.still_names(&project.source).await.unwrap());
            project.write("web/.dockerignore", "nothing\n");
            assert!(!tag.still_names(&project.source).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_committed_context_has_the_id_that_git_gives_its_folder() {
        let project = Project::committed();
        let content = project.content().await;
        assert_eq!(content.state(), State::Clean);
        let tree = project.git(&["rev-parse", "HEAD:web"]);
        assert_eq!(content.tag().as_str(), &tree[..12]);
        assert_eq!(
            revision(&project.source.context).await.unwrap(),
            project.git(&["rev-parse", "HEAD"])
        );
    }

    #[tokio::test]
    async fn a_commit_elsewhere_or_a_rewritten_one_leaves_the_tag() {
        let project = Project::committed();
        let before = project.tag().await;
        project.write("api/index.html", "another service");
        assert_eq!(project.tag().await, before);
        project.commit();
        assert_eq!(project.tag().await, before);
        project.git(&["commit", "-q", "--amend", "--allow-empty", "-m", "reworded"]);
        assert_eq!(project.tag().await, before);
        project.write("web/index.html", "changed");
        project.commit();
        let after = project.content().await;
        assert_eq!(after.state(), State::Clean);
        assert_ne!(after.tag().as_str(), before);
    }

    #[tokio::test]
    async fn a_change_is_dirty_and_its_reversal_is_clean_again() {
        let project = Project::committed();
        let clean = project.tag().await;
        let mut tags = std::collections::BTreeSet::from([clean.clone()]);
        for text in ["hello!", "hello?"] {
            project.write("web/index.html", text);
            let content = project.content().await;
            assert_eq!(content.state(), State::Dirty);
            let tag = content.tag().to_string();
            assert!(tag.starts_with(&format!("{clean}-dirty-")), "{tag}");
            assert!(tags.insert(tag), "each content has its own tag");
        }
        project.write("web/index.html", "hello");
        assert_eq!(project.tag().await, clean);
        std::fs::remove_file(project.source.context.join("index.html")).unwrap();
        assert_eq!(project.content().await.state(), State::Dirty);
    }

    #[tokio::test]
    async fn what_docker_does_not_see_does_not_count_as_a_change() {
        let project = Project::new();
        project.write("web/.dockerignore", "notes\n**/*.log\n");
        project.write("web/notes/kept.txt", "x");
        project.git(&["init", "-q"]);
        project.commit();
        let clean = project.tag().await;
        project.write("web/notes/kept.txt", "changed");
        project.write("web/notes/new.txt", "new");
        project.write("web/deep/x.log", "log");
        assert_eq!(project.content().await.state(), State::Clean);
        assert_eq!(project.tag().await, clean);
    }

    #[tokio::test]
    async fn what_git_ignores_counts_when_docker_sees_it() {
        let project = Project::new();
        project.write(".gitignore", "dist\n");
        project.write("web/dist/app.js", "one");
        project.git(&["init", "-q"]);
        project.commit();
        let one = project.content().await;
        assert_eq!(one.state(), State::Dirty);
        project.write("web/dist/app.js", "two");
        assert_ne!(project.content().await.tag(), one.tag());
    }

    #[tokio::test]
    async fn what_git_was_told_not_to_look_at_counts() {
        for flag in ["--assume-unchanged", "--skip-worktree"] {
            let project = Project::committed();
            project.git(&["update-index", flag, "web/index.html"]);
            project.write("web/index.html", "local");
            let content = project.content().await;
            assert_eq!(content.state(), State::Dirty, "{flag}");
        }
    }

    #[tokio::test]
    async fn the_dockerfile_and_the_rules_count_though_docker_does_not_copy_them() {
        for file in ["Dockerfile", ".dockerignore"] {
            let project = Project::new();
            project.write("web/.dockerignore", "Dockerfile\n.dockerignore\n");
            project.git(&["init", "-q"]);
            project.commit();
            assert_eq!(project.content().await.state(), State::Clean);
            let path = project.source.context.join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(path, format!("{text}# more\n")).unwrap();
            assert_eq!(project.content().await.state(), State::Dirty, "{file}");
        }
    }

    #[tokio::test]
    async fn each_option_has_its_own_tag_clean_or_not() {
        for is_clean in [true, false] {
            let mut project = Project::committed();
            project.write("web/other.Dockerfile", "FROM busybox:1.36\nCOPY . /\n");
            project.write("elsewhere/Dockerfile", "FROM busybox:1.36\n");
            project.commit();
            if !is_clean {
                project.write("web/index.html", "dirty");
            }
            let plain = project.source.clone();
            let mut tags = vec![project.tag().await];
            let args = |value: &str| [("VERSION".to_owned(), value.to_owned())].into();
            let platform = |text: &str| text.parse::<Platform>().unwrap();
            let changes: [&dyn Fn(&mut Source); 8] = [
                &|source| source.target = Some("run".to_owned()),
                &|source| source.build_args = args("1"),
                &|source| source.build_args = args("2"),
                &|source| source.platforms = vec![platform("linux/arm64")],
                &|source| source.platforms = vec![platform("linux/arm/v7")],
                &|source| {
                    source.platforms = vec![platform("linux/amd64"), platform("linux/arm64")];
                },
                &|source| source.dockerfile = Some(source.context.join("other.Dockerfile")),
                &|source| {
                    source.dockerfile = Some(source.context.join("../elsewhere/Dockerfile"));
                },
            ];
            for change in changes {
                project.source = plain.clone();
                change(&mut project.source);
                let content = project.content().await;
                assert_eq!(content.state() == State::Clean, is_clean);
                tags.push(content.tag().to_string());
            }
            project.write("elsewhere/Dockerfile", "FROM busybox:1.37\n");
            tags.push(project.tag().await);
            let distinct: std::collections::BTreeSet<_> = tags.iter().collect();
            assert_eq!(distinct.len(), tags.len(), "{tags:?}");
            if is_clean {
                assert_eq!(tags[4], format!("{}-arm64", tags[0]));
            }
        }
    }

    #[tokio::test]
    async fn without_git_bytes_modes_and_links_count_and_times_do_not() {
        let project = Project::new();
        let first = project.content().await;
        assert_eq!(first.state(), State::Unversioned);
        assert!(first.tag().as_str().starts_with("src-"), "{first:?}");
        let file = project.source.context.join("index.html");
        let hour_ago = SystemTime::now() - std::time::Duration::from_hours(1);
        std::fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_modified(hour_ago)
            .unwrap();
        assert_eq!(project.tag().await, first.tag().as_str());

        let mut tags = vec![first.tag().to_string()];
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        tags.push(project.tag().await);
        let link = project.source.context.join("link");
        for target in ["index.html", "Dockerfile", "/nowhere"] {
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(target, &link).unwrap();
            tags.push(project.tag().await);
        }
        std::fs::create_dir(project.source.context.join("empty")).unwrap();
        tags.push(project.tag().await);
        let distinct: std::collections::BTreeSet<_> = tags.iter().collect();
        assert_eq!(distinct.len(), tags.len(), "{tags:?}");
    }

    #[tokio::test]
    async fn a_repository_without_a_commit_of_the_context_is_unversioned() {
        let project = Project::new();
        project.git(&["init", "-q"]);
        assert_eq!(project.content().await.state(), State::Unversioned);
        project.git(&["commit", "-q", "--allow-empty", "-m", "empty"]);
        assert_eq!(project.content().await.state(), State::Unversioned);
        assert_eq!(revision(&project.source.context).await, None);
    }

    #[tokio::test]
    async fn names_that_need_care_are_compared_rightly() {
        let project = Project::new();
        for name in ["a b", "[x]", "\"q\"", "ä", "new\nline", "-dash"] {
            project.write(&format!("web/{name}"), "x");
        }
        project.git(&["init", "-q"]);
        project.commit();
        assert_eq!(project.content().await.state(), State::Clean);
        project.write("web/new\nline", "y");
        assert_eq!(project.content().await.state(), State::Dirty);
    }

    #[tokio::test]
    async fn a_context_that_is_the_whole_repository_is_compared_rightly() {
        let mut project = Project::committed();
        project.source.dockerfile = Some(project.source.context.join("Dockerfile"));
        project.source.context = project.folder.path().to_path_buf();
        // Docker sees Git's own folder: a build may ask it for the commit.
        let first = project.content().await;
        assert_eq!(first.state(), State::Clean);
        project.git(&["commit", "-q", "--allow-empty", "-m", "empty"]);
        assert_ne!(project.tag().await, first.tag().as_str());
        project.git(&["branch", "another"]);
        let second = project.tag().await;
        project.git(&["gc", "-q"]);
        assert_eq!(project.tag().await, second);
        project.write(".dockerignore", ".git\n");
        project.commit();
        let ignored = project.tag().await;
        project.git(&["commit", "-q", "--allow-empty", "-m", "empty"]);
        assert_eq!(project.tag().await, ignored);
        project.write("web/index.html", "changed");
        assert_eq!(project.content().await.state(), State::Dirty);
    }

    #[tokio::test]
    async fn a_context_that_cannot_be_read_is_an_error() {
        let mut project = Project::new();
        project.source.context = project.folder.path().join("gone");
        let error = ContentTag::of(&project.source).await.unwrap_err();
        assert!(error.to_string().contains("gone"), "{error}");
    }
}
