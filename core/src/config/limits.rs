//! Limits on the size of a model and of a micro-batch. They use only the numbers of a configuration, and are checked
//! before any list of tensors or plan exists, because these take memory and time for each block and expert.

use super::Config;
use super::error::{ConfigError, require};

/// Largest number of blocks: a plan holds dozens of tensors and ops for each block.
pub const MAX_BLOCKS: usize = 1000;

/// Largest number of routed experts in all blocks together: each is three tensors of a checkpoint.
pub const MAX_EXPERTS: usize = 100_000;

/// Largest vocabulary, of a model and of a tokenizer that is trained.
pub const MAX_VOCAB: usize = 1 << 24;

/// Largest number of rows of a micro-batch.
pub const MAX_ROWS: usize = 1 << 20;

/// Largest number of elements of one tensor: the bytes of a thousand blocks of such tensors still fit 64 bits. With
/// addresses of 32 bits, one such tensor takes half of the address space.
const MAX_TENSOR: u128 = if usize::BITS > 32 { 1 << 40 } else { 1 << 29 };

/// A tensor that is the largest of a model or of a step for some settings. All other tensors have about as many
/// elements as one of these, or fewer.
struct Tensor {
    /// Its name in messages.
    name: &'static str,
    /// The keys that determine its size, with their values.
    keys: Vec<(&'static str, usize)>,
    /// Upper bound of its size: this ratio times the product of the keys' values.
    times: (u128, u128),
}

impl Tensor {
    fn elements(&self) -> u128 {
        let (times, per) = self.times;
        let factors = self.keys.iter().map(|&(_, value)| value as u128);
        factors.fold(times, u128::saturating_mul) / per
    }

    /// Checks the size. An error names the key with the largest value.
    fn check(&self) -> Result<(), ConfigError> {
        let largest = self.keys.iter().max_by_key(|(_, value)| *value);
        let &(field, value) = largest.expect("a size depends on a key");
        let others: Vec<_> = self.keys.iter().filter(|(key, _)| *key != field).collect();
        let sizes: Vec<String> =
            others.iter().map(|(key, size)| format!("{key} = {size}")).collect();
        let with = if sizes.is_empty() { "" } else { "with " };
        let comma = if sizes.is_empty() { "" } else { ", " };
        require(
            self.elements() <= MAX_TENSOR,
            field,
            value,
            format!(
                "{with}{}{comma}{} would have up to {:.1e} numbers, and a tensor has at most {:.1e}",
                sizes.join(" and "),
                self.name,
                self.elements() as f64,
                MAX_TENSOR as f64
            ),
            others.iter().fold(format!("Set a smaller {field}"), |text, (key, _)| {
                format!("{text} or {key}")
            }),
        )
    }
}

/// Rejects models and micro-batches with a tensor too large to address, or with too many tensors to list.
///
/// # Errors
/// [`ConfigError::Invalid`] for the largest of the sizes whose product is too large.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let model = &config.model;
    let blocks = model.num_hidden_layers;
    require(
        blocks <= MAX_BLOCKS,
        "model.num_hidden_layers",
        blocks,
        format!(
            "it must be at most {MAX_BLOCKS}: the plan holds dozens of tensors and ops for each block"
        ),
        "Set fewer blocks, of a larger model.hidden_size",
    )?;
    require(
        model.vocab_size <= MAX_VOCAB,
        "model.vocab_size",
        model.vocab_size,
        format!("it must be at most {MAX_VOCAB}"),
        "Set it to the size of the tokenizer's vocabulary",
    )?;
    if let Some(moe) = &model.moe {
        let experts = moe.num_experts.saturating_mul(model.num_moe_layers());
        require(
            experts <= MAX_EXPERTS,
            "model.moe.num_experts",
            moe.num_experts,
            format!(
                "in {} blocks that is {experts} experts, and a model has at most {MAX_EXPERTS} experts \
                 in all its blocks",
                model.num_moe_layers()
            ),
            "Set fewer experts, or fewer model.num_hidden_layers",
        )?;
        let tokens = config.train.batch_size.saturating_mul(config.train.context_length);
        require(
            tokens.saturating_mul(moe.num_experts_per_tok) <= i32::MAX as usize,
            "model.moe.num_experts_per_tok",
            moe.num_experts_per_tok,
            format!(
                "with the {tokens} tokens of a micro-batch (train.batch_size x train.context_length) \
                 there would be more pairs of a token and its expert than a 32-bit index can address"
            ),
            "Set fewer experts per token, or a smaller train.batch_size",
        )?;
    }
    require(
        config.train.batch_size <= MAX_ROWS,
        "train.batch_size",
        config.train.batch_size,
        format!("it must be at most {MAX_ROWS}"),
        "Set a smaller batch_size and more train.gradient_accumulation_steps",
    )?;
    tensors(config).iter().try_for_each(Tensor::check)
}

