//! Numbers of tokens of a workgroup in the kernels for attention, and the workgroup memory that they take.

use super::Shape;
use crate::config::MAX_HEAD_DIM;
use crate::kernel::Needs;

/// Extents of a workgroup's tile: `own` tokens, whose results the workgroup computes, and `other` tokens, over which it
/// loops; each token has `quads` vec4s. The tile fits the 16 KiB of workgroup memory that WebGPU guarantees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    own: usize,
    other: usize,
    quads: usize,
}

impl Tile {
    const SHARED_BYTES: usize = 16 * 1024;

    /// Forward: one vector for each token of both sides, and one score for each pair.
    pub fn forward(head_dim: usize) -> Self {
        Self::largest(head_dim, 1)
    }

    /// Backward: two vectors for each token, (k, v) or (q, dout), and two numbers for each pair, p and ds.
    pub fn backward(head_dim: usize) -> Self {
        Self::largest(head_dim, 2)
    }

    fn largest(head_dim: usize, vectors: usize) -> Self {
        assert!(
            head_dim.is_multiple_of(2) && (2..=MAX_HEAD_DIM).contains(&head_dim),
            "head_dim is even and at most {MAX_HEAD_DIM}, not {head_dim}: the config's rules say so"
        );
        let quads = head_dim.div_ceil(4);
        [(32, 32), (32, 16), (16, 16), (16, 8), (8, 8), (8, 4), (4, 4), (4, 2)]
            .into_iter()
            .map(|(own, other)| Self { own, other, quads })
            .find(|tile| tile.bytes(vectors) <= Self::SHARED_BYTES && tile.threads() <= 256)
            .expect("the smallest tile fits at head_dim 256")
    }

    /// Vec4s from row to row: padded to an odd number, so that the elements of a column are in different banks.
    fn stride(&self) -> usize {
        self.quads | 1
    }

    /// Bytes of workgroup memory: vectors, scores, and three reals for each token's online softmax.
    fn bytes(&self, vectors: usize) -> usize {
        let vec4s = vectors * (self.own + self.other) * self.stride();
        16 * vec4s + 4 * (vectors * self.own * self.other + 3 * self.own)
    }

    /// Each thread owns 4 tokens x 4 features of the result.
    fn threads(&self) -> usize {
        self.own / 4 * self.quads
    }

    pub fn constants(&self) -> Vec<(&'static str, f64)> {
        let constants = [
            ("OWN", self.own),
            ("OTHER", self.other),
            ("QUADS", self.quads),
            ("STRIDE", self.stride()),
            ("THREADS", self.threads()),
        ];
        constants.map(|(name, value)| (name, value as f64)).to_vec()
    }

    /// Blocks of tokens, heads, rows of the batch.
    pub fn grid(&self, shape: &Shape, heads: usize) -> [usize; 3] {
        [shape.context.div_ceil(self.own), heads, shape.batch]
    }
}

/// Extents of a workgroup's tile in the kernels for real GPUs, for heads of whole vec4s.
#[derive(Clone, Copy, Debug)]
pub(super) struct QuadTile {
    /// Name of the variant.
    pub name: &'static str,
    own: usize,
    other: usize,
    quads: usize,
}

impl QuadTile {
    /// Own tokens per thread, as in the shaders.
    const EACH: usize = 4;

    /// The tiles to try: a large one, which loads less, if its workgroup memory fits common GPUs; and one that fits any
    /// adapter. A workgroup holds `vectors` vectors of each token: one in the forward, two in the backward.
    pub fn all(head_dim: usize, vectors: usize) -> Vec<Self> {
        const MOST_BYTES: usize = 48 * 1024;
        const MOST_THREADS: usize = 256;
        let tile = |name, (own, other)| Self { name, own, other, quads: head_dim / 4 };
        let large = tile("tile_large", (32, 32));
        let small = [(32, 32), (16, 32), (16, 16), (8, 16), (8, 8), (4, 8), (4, 4), (4, 2)]
            .map(|extents| tile("tile", extents))
            .into_iter()
            .find(|it| it.bytes(vectors) <= Tile::SHARED_BYTES && it.threads() <= MOST_THREADS);
        let is_large = (Tile::SHARED_BYTES + 1..=MOST_BYTES).contains(&large.bytes(vectors))
            && large.threads() <= MOST_THREADS;
        is_large.then_some(large).into_iter().chain(small).collect()
    }

