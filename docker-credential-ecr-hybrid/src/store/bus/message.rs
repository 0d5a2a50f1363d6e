//! Messages: the calls that are sent, and what comes back.

use zeroize::Zeroizing;

use super::error::{BusError, Refusal};
use super::reader::{Malformed, Order, Reader};
use super::writer::Writer;

/// The largest message that is sent or read, in bytes: far more than a token of 8 KiB needs, or the
/// names of all tokens that a user can have. D-Bus itself would allow 128 MiB.
pub(super) const LARGEST: usize = 256 * 1024;

/// How many bytes tell the length of a message.
pub(super) const START: usize = 16;

/// The protocol's version.
const VERSION: u8 = 1;

// Kinds of message.
const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;

// Fields of a header.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// A call of a method.
#[derive(Default)]
pub(in crate::store) struct Call<'a> {
    /// Whose object it is, by its name on the bus. If nobody has the name, the bus starts who should.
    pub(in crate::store) destination: &'a str,
    /// The object.
    pub(in crate::store) path: &'a str,
    /// The interface that has the method.
    pub(in crate::store) interface: &'a str,
    /// The method.
    pub(in crate::store) member: &'a str,
    /// The types of the arguments.
    pub(in crate::store) signature: &'a str,
    /// The arguments.
    pub(in crate::store) arguments: Writer,
}

impl Call<'_> {
    /// The call as a message.
    pub(super) fn message(&self, serial: u32) -> Result<Writer, BusError> {
        let arguments = self.arguments.bytes();
        let size = u32::try_from(arguments.len()).map_err(|_| BusError::TooLarge)?;
        let mut message = Writer::default();
        message.byte(b'l');
        message.byte(CALL);
        // No flags: an answer is wanted, and who is not running may be started.
        message.byte(0);
        message.byte(VERSION);
        message.number(size);
        message.number(serial);
        message.array(8, |fields| {
            let texts = [
                (PATH, "o", self.path),
                (INTERFACE, "s", self.interface),
                (MEMBER, "s", self.member),
                (DESTINATION, "s", self.destination),
            ];
            for (code, kind, value) in texts {
                fields.structure();
                fields.byte(code);
                fields.signature(kind);
                fields.text(value);
            }
            if !self.signature.is_empty() {
                fields.structure();
                fields.byte(SIGNATURE);
                fields.signature("g");
                fields.signature(self.signature);
            }
        });
        message.structure();
        message.put(arguments);
        if message.bytes().len() > LARGEST {
            return Err(BusError::TooLarge);
        }
        Ok(message)
    }
}

/// The values that a method returned.
pub(in crate::store) struct Answer {
    signature: String,
    order: Order,
    /// May hold a token.
    values: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// The values, if they are of these types.
    pub(in crate::store) fn values(&self, signature: &str) -> Result<Reader<'_>, Malformed> {
        if self.signature == signature {
            Ok(Reader::new(&self.values, self.order))
        } else {
            Err(Malformed)
        }
    }

    fn refusal(&self, name: &str) -> Refusal {
        let is_text = self.signature.starts_with('s');
        let text = Reader::new(&self.values, self.order).text();
        Refusal {
            name: name.to_owned(),
            text: text.ok().filter(|_| is_text).unwrap_or_default().to_owned(),
        }
    }
}

/// A message that answers a call.
pub(super) struct Reply {
    /// The serial of the call.
    pub(super) to: u32,
    /// What it came to.
    pub(super) result: Result<Answer, Refusal>,
}

/// The length of a message whose first bytes these are.
pub(super) fn length(start: &[u8]) -> Result<usize, BusError> {
    let mut reader = Reader::new(start, order(start)?);
    reader.skip("yyy")?;
    if reader.byte()? != VERSION {
        return Err(BusError::Malformed);
    }
    let body = reader.number()?;
    reader.skip("u")?;
    let fields = reader.number()?;
    // No header or body is near the largest number, and so no sum can go beyond it.
    let header = u64::from(fields).next_multiple_of(8);
    usize::try_from(START as u64 + header + u64::from(body))
        .ok()
        .filter(|length| *length <= LARGEST)
        .ok_or(BusError::TooLarge)
}

