//! Pushes an image and learns the digest that the registry knows it by.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::command::CommandError;
use super::engine::Docker;
use super::engine_retries::EngineRetries;
use super::push_error::{PushError, PushFailure};
use crate::registry::{Digest, ImageReference};

/// How many times a push is tried when the registry fails or cannot be reached, and the engine did
/// not try again by itself: it does so with layers, for most of a minute. The manifest at the end it
/// sends once, and with the containerd image store it waits for nothing.
const ATTEMPTS: u32 = 5;
/// The same when nobody knows what the words mean, which may be final. An engine that keeps images in
/// containerd shows a registry's message, and neither its code nor the status.
const ATTEMPTS_OF_UNKNOWN: u32 = 3;

/// The pause before a second attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 500 });

/// What happens while an image is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushNews<'a> {
    /// Docker printed a line.
    Line(&'a str),
    /// The registry did not take a layer. The engine tries it again by itself, after this pause.
    EngineWaits(Duration),
    /// The registry did not take the image. The push begins again, after this pause.
    Waits(Duration),
    /// The registry refused the token: a new one is asked for, and the push begins again.
    TokenRefused,
}

/// What is told the news of a push.
pub type OnPushNews = Arc<dyn Fn(PushNews<'_>) + Send + Sync>;

/// An image that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// What was pushed.
    pub image: ImageReference,
    /// The digest of its manifest in the registry.
    pub digest: Digest,
    /// How long it took, attempts and pauses included.
    pub elapsed: Duration,
    /// Whether the registry refused the token that was kept, so that a new one was minted. Whoever
    /// else holds that one is refused as well.
    pub token_was_refused: bool,
}

impl Pushed {
    /// The image pinned to its digest.
    pub fn pinned(&self) -> ImageReference {
        self.image.pinned(&self.digest)
    }
}

/// Pushes an image that the engine has under this tag. The output goes into the log.
///
/// A token that the registry refuses, whatever the helper believed, is forgotten and the push tried
/// once more. So is a push that failed on the way, unless the engine has done so already.
pub async fn push(
    docker: &Docker,
    image: &ImageReference,
    log: Option<&Path>,
    tell: Option<OnPushNews>,
) -> Result<Pushed, PushError> {
    let started = std::time::Instant::now();
    let tell = tell.unwrap_or_else(|| Arc::new(|_| {}));
    let mut attempt = 1;
    let mut token_was_refused = false;
    let done = loop {
        let retries = Arc::new(EngineRetries::default());
        let (listening, telling) = (Arc::clone(&retries), Arc::clone(&tell));
        let mut command = docker
            .command(["push".to_owned(), image.to_string()])
            .on_line(Arc::new(move |line| {
                telling(PushNews::Line(line));
                if let Some(pause) = listening.note(line) {
                    telling(PushNews::EngineWaits(pause));
                }
            }));
        if let Some(log) = log {
            command = command.log(log);
        }
        let error = match command.run().await {
            Ok(done) => break done,
            Err(error) => PushError::from_command(image, error),
        };
        match (error.cause(), docker.login()) {
            (Some(PushFailure::TokenRefused | PushFailure::Forbidden), Some(login))
                if !token_was_refused =>
            {
                token_was_refused = true;
                tell(PushNews::TokenRefused);
                if login.forget_token(image.registry()).await.is_err() {
                    return Err(error);
                }
            }
            (Some(cause), _) if attempt < attempts(cause) && !retries.has_open() => {
                let pause = PAUSE * 2_u32.pow(attempt - 1);
                tell(PushNews::Waits(pause));
                tokio::time::sleep(pause).await;
                attempt += 1;
            }
            _ => return Err(error),
        }
    };
    let digest = match digest_line(&done.stdout) {
        Some(digest) => digest,
        None => known_digest(docker, image).await?,
    };
    Ok(Pushed {
        image: image.clone(),
        digest,
        elapsed: started.elapsed(),
        token_was_refused,
    })
}

