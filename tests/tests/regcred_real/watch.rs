//! `regcred watch`: what it does when something changes, when time goes by, and when nobody answers.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hybrid_tests::said::Said;
use hybrid_tests::source_tree;
use rustix::process::{Pid, Signal, kill_process};

use super::way::Way;
use super::{HOST, Namespaces, account_names_it, front, kubectl, living, password, secret, until};

/// A `regcred watch` that ends with the test.
struct Watch {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Watch {
    fn begun(arguments: &[&str], environment: &[(&str, &Path)]) -> Self {
        // Not through kubectl: the child that is killed is the watch itself.
        let mut command = Command::new("kubectl-hybrid");
        command
            .args(["regcred", "watch"])
            .args(arguments)
            .current_dir(source_tree().join("examples/knowledge-repo"))
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&said);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                heard.lock().unwrap().push_str(&text);
            }
        });
        let watch = Self { child, said };
        until("the watch", || {
            watch.has_said("namespaces are kept").then_some(())
        });
        watch
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn has_said(&self, text: &str) -> bool {
        self.said.lock().unwrap().contains(text)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            eprintln!("the watch said:\n{}", self.said.lock().unwrap());
        }
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn a_watch_writes_what_is_new_deleted_or_broken() {
    let made = Namespaces::made(&["w-first"]);
    let glob = made.name(0).replace("first", "*");
    let watch = Watch::begun(&[&glob, "--service-account=default"], &[]);
    living(made.name(0));
    let new = Namespaces::made(&["w-new", "other"]);
    living(new.name(0));
    until("the account names it", || {
        account_names_it(new.name(0), "default").then_some(())
    });
    kubectl(&["-n", new.name(0), "delete", "secret", "regcred"]);
    living(new.name(0));
    let broken = r#"{"data":{".dockerconfigjson":"e30="}}"#;
    kubectl(&[
        "-n",
        new.name(0),
        "patch",
        "secret",
        "regcred",
        "-p",
        broken,
    ]);
    living(new.name(0));
    assert!(secret(new.name(1)).is_none());
    drop(watch);
}

#[test]
#[ignore = "needs the sandbox"]
fn a_watch_survives_an_api_server_that_restarts() {
    let made = Namespaces::made(&["away"]);
    let folder = tempfile::tempdir().unwrap();
    let way = Way::to_the_api_server();
    let kubeconfig = way.kubeconfig(folder.path());
    let watch = Watch::begun(&[made.name(0)], &[("KUBECONFIG", &kubeconfig)]);
    until("the secret", || secret(made.name(0)));
    way.cut();
    // While it is away somebody deletes the secret.
    kubectl(&["-n", made.name(0), "delete", "secret", "regcred"]);
    until("a complaint", || {
        watch.has_said("is tried again").then_some(())
    });
    assert!(secret(made.name(0)).is_none());
    way.open();
    until("the secret again", || secret(made.name(0)));
    until("the good news", || {
        watch.has_said("answers again").then_some(())
    });
    drop(watch);
}

/// As a cluster does that is made anew, or a machine that gives it another port.
#[test]
#[ignore = "needs the sandbox"]
fn a_watch_follows_its_context_to_where_it_leads_now() {
    let made = Namespaces::made(&["moved"]);
    let folder = tempfile::tempdir().unwrap();
    let way = Way::to_the_api_server();
    let kubeconfig = way.kubeconfig(folder.path());
    let watch = Watch::begun(&[made.name(0)], &[("KUBECONFIG", &kubeconfig)]);
    until("the secret", || secret(made.name(0)));
    way.cut();
    kubectl(&["-n", made.name(0), "delete", "secret", "regcred"]);
    until("a complaint", || {
        watch.has_said("is tried again").then_some(())
    });
    let other_way = Way::to_the_api_server();
    assert_eq!(other_way.kubeconfig(folder.path()), kubeconfig);
    until("the secret again", || secret(made.name(0)));
    drop(watch);
}

/// A life that is over soon. One of less than five seconds is held for a clock that goes wrong.
const SHORT: Duration = Duration::from_secs(7);

/// While it is there, new tokens live no longer than that.
struct Lives;

impl Lives {
    fn of(life: Duration) -> Self {
        front().set_ttl(life).unwrap();
        Self
    }
}

impl Drop for Lives {
    fn drop(&mut self) {
        // A test that failed has said why already.
        drop(front().set_ttl(Duration::from_hours(12)));
        drop(front().clear());
    }
}

fn is_alive(token: &str) -> bool {
    front().check_token(token).unwrap().alive
}

