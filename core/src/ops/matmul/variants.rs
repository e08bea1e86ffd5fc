//! The ways of a matmul on a GPU. Software adapters want registers and no barriers, real GPUs shared
//! memory; see docs/performance.md.

use super::{Matmul, Transpose};
use crate::ops::kernel::linear_grid;
use crate::ops::{Dispatch, Kernel, Suits, Uniform, Variant};
use crate::plan::View;

/// Shared-memory tiles, the first for matrices that fill a GPU with it.
const TILES: [Tile; 2] = [
    // 128x128 results, 8x8 a thread; slices of 8: 16 KiB of shared memory, what WebGPU promises.
    Tile { name: "tile128", quads: 2, depth: 8 },
    // 64x64 results, 4x4 a thread; slices of 16: as much.
    Tile { name: "tile64", quads: 1, depth: 16 },
];

/// A workgroup of 16x16 threads with `quads` x `quads` blocks of 4x4 results each.
#[derive(Clone, Copy)]
struct Tile {
    name: &'static str,
    quads: usize,
    depth: usize,
}

impl Tile {
    const THREADS: usize = 16;

    /// Results in a row and in a column.
    fn side(&self) -> usize {
        4 * Self::THREADS * self.quads
    }

    /// Tiles that cover the result: columns, rows.
    fn grid(&self, op: &Matmul) -> [usize; 2] {
        [op.n.div_ceil(self.side()), op.m.div_ceil(self.side())]
    }

    /// The product, or `splits` of its shares side by side in `c`.
    fn dispatch(&self, op: &Matmul, c: View, splits: usize) -> Dispatch {
        let constants = [
            ("THREADS", Self::THREADS),
            ("QUADS_M", self.quads),
            ("QUADS_N", self.quads),
            ("TILE_K", self.depth),
            ("SPLITS", splits),
        ];
        let mut kernel = kernel(
            ("matmul_tile", include_str!("../../../../shaders/matmul_tile.wgsl"), "matmul_tile"),
            op.accumulate && splits == 1,
        );
        kernel.constants.extend(storage(op));
        kernel.constants.extend(constants.map(|(name, value)| (name, value as f64)));
        let [columns, rows] = self.grid(op);
        Dispatch {
            kernel,
            bindings: vec![op.a, op.b, c],
            uniform: sizes(op),
            grid: [columns as u32, rows as u32, splits as u32],
        }
    }
}

/// Whether every row of a factor and of the result is whole vec4s.
fn whole_quads(op: &Matmul) -> bool {
    let lengths = match op.transpose {
        Transpose::None | Transpose::B => [op.k, op.n],
        Transpose::A => [op.m, op.n],
    };
    lengths.iter().all(|length| length.is_multiple_of(4))
}

/// A barrier-free block of 4x4 results a thread, 32x32 a workgroup.
pub(super) fn register_block(op: &Matmul) -> Vec<Dispatch> {
    const BLOCK: usize = 32;
    let entry = match op.transpose {
        Transpose::None => "matmul_nn",
        Transpose::B => "matmul_nt",
        Transpose::A => "matmul_tn",
    };
    let (module, source) = if whole_quads(op) {
        ("matmul_vec4", include_str!("../../../../shaders/matmul_vec4.wgsl"))
    } else {
        ("matmul", include_str!("../../../../shaders/matmul.wgsl"))
    };
    vec![Dispatch {
        kernel: kernel((module, source, entry), op.accumulate),
        bindings: vec![op.a, op.b, op.c],
        uniform: sizes(op),
        grid: [op.n.div_ceil(BLOCK) as u32, op.m.div_ceil(BLOCK) as u32, 1],
    }]
}

