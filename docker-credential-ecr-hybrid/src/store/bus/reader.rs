//! Values as D-Bus writes them, read from what someone else wrote: every length is doubted.

/// What was read is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Malformed;

/// Which byte of a number comes first. A sender chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The lowest.
    Little,
    /// The highest.
    Big,
}

/// How deep variants and structures that are skipped may be in each other. D-Bus allows 64.
const DEEPEST: usize = 64;

/// Reads values, one behind the other.
#[derive(Debug, Clone)]
pub(in crate::store) struct Reader<'a> {
    /// From a place that is aligned for everything, to the end of what may be read.
    bytes: &'a [u8],
    at: usize,
    order: Order,
}

impl<'a> Reader<'a> {
    /// Reads what begins at the beginning of a message or of its body.
    pub(super) fn new(bytes: &'a [u8], order: Order) -> Self {
        let at = 0;
        Self { bytes, at, order }
    }

    /// Whether everything was read.
    pub(in crate::store) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// What was not read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(count).ok_or(Malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn align(&mut self, to: usize) -> Result<(), Malformed> {
        let padding = self.at.next_multiple_of(to) - self.at;
        self.take(padding).map(drop)
    }

    /// A `BYTE`.
    pub(in crate::store) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    /// A `UINT32`.
    pub(in crate::store) fn number(&mut self) -> Result<u32, Malformed> {
        self.align(4)?;
        let bytes = self.take(4)?.try_into().map_err(|_| Malformed)?;
        Ok(match self.order {
            Order::Little => u32::from_le_bytes(bytes),
            Order::Big => u32::from_be_bytes(bytes),
        })
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.number()?).map_err(|_| Malformed)
    }

    /// A `BOOLEAN`.
    pub(in crate::store) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn terminated(&mut self, length: usize) -> Result<&'a str, Malformed> {
        let bytes = self.take(length)?;
        if self.byte()? != 0 {
            return Err(Malformed);
        }
        str::from_utf8(bytes).map_err(|_| Malformed)
    }

    /// A `STRING` or an `OBJECT_PATH`.
    pub(in crate::store) fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.length()?;
        self.terminated(length)
    }

    /// A `SIGNATURE`, or the first half of a `VARIANT`.
    pub(in crate::store) fn signature(&mut self) -> Result<&'a str, Malformed> {
        let length = self.byte()?;
        self.terminated(length.into())
    }

    /// An `ARRAY` of `BYTE`.
    pub(in crate::store) fn blob(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.length()?;
        self.take(length)
    }

    /// Where a `STRUCT` or a `DICT_ENTRY` begins.
    pub(in crate::store) fn structure(&mut self) -> Result<(), Malformed> {
        self.align(8)
    }

    /// An `ARRAY` of elements with this alignment, as a reader that ends with it.
    pub(in crate::store) fn array(&mut self, alignment: usize) -> Result<Self, Malformed> {
        let length = self.length()?;
        self.align(alignment)?;
        let start = self.at;
        self.take(length)?;
        Ok(Self {
            bytes: &self.bytes[..self.at],
            at: start,
            order: self.order,
        })
    }

    /// Passes over values of these types.
    pub(in crate::store) fn skip(&mut self, types: &str) -> Result<(), Malformed> {
        self.skip_all(types.as_bytes(), DEEPEST)
    }

    fn skip_all(&mut self, mut types: &[u8], depth: usize) -> Result<(), Malformed> {
        while !types.is_empty() {
            let (first, rest) = types.split_at(first_type(types)?);
            self.skip_one(first, depth)?;
            types = rest;
        }
        Ok(())
    }

    fn skip_one(&mut self, kind: &[u8], depth: usize) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed)?;
        match kind {
            [b's' | b'o'] => self.text().map(drop),
            [b'g'] => self.signature().map(drop),
            [b'v'] => {
                let inner = self.signature()?.as_bytes();
                if inner.is_empty() || first_type(inner)? != inner.len() {
                    return Err(Malformed);
                }
                self.skip_one(inner, depth)
            }
            [b'a', element @ ..] => self.array(alignment(element)?).map(drop),
            [b'(' | b'{', inner @ .., _] => {
                self.structure()?;
                self.skip_all(inner, depth)
            }
            plain => {
                let size = alignment(plain)?;
                self.align(size)?;
                self.take(size).map(drop)
            }
        }
    }
}

/// How many bytes of a signature are its first complete type.
fn first_type(types: &[u8]) -> Result<usize, Malformed> {
    let mut open = 0_usize;
    for (at, byte) in types.iter().enumerate() {
        match byte {
            b'a' => continue,
            b'(' | b'{' => open += 1,
            b')' | b'}' => open = open.checked_sub(1).ok_or(Malformed)?,
            _ => {}
        }
        if open == 0 {
            return Ok(at + 1);
        }
    }
    Err(Malformed)
}

