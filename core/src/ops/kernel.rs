//! How an op names the WGSL that does it, in one way or in several.

use crate::plan::{DType, View};

/// A compute pipeline: an entry point of a shader, specialised by `override` constants.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// File name in `shaders/` without `.wgsl`; also the label.
    pub module: &'static str,
    /// The text of that file. Lines `#include "name"` take in `shaders/include/name.wgsl`.
    pub source: &'static str,
    /// Entry point.
    pub entry: &'static str,
    /// Values of `override` constants. They are put into the text before it is compiled, so
    /// that private arrays may be sized by them.
    pub constants: Vec<(&'static str, f64)>,
}

/// The values of a kernel's uniform block at `@binding(0)`: u32 and f32 members in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uniform(pub Vec<u32>);

impl Uniform {
    /// An empty block.
    pub fn new() -> Self {
        Self::default()
    }
    /// Appends a size.
    pub fn size(mut self, value: usize) -> Self {
        self.0.push(
            u32::try_from(value).expect("sizes fit u32: the layout checks the largest tensor"),
        );
        self
    }
    /// Appends a flag.
    pub fn flag(mut self, value: bool) -> Self {
        self.0.push(u32::from(value));
        self
    }
    /// Appends a real.
    pub fn real(mut self, value: f32) -> Self {
        self.0.push(value.to_bits());
        self
    }
}

/// One dispatch: a kernel, its bindings and its grid.
///
/// `@binding(0)` is the uniform block; `bindings[i]` is `@binding(i + 1)`, always
/// `var<storage, read_write>`, because tensors share buffers and WebGPU knows one usage a buffer
/// and dispatch. At most 8.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The pipeline.
    pub kernel: Kernel,
    /// Storage bindings from 1 on.
    pub bindings: Vec<View>,
    /// The uniform block.
    pub uniform: Uniform,
    /// Workgroups in x, y, z; each at most 65,535.
    pub grid: [u32; 3],
}

impl Dispatch {
    /// Numbers of the bindings whose elements are f16, ascending: the kernel's text is put together
    /// for them.
    pub fn halves(&self) -> Vec<usize> {
        let bindings = self.bindings.iter().zip(1..);
        bindings.filter(|(view, _)| view.dtype == DType::Half).map(|(_, number)| number).collect()
    }
}

/// The way to do an op that runs on any adapter: [`Op::dispatches`](super::Op::dispatches).
pub const BASELINE: &str = "baseline";

/// One of an op's ways on a GPU. All of them give the same result, within the op's tolerance.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Unique within the op: what a tuning file says.
    pub name: &'static str,
    /// The adapters that it was made for.
    pub suits: Suits,
    /// Threads that a subgroup of the adapter must have at least; 0 where it needs no subgroups.
    pub lanes: usize,
    /// In order. Bindings may be ranges of the executor's [scratch](View::scratch).
    pub dispatches: Vec<Dispatch>,
}

/// The adapters that a variant was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suits {
    /// Any adapter.
    All,
    /// Real GPUs, where the first such variant is taken as long as nothing was measured.
    Gpus,
    /// Software on the CPU, likewise.
    Software,
    /// None: it is there to compare with.
    Comparison,
}

impl Variant {
    /// Elements of scratch that it needs.
    pub fn scratch(&self) -> usize {
        let views = self.dispatches.iter().flat_map(|it| &it.bindings);
        let ends = views.filter(|view| view.is_scratch()).map(|view| view.offset + view.len);
        ends.max().unwrap_or(0)
    }
}

/// Most workgroups in one dimension that WebGPU promises.
pub const MAX_WORKGROUPS: usize = 65_535;

/// A grid of at least `workgroups`, folded into x and y so that no dimension passes the limit.
///
/// Kernels find their index as `workgroup_id.x + workgroup_id.y * num_workgroups.x` and return
/// when it is past the end.
pub fn linear_grid(workgroups: usize) -> [u32; 3] {
    let rows = workgroups.div_ceil(MAX_WORKGROUPS).max(1);
    let columns = workgroups.div_ceil(rows).max(1);
    [columns as u32, rows as u32, 1]
}