    /// Bytes of workgroup memory, as in attention_tile.wgsl and, with two vectors, attention_tile_backward.wgsl.
    pub fn bytes(&self, vectors: usize) -> usize {
        let vec4s = vectors * (self.own + self.other) * (self.quads | 1);
        let pairs = vectors * self.own * self.other;
        let of_tokens =
            if vectors == 1 { self.quads * self.own } else { 2 * self.own.max(self.other) };
        16 * vec4s + 4 * (pairs + of_tokens)
    }

    /// Threads of a workgroup. A thread computes one vec4 of the results of each of its tokens.
    fn threads(&self) -> usize {
        self.own / Self::EACH * self.quads
    }

    pub fn constants(&self) -> Vec<(&'static str, f64)> {
        // Enough threads for all `other` tokens.
        let across = self.other.div_ceil(self.quads).next_power_of_two();
        let constants = [
            ("OWN", self.own),
            ("OTHER", self.other),
            ("ACROSS", across),
            ("QUADS", self.quads),
            ("LOADS", self.other * Self::EACH / self.own),
        ];
        constants.map(|(name, value)| (name, value as f64)).to_vec()
    }

    /// Blocks of tokens, heads, rows of the batch.
    pub fn grid(&self, shape: &Shape, heads: usize) -> [usize; 3] {
        [shape.context.div_ceil(self.own), heads, shape.batch]
    }
}

/// Extents of a workgroup's tile in the kernels with matrix units, in pieces of `SIDE` x `SIDE`.
#[derive(Clone, Copy, Debug)]
pub(super) struct MatrixTile {
    /// Name of the variant: its numbers of own and other tokens.
    pub name: &'static str,
    /// Number of subgroups along the own tokens, and along the other tokens and the features of a head.
    subgroups: [usize; 2],
    /// Pieces of a subgroup: along the own tokens, and along the other tokens of a block of scores.
    pieces: [usize; 2],
    quads: usize,
}

impl MatrixTile {
    const SIDE: usize = 16;
    /// Largest number of pieces of own tokens that a subgroup holds in registers.
    const MOST_HELD: usize = 8;
    /// Largest number of loads under way of a thread that holds pieces.
    const MOST_LOADS_BESIDE_HELD: usize = 4;

    /// The tiles for heads of whole vec4s. A head must be long enough to fill a piece, and short enough for workgroup
    /// memory and for the registers of the results. Large tiles load less.
    pub fn all(head_dim: usize) -> Vec<Self> {
        let tile = |name, subgroups, pieces| Self { name, subgroups, pieces, quads: head_dim / 4 };
        let large = tile("matrix64x32", [2, 2], [2, 1]);
        let medium = tile("matrix32x32", [1, 2], [2, 1]);
        let small = tile("matrix32x16", [2, 1], [1, 1]);
        match head_dim {
            16..=64 => vec![large, medium],
            65..=128 => vec![large, medium, small],
            _ => Vec::new(),
        }
    }

    fn own(&self) -> usize {
        self.subgroups[0] * self.pieces[0] * Self::SIDE
    }

    /// Other tokens of a block.
    fn other(&self) -> usize {
        self.subgroups[1] * self.pieces[1] * Self::SIDE
    }

    /// Pieces of a subgroup across a head.
    fn wide(&self) -> usize {
        (4 * self.quads).div_ceil(Self::SIDE * self.subgroups[1])
    }

    /// Strides between rows, in vec4s: of vectors and of scores.
    fn strides(&self) -> [usize; 2] {
        [self.subgroups[1] * self.wide() * Self::SIDE / 4 + 2, self.other() / 4 + 2]
    }

    /// Bytes of workgroup memory, as in attention_matrix.wgsl.
    pub fn forward_bytes(&self) -> usize {
        let [stride, scores_stride] = self.strides();
        let unit = Self::SIDE * (Self::SIDE / 4 + 2);
        let passing = (self.other() * stride).max(self.own() * scores_stride);
        let halves = (self.own() + self.other()) * stride + unit + passing;
        8 * halves + 16 * self.own() * scores_stride + 4 * self.own() + 16
    }

