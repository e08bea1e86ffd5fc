//! The ways to multiply matrices whose rows are whole vec4s on a GPU: dense ones and those of experts
//! alike (`shaders/include/product*.wgsl`). Software adapters want registers and no barriers, real GPUs
//! shared memory; see docs/performance.md.

use std::ops::Range;

use super::{Suits, Uniform};

/// About the most floating-point operations of a dispatch, so that a GPU's watchdog never bites: a tenth
/// of a second on an adapter that reaches 100 GFLOP/s. Two CPU cores do more, and `auto` takes the faster.
pub(super) const MOST_FLOPS: f64 = 1e10;

/// How a workgroup makes its part of a product.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// Of the variant.
    pub name: &'static str,
    /// Where it is tried.
    pub suits: Suits,
    /// Which of the shaders: `block`, `subgroup` or `tile`.
    pub kind: Kind,
    /// Rows and columns of a workgroup's part.
    pub part: [usize; 2],
    /// Of the shader.
    pub constants: Vec<(&'static str, f64)>,
}

impl Way {
    /// [`Variant::lanes`](super::Variant::lanes): subgroups of any size do.
    pub fn lanes(&self) -> usize {
        usize::from(self.kind == Kind::Subgroup)
    }
}

/// A shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Threads by themselves.
    Block,
    /// Threads of a subgroup hand a factor round.
    Subgroup,
    /// Shared memory.
    Tile,
}

/// A block of 4x4 results a thread: on any adapter.
pub(super) fn block() -> Way {
    Way {
        name: super::BASELINE,
        suits: Suits::All,
        kind: Kind::Block,
        part: [32, 32],
        constants: Vec::new(),
    }
}

/// Eight rows and four columns a thread, for results of `n` columns.
pub(super) fn subgroup(n: usize) -> Way {
    let threads = (n / 4).next_power_of_two().clamp(8, 64);
    Way {
        name: "subgroup",
        suits: Suits::Software,
        kind: Kind::Subgroup,
        part: [8, 4 * threads],
        constants: vec![("THREADS", threads as f64)],
    }
}

/// 128x128 results a workgroup of 256 threads, 8x8 a thread; slices of 8 fill the 16 KiB of shared
/// memory that WebGPU promises.
pub(super) fn tile128() -> Way {
    tile("tile128", 16, 2, 8)
}

/// 64x64 results a workgroup of 256 threads, 4x4 a thread; slices of 16 fill as much.
pub(super) fn tile64() -> Way {
    tile("tile64", 16, 1, 16)
}

/// 64x64 results a workgroup of 64 threads, 8x8 a thread; slices of 8 in half of it.
pub(super) fn tile64_few() -> Way {
    tile("tile64_few", 8, 2, 8)
}

fn tile(name: &'static str, threads: usize, quads: usize, depth: usize) -> Way {
    Way {
        name,
        suits: Suits::Gpus,
        kind: Kind::Tile,
        part: [4 * threads * quads; 2],
        constants: vec![
            ("THREADS", threads as f64),
            ("QUADS", quads as f64),
            ("TILE_K", depth as f64),
        ],
    }
}

/// The two constants that tell how factors are stored: whether their rows run along m and n.
pub(super) fn storage(a_by_k: bool, b_by_k: bool) -> [(&'static str, f64); 2] {
    let flag = |yes: bool| f64::from(u8::from(yes));
    [("A_BY_K", flag(a_by_k)), ("B_BY_K", flag(b_by_k))]
}

/// The uniform block: lengths of rows, and of grouped products the tiles or experts of this dispatch.
pub(super) fn sizes(m: usize, n: usize, k: usize, group: Range<usize>) -> Uniform {
    Uniform::new().size(m).size(n).size(k).size(group.start).size(group.end)
}
