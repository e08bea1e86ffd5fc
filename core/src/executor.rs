//! The interface between trainers and machines: hold the parameters, run plans, read results back.
//!
//! Reading is asynchronous, because a browser cannot wait for its GPU: [`Executor::request`]
//! gives a ticket and [`Executor::take`] its data once they have arrived.

use thiserror::Error;

use crate::kernel::ForcedError;
use crate::plan::{Layout, LayoutError, ParameterLayout, Plan, Space};
use crate::tensor::{TensorId, View};

/// A failure of the machine rather than of the input.
#[derive(Clone, Debug, Error)]
pub enum ExecutorError {
    /// A tensor exceeds the adapter's limits.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// No adapter fits the request.
    #[error("no GPU adapter {wanted}; found: {found}")]
    NoAdapter {
        /// The request.
        wanted: String,
        /// Names of the available adapters.
        found: String,
    },
    /// The adapter gave no device.
    #[error("{adapter} refused a device: {reason}")]
    NoDevice {
        /// The adapter, in words.
        adapter: String,
        /// The adapter's message.
        reason: String,
    },
    /// Half precision on an adapter without it.
    #[error(
        "train.precision = \"mixed\" needs an adapter with 16-bit numbers (shader-f16), and {adapter}"
    )]
    NoHalf {
        /// The adapter that lacks it, in words.
        adapter: String,
    },
    /// The forced way of an op is missing.
    #[error(transparent)]
    Forced(#[from] ForcedError),
    /// The device was lost during a run.
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

    /// The first ticket whose data have not arrived yet.
    pub fn next(&self) -> Option<Ticket> {
        self.tickets.get(self.arrived.len()).copied()
    }

    /// All data in the order of the tickets, or `None` while some have not arrived. Gives the data once.
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
    /// A real tensor of a plan: of role `State`, or of another role if it is certainly still alive.
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
    /// The machine in words: `CPU, 2 threads` or the adapter's name.
    fn description(&self) -> String;

    /// The layout of the parameters in the store.
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

    /// Like [`Executor::load`], for a plan that shares the kept tensors of another plan.
    fn load_sharing(
        &mut self,
        plan: Plan,
        kept_by: Option<PlanId>,
    ) -> Result<PlanId, ExecutorError>;

    /// A number that changes with every change of the parameters: what was computed from others is stale.
    fn parameters_version(&self) -> u64;

    /// The loaded plan and its places.
    fn plan(&self, id: PlanId) -> (&Plan, &Layout);

    /// Writes a constant or a kept tensor of a loaded plan.
    fn write_constant(
        &mut self,
        plan: PlanId,
        view: View,
        data: &[f32],
    ) -> Result<(), ExecutorError>;

    /// Runs a plan once: zeroes its state and the gradients, runs its micro part for each of `micro`, then its update
    /// part. On a GPU this is one submission, and the call returns before its end. The same submission copies out
    /// `reads`; each gets a ticket.
    fn run(
        &mut self,
        id: PlanId,
        micro: &[MicroInputs],
        reads: &[Source],
    ) -> Result<Vec<Ticket>, ExecutorError>;

    /// Starts a read. The data are those after all runs submitted so far.
    fn request(&mut self, source: Source) -> Result<Ticket, ExecutorError>;

    /// The data of a ticket, or `None` if they have not arrived.
    fn take(&mut self, ticket: Ticket) -> Result<Option<Vec<f32>>, ExecutorError>;

    /// Waits until every requested read has arrived (native; a browser polls [`Executor::take`]).
    fn wait(&mut self) -> Result<(), ExecutorError>;

    /// Waits until this read has arrived, if it is pending. Does not wait for later work.
    fn wait_for(&mut self, ticket: Ticket) -> Result<(), ExecutorError>;

    /// The kernels or the path of a node of a plan, in a word or two.
    fn way(&self, id: PlanId, node: usize) -> String;

    /// Runs a plan once, with one micro-batch, and returns the seconds of each node, in the order of [`Plan::nodes`].
    /// For benchmarks: it blocks, so it does not work in a browser.
    fn profile(&mut self, id: PlanId, micro: &MicroInputs) -> Result<Vec<f64>, ExecutorError>;

    /// Peak rate of multiply-adds in f32, in floating-point operations a second, if it was measured.
    fn flops_ceiling(&self) -> Option<f64> {
        None
    }

    /// Tests only: fill each activation with NaN (integers with their maximum) when it dies.
    fn poison_freed(&mut self, on: bool);
}

/// Reads a whole store space and waits for it: one vector a chunk.
pub fn read_store(
    executor: &mut dyn Executor,
    space: Space,
) -> Result<Vec<Vec<f32>>, ExecutorError> {
    (0..executor.parameters().chunks.len())
        .map(|chunk| read_now(executor, Source::Store { space, chunk }))
        .collect()
}

/// Requests a read, waits for it, and takes the data.
///
/// # Errors
/// Errors of the executor, such as a lost device.
pub fn read_now(executor: &mut dyn Executor, source: Source) -> Result<Vec<f32>, ExecutorError> {
    let ticket = executor.request(source)?;
    take_now(executor, ticket)
}

/// Waits for a read, and takes the data.
///
/// # Errors
/// As [`read_now`].
pub fn take_now(executor: &mut dyn Executor, ticket: Ticket) -> Result<Vec<f32>, ExecutorError> {
    executor.wait()?;
    executor.take(ticket)?.ok_or_else(|| ExecutorError::Gpu {
        reason: "a read-back did not arrive after waiting for it".into(),
    })
}
