//! Variants of attention on a GPU.

use std::ops::Range;

use super::blocks::{MatrixTile, QuadTile, Registers, Tile};
use super::{Attention, AttentionBackward, Shape};
use crate::kernel::{
    Binding, Dispatch, Kernel, MAX_WORKGROUPS, Module, Needs, Suits, Uniform, Variant, linear_grid,
};
use crate::ops::product::{MOST_FLOPS, MOST_FLOPS_OF_GPUS, for_matrix_units};
use crate::tensor::View;

/// The work of a dispatch: blocks of tokens, heads and rows of the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    blocks: Range<usize>,
    heads: Range<usize>,
    rows: Range<usize>,
}

/// Divides the work into dispatches of about `most_flops` at most; `flops` is the total. A dispatch computes several
/// rows; or several heads of one row, if a row takes more; or several blocks of one head, if a head takes more.
fn pieces([blocks, heads, rows]: [usize; 3], flops: f64, most_flops: f64) -> Vec<Piece> {
    let head_flops = flops / (heads * rows) as f64;
    let most = (most_flops / head_flops) as usize; // heads
    let cut = |len: usize, step: usize| {
        (0..len).step_by(step).map(move |first| first..(first + step).min(len))
    };
    // Blocks differ in cost: the largest has all keys or queries, twice as many as the mean.
    let step = blocks.div_ceil((2.0 * head_flops / most_flops).ceil() as usize);
    let blocks: Vec<_> = cut(blocks, if most > 0 { blocks } else { step }).collect();
    let mut pieces = Vec::new();
    for rows in cut(rows, (most / heads).clamp(1, MAX_WORKGROUPS)) {
        for heads in cut(heads, most.clamp(1, heads)) {
            for blocks in &blocks {
                let (rows, heads) = (rows.clone(), heads.clone());
                pieces.push(Piece { blocks: blocks.clone(), heads, rows });
            }
        }
    }
    pieces
}

/// A kernel with its operands and its grid.
struct Pass {
    kernel: Kernel,
    bindings: Vec<Binding>,
    /// Blocks of tokens, groups of heads, rows of the batch.
    grid: [usize; 3],
    flops: f64,
    /// Approximate limit of a dispatch.
    most_flops: f64,
}

