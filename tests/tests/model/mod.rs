//! Whole models: gradients against central differences, executors against each other and against
//! PyTorch, what a run promises (same bits, exact resume, flat memory), and all kernels against what ops
//! declare.

mod executors;
mod generation;
mod gradients;
mod hugging_face;
mod kernels;
mod lambda;
mod likelihood;
mod mixed;
mod recompute;
mod reference;
mod runs;