#[test]
#[ignore = "needs the sandbox"]
fn a_watch_renews_at_half_the_life_of_a_token_and_asks_for_nothing_before() {
    const LIFE: Duration = Duration::from_secs(14);
    let made = Namespaces::made(&["half"]);
    let folder = tempfile::tempdir().unwrap();
    let way = Way::to_the_api_server();
    let kubeconfig = way.kubeconfig(folder.path());
    let _lives = Lives::of(LIFE);
    // By a glob, so that it has to know every namespace.
    let glob = made.name(0).replace("half", "hal?");
    // Its tokens are its own: other tests want such that live.
    let environment = [
        ("KUBECONFIG", kubeconfig.as_path()),
        ("HYBRID_CACHE_DIR", folder.path()),
    ];
    let watch = Watch::begun(&[&glob], &environment);
    until("the secret", || watch.has_said("created").then_some(()));
    let (begun, asked) = (Instant::now(), way.asked());
    let first = living(made.name(0));
    let mut before = asked;
    let second = until("another token", || {
        if begun.elapsed() < LIFE / 3 {
            before = way.asked();
        }
        password(made.name(0), HOST).filter(|token| *token != first)
    });
    let (at, was_alive) = (begun.elapsed(), is_alive(&first));
    // The shortest request is longer than that.
    assert!(before - asked < 100, "it has sent {} bytes", before - asked);
    assert!(LIFE / 3 < at && at < LIFE * 3 / 4, "after {at:?}");
    assert!(was_alive && is_alive(&second));
}

#[test]
#[ignore = "needs the sandbox"]
fn a_watch_that_slept_past_the_end_of_a_token_renews_it_as_soon_as_it_wakes() {
    let made = Namespaces::made(&["sleep"]);
    let folder = tempfile::tempdir().unwrap();
    let _lives = Lives::of(SHORT);
    let own = [("HYBRID_CACHE_DIR", folder.path())];
    let watch = Watch::begun(&[made.name(0)], &own);
    living(made.name(0));
    watch.signal(Signal::STOP);
    let last = password(made.name(0), HOST).unwrap();
    until("the end of the token", || (!is_alive(&last)).then_some(()));
    assert_eq!(password(made.name(0), HOST).as_ref(), Some(&last));
    watch.signal(Signal::CONT);
    let woken = Instant::now();
    living(made.name(0));
    let after = woken.elapsed();
    assert!(after < Duration::from_secs(5), "after {after:?}");
}

/// A clock on the wall that goes forward while no time passes, as after a suspend.
struct Suspended {
    library: String,
    offset: PathBuf,
}

impl Suspended {
    fn in_folder(folder: &Path) -> Self {
        let program = std::env::var("HYBRID_TEST_FAKETIME").expect("`cargo sandbox test` says");
        // It knows where its library is, the one for programs of several threads.
        let words = ["-m", "-f", "+0", "printenv", "LD_PRELOAD"];
        let said = Said::of(Command::new(program).args(words)).succeeds();
        let suspended = Self {
            library: said.stdout.trim().to_owned(),
            offset: folder.join("offset"),
        };
        suspended.lasted("+0");
        suspended
    }

    fn lasted(&self, offset: &str) {
        let beside = self.offset.with_extension("part");
        fs::write(&beside, offset).unwrap();
        fs::rename(beside, &self.offset).unwrap();
    }

    fn environment(&self) -> [(&str, &Path); 4] {
        [
            ("LD_PRELOAD", Path::new(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", &self.offset),
            ("FAKETIME_NO_CACHE", Path::new("1")),
            ("FAKETIME_DONT_FAKE_MONOTONIC", Path::new("1")),
        ]
    }
}

#[test]
#[ignore = "needs the sandbox and faketime"]
fn a_watch_whose_computer_was_suspended_renews_what_is_due_by_the_clock_on_the_wall() {
    let made = Namespaces::made(&["suspend"]);
    let folder = tempfile::tempdir().unwrap();
    let suspended = Suspended::in_folder(folder.path());
    let own = [("HYBRID_CACHE_DIR", folder.path())];
    let environment = [&own[..], &suspended.environment()].concat();
    let _watch = Watch::begun(&[made.name(0)], &environment);
    let first = living(made.name(0));
    // Half of twelve hours is six.
    suspended.lasted("+7h");
    let woken = Instant::now();
    let second = until("another token", || {
        password(made.name(0), HOST).filter(|token| *token != first)
    });
    // The clock is looked at every fifteen seconds.
    let after = woken.elapsed();
    assert!(after < Duration::from_secs(30), "after {after:?}");
    assert!(is_alive(&second));
}

#[test]
#[ignore = "needs the sandbox"]
fn a_watch_that_is_offline_when_its_token_is_due_leaves_it_there_and_goes_on_later() {
    let made = Namespaces::made(&["offline"]);
    let folder = tempfile::tempdir().unwrap();
    let way = Way::to_the_api_server();
    let kubeconfig = way.kubeconfig(folder.path());
    let _lives = Lives::of(SHORT);
    let environment = [
        ("KUBECONFIG", kubeconfig.as_path()),
        ("HYBRID_CACHE_DIR", folder.path()),
    ];
    let watch = Watch::begun(&[made.name(0)], &environment);
    living(made.name(0));
    front().fail_spec("ecr:GetAuthorizationToken=503").unwrap();
    way.cut();
    let last = password(made.name(0), HOST).unwrap();
    until("a word about the API server", || {
        watch.has_said("is tried again").then_some(())
    });
    way.open();
    until("a word about AWS", || {
        let told = watch.has_said("what is there serves until it expires");
        told.then_some(())
    });
    assert_eq!(password(made.name(0), HOST).as_ref(), Some(&last));
    front().clear().unwrap();
    let next = until("another token", || {
        password(made.name(0), HOST).filter(|token| *token != last)
    });
    assert!(is_alive(&next));
}
