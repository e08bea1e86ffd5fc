//! Parameters and FLOPs of a model, in closed form.

use super::{Config, MtpConfig, MtpHead};

/// Parameters of a model, by part. `total` and `active` are of the model that is saved and
/// generates: without the projector and the heads of rivals, which only training has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterCounts {
    /// All of the model.
    pub total: u64,
    /// Parameters that one token uses: `total` minus the routed experts that the token is not sent to.
    pub active: u64,
    /// Embedding matrix, V d.
    pub embedding: u64,
    /// Query, key, value and output projections of all blocks.
    pub attention: u64,
    /// SwiGLU of the dense blocks, 3 d `intermediate_size` each.
    pub dense_ffn: u64,
    /// Routed experts, 3 d `moe_intermediate_size` each.
    pub experts_routed: u64,
    /// Shared experts, 3 d `shared_expert_intermediate_size` a MoE block.
    pub experts_shared: u64,
    /// Routers, E d a MoE block; gates of shared experts, d each.
    pub router: u64,
    /// RMSNorm gains: two a block and the final one, d each; with `qk_norm` two more a block, `head_dim` each.
    pub norms: u64,
    /// Biases of the query, key and value projections; 0 if there are none.
    pub biases: u64,
    /// Unembedding matrix, V d; 0 if it is tied to the embedding.
    pub lm_head: u64,
    /// NITP's projector, 12 d^2; 0 if the configuration has none. Not in `total`.
    pub projector: u64,
    /// Multi-token prediction: a block, its norm and, of a sequential head, two norms and 2 d^2; 0 if it is off.
    /// Not in `total`.
    pub mtp: u64,
    /// Next-latent prediction: two norms and 14 d^2; 0 if it is off. Not in `total`.
    pub nextlat: u64,
    /// Token order prediction: an unembedding, V d; 0 if it is off. Not in `total`.
    pub top: u64,
}

impl ParameterCounts {
    /// Parameters of all heads that only training uses.
    pub fn heads(&self) -> u64 {
        sum([self.projector, self.mtp, self.nextlat, self.top])
    }
}

/// Training FLOPs of one token (forward and backward, a multiply-add counted as two), by two
/// counts.
///
/// The paper's count leaves out attention scores, the router and the dense first blocks of a MoE:
/// `paper_ntp` = L (18 d^2 + 18 d f) + 6 V d, with f the inner width that a token passes in one
/// block (k `moe_intermediate_size` + `shared_expert_intermediate_size`, or `intermediate_size` of
/// a dense model), and `paper_nitp` = 72 d^2 + 18 d.
/// This project's own count is of all computed operations, except the scores that attention's backward computes again:
/// - `matmul` = 6 (attention + dense_ffn + experts_shared + router + routed experts of a token + V
///   d);
/// - `attention` = 12 L heads head_dim (T + 1) / 2: 4 head_dim forward and 8 backward for each
///   pair of a query and a key, of which a causal query at position t of T sees t + 1;
/// - `ntp` = `matmul` + `attention`;
/// - `nitp` = 6 x 12 d^2 of the projector, if there is one, and 18 d of the loss;
/// - `mtp` = 6 (the head's matrices + V d) + the attention of one more block;
/// - `nextlat` = 6 x 14 d^2, and 6 V d: logits of the next state, and of its prediction forward and backward;
/// - `top` = 6 V d;
/// - `recomputation` = 2 (attention + dense_ffn + experts_shared + router + routed experts of a
///   token) + `attention` / 3, the forward of all blocks of the model, less 2 / 3 (dense_ffn + experts_shared):
///   the product with the last matrix of a dense SwiGLU is not recomputed, because no backward reads its result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlopsPerToken {
    /// Next-token prediction, by the paper's count.
    pub paper_ntp: f64,
    /// Cost of NITP, by the paper's count; 0 if it is off.
    pub paper_nitp: f64,
    /// Matrix products of next-token prediction.
    pub matmul: f64,
    /// Attention scores and their use.
    pub attention: f64,
    /// Next-token prediction, by this project's count.
    pub ntp: f64,
    /// Cost of NITP, by this project's count; 0 if it is off.
    pub nitp: f64,
    /// Cost of multi-token prediction; 0 if it is off.
    pub mtp: f64,
    /// Cost of next-latent prediction; 0 if it is off.
    pub nextlat: f64,
    /// Cost of token order prediction; 0 if it is off.
    pub top: f64,
    /// Cost of `train.recompute_activations`, if it is on.
    pub recomputation: f64,
}

