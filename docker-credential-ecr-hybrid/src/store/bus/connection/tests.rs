//! Against a bus that does as it is told, which no real one does.

use std::io::BufRead as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::super::fake::{LET_IN, Said};
use super::*;

fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(200))
}

fn later() -> Deadline {
    Deadline::after(Duration::from_mins(1))
}

/// A bus that says some words when a client introduces itself, more when it has heard something, and
/// then waits until the client leaves.
fn bus(at: &Path, first: &[u8], then: &[u8]) -> JoinHandle<Vec<u8>> {
    let listener = UnixListener::bind(at).unwrap();
    let (first, then) = (first.to_vec(), then.to_vec());
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut heard = Vec::new();
        let mut reader = io::BufReader::new(client.try_clone().unwrap());
        reader.read_until(b'\n', &mut heard).unwrap();
        // A client that has enough may have left.
        let _ = client.write_all(&first);
        if reader.fill_buf().is_ok_and(|more| !more.is_empty()) {
            let _ = client.write_all(&then);
        }
        let _ = reader.read_to_end(&mut heard);
        heard
    })
}

fn open(at: &Path, deadline: Deadline) -> Result<Connection, BusError> {
    Connection::open(&[Address::Path(at.to_owned())], deadline)
}

fn ping() -> Call<'static> {
    Call {
        destination: "a.b",
        path: "/a",
        interface: "a.b",
        member: "Ping",
        ..Call::default()
    }
}

/// What the first call comes to on such a bus.
fn called(first: &[u8], then: &[u8], deadline: Deadline) -> Result<Answer, CallError> {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("bus");
    let bus = bus(&place, first, then);
    let result = open(&place, deadline)
        .map_err(CallError::from)
        .and_then(|mut connection| {
            let call = connection.call(&ping())?;
            connection.answer(call)
        });
    bus.join().unwrap();
    result
}

#[test]
fn answers_are_taken_in_any_order_and_what_nobody_asked_for_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("bus");
    let messages = [
        Said::text(":1.7").to(1),
        Said::signal().to(2),
        Said::text("another's").to(99),
        Said::error("a.b.Error", "why").to(3),
        Said::text("one").to(2),
        // Twice.
        Said::text("two").to(2),
    ];
    let bus = bus(&place, LET_IN, &messages.concat());
    let mut connection = open(&place, later()).unwrap();
    let one = connection.call(&ping()).unwrap();
    let two = connection.call(&ping()).unwrap();
    let answer = connection.answer(one).ok().unwrap();
    assert_eq!(answer.values("s").unwrap().text(), Ok("one"));
    let Err(CallError::Refused(refusal)) = connection.answer(two) else {
        panic!("the second call was refused");
    };
    assert_eq!(
        (refusal.name.as_str(), refusal.text.as_str()),
        ("a.b.Error", "why")
    );
    assert!(connection.arrived.is_empty() && connection.awaited.is_empty());
    drop(connection);
    let heard = bus.join().unwrap();
    assert!(heard.starts_with(b"\0AUTH EXTERNAL 3"));
    let count = |what: &[u8]| {
        heard
            .windows(what.len())
            .filter(|part| *part == what)
            .count()
    };
    assert_eq!(
        (count(b"BEGIN\r\nl\x01"), count(b"Hello"), count(b"Ping")),
        (1, 1, 2)
    );
}

#[test]
fn an_answer_that_comes_in_pieces_is_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("bus");
    let long = "x".repeat(100_000);
    let listener = UnixListener::bind(&place).unwrap();
    let message = Said::text(&long).to(2);
    let bus = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        for byte in LET_IN {
            client.write_all(&[*byte]).unwrap();
        }
        for piece in message.chunks(4099) {
            client.write_all(piece).unwrap();
        }
        let _ = client.read_to_end(&mut Vec::new());
    });
    let mut connection = open(&place, later()).unwrap();
    let call = connection.call(&ping()).unwrap();
    let answer = connection.answer(call).ok().unwrap();
    assert_eq!(answer.values("s").unwrap().text(), Ok(long.as_str()));
    drop(connection);
    bus.join().unwrap();
}

