//! A connection to a bus: calls go out together, and their answers are taken in any order.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::geteuid;

use super::address::Address;
use super::authentication;
use super::deadline::Deadline;
use super::error::{BusError, CallError, Refusal};
use super::incoming::Incoming;
use super::message::{self, Answer, Call};
use super::writer::Writer;

/// A connection to a bus. Every wait ends at its deadline.
pub(in crate::store) struct Connection {
    socket: UnixStream,
    deadline: Deadline,
    /// What is to be sent when next an answer is waited for.
    outgoing: Writer,
    incoming: Incoming,
    last_serial: u32,
    /// The calls whose answers have not come.
    awaited: Vec<u32>,
    /// The answers that nobody has taken.
    arrived: Vec<(u32, Result<Answer, Refusal>)>,
}

/// A call whose answer was not taken.
pub(in crate::store) struct Pending(u32);

impl Connection {
    /// Connects to the first of these addresses where someone listens, and says who this is.
    pub(in crate::store) fn open(
        addresses: &[Address],
        deadline: Deadline,
    ) -> Result<Self, BusError> {
        let mut connection = Self {
            socket: connect_to_first(addresses, deadline)?,
            deadline,
            outgoing: Writer::default(),
            incoming: Incoming::new(),
            last_serial: 0,
            awaited: Vec::new(),
            arrived: Vec::new(),
        };
        connection.authenticate()?;
        // A bus wants this call first. Its answer, this client's name, is of no use.
        connection.queue(&Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
            ..Call::default()
        })?;
        Ok(connection)
    }

    /// Sets how long what follows may take.
    pub(in crate::store) fn set_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    /// Calls a method. The call is sent with all others once an answer is waited for.
    pub(in crate::store) fn call(&mut self, call: &Call<'_>) -> Result<Pending, BusError> {
        let serial = self.queue(call)?;
        self.awaited.push(serial);
        Ok(Pending(serial))
    }

    /// Waits for the answer to a call.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "An answer can be taken once."
    )]
    pub(in crate::store) fn answer(&mut self, call: Pending) -> Result<Answer, CallError> {
        let Pending(serial) = call;
        self.send()?;
        loop {
            if let Some(at) = self.arrived.iter().position(|(of, _)| *of == serial) {
                return self.arrived.swap_remove(at).1.map_err(CallError::Refused);
            }
            self.receive()?;
        }
    }

    fn queue(&mut self, call: &Call<'_>) -> Result<u32, BusError> {
        // Zero is no serial.
        self.last_serial = self.last_serial.wrapping_add(1).max(1);
        let message = call.message(self.last_serial)?;
        self.outgoing.put(message.bytes());
        Ok(self.last_serial)
    }

    fn authenticate(&mut self) -> Result<(), BusError> {
        let opening = authentication::opening(geteuid().as_raw());
        self.outgoing.put(opening.as_bytes());
        self.send()?;
        let line = loop {
            if let Some(line) = authentication::accepted(self.incoming.bytes())? {
                break line;
            }
            self.fill(self.incoming.bytes().len() + 1)?;
        };
        self.incoming.forget(line);
        // Not sent before the answer, though most buses would take that: some proxies do not.
        self.outgoing.put(authentication::BEGIN);
        Ok(())
    }

    fn send(&mut self) -> Result<(), BusError> {
        let outgoing = std::mem::take(&mut self.outgoing);
        let mut bytes = outgoing.bytes();
        while !bytes.is_empty() {
            let left = self.deadline.left()?;
            self.socket.set_write_timeout(Some(left)).map_err(failed)?;
            match self.socket.write(bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// Reads until there are at least this many bytes.
    fn fill(&mut self, wanted: usize) -> Result<(), BusError> {
        while self.incoming.bytes().len() < wanted {
            let left = self.deadline.left()?;
            self.socket.set_read_timeout(Some(left)).map_err(failed)?;
            match self.socket.read(self.incoming.room(wanted)) {
                Ok(0) => return Err(BusError::HungUp),
                Ok(count) => self.incoming.came(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// Reads one message. What nobody waits for is passed over.
    fn receive(&mut self) -> Result<(), BusError> {
        self.fill(message::START)?;
        let length = message::length(self.incoming.bytes())?;
        self.fill(length)?;
        let reply = message::read(&self.incoming.bytes()[..length])?;
        self.incoming.forget(length);
        if let Some(reply) = reply
            && let Some(at) = self.awaited.iter().position(|serial| *serial == reply.to)
        {
            self.awaited.swap_remove(at);
            self.arrived.push((reply.to, reply.result));
        }
        Ok(())
    }
}

fn connect_to_first(addresses: &[Address], deadline: Deadline) -> Result<UnixStream, BusError> {
    let mut result = Err(BusError::Address);
    for address in addresses {
        result = connect_to(address, deadline);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// The standard library would connect without a limit, and wait where a bus takes no more clients.
fn connect_to(address: &Address, deadline: Deadline) -> Result<UnixStream, BusError> {
    let connected = || -> Result<UnixStream, Errno> {
        let place = match address {
            Address::Path(path) => SocketAddrUnix::new(path)?,
            Address::Abstract(name) => SocketAddrUnix::new_abstract_name(name)?,
        };
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let left = deadline.left().map_err(|_| Errno::AGAIN)?;
        set_socket_timeout(&socket, Timeout::Send, Some(left))?;
        retry_on_intr(|| connect(&socket, &place))?;
        Ok(socket.into())
    };
    connected().map_err(|errno| failed(errno.into()))
}

fn failed(error: io::Error) -> BusError {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => BusError::TimedOut,
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::ConnectionRefused => {
            BusError::Absent
        }
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => BusError::HungUp,
        _ => BusError::Socket(error),
    }
}

#[cfg(test)]
mod tests;