pub(super) fn alternatives(op: &Matmul) -> Vec<Variant> {
    let mut variants = vec![plain(op)];
    if whole_quads(op) {
        // A tile whose grid keeps few of a GPU's cores busy is tried after the smaller ones.
        let few = |tile: &Tile| tile.grid(op).iter().product::<usize>() < 64;
        let (small, large): (Vec<Tile>, Vec<Tile>) = TILES.into_iter().partition(few);
        for tile in large.into_iter().chain(small.into_iter().rev()) {
            variants.push(Variant {
                name: tile.name,
                suits: Suits::Gpus,
                subgroups: false,
                dispatches: vec![tile.dispatch(op, op.c, 1)],
            });
        }
        variants.extend(split(op));
        variants.push(subgroup(op));
    }
    variants
}

/// Sizes count by their powers of two: a tuning serves other batches and contexts too.
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

/// k shared out over workgroups, for a result too small to keep a GPU busy.
fn split(op: &Matmul) -> Option<Variant> {
    /// Workgroups that a GPU wants.
    const WANTED: usize = 256;
    /// Shorter shares are not worth the second pass.
    const LEAST_DEPTH: usize = 256;
    const MOST_SPLITS: usize = 16;
    let tile = TILES[1];
    let workgroups: usize = tile.grid(op).iter().product();
    let splits = (WANTED / workgroups).min(op.k / LEAST_DEPTH).min(MOST_SPLITS);
    if splits < 2 {
        return None;
    }
    let shares = View::scratch(splits * op.m * op.n);
    let quads = op.m * op.n / 4;
    let mut sum = kernel(
        (
            "matmul_split_sum",
            include_str!("../../../../shaders/matmul_split_sum.wgsl"),
            "matmul_split_sum",
        ),
        op.accumulate,
    );
    sum.constants.push(("SPLITS", splits as f64));
    let sum = Dispatch {
        kernel: sum,
        bindings: vec![shares, op.c],
        uniform: Uniform::new().size(quads),
        grid: linear_grid(quads.div_ceil(64)),
    };
    Some(Variant {
        name: "split_k",
        suits: Suits::Gpus,
        subgroups: false,
        dispatches: vec![tile.dispatch(op, shares, splits), sum],
    })
}

fn subgroup(op: &Matmul) -> Variant {
    let text = include_str!("../../../../shaders/matmul_subgroup.wgsl");
    let mut kernel = kernel(("matmul_subgroup", text, "matmul_subgroup"), op.accumulate);
    kernel.constants.extend(storage(op));
    Variant {
        name: "subgroup",
        suits: Suits::Gpus,
        subgroups: true,
        dispatches: vec![Dispatch {
            kernel,
            bindings: vec![op.a, op.b, op.c],
            uniform: sizes(op),
            grid: [op.n.div_ceil(4 * 64) as u32, op.m.div_ceil(8) as u32, 1],
        }],
    }
}

fn plain(op: &Matmul) -> Variant {
    let text = include_str!("../../../../shaders/matmul_plain.wgsl");
    let mut kernel = kernel(("matmul_plain", text, "matmul_plain"), op.accumulate);
    kernel.constants.extend(storage(op));
    Variant {
        name: "plain16",
        suits: Suits::Comparison,
        subgroups: false,
        dispatches: vec![Dispatch {
            kernel,
            bindings: vec![op.a, op.b, op.c],
            uniform: sizes(op),
            grid: [op.n.div_ceil(16) as u32, op.m.div_ceil(16) as u32, 1],
        }],
    }
}

fn sizes(op: &Matmul) -> Uniform {
    Uniform::new().size(op.m).size(op.n).size(op.k)
}

/// Which factor's rows run along k.
fn storage(op: &Matmul) -> [(&'static str, f64); 2] {
    let flag = |yes: bool| f64::from(u8::from(yes));
    [("A_BY_K", flag(op.transpose == Transpose::A)), ("B_BY_K", flag(op.transpose != Transpose::B))]
}

fn kernel(
    (module, source, entry): (&'static str, &'static str, &'static str),
    accumulate: bool,
) -> Kernel {
    let constants = vec![("ACCUMULATE", f64::from(u8::from(accumulate)))];
    Kernel { module, source, entry, constants }
}
