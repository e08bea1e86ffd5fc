//! One op (or a few in a row) with its operands: runs it on every executor, and compares the results.

use half::f16;
use nitp_core::cpu::{CpuExecutor, Runs};
use nitp_core::executor::{Executor, MicroInputs, PlanId, Source, read_now, take_now};
use nitp_core::gpu::GpuExecutor;
use nitp_core::kernel::BASELINE;
use nitp_core::ops::copy::Copy;
use nitp_core::ops::tolerance::{self, Tolerance};
use nitp_core::ops::{DynOp, Op};
use nitp_core::plan::{Limits, ParameterLayout, PlanBuilder};
use nitp_core::tensor::{DType, Role, View};

/// Initial value of outputs, which reveals elements that were not written. Exact in f16.
const UNWRITTEN: f64 = 7776.0;

/// Number of guard elements after each operand, which no op may read or write.
const GUARD: usize = 64;

/// Values of guard elements: an invalid index, and NaN, which spreads through every sum. Each operand has its own NaN,
/// so that a NaN computed from one is not taken for the guard of another.
const GUARD_SCRATCH: f32 = f32::NAN;
const GUARD_HALF: f32 = 65504.0;
const GUARD_INT: u32 = 0xDEAD_BEEF;

/// Operands and ops under test.
#[derive(Default)]
pub struct OpCase {
    operands: Vec<Operand>,
    halves: &'static [&'static str],
    random: u64,
    exact: bool,
}

/// An operand, with guard words after it.
struct Operand {
    name: String,
    shape: Vec<usize>,
    data: Data,
    places: Places,
    /// Value of its guard words.
    guard: f32,
}

/// Views of an operand's elements and its guard words in a plan.
#[derive(Clone, Copy)]
struct Places {
    /// The view that the host writes.
    written: View,
    /// The view that ops use.
    used: View,
    /// The view that the host reads.
    read: View,
}

#[derive(Clone)]
enum Data {
    Reals(Vec<f64>),
    Ints(Vec<u32>),
}

impl OpCase {
    /// A case without operands yet. Random operands follow from the seed.
    pub fn new(seed: u64) -> Self {
        Self { random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1, ..Self::default() }
    }

