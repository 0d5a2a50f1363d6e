//! What someone else sends, and a bus that says it: for faults that no real bus has.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread::{self, JoinHandle};

use super::message;
use super::reader::{Order, Reader};
use super::writer::Writer;

const RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

/// What a bus says to a user whom it lets in.
pub(in crate::store) const LET_IN: &[u8] = b"OK 0123456789abcdef\r\n";

/// What is answered to a call.
pub(in crate::store) struct Said {
    kind: u8,
    error: &'static str,
    signature: &'static str,
    values: Vec<u8>,
}

impl Said {
    pub(in crate::store) fn values(
        signature: &'static str,
        write: impl FnOnce(&mut Writer),
    ) -> Self {
        let mut values = Writer::default();
        write(&mut values);
        Self {
            kind: RETURN,
            error: "",
            signature,
            values: values.bytes().to_vec(),
        }
    }

    pub(in crate::store) fn text(text: &str) -> Self {
        Self::values("s", |values| values.text(text))
    }

    pub(in crate::store) fn error(error: &'static str, text: &str) -> Self {
        Self {
            kind: ERROR,
            error,
            ..Self::text(text)
        }
    }

    pub(in crate::store) fn signal() -> Self {
        Self {
            kind: SIGNAL,
            ..Self::text("a signal")
        }
    }

    /// As a message, in answer to the call of this serial.
    pub(in crate::store) fn to(&self, serial: u32) -> Vec<u8> {
        let mut message = Writer::default();
        for byte in [b'l', self.kind, 1, 1] {
            message.byte(byte);
        }
        message.number(u32::try_from(self.values.len()).unwrap());
        message.number(9);
        message.array(8, |fields| {
            // A field that nobody knows.
            fields.structure();
            fields.byte(200);
            fields.signature("a{ss}");
            fields.dictionary(&[("x", "y")]);
            fields.structure();
            fields.byte(5);
            fields.signature("u");
            fields.number(serial);
            if self.kind == ERROR {
                fields.structure();
                fields.byte(4);
                fields.signature("s");
                fields.text(self.error);
            }
            if !self.signature.is_empty() {
                fields.structure();
                fields.byte(8);
                fields.signature("g");
                fields.signature(self.signature);
            }
        });
        message.structure();
        message.put(&self.values);
        message.bytes().to_vec()
    }
}

/// A bus with one client, which answers calls by their method until the client leaves. It gives back
/// what was called.
pub(in crate::store) fn answering(
    at: &Path,
    answer: impl Fn(&str) -> Option<Said> + Send + 'static,
) -> JoinHandle<Vec<String>> {
    let listener = UnixListener::bind(at).unwrap();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(client.try_clone().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        client.write_all(LET_IN).unwrap();
        line.clear();
        let mut called = Vec::new();
        if reader.read_line(&mut line).is_err() || line != "BEGIN\r\n" {
            return called;
        }
        let mut start = [0; message::START];
        while reader.read_exact(&mut start).is_ok() {
            let mut whole = vec![0; message::length(&start).unwrap()];
            whole[..start.len()].copy_from_slice(&start);
            reader.read_exact(&mut whole[start.len()..]).unwrap();
            let (serial, member) = call(&whole);
            if let Some(said) = answer(&member) {
                // A client that has enough may have left.
                let _ = client.write_all(&said.to(serial));
            }
            called.push(member);
        }
        called
    })
}

/// The serial and the method of a call.
fn call(message: &[u8]) -> (u32, String) {
    let mut reader = Reader::new(message, Order::Little);
    reader.skip("yyyyu").unwrap();
    let serial = reader.number().unwrap();
    let mut fields = reader.array(8).unwrap();
    loop {
        fields.structure().unwrap();
        let (code, kind) = (fields.byte().unwrap(), fields.signature().unwrap());
        if code == 3 {
            return (serial, fields.text().unwrap().to_owned());
        }
        fields.skip(kind).unwrap();
    }
}