#[test]
fn a_bus_that_is_no_use_is_told_from_one_that_says_nothing() {
    type Expected = fn(&BusError) -> bool;
    let large = [
        b"l\x02\x01\x01".as_slice(),
        &u32::MAX.to_le_bytes(),
        &[0; 8],
    ]
    .concat();
    let garbage = b"<html>400 Bad Request</html>".repeat(9);
    let half = &Said::text("half").to(2)[..40];
    let rows: [(&[u8], &[u8], Expected); 8] = [
        (b"", b"", |error| matches!(error, BusError::TimedOut)),
        (LET_IN, b"", |error| matches!(error, BusError::TimedOut)),
        (LET_IN, half, |error| matches!(error, BusError::TimedOut)),
        (b"OK 12", b"", |error| matches!(error, BusError::TimedOut)),
        (b"REJECTED\r\n", b"", |error| {
            matches!(error, BusError::NotLetIn)
        }),
        (b"HTTP/1.1 400\r\n", b"", |error| {
            matches!(error, BusError::Malformed)
        }),
        (LET_IN, &garbage, |error| {
            matches!(error, BusError::Malformed)
        }),
        (LET_IN, &large, |error| matches!(error, BusError::TooLarge)),
    ];
    for (row, (first, then, expected)) in rows.into_iter().enumerate() {
        let begun = Instant::now();
        let Err(CallError::Bus(error)) = called(first, then, soon()) else {
            panic!("row {row} gave an answer");
        };
        assert!(expected(&error), "row {row}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(10), "row {row}");
    }
}

#[test]
fn a_bus_that_hangs_up_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("bus");
    let listener = UnixListener::bind(&place).unwrap();
    let bus = thread::spawn(move || drop(listener.accept().unwrap()));
    let error = open(&place, later()).err().unwrap();
    assert!(matches!(error, BusError::HungUp), "{error}");
    bus.join().unwrap();
}

#[test]
fn the_first_address_where_someone_listens_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("bus");
    let left = folder.path().join("left");
    drop(UnixListener::bind(&left).unwrap());
    let long = Address::Path("/long".repeat(50).into());
    let absent = Address::Path(folder.path().join("absent"));
    let name = Address::Abstract(format!("{}-absent", place.display()).into_bytes());
    let bad = [Address::Path(left), long, absent, name];
    let error = Connection::open(&bad, later()).err().unwrap();
    assert!(matches!(error, BusError::Absent), "{error}");
    let error = Connection::open(&[], later()).err().unwrap();
    assert!(matches!(error, BusError::Address), "{error}");
    let bus = bus(&place, LET_IN, b"");
    let mut addresses = bad.to_vec();
    addresses.push(Address::Path(place));
    assert!(Connection::open(&addresses, later()).is_ok());
    bus.join().unwrap();
}

#[test]
fn a_bus_in_the_abstract_is_found_by_its_name() {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::SocketAddr;

    let name = format!("ecr-hybrid-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let bus = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.write_all(LET_IN).unwrap();
        let _ = client.read_to_end(&mut Vec::new());
    });
    let connection = Connection::open(&[Address::Abstract(name.into_bytes())], later());
    assert!(connection.is_ok());
    drop(connection);
    bus.join().unwrap();
}

#[test]
fn a_bus_that_takes_no_more_clients_is_not_waited_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("bus");
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    );
    let socket = socket.unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(&place).unwrap()).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    // It has one in its queue, and accepts none.
    let _waiting = UnixStream::connect(&place).unwrap();
    let error = open(&place, soon()).err().unwrap();
    assert!(matches!(error, BusError::TimedOut), "{error}");
}
