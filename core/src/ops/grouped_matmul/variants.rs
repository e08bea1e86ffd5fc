//! Variants of a grouped matmul on a GPU: those of a dense matmul, with parts from the tile list.

use std::ops::Range;

use super::{GroupedMatmul, GroupedMatmulBackwardWeight};
use crate::kernel::{Dispatch, Kernel, MAX_WORKGROUPS, Module, Needs, Uniform, Variant};
use crate::ops::Op;
use crate::ops::matmul::Transpose;
use crate::ops::moe_dispatch::TILE_ROWS;
use crate::ops::product::{self, Epilogue, Parts, Way};
use crate::tensor::View;

/// Rows and columns of results of a workgroup, in the kernels for single elements.
const BLOCK: usize = 32;

pub(super) fn baseline(op: &GroupedMatmul) -> Vec<Dispatch> {
    if whole_quads([op.n, op.k]) {
        return stored(op, &product::block());
    }
    let entry = match op.transpose {
        Transpose::None => "grouped_matmul_nn",
        Transpose::B => "grouped_matmul_nt",
        Transpose::A => panic!("the rows of a grouped product are never summed over"),
    };
    let tiles = op.tile_expert.len;
    vec![Dispatch {
        kernel: single(entry, op.accumulate),
        bindings: vec![
            ("a", op.a),
            ("b", op.b),
            ("offsets", op.offsets),
            ("tile_expert", op.tile_expert),
            ("tile_row", op.tile_row),
            ("c", op.c),
        ],
        uniform: Uniform::new().size(op.n).size(op.k).size(tiles).size(TILE_ROWS),
        grid: tile_grid(op.n, tiles, [BLOCK, BLOCK]),
    }]
}

pub(super) fn alternatives(op: &GroupedMatmul) -> Vec<Variant> {
    if !whole_quads([op.n, op.k]) {
        return Vec::new();
    }
    ways_of_rows(op).iter().map(|way| variant(way.name, way, stored(op, way))).collect()
}

/// Variants for results of `n` columns and about `m` rows per expert, with these factors. Parts have at most
/// `most_rows` rows.
fn ways(m: usize, n: usize, factors: [View; 2], most_rows: usize) -> Vec<Way> {
    let mut ways = Vec::new();
    if product::for_matrix_units(&factors) {
        ways.extend(product::matrix_ways().into_iter().filter(|way| way.part[0] <= most_rows));
    }
    ways.push(product::tile64_few());
    ways.extend(product::subgroup_ways(m, n));
    ways.push(product::block_tall());
    ways
}

fn ways_of_rows(op: &GroupedMatmul) -> Vec<Way> {
    ways(op.rows / op.num_experts, op.n, [op.a, op.b], TILE_ROWS)
}

/// Variants of the product with an epilogue, if its rows are whole vec4s.
pub(in crate::ops) fn fused(op: &GroupedMatmul, epilogue: &Epilogue) -> Vec<Variant> {
    if !whole_quads([op.n, op.k]) {
        return Vec::new();
    }
    let ways = ways_of_rows(op).into_iter().chain([product::block()]);
    ways.map(|way| variant(way.fused, &way, of_rows(op, &way, epilogue))).collect()
}

pub(super) fn class(op: &GroupedMatmul) -> String {
    let GroupedMatmul { rows, n, k, num_experts, .. } = *op;
    let storage = if op.transpose == Transpose::B { "a bT" } else { "a b" };
    class_of(storage, [rows, n, k], num_experts, whole_quads([n, k]))
}

pub(super) fn baseline_weight(op: &GroupedMatmulBackwardWeight) -> Vec<Dispatch> {
    let GroupedMatmulBackwardWeight { out_features, in_features, num_experts, .. } = *op;
    if whole_quads([out_features, in_features]) {
        return of_weight(op, &product::block());
    }
    vec![Dispatch {
        kernel: single("grouped_matmul_tn", true),
        bindings: vec![
            ("dy", op.dy),
            ("x", op.x),
            ("offsets", op.offsets),
            ("dweight", op.dweight),
        ],
        uniform: Uniform::new().size(out_features).size(in_features),
        grid: [
            in_features.div_ceil(BLOCK) as u32,
            out_features.div_ceil(BLOCK) as u32,
            num_experts as u32,
        ],
    }]
}

pub(super) fn alternatives_weight(op: &GroupedMatmulBackwardWeight) -> Vec<Variant> {
    if !whole_quads([op.out_features, op.in_features]) {
        return Vec::new();
    }
    let ways = ways(op.out_features, op.in_features, [op.dy, op.x], usize::MAX);
    ways.iter().map(|way| variant(way.name, way, of_weight(op, way))).collect()
}

