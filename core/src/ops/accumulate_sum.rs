//! A metric of a step: the sum of values that an op wrote for each token or row, over all micro-batches.

use multiversion::multiversion;

use super::Op;
use crate::kernel::{Dispatch, Kernel, Module, Uniform};
use crate::numeric::Real;
use crate::numeric::vector::sum;
use crate::tensor::{OpMemory, Use, View};

/// `metrics[metric] += scalars[index] * Σ x`, summed in a fixed order.
#[derive(Clone, Copy, Debug)]
pub struct AccumulateSum {
    /// Values to sum, any length.
    pub x: View,
    /// The step's scalars, `[scalars::LEN]`.
    pub scalars: View,
    /// Index of the scalar that scales the sum.
    pub index: usize,
    /// The metrics of the step, real; one element is written.
    pub metrics: View,
    /// Index of this element.
    pub metric: usize,
    /// Scratch for the GPU, `[AccumulateSum::partials(x.len)]`.
    pub partial: View,
}

impl AccumulateSum {
    /// Elements that one workgroup sums.
    const BLOCK: usize = 4096;

    /// Elements of the scratch tensor.
    pub fn partials(len: usize) -> usize {
        len.div_ceil(Self::BLOCK)
    }
}

impl Op for AccumulateSum {
    fn name(&self) -> &'static str {
        "accumulate_sum"
    }

    fn uses(&self) -> Vec<Use> {
        vec![
            Use::read(self.x),
            Use::read(self.scalars),
            Use::read_write(self.metrics),
            Use::scratch(self.partial),
        ]
    }

    fn flops(&self) -> f64 {
        self.x.len as f64
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let total: R = memory.read(self.x).iter().copied().sum();
        memory.write(self.metrics)[self.metric] += memory.read(self.scalars)[self.index] * total;
    }

    // On one thread: x has one element a token, less than a thousandth of the memory traffic of a step.
    fn fast(&self, memory: &OpMemory<f32>) {
        let total: f32 = memory.read(self.x).chunks(Self::BLOCK).map(block_sum).sum();
        memory.write(self.metrics)[self.metric] += memory.read(self.scalars)[self.index] * total;
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let partials = Self::partials(self.x.len);
        let total_of = |x: View| Dispatch {
            kernel: kernel("accumulate_sum"),
            bindings: vec![("x", x), ("scalars", self.scalars), ("metrics", self.metrics)],
            uniform: Uniform::new().size(x.len).size(x.len).size(self.index).size(self.metric),
            grid: [1, 1, 1],
        };
        if partials <= 1 {
            return vec![total_of(self.x)];
        }
        let blocks = Dispatch {
            kernel: kernel("block_sums"),
            bindings: vec![("x", self.x), ("partial", self.partial)],
            uniform: Uniform::new().size(self.x.len).size(Self::BLOCK).size(0).size(0),
            grid: [partials as u32, 1, 1],
        };
        vec![blocks, total_of(self.partial)]
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn block_sum(x: &[f32]) -> f32 {
    sum(x)
}

fn kernel(entry: &'static str) -> Kernel {
    Kernel { module: Module::Shader("accumulate_sum"), entry, constants: Vec::new() }
}
