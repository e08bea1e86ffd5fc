//! Variants of a matmul on a GPU.

use super::{Matmul, Transpose};
use crate::kernel::{
    Dispatch, Kernel, MAX_WORKGROUPS, Module, Needs, Suits, Uniform, Variant, linear_grid,
};
use crate::ops::Op;
use crate::ops::product::{self, Epilogue, Parts, Way};
use crate::tensor::View;

/// Whether the rows of both factors and of the result consist of whole vec4s.
fn whole_quads(op: &Matmul) -> bool {
    let lengths = match op.transpose {
        Transpose::None | Transpose::B => [op.k, op.n],
        Transpose::A => [op.m, op.n],
    };
    lengths.iter().all(|length| length.is_multiple_of(4))
}

/// Divides the product into pieces for single dispatches: ranges of the result's rows; or ranges of k, whose products
/// are added, if the left factor's rows run along m. Each piece comes with its first row.
fn pieces(op: &Matmul, most_flops: f64) -> Vec<(usize, Matmul)> {
    /// Least number of rows of a row of workgroups.
    const LEAST_ROWS: usize = 8;
    let by_k = op.transpose == Transpose::A;
    let by_flops = (Op::flops(op) / most_flops).ceil() as usize;
    let by_grid = if by_k { 1 } else { op.m.div_ceil(LEAST_ROWS * MAX_WORKGROUPS) };
    let count = by_flops.max(by_grid).max(1);
    let extent = if by_k { op.k } else { op.m };
    // Pieces consist of whole tiles, and begin at multiples that a GPU can bind for any other extent.
    let step = extent.div_ceil(count).next_multiple_of(2 * View::ALIGNMENT);
    let piece = |first: usize| {
        let len = step.min(extent - first);
        let a_row = if by_k { op.m } else { op.k };
        let a = op.a.slice(first * a_row, len * a_row);
        if by_k {
            let b = op.b.slice(first * op.n, len * op.n);
            (0, Matmul { a, b, k: len, accumulate: op.accumulate || first > 0, ..*op })
        } else {
            (first, Matmul { a, c: op.c.slice(first * op.n, len * op.n), m: len, ..*op })
        }
    };
    (0..extent).step_by(step).map(piece).collect()
}

/// The baseline, for any adapter: a block of results per thread.
pub(super) fn baseline(op: &Matmul) -> Vec<Dispatch> {
    if whole_quads(op) {
        return stored(op, &product::block());
    }
    pieces(op, product::MOST_FLOPS).iter().map(|(_, piece)| single(piece)).collect()
}

/// The kernel for rows that are not whole vec4s.
fn single(op: &Matmul) -> Dispatch {
    const BLOCK: usize = 32;
    let entry = match op.transpose {
        Transpose::None => "matmul_nn",
        Transpose::B => "matmul_nt",
        Transpose::A => "matmul_tn",
    };
    Dispatch {
        kernel: Kernel {
            module: Module::Shader("matmul"),
            entry,
            constants: vec![accumulate(op.accumulate)],
        },
        bindings: vec![("a", op.a), ("b", op.b), ("c", op.c)],
        uniform: sizes(op),
        grid: [op.n.div_ceil(BLOCK) as u32, op.m.div_ceil(BLOCK) as u32, 1],
    }
}

/// Whether this program compares products with those of textbooks. The page does not, to be small (build.rs).
const COMPARISONS_IN_PROGRAM: bool = cfg!(not(target_arch = "wasm32"));

pub(super) fn alternatives(op: &Matmul) -> Vec<Variant> {
    let mut variants: Vec<Variant> =
        COMPARISONS_IN_PROGRAM.then(|| plain(op)).into_iter().collect();
    if !whole_quads(op) {
        return variants;
    }
    variants.extend(ways(op).iter().map(|way| Variant {
        name: way.name,
        suits: way.suits,
        needs: way.needs,
        dispatches: stored(op, way),
    }));
    variants.extend(split(op));
    variants
}

