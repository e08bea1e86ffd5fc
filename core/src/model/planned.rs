//! Plans with their tensors that the host writes and reads.

use super::context::Inputs;
use crate::plan::Plan;
use crate::tensor::View;

/// A plan and its inputs and results, so that nobody looks these up by name.
pub struct Planned<T> {
    /// The plan.
    pub plan: Plan,
    /// Tensors that every plan of a model has, and that the host writes.
    pub inputs: Inputs,
    /// Further tensors of this kind of plan.
    pub tensors: T,
}

/// Tensors of the train plan.
#[derive(Clone, Copy, Debug)]
pub struct TrainTensors {
    /// Results of a step, `[metric::LEN]`, see [`metric`](super::metric).
    pub metrics: View,
}

/// Results of the evaluate plan.
#[derive(Clone, Debug)]
pub struct EvaluateTensors {
    /// `[metric::LEN]`, see [`metric`](super::metric).
    pub metrics: View,
    /// Last hidden states, `[tokens, hidden_size]`.
    pub hidden: View,
    /// Each expert's share of the pairs, `[num_experts]`, of each MoE block.
    pub expert_loads: Vec<View>,
}

/// Results of the plan of single tokens' losses.
#[derive(Clone, Copy, Debug)]
pub struct TokenLossesTensors {
    /// The loss of each position, `[tokens]`.
    pub losses: View,
}

/// Inputs of plans with a cache of keys and values: a slot for each token of a run.
#[derive(Clone, Copy, Debug)]
pub struct CacheTensors {
    /// Position of each slot's token in its row, `[slots]`; [`IDLE`](crate::ops::attention::IDLE) for a slot without a
    /// token.
    pub positions: View,
    /// Row of the cache for each slot, `[slots]`.
    pub cache_rows: View,
}

/// Tensors of the decode plan.
#[derive(Clone, Copy, Debug)]
pub struct DecodeTensors {
    /// Inputs, with a slot for each row.
    pub cache: CacheTensors,
    /// Logits of the next tokens, `[rows, vocab_size]`.
    pub logits: View,
}

/// Results of the probe plan.
#[derive(Clone, Debug)]
pub struct ProbeTensors {
    /// Last hidden states, `[context, hidden_size]`.
    pub hidden: View,
    /// The stream that NITP predicts, `[context, hidden_size]`.
    pub target: View,
    /// Router probabilities `[context, num_experts]` of each MoE block, with its index.
    pub router_probs: Vec<(usize, View)>,
}

/// Results of the states plan.
#[derive(Clone, Debug)]
pub struct StatesTensors {
    /// Hidden states of each asked layer, `[tokens, hidden_size]`.
    pub states: Vec<View>,
}
