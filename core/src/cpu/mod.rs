//! The CPU executor. In f64 with the plain twins of the ops, it is the oracle of the tests. In f32 with the fast paths,
//! it trains on machines without a WebGPU adapter.

mod runs;

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;
use web_time::Instant;

pub use runs::Runs;

use crate::executor::{Executor, ExecutorError, MicroInputs, PlanId, Source, Ticket};
use crate::plan::{Layout, Limits, ParameterLayout, Plan, Space};
use crate::tensor::{Buffer, DType, OpMemory, Slot, TensorId, Use, View};

struct Loaded {
    plan: Plan,
    layout: Layout,
    /// For each space of the plan itself (not of the store), the buffer of its first chunk.
    first: HashMap<Space, usize>,
    slots: Vec<Slot>,
    /// The uses of each node of [`Plan::nodes`].
    uses: Vec<Vec<Use>>,
    /// Buffers of reals and of integers that are zeroed at the beginning of a step: states and gradients.
    cleared: (Vec<usize>, Vec<usize>),
}

/// An operand with values saved from an earlier run: see [`CpuExecutor::hold_operand`].
struct Held<R> {
    op: &'static str,
    index: usize,
    values: Vec<Vec<R>>,
    recorded: bool,
    next: usize,
}

/// A list of a plan's nodes.
#[derive(Clone, Copy)]
enum Part {
    Prepare,
    Micro,
    Update,
}

/// Runs plans on the CPU in `R`.
pub struct CpuExecutor<R> {
    parameters: ParameterLayout,
    reals: Vec<Buffer<R>>,
    ints: Vec<Buffer<u32>>,
    plans: Vec<Loaded>,
    arrived: HashMap<u64, Vec<R>>,
    next_ticket: u64,
    parameters_version: u64,
    fast: bool,
    poison: bool,
    held: Option<Held<R>>,
    /// Seconds of each node, during a profiled run.
    times: Option<Vec<f64>>,
}

impl CpuExecutor<f32> {
    /// An executor with the fast paths: for training.
    pub fn fast(parameters: ParameterLayout) -> Self {
        Self::new(parameters, true)
    }
}

impl<R: Runs> CpuExecutor<R> {
    /// An executor with the plain twins: for tests.
    #[cfg(feature = "oracle")]
    pub fn twin(parameters: ParameterLayout) -> Self {
        Self::new(parameters, false)
    }

    fn new(parameters: ParameterLayout, fast: bool) -> Self {
        let reals = Space::STORE
            .iter()
            .flat_map(|_| &parameters.chunks)
            .map(|&len| Buffer::new(len))
            .collect();
        Self {
            parameters,
            reals,
            ints: Vec::new(),
            plans: Vec::new(),
            arrived: HashMap::new(),
            next_ticket: 0,
            parameters_version: 0,
            fast,
            poison: false,
            held: None,
            times: None,
        }
    }

    /// Tests only: the next run saves the `index`-th operand of every op of this name; all later runs give the op the
    /// saved values. Central differences need this at a stop-gradient, whose operand must count as a constant.
    pub fn hold_operand(&mut self, op: &'static str, index: usize) {
        self.held = Some(Held { op, index, values: Vec::new(), recorded: false, next: 0 });
    }

    fn store_buffer(&self, space: Space, chunk: usize) -> usize {
        let index = Space::STORE.iter().position(|&s| s == space).expect("a store space");
        index * self.parameters.chunks.len() + chunk
    }

    /// A chunk of the store, in full precision.
    pub fn store_mut(&mut self, space: Space, chunk: usize) -> &mut [R] {
        let buffer = self.store_buffer(space, chunk);
        self.reals[buffer].get_mut()
    }

    /// The data of a ticket in full precision.
    pub fn take_real(&mut self, ticket: Ticket) -> Option<Vec<R>> {
        self.arrived.remove(&ticket.0)
    }

    /// Fills a tensor of a loaded plan.
    pub fn tensor_mut(&mut self, plan: PlanId, id: TensorId) -> &mut [R] {
        let loaded = &self.plans[plan.0];
        let slot = loaded.slots[id.index()];
        let len = loaded.plan.info(id).len();
        &mut self.reals[slot.buffer].get_mut()[slot.offset..slot.offset + len]
    }

    /// Fills an integer tensor of a loaded plan.
    pub fn tensor_u32_mut(&mut self, plan: PlanId, id: TensorId) -> &mut [u32] {
        let loaded = &self.plans[plan.0];
        let slot = loaded.slots[id.index()];
        let len = loaded.plan.info(id).len();
        &mut self.ints[slot.buffer].get_mut()[slot.offset..slot.offset + len]
    }

