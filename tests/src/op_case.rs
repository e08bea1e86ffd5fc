//! One op (or a few in a row) with its operands: run it everywhere, compare everything.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use nitp_core::cpu::{CpuExecutor, Real};
use nitp_core::executor::{Executor, MicroInputs, PlanId, Source, read_now};
use nitp_core::gpu::GpuExecutor;
use nitp_core::ops::tolerance::{self, Tolerance};
use nitp_core::ops::{BASELINE, DynOp, Op};
use nitp_core::plan::{DType, Limits, ParameterLayout, PlanBuilder, Role, View};
use safetensors::{Dtype, SafeTensors};

/// What an output holds before the op runs: an element that no one wrote shows.
const UNWRITTEN: f64 = 7777.25;

/// Operands and ops under test.
#[derive(Default)]
pub struct OpCase {
    tensors: Vec<(String, Vec<usize>, Data)>,
    views: Vec<View>,
    random: u64,
    exact: bool,
}

#[derive(Clone)]
enum Data {
    Reals(Vec<f64>),
    Ints(Vec<u32>),
}

impl OpCase {
    /// No operands yet; random ones follow from the seed.
    pub fn new(seed: u64) -> Self {
        Self { random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1, ..Self::default() }
    }

    /// Like [`OpCase::new`], but operands keep their f64 bits: for gradient checks, where a saved
    /// value rounded to f32 would be the error that is seen.
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

    /// An operand of these reals (rounded to f32 unless the case is exact).
    pub fn reals(&mut self, name: &str, shape: &[usize], mut data: Vec<f64>) -> View {
        if !self.exact {
            data.iter_mut().for_each(|x| *x = f64::from(*x as f32));
        }
        self.add(name, shape, Data::Reals(data))
    }

    /// An operand of these integers.
    pub fn ints(&mut self, name: &str, shape: &[usize], data: Vec<u32>) -> View {
        self.add(name, shape, Data::Ints(data))
    }

