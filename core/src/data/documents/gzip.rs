//! Compressed text, known by its first bytes.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;

use super::error::Fault;

/// Bytes that are read at once.
const BUFFER: usize = 128 * 1024;

/// What every gz file begins with.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Text that is compressed this many times over is none: it is made to fill a memory or a disk.
const MOST: u64 = 200;

/// From this many decompressed bytes on.
const MOST_FROM: u64 = 256 << 20;

/// The bytes, decompressed if they are gz of one member or many.
pub(super) fn decompressed<'a>(bytes: impl Read + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let (head, bytes) = peek(BufReader::with_capacity(BUFFER, bytes), MAGIC.len())?;
    if head != MAGIC {
        return Ok(Box::new(bytes));
    }
    let decoder = MultiGzDecoder::new(Counting { bytes, count: 0 });
    Ok(Box::new(BufReader::with_capacity(BUFFER, Gzip { decoder, count: 0 })))
}

/// The first `len` bytes, fewer at the end, and all bytes with those.
pub(super) fn peek<'a>(
    mut bytes: impl BufRead + 'a,
    len: usize,
) -> io::Result<(Vec<u8>, impl BufRead + 'a)> {
    let mut head = Vec::new();
    bytes.by_ref().take(len as u64).read_to_end(&mut head)?;
    Ok((head.clone(), io::Cursor::new(head).chain(bytes)))
}

struct Gzip<R> {
    decoder: MultiGzDecoder<Counting<R>>,
    /// Decompressed bytes.
    count: u64,
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let len = self.decoder.read(to).map_err(|error| match error.kind() {
            ErrorKind::Interrupted => error,
            ErrorKind::UnexpectedEof => Fault::Gzip("it is cut short".to_owned()).into(),
            _ => Fault::Gzip(error.to_string()).into(),
        })?;
        self.count += len as u64;
        let from = self.decoder.get_ref().count;
        if self.count > MOST_FROM && self.count / MOST > from {
            let count = self.count;
            let reason = format!(
                "its first {from} bytes became {count}, more than {MOST} times as many, which no \
                 text does. If it is meant so, decompress it first"
            );
            return Err(Fault::Gzip(reason).into());
        }
        Ok(len)
    }
}

/// Counts what is consumed.
struct Counting<R> {
    bytes: R,
    count: u64,
}

impl<R: BufRead> BufRead for Counting<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.bytes.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.count += amount as u64;
        self.bytes.consume(amount);
    }
}

impl<R: BufRead> Read for Counting<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let len = self.bytes.read(to)?;
        self.count += len as u64;
        Ok(len)
    }
}
