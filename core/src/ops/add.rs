//! Sum of two gradients of the same tensor: `y += x`.

use rayon::prelude::*;

use super::Op;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::tensor::{OpMemory, Use, View};

/// `y += x`, element by element.
#[derive(Clone, Copy, Debug)]
pub struct Add {
    /// The addend, any length.
    pub x: View,
    /// The sum, as long as `x`.
    pub y: View,
}

impl Op for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read(self.x), Use::read_write(self.y)]
    }

    fn flops(&self) -> f64 {
        self.y.len as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        for (y, &x) in memory.write(self.y).iter_mut().zip(memory.read(self.x)) {
            *y += x;
        }
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        // Enough to pay for the overhead of a task. Results do not depend on it, because each element has a sum of its
        // own.
        const BLOCK: usize = 1 << 14;
        let (x, y) = (memory.read(self.x), memory.write(self.y));
        y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(y, x)| {
            y.iter_mut().zip(x).for_each(|(y, &x)| *y += x);
        });
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        const THREADS: usize = 256;
        vec![Dispatch {
            kernel: Kernel { module: Module::Shader("add"), entry: "add", constants: Vec::new() },
            bindings: vec![("x", self.x), ("y", self.y)],
            uniform: Uniform::new().size(self.y.len),
            grid: linear_grid(self.y.len.div_ceil(THREADS)),
        }]
    }
}