/// Variants for each kind of adapter, the most promising first.
fn ways(op: &Matmul) -> Vec<Way> {
    // Large tiles, if there are enough of them to keep a GPU busy.
    let busy = |way: &Way, wanted: u32| grid(op, way, 1).iter().product::<u32>() >= wanted;
    let mut ways = Vec::new();
    if product::for_matrix_units(&[op.a, op.b]) {
        ways.extend(product::matrix_ways());
        if !busy(&ways[0], 128) {
            ways.reverse();
        }
    }
    let mut tiles =
        [product::tile64(), product::tile64_few(), product::tile128(), product::tile128_deep()];
    if busy(&tiles[3], 64) {
        tiles.reverse();
    }
    ways.extend(tiles);
    ways.extend(product::subgroup_ways(op.m, op.n));
    ways.push(product::block_tall());
    ways
}

/// Variants of the product with an epilogue, if its rows are whole vec4s. `epilogue` binds the results of all rows. The
/// product must not be a weight's gradient.
pub(in crate::ops) fn fused(op: &Matmul, epilogue: &Epilogue) -> Vec<Variant> {
    if !whole_quads(op) {
        return Vec::new();
    }
    let ways = ways(op).into_iter().chain([product::block()]);
    let variant = |way: Way| Variant {
        name: way.fused,
        suits: way.suits,
        needs: way.needs,
        dispatches: pieces(op, way.most_flops())
            .iter()
            .map(|(first, piece)| {
                dispatch(piece, *first, &way, &epilogue.of_rows(*first, piece.m), 1)
            })
            .collect(),
    };
    ways.map(variant).collect()
}

fn stored(op: &Matmul, way: &Way) -> Vec<Dispatch> {
    let piece = |(first, piece): &(usize, Matmul)| {
        dispatch(piece, *first, way, &Epilogue::store(piece.c, piece.n, piece.accumulate), 1)
    };
    pieces(op, way.most_flops()).iter().map(piece).collect()
}

/// Sizes are rounded to powers of two, so that a tuning also holds for similar batches and contexts.
pub(super) fn class(op: &Matmul) -> String {
    let storage = match op.transpose {
        Transpose::None => "a b",
        Transpose::B => "a bT",
        Transpose::A => "aT b",
    };
    let about = |size: usize| size.next_power_of_two();
    format!(
        "{}{storage}, {}x{}x{}, {}",
        if op.accumulate { "+= " } else { "" },
        about(op.m),
        about(op.n),
        about(op.k),
        if whole_quads(op) { "vec4" } else { "single" },
    )
}

/// Variants that divide k over workgroups, for results too small to keep a GPU busy.
fn split(op: &Matmul) -> Vec<Variant> {
    let mut variants = Vec::new();
    if product::for_matrix_units(&[op.a, op.b]) {
        let [large, _, small] = product::matrix_ways();
        variants.extend(split_by(op, "split_matrix128", &large));
        variants.extend(split_by(op, "split_matrix64", &small));
    }
    variants.extend(split_by(op, "split_tile128", &product::tile128_deep()));
    variants.extend(split_by(op, "split_tile64", &product::tile64_few()));
    variants
}

fn split_by(op: &Matmul, name: &'static str, way: &Way) -> Option<Variant> {
    /// Number of workgroups that keeps a GPU busy.
    const WANTED: usize = 256;
    /// Least depth of a share: shorter ones are not worth the second pass.
    const LEAST_DEPTH: usize = 256;
    const MOST_SPLITS: usize = 16;
    /// The shader's unit of shares: a multiple of every variant's depth, so that shares consist of whole slices if k
    /// does.
    const SHARE_STEP: usize = 64;
    let workgroups = grid(op, way, 1).iter().product::<u32>() as usize;
    let splits = (WANTED / workgroups).min(op.k / LEAST_DEPTH).min(MOST_SPLITS);
    // Shares are whole steps (part_dense.wgsl), and none is empty.
    let steps = op.k.div_ceil(SHARE_STEP);
    let splits = steps.div_ceil(steps.div_ceil(splits.max(1)));
    if splits < 2 || pieces(op, way.most_flops()).len() > 1 {
        return None;
    }
    let shares = View::scratch(splits * op.m * op.n);
    let quads = op.m * op.n / 4;
    let sum = Dispatch {
        kernel: Kernel {
            module: Module::Shader("matmul_split_sum"),
            entry: "matmul_split_sum",
            constants: vec![accumulate(op.accumulate), ("SPLITS", splits as f64)],
        },
        bindings: vec![("shares", shares), ("c", op.c)],
        uniform: Uniform::new().size(quads),
        grid: linear_grid(quads.div_ceil(64)),
    };
    Some(Variant {
        name,
        suits: Suits::Gpus,
        needs: way.needs,
        dispatches: vec![dispatch(op, 0, way, &Epilogue::store(shares, op.n, false), splits), sum],
    })
}