    /// A result that the op must write whole.
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
        match &data {
            Data::Reals(data) => assert_eq!(data.len(), len, "{name}"),
            Data::Ints(data) => assert_eq!(data.len(), len, "{name}"),
        }
        self.tensors.push((name.to_owned(), shape.to_vec(), data));
        // Ids are given in the order of addition, by this plan builder and by that of `load`.
        let mut builder = PlanBuilder::new("ids");
        let view = self.declare(&mut builder).pop().expect("just pushed");
        self.views.push(view);
        view
    }

    fn declare(&self, builder: &mut PlanBuilder) -> Vec<View> {
        self.tensors
            .iter()
            .map(|(name, shape, data)| {
                let dtype = match data {
                    Data::Reals(_) => DType::Real,
                    Data::Ints(_) => DType::U32,
                };
                builder.shared(name, shape, dtype, Role::Input)
            })
            .collect()
    }

    fn load(&self, executor: &mut dyn Executor, ops: &[&dyn CloneOp]) -> PlanId {
        let mut builder = PlanBuilder::new("case");
        self.declare(&mut builder);
        for op in ops {
            op.push_to(&mut builder);
        }
        executor.load(builder.finish()).expect("the case fits")
    }

    fn inputs(&self) -> MicroInputs {
        let mut inputs = MicroInputs::default();
        for (view, (_, _, data)) in self.views.iter().zip(&self.tensors) {
            match data {
                Data::Reals(x) => {
                    inputs.reals.push((view.id, x.iter().map(|&x| x as f32).collect()));
                }
                Data::Ints(x) => inputs.ints.push((view.id, x.clone())),
            }
        }
        inputs
    }

    fn run<R: Real>(&self, ops: &[&dyn CloneOp], outputs: &[View]) -> Vec<Vec<R>> {
        let mut executor = CpuExecutor::<R>::twin(no_parameters());
        let id = self.load(&mut executor, ops);
        for (view, (_, _, data)) in self.views.iter().zip(&self.tensors) {
            match data {
                Data::Reals(x) => {
                    let to = executor.tensor_mut(id, view.id);
                    to.iter_mut().zip(x).for_each(|(to, &x)| *to = R::of(x));
                }
                Data::Ints(x) => executor.tensor_u32_mut(id, view.id).copy_from_slice(x),
            }
        }
        executor.run(id, &[MicroInputs::default()], &[]).expect("a CPU run does not fail");
        outputs
            .iter()
            .map(|view| {
                executor.tensor_mut(id, view.id)[view.offset..view.offset + view.len].to_vec()
            })
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

    /// The f32 executors against `exact`, which a message calls `right`.
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

    /// The outputs of each executor in f32, by its name: the twin, the fast CPU path, each way of the
    /// GPU.
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

    /// The GPU's outputs, of this variant.
    pub fn gpu_by(&self, variant: &str, ops: &[&dyn CloneOp], outputs: &[View]) -> Vec<Vec<f32>> {
        let device = crate::gpu().forcing(variant);
        let mut gpu = GpuExecutor::new(device, no_parameters()).expect("a device");
        self.run_on(&mut gpu, ops, outputs)
    }

    fn run_on(
        &self,
        executor: &mut dyn Executor,
        ops: &[&dyn CloneOp],
        outputs: &[View],
    ) -> Vec<Vec<f32>> {
        let id = self.load(executor, ops);
        executor.run(id, &[self.inputs()], &[]).expect("the run is accepted");
        outputs
            .iter()
            .map(|&view| {
                read_now(executor, Source::Tensor { plan: id, view }).expect("a read-back")
            })
            .collect()
    }

    fn compare<R: Real>(
        &self,
        executor: &str,
        right: &str,
        ops: &[&dyn CloneOp],
        outputs: &[View],
        exact: &[Vec<f64>],
        found: &[Vec<R>],
    ) {
        let op = ops.last().expect("an op").op_name();
        let Tolerance { atol, rtol } = tolerance::of(op);
        for ((view, exact), found) in outputs.iter().zip(exact).zip(found) {
            let (name, shape, _) = &self.tensors[view.id.index()];
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
            let index = self.views.iter().position(|view| view.id == input.id).expect("operand");
            let name = self.tensors[index].0.clone();
            let scale = found.iter().fold(1e-3, |m: f64, x| m.max(x.abs()));
            for i in 0..input.len {
                let loss = |case: &mut Self, x: f64| {
                    if let Data::Reals(data) = &mut case.tensors[index].2 {
                        data[input.offset + i] = x;
                    }
                    let outputs = case.twin(forward, outputs);
                    let terms = outputs.iter().flatten().zip(weights.iter().flatten());
                    terms.map(|(y, w)| y * w).sum::<f64>()
                };
                let Data::Reals(data) = &self.tensors[index].2 else { panic!("a real operand") };
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

/// An op that can be planned more than once.
pub trait CloneOp {
    /// Plans a copy.
    fn push_to(&self, builder: &mut PlanBuilder);
    /// [`Op::name`].
    fn op_name(&self) -> &'static str;
    /// The names of its variants that [the adapter](crate::gpu) has what it takes for.
    fn variants(&self) -> Vec<&'static str>;
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
            println!("{} is not run: subgroups have fewer than {} threads here", it.name, it.lanes);
        }
        usable
    }
}

fn no_parameters() -> ParameterLayout {
    ParameterLayout::new(std::iter::empty(), Limits::NONE).expect("nothing to place")
}

/// Tensors that PyTorch made: a file of `tests/vectors`.
pub struct Vectors {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
    metadata: HashMap<String, String>,
}

impl Vectors {
    fn folder() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors")
    }

    /// The names of all files, without `.safetensors`.
    pub fn list() -> BTreeSet<String> {
        let folder = std::fs::read_dir(Self::folder()).expect("tests/vectors is committed");
        folder
            .filter_map(|entry| {
                let name = entry.expect("a readable folder").file_name();
                let name = name.to_str().expect("an ASCII name");
                Some(name.strip_suffix(".safetensors")?.to_owned())
            })
            .collect()
    }

    /// Reads a file of [`Vectors::list`].
    pub fn load(name: &str) -> Self {
        let path = Self::folder().join(format!("{name}.safetensors"));
        let bytes = std::fs::read(&path)
            .unwrap_or_else(|error| panic!("{} is committed: {error}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors header");
        let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let tensors = file.iter().map(|(name, tensor)| {
            let data = tensor.data();
            // Each of these types fits an f64: token ids and labels are small.
            let data = match tensor.dtype() {
                Dtype::F32 => numbers(data, |b| f64::from(f32::from_le_bytes(b))),
                Dtype::F64 => numbers(data, f64::from_le_bytes),
                Dtype::I64 => numbers(data, |b| i64::from_le_bytes(b) as f64),
                other => panic!("{name} holds {other:?}"),
            };
            (name.to_owned(), (tensor.shape().to_vec(), data))
        });
        Self { tensors: tensors.collect(), metadata: header.metadata().clone().unwrap_or_default() }
    }

    /// The names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    fn tensor(&self, name: &str) -> &(Vec<usize>, Vec<f64>) {
        self.tensors.get(name).unwrap_or_else(|| panic!("the file has no {name}"))
    }

    /// Row-major extents of a tensor.
    pub fn shape(&self, name: &str) -> &[usize] {
        &self.tensor(name).0
    }

    /// The elements of a tensor.
    pub fn get(&self, name: &str) -> &[f64] {
        &self.tensor(name).1
    }

    /// An entry of the file's metadata.
    pub fn metadata(&self, key: &str) -> &str {
        self.metadata.get(key).unwrap_or_else(|| panic!("the file's metadata has no {key}"))
    }
}

fn numbers<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.as_chunks::<N>().0.iter().map(|&bytes| read(bytes)).collect()
}
