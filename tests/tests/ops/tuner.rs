//! The tuner measures each class of ops once, drops variants that an adapter can't compile, and measures changed
//! kernels again.

use std::time::Duration;

use nitp_core::executor::{Executor, MicroInputs, Source, read_now};
use nitp_core::gpu::{GpuExecutor, Tuning};
use nitp_core::kernel::{BASELINE, Dispatch, Module, Needs, Suits, Variant};
use nitp_core::numeric::Real;
use nitp_core::ops::Op;
use nitp_core::ops::matmul::{Matmul, Transpose};
use nitp_core::plan::{Limits, ParameterLayout, PlanBuilder};
use nitp_core::tensor::{DType, OpMemory, Role, Use};

/// A matmul with an additional variant.
#[derive(Clone, Copy, Debug)]
struct Odd {
    matmul: Matmul,
    source: &'static str,
    class: &'static str,
    suits: Suits,
}

impl Odd {
    fn new(matmul: Matmul, source: &'static str, class: &'static str) -> Self {
        Self { matmul, source, class, suits: Suits::All }
    }
}

impl Op for Odd {
    fn name(&self) -> &'static str {
        "odd"
    }
    fn uses(&self) -> Vec<Use> {
        Op::uses(&self.matmul)
    }
    fn flops(&self) -> f64 {
        Op::flops(&self.matmul)
    }
    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        self.matmul.twin(memory);
    }
    fn dispatches(&self) -> Vec<Dispatch> {
        self.matmul.dispatches()
    }
    fn alternatives(&self) -> Vec<Variant> {
        let mut dispatches = self.matmul.dispatches();
        dispatches[0].kernel.module = Module::Own("odd", self.source);
        dispatches[0].kernel.entry = "odd";
        dispatches[0].kernel.constants.clear();
        dispatches[0].bindings.clear();
        vec![Variant { name: "odd", suits: self.suits, needs: Needs::default(), dispatches }]
    }
    fn tuning_class(&self) -> String {
        self.class.to_owned()
    }
}

/// The tuning after measuring a plan of one op.
fn tune<T: Op + 'static>(op: impl FnOnce(Matmul) -> T, known: Tuning, time: Duration) -> Tuning {
    tune_all(|it| [op(it)], false, known, time).0
}

/// The tuning after measuring a plan of these ops, and their results for factors of ones.
fn tune_all<T: Op + 'static, const N: usize>(
    ops: impl FnOnce(Matmul) -> [T; N],
    accumulate: bool,
    known: Tuning,
    time: Duration,
) -> (Tuning, Vec<f32>) {
    let layout = ParameterLayout::new(std::iter::empty(), Limits::NONE).expect("nothing to place");
    let mut gpu = GpuExecutor::new(nitp_tests::gpu_alone(), layout).expect("a device");
    let mut builder = PlanBuilder::new("case");
    let [a, b, c] = [("a", Role::Input), ("b", Role::Input), ("c", Role::State)]
        .map(|(name, role)| builder.shared(name, &[64, 64], DType::Real, role));
    let transpose = Transpose::None;
    let matmul = Matmul { a, b, c, m: 64, n: 64, k: 64, transpose, accumulate };
    for op in ops(matmul) {
        builder.push(op);
    }
    let id = gpu.load(builder.finish()).expect("it fits");
    let ones = vec![1.0; 64 * 64];
    let inputs =
        MicroInputs { reals: vec![(a.id, ones.clone()), (b.id, ones)], ..Default::default() };
    let known = pollster::block_on(gpu.tune(id, &inputs, known, time)).expect("a working device");
    let found = read_now(&mut gpu, Source::Tensor { plan: id, view: c }).expect("a read-back");
    (known, found)
}

fn nothing() -> Tuning {
    Tuning::new(&nitp_tests::gpu().summary)
}

const NO_WGSL: &str = "no WGSL at all";

const LONG: Duration = Duration::from_secs(60);

#[test]
fn every_way_is_measured_and_known_from_then_on() {
    let tuning = tune(|it| it, nothing(), LONG);
    let (_, choice) = tuning.choices().next().expect("one class");
    assert!(choice.microseconds.contains_key(BASELINE) && choice.microseconds.len() > 1);
    assert!(choice.microseconds.contains_key(&choice.variant) && choice.failed.is_empty());
    let text = tuning.write();
    let read = Tuning::read(&text, &nitp_tests::gpu().summary).expect("what was written");
    assert_eq!(read, tuning);
    assert_eq!(tune(|it| it, read, LONG), tuning, "a known class was measured again");
}

#[test]
fn what_does_not_compile_is_reported_and_the_baseline_runs() {
    // In each class with this variant, although kernels are compiled only once.
    let ops = |it| ["one", "two"].map(|class| Odd::new(it, NO_WGSL, class));
    let (tuning, found) = tune_all(ops, false, nothing(), LONG);
    assert_eq!(tuning.choices().count(), 2);
    for ((key, choice), class) in tuning.choices().zip(["odd one, ", "odd two, "]) {
        assert!(key.starts_with(class), "{key}");
        assert_eq!(choice.variant, BASELINE);
        assert!(choice.failed.contains_key("odd") && !choice.microseconds.contains_key("odd"));
    }
    assert!(found.iter().all(|&x| x == 64.0));
}

#[test]
fn what_failed_in_one_class_is_not_taken_unmeasured_in_another() {
    let gpu = nitp_tests::gpu();
    let suits = if gpu.summary.software { Suits::Software } else { Suits::Gpus };
    let mut other = None;
    let first = |matmul| {
        other = Some(Odd { suits, ..Odd::new(matmul, NO_WGSL, "two") });
        Odd::new(matmul, NO_WGSL, "one")
    };
    let tuning = tune(first, nothing(), LONG);
    let other = other.expect("made beside the first");
    assert_eq!(gpu.variant(&other).name, "odd");
    assert_eq!(gpu.tuned(tuning).variant(&other).name, BASELINE);
}

#[test]
fn measuring_leaves_no_trace_in_what_is_added_to() {
    let (tuning, found) = tune_all(|it| [it], true, nothing(), LONG);
    assert_eq!(tuning.choices().count(), 1);
    assert!(found.iter().all(|&x| x == 64.0), "{:?}", &found[..4]);
}

#[test]
fn changed_kernels_are_measured_again() {
    const FIRST: &str = "@compute @workgroup_size(1) fn odd() {}";
    const SECOND: &str = "@compute @workgroup_size(2) fn odd() {}";
    let first = tune(|it| Odd::new(it, FIRST, "one"), nothing(), LONG);
    let second = tune(|it| Odd::new(it, SECOND, "one"), first.clone(), LONG);
    assert_eq!((first.choices().count(), second.choices().count()), (1, 2));
}

#[test]
fn without_time_nothing_is_measured() {
    assert_eq!(tune(|it| it, nothing(), Duration::ZERO), nothing());
}
