//! One dispatch: a kernel, its bindings and its grid of workgroups.

use super::Module;
use crate::tensor::{DType, View};

/// A compute pipeline: an entry point of a module, specialised by `override` constants.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// The source of its text.
    pub module: Module,
    /// Entry point.
    pub entry: &'static str,
    /// Values of `override` constants. They replace the `override`s in the text before it is compiled, so that they can
    /// be sizes of private arrays.
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

/// A name of storage in the kernel's text (`storage y: real;`), and the view that is bound to it.
pub type Binding = (&'static str, View);

/// One dispatch: a kernel, its bindings and its grid.
///
/// `@binding(0)` is the uniform block; `bindings[i]` becomes `@binding(i + 1)`, whatever the order in
/// the kernel's text. Storage is always `var<storage, read_write>`, because tensors share buffers, and WebGPU gives a
/// buffer one usage in a dispatch. At most 8 bindings.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The pipeline.
    pub kernel: Kernel,
    /// Storage, by name; from binding 1 on.
    pub bindings: Vec<Binding>,
    /// The uniform block.
    pub uniform: Uniform,
    /// Workgroups in x, y, z; each at most 65,535.
    pub grid: [u32; 3],
}

impl Dispatch {
    /// Names and element types of the bindings, in order. The kernel's text is assembled for them.
    pub fn storage(&self) -> Vec<(&'static str, DType)> {
        self.bindings.iter().map(|(name, view)| (*name, view.dtype)).collect()
    }

    /// Names of the bindings whose elements are f16.
    pub fn halves(&self) -> impl Iterator<Item = &'static str> {
        let halves = self.bindings.iter().filter(|(_, view)| view.dtype == DType::Half);
        halves.map(|(name, _)| *name)
    }
}

/// Largest number of workgroups in one dimension that WebGPU guarantees.
pub const MAX_WORKGROUPS: usize = 65_535;

/// A grid of at least `workgroups`, folded into x and y so that no dimension exceeds the limit.
///
/// Kernels find their index as `workgroup_id.x + workgroup_id.y * num_workgroups.x` and return
/// when it is past the end.
pub fn linear_grid(workgroups: usize) -> [u32; 3] {
    let rows = workgroups.div_ceil(MAX_WORKGROUPS).max(1);
    let columns = workgroups.div_ceil(rows).max(1);
    [columns as u32, rows as u32, 1]
}
