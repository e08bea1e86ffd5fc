//! From bytes in one of the encodings of Unicode to UTF-8 without a byte order mark.

use std::io::{self, BufRead, BufReader, Read};

use super::compressed::peek;
use super::error::{DocumentError, Fault};

/// Bytes of UTF-16 that are decoded at once.
const CHUNK: usize = 64 * 1024;

/// First bytes of files that are no text, with their kind and what to do.
const KINDS: &[(&[u8], &str, &str)] = &[
    (&[0xff, 0xfe, 0, 0], "UTF-32", "convert it with `iconv -f UTF-32 -t UTF-8`"),
    (&[0, 0, 0xfe, 0xff], "UTF-32", "convert it with `iconv -f UTF-32 -t UTF-8`"),
    (b"PK\x03\x04", "a zip archive (or a document that is one)", "unpack it, and give its text"),
    // Where it is not decompressed.
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "pipe it: `zstd -dc FILE | nitp … --data -`"),
    (b"\xfd7zXZ\0", "compressed by xz", "pipe it: `xz -dc FILE | nitp … --data -`"),
    (b"BZh91AY", "compressed by bzip2", "pipe it: `bzip2 -dc FILE | nitp … --data -`"),
    (b"PAR1\x15", "a Parquet file", "write its column of text as JSONL, a `text` a line"),
    (b"%PDF-", "a PDF", "take the text out of it, for example with `pdftotext`"),
];

/// Bytes of the longest of them.
const LONGEST: usize = 7;

/// A place in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    /// From 1.
    pub line: usize,
    /// From 0.
    pub byte: u64,
    /// Whether characters beyond ASCII came before.
    pub beyond_ascii: bool,
}

impl Default for Position {
    fn default() -> Self {
        Self { line: 1, byte: 0, beyond_ascii: false }
    }
}

impl Position {
    /// Goes on behind `bytes`.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        self.line += count_lines(bytes);
        self.byte += bytes.len() as u64;
        self.beyond_ascii |= !bytes.is_ascii();
    }
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

/// The text behind its byte order mark, if there is one; UTF-16 becomes UTF-8. What has no mark
/// passes as it is.
pub(super) fn decoded<'a>(bytes: Box<dyn BufRead + 'a>) -> io::Result<Box<dyn BufRead + 'a>> {
    let (head, mut bytes) = peek(bytes, LONGEST)?;
    if let Some((_, kind, advice)) = KINDS.iter().find(|(first, ..)| head.starts_with(first)) {
        return Err(Fault::Kind { kind, advice }.into());
    }
    if head.starts_with(&[0xef, 0xbb, 0xbf]) {
        bytes.consume(3);
        return Ok(Box::new(bytes));
    }
    let unit = match head.get(..2) {
        Some([0xff, 0xfe]) => u16::from_le_bytes,
        Some([0xfe, 0xff]) => u16::from_be_bytes,
        _ => return Ok(Box::new(bytes)),
    };
    bytes.consume(2);
    let decoder =
        Utf16 { bytes, unit, rest: Vec::new(), ready: Vec::new(), given: 0, at: 2, line: 1 };
    Ok(Box::new(BufReader::with_capacity(CHUNK, decoder)))
}

/// Decodes UTF-16.
struct Utf16<R> {
    bytes: R,
    unit: fn([u8; 2]) -> u16,
    /// Bytes that are no whole character yet.
    rest: Vec<u8>,
    /// UTF-8, of which `given` bytes were given on.
    ready: Vec<u8>,
    given: usize,
    /// Place in the file of the first byte of `rest`.
    at: u64,
    line: usize,
}

