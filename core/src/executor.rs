//! What a trainer asks of a machine: hold the parameters, run plans, read results back.
//!
//! Reading is asynchronous, because a browser cannot wait for its GPU: [`Executor::request`]
//! gives a ticket and [`Executor::take`] its data once they have arrived.

use thiserror::Error;

use crate::kernel::ForcedError;
use crate::plan::{Layout, LayoutError, ParameterLayout, Plan, Space, TensorId, View};

/// A failure of the machine rather than of the input.
#[derive(Clone, Debug, Error)]
pub enum ExecutorError {
    /// A tensor passes the adapter's limits.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// No adapter fits the request.
    #[error("no GPU adapter {wanted}; found: {found}")]
    NoAdapter {
        /// What was asked for.
        wanted: String,
        /// Names of the adapters that there are.
        found: String,
    },
    /// The adapter gave no device.
    #[error("{adapter} refused a device: {reason}")]
    NoDevice {
        /// The adapter, in words.
        adapter: String,
        /// What it said.
        reason: String,
    },
    /// Half precision where there is none.
    #[error(
        "train.precision = \"mixed\" needs an adapter with 16-bit numbers (shader-f16), and {adapter}"
    )]
    NoHalf {
        /// Which lacks it, in words.
        adapter: String,
    },
    /// A forced way of an op is not there.
    #[error(transparent)]
    Forced(#[from] ForcedError),
    /// The device went away in mid-run.
    #[error("the GPU device was lost ({reason}). Checkpoints are intact")]
    DeviceLost {
        /// What the driver said.
        reason: String,
    },
    /// The device has no memory for a buffer, or rejected a command.
    #[error("the GPU reported an error: {reason}")]
    Gpu {
        /// What the driver said.
        reason: String,
    },
}

/// A plan that an executor has loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanId(pub(crate) usize);

/// A read that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub(crate) u64);

/// Several reads that are under way.
#[derive(Clone, Debug)]
pub struct Reads {
    tickets: Vec<Ticket>,
    arrived: Vec<Vec<f32>>,
}

impl Reads {
    /// The reads behind these tickets.
    pub fn new(tickets: Vec<Ticket>) -> Self {
        Self { tickets, arrived: Vec::new() }
    }

    /// The first that was not seen to arrive.
    pub fn next(&self) -> Option<Ticket> {
        self.tickets.get(self.arrived.len()).copied()
    }

    /// All data in the order of the tickets, once, or `None` while some have not arrived.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn take(
        &mut self,
        executor: &mut dyn Executor,
    ) -> Result<Option<Vec<Vec<f32>>>, ExecutorError> {
        while let Some(ticket) = self.next() {
            let Some(data) = executor.take(ticket)? else { return Ok(None) };
            self.arrived.push(data);
        }
        Ok(Some(std::mem::take(&mut self.arrived)))
    }
}

/// What to read back: elements of a store space or of a plan's state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    /// A chunk of the parameter store.
    Store {
        /// One of [`Space::STORE`].
        space: Space,
        /// The chunk.
        chunk: usize,
    },
    /// A real tensor of a plan; one with role `State`, unless it is known to be alive still.
    Tensor {
        /// The plan.
        plan: PlanId,
        /// The elements.
        view: View,
    },
}

/// The host's data for one micro-batch: every `Input` tensor of the plan.
#[derive(Clone, Debug, Default)]
pub struct MicroInputs {
    /// Real inputs.
    pub reals: Vec<(TensorId, Vec<f32>)>,
    /// Integer inputs.
    pub ints: Vec<(TensorId, Vec<u32>)>,
}

/// A machine that runs plans over one parameter store.
pub trait Executor {
    /// What it is, for people: `CPU, 2 threads` or the adapter's name.
    fn description(&self) -> String;

    /// The packing of the parameters.
    fn parameters(&self) -> &ParameterLayout;

    /// Overwrites a chunk of the store.
    fn write_store(
        &mut self,
        space: Space,
        chunk: usize,
        data: &[f32],
    ) -> Result<(), ExecutorError>;

    /// Prepares a plan: places its tensors, compiles what it needs.
    fn load(&mut self, plan: Plan) -> Result<PlanId, ExecutorError> {
        self.load_sharing(plan, None)
    }

    /// The same, for a plan whose kept tensors are those of another plan: both have the same of them.
    fn load_sharing(
        &mut self,
        plan: Plan,
        kept_by: Option<PlanId>,
    ) -> Result<PlanId, ExecutorError>;

    /// The loaded plan and its places.
    fn plan(&self, id: PlanId) -> (&Plan, &Layout);

    /// Writes a constant of a loaded plan, or what it keeps.
    fn write_constant(
        &mut self,
        plan: PlanId,
        view: View,
        data: &[f32],
    ) -> Result<(), ExecutorError>;

    /// Runs a plan once: its state and the gradients are zeroed, its micro part runs for each of
    /// `micro`, then its update part. On a GPU all of it is one submission, and this returns
    /// before it is done. `reads` are copied out by the same submission; one ticket for each.
    fn run(
        &mut self,
        id: PlanId,
        micro: &[MicroInputs],
        reads: &[Source],
    ) -> Result<Vec<Ticket>, ExecutorError>;

    /// Starts to read; the data are as of the runs submitted so far.
    fn request(&mut self, source: Source) -> Result<Ticket, ExecutorError>;

    /// The data of a ticket, or `None` if they have not arrived.
    fn take(&mut self, ticket: Ticket) -> Result<Option<Vec<f32>>, ExecutorError>;

    /// Waits until every requested read has arrived (native; a browser polls [`Executor::take`]).
    fn wait(&mut self) -> Result<(), ExecutorError>;

    /// Waits until this read has arrived, if it is under way; later work goes on.
    fn wait_for(&mut self, ticket: Ticket) -> Result<(), ExecutorError>;

    /// How a node of a plan is done, in a word or two: which kernels, which path.
    fn way(&self, id: PlanId, node: usize) -> String;

    /// Runs a plan once, with one micro-batch, and tells the seconds that each node took, in the
    /// order of [`Plan::nodes`]. For benchmarks: it waits, and not in a browser.
    fn profile(&mut self, id: PlanId, micro: &MicroInputs) -> Result<Vec<f64>, ExecutorError>;

    /// Floating-point operations a second of multiply-adds in f32, if they were measured.
    fn flops_ceiling(&self) -> Option<f64> {
        None
    }

    /// Tests only: fill each activation with NaN (integers with their maximum) when it dies.
    fn poison_freed(&mut self, on: bool);
}

/// Waits for a whole store space: one vector a chunk.
pub fn read_store(
    executor: &mut dyn Executor,
    space: Space,
) -> Result<Vec<Vec<f32>>, ExecutorError> {
    (0..executor.parameters().chunks.len())
        .map(|chunk| read_now(executor, Source::Store { space, chunk }))
        .collect()
}

/// Requests, waits and takes.
///
/// # Errors
/// What the executor reports; a lost device among it.
pub fn read_now(executor: &mut dyn Executor, source: Source) -> Result<Vec<f32>, ExecutorError> {
    let ticket = executor.request(source)?;
    take_now(executor, ticket)
}

/// Waits and takes.
///
/// # Errors
/// As [`read_now`].
pub fn take_now(executor: &mut dyn Executor, ticket: Ticket) -> Result<Vec<f32>, ExecutorError> {
    executor.wait()?;
    executor.take(ticket)?.ok_or_else(|| ExecutorError::Gpu {
        reason: "a read-back did not arrive after waiting for it".into(),
    })
}
