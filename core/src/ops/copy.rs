//! Copy of a tensor: `y = x`. WebGPU does not allow a dispatch to bind a range twice, so an op that takes one tensor as
//! two operands gets a copy.

use super::Op;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::tensor::{OpMemory, Use, View};

/// `y = x`, element by element.
#[derive(Clone, Copy, Debug)]
pub struct Copy {
    /// The source, any length.
    pub x: View,
    /// The copy, as long as `x`.
    pub y: View,
}

impl Op for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read(self.x), Use::write(self.y)]
    }

    fn flops(&self) -> f64 {
        0.0
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        for (y, &x) in memory.write(self.y).iter_mut().zip(memory.read(self.x)) {
            *y = x;
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        memory.write(self.y).copy_from_slice(memory.read(self.x));
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        const THREADS: usize = 256;
        vec![Dispatch {
            kernel: Kernel { module: Module::Shader("copy"), entry: "copy", constants: Vec::new() },
            bindings: vec![("x", self.x), ("y", self.y)],
            uniform: Uniform::new().size(self.y.len),
            grid: linear_grid(self.y.len.div_ceil(THREADS)),
        }]
    }
}
