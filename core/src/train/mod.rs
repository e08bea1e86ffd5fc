//! Training as a state machine over an executor: it submits steps, evaluations and checkpoints, never blocks, and
//! reports events.

mod ceilings;
mod checkpoint;
mod evaluation;
mod events;
mod generate;
mod inputs;
mod likelihood;
mod probe;
mod rehearsal;
mod sampling;
mod schedule;
mod states;
mod store;
mod trace;
mod trainer;
#[cfg(feature = "gpu")]
mod tune;

pub use ceilings::{Ceilings, flops_ceiling};
pub(crate) use checkpoint::Archive;
pub use checkpoint::{
    Checkpoint, CheckpointError, Difference, Differences, LossScale, Manifest, Origin,
    TrainerState, file as checkpoint_file, read_weights, same_meaning, serialize,
};
pub use evaluation::{Evaluator, Sums, geometry_event};
pub use events::{
    CheckpointEvent, EvaluationEvent, Event, FinishedEvent, GeometryEvent, RivalLosses, StepEvent,
    WarningEvent,
};
pub use generate::{GenerateError, Generator};
pub use inputs::{BatchSource, LoadedPlan, Scales, Terms, load_plan, micro_inputs, step_inputs};
pub use likelihood::{Continuation, LikelihoodReader};
pub use probe::{Probe, ProbeReads, Prober};
pub use rehearsal::Rehearsal;
pub use sampling::{Sampler, Sampling, SamplingError};
pub use schedule::learning_rate;
pub use states::StateReader;
pub use store::{Tensor, Tensors, initialize, pack, unpack, write};
pub use trace::Trace;
pub use trainer::{Progress, Start, TrainError, Trainer};
#[cfg(feature = "gpu")]
pub use tune::tune;
