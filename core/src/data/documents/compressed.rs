//! Compressed text, known by its first bytes: gz, and zstd where the feature `zstd` is on.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;

use super::error::{Fault, Packing};

/// Bytes that are read at once.
const BUFFER: usize = 128 * 1024;

/// First bytes of every gz file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// First bytes of a frame of zstd.
#[cfg(feature = "zstd")]
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The second to fourth of the first bytes of a frame that zstd skips; `pzstd` writes such frames. The first byte is
/// 0x50 to 0x5f.
#[cfg(feature = "zstd")]
const ZSTD_SKIPPED: [u8; 3] = [0x2a, 0x4d, 0x18];

/// Text that is compressed this many times over is none: it is made to fill a memory or a disk.
const MOST: u64 = 200;

/// From this many decompressed bytes on.
const MOST_FROM: u64 = 256 << 20;

/// The bytes, decompressed if they are gz or zstd, of one member (frame) or many.
pub(super) fn decompressed<'a>(bytes: impl Read + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let (head, bytes) = peek(BufReader::with_capacity(BUFFER, bytes), 4)?;
    if head.starts_with(&GZIP) {
        let decoder = MultiGzDecoder::new(Counting { bytes, count: 0 });
        return Ok(unpacked(decoder, Packing::Gzip, |decoder| decoder.get_ref().count));
    }
    #[cfg(feature = "zstd")]
    if head == ZSTD || (head.get(1..) == Some(&ZSTD_SKIPPED) && head[0] & 0xf0 == 0x50) {
        let decoder = zstd::Decoder::with_buffer(Counting { bytes, count: 0 })?;
        return Ok(unpacked(decoder, Packing::Zstd, |decoder| decoder.get_ref().count));
    }
    Ok(Box::new(bytes))
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

fn unpacked<'a, D: Read + 'a>(
    decoder: D,
    packing: Packing,
    read: fn(&D) -> u64,
) -> Box<dyn BufRead + 'a> {
    Box::new(BufReader::with_capacity(BUFFER, Unpacked { decoder, packing, read, count: 0 }))
}

/// Names the faults of a decoder, and ends what grows beyond all text.
struct Unpacked<D> {
    decoder: D,
    packing: Packing,
    /// The compressed bytes that the decoder has read.
    read: fn(&D) -> u64,
    /// Decompressed bytes.
    count: u64,
}

impl<D: Read> Read for Unpacked<D> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let fault = |reason| Fault::Compressed { packing: self.packing, reason }.into();
        let len = self.decoder.read(to).map_err(|error| match error.kind() {
            ErrorKind::Interrupted => error,
            ErrorKind::UnexpectedEof => fault("it is cut short".to_owned()),
            _ => fault(error.to_string()),
        })?;
        self.count += len as u64;
        let from = (self.read)(&self.decoder);
        if self.count > MOST_FROM && self.count / MOST > from {
            let count = self.count;
            return Err(fault(format!(
                "its first {from} bytes became {count}, more than {MOST} times as many, which no \
                 text does. If it is meant so, decompress it first"
            )));
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
