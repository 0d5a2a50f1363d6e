use super::*;

fn sh(script: &str) -> Command {
    Command::new("/bin/sh").arg("-c").arg(script)
}

#[tokio::test]
async fn output_goes_to_the_caller_and_into_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("logs/web.log");
    let done = sh("echo out; echo err >&2; printf last")
        .log(&log)
        .run()
        .await
        .unwrap();
    assert_eq!(done.stdout, "out\nlast");
    let text = std::fs::read_to_string(log).unwrap();
    for line in ["out\n", "err\n", "last"] {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test]
async fn a_failure_keeps_the_status_and_the_last_lines() {
    let error = sh("for i in $(seq 1 50); do echo line $i; done; echo broken >&2; exit 3")
        .run()
        .await
        .unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(failure.status.code(), Some(3));
    assert_eq!(failure.tail.len(), TAIL_LINES + 1);
    assert!(failure.tail.iter().any(|line| line == "broken"));
    assert!(failure.stdout.starts_with("line 1\n"));
}

#[test]
fn a_talkative_stream_does_not_push_out_the_reason_that_the_other_gave() {
    let mut transcript = Transcript::default();
    transcript.add(b"broken\n", false);
    for line in 1..=50 {
        transcript.add(format!("line {line}\n").as_bytes(), true);
    }
    let tail: Vec<_> = (transcript.tail.iter())
        .map(|line| line.text.as_str())
        .collect();
    assert_eq!(tail.len(), TAIL_LINES + 1);
    assert_eq!(tail[..2], ["broken", "line 31"]);
    assert_eq!(tail[TAIL_LINES], "line 50");
}

#[tokio::test]
async fn a_message_shows_the_masked_form_of_an_argument() {
    let error = Command::new("/bin/sh")
        .args(["-c", "exit 1", "build"])
        .arg_shown_as("PASSWORD=hunter2", "PASSWORD=…")
        .run()
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("PASSWORD=…"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let error = Command::new("/nowhere/docker")
        .arg("version")
        .run()
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot start `docker version`"),
        "{error}"
    );
}

#[tokio::test]
async fn input_reaches_the_child_and_a_deaf_child_is_no_error() {
    let done = Command::new("/bin/cat").stdin("hello").run().await.unwrap();
    assert_eq!(done.stdout, "hello");
    sh("exec <&-; exit 0")
        .stdin(vec![b'x'; 1 << 20])
        .run()
        .await
        .unwrap();
}

fn is_alive(pid: &str) -> bool {
    std::process::Command::new("/bin/sh")
        .args(["-c", &format!("kill -0 {pid} 2>/dev/null")])
        .status()
        .unwrap()
        .success()
}

async fn until_written(file: &Path) -> String {
    loop {
        match std::fs::read_to_string(file) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn a_dropped_run_ends_the_child_and_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let (own, grandchild) = (folder.path().join("own"), folder.path().join("grandchild"));
    let command = sh(&format!(
        "sleep 600 & echo $! > {}; echo $$ > {}; wait",
        grandchild.display(),
        own.display()
    ));
    let started = async { (until_written(&own).await, until_written(&grandchild).await) };
    let (own, grandchild) = tokio::select! {
        result = command.run() => panic!("ended by itself: {result:?}"),
        pids = started => pids,
    };
    assert!(!is_alive(&own), "the child is still there");
    // The grandchild is reaped by whoever inherits it; dead or defunct, it runs no more.
    let state = std::fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
    assert!(
        state.is_empty() || state.contains(") Z "),
        "the grandchild still runs: {state}"
    );
}

#[tokio::test]
async fn a_child_that_takes_too_long_is_ended() {
    let before = Instant::now();
    let error = sh("sleep 600")
        .timeout(Duration::from_millis(50))
        .run()
        .await
        .unwrap_err();
    assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
    assert!(before.elapsed() < Duration::from_mins(1));
}

#[tokio::test]
async fn a_grandchild_that_holds_the_pipe_does_not_hold_the_command() {
    let before = Instant::now();
    let done = sh("echo done; sleep 20 & exit 0").run().await.unwrap();
    assert_eq!(done.stdout, "done\n");
    assert!(before.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn each_line_is_told_as_it_comes() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&lines);
    sh("echo one; echo two")
        .on_line(Arc::new(move |line| {
            told.lock().unwrap().push(line.to_owned());
        }))
        .run()
        .await
        .unwrap();
    assert_eq!(*lines.lock().unwrap(), ["one", "two"]);
}
