//! How a client says who it is: `EXTERNAL`, which means that the bus asks the kernel.

use std::fmt::Write as _;

use super::error::BusError;

/// Ends the part of the conversation that is lines of text.
pub(super) const BEGIN: &[u8] = b"BEGIN\r\n";

/// What ends a line.
const END: &[u8] = b"\r\n";

/// No line of a bus is longer than this.
const LONGEST: usize = 1024;

/// What a client says first. The number of the user is text, and that text in hexadecimal digits.
pub(super) fn opening(user: u32) -> String {
    let mut opening = "\0AUTH EXTERNAL ".to_owned();
    for digit in user.to_string().bytes() {
        let _ = write!(opening, "{digit:02x}");
    }
    opening.push_str("\r\n");
    opening
}

/// What the bus makes of it: the length of its line, or `None` if that is not complete.
pub(super) fn accepted(bytes: &[u8]) -> Result<Option<usize>, BusError> {
    let Some(length) = bytes.windows(END.len()).position(|window| window == END) else {
        return if bytes.len() > LONGEST {
            Err(BusError::Malformed)
        } else {
            Ok(None)
        };
    };
    match &bytes[..length] {
        line if line == b"OK" || line.starts_with(b"OK ") => Ok(Some(length + END.len())),
        line if line.starts_with(b"REJECTED") => Err(BusError::NotLetIn),
        _ => Err(BusError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_named_by_the_digits_of_its_number() {
        assert_eq!(opening(1000), "\0AUTH EXTERNAL 31303030\r\n");
        assert_eq!(opening(0), "\0AUTH EXTERNAL 30\r\n");
    }

    #[test]
    fn only_a_whole_ok_lets_in() {
        assert!(matches!(
            accepted(b"OK 1234deadbeef\r\nl\x01"),
            Ok(Some(17))
        ));
        assert!(matches!(accepted(b"OK\r\n"), Ok(Some(4))));
        for partly in [b"".as_slice(), b"OK 12", b"OK 12\r", b"REJ"] {
            assert!(matches!(accepted(partly), Ok(None)));
        }
        assert!(matches!(
            accepted(b"REJECTED EXTERNAL\r\n"),
            Err(BusError::NotLetIn)
        ));
        for wrong in [b"OKAY\r\n".as_slice(), b"\r\n", b"HTTP/1.1 400\r\n"] {
            assert!(matches!(accepted(wrong), Err(BusError::Malformed)));
        }
        assert!(matches!(accepted(&[b'x'; 2000]), Err(BusError::Malformed)));
    }
}
