//! A way to a server on which the bytes are counted that a client sends.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// The way. It stays for as long as this process runs.
pub(super) struct Relay {
    port: u16,
    asked: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
}

impl Relay {
    /// A way to a port of this machine.
    pub(super) fn to(server: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let relay = Self {
            port: listener.local_addr()?.port(),
            asked: Arc::default(),
            answered: Arc::default(),
        };
        let (asked, answered) = (Arc::clone(&relay.asked), Arc::clone(&relay.answered));
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // A client that finds nobody behind it sees its connection end.
                let _ = join(&near, server, &asked, &answered);
            }
        });
        Ok(relay)
    }

    /// Its own port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// How many bytes clients have sent so far.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// How many bytes the server has sent so far.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }
}

fn join(
    near: &TcpStream,
    server: u16,
    asked: &Arc<AtomicU64>,
    answered: &Arc<AtomicU64>,
) -> io::Result<()> {
    let far = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
    for (from, to, count) in [(near, &far, asked), (&far, near, answered)] {
        let (from, to, count) = (from.try_clone()?, to.try_clone()?, Arc::clone(count));
        thread::spawn(move || {
            // It ends when either side does.
            let _ = carry(&from, &to, &count);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}

fn carry(mut from: &TcpStream, mut to: &TcpStream, count: &AtomicU64) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        count.fetch_add(read as u64, Ordering::SeqCst);
        to.write_all(&buffer[..read])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_are_counted_and_an_end_is_passed_on() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = String::new();
            stream.read_to_string(&mut question).unwrap();
            stream.write_all(b"an answer").unwrap();
            question
        });
        let relay = Relay::to(port).unwrap();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port())).unwrap();
        client.write_all(b"a question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(
            (answer.as_str(), server.join().unwrap().as_str()),
            ("an answer", "a question")
        );
        assert_eq!((relay.asked(), relay.answered()), (10, 9));
    }
}
