//! Tests of the harness: it detects reads and writes past the operands.

use nitp_core::kernel::{Dispatch, Kernel, Module, Uniform};
use nitp_core::numeric::Real;
use nitp_core::ops::Op;
use nitp_core::tensor::{OpMemory, Use, View};
use nitp_tests::op_case::{CloneOp, OpCase};

const SOURCE: &str = "
struct Sizes { len: u32, read_past: u32, write_past: u32 }
@group(0) @binding(0) var<uniform> sizes: Sizes;
storage x: f32;
storage y: f32;

@compute @workgroup_size(64)
fn double(@builtin(local_invocation_index) lane: u32) {
    if lane < sizes.len { y[lane] = 2.0 * x[lane]; }
    if lane + 1 == sizes.len && sizes.read_past != 0 { y[lane] += x[lane + 1]; }
    if lane == sizes.len && sizes.write_past != 0 { y[lane] = 2.0 * x[lane]; }
}
";

/// `y = 2 x` for at most 64 elements, with a kernel that may access one element too many.
#[derive(Clone, Copy, Debug)]
struct Double {
    x: View,
    y: View,
    read_past: bool,
    write_past: bool,
}

impl Op for Double {
    fn name(&self) -> &'static str {
        "add"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read(self.x), Use::write(self.y)]
    }

    fn flops(&self) -> f64 {
        0.0
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        for (y, &x) in memory.write(self.y).iter_mut().zip(memory.read(self.x)) {
            *y = x + x;
        }
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let uniform = Uniform::new().size(self.x.len).flag(self.read_past).flag(self.write_past);
        let kernel = Kernel {
            module: Module::Own("double", SOURCE),
            entry: "double",
            constants: Vec::new(),
        };
        let bindings = vec![("x", self.x), ("y", self.y)];
        vec![Dispatch { kernel, bindings, uniform, grid: [1, 1, 1] }]
    }
}

fn check(read_past: bool, write_past: bool) {
    let mut case = OpCase::new(1);
    let x = case.random("x", &[37]);
    let y = case.output("y", &[37]);
    let op: &dyn CloneOp = &Double { x, y, read_past, write_past };
    case.check(&[op], &[y]);
}

#[test]
fn a_kernel_that_stays_within_its_operands_passes() {
    check(false, false);
}

#[test]
#[should_panic(expected = "y [37] [36] is NaN")]
fn a_kernel_that_reads_one_too_many_is_found() {
    check(true, false);
}

#[test]
#[should_panic(expected = "element 0 behind y was written")]
fn a_kernel_that_writes_one_too_many_is_found() {
    check(false, true);
}