    /// Runs a plan once, on this thread and those of the pool.
    fn run_here(&mut self, id: PlanId, micro: &[MicroInputs]) {
        let (reals, ints) = &self.plans[id.0].cleared;
        reals.iter().for_each(|&buffer| clear(self.reals[buffer].get_mut()));
        ints.iter().for_each(|&buffer| clear(self.ints[buffer].get_mut()));
        self.run_nodes(id, Part::Prepare);
        for inputs in micro {
            for (tensor, data) in &inputs.reals {
                let to = self.tensor_mut(id, *tensor);
                assert_eq!(to.len(), data.len(), "an input has another length than its tensor");
                for (to, &from) in to.iter_mut().zip(data) {
                    *to = R::of(f64::from(from));
                }
            }
            for (tensor, data) in &inputs.ints {
                self.tensor_u32_mut(id, *tensor).copy_from_slice(data);
            }
            self.run_nodes(id, Part::Micro);
        }
        self.run_nodes(id, Part::Update);
        if let Some(held) = &mut self.held {
            (held.recorded, held.next) = (true, 0);
        }
    }

    fn run_nodes(&mut self, id: PlanId, part: Part) {
        let loaded = &self.plans[id.0];
        let Plan { prepare, micro, update, .. } = &loaded.plan;
        let (nodes, first) = match part {
            Part::Prepare => (prepare, 0),
            Part::Micro => (micro, prepare.len()),
            Part::Update => (update, prepare.len() + micro.len()),
        };
        for (index, node) in nodes.iter().enumerate() {
            let uses = &loaded.uses[first + index];
            let held = self.held.as_mut().filter(|held| held.op == node.op.name());
            let swapped = held.map(|held| {
                let view = uses[held.index].view;
                let slot = loaded.slots[view.id.index()];
                let first = slot.offset + view.offset;
                let there = &mut self.reals[slot.buffer].get_mut()[first..first + view.len];
                if held.recorded {
                    there.swap_with_slice(&mut held.values[held.next]);
                } else {
                    held.values.push(there.to_vec());
                }
                held.next += 1;
                (slot.buffer, first..first + view.len, held.next - 1)
            });
            let begin = Instant::now();
            R::run(
                node.op.as_ref(),
                &OpMemory {
                    slots: &loaded.slots,
                    reals: &self.reals,
                    ints: &self.ints,
                    uses,
                    taken: Cell::new(0),
                },
                self.fast,
            );
            for written in uses.iter().filter(|it| it.access.writes()) {
                if written.view.dtype == DType::Half {
                    let slot = loaded.slots[written.view.id.index()];
                    let first = slot.offset + written.view.offset;
                    let there = &mut self.reals[slot.buffer].get_mut()[first..];
                    R::round_to_half(&mut there[..written.view.len]);
                }
            }
            if let Some(times) = &mut self.times {
                times.push(begin.elapsed().as_secs_f64());
            }
            if let (Some((buffer, range, at)), Some(held)) = (swapped, self.held.as_mut())
                && held.recorded
            {
                self.reals[buffer].get_mut()[range].swap_with_slice(&mut held.values[at]);
            }
            if self.poison {
                for view in &loaded.layout.frees[first + index] {
                    let slot = loaded.slots[view.id.index()];
                    let range = slot.offset..slot.offset + view.len;
                    match slot.dtype {
                        DType::Real | DType::Half => {
                            self.reals[slot.buffer].get_mut()[range].fill(R::nan());
                        }
                        DType::U32 => self.ints[slot.buffer].get_mut()[range].fill(u32::MAX),
                    }
                }
            }
        }
    }
}

/// The buffers of gradients and states: of reals, of integers.
fn cleared(layout: &Layout, slots: &[Slot]) -> (Vec<usize>, Vec<usize>) {
    let of = |integers: bool| {
        let found = layout.places.iter().zip(slots).filter(|(place, slot)| {
            (slot.dtype == DType::U32) == integers
                && matches!(place.space, Space::State(_) | Space::Gradient)
        });
        let buffers: BTreeSet<usize> = found.map(|(_, slot)| slot.buffer).collect();
        buffers.into_iter().collect()
    };
    (of(false), of(true))
}

/// Fills with zeros.
fn clear<T: Copy + Default + Send + Sync>(x: &mut [T]) {
    /// Elements of a task: enough to pay for its overhead.
    const BLOCK: usize = 1 << 16;
    x.par_chunks_mut(BLOCK).for_each(|x| x.fill(T::default()));
}

impl<R: Runs> Executor for CpuExecutor<R> {
    fn description(&self) -> String {
        let threads = rayon::current_num_threads();
        format!("CPU, {threads} thread{}", if threads == 1 { "" } else { "s" })
    }

    fn parameters(&self) -> &ParameterLayout {
        &self.parameters
    }