impl<R: BufRead> Utf16<R> {
    /// Decodes the next bytes; none are ready at the end.
    fn decode(&mut self) -> io::Result<()> {
        let before = self.rest.len();
        (&mut self.bytes).take(CHUNK as u64).read_to_end(&mut self.rest)?;
        let at_end = self.rest.len() - before < CHUNK;
        let mut units: Vec<u16> = {
            let pairs = self.rest.chunks_exact(2);
            pairs.map(|pair| (self.unit)([pair[0], pair[1]])).collect()
        };
        if !at_end && units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
            units.pop(); // its other half comes next
        }
        self.ready.clear();
        self.given = 0;
        let mut passed = 0;
        for char in char::decode_utf16(units.iter().copied()) {
            let fault = Fault::Utf16 { line: self.line, at: self.at + 2 * passed };
            let char = char.map_err(|_| fault)?;
            self.line += usize::from(char == '\n');
            passed += char.len_utf16() as u64;
            let mut bytes = [0; 4];
            self.ready.extend_from_slice(char.encode_utf8(&mut bytes).as_bytes());
        }
        self.at += 2 * passed;
        self.rest.drain(..2 * units.len());
        if at_end && !self.rest.is_empty() {
            return Err(Fault::Utf16 { line: self.line, at: self.at }.into());
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Utf16<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.given == self.ready.len() {
            self.decode()?;
        }
        let len = (&self.ready[self.given..]).read(to)?;
        self.given += len;
        Ok(len)
    }
}

/// Bytes of the file `name` from `start` on, as text.
pub(super) fn utf8(name: &str, bytes: Vec<u8>, start: Position) -> Result<String, DocumentError> {
    if let Some(at) = find_zero(&bytes) {
        let name = name.to_owned();
        return Err(match utf16_without_mark(&bytes) {
            Some(encoding) => DocumentError::Utf16WithoutMark { name, encoding },
            None => {
                let line = start.line + count_lines(&bytes[..at]);
                DocumentError::Binary { name, line, at: start.byte + at as u64 }
            }
        });
    }
    String::from_utf8(bytes).map_err(|error| {
        let (bytes, error) = (error.as_bytes(), error.utf8_error());
        let at = error.valid_up_to();
        let beyond_ascii = start.beyond_ascii || !bytes[..at].is_ascii();
        DocumentError::Encoding {
            name: name.to_owned(),
            line: start.line + count_lines(&bytes[..at]),
            at: start.byte + at as u64,
            byte: bytes[at],
            advice: advice(&bytes[at..], error.error_len().is_none(), beyond_ascii),
        }
    })
}

fn find_zero(bytes: &[u8]) -> Option<usize> {
    // `contains` is many times as fast as `position`.
    bytes.contains(&0).then(|| bytes.iter().take_while(|&&byte| byte != 0).count())
}

/// The encoding in which the first half of the bytes of a Latin text, or the second, is zero.
fn utf16_without_mark(bytes: &[u8]) -> Option<&'static str> {
    let head = &bytes[..bytes.len().min(64) & !1];
    let zeros = |half: usize| head.chunks_exact(2).filter(|pair| pair[half] == 0).count();
    let most = head.len() / 4;
    match (zeros(0), zeros(1)) {
        (0, second) if second > most => Some("UTF-16LE"),
        (first, 0) if first > most => Some("UTF-16BE"),
        _ => None,
    }
}

/// What to do about bytes that are no UTF-8, from the first such byte on.
fn advice(from: &[u8], cut_short: bool, beyond_ascii: bool) -> &'static str {
    let window = &from[..from.len().min(CHUNK)];
    if cut_short {
        return "The text ends within a character: the file may be cut short";
    }
    if beyond_ascii {
        return "What is before it is UTF-8, so the file may be damaged here or mix encodings: \
                mend it, or drop such bytes with `iconv -c -f UTF-8 -t UTF-8`";
    }
    // Of all encodings in use, those of Western Europe alone have bytes beyond ASCII only between
    // others: elsewhere words are made of them.
    let alone = window.windows(2).all(|pair| pair[0].is_ascii() || pair[1].is_ascii());
    let in_words =
        window.get(1).is_none_or(|next| next.is_ascii_alphabetic() || !next.is_ascii_graphic());
    if alone && in_words {
        "Such bytes stand alone between ASCII letters, as in texts of Western Europe: if it is one, \
         convert it with `iconv -f WINDOWS-1252 -t UTF-8`"
    } else {
        "Convert it with `iconv -f ENCODING -t UTF-8`, where ENCODING is the name of the encoding \
         that the text was saved in (`iconv -l` lists them)"
    }
}
