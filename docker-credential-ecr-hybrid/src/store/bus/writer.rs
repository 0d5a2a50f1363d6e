//! Values as D-Bus writes them: one behind the other, each aligned to its kind, little-endian.

use zeroize::Zeroizing;

/// The first room, in bytes.
const ROOM: usize = 512;

/// Writes values.
///
/// They may hold a token: the buffer is wiped when it is dropped, and leaves no copy behind when it
/// grows.
#[derive(Default)]
pub(in crate::store) struct Writer {
    bytes: Zeroizing<Vec<u8>>,
}

impl Writer {
    /// What was written so far.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds bytes as they are.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let needed = self.bytes.len().saturating_add(bytes.len());
        if needed > self.bytes.capacity() {
            let room = needed.saturating_mul(2).max(ROOM);
            let mut larger = Zeroizing::new(Vec::with_capacity(room));
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn align(&mut self, to: usize) {
        let end = self.bytes.len();
        let padding = end.next_multiple_of(to) - end;
        self.put(&[0; 8][..padding]);
    }

    /// A `BYTE`.
    pub(in crate::store) fn byte(&mut self, value: u8) {
        self.put(&[value]);
    }

    /// A `UINT32`.
    pub(in crate::store) fn number(&mut self, value: u32) {
        self.align(4);
        self.put(&value.to_le_bytes());
    }

    /// A `BOOLEAN`.
    pub(in crate::store) fn flag(&mut self, value: bool) {
        self.number(u32::from(value));
    }

    /// A `STRING` or an `OBJECT_PATH`.
    pub(in crate::store) fn text(&mut self, value: &str) {
        self.number(length(value.len()));
        self.put(value.as_bytes());
        self.byte(0);
    }

    /// A `SIGNATURE`. It is one of this client's own, none of which is near the limit of 255 bytes.
    /// Followed by a value of that type, it makes a `VARIANT`.
    pub(in crate::store) fn signature(&mut self, value: &str) {
        self.byte(u8::try_from(value.len()).unwrap_or(u8::MAX));
        self.put(value.as_bytes());
        self.byte(0);
    }

    /// An `ARRAY` of `BYTE`.
    pub(in crate::store) fn blob(&mut self, value: &[u8]) {
        self.number(length(value.len()));
        self.put(value);
    }

    /// Where a `STRUCT` or a `DICT_ENTRY` begins.
    pub(in crate::store) fn structure(&mut self) {
        self.align(8);
    }

    /// An `ARRAY` of elements with this alignment.
    pub(in crate::store) fn array(&mut self, alignment: usize, elements: impl FnOnce(&mut Self)) {
        self.number(0);
        let behind_length = self.bytes.len();
        self.align(alignment);
        let start = self.bytes.len();
        elements(self);
        // Without the padding before the first element.
        let size = length(self.bytes.len() - start);
        self.bytes[behind_length - 4..behind_length].copy_from_slice(&size.to_le_bytes());
    }

    /// An `ARRAY` of `DICT_ENTRY` of `STRING` and `STRING`.
    pub(in crate::store) fn dictionary(&mut self, entries: &[(&str, &str)]) {
        self.array(8, |elements| {
            for (name, value) in entries {
                elements.structure();
                elements.text(name);
                elements.text(value);
            }
        });
    }
}

/// A length as it is written. What is longer than that is never sent: no message may be as large.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