impl FlopsPerToken {
    /// Total of a step, by this project's count, without recomputation.
    pub fn total(&self) -> f64 {
        self.ntp + self.nitp + self.mtp + self.nextlat + self.top
    }

    /// Cost of NITP as a share of next-token prediction, by the paper's count.
    pub fn paper_overhead(&self) -> f64 {
        self.paper_nitp / self.paper_ntp
    }

    /// Cost of `train.recompute_activations` as a share of the total, by this project's count.
    pub fn recomputation_overhead(&self) -> f64 {
        self.recomputation / self.total()
    }

    /// Cost of NITP as a share of next-token prediction, by this project's count.
    pub fn overhead(&self) -> f64 {
        self.nitp / self.ntp
    }
}

/// A product that saturates at `u64::MAX`, so that absurd sizes reach validation instead of overflowing.
fn product<const N: usize>(factors: [usize; N]) -> u64 {
    factors.into_iter().fold(1, |product: u64, factor| product.saturating_mul(factor as u64))
}

fn sum<const N: usize>(parts: [u64; N]) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}

/// Counts the parameters of the model, and of the heads that only training uses. Counts saturate at `u64::MAX`.
pub fn parameter_counts(config: &Config) -> ParameterCounts {
    let model = &config.model;
    let (vocab, d, blocks) = (model.vocab_size, model.hidden_size, model.num_hidden_layers);
    let moe_blocks = model.num_moe_layers();
    let moe = model.moe.as_ref();
    // All heads of queries and output, of keys and of values: 2 heads and 2 kv heads, each d x
    // head_dim.
    let query_output = product([blocks, 2, d, model.num_attention_heads, model.head_dim]);
    let key_value = product([blocks, 2, d, model.num_key_value_heads, model.head_dim]);
    let attention = sum([query_output, key_value]);
    let dense_ffn = product([blocks - moe_blocks, 3, d, model.intermediate_size]);
    let experts = |count: usize| {
        moe.map_or(0, |moe| product([moe_blocks, count, 3, d, moe.moe_intermediate_size]))
    };
    let experts_routed = experts(moe.map_or(0, |moe| moe.num_experts));
    let routed_of_a_token = experts(moe.map_or(0, |moe| moe.num_experts_per_tok));
    let experts_shared =
        moe.map_or(0, |moe| product([moe_blocks, 3, d, moe.shared_expert_intermediate_size]));
    let router = moe.map_or(0, |moe| {
        let gates = usize::from(moe.has_shared_expert_gate());
        product([moe_blocks, moe.num_experts.saturating_add(gates), d])
    });
    let embedding = product([vocab, d]);
    let lm_head = if model.tie_word_embeddings { 0 } else { embedding };
    let head_norms = if model.has_qk_norm() { product([2, blocks, model.head_dim]) } else { 0 };
    let norms = sum([product([2, blocks, d]), d as u64, head_norms]);
    let biased_heads = model.num_attention_heads.saturating_add(2 * model.num_key_value_heads);
    let biases =
        if model.has_qkv_bias() { product([blocks, biased_heads, model.head_dim]) } else { 0 };
    let always =
        sum([embedding, attention, dense_ffn, experts_shared, router, norms, biases, lm_head]);
    ParameterCounts {
        total: sum([always, experts_routed]),
        active: sum([always, routed_of_a_token]),
        embedding,
        attention,
        dense_ffn,
        experts_routed,
        experts_shared,
        router,
        norms,
        biases,
        lm_head,
        projector: if config.nitp.has_projector() { product([12, d, d]) } else { 0 },
        mtp: if config.mtp.is_on() { sum(mtp_parameters(config)) } else { 0 },
        nextlat: if config.nextlat.is_on() { sum(nextlat_parameters(d)) } else { 0 },
        top: if config.top.is_on() { embedding } else { 0 },
    }
}