/// The tile of textbooks, for comparisons.
fn plain(op: &Matmul) -> Variant {
    let mut constants = vec![accumulate(op.accumulate)];
    constants.extend(storage(op));
    Variant {
        name: "plain16",
        suits: Suits::Comparison,
        needs: Needs::default(),
        dispatches: vec![Dispatch {
            kernel: Kernel {
                module: Module::Shader("matmul_plain"),
                entry: "matmul_plain",
                constants,
            },
            bindings: vec![("a", op.a), ("b", op.b), ("c", op.c)],
            uniform: sizes(op),
            grid: [op.n.div_ceil(16) as u32, op.m.div_ceil(16) as u32, 1],
        }],
    }
}

/// A dispatch of the product. Its rows begin at row `first` of the whole product; with `splits` > 1, it writes that
/// many shares one after the other.
fn dispatch(op: &Matmul, first: usize, way: &Way, epilogue: &Epilogue, splits: usize) -> Dispatch {
    let mut kernel = product::kernel(way, Parts::Dense, epilogue, Some(op.k));
    kernel.constants.extend(storage(op));
    if splits > 1 {
        kernel.constants.push(("SPLITS", splits as f64));
    }
    let mut bindings = vec![("a", op.a), ("b", op.b)];
    bindings.extend(epilogue.bindings());
    Dispatch {
        kernel,
        bindings,
        uniform: product::sizes(op.m, op.n, op.k, first..first + op.m),
        grid: grid(op, way, splits),
    }
}

fn grid(op: &Matmul, way: &Way, splits: usize) -> [u32; 3] {
    let [rows, columns] = way.part;
    [op.n.div_ceil(columns) as u32, op.m.div_ceil(rows) as u32, splits as u32]
}

fn sizes(op: &Matmul) -> Uniform {
    Uniform::new().size(op.m).size(op.n).size(op.k)
}

fn accumulate(yes: bool) -> (&'static str, f64) {
    ("ACCUMULATE", f64::from(u8::from(yes)))
}

fn storage(op: &Matmul) -> [(&'static str, f64); 2] {
    product::storage(op.transpose == Transpose::A, op.transpose != Transpose::B)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PlanBuilder;
    use crate::tensor::{DType, Role};

    #[test]
    fn pieces_cover_a_long_product_and_are_short() {
        for transpose in [Transpose::None, Transpose::B, Transpose::A] {
            let (m, n, k) = (5001, 1024, 4100);
            let mut builder = PlanBuilder::new("long");
            let mut tensor = |name, len| builder.shared(name, &[len], DType::Real, Role::State);
            let (a, b, c) = (tensor("a", m * k), tensor("b", k * n), tensor("c", m * n));
            let op = Matmul { a, b, c, m, n, k, transpose, accumulate: false };
            let pieces = pieces(&op, product::MOST_FLOPS);
            assert!(pieces.len() > 3);
            let pieces: Vec<Matmul> = pieces.into_iter().map(|(_, piece)| piece).collect();
            let by_k = transpose == Transpose::A;
            let (mut rows, mut a_at, mut b_at, mut c_at) = (0, 0, 0, 0);
            for (index, piece) in pieces.iter().enumerate() {
                assert!(Op::flops(piece) < 1.2 * product::MOST_FLOPS);
                assert_eq!(piece.accumulate, by_k && index > 0);
                assert_eq!((piece.a.offset, piece.b.offset, piece.c.offset), (a_at, b_at, c_at));
                let extent = if by_k { piece.k } else { piece.m };
                rows += extent;
                a_at += piece.a.len;
                b_at += if by_k { piece.b.len } else { 0 };
                c_at += if by_k { 0 } else { piece.c.len };
            }
            assert_eq!((rows, a_at), (if by_k { k } else { m }, m * k));
        }
    }
}