/// The candidates, each with the factor by which it exceeds the product of its keys.
fn tensors(config: &Config) -> Vec<Tensor> {
    let (model, train) = (&config.model, &config.train);
    let vocab = ("model.vocab_size", model.vocab_size);
    let width = ("model.hidden_size", model.hidden_size);
    let heads = ("model.num_attention_heads", model.num_attention_heads);
    let head_dim = ("model.head_dim", model.head_dim);
    let (batch, context) =
        (("train.batch_size", train.batch_size), ("train.context_length", train.context_length));
    let tensor = |name, times, keys: &[_]| Tensor { name, keys: keys.to_vec(), times };
    let mut list = vec![
        tensor("the embedding", (1, 1), &[vocab, width]),
        tensor("the hidden states", (1, 1), &[width, batch, context]),
        // In at most 256 chunks.
        tensor("a chunk of the logits", (1, 256), &[vocab, batch, context]),
        // There are at most as many key heads, and value heads, as query heads.
        tensor("the projection to queries, keys and values", (3, 1), &[heads, head_dim, width]),
        tensor("queries, keys and values", (3, 1), &[heads, head_dim, batch, context]),
    ];
    if model.num_moe_layers() < model.num_hidden_layers {
        let inner = ("model.intermediate_size", model.intermediate_size);
        list.push(tensor("the first matrix of a SwiGLU", (2, 1), &[inner, width]));
        list.push(tensor("the inner states of a SwiGLU", (2, 1), &[inner, batch, context]));
    }
    if let Some(moe) = &model.moe {
        let experts = ("model.moe.num_experts", moe.num_experts);
        let top_k = ("model.moe.num_experts_per_tok", moe.num_experts_per_tok);
        let inner = ("model.moe.moe_intermediate_size", moe.moe_intermediate_size);
        let shared =
            ("model.moe.shared_expert_intermediate_size", moe.shared_expert_intermediate_size);
        list.extend([
            tensor("the first matrices of the experts", (2, 1), &[experts, inner, width]),
            tensor("the router's scores", (1, 1), &[experts, batch, context]),
            tensor("the states sent to experts", (1, 1), &[top_k, width, batch, context]),
            tensor("the experts' inner states", (2, 1), &[top_k, inner, batch, context]),
            tensor("the first matrix of the shared expert", (2, 1), &[shared, width]),
            tensor("the shared expert's inner states", (2, 1), &[shared, batch, context]),
            // One count for each 256 pairs of a token and its expert.
            tensor("the counts of the dispatch", (1, 256), &[experts, top_k, batch, context]),
        ]);
    }
    if config.nitp.has_projector() {
        list.push(tensor("the first matrix of NITP's projector", (8, 1), &[width, width]));
        list.push(tensor("the inner states of NITP's projector", (8, 1), &[width, batch, context]));
    }
    if config.nextlat.is_on() {
        list.push(tensor("the first matrix of next-latent prediction", (8, 1), &[width, width]));
        list.push(tensor("its inner states", (8, 1), &[width, batch, context]));
    }
    if let (true, Some(moe)) = (config.mtp.is_on(), &model.moe) {
        // The inner width is a sum of two numbers, so twice the larger one bounds it.
        let top_k = ("model.moe.num_experts_per_tok", moe.num_experts_per_tok);
        let inner = ("model.moe.moe_intermediate_size", moe.moe_intermediate_size);
        let shared =
            ("model.moe.shared_expert_intermediate_size", moe.shared_expert_intermediate_size);
        list.extend([
            tensor("the block of multi-token prediction", (4, 1), &[top_k, inner, width]),
            tensor("the block of multi-token prediction", (4, 1), &[shared, width]),
            tensor("its inner states", (4, 1), &[top_k, inner, batch, context]),
            tensor("its inner states", (4, 1), &[shared, batch, context]),
        ]);
    }
    list
}
