//! The ways to multiply matrices whose rows are whole vec4s on a GPU: dense ones and those of experts
//! alike (`shaders/include/product*.wgsl`), with what is done with the results on their way to memory
//! (`epilogue_*.wgsl`). Software adapters want registers and no barriers, real GPUs shared memory; see
//! docs/performance.md.

use std::ops::Range;

use crate::kernel::{BASELINE, Binding, Kernel, Matrices, Module, Needs, Suits, Uniform};
use crate::plan::{DType, View};

/// About the most floating-point operations of a dispatch, so that a GPU's watchdog never bites: a tenth
/// of a second on an adapter that reaches 100 GFLOP/s. Two CPU cores do more, and `auto` takes the faster.
pub(super) const MOST_FLOPS: f64 = 1e10;

/// The same of ways for real GPUs, which reach 1 TFLOP/s, and of those by matrix units, which reach 10.
pub(super) const MOST_FLOPS_OF_GPUS: f64 = 1e11;
const MOST_FLOPS_OF_MATRIX_UNITS: f64 = 1e12;

/// How a workgroup makes its part of a product: a row of data for each way.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// Of the variant.
    pub name: &'static str,
    /// Of the variant that does more with the results than to store them.
    pub fused: &'static str,
    /// The adapters that it was made for.
    pub suits: Suits,
    /// What it asks of an adapter.
    pub needs: Needs,
    /// The snippet with its text.
    pub text: &'static str,
    /// Rows and columns of a workgroup's part.
    pub part: [usize; 2],
    /// How deep its slices of k are, if it takes k in slices.
    pub depth: Option<usize>,
    /// Of the text.
    pub constants: Vec<(&'static str, f64)>,
}

impl Way {
    /// About the most floating-point operations of a dispatch.
    pub fn most_flops(&self) -> f64 {
        match self.suits {
            Suits::Gpus if self.needs.matrices => MOST_FLOPS_OF_MATRIX_UNITS,
            Suits::Gpus => MOST_FLOPS_OF_GPUS,
            Suits::All | Suits::Software | Suits::Comparison => MOST_FLOPS,
        }
    }
}

/// A block of 4x4 results a thread: on any adapter.
pub(super) fn block() -> Way {
    block_of([BASELINE, "fused_block"], Suits::All, 4)
}

/// 8x4 results a thread: on software adapters, whose threads have room for them, what counts is how much
/// is done with what was loaded.
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

/// The ways by subgroups, for `n` columns and about `m` rows.
pub(super) fn subgroup_ways(m: usize, n: usize) -> Vec<Way> {
    if Needs::SUBGROUPS_IN_PROGRAM { vec![subgroup(n), subgroup_tall(m, n)] } else { Vec::new() }
}

/// Eight rows and four columns a thread, for results of `n` columns.
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

/// Up to 32 rows and four columns a thread, for `n` columns and about `m` rows. SwiftShader's four lanes
/// hand on too little for it to be worth it.
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

/// 128x128 results a workgroup of 256 threads, 8x8 a thread; slices of 8 fit into the workgroup memory that
/// WebGPU promises.
pub(super) fn tile128() -> Way {
    tile(["tile128", "fused_tile128"], 16, 2, 8)
}

/// The same with slices of 16, which take more.
pub(super) fn tile128_deep() -> Way {
    tile(["tile128_deep", "fused_tile128_deep"], 16, 2, 16)
}

/// 64x64 results a workgroup of 256 threads, 4x4 a thread.
pub(super) fn tile64() -> Way {
    tile(["tile64", "fused_tile64"], 16, 1, 16)
}

/// 64x64 results a workgroup of 64 threads, 8x8 a thread.
pub(super) fn tile64_few() -> Way {
    tile(["tile64_few", "fused_tile64_few"], 8, 2, 16)
}

fn tile([name, fused]: [&'static str; 2], side: usize, quads: usize, depth: usize) -> Way {
    let extent = 4 * side * quads;
    // As in the text, with the longer of the two layouts of a slice.
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

/// Whether matrix units may have these operands: in f32, products stay in f32.
pub(super) fn for_matrix_units(operands: &[View]) -> bool {
    Matrices::IN_PROGRAM && operands.iter().all(|operand| operand.dtype == DType::Half)
}

/// The ways by matrix units, for products of halves: the largest parts first. Few and fat subgroups do the
/// most with what they take from workgroup memory; small results want small parts.
pub(super) fn matrix_ways() -> [Way; 3] {
    [
        matrix(["matrix128", "fused_matrix128"], [4, 4], 2),
        matrix(["matrix64x128", "fused_matrix64x128"], [2, 4], 2),
        matrix(["matrix64", "fused_matrix64"], [2, 2], 4),
    ]
}

/// By 2 x 2 subgroups, of so many pieces down and across each, with slices of this many pieces.
fn matrix([name, fused]: [&'static str; 2], pieces: [usize; 2], deep: usize) -> Way {
    const SIDE: usize = 16; // of a piece
    let part = pieces.map(|count| 2 * SIDE * count);
    // As in the text, with the longer of the two layouts of a slice.
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

/// The two constants that tell how factors are stored: whether their rows run along m and n.
pub(super) fn storage(a_by_k: bool, b_by_k: bool) -> [(&'static str, f64); 2] {
    let flag = |yes: bool| f64::from(u8::from(yes));
    [("A_BY_K", flag(a_by_k)), ("B_BY_K", flag(b_by_k))]
}

/// What is done with results.
#[derive(Clone, Debug)]
pub(super) struct Epilogue {
    /// Which of the shaders.
    pub kind: EpilogueKind,
    /// Where results go, and what else it reads or writes: the shader's name, the elements, and how many
    /// of them are a row of the product's, or none if it is not cut by rows.
    pub c: (&'static str, View, usize),
    pub other: Option<(&'static str, View, Option<usize>)>,
    /// Of the shader.
    pub constants: Vec<(&'static str, f64)>,
}

/// A shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EpilogueKind {
    /// `c (+)=` the results.
    Store,
    /// Query and key heads are turned.
    Rope,
    /// Gates are applied.
    Swiglu,
    /// Of the results, the gradient of the gates is made.
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
    /// Results as they are.
    pub fn store(c: View, n: usize, accumulate: bool) -> Self {
        let constants = vec![("ACCUMULATE", f64::from(u8::from(accumulate)))];
        Self { kind: EpilogueKind::Store, c: ("c", c, n), other: None, constants }
    }

    /// Of `rows` of the product from `first` on.
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

    /// What the product's kernel binds beside the factors.
    pub fn bindings(&self) -> impl Iterator<Item = Binding> {
        let (name, c, _) = self.c;
        [(name, c)].into_iter().chain(self.other.map(|(name, view, _)| (name, view)))
    }
}

/// Which part of the results a workgroup has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parts {
    /// Of a dense product.
    Dense,
    /// Of a product of each expert with its own rows.
    Tile,
    /// Of the gradient of experts' weights.
    Weight,
}

/// The kernel of a product of sums of `k`, if that is known; constants are the way's and those of the epilogue.
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

/// The uniform block: lengths of rows, and which tiles or experts of a grouped product or which rows of a
/// dense one this dispatch does.
pub(super) fn sizes(m: usize, n: usize, k: usize, group: Range<usize>) -> Uniform {
    Uniform::new().size(m).size(n).size(k).size(group.start).size(group.end)
}
