//! The ways of attention on a GPU.

use std::ops::Range;

use super::{Attention, AttentionBackward, Shape};
use crate::ops::kernel::linear_grid;
use crate::ops::product::MOST_FLOPS;
use crate::ops::{Dispatch, Kernel, Suits, Uniform, Variant};
use crate::plan::View;

/// What a dispatch does: blocks of tokens, heads and rows of the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    blocks: Range<usize>,
    heads: Range<usize>,
    rows: Range<usize>,
}

/// Some rows each that take no more than a dispatch should; where one row takes more, some of its heads
/// each; where one head does, some of its blocks. `flops` are of all.
fn pieces([blocks, heads, rows]: [usize; 3], flops: f64) -> Vec<Piece> {
    let head_flops = flops / (heads * rows) as f64;
    let most = (MOST_FLOPS / head_flops) as usize; // heads
    let cut = |len: usize, step: usize| {
        (0..len).step_by(step).map(move |first| first..(first + step).min(len))
    };
    // Blocks differ: the dearest has all keys or queries, twice as many as the mean.
    let step = blocks.div_ceil((2.0 * head_flops / MOST_FLOPS).ceil() as usize);
    let blocks = if most > 0 { vec![0..blocks] } else { cut(blocks, step).collect() };
    let mut pieces = Vec::new();
    for rows in cut(rows, (most / heads).max(1)) {
        for heads in cut(heads, most.clamp(1, heads)) {
            for blocks in &blocks {
                let (rows, heads) = (rows.clone(), heads.clone());
                pieces.push(Piece { blocks: blocks.clone(), heads, rows });
            }
        }
    }
    pieces
}

/// A kernel with its operands, and how its workgroups share out the work.
struct Pass {
    kernel: Kernel,
    bindings: Vec<View>,
    /// Blocks of tokens, groups of heads, rows of the batch.
    grid: [usize; 3],
    flops: f64,
}

impl Pass {
    fn dispatches(&self, shape: &Shape) -> Vec<Dispatch> {
        pieces(self.grid, self.flops)
            .into_iter()
            .map(|piece| Dispatch {
                kernel: self.kernel.clone(),
                bindings: self.bindings.clone(),
                uniform: uniform(shape)
                    .size(piece.blocks.start)
                    .size(piece.heads.start)
                    .size(piece.rows.start),
                grid: [piece.blocks, piece.heads, piece.rows].map(|range| range.len() as u32),
            })
            .collect()
    }
}

fn uniform(shape: &Shape) -> Uniform {
    Uniform::new()
        .size(shape.context)
        .size(shape.q_heads)
        .size(shape.kv_heads)
        .size(shape.head_dim)
        .size(shape.tokens() * shape.q_heads)
        .real(shape.scale())
}

/// Sizes count by their powers of two: a tuning serves other batches and contexts too.
pub(super) fn class(shape: &Shape) -> String {
    format!(
        "{} tokens in rows of {}, {} heads of {}, {} of keys",
        shape.tokens().next_power_of_two(),
        shape.context.next_power_of_two(),
        shape.q_heads,
        shape.head_dim,
        shape.kv_heads,
    )
}

/// Extents of a workgroup's tile, chosen so that it fits the 16 KiB of shared memory that WebGPU
/// promises: `own` tokens that it holds and `other` tokens that pass by, of `quads` vec4 each.
#[derive(Clone, Copy, Debug)]
struct Tile {
    own: usize,
    other: usize,
    quads: usize,
}

impl Tile {
    const SHARED_BYTES: usize = 16 * 1024;

    /// One vector a token and side, and one score a pair.
    fn forward(head_dim: usize) -> Self {
        Self::largest(head_dim, 1)
    }

    /// Two of each: (k, v) against (q, dout), p and ds.
    fn backward(head_dim: usize) -> Self {
        Self::largest(head_dim, 2)
    }

    fn largest(head_dim: usize, vectors: usize) -> Self {
        assert!(
            head_dim.is_multiple_of(2) && (2..=256).contains(&head_dim),
            "head_dim is even and at most 256, not {head_dim}: the config's rules say so"
        );
        let quads = head_dim.div_ceil(4);
        [(32, 32), (32, 16), (16, 16), (16, 8), (8, 8), (8, 4), (4, 4), (4, 2)]
            .into_iter()
            .map(|(own, other)| Self { own, other, quads })
            .find(|tile| tile.bytes(vectors) <= Self::SHARED_BYTES && tile.threads() <= 256)
            .expect("the smallest tile fits at head_dim 256")
    }