    /// Bytes of workgroup memory, as in attention_matrix_backward.wgsl.
    pub fn backward_bytes(&self) -> usize {
        let [stride, scores_stride] = self.strides();
        let halves = 2 * (self.own() + self.other()) * stride + self.own() * scores_stride;
        8 * halves + 16 * self.own() * scores_stride + 2 * 4 * self.other()
    }

    /// Constants of a kernel whose workgroups hold `vectors` vectors of each own token.
    pub fn constants(&self, vectors: usize) -> Vec<(&'static str, f64)> {
        let ([subgroups_down, subgroups_across], [down, across]) = (self.subgroups, self.pieces);
        let threads = 32 * subgroups_down * subgroups_across;
        let padded = self.strides()[0] - 2; // vec4s of a head
        let loads = self.other() * padded / threads;
        // A piece takes four or eight registers of each thread, a load two, and a thread has at most 255.
        let hold = vectors * down * self.wide() * subgroups_across <= Self::MOST_HELD
            && vectors * loads <= Self::MOST_LOADS_BESIDE_HELD;
        let constants = [
            ("HOLD", usize::from(hold)),
            ("QUADS", self.quads),
            ("SUBGROUPS_DOWN", subgroups_down),
            ("SUBGROUPS_ACROSS", subgroups_across),
            ("DOWN", down),
            ("ACROSS", across),
            ("WIDE", self.wide()),
            ("DEEP", self.wide() * subgroups_across),
            ("PASSING", across * subgroups_across),
            ("PART", self.other() / 4 / (threads / self.own())),
            ("LOADS", loads),
            ("SLICES", self.wide().div_ceil(across)),
        ];
        constants.map(|(name, value)| (name, value as f64)).to_vec()
    }

    /// Blocks of tokens, heads, rows of the batch.
    pub fn grid(&self, shape: &Shape, heads: usize) -> [usize; 3] {
        [shape.context.div_ceil(self.own()), heads, shape.batch]
    }
}

/// Tokens of a thread in the kernels without workgroup memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers {
    rows: usize,
    /// Query heads among the rows. They read the same keys.
    heads: usize,
    quads: usize,
}

impl Registers {
    /// Threads of a workgroup.
    pub const LANES: usize = 8;
    /// Largest head, in vec4s: Mesa's compiler does not unroll longer ones.
    const MOST_QUADS: usize = 32;

    /// Whether heads of whole vec4s are short enough, and the program has these kernels.
    pub fn suit(shape: &Shape) -> bool {
        Needs::SUBGROUPS_IN_PROGRAM && shape.head_dim / 4 <= Self::MOST_QUADS
    }

    /// As many queries as fit into `vec4s` vec4s.
    pub fn of_queries(shape: &Shape, vec4s: usize) -> Self {
        let own = Self::of_keys(shape, vec4s);
        let group = shape.q_heads / shape.kv_heads;
        let heads = [8, 4, 2, 1].into_iter().find(|&n| n <= own.rows && group.is_multiple_of(n));
        Self { heads: heads.expect("1 divides every number"), ..own }
    }

    /// As many keys as fit into `vec4s` vec4s.
    pub fn of_keys(shape: &Shape, vec4s: usize) -> Self {
        let quads = shape.head_dim / 4;
        let rows = [8, 4, 2, 1].into_iter().find(|rows| rows * quads <= vec4s).unwrap_or(1);
        Self { rows, heads: 1, quads }
    }

    pub fn constants(&self) -> Vec<(&'static str, f64)> {
        let constants = [
            ("LANES", Self::LANES),
            ("QUADS", self.quads),
            ("ROWS", self.rows),
            ("HEADS", self.heads),
        ];
        constants.map(|(name, value)| (name, value as f64)).to_vec()
    }

    /// Blocks of tokens, groups of heads, rows of the batch.
    pub fn grid(&self, shape: &Shape, heads: usize) -> [usize; 3] {
        let tokens = self.rows / self.heads * Self::LANES;
        [shape.context.div_ceil(tokens), heads / self.heads, shape.batch]
    }
}
