//! The supervisor's side of its socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::protocol::{Event, PROTOCOL, Request};
use super::table::Table;
use super::{start, stop};

/// Answers until it is asked to shut down; then all parts are stopped.
pub(super) fn serve(listener: &UnixListener, table: &Arc<Table>) {
    // One change at a time: a second `up` waits until the first one is done.
    let changing = Arc::new(Mutex::new(()));
    let (end, ended) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let accepting = listener.try_clone();
        let Ok(accepting) = accepting else { return };
        let table = Arc::clone(table);
        scope.spawn(move || {
            for stream in accepting.incoming().flatten() {
                let (table, changing, end) =
                    (Arc::clone(&table), Arc::clone(&changing), end.clone());
                thread::spawn(move || {
                    if let Ok(true) = answer(stream, &table, &changing) {
                        let _ = end.send(());
                    }
                });
            }
        });
        // The process ends here and takes the thread that accepts with it.
        let _ = ended.recv();
        std::process::exit(0);
    });
}

/// Answers one request. True: the machine is to end.
fn answer(stream: UnixStream, table: &Table, changing: &Mutex<()>) -> io::Result<bool> {
    let mut line = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut line)?;
    let out = Mutex::new(stream);
    // Work goes on when the client goes away in the middle.
    let say = |event: Event| {
        let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(mut line) = serde_json::to_vec(&event) {
            line.push(b'\n');
            let _ = out.write_all(&line);
        }
    };
    say(Event::Hello { protocol: PROTOCOL });
    let request = serde_json::from_str(&line).map_err(io::Error::other)?;
    let mut ends = false;
    match request {
        Request::Status => say(Event::Status(table.statuses())),
        Request::Start(specs) => {
            let _one = changing.lock().unwrap_or_else(PoisonError::into_inner);
            start::start(table, &specs, &say);
        }
        Request::Stop(names) => {
            let _one = changing.lock().unwrap_or_else(PoisonError::into_inner);
            for name in names {
                stop::stop_one(table, &name, &say);
            }
        }
        Request::Shutdown => {
            let _one = changing.lock().unwrap_or_else(PoisonError::into_inner);
            stop::stop_all(table, &say);
            ends = true;
        }
    }
    say(Event::Done);
    Ok(ends)
}