/// How many times a push that fails so is tried at most.
fn attempts(cause: PushFailure) -> u32 {
    match cause {
        PushFailure::Unavailable | PushFailure::Throttled => ATTEMPTS,
        PushFailure::Other => ATTEMPTS_OF_UNKNOWN,
        _ => 1,
    }
}

/// The digest in the line `TAG: digest: sha256:… size: N`, which ends a push.
fn digest_line(stdout: &str) -> Option<Digest> {
    stdout
        .lines()
        .rev()
        .find_map(|line| Digest::find_in(line.split_once("digest: ")?.1))
}

/// The digest that the engine remembers for this repository.
async fn known_digest(docker: &Docker, image: &ImageReference) -> Result<Digest, PushError> {
    let asked = docker
        .command([
            "image".to_owned(),
            "inspect".to_owned(),
            "--format".to_owned(),
            "{{json .RepoDigests}}".to_owned(),
            image.to_string(),
        ])
        .run()
        .await
        .map_err(|source| PushError::Command {
            image: Box::new(image.clone()),
            source,
        })?;
    let known: Vec<String> = serde_json::from_str(asked.stdout.trim()).unwrap_or_default();
    known
        .iter()
        .filter_map(|text| text.parse::<ImageReference>().ok())
        .find(|known| {
            known.registry() == image.registry() && known.repository() == image.repository()
        })
        .and_then(|known| known.digest().cloned())
        .ok_or_else(|| PushError::NoDigest {
            image: Box::new(image.clone()),
        })
}

