//! How much of a file has been read.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parquet::errors::Result;
use parquet::file::reader::{ChunkReader, Length};

/// Counts the bytes that are read from files, before they are decompressed.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<AtomicU64>);

impl Meter {
    /// The bytes so far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A file, or bytes, with a meter.
pub struct Metered<F>(pub F, pub Meter);

impl<F: Length> Length for Metered<F> {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl<F: ChunkReader> ChunkReader for Metered<F> {
    type T = Metered<F::T>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(Metered(self.0.get_read(start)?, self.1.clone()))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.0.get_bytes(start, length)?;
        self.1.add(bytes.len());
        Ok(bytes)
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let len = self.0.read(to)?;
        self.1.add(len);
        Ok(len)
    }
}
