//! Kernels that multiply matrices on a GPU, for rows of whole vec4s: dense products and products of experts
//! (`shaders/include/product*.wgsl`), with an epilogue on the results before they are stored (`epilogue_*.wgsl`). On
//! software adapters, kernels with registers and no barriers are fast; on real GPUs, kernels with workgroup memory; see
//! docs/performance.md.

use std::ops::Range;

use crate::kernel::{BASELINE, Binding, Kernel, Matrices, Module, Needs, Suits, Uniform};
use crate::tensor::{DType, View};

/// Approximate limit on the floating-point operations of a dispatch, so that a GPU's watchdog does not stop it: a tenth
/// of a second on an adapter of 100 GFLOP/s. Two CPU cores are faster than such an adapter, and `auto` chooses the
/// faster device.
pub(super) const MOST_FLOPS: f64 = 1e10;

/// The limit for variants for real GPUs, which reach 1 TFLOP/s, and for variants with matrix units, which reach 10
/// TFLOP/s.
pub(super) const MOST_FLOPS_OF_GPUS: f64 = 1e11;
const MOST_FLOPS_OF_MATRIX_UNITS: f64 = 1e12;

/// A variant of a product: the parameters of a workgroup's part.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// Name of the variant.
    pub name: &'static str,
    /// Name of the variant with an epilogue other than a store.
    pub fused: &'static str,
    /// The adapters that it was made for.
    pub suits: Suits,
    /// Requirements on the adapter.
    pub needs: Needs,
    /// The snippet with its code.
    pub text: &'static str,
    /// Rows and columns of a workgroup's part.
    pub part: [usize; 2],
    /// Depth of its slices of k, if it divides k into slices.
    pub depth: Option<usize>,
    /// Constants of the snippet.
    pub constants: Vec<(&'static str, f64)>,
}

impl Way {
    /// Approximate limit on the floating-point operations of a dispatch.
    pub fn most_flops(&self) -> f64 {
        match self.suits {
            Suits::Gpus if self.needs.matrices => MOST_FLOPS_OF_MATRIX_UNITS,
            Suits::Gpus => MOST_FLOPS_OF_GPUS,
            Suits::All | Suits::Software | Suits::Comparison => MOST_FLOPS,
        }
    }
}

/// A block of 4x4 results per thread, for any adapter.
pub(super) fn block() -> Way {
    block_of([BASELINE, "fused_block"], Suits::All, 4)
}

/// 8x4 results per thread, for software adapters: their threads can hold so many results, and more results per thread
/// reuse each loaded value more often.
pub(super) fn block_tall() -> Way {
    block_of(["block_tall", "fused_block_tall"], Suits::Software, 8)
}