/// Gives an image in the engine another name.
pub async fn tag(
    docker: &Docker,
    image: &ImageReference,
    name: &ImageReference,
) -> Result<(), CommandError> {
    docker
        .command(["tag".to_owned(), image.to_string(), name.to_string()])
        .run()
        .await
        .map(|_| ())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::docker::fake::{fake_docker, write_program};
    use crate::docker::login::Login;

    const IMAGE: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/dev/web:abc";

    fn image() -> ImageReference {
        IMAGE.parse().unwrap()
    }

    fn hex() -> String {
        "0123456789abcdef".repeat(4)
    }

    async fn push_with(script: &str) -> Result<Pushed, PushError> {
        let (_folder, docker) = fake_docker(script, &[]);
        push(&docker, &image(), None, None).await
    }

    #[tokio::test]
    async fn the_digest_is_read_from_the_last_line() {
        let script = format!(
            "echo 'abc123: Pushed'; echo 'abc: digest: sha256:{} size: 942'",
            hex()
        );
        let pushed = push_with(&script).await.unwrap();
        assert_eq!(
            pushed.pinned().to_string(),
            format!(
                "123456789012.dkr.ecr.eu-central-1.amazonaws.com/dev/web@sha256:{}",
                hex()
            )
        );
    }

    #[tokio::test]
    async fn a_quiet_push_is_looked_up_in_the_engine() {
        let other = "f".repeat(64);
        let script = format!(
            r#"[ "$1" = image ] || exit 0
echo '["other.example/dev/web@sha256:{other}","123456789012.dkr.ecr.eu-central-1.amazonaws.com/dev/web@sha256:{}"]'"#,
            hex()
        );
        let pushed = push_with(&script).await.unwrap();
        assert_eq!(pushed.digest.as_str(), format!("sha256:{}", hex()));
        let error = push_with("[ \"$1\" = image ] && echo '[]'; exit 0")
            .await
            .unwrap_err();
        assert!(matches!(error, PushError::NoDigest { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_missing_repository_is_named_with_its_registry() {
        let error = push_with(
            "echo \"name unknown: The repository with name 'dev/web' does not exist in the registry with id '123456789012'\" >&2; exit 1",
        )
        .await
        .unwrap_err();
        assert_eq!(error.cause(), Some(PushFailure::NoRepository));
        assert!(
            error.to_string().ends_with(
                "the repository `dev/web` does not exist in 123456789012.dkr.ecr.eu-central-1.amazonaws.com"
            ),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("Terraform"));
    }

    fn counting(folder: &Path, fails: u32, words: &str) -> String {
        format!(
            r#"[ "$1" = push ] || exit 0
echo x >> {count}
if [ "$(wc -l < {count})" -le {fails} ]; then echo '{words}' >&2; exit 1; fi
echo 'abc: digest: sha256:{hex} size: 942'"#,
            count = folder.join("count").display(),
            hex = hex()
        )
    }

    #[tokio::test]
    async fn a_registry_that_fails_is_tried_again_a_few_times() {
        for (words, cause, attempts) in [
            (
                "received unexpected HTTP status: 503 Service Unavailable",
                PushFailure::Unavailable,
                5,
            ),
            (
                "error from registry: It is not your day.",
                PushFailure::Other,
                3,
            ),
            (
                "error from registry: User: x is not authorized to perform: y",
                PushFailure::Denied,
                1,
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            push_with(&counting(folder.path(), attempts - 1, words))
                .await
                .unwrap();
            let folder = tempfile::tempdir().unwrap();
            let error = push_with(&counting(folder.path(), 9, words))
                .await
                .unwrap_err();
            assert_eq!(error.cause(), Some(cause));
            let count = std::fs::read_to_string(folder.path().join("count")).unwrap();
            assert_eq!(count.lines().count(), usize::try_from(attempts).unwrap());
        }
    }

    #[tokio::test]
    async fn what_the_engine_has_tried_again_is_not_tried_again_and_its_pauses_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("count");
        let script = |in_the_end: &str| {
            format!(
                "echo x >> {count}\necho 'abc: Retrying in 5 seconds'\necho 'abc: Retrying in 4 seconds'\n\
                 echo 'abc: Retrying in 10 seconds'\n{in_the_end}\n\
                 echo 'received unexpected HTTP status: 503 Service Unavailable' >&2; exit 1",
                count = count.display()
            )
        };
        for (in_the_end, attempts) in [("", 1), ("echo 'abc: Pushed'", 5)] {
            let _ = std::fs::remove_file(&count);
            let (_folder, docker) = fake_docker(&script(in_the_end), &[]);
            let told = Arc::new(Mutex::new(Vec::new()));
            let hears = Arc::clone(&told);
            let tell: OnPushNews = Arc::new(move |news| {
                if let PushNews::EngineWaits(pause) = news {
                    hears.lock().unwrap().push(pause.as_secs());
                }
            });
            let error = push(&docker, &image(), None, Some(tell)).await.unwrap_err();
            assert_eq!(error.cause(), Some(PushFailure::Unavailable));
            let count = std::fs::read_to_string(&count).unwrap();
            assert_eq!(count.lines().count(), attempts, "{in_the_end}");
            let expected = [5, 10].repeat(attempts);
            assert_eq!(*told.lock().unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_refused_token_is_forgotten_and_the_push_tried_once_more() {
        let folder = tempfile::tempdir().unwrap();
        let words = "denied: Your authorization token has expired. Reauthenticate and try again.";
        let own = folder.path().join("kubectl-hybrid");
        let asked = folder.path().join("asked");
        write_program(&own, &format!("echo \"$1 $(cat)\" >> {}", asked.display()));
        let home = folder.path().to_string_lossy().into_owned();
        for (fails, succeeds) in [(1, true), (9, false)] {
            let _ = std::fs::remove_file(folder.path().join("count"));
            let _ = std::fs::remove_file(&asked);
            let script = counting(folder.path(), fails, words);
            let (_fake, docker) =
                fake_docker(&script, &[("HOME", &home), ("PATH", "/usr/bin:/bin")]);
            let registry = image().registry().to_owned();
            let login = Login::prepare(docker.surroundings(), &own, &[registry]).unwrap();
            let docker = docker.with_login(Arc::new(login));
            let result = push(&docker, &image(), None, None).await;
            assert_eq!(result.is_ok(), succeeds, "{result:?}");
            assert!(result.map_or(true, |pushed| pushed.token_was_refused));
            assert_eq!(
                std::fs::read_to_string(&asked).unwrap(),
                format!("erase {}\n", image().registry())
            );
        }
    }
}
