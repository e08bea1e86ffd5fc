//! Tests of the checks: an op that differs from its kernel is detected.

use nitp_core::kernel::{Binding, Dispatch, Kernel, Module, Uniform};
use nitp_core::numeric::Real;
use nitp_core::ops::Op;
use nitp_core::plan::PlanBuilder;
use nitp_core::tensor::{DType, OpMemory, Role, Use, View};

use super::Checked;

const SOURCE: &str = "
override ACCUMULATE: bool;
storage x: f32;
storage y: real;
storage z: u32;
@compute @workgroup_size(1)
fn double() {
    if ACCUMULATE { store_y(0, load_y(0) + 2 * x[0]); } else { store_y(0, 2 * x[0]); }
}
";

/// `y (+)= 2 x`, with a correct kernel.
#[derive(Clone, Debug)]
struct Double {
    uses: Vec<Use>,
    bindings: Vec<Binding>,
    accumulates: bool,
}

impl Op for Double {
    fn name(&self) -> &'static str {
        "double"
    }

    fn uses(&self) -> Vec<Use> {
        self.uses.clone()
    }

    fn flops(&self) -> f64 {
        0.0
    }

    fn twin<R: Real>(&self, _: &OpMemory<R>) {
        panic!("it is only looked at");
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let accumulates = f64::from(u8::from(self.accumulates));
        vec![Dispatch {
            kernel: Kernel {
                module: Module::Own("double", SOURCE),
                entry: "double",
                constants: vec![("ACCUMULATE", accumulates)],
            },
            bindings: self.bindings.clone(),
            uniform: Uniform::new(),
            grid: [1, 1, 1],
        }]
    }
}

fn views() -> [View; 3] {
    let mut builder = PlanBuilder::new("views");
    let mut tensor = |name, dtype| builder.shared(name, &[1], dtype, Role::State);
    [tensor("x", DType::Real), tensor("y", DType::Half), tensor("z", DType::U32)]
}

fn check(uses: Vec<Use>, bindings: Vec<Binding>, accumulates: bool) {
    Checked::default().check(&Double { uses, bindings, accumulates });
}

#[test]
fn an_op_as_its_kernel_passes() {
    let [x, y, _] = views();
    check(vec![Use::read(x), Use::write(y)], vec![("y", y), ("x", x)], false);
    check(vec![Use::read(x), Use::read_write(y)], vec![("x", x), ("y", y)], true);
}

#[test]
#[should_panic(expected = "`double` of double has no storage `w`")]
fn a_wrong_name_is_found() {
    let [x, y, _] = views();
    check(vec![Use::read(x), Use::write(y)], vec![("w", x), ("y", y)], false);
}

#[test]
#[should_panic(expected = "left: {\"x\", \"y\"}\n right: {\"y\"}")]
fn a_missing_binding_is_found() {
    let [x, y, _] = views();
    check(vec![Use::read(x), Use::write(y)], vec![("y", y)], false);
}

#[test]
#[should_panic(expected = "right: {\"x\", \"y\", \"z\"}")]
fn a_binding_without_use_is_found() {
    let [x, y, z] = views();
    let uses = vec![Use::read(x), Use::write(y), Use::read(z)];
    check(uses, vec![("x", x), ("y", y), ("z", z)], false);
}

#[test]
#[should_panic(expected = "double binds x, which the op does not declare")]
fn an_undeclared_view_is_found() {
    let [x, y, _] = views();
    check(vec![Use::write(y)], vec![("x", x), ("y", y)], false);
}

#[test]
#[should_panic(expected = "double writes y, which the op only reads")]
fn a_write_to_what_is_only_read_is_found() {
    let [x, y, _] = views();
    check(vec![Use::read(x), Use::read(y)], vec![("x", x), ("y", y)], false);
}

#[test]
#[should_panic(expected = "double reads y, which the op only writes")]
fn a_read_of_what_is_only_written_is_found() {
    let [x, y, _] = views();
    check(vec![Use::read(x), Use::write(y)], vec![("x", x), ("y", y)], true);
}

#[test]
#[should_panic(expected = "nothing writes")]
fn a_result_that_nothing_writes_is_found() {
    let [x, y, z] = views();
    check(vec![Use::read(x), Use::write(y), Use::write(z)], vec![("x", x), ("y", y)], false);
}
