//! Storage declarations of a kernel's text: halves in ones, twos, fours and eights, in test ops.

use nitp_core::kernel::{Dispatch, Kernel, Module, Uniform};
use nitp_core::numeric::Real;
use nitp_core::ops::Op;
use nitp_core::tensor::{OpMemory, Use, View};
use nitp_tests::op_case::{CloneOp, OpCase};

/// A kernel of one thread, so that one text works for storage of any shape.
macro_rules! source {
    ($x:literal, $y:literal, $body:literal) => {
        concat!(
            "struct Sizes { len: u32 }\n@group(0) @binding(0) var<uniform> sizes: Sizes;\n",
            // The order differs from that of the bindings, and the last line is not bound.
            "storage y: ",
            $y,
            "; // [len]\nstorage x: ",
            $x,
            ";\nstorage unused: real;\n@compute @workgroup_size(1)\nfn pass_on() {\n",
            $body,
            "}\n"
        )
    };
}

const SOURCES: [&str; 4] = [
    source!("real", "real", "for (var i = 0u; i < sizes.len; i++) { store_y(i, load_x(i)); }\n"),
    source!(
        "vec2<real>",
        "vec2<real>",
        "for (var i = 0u; i < sizes.len / 2; i++) { store2_y(i, load2_x(i)); }\n"
    ),
    source!(
        "vec4<real>",
        "vec4<real>",
        "for (var i = 0u; i < sizes.len / 4; i++) { store4_y(i, load4_x(i)); }\n"
    ),
    source!(
        "real8",
        "vec4<real>",
        "for (var i = 0u; i < sizes.len / 8; i++) {
            let eight = load8_x(i);
            store4_y(2 * i, eight[0]);
            store4_y(2 * i + 1, eight[1]);
        }\n"
    ),
];

/// `y = x`.
#[derive(Clone, Copy, Debug)]
struct PassOn {
    x: View,
    y: View,
    source: &'static str,
}

impl Op for PassOn {
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
        memory.write(self.y).copy_from_slice(memory.read(self.x));
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let module = Module::Own("pass_on", self.source);
        vec![Dispatch {
            kernel: Kernel { module, entry: "pass_on", constants: Vec::new() },
            bindings: vec![("x", self.x), ("y", self.y)],
            uniform: Uniform::new().size(self.x.len),
            grid: [1, 1, 1],
        }]
    }
}

fn check(halves: &'static [&'static str], sources: &[&'static str]) {
    for source in sources {
        let mut case = OpCase::with_halves(7, halves);
        // Numbers that are exact in halves, including the smallest and the largest.
        let mut data: Vec<f64> = (0..40).map(|_| (case.uniform() * 1024.0).round()).collect();
        data[..4].copy_from_slice(&[-0.0, 2f64.powi(-14), 65504.0, -65504.0]);
        let x = case.reals("x", &[40], data.clone());
        let y = case.output("y", &[40]);
        let op: &dyn CloneOp = &PassOn { x, y, source };
        case.expect(&[op], &[(y, &data)]);
    }
}

#[test]
fn reals_of_any_shape_are_passed_on() {
    check(&[], &SOURCES[..3]);
}

#[test]
fn halves_of_any_shape_are_passed_on() {
    check(&["x"], &SOURCES);
    check(&["x", "y"], &SOURCES);
    check(&["y"], &SOURCES[..3]);
}
