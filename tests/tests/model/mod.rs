//! Whole models: gradients against central differences, executors against each other and against
//! PyTorch, and what a run promises (same bits, exact resume, flat memory).

mod executors;
mod gradients;
mod lambda;
mod mixed;
mod recompute;
mod reference;
mod runs;