/// Reads a message; `None` if it answers nothing.
pub(super) fn read(message: &[u8]) -> Result<Option<Reply>, Malformed> {
    let order = order(message)?;
    let mut reader = Reader::new(message, order);
    reader.skip("y")?;
    let kind = reader.byte()?;
    reader.skip("yyuu")?;
    let mut fields = reader.array(8)?;
    let (mut to, mut name, mut signature) = (None, None, "");
    while !fields.is_at_end() {
        fields.structure()?;
        match (fields.byte()?, fields.signature()?) {
            (REPLY_SERIAL, "u") => to = Some(fields.number()?),
            (ERROR_NAME, "s") => name = Some(fields.text()?),
            (SIGNATURE, "g") => signature = fields.signature()?,
            (_, kind) => fields.skip(kind)?,
        }
    }
    reader.structure()?;
    let answer = Answer {
        signature: signature.to_owned(),
        order,
        values: Zeroizing::new(reader.rest().to_vec()),
    };
    let result = match (kind, name) {
        (RETURN, _) => Ok(answer),
        (ERROR, Some(name)) => Err(answer.refusal(name)),
        // Signals, and calls to this client, which has no methods.
        _ => return Ok(None),
    };
    Ok(to.map(|to| Reply { to, result }))
}

fn order(message: &[u8]) -> Result<Order, Malformed> {
    match message.first() {
        Some(b'l') => Ok(Order::Little),
        Some(b'B') => Ok(Order::Big),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fake::Said;
    use super::*;

    #[test]
    fn a_call_is_written_as_the_specification_has_it() {
        let mut arguments = Writer::default();
        arguments.text("x");
        let call = Call {
            destination: "d.d",
            path: "/p",
            interface: "i.i",
            member: "M",
            signature: "s",
            arguments,
        };
        let message = call.message(3).unwrap();
        let expected = [
            b"l\x01\x00\x01\x06\0\0\0\x03\0\0\0\x47\0\0\0".as_slice(),
            b"\x01\x01o\0\x02\0\0\0/p\0\0\0\0\0\0",
            b"\x02\x01s\0\x03\0\0\0i.i\0\0\0\0\0",
            b"\x03\x01s\0\x01\0\0\0M\0\0\0\0\0\0\0",
            b"\x06\x01s\0\x03\0\0\0d.d\0\0\0\0\0",
            b"\x08\x01g\0\x01s\0\0",
            b"\x01\0\0\0x\0",
        ];
        assert_eq!(message.bytes(), expected.concat());
        assert_eq!(length(message.bytes()).ok(), Some(message.bytes().len()));
        // It answers nothing.
        assert!(read(message.bytes()).unwrap().is_none());
    }

    #[test]
    fn an_answer_is_read_only_as_what_it_is() {
        let reply = read(&Said::text("yes").to(5)).unwrap().unwrap();
        assert_eq!(reply.to, 5);
        let answer = reply.result.ok().unwrap();
        assert_eq!(answer.values("s").unwrap().text(), Ok("yes"));
        assert!(answer.values("o").is_err());
    }

    #[test]
    fn an_error_keeps_its_name_and_its_text() {
        for text in ["why", ""] {
            let message = Said::error("a.b.Error", text).to(5);
            let reply = read(&message).unwrap().unwrap();
            let refusal = reply.result.err().unwrap();
            assert_eq!(refusal.name, "a.b.Error");
            assert_eq!(refusal.text, text);
        }
    }

    #[test]
    fn what_answers_nothing_is_no_reply() {
        assert!(read(&Said::signal().to(5)).unwrap().is_none());
    }

    #[test]
    fn a_message_that_is_too_large_or_of_another_protocol_is_refused() {
        let good = Said::text("yes").to(5);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            length(&bytes[..START])
        };
        assert!(length(&good[..START]).is_ok());
        assert!(matches!(with(0, b'x'), Err(BusError::Malformed)));
        assert!(matches!(with(3, 2), Err(BusError::Malformed)));
        assert!(matches!(with(6, 4), Err(BusError::TooLarge)));
        assert!(matches!(with(7, 0xff), Err(BusError::TooLarge)));
        assert!(matches!(with(15, 0xff), Err(BusError::TooLarge)));
        let mut arguments = Writer::default();
        arguments.blob(&vec![0; LARGEST]);
        let call = Call {
            arguments,
            ..Call::default()
        };
        assert!(matches!(call.message(1), Err(BusError::TooLarge)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = length(&bytes);
            let _ = read(&bytes);
        }

        #[test]
        fn no_damage_to_a_message_makes_a_panic(
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
            is_error in any::<bool>(),
        ) {
            let said = if is_error { Said::error("a.b.Error", "why") } else { Said::text("yes") };
            let mut bytes = said.to(5);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = length(&bytes);
            let _ = read(&bytes);
            let _ = read(&bytes[..cut.index(bytes.len())]);
        }
    }
}