pub(super) fn class_weight(op: &GroupedMatmulBackwardWeight) -> String {
    let GroupedMatmulBackwardWeight { rows, out_features, in_features, num_experts, .. } = *op;
    let sizes = [rows, out_features, in_features];
    class_of("aT b", sizes, num_experts, whole_quads([out_features, in_features]))
}

fn whole_quads(lengths: [usize; 2]) -> bool {
    lengths.iter().all(|length| length.is_multiple_of(4))
}

fn class_of(storage: &str, sizes: [usize; 3], num_experts: usize, quads: bool) -> String {
    let [rows, n, k] = sizes.map(usize::next_power_of_two);
    let elements = if quads { "vec4" } else { "single" };
    format!("{storage}, {rows}x{n}x{k}, {num_experts} experts, {elements}")
}

fn variant(name: &'static str, way: &Way, dispatches: Vec<Dispatch>) -> Variant {
    /// Workgroup memory for the part of the results, as in part_shared.wgsl.
    const PART_BYTES: usize = 32;
    let needs = Needs { shared: way.needs.shared + PART_BYTES, ..way.needs };
    Variant { name, suits: way.suits, needs, dispatches }
}

/// A grid over columns and the longest tile list. Each tile is divided into parts of a workgroup's rows.
fn tile_grid(n: usize, tiles: usize, [rows, columns]: [usize; 2]) -> [u32; 3] {
    assert!(TILE_ROWS.is_multiple_of(rows), "parts of {rows} rows leave some of a tile out");
    let parts = tiles * (TILE_ROWS / rows);
    let planes = parts.div_ceil(MAX_WORKGROUPS);
    [n.div_ceil(columns) as u32, parts.div_ceil(planes) as u32, planes as u32]
}

fn stored(op: &GroupedMatmul, way: &Way) -> Vec<Dispatch> {
    of_rows(op, way, &Epilogue::store(op.c, op.n, op.accumulate))
}

/// Dispatches over the tiles: as many as are needed to keep each short.
fn of_rows(op: &GroupedMatmul, way: &Way, epilogue: &Epilogue) -> Vec<Dispatch> {
    let tiles = op.tile_expert.len;
    let flops = 2.0 * (TILE_ROWS * op.n) as f64 * op.k as f64;
    pieces(tiles, flops, way.most_flops())
        .map(|piece| {
            let mut kernel = product::kernel(way, Parts::Tile, epilogue, Some(op.k));
            kernel.constants.extend(product::storage(false, op.transpose == Transpose::None));
            kernel.constants.push(("TILE_ROWS", TILE_ROWS as f64));
            let mut bindings = vec![("a", op.a), ("b", op.b)];
            bindings.extend(epilogue.bindings());
            bindings.extend([
                ("offsets", op.offsets),
                ("tile_expert", op.tile_expert),
                ("tile_row", op.tile_row),
            ]);
            Dispatch {
                kernel,
                bindings,
                grid: tile_grid(op.n, piece.len(), way.part),
                uniform: product::sizes(op.rows, op.n, op.k, piece),
            }
        })
        .collect()
}

/// Dispatches over the experts: as many as are needed to keep each short, if experts have similar numbers of rows.
fn of_weight(op: &GroupedMatmulBackwardWeight, way: &Way) -> Vec<Dispatch> {
    let [rows, columns] = way.part;
    let epilogue = Epilogue::store(op.dweight, op.in_features, true);
    let mut kernel = product::kernel(way, Parts::Weight, &epilogue, None);
    kernel.constants.extend(product::storage(true, true));
    let mut bindings = vec![("a", op.dy), ("b", op.x), ("offsets", op.offsets)];
    bindings.extend(epilogue.bindings());
    pieces(op.num_experts, Op::flops(op) / op.num_experts as f64, way.most_flops())
        .map(|piece| Dispatch {
            kernel: kernel.clone(),
            bindings: bindings.clone(),
            grid: [
                op.in_features.div_ceil(columns) as u32,
                op.out_features.div_ceil(rows) as u32,
                piece.len() as u32,
            ],
            uniform: product::sizes(op.out_features, op.in_features, op.rows, piece),
        })
        .collect()
}

/// Ranges of `count` items with `flops` in all, of at most about `most_flops` each.
fn pieces(count: usize, flops: f64, most_flops: f64) -> impl Iterator<Item = Range<usize>> {
    let step = ((most_flops / flops.max(1.0)) as usize).clamp(1, count.max(1));
    (0..count).step_by(step).map(move |first| first..count.min(first + step))
}

fn single(entry: &'static str, accumulate: bool) -> Kernel {
    Kernel {
        module: Module::Shader("grouped_matmul"),
        entry,
        constants: vec![("ACCUMULATE", f64::from(u8::from(accumulate)))],
    }
}
