//! Where the session bus is.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use rustix::process::geteuid;

use crate::environment::Environment;

/// The socket of a bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Address {
    /// A file.
    Path(PathBuf),
    /// A name without a file, which only Linux has.
    Abstract(Vec<u8>),
}

/// The addresses of this user's session bus, to be tried in order: those of
/// `DBUS_SESSION_BUS_ADDRESS`, without it the socket `bus` in the user's runtime folder. There are
/// none if the variable names none that this client knows.
pub(in crate::store) fn session_bus(environment: &Environment) -> Vec<Address> {
    if let Some(list) = environment.var("DBUS_SESSION_BUS_ADDRESS") {
        return list.split(';').filter_map(parse).collect();
    }
    let folder = environment
        .path("XDG_RUNTIME_DIR")
        .unwrap_or_else(|| PathBuf::from(format!("/run/user/{}", geteuid().as_raw())));
    vec![Address::Path(folder.join("bus"))]
}

/// Reads an address such as `unix:path=/run/user/1000/bus,guid=…`.
fn parse(address: &str) -> Option<Address> {
    let mut found = None;
    for pair in address.strip_prefix("unix:")?.split(',') {
        let (key, value) = pair.split_once('=')?;
        let value = || unescape(value).filter(|value| !value.is_empty());
        let socket = match key {
            "path" => Address::Path(OsString::from_vec(value()?).into()),
            "abstract" => Address::Abstract(value()?),
            // Such as the bus's own number.
            _ => continue,
        };
        if found.replace(socket).is_some() {
            return None;
        }
    }
    found
}

/// Bytes may be written as `%` and two hexadecimal digits, and most of them must be.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => (digit(rest.next()?)? << 4) | digit(rest.next()?)?,
            byte => byte,
        });
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(path: &str) -> Address {
        Address::Path(path.into())
    }

    fn name(name: &[u8]) -> Address {
        Address::Abstract(name.to_vec())
    }

    #[test]
    fn addresses_are_read_in_order_and_nonsense_is_left_out() {
        let rows = [
            (
                "unix:path=/run/user/1000/bus",
                vec![path("/run/user/1000/bus")],
            ),
            ("unix:path=/b,guid=0123", vec![path("/b")]),
            ("unix:guid=0123,path=/b", vec![path("/b")]),
            (
                "unix:abstract=/tmp/dbus-x%2cy",
                vec![name(b"/tmp/dbus-x,y")],
            ),
            ("unix:path=/a%20b%C3%a9", vec![path("/a b\u{e9}")]),
            (
                "tcp:host=h,port=1;unix:path=/b;;unix:abstract=c;",
                vec![path("/b"), name(b"c")],
            ),
            ("disabled:", vec![]),
            ("autolaunch:", vec![]),
            ("unix:path", vec![]),
            ("unix:", vec![]),
            ("unix:path=", vec![]),
            ("unix:path=/a%2", vec![]),
            ("unix:path=/a%zz", vec![]),
            ("unix:path=/a,abstract=b", vec![]),
            ("unix:path=/a,path=/b", vec![]),
            ("unix:tmpdir=/tmp", vec![]),
            ("/run/user/1000/bus", vec![]),
            ("nonsense", vec![]),
        ];
        for (text, expected) in rows {
            let environment = Environment::given([
                ("DBUS_SESSION_BUS_ADDRESS", text),
                ("XDG_RUNTIME_DIR", "/never"),
            ]);
            assert_eq!(session_bus(&environment), expected, "{text}");
        }
    }

    #[test]
    fn without_an_address_the_bus_is_in_the_runtime_folder() {
        let environment = Environment::given([("XDG_RUNTIME_DIR", "/run/x")]);
        assert_eq!(session_bus(&environment), [path("/run/x/bus")]);
        let own = path(&format!("/run/user/{}/bus", geteuid().as_raw()));
        assert_eq!(session_bus(&Environment::given([])), [own]);
    }

    proptest! {
        #[test]
        fn no_address_makes_a_panic(text in "(unix:)?[a-z=,%;/\u{e9}0-9]{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn any_bytes_can_be_escaped(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            use std::fmt::Write as _;

            let mut text = String::new();
            for byte in &bytes {
                write!(text, "%{byte:02X}").unwrap();
            }
            prop_assert_eq!(unescape(&text), Some(bytes));
        }
    }
}