/// The alignment of a type. For the types of a fixed size this is also the size.
fn alignment(kind: &[u8]) -> Result<usize, Malformed> {
    match kind.first() {
        Some(b'y' | b'g' | b'v') => Ok(1),
        Some(b'n' | b'q') => Ok(2),
        Some(b'b' | b'i' | b'u' | b'h' | b's' | b'o' | b'a') => Ok(4),
        Some(b'x' | b't' | b'd' | b'(' | b'{') => Ok(8),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::writer::Writer;
    use super::*;

    fn little(bytes: &[u8]) -> Reader<'_> {
        Reader::new(bytes, Order::Little)
    }

    #[test]
    fn values_are_written_as_the_specification_has_them() {
        let mut writer = Writer::default();
        writer.byte(7);
        writer.text("foo");
        writer.signature("as");
        writer.flag(true);
        writer.blob(&[1, 2]);
        let expected = [
            7, 0, 0, 0, 3, 0, 0, 0, b'f', b'o', b'o', 0, 2, b'a', b's', 0, 1, 0, 0, 0, 2, 0, 0, 0,
            1, 2,
        ];
        assert_eq!(writer.bytes(), expected);
    }

    #[test]
    fn the_length_of_an_array_leaves_out_the_padding_before_it() {
        let mut writer = Writer::default();
        writer.dictionary(&[("a", "b")]);
        let expected = [
            14, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, b'a', 0, 0, 0, 1, 0, 0, 0, b'b', 0,
        ];
        assert_eq!(writer.bytes(), expected);
        let mut empty = Writer::default();
        empty.dictionary(&[]);
        assert_eq!(empty.bytes(), [0; 8]);
    }

    #[test]
    fn numbers_of_either_order_are_read() {
        let bytes = [0, 0, 0, 1];
        assert_eq!(Reader::new(&bytes, Order::Big).number(), Ok(1));
        assert_eq!(little(&bytes).number(), Ok(1 << 24));
    }

    #[test]
    fn what_is_not_as_it_should_be_is_refused() {
        let text = |bytes: &[u8]| little(bytes).text().map(str::to_owned);
        assert_eq!(text(&[1, 0, 0, 0, b'a', 0]), Ok("a".to_owned()));
        let bad: [&[u8]; 5] = [
            &[],
            &[1, 0, 0],
            &[1, 0, 0, 0, b'a'],
            &[1, 0, 0, 0, b'a', b'b'],
            &[1, 0, 0, 0, 0xff, 0],
        ];
        for bytes in bad {
            assert_eq!(text(bytes), Err(Malformed), "{bytes:?}");
        }
        assert_eq!(text(&[0xff; 8]), Err(Malformed));
        assert_eq!(little(&[2, 0, 0, 0]).flag(), Err(Malformed));
        assert!(little(&[9, 0, 0, 0, 0]).array(1).is_err());
        assert!(little(&[1, 0, 0, 0, 0]).array(8).is_err());
    }

    #[test]
    fn types_are_told_apart() {
        let rows = [
            ("s", Some(1)),
            ("su", Some(1)),
            ("aasu", Some(3)),
            ("a{sv}(oayays)b", Some(5)),
            ("(oayays)b", Some(8)),
            ("a(s(u))y", Some(7)),
            ("a", None),
            ("(s", None),
            (")", None),
            ("", None),
        ];
        for (types, length) in rows {
            assert_eq!(first_type(types.as_bytes()).ok(), length, "{types}");
        }
    }

    #[test]
    fn values_of_any_type_are_passed_over() {
        let mut writer = Writer::default();
        writer.byte(1);
        writer.dictionary(&[("a", "b"), ("cc", "")]);
        writer.structure();
        writer.text("/o");
        writer.blob(&[1, 2, 3]);
        // A variant in a variant.
        writer.signature("v");
        writer.signature("ay");
        writer.blob(b"x");
        writer.structure();
        writer.put(&[0; 8]);
        writer.number(77);
        let mut reader = little(writer.bytes());
        reader.skip("ya{ss}(oay)vt").unwrap();
        assert_eq!(reader.number(), Ok(77));
        assert!(reader.is_at_end());
        for types in ["z", "(", "a", "e", "\u{e9}"] {
            assert!(little(&[0; 64]).skip(types).is_err(), "{types}");
        }
    }

    #[test]
    fn variants_in_variants_without_an_end_are_refused() {
        let bytes = [1, b'v', 0].repeat(100);
        assert_eq!(little(&bytes).skip("v"), Err(Malformed));
        let deep = format!("{}y{}", "(".repeat(100), ")".repeat(100));
        assert_eq!(little(&[0; 8]).skip(&deep), Err(Malformed));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            number in any::<u32>(),
            text in "[^\0]{0,40}",
            bytes in proptest::collection::vec(any::<u8>(), 0..2000),
            entries in proptest::collection::vec(("[a-z]{0,9}", "[^\0]{0,9}"), 0..9),
            offset in 0..9_usize,
        ) {
            let pairs: Vec<_> =
                entries.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let mut writer = Writer::default();
            writer.put(&vec![0; offset]);
            writer.number(number);
            writer.text(&text);
            writer.dictionary(&pairs);
            writer.blob(&bytes);
            let mut reader = little(writer.bytes());
            reader.take(offset).unwrap();
            let mut skipping = reader.clone();
            prop_assert_eq!(reader.number(), Ok(number));
            prop_assert_eq!(reader.text(), Ok(text.as_str()));
            let mut elements = reader.array(8).unwrap();
            let mut read = Vec::new();
            while !elements.is_at_end() {
                elements.structure().unwrap();
                read.push((elements.text().unwrap(), elements.text().unwrap()));
            }
            prop_assert_eq!(read, pairs);
            prop_assert_eq!(reader.blob(), Ok(bytes.as_slice()));
            prop_assert!(reader.is_at_end());
            prop_assert_eq!(skipping.skip("usa{ss}ay"), Ok(()));
            prop_assert!(skipping.is_at_end());
        }

        #[test]
        fn no_bytes_and_no_types_make_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            types in "[ybnqiuxtdhsogva(){}]{0,12}",
            big in any::<bool>(),
        ) {
            let order = if big { Order::Big } else { Order::Little };
            let _ = Reader::new(&bytes, order).skip(&types);
            if let Ok(mut elements) = Reader::new(&bytes, order).array(8) {
                while elements.structure().is_ok() && elements.text().is_ok() {}
            }
        }
    }
}