/// Parameters of next-latent prediction's head: matrices, and gains of norms.
fn nextlat_parameters(hidden_size: usize) -> [u64; 2] {
    [product([14, hidden_size, hidden_size]), product([2, hidden_size])]
}

/// Parameters of multi-token prediction's head: matrices, and gains of norms.
fn mtp_parameters(config: &Config) -> [u64; 2] {
    let model = &config.model;
    let (d, head_dim) = (model.hidden_size, model.head_dim);
    let heads = 2 * model.num_attention_heads + 2 * model.num_key_value_heads;
    let attention = product([d, heads, head_dim]);
    let ffn = product([3, d, MtpConfig::intermediate_size(model)]);
    // Two norms of the block and one after it, and one of each vector that is joined.
    let (joined, norms) = match config.mtp.head {
        MtpHead::Sequential => (product([2, d, d]), 5),
        MtpHead::Parallel => (0, 3),
    };
    [sum([attention, ffn, joined]), product([norms, d])]
}

/// Counts the training FLOPs of one token of a row of `train.context_length` tokens, in a step where
/// NITP is on (if it is enabled).
pub fn flops_per_token(config: &Config) -> FlopsPerToken {
    let (model, nitp) = (&config.model, &config.nitp);
    let counts = parameter_counts(config);
    let [vocab, d, blocks, heads, head_dim, context] = [
        model.vocab_size,
        model.hidden_size,
        model.num_hidden_layers,
        model.num_attention_heads,
        model.head_dim,
        config.train.context_length,
    ]
    .map(|size| size as f64);

    let inner = model.moe.as_ref().map_or(model.intermediate_size as f64, |moe| {
        moe.num_experts_per_tok as f64 * moe.moe_intermediate_size as f64
            + moe.shared_expert_intermediate_size as f64
    });
    let paper_ntp = blocks * (18.0 * d * d + 18.0 * d * inner) + 6.0 * vocab * d;

    // The embedding is a lookup, not a product. The unembedding is a product even if it is the same matrix.
    let unmultiplied = sum([counts.embedding, counts.norms, counts.biases, counts.lm_head]);
    let in_blocks = counts.active as f64 - unmultiplied as f64;
    let matmul = 6.0 * (in_blocks + vocab * d);
    let block_attention = 12.0 * heads * head_dim * (context + 1.0) / 2.0;
    let attention = blocks * block_attention;

    let projector = if nitp.has_projector() { 72.0 * d * d } else { 0.0 };
    let nitp = if nitp.enabled { projector + 18.0 * d } else { 0.0 };
    let unread = (counts.dense_ffn + counts.experts_shared) as f64 / 3.0;
    let recomputation = 2.0 * (in_blocks - unread) + attention / 3.0;
    let unembedding = 6.0 * vocab * d;
    let mtp = 6.0 * mtp_parameters(config)[0] as f64 + unembedding + block_attention;
    let nextlat = 6.0 * nextlat_parameters(model.hidden_size)[0] as f64 + unembedding;
    let if_on = |is_on: bool, flops: f64| if is_on { flops } else { 0.0 };
    FlopsPerToken {
        paper_ntp,
        paper_nitp: nitp,
        matmul,
        attention,
        ntp: matmul + attention,
        nitp,
        mtp: if_on(config.mtp.is_on(), mtp),
        nextlat: if_on(config.nextlat.is_on(), nextlat),
        top: if_on(config.top.is_on(), unembedding),
        recomputation,
    }
}
