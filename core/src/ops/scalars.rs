//! Indices into the `scalars` input, which holds values that change between steps, so that a plan needs no
//! recompilation.
/// Number of elements of the `scalars` tensor.
pub const LEN: usize = 64;
/// Learning rate of the step.
pub const LEARNING_RATE: usize = 0;
/// 1 - beta1^t (t counts from 1).
pub const BIAS_CORRECTION1: usize = 1;
/// 1 - beta2^t.
pub const BIAS_CORRECTION2: usize = 2;
/// 1 / (labels of the micro-batch * micro-batches); 0 if there is none.
pub const NTP_SCALE: usize = 3;
/// 1 / (pairs of the micro-batch * micro-batches); 0 if none, if NITP is off, or before start_step.
pub const NITP_SCALE: usize = 4;
/// 1 / micro-batches.
pub const MICRO_SCALE: usize = 5;
/// 1 / (positions of the micro-batch whose second next token counts * micro-batches); 0 if there is none.
pub const MTP_SCALE: usize = 6;
/// 1 / (positions of the micro-batch whose next state counts * micro-batches); 0 if there is none.
pub const NEXTLAT_SCALE: usize = 7;
