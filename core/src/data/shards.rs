//! Token shards: equally long pieces of a stream of tokens, each a safetensors file.
//!
//! A shard has two tensors: `tokens`, `[tokens]` of U16 or U32, and `document_starts`, `[documents]` of U64: the
//! positions within the shard at which documents start, ascending. A document may end in a later shard. Whoever opens a
//! file maps it into memory, or reads it; this module sees its bytes.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytemuck::PodCastError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use thiserror::Error;

/// Bytes that stay where they are, such as those of a mapped file.
pub type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// The names of the tensors.
const TOKENS: &str = "tokens";
const STARTS: &str = "document_starts";

/// A reason that bytes are no shard.
#[derive(Debug, Error)]
pub enum ShardError {
    /// The bytes are no safetensors file, or the file is cut short.
    #[error("it is no whole safetensors file ({0})")]
    Format(String),
    /// A tensor is missing, or has another type or shape.
    #[error("its tensor `{name}` must be {expected}, and is {found}")]
    Tensor {
        /// The tensor.
        name: &'static str,
        /// Types and shape of a shard.
        expected: &'static str,
        /// Those of the file.
        found: String,
    },
    /// The starts of documents are not ascending positions within the tokens.
    #[error(
        "document {index} starts at {start}, which is not between the start before it and the last token"
    )]
    Start {
        /// The document.
        index: usize,
        /// Its start.
        start: u64,
    },
    /// A token id is not in the vocabulary.
    #[error(
        "the token at position {position} is {id}, which is not below {vocab_size}, the size of the vocabulary"
    )]
    Id {
        /// Position within the shard.
        position: usize,
        /// The token.
        id: u32,
        /// The size of the vocabulary.
        vocab_size: usize,
    },
}

/// The tokens of one shard.
#[derive(Clone)]
pub struct Shard {
    bytes: SharedBytes,
    /// Place of the tokens in the bytes.
    at: Range<usize>,
    wide: bool,
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard").field("tokens", &self.len()).field("wide", &self.wide).finish()
    }
}

impl Shard {
    /// The safetensors file of these tokens. Ids of 16 bits suffice for vocabularies of up to 65,536 tokens.
    ///
    /// # Panics
    /// If a token is not in the vocabulary.
    pub fn to_bytes(tokens: &[u32], starts: &[u64], vocab_size: usize) -> Vec<u8> {
        let (dtype, bytes): (_, Vec<u8>) = if vocab_size <= 1 << 16 {
            let narrow =
                |&id| u16::try_from(id).expect("the id is in the vocabulary").to_le_bytes();
            (Dtype::U16, tokens.iter().flat_map(narrow).collect())
        } else {
            (Dtype::U32, tokens.iter().flat_map(|id| id.to_le_bytes()).collect())
        };
        let start_bytes: Vec<u8> = starts.iter().flat_map(|start| start.to_le_bytes()).collect();
        let view = |dtype, len, bytes| {
            TensorView::new(dtype, vec![len], bytes).expect("the length is that of the bytes")
        };
        let tensors = [
            (STARTS, view(Dtype::U64, starts.len(), &start_bytes)),
            (TOKENS, view(dtype, tokens.len(), &bytes)),
        ];
        serialize(tensors, None).expect("there are two names")
    }

    /// A shard from the bytes of its file, and the starts of its documents.
    ///
    /// # Errors
    /// If the bytes are not those of a shard, or a token is not below `vocab_size`.
    pub fn parse(bytes: SharedBytes, vocab_size: usize) -> Result<(Self, Vec<u64>), ShardError> {
        let all = (*bytes).as_ref();
        let file =
            SafeTensors::deserialize(all).map_err(|error| ShardError::Format(error.to_string()))?;
        let tensor = |name, expected, types: &[Dtype]| {
            let found = match file.tensor(name) {
                Ok(view) if view.shape().len() == 1 && types.contains(&view.dtype()) => {
                    return Ok(view);
                }
                Ok(view) => format!("{:?} of shape {:?}", view.dtype(), view.shape()),
                Err(_) => "not there".to_owned(),
            };
            Err(ShardError::Tensor { name, expected, found })
        };
        let tokens = tensor(TOKENS, "U16 or U32 of one dimension", &[Dtype::U16, Dtype::U32])?;
        let starts = tensor(STARTS, "U64 of one dimension", &[Dtype::U64])?;
        let len = tokens.shape()[0];
        let starts: Vec<u64> = starts
            .data()
            .chunks_exact(8)
            .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("8 bytes")))
            .collect();
        for (index, &start) in starts.iter().enumerate() {
            let rises = index == 0 || starts[index - 1] < start;
            if !rises || start >= len as u64 {
                return Err(ShardError::Start { index, start });
            }
        }
        let offset = tokens.data().as_ptr() as usize - all.as_ptr() as usize;
        let at = offset..offset + tokens.data().len();
        let wide = tokens.dtype() == Dtype::U32;
        let shard = Self { bytes, at, wide };
        shard.check(vocab_size)?;
        Ok((shard, starts))
    }

    fn check(&self, vocab_size: usize) -> Result<(), ShardError> {
        const SOME: usize = 1 << 16;
        for first in (0..self.len()).step_by(SOME) {
            let ids = self.tokens(first..self.len().min(first + SOME));
            if let Some(place) = ids.iter().position(|&id| id as usize >= vocab_size) {
                return Err(ShardError::Id { position: first + place, id: ids[place], vocab_size });
            }
        }
        Ok(())
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.at.len() / if self.wide { 4 } else { 2 }
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of the tokens.
    fn tokens(&self, range: Range<usize>) -> Cow<'_, [u32]> {
        let width = if self.wide { 4 } else { 2 };
        let bytes =
            &(*self.bytes).as_ref()[self.at.clone()][range.start * width..range.end * width];
        if !self.wide {
            return bytes
                .chunks_exact(2)
                .map(|id| u16::from_le_bytes([id[0], id[1]]).into())
                .collect();
        }
        match bytemuck::try_cast_slice(bytes) {
            Ok(tokens) if cfg!(target_endian = "little") => Cow::Borrowed(tokens),
            Ok(_) | Err(PodCastError::TargetAlignmentGreaterAndInputNotAligned) | Err(_) => bytes
                .chunks_exact(4)
                .map(|id| u32::from_le_bytes(id.try_into().expect("4 bytes")))
                .collect(),
        }
    }
}

