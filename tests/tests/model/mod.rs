//! Whole models: gradients against central differences, executors against each other and against
//! PyTorch, the guarantees of a run (bitwise equal results, exact resume, flat memory), and all kernels against the
//! declarations of ops.

mod executors;
mod generation;
mod gradients;
mod hugging_face;
mod kernels;
mod lambda;
mod likelihood;
mod mixed;
mod parts;
mod recompute;
mod reference;
mod runs;