    fn parameters_version(&self) -> u64 {
        self.parameters_version
    }

    fn write_store(
        &mut self,
        space: Space,
        chunk: usize,
        data: &[f32],
    ) -> Result<(), ExecutorError> {
        self.parameters_version += 1;
        for (to, &from) in self.store_mut(space, chunk).iter_mut().zip(data) {
            *to = R::of(f64::from(from));
        }
        Ok(())
    }

    fn load_sharing(
        &mut self,
        plan: Plan,
        kept_by: Option<PlanId>,
    ) -> Result<PlanId, ExecutorError> {
        let layout = Layout::new(&plan, &self.parameters, Limits::NONE)?;
        let mut first = HashMap::new();
        let mut spaces: Vec<_> = layout.sizes.iter().collect();
        spaces.sort();
        for (&space, sizes) in spaces {
            if let (Space::Kept(_), Some(other)) = (space, kept_by) {
                let other = &self.plans[other.0];
                other.plan.assert_keeps_as(&plan);
                first.insert(space, other.first[&space]);
                continue;
            }
            match space.dtype() {
                DType::Real | DType::Half => {
                    first.insert(space, self.reals.len());
                    self.reals.extend(sizes.iter().map(|&len| Buffer::new(len)));
                }
                DType::U32 => {
                    first.insert(space, self.ints.len());
                    self.ints.extend(sizes.iter().map(|&len| Buffer::new(len)));
                }
            }
        }
        let slots: Vec<Slot> = layout
            .places
            .iter()
            .zip(&plan.tensors)
            .map(|(place, info)| Slot {
                buffer: match first.get(&place.space) {
                    Some(base) => base + place.chunk,
                    None => self.store_buffer(place.space, place.chunk),
                },
                offset: place.offset,
                dtype: info.dtype,
            })
            .collect();
        let uses = plan.nodes().map(|node| node.op.uses()).collect();
        let cleared = cleared(&layout, &slots);
        self.plans.push(Loaded { plan, layout, first, slots, uses, cleared });
        Ok(PlanId(self.plans.len() - 1))
    }

    fn plan(&self, id: PlanId) -> (&Plan, &Layout) {
        (&self.plans[id.0].plan, &self.plans[id.0].layout)
    }

    fn write_constant(
        &mut self,
        plan: PlanId,
        view: View,
        data: &[f32],
    ) -> Result<(), ExecutorError> {
        let to = &mut self.tensor_mut(plan, view.id)[view.offset..view.offset + view.len];
        to.iter_mut().zip(data).for_each(|(to, &from)| *to = R::of(f64::from(from)));
        Ok(())
    }

    fn run(
        &mut self,
        id: PlanId,
        micro: &[MicroInputs],
        reads: &[Source],
    ) -> Result<Vec<Ticket>, ExecutorError> {
        self.parameters_version += u64::from(!self.plans[id.0].plan.update.is_empty());
        // The run itself is on a thread of the pool. From a thread outside of the pool, each op would wake a thread of
        // the pool and sleep meanwhile. A browser has no pool.
        if cfg!(target_arch = "wasm32") {
            self.run_here(id, micro);
        } else {
            rayon::scope(|_| self.run_here(id, micro));
        }
        reads.iter().map(|&source| self.request(source)).collect()
    }

    fn request(&mut self, source: Source) -> Result<Ticket, ExecutorError> {
        let data = match source {
            Source::Store { space, chunk } => self.store_mut(space, chunk).to_vec(),
            Source::Tensor { plan, view } => {
                self.tensor_mut(plan, view.id)[view.offset..view.offset + view.len].to_vec()
            }
        };
        self.next_ticket += 1;
        self.arrived.insert(self.next_ticket, data);
        Ok(Ticket(self.next_ticket))
    }

    fn take(&mut self, ticket: Ticket) -> Result<Option<Vec<f32>>, ExecutorError> {
        Ok(self.take_real(ticket).map(|data| data.into_iter().map(|x| x.f64() as f32).collect()))
    }

    fn wait(&mut self) -> Result<(), ExecutorError> {
        Ok(())
    }

    fn wait_for(&mut self, _: Ticket) -> Result<(), ExecutorError> {
        Ok(())
    }

    fn way(&self, _: PlanId, _: usize) -> String {
        if self.fast { "fast" } else { "twin" }.to_owned()
    }

    fn profile(&mut self, id: PlanId, micro: &MicroInputs) -> Result<Vec<f64>, ExecutorError> {
        self.times = Some(Vec::new());
        let ran = self.run(id, std::slice::from_ref(micro), &[]);
        let times = self.times.take().unwrap_or_default();
        ran.map(|_| times)
    }

    fn poison_freed(&mut self, on: bool) {
        self.poison = on;
    }
}
