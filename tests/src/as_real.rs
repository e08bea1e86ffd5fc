//! Shows integers as reals, so that a case can compare them like any other output.

use nitp_core::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use nitp_core::numeric::Real;
use nitp_core::ops::Op;
use nitp_core::tensor::{OpMemory, Use, View};

const SOURCE: &str = "
struct Sizes { len: u32 }
@group(0) @binding(0) var<uniform> sizes: Sizes;
storage x: u32;
storage y: f32;

@compute @workgroup_size(64)
fn as_real(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * 64 + lane;
    if i < sizes.len { y[i] = f32(bitcast<i32>(x[i])); }
}
";

/// `y = x`, where `u32::MAX` (the mark for none) becomes -1.
#[derive(Clone, Copy, Debug)]
pub struct AsReal {
    /// The op whose result is shown, and whose tolerance applies.
    pub of: &'static str,
    /// Integers below 2^24, which f32 holds exactly, or `u32::MAX`.
    pub x: View,
    /// The same numbers as reals.
    pub y: View,
}

impl Op for AsReal {
    fn name(&self) -> &'static str {
        self.of
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read(self.x), Use::write(self.y)]
    }

    fn flops(&self) -> f64 {
        0.0
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let (x, y) = (memory.read_u32(self.x), memory.write(self.y));
        for (y, &x) in y.iter_mut().zip(x) {
            *y = R::of(f64::from(x as i32));
        }
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        vec![Dispatch {
            kernel: Kernel {
                module: Module::Own("as_real", SOURCE),
                entry: "as_real",
                constants: Vec::new(),
            },
            bindings: vec![("x", self.x), ("y", self.y)],
            uniform: Uniform::new().size(self.x.len),
            grid: linear_grid(self.x.len.div_ceil(64)),
        }]
    }
}