    /// Like [`OpCase::new`], with operands of these names in halves. An op before the tested ones converts the host's
    /// reals to halves, and one after them converts back.
    pub fn with_halves(seed: u64, halves: &'static [&'static str]) -> Self {
        Self { halves, ..Self::new(seed) }
    }

    /// Like [`OpCase::new`], but operands are not rounded to f32. For gradient checks, in which the rounding of saved
    /// values would dominate the error.
    pub fn exact(seed: u64) -> Self {
        Self { exact: true, ..Self::new(seed) }
    }

    /// Uniform in -1..1, then rounded to f32 so that every executor starts from the same bits.
    pub fn uniform(&mut self) -> f64 {
        // splitmix64
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let unit = ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
        f64::from((2.0 * unit - 1.0) as f32)
    }

    /// A whole number in `0..end`.
    pub fn below(&mut self, end: usize) -> usize {
        (((self.uniform() + 1.0) / 2.0 * end as f64) as usize).min(end - 1)
    }

    /// An operand of random reals in -1..1.
    pub fn random(&mut self, name: &str, shape: &[usize]) -> View {
        let data = (0..shape.iter().product()).map(|_| self.uniform()).collect();
        self.reals(name, shape, data)
    }

    /// An operand of these reals (rounded to its type, unless the case is exact).
    pub fn reals(&mut self, name: &str, shape: &[usize], mut data: Vec<f64>) -> View {
        let is_half = self.halves.contains(&name);
        if !self.exact {
            let round = |x: f64| match is_half {
                true => f16::from_f64(x).to_f64(),
                false => f64::from(x as f32),
            };
            data.iter_mut().for_each(|x| *x = round(*x));
        }
        self.add(name, shape, Data::Reals(data))
    }

    /// An operand of these integers.
    pub fn ints(&mut self, name: &str, shape: &[usize], data: Vec<u32>) -> View {
        self.add(name, shape, Data::Ints(data))
    }

    /// A result, all of whose elements the op must write.
    pub fn output(&mut self, name: &str, shape: &[usize]) -> View {
        let data = vec![UNWRITTEN; shape.iter().product()];
        self.reals(name, shape, data)
    }

    /// An integer result or integer scratch.
    pub fn output_u32(&mut self, name: &str, shape: &[usize]) -> View {
        let data = vec![77_777_777; shape.iter().product()];
        self.ints(name, shape, data)
    }

    fn add(&mut self, name: &str, shape: &[usize], data: Data) -> View {
        let len: usize = shape.iter().product();
        assert_eq!(data.len(), len, "{name}");
        // Ids are assigned in the order of addition, by this plan builder and by that of `load`.
        let mut builder = PlanBuilder::new("ids");
        for before in &self.operands {
            self.declare(&mut builder, &before.name, &before.data);
        }
        let places = self.declare(&mut builder, name, &data);
        let guard = match (&data, places.used.dtype) {
            (Data::Ints(_), _) => f32::from_bits(GUARD_INT),
            (_, DType::Half) => GUARD_HALF,
            _ => f32::from_bits(f32::NAN.to_bits() + 1 + self.operands.len() as u32),
        };
        let (name, shape) = (name.to_owned(), shape.to_vec());
        self.operands.push(Operand { name, shape, data, places, guard });
        View { len, ..places.used }
    }

    fn declare(&self, builder: &mut PlanBuilder, name: &str, data: &Data) -> Places {
        let shape = [data.len() + GUARD];
        let dtype = match data {
            Data::Reals(_) => DType::Real,
            Data::Ints(_) => DType::U32,
        };
        let written = builder.shared(name, &shape, dtype, Role::Input);
        if !self.halves.contains(&name) {
            return Places { written, used: written, read: written };
        }
        let half = builder.shared(&format!("{name} in halves"), &shape, DType::Half, Role::Kept);
        let read = builder.shared(&format!("{name} of halves"), &shape, DType::Real, Role::State);
        Places { written, used: half, read }
    }

    fn load(&self, executor: &mut dyn Executor, ops: &[&dyn CloneOp]) -> PlanId {
        let mut builder = PlanBuilder::new("case");
        for operand in &self.operands {
            self.declare(&mut builder, &operand.name, &operand.data);
        }
        let of_halves = || self.operands.iter().filter(|it| it.places.used != it.places.written);
        for Operand { places, .. } in of_halves() {
            builder.push(Copy { x: places.written, y: places.used });
        }
        for op in ops {
            op.push_to(&mut builder);
        }
        for Operand { places, .. } in of_halves() {
            builder.push(Copy { x: places.used, y: places.read });
        }
        executor.load(builder.finish()).expect("the case fits")
    }

    /// The host's inputs, each with guard words after it.
    fn inputs(&self) -> MicroInputs {
        let mut inputs = MicroInputs::default();
        for operand in &self.operands {
            let id = operand.places.written.id;
            match &operand.data {
                Data::Reals(x) => {
                    let guard = [operand.guard; GUARD];
                    inputs.reals.push((id, x.iter().map(|&x| x as f32).chain(guard).collect()));
                }
                Data::Ints(x) => inputs.ints.push((id, [&x[..], &[GUARD_INT; GUARD]].concat())),
            }
        }
        inputs
    }

    fn operand(&self, view: View) -> &Operand {
        let found = self.operands.iter().find(|it| it.places.used.id == view.id);
        found.expect("an operand of the case")
    }

    /// The view of an operand that the host reads.
    fn read(&self, view: View) -> View {
        let Places { read, .. } = self.operand(view).places;
        View { offset: view.offset, len: view.len, ..read }
    }

    fn run<R: Runs>(&self, ops: &[&dyn CloneOp], outputs: &[View]) -> Vec<Vec<R>> {
        let mut executor = CpuExecutor::<R>::twin(no_parameters());
        let id = self.load(&mut executor, ops);
        for Operand { data, places, .. } in &self.operands {
            match data {
                Data::Reals(x) => {
                    let to = executor.tensor_mut(id, places.written.id);
                    to.iter_mut().zip(x).for_each(|(to, &x)| *to = R::of(x));
                }
                Data::Ints(x) => {
                    executor.tensor_u32_mut(id, places.written.id)[..x.len()].copy_from_slice(x);
                }
            }
        }
        executor.run(id, &[MicroInputs::default()], &[]).expect("a CPU run does not fail");
        let read = outputs.iter().map(|&view| self.read(view));
        read.map(|it| executor.tensor_mut(id, it.id)[it.offset..it.offset + it.len].to_vec())
            .collect()
    }

    /// The f64 twin's outputs.
    pub fn twin(&self, ops: &[&dyn CloneOp], outputs: &[View]) -> Vec<Vec<f64>> {
        self.run::<f64>(ops, outputs)
    }

    /// Runs on the f32 twin, the fast CPU path and the GPU; each real output must lie within the
    /// last op's tolerance of the f64 twin.
    pub fn check(&self, ops: &[&dyn CloneOp], outputs: &[View]) {
        self.check_against("the f64 twin has", ops, outputs, &self.twin(ops, outputs));
    }

    /// Runs on every executor, the f64 twin included; each output must lie within the last op's
    /// tolerance of these values.
    pub fn expect(&self, ops: &[&dyn CloneOp], expected: &[(View, &[f64])]) {
        let outputs: Vec<View> = expected.iter().map(|&(view, _)| view).collect();
        let expected: Vec<Vec<f64>> = expected.iter().map(|&(_, x)| x.to_vec()).collect();
        let twin = self.twin(ops, &outputs);
        self.compare("f64 twin", "expected", ops, &outputs, &expected, &twin);
        self.check_against("expected", ops, &outputs, &expected);
    }

    /// Compares the f32 executors with `exact`, which messages call `right`.
    fn check_against(
        &self,
        right: &str,
        ops: &[&dyn CloneOp],
        outputs: &[View],
        exact: &[Vec<f64>],
    ) {
        for (executor, found) in self.in_f32(ops, outputs) {
            self.compare(&executor, right, ops, outputs, exact, &found);
        }
    }

    /// The outputs of each executor in f32, by its name: the twin, the fast CPU path, each variant of the GPU.
    pub fn in_f32(&self, ops: &[&dyn CloneOp], outputs: &[View]) -> Vec<(String, Vec<Vec<f32>>)> {
        let mut fast = CpuExecutor::fast(no_parameters());
        let mut all = vec![
            ("f32 twin".to_owned(), self.run::<f32>(ops, outputs)),
            ("fast CPU".to_owned(), self.run_on(&mut fast, ops, outputs)),
        ];
        for variant in ops.last().expect("an op").variants() {
            all.push((format!("GPU, {variant}"), self.gpu_by(variant, ops, outputs)));
        }
        all
    }

    /// The GPU's outputs.
    pub fn gpu(&self, ops: &[&dyn CloneOp], outputs: &[View]) -> Vec<Vec<f32>> {
        self.gpu_by(BASELINE, ops, outputs)
    }

    /// The GPU's outputs with this variant. Checks that no kernel read or wrote a guard word.
    pub fn gpu_by(&self, variant: &str, ops: &[&dyn CloneOp], outputs: &[View]) -> Vec<Vec<f32>> {
        let device = crate::gpu().guarded(4 * GUARD as u64).forcing(variant);
        let mut gpu = GpuExecutor::new(device, no_parameters()).expect("a device");
        let id = self.load(&mut gpu, ops);
        let scratch = ops.iter().map(|op| op.scratch(variant)).max().unwrap_or(0);
        let behind_scratch = (scratch > 0).then(|| View::scratch_from(scratch, GUARD));
        if let Some(view) = behind_scratch {
            gpu.write_constant(id, view, &[GUARD_SCRATCH; GUARD]).expect("it is written");
        }
        let results = outputs.iter().map(|&view| self.read(view));
        let guards = self.operands.iter().map(|it| {
            let Places { read, .. } = it.places;
            View { offset: it.data.len(), len: GUARD, ..read }
        });
        let sources = results.chain(guards).chain(behind_scratch);
        let sources: Vec<Source> = sources.map(|view| Source::Tensor { plan: id, view }).collect();
        let tickets = gpu.run(id, &[self.inputs()], &sources).expect("the run is accepted");
        let mut found: Vec<Vec<f32>> = tickets
            .into_iter()
            .map(|ticket| take_now(&mut gpu, ticket).expect("a read-back"))
            .collect();
        let guards = found.split_off(outputs.len());
        let op = ops.last().map_or("none", |op| op.op_name());
        let names = self.operands.iter().map(|it| (it.name.as_str(), it.guard));
        for ((name, expected), guard) in names.chain([("scratch", GUARD_SCRATCH)]).zip(guards) {
            let changed = guard.iter().position(|x| x.to_bits() != expected.to_bits());
            if let Some(at) = changed {
                panic!("{op}: GPU, {variant}: element {at} behind {name} was written");
            }
        }
        found
    }

    fn run_on(
        &self,
        executor: &mut dyn Executor,
        ops: &[&dyn CloneOp],
        outputs: &[View],
    ) -> Vec<Vec<f32>> {
        let id = self.load(executor, ops);
        executor.run(id, &[self.inputs()], &[]).expect("the run is accepted");
        let mut read = |&view: &View| {
            let source = Source::Tensor { plan: id, view: self.read(view) };
            read_now(executor, source).expect("a read-back")
        };
        outputs.iter().map(&mut read).collect()
    }

    fn compare<R: Runs>(
        &self,
        executor: &str,
        right: &str,
        ops: &[&dyn CloneOp],
        outputs: &[View],
        exact: &[Vec<f64>],
        found: &[Vec<R>],
    ) {
        let op = ops.last().expect("an op").op_name();
        for ((&view, exact), found) in outputs.iter().zip(exact).zip(found) {
            let Tolerance { atol, rtol } = match view.dtype {
                DType::Half => tolerance::of_halves(op),
                DType::Real if !self.halves.is_empty() => tolerance::of_sums_of_halves(op),
                DType::Real | DType::U32 => tolerance::of(op),
            };
            let Operand { name, shape, .. } = self.operand(view);
            assert_eq!(exact.len(), found.len(), "{op}: {name} {shape:?}");
            for (i, (&e, f)) in exact.iter().zip(found).enumerate() {
                let f = f.f64();
                assert!(
                    (f - e).abs() <= atol + rtol * e.abs(),
                    "{op}: {executor}: {name} {shape:?} [{i}] is {f}, {right} {e}"
                );
            }
        }
    }

    /// Checks hand-written gradients on the f64 twin: for `loss = Σ w · output` over `outputs`,
    /// with random fixed `w`, `gradient_of(w)` of each input against central differences of the
    /// forward.
    ///
    /// `backward` is a second case whose operands hold the forward's saved values and `w`; the
    /// closure gets `w` for each output and the forward's outputs, and returns the gradients of
    /// `inputs` in order.
    pub fn check_gradient(
        &mut self,
        forward: &[&dyn CloneOp],
        inputs: &[View],
        outputs: &[View],
        backward: impl FnOnce(&[Vec<f64>], &[Vec<f64>]) -> Vec<Vec<f64>>,
    ) {
        let weights: Vec<Vec<f64>> =
            outputs.iter().map(|view| (0..view.len).map(|_| self.uniform()).collect()).collect();
        let found = backward(&weights, &self.twin(forward, outputs));
        for (input, found) in inputs.iter().zip(&found) {
            let index = self.operands.iter().position(|it| it.places.used.id == input.id);
            let index = index.expect("an operand of the case");
            let name = self.operands[index].name.clone();
            let scale = found.iter().fold(1e-3, |m: f64, x| m.max(x.abs()));
            for i in 0..input.len {
                let loss = |case: &mut Self, x: f64| {
                    if let Data::Reals(data) = &mut case.operands[index].data {
                        data[input.offset + i] = x;
                    }
                    let outputs = case.twin(forward, outputs);
                    let terms = outputs.iter().flatten().zip(weights.iter().flatten());
                    terms.map(|(y, w)| y * w).sum::<f64>()
                };
                let Data::Reals(data) = &self.operands[index].data else {
                    panic!("a real operand")
                };
                let x = data[input.offset + i];
                let step = 1e-5 * x.abs().max(1.0);
                let (up, down) = (loss(self, x + step), loss(self, x - step));
                loss(self, x);
                let expected = (up - down) / (2.0 * step);
                let error = (found[i] - expected).abs() / scale;
                assert!(
                    error < 1e-6,
                    "gradient of {name}[{i}] is {}, central differences give {expected}",
                    found[i]
                );
            }
        }
    }
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::Reals(data) => data.len(),
            Self::Ints(data) => data.len(),
        }
    }
}