fn block_of([name, fused]: [&'static str; 2], suits: Suits, rows: usize) -> Way {
    Way {
        name,
        fused,
        suits,
        needs: Needs::default(),
        text: "product_block",
        part: [8 * rows, 32],
        depth: None,
        constants: vec![("ROWS", rows as f64)],
    }
}

/// Variants with subgroups, for `n` columns and about `m` rows.
pub(super) fn subgroup_ways(m: usize, n: usize) -> Vec<Way> {
    if Needs::SUBGROUPS_IN_PROGRAM { vec![subgroup(n), subgroup_tall(m, n)] } else { Vec::new() }
}

/// Eight rows and four columns per thread, for results of `n` columns.
fn subgroup(n: usize) -> Way {
    let threads = (n / 4).next_power_of_two().clamp(8, 64);
    Way {
        name: "subgroup",
        fused: "fused_subgroup",
        suits: Suits::Gpus,
        needs: Needs { subgroup: 1, ..Needs::default() },
        text: "product_subgroup",
        part: [8, 4 * threads],
        depth: None,
        constants: vec![("THREADS", threads as f64), ("TILE_M", 8.0)],
    }
}

/// Up to 32 rows and four columns per thread, for `n` columns and about `m` rows. Not worthwhile on SwiftShader, whose
/// subgroups of four threads share too little data.
fn subgroup_tall(m: usize, n: usize) -> Way {
    let Way { part: [_, columns], .. } = subgroup(n);
    let rows = m.next_power_of_two().clamp(8, 32);
    Way {
        name: "subgroup_tall",
        fused: "fused_subgroup_tall",
        suits: Suits::Software,
        needs: Needs { subgroup: 8, ..Needs::default() },
        text: "product_subgroup",
        part: [rows, columns],
        depth: None,
        constants: vec![("THREADS", (columns / 4) as f64), ("TILE_M", rows as f64)],
    }
}

/// 128x128 results per workgroup of 256 threads, 8x8 per thread. Slices of 8 fit into the workgroup memory that WebGPU
/// guarantees.
pub(super) fn tile128() -> Way {
    tile(["tile128", "fused_tile128"], 16, 2, 8)
}

/// The same with slices of 16, which take more workgroup memory.
pub(super) fn tile128_deep() -> Way {
    tile(["tile128_deep", "fused_tile128_deep"], 16, 2, 16)
}

/// 64x64 results per workgroup of 256 threads, 4x4 per thread.
pub(super) fn tile64() -> Way {
    tile(["tile64", "fused_tile64"], 16, 1, 16)
}

/// 64x64 results per workgroup of 64 threads, 8x8 per thread.
pub(super) fn tile64_few() -> Way {
    tile(["tile64_few", "fused_tile64_few"], 8, 2, 16)
}

fn tile([name, fused]: [&'static str; 2], side: usize, quads: usize, depth: usize) -> Way {
    let extent = 4 * side * quads;
    // As in the shader, for the larger of the two layouts of a slice.
    let slice = 16 * ((extent + 4) * ((depth / 4) | 1)).max(extent * depth / 4);
    Way {
        name,
        fused,
        suits: Suits::Gpus,
        needs: Needs { shared: 2 * slice, ..Needs::default() },
        text: "product_tile",
        part: [extent; 2],
        depth: Some(depth),
        constants: vec![
            ("SIDE", side as f64),
            ("QUADS", quads as f64),
            ("TILE_K", depth as f64),
            ("DEEP", (depth / 4) as f64),
            ("LOADS", (extent * depth / 4 / (side * side)) as f64),
        ],
    }
}

/// Whether matrix units may compute with these operands. Products of f32 stay in f32.
pub(super) fn for_matrix_units(operands: &[View]) -> bool {
    Matrices::IN_PROGRAM && operands.iter().all(|operand| operand.dtype == DType::Half)
}

/// Variants with matrix units, for products of halves, the largest parts first. Few subgroups with many pieces each
/// reuse data from workgroup memory most often. Small results need small parts.
pub(super) fn matrix_ways() -> [Way; 3] {
    [
        matrix(["matrix128", "fused_matrix128"], [4, 4], 2),
        matrix(["matrix64x128", "fused_matrix64x128"], [2, 4], 2),
        matrix(["matrix64", "fused_matrix64"], [2, 2], 4),
    ]
}

/// A variant with 2 x 2 subgroups; `pieces` are a subgroup's rows and columns of pieces, and slices are `deep` pieces
/// deep.
fn matrix([name, fused]: [&'static str; 2], pieces: [usize; 2], deep: usize) -> Way {
    const SIDE: usize = 16; // of a piece
    let part = pieces.map(|count| 2 * SIDE * count);
    // As in the shader, for the larger of the two layouts of a slice.
    let depth = SIDE * deep;
    let slice = |extent: usize| (depth * (extent + 8)).max(extent * (depth + 8));
    let halves = 2 * part.map(slice).iter().sum::<usize>();
    let reals = 4 * 4 * SIDE * (SIDE + 4);
    let lanes = 4 * 128;
    let loads = part.map(|extent| extent * depth / 4 / 128);
    Way {
        name,
        fused,
        suits: Suits::Gpus,
        needs: Needs::matrices(halves + reals + lanes),
        text: "product_matrix",
        part,
        depth: Some(depth),
        constants: vec![
            ("DOWN", pieces[0] as f64),
            ("ACROSS", pieces[1] as f64),
            ("DEEP", deep as f64),
            ("A_LOADS", loads[0] as f64),
            ("B_LOADS", loads[1] as f64),
        ],
    }
}

/// The constants for the storage of the factors: whether `a` is `[k, m]`, and whether `b` is `[k, n]`.
pub(super) fn storage(a_by_k: bool, b_by_k: bool) -> [(&'static str, f64); 2] {
    let flag = |yes: bool| f64::from(u8::from(yes));
    [("A_BY_K", flag(a_by_k)), ("B_BY_K", flag(b_by_k))]
}

/// The last stage of a product's kernel, which handles the results.
#[derive(Clone, Debug)]
pub(super) struct Epilogue {
    /// The kind, which chooses the snippet.
    pub kind: EpilogueKind,
    /// The destination of the results, and another operand, if any: name in the shader, elements, and elements per row
    /// of the product; or none if the operand is not divided by rows.
    pub c: (&'static str, View, usize),
    pub other: Option<(&'static str, View, Option<usize>)>,
    /// Constants of the snippet.
    pub constants: Vec<(&'static str, f64)>,
}

/// The kind of an epilogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EpilogueKind {
    /// Stores the results: `c (+)= a b`.
    Store,
    /// Rotates query and key heads.
    Rope,
    /// Applies SwiGLU's gates.
    Swiglu,
    /// Computes the gradient of the gates from the results.
    SwigluBackward,
}

impl EpilogueKind {
    fn snippet(self) -> &'static str {
        match self {
            Self::Store => "epilogue_store",
            Self::Rope => "epilogue_rope",
            Self::Swiglu => "epilogue_swiglu",
            Self::SwigluBackward => "epilogue_swiglu_backward",
        }
    }
}

impl Epilogue {
    /// The epilogue that stores the results unchanged.
    pub fn store(c: View, n: usize, accumulate: bool) -> Self {
        let constants = vec![("ACCUMULATE", f64::from(u8::from(accumulate)))];
        Self { kind: EpilogueKind::Store, c: ("c", c, n), other: None, constants }
    }

    /// The epilogue for `rows` rows of the product from row `first` on.
    pub fn of_rows(&self, first: usize, rows: usize) -> Self {
        let cut = |view: View, width: usize| view.slice(first * width, rows * width);
        let (name, c, width) = self.c;
        Self {
            c: (name, cut(c, width), width),
            other: self.other.map(|(name, view, width)| match width {
                Some(width) => (name, cut(view, width), Some(width)),
                None => (name, view, None),
            }),
            ..self.clone()
        }
    }

    /// Bindings of the product's kernel in addition to the factors.
    pub fn bindings(&self) -> impl Iterator<Item = Binding> {
        let (name, c, _) = self.c;
        [(name, c)].into_iter().chain(self.other.map(|(name, view, _)| (name, view)))
    }
}

/// How results are divided into the parts of workgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parts {
    /// Parts of a dense product.
    Dense,
    /// Tiles of the products of experts with their rows.
    Tile,
    /// Parts of the gradients of experts' weights.
    Weight,
}

/// The kernel of a product with sums over `k`, if `k` is known. Constants are those of the variant and of the epilogue.
pub(super) fn kernel(way: &Way, parts: Parts, epilogue: &Epilogue, k: Option<usize>) -> Kernel {
    let mut constants = [epilogue.constants.clone(), way.constants.clone()].concat();
    if let Some(depth) = way.depth {
        let whole = k.is_some_and(|k| k.is_multiple_of(depth));
        constants.push(("WHOLE", f64::from(u8::from(whole))));
    }
    let parts = match parts {
        Parts::Dense => "part_dense",
        Parts::Tile => "part_tile",
        Parts::Weight => "part_weight",
    };
    let module = Module::WithSnippets("product", [way.text, parts, epilogue.kind.snippet()]);
    Kernel { module, entry: "product", constants }
}

/// The uniform block: the sizes, and the range of tiles or experts of a grouped product, or of rows of a dense one,
/// that this dispatch computes.
pub(super) fn sizes(m: usize, n: usize, k: usize, group: Range<usize>) -> Uniform {
    Uniform::new().size(m).size(n).size(k).size(group.start).size(group.end)
}