    /// Rows of vec4 are padded to an odd number, so that a column's rows lie in different banks.
    fn stride(&self) -> usize {
        self.quads | 1
    }

    /// Vectors, scores, and the three reals a token of the online softmax.
    fn bytes(&self, vectors: usize) -> usize {
        let vec4s = vectors * (self.own + self.other) * self.stride();
        16 * vec4s + 4 * (vectors * self.own * self.other + 3 * self.own)
    }

    /// Each thread owns 4 tokens x 4 features of the result.
    fn threads(&self) -> usize {
        self.own / 4 * self.quads
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
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
    fn grid(&self, shape: &Shape, heads: usize) -> [usize; 3] {
        [shape.context.div_ceil(self.own), heads, shape.batch]
    }
}

/// How many tokens a thread of the kernels without shared memory owns.
#[derive(Clone, Copy, Debug)]
struct Registers {
    rows: usize,
    /// Query heads among them, that read the same keys.
    heads: usize,
    quads: usize,
}

impl Registers {
    /// Threads of a workgroup.
    const LANES: usize = 8;
    /// Longer heads are not unrolled by Mesa's compiler.
    const MOST_QUADS: usize = 32;

    /// Whether heads are whole vec4s, and few.
    fn suit(shape: &Shape) -> bool {
        shape.head_dim.is_multiple_of(4) && shape.head_dim / 4 <= Self::MOST_QUADS
    }

    /// As many queries as have `vec4s` in all.
    fn of_queries(shape: &Shape, vec4s: usize) -> Self {
        let own = Self::of_keys(shape, vec4s);
        let group = shape.q_heads / shape.kv_heads;
        let heads = [8, 4, 2, 1].into_iter().find(|&n| n <= own.rows && group.is_multiple_of(n));
        Self { heads: heads.expect("1 divides every number"), ..own }
    }

    /// As many keys as have `vec4s` in all.
    fn of_keys(shape: &Shape, vec4s: usize) -> Self {
        let quads = shape.head_dim / 4;
        let rows = [8, 4, 2, 1].into_iter().find(|rows| rows * quads <= vec4s).unwrap_or(1);
        Self { rows, heads: 1, quads }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        let constants = [
            ("LANES", Self::LANES),
            ("QUADS", self.quads),
            ("ROWS", self.rows),
            ("HEADS", self.heads),
        ];
        constants.map(|(name, value)| (name, value as f64)).to_vec()
    }

    /// Blocks of tokens, groups of heads, rows of the batch.
    fn grid(&self, shape: &Shape, heads: usize) -> [usize; 3] {
        let tokens = self.rows / self.heads * Self::LANES;
        [shape.context.div_ceil(tokens), heads / self.heads, shape.batch]
    }

    fn variant(dispatches: Vec<Dispatch>) -> Variant {
        Variant { name: "registers", suits: Suits::Software, lanes: Self::LANES, dispatches }
    }
}

pub(super) mod forward {
    use super::*;

    pub fn baseline(op: &Attention) -> Vec<Dispatch> {
        let tile = Tile::forward(op.shape.head_dim);
        let kernel = Kernel {
            module: "attention",
            source: include_str!("../../../../shaders/attention.wgsl"),
            entry: "attention",
            constants: tile.constants(),
        };
        pass(op, kernel, tile.grid(&op.shape, op.shape.q_heads))
    }

    pub fn alternatives(op: &Attention) -> Vec<Variant> {
        if !Registers::suit(&op.shape) {
            return Vec::new();
        }
        // q and the sums, each of this many vec4s.
        let own = Registers::of_queries(&op.shape, 64);
        let kernel = Kernel {
            module: "attention_registers",
            source: include_str!("../../../../shaders/attention_registers.wgsl"),
            entry: "attention_registers",
            constants: own.constants(),
        };
        vec![Registers::variant(pass(op, kernel, own.grid(&op.shape, op.shape.q_heads)))]
    }

    fn pass(op: &Attention, kernel: Kernel, grid: [usize; 3]) -> Vec<Dispatch> {
        let flops = op.shape.pairs() * (4 * op.shape.head_dim) as f64;
        Pass { kernel, bindings: vec![op.qkv, op.out, op.lse], grid, flops }.dispatches(&op.shape)
    }
}

pub(super) mod backward {
    use super::*;