/// The tokens of a corpus.
#[derive(Clone, Debug)]
pub enum Tokens {
    /// In memory.
    Memory(Vec<u32>),
    /// In shards.
    Shards(Shards),
}

/// A stream of tokens in shards of equal length; the last may be shorter.
#[derive(Clone, Debug)]
pub struct Shards {
    shards: Vec<Shard>,
    /// Tokens of each shard but the last.
    each: usize,
    len: usize,
}

impl Shards {
    /// A stream of these shards.
    ///
    /// # Panics
    /// If a shard before the last has another length than the first, or the last is longer.
    pub fn new(shards: Vec<Shard>) -> Self {
        let each = shards.first().map_or(1, Shard::len).max(1);
        if let Some((last, full)) = shards.split_last() {
            assert!(full.iter().all(|shard| shard.len() == each), "shards are equally long");
            assert!(last.len() <= each, "the last shard is no longer than the others");
        }
        let len = shards.iter().map(Shard::len).sum();
        Self { shards, each, len }
    }
}

impl Tokens {
    /// Number of tokens.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(tokens) => tokens.len(),
            Self::Shards(shards) => shards.len,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of the tokens; copied if they are stored in 16 bits, or cross shards.
    ///
    /// # Panics
    /// If the range is not within the tokens.
    pub fn get(&self, range: Range<usize>) -> Cow<'_, [u32]> {
        let Shards { shards, each, len } = match self {
            Self::Memory(tokens) => return Cow::Borrowed(&tokens[range]),
            Self::Shards(shards) => shards,
        };
        assert!(range.start <= range.end && range.end <= *len, "{range:?} leaves {len} tokens");
        let first = range.start / each;
        let within = |index: usize| {
            let start = index * each;
            range.start.max(start) - start..range.end.min(start + each) - start
        };
        if range.is_empty() {
            return Cow::Borrowed(&[]);
        }
        let last = (range.end - 1) / each;
        if first == last {
            return shards[first].tokens(within(first));
        }
        let mut all = Vec::with_capacity(range.len());
        (first..=last)
            .for_each(|index| all.extend_from_slice(&shards[index].tokens(within(index))));
        Cow::Owned(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(tokens: &[u32], starts: &[u64], vocab_size: usize) -> Shard {
        let bytes = Shard::to_bytes(tokens, starts, vocab_size);
        let (shard, read) = Shard::parse(Arc::new(bytes), vocab_size).unwrap();
        assert_eq!((shard.len(), read.as_slice()), (tokens.len(), starts));
        shard
    }

    #[test]
    fn shards_give_the_tokens_of_one_piece() {
        let all: Vec<u32> = (0..23).map(|i| i * 7 % 23).collect();
        let memory = Tokens::Memory(all.clone());
        for vocab_size in [23, 70_000] {
            for each in [1, 4, 5, 23, 30] {
                let parts = all.chunks(each).map(|part| shard(part, &[0], vocab_size));
                let shards = Tokens::Shards(Shards::new(parts.collect()));
                assert_eq!(shards.len(), memory.len());
                for first in 0..=23 {
                    for end in first..=23 {
                        assert_eq!(shards.get(first..end), memory.get(first..end));
                    }
                }
            }
        }
    }

    #[test]
    fn damage_is_named() {
        let parse = |bytes: Vec<u8>, vocab_size| {
            Shard::parse(Arc::new(bytes), vocab_size).unwrap_err().to_string()
        };
        let whole = Shard::to_bytes(&[1, 2, 3], &[0, 2], 4);
        for len in 0..whole.len() {
            let text = parse(whole[..len].to_vec(), 4);
            assert!(text.contains("no whole safetensors file"), "{text}");
        }
        assert!(parse(whole, 3).contains("position 2 is 3, which is not below 3"));
        for starts in [&[0, 3][..], &[1, 1], &[2, 0]] {
            let text = parse(Shard::to_bytes(&[1, 2, 3], starts, 4), 4);
            assert!(text.contains("document 1 starts at"), "{text}");
        }
        let data = [0; 6];
        let view = |dtype, shape| TensorView::new(dtype, shape, &data).unwrap();
        let other = |name, dtype, shape| serialize([(name, view(dtype, shape))], None).unwrap();
        let text = parse(other(TOKENS, Dtype::U16, vec![3]), 4);
        assert!(text.contains("`document_starts` must be U64") && text.contains("not there"));
        for (dtype, shape) in [(Dtype::U8, vec![6]), (Dtype::U16, vec![1, 3])] {
            let text = parse(other(TOKENS, dtype, shape), 4);
            assert!(text.contains("`tokens` must be U16 or U32 of one dimension"), "{text}");
        }
        let lying = [&(1u64 << 60).to_le_bytes()[..], b"{}"].concat();
        assert!(parse(lying, 4).contains("no whole safetensors file"));
    }
}