impl Pass {
    fn dispatches(&self, shape: &Shape) -> Vec<Dispatch> {
        pieces(self.grid, self.flops, self.most_flops)
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

/// Sizes are rounded to powers of two, so that a tuning also holds for similar batches and contexts.
pub(super) fn class(shape: &Shape, documents: Option<View>) -> String {
    format!(
        "{} tokens in rows of {}, {} heads of {}, {} of keys{}",
        shape.tokens().next_power_of_two(),
        shape.context.next_power_of_two(),
        shape.q_heads,
        shape.head_dim,
        shape.kv_heads,
        if documents.is_some() { ", by documents" } else { "" },
    )
}

/// Whether heads are whole vec4s.
fn whole_quads(shape: &Shape) -> bool {
    shape.head_dim.is_multiple_of(4)
}

/// Bytes of workgroup memory for the bounds of documents, as in visible_document.wgsl.
fn bound_bytes(documents: Option<View>) -> usize {
    if documents.is_some() { 16 } else { 0 }
}

fn tile(own: &QuadTile, shared: usize, dispatches: Vec<Dispatch>) -> Variant {
    let needs = Needs { shared, ..Needs::default() };
    Variant { name: own.name, suits: Suits::Gpus, needs, dispatches }
}

fn registers(dispatches: Vec<Dispatch>) -> Variant {
    let needs = Needs { subgroup: Registers::LANES, ..Needs::default() };
    Variant { name: "registers", suits: Suits::Software, needs, dispatches }
}

fn by_matrix_units(own: &MatrixTile, shared: usize, dispatches: Vec<Dispatch>) -> Variant {
    Variant { name: own.name, suits: Suits::Gpus, needs: Needs::matrices(shared), dispatches }
}

/// Tiles of the variants with matrix units; none unless all `operands` are halves.
fn matrix_tiles(shape: &Shape, operands: &[View]) -> Vec<MatrixTile> {
    if for_matrix_units(operands) { MatrixTile::all(shape.head_dim) } else { Vec::new() }
}

fn kernel(
    module: &'static str,
    entry: &'static str,
    constants: Vec<(&'static str, f64)>,
    documents: Option<View>,
) -> Kernel {
    let visible = if documents.is_some() { "visible_document" } else { "visible_row" };
    Kernel { module: Module::WithSnippet(module, visible), entry, constants }
}

pub(super) mod forward {
    use super::*;

    pub fn baseline(op: &Attention) -> Vec<Dispatch> {
        let tile = Tile::forward(op.shape.head_dim);
        let kernel = kernel("attention", "attention", tile.constants(), op.documents);
        pass(op, kernel, tile.grid(&op.shape, op.shape.q_heads), MOST_FLOPS)
    }

    pub fn alternatives(op: &Attention) -> Vec<Variant> {
        let shape = &op.shape;
        let heads = shape.q_heads;
        if !whole_quads(shape) {
            return Vec::new();
        }
        let mut variants = Vec::new();
        for own in matrix_tiles(shape, &[op.qkv, op.out]) {
            let kernel =
                kernel("attention_matrix", "attention_matrix", own.constants(1), op.documents);
            let dispatches = pass(op, kernel, own.grid(shape, heads), MOST_FLOPS_OF_GPUS);
            variants.push(by_matrix_units(
                &own,
                own.forward_bytes() + bound_bytes(op.documents),
                dispatches,
            ));
        }
        for own in QuadTile::all(shape.head_dim, 1) {
            let kernel = kernel("attention_tile", "attention_tile", own.constants(), op.documents);
            let dispatches = pass(op, kernel, own.grid(shape, heads), MOST_FLOPS_OF_GPUS);
            variants.push(tile(&own, own.bytes(1) + bound_bytes(op.documents), dispatches));
        }
        if Registers::suit(shape) {
            // q and the sums take this many vec4s each.
            let own = Registers::of_queries(shape, 64);
            let kernel =
                kernel("attention_registers", "attention_registers", own.constants(), op.documents);
            variants.push(registers(pass(op, kernel, own.grid(shape, heads), MOST_FLOPS)));
        }
        variants
    }

    fn pass(op: &Attention, kernel: Kernel, grid: [usize; 3], most_flops: f64) -> Vec<Dispatch> {
        let flops = op.shape.pairs() * (4 * op.shape.head_dim) as f64;
        let mut bindings = vec![("qkv", op.qkv), ("out", op.out), ("lse", op.lse)];
        bindings.extend(op.documents.map(|view| ("documents", view)));
        Pass { kernel, bindings, grid, flops, most_flops }.dispatches(&op.shape)
    }
}

pub(super) mod backward {
    use super::*;

    pub fn baseline(op: &AttentionBackward) -> Vec<Dispatch> {
        let shape = &op.shape;
        let tile = Tile::backward(shape.head_dim);
        let kernel = |entry| kernel("attention_backward", entry, tile.constants(), op.documents);
        let bindings = [bindings(op), bindings(op)];
        let mut dispatches = vec![Dispatch {
            kernel: kernel("attention_backward_delta"),
            bindings: vec![("out", op.out), ("dout", op.dout), ("delta", op.delta)],
            uniform: uniform(shape).size(0).size(0).size(0),
            grid: linear_grid((shape.tokens() * shape.q_heads).div_ceil(64)),
        }];
        let kernels = [kernel("attention_backward_q"), kernel("attention_backward_kv")];
        let grids = [shape.q_heads, shape.kv_heads].map(|heads| tile.grid(shape, heads));
        dispatches.extend(passes(shape, kernels, bindings, grids, MOST_FLOPS));
        dispatches
    }

    pub fn alternatives(op: &AttentionBackward) -> Vec<Variant> {
        let shape = &op.shape;
        if !whole_quads(shape) {
            return Vec::new();
        }
        // The kernel for dq also computes delta.
        let bindings = [[vec![("out", op.out)], bindings(op)].concat(), bindings(op)];
        let heads = [shape.q_heads, shape.kv_heads];
        let mut variants = Vec::new();
        for own in matrix_tiles(shape, &[op.qkv, op.out, op.dout, op.dqkv]) {
            let kernels = ["attention_matrix_q", "attention_matrix_kv"].map(|entry| {
                kernel("attention_matrix_backward", entry, own.constants(2), op.documents)
            });
            let grids = heads.map(|heads| own.grid(shape, heads));
            let dispatches = passes(shape, kernels, bindings.clone(), grids, MOST_FLOPS_OF_GPUS);
            variants.push(by_matrix_units(
                &own,
                own.backward_bytes() + bound_bytes(op.documents),
                dispatches,
            ));
        }
        for own in QuadTile::all(shape.head_dim, 2) {
            let kernels = ["attention_tile_q", "attention_tile_kv"].map(|entry| {
                kernel("attention_tile_backward", entry, own.constants(), op.documents)
            });
            let grids = heads.map(|heads| own.grid(shape, heads));
            let dispatches = passes(shape, kernels, bindings.clone(), grids, MOST_FLOPS_OF_GPUS);
            variants.push(tile(&own, own.bytes(2) + bound_bytes(op.documents), dispatches));
        }
        if Registers::suit(shape) {
            // A query has three vectors (q, dout, dq) and a key four (k, v, dk, dv), of this many vec4s each.
            let (query, key) = (Registers::of_queries(shape, 64), Registers::of_keys(shape, 32));
            let kernel = |entry, own: &Registers| {
                kernel("attention_registers_backward", entry, own.constants(), op.documents)
            };
            let kernels =
                [kernel("attention_registers_q", &query), kernel("attention_registers_kv", &key)];
            let grids = [query.grid(shape, shape.q_heads), key.grid(shape, shape.kv_heads)];
            variants.push(registers(passes(shape, kernels, bindings, grids, MOST_FLOPS)));
        }
        variants
    }

    /// Bindings of both kernels.
    fn bindings(op: &AttentionBackward) -> Vec<Binding> {
        let mut bindings = vec![
            ("qkv", op.qkv),
            ("dout", op.dout),
            ("lse", op.lse),
            ("delta", op.delta),
            ("dqkv", op.dqkv),
        ];
        bindings.extend(op.documents.map(|view| ("documents", view)));
        bindings
    }

    /// The kernel for dq computes three products of vectors for each pair, the kernel for dk and dv four.
    fn passes(
        shape: &Shape,
        [q, kv]: [Kernel; 2],
        [q_bindings, kv_bindings]: [Vec<Binding>; 2],
        [q_grid, kv_grid]: [[usize; 3]; 2],
        most_flops: f64,
    ) -> Vec<Dispatch> {
        let product = shape.pairs() * (2 * shape.head_dim) as f64;
        let pass = |kernel, bindings, grid, products| {
            Pass { kernel, bindings, grid, flops: products * product, most_flops }.dispatches(shape)
        };
        [pass(q, q_bindings, q_grid, 3.0), pass(kv, kv_bindings, kv_grid, 4.0)].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that each (block, head, row) is in exactly one piece.
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
        // Rows are divided first, then heads, then blocks.
        for (extents, total, expected) in [
            ([5, 3, 7], 0.5, 1),
            ([5, 3, 7], 2.5, 4),
            ([5, 3, 7], 20.0, 21),
            ([40, 3, 2], 60.0, 6 * 20),
        ] {
            let pieces = pieces(extents, total, 1.0);
            assert_whole(extents, &pieces);
            assert_eq!(pieces.len(), expected, "{extents:?} {total}");
            // The share of a head's work in its last blocks, which see all keys.
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
        let pieces = pieces([2, 1, 1], 1000.0, 1.0);
        assert_whole([2, 1, 1], &pieces);
        assert_eq!(pieces.len(), 2);
    }
}