/// An op that can be planned more than once.
pub trait CloneOp {
    /// Plans a copy.
    fn push_to(&self, builder: &mut PlanBuilder);
    /// [`Op::name`].
    fn op_name(&self) -> &'static str;
    /// Names of its variants that can run on [the adapter](crate::gpu).
    fn variants(&self) -> Vec<&'static str>;
    /// Number of scratch elements of this variant; 0 if the op has no such variant.
    fn scratch(&self, variant: &str) -> usize;
}

impl<T: Op + Clone + 'static> CloneOp for T {
    fn push_to(&self, builder: &mut PlanBuilder) {
        builder.push(self.clone());
    }
    fn op_name(&self) -> &'static str {
        DynOp::name(self)
    }
    fn variants(&self) -> Vec<&'static str> {
        let usable: Vec<_> = crate::gpu().usable(self).iter().map(|variant| variant.name).collect();
        for it in DynOp::variants(self).iter().filter(|it| !usable.contains(&it.name)) {
            let why = crate::gpu().missing(it).unwrap_or_default();
            println!("{} is not run here, because it needs {why}", it.name);
        }
        usable
    }
    fn scratch(&self, variant: &str) -> usize {
        let variants = DynOp::variants(self);
        variants.iter().find(|it| it.name == variant).map_or(0, |it| it.scratch())
    }
}

fn no_parameters() -> ParameterLayout {
    ParameterLayout::new(std::iter::empty(), Limits::NONE).expect("nothing to place")
}
