//! Thrift's compact protocol, just as far as the numbers in the headers of Parquet are checked before the crate
//! `parquet` takes memory for them. What the fields mean, the caller knows.

/// A letter for each kind of values, by the number of the kind: none, flags (true and false), byte, numbers of 16, 32
/// and 64 bits, which are written in the same way, double, bytes, lists (also as sets), map, struct.
const KINDS: [char; 13] = ['-', 'f', 'f', 'y', 'n', 'n', 'n', 'd', 'b', 'l', 'l', 'm', 's'];

/// Structs and lists lie at most this deep in each other; Parquet needs fewer than ten levels.
const MOST_LEVELS: usize = 32;

/// What lies in a struct.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Item {
    /// The beginning of a field, with a letter for its kind, of [`KINDS`].
    Field(char),
    /// A number.
    Number(i64),
    /// The beginning of a list of so many elements.
    List(u64),
    /// The beginning of the next struct in a list.
    Struct,
}

/// Calls `each` with all numbers, lists and structs of lists in the struct that `bytes` begin with, each behind the ids
/// of the fields that lead there, and gives the number of its bytes; `None` if they are no whole struct.
pub fn items(bytes: &[u8], mut each: impl FnMut(&[i16], Item)) -> Option<usize> {
    let mut reader = Compact { bytes, path: Vec::new(), levels: 0, each: &mut each };
    reader.fields()?;
    Some(bytes.len() - reader.bytes.len())
}

/// Takes a number of variable length off `bytes`, the lowest seven bits first.
pub fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

struct Compact<'a> {
    bytes: &'a [u8],
    path: Vec<i16>,
    levels: usize,
    each: &'a mut dyn FnMut(&[i16], Item),
}

impl Compact<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        self.bytes = self.bytes.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        varint(&mut self.bytes)
    }

    fn number(&mut self) -> Option<i64> {
        self.varint().map(|value| (value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn fields(&mut self) -> Option<()> {
        let mut id = 0i16;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            id = match head >> 4 {
                0 => self.number()?.try_into().ok()?,
                delta => id.checked_add(i16::from(delta))?,
            };
            self.path.push(id);
            let kind = KINDS.get(usize::from(head & 0xf))?;
            (self.each)(&self.path, Item::Field(*kind));
            match head & 0xf {
                1 | 2 => {} // true and false have no bytes of their own
                kind => self.value(kind, false)?,
            }
            self.path.pop();
        }
    }

    fn value(&mut self, kind: u8, in_list: bool) -> Option<()> {
        match kind {
            // The crate takes true and false to have no bytes in lists either, and so would count to any number. No
            // header has such a list.
            1 | 2 => None,
            3 => self.skip(1),
            4..=6 => {
                let number = self.number()?;
                (self.each)(&self.path, Item::Number(number));
                Some(())
            }
            7 => self.skip(8),
            8 => {
                let len = self.varint()?;
                self.skip(len)
            }
            9..=12 => {
                self.levels += 1;
                if self.levels > MOST_LEVELS {
                    return None;
                }
                match kind {
                    9 | 10 => self.list()?,
                    11 => self.map()?,
                    _ => {
                        if in_list {
                            (self.each)(&self.path, Item::Struct);
                        }
                        self.fields()?;
                    }
                }
                self.levels -= 1;
                Some(())
            }
            _ => None,
        }
    }

    fn list(&mut self) -> Option<()> {
        let head = self.byte()?;
        let len = match head >> 4 {
            15 => self.varint()?,
            len => u64::from(len),
        };
        (self.each)(&self.path, Item::List(len));
        // Each value has a byte at least, so that a wrong length ends with the bytes.
        (0..len).try_for_each(|_| self.value(head & 0xf, true))
    }

    fn map(&mut self) -> Option<()> {
        let len = self.varint()?;
        if len > 0 {
            let kinds = self.byte()?;
            for _ in 0..len {
                self.value(kinds >> 4, false)?;
                self.value(kinds & 0xf, false)?;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_behind_what_is_passed_over() {
        // 1: i32 = -2, 2: "ab", 3: a list of two structs { 1: i32 = 300 }, 20: true.
        let bytes =
            [0x15, 3, 0x18, 2, b'a', b'b', 0x19, 0x2c, 0x15, 0xd8, 4, 0, 0x15, 1, 0, 1, 40, 0, 99];
        let mut found = Vec::new();
        let mut kinds = String::new();
        let len = items(&bytes, |path, item| match item {
            Item::Field(kind) => kinds.push(kind),
            _ => found.push((path.to_vec(), item)),
        });
        assert_eq!((len, kinds.as_str()), (Some(bytes.len() - 1), "nblnnf"));
        let expected = [
            (vec![1], Item::Number(-2)),
            (vec![3], Item::List(2)),
            (vec![3], Item::Struct),
            (vec![3, 1], Item::Number(300)),
            (vec![3], Item::Struct),
            (vec![3, 1], Item::Number(-1)),
        ];
        assert_eq!(found, expected);
        for len in 0..bytes.len() - 1 {
            assert_eq!(items(&bytes[..len], |_, _| {}), None);
        }
        assert_eq!(items(&[0x1c; 100_000], |_, _| {}), None, "structs in structs");
        assert_eq!(items(&[0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 0xf], |_, _| {}), None);
        let flags = [[0x19, 0x11, 0].as_slice(), &[0x1b, 1, 0x31, 0, 0], &[0x1b, 1, 0x23, 0, 0]];
        assert!(flags.iter().all(|bytes| items(bytes, |_, _| {}).is_none()));
    }
}