    pub fn baseline(op: &AttentionBackward) -> Vec<Dispatch> {
        let shape = &op.shape;
        let tile = Tile::backward(shape.head_dim);
        let kernel = |entry| Kernel {
            module: "attention_backward",
            source: include_str!("../../../../shaders/attention_backward.wgsl"),
            entry,
            constants: tile.constants(),
        };
        let bindings = vec![op.qkv, op.dout, op.lse, op.delta, op.dqkv];
        let mut dispatches = vec![Dispatch {
            kernel: kernel("attention_backward_delta"),
            bindings: vec![op.out, op.dout, op.delta],
            uniform: uniform(shape).size(0).size(0).size(0),
            grid: linear_grid((shape.tokens() * shape.q_heads).div_ceil(64)),
        }];
        let (q, kv) = (kernel("attention_backward_q"), kernel("attention_backward_kv"));
        let grids = [tile.grid(shape, shape.q_heads), tile.grid(shape, shape.kv_heads)];
        dispatches.extend(passes(shape, [q, kv], bindings, grids));
        dispatches
    }

    pub fn alternatives(op: &AttentionBackward) -> Vec<Variant> {
        let shape = &op.shape;
        if !Registers::suit(shape) {
            return Vec::new();
        }
        // Three vectors a query (q, dout, dq) and four a key (k, v, dk, dv), of this many vec4s each.
        let (query, key) = (Registers::of_queries(shape, 64), Registers::of_keys(shape, 32));
        let kernel = |entry, own: &Registers| Kernel {
            module: "attention_registers_backward",
            source: include_str!("../../../../shaders/attention_registers_backward.wgsl"),
            entry,
            constants: own.constants(),
        };
        let kernels =
            [kernel("attention_registers_q", &query), kernel("attention_registers_kv", &key)];
        let bindings = vec![op.qkv, op.out, op.dout, op.lse, op.delta, op.dqkv];
        let grids = [query.grid(shape, shape.q_heads), key.grid(shape, shape.kv_heads)];
        vec![Registers::variant(passes(shape, kernels, bindings, grids))]
    }

    /// The one for dq computes three products of vectors a pair, the one for dk and dv four.
    fn passes(
        shape: &Shape,
        [q, kv]: [Kernel; 2],
        bindings: Vec<View>,
        [q_grid, kv_grid]: [[usize; 3]; 2],
    ) -> Vec<Dispatch> {
        let product = shape.pairs() * (2 * shape.head_dim) as f64;
        let q = Pass { kernel: q, bindings: bindings.clone(), grid: q_grid, flops: 3.0 * product };
        let kv = Pass { kernel: kv, bindings, grid: kv_grid, flops: 4.0 * product };
        [q, kv].iter().flat_map(|pass| pass.dispatches(shape)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each (block, head, row) is in one piece.
    fn assert_whole(extents: [usize; 3], pieces: &[Piece]) {
        let [blocks, heads, rows] = extents;
        let mut times = vec![0; blocks * heads * rows];
        for piece in pieces {
            for row in piece.rows.clone() {
                for head in piece.heads.clone() {
                    for block in piece.blocks.clone() {
                        times[(row * heads + head) * blocks + block] += 1;
                    }
                }
            }
        }
        assert!(times.iter().all(|&times| times == 1), "{extents:?}");
    }

    #[test]
    fn pieces_are_whole_and_short() {
        // Rows, then heads, then blocks are shared out.
        for (extents, total, expected) in [
            ([5, 3, 7], 0.5, 1),
            ([5, 3, 7], 2.5, 4),
            ([5, 3, 7], 20.0, 21),
            ([40, 3, 2], 60.0, 6 * 20),
        ] {
            let pieces = pieces(extents, total * MOST_FLOPS);
            assert_whole(extents, &pieces);
            assert_eq!(pieces.len(), expected, "{extents:?} {total}");
            // The share of a head that its last blocks take, of whose keys none is in the future.
            let head = total / (extents[1] * extents[2]) as f64;
            let blocks = extents[0] as f64;
            for piece in &pieces {
                let (first, end) = (piece.blocks.start as f64, piece.blocks.end as f64);
                let share = (end * (end + 1.0) - first * (first + 1.0)) / (blocks * (blocks + 1.0));
                let flops = head * share * (piece.heads.len() * piece.rows.len()) as f64;
                assert!(flops < 1.05, "{extents:?} {total}: {piece:?} does {flops}");
            }
        }
    }

    #[test]
    fn a_block_is_never_cut() {
        let pieces = pieces([2, 1, 1], 1000.0 * MOST_FLOPS);
        assert_whole([2, 1, 1], &pieces);
        assert_eq!(pieces.len(), 2);
    }
}
