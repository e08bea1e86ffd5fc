//! The shape of the model: a pre-norm decoder, dense or with a mixture of experts.

use serde::{Deserialize, Serialize};

use super::RopeScaling;
use super::error::{ConfigError, require, require_in, require_positive, require_size};

/// Widest head: with heads of this width, the smallest tile of attention's baseline fills the 16 KiB of workgroup
/// memory that WebGPU guarantees.
pub const MAX_HEAD_DIM: usize = 256;

/// `[model]`: a decoder with RMSNorm, grouped-query attention with rotary positions and SwiGLU.
///
/// Key names are those of Hugging Face's Llama and Qwen2 configurations. Omitted keys take the
/// value of the `tiny` preset, which each field names as its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// V, rows of the embedding and of the unembedding. 1 to [`MAX_VOCAB`](super::MAX_VOCAB), at least
    /// 256 with the byte tokenizer, and at least the size of a tokenizer file's vocabulary. Default 1024.
    pub vocab_size: usize,
    /// d, the width of the residual stream. At least 1, no multiple required. Default 128.
    pub hidden_size: usize,
    /// L, the number of blocks. 1 to 1,000. Default 4.
    pub num_hidden_layers: usize,
    /// Query heads. A multiple of `num_key_value_heads`. Default 4.
    pub num_attention_heads: usize,
    /// Key and value heads, each shared by `num_attention_heads / num_key_value_heads` query
    /// heads. Default 2.
    pub num_key_value_heads: usize,
    /// Width of one head; independent of `hidden_size`. Even, because RoPE rotates pairs; at most
    /// [`MAX_HEAD_DIM`]. Default 32.
    pub head_dim: usize,
    /// Whether the projections to queries, keys and values have biases, as Qwen2's have. Default false.
    #[cfg_attr(target_arch = "wasm32", serde(skip))]
    #[cfg_attr(not(target_arch = "wasm32"), serde(skip_serializing_if = "super::is_default"))]
    pub qkv_bias: bool,
    /// Whether each query and key head is normalised before its rotation, as Qwen3's are. Default false.
    #[cfg_attr(target_arch = "wasm32", serde(skip))]
    #[cfg_attr(not(target_arch = "wasm32"), serde(skip_serializing_if = "super::is_default"))]
    pub qk_norm: bool,
    /// Inner width of the SwiGLU of a dense block. At least 1. Default 352.
    pub intermediate_size: usize,
    /// Base of the rotary frequencies. Above 0. Default 10000.
    pub rope_theta: f64,
    /// Added to the mean square in every RMSNorm. Above 0. Default 1e-6.
    pub rms_norm_eps: f64,
    /// Whether the unembedding is the embedding matrix itself. Default false.
    pub tie_word_embeddings: bool,
    /// Standard deviation of the initial weights; matrices that write to the residual stream are
    /// drawn with this divided by sqrt(2 L). Above 0. Default 0.02.
    pub initializer_range: f64,
    /// `[model.rope_scaling]`: absent for RoPE without scaling, which is the default.
    #[cfg_attr(target_arch = "wasm32", serde(skip))]
    #[cfg_attr(not(target_arch = "wasm32"), serde(skip_serializing_if = "Option::is_none"))]
    pub rope_scaling: Option<RopeScaling>,
    /// `[model.moe]`: absent for a dense model, which is the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moe: Option<MoeConfig>,
}

/// `[model.moe]`: the mixture of experts that replaces the SwiGLU in every block except the first ones.
///
/// A router (softmax over all experts) picks k of the routed experts for each token and weighs
/// them; the shared expert sees every token, unweighted. Every routed pair is computed, none is
/// dropped. Omitted keys take the value of the `tiny-moe` preset, which each field names as its
/// default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MoeConfig {
    /// E, routed experts of a block. At least 1, and 100,000 in all blocks together. Default 8.
    pub num_experts: usize,
    /// k, routed experts of a token: 1 to `num_experts`. Default 2.
    pub num_experts_per_tok: usize,
    /// Inner width of the SwiGLU of one routed expert. At least 1. Default 120.
    pub moe_intermediate_size: usize,
    /// Inner width of the shared expert, for several shared experts their sum; 0 for none. Default
    /// 120.
    pub shared_expert_intermediate_size: usize,
    /// Whether the shared expert's result is multiplied by a gate, the sigmoid of a score of the token, as in Qwen2Moe.
    /// Needs a shared expert. Default false.
    #[cfg_attr(target_arch = "wasm32", serde(skip))]
    #[cfg_attr(not(target_arch = "wasm32"), serde(skip_serializing_if = "super::is_default"))]
    pub shared_expert_gate: bool,
    /// Blocks at the start that stay dense: 0 to `num_hidden_layers`. Default 1.
    pub first_k_dense_replace: usize,
    /// Whether the k router probabilities of a token are scaled to sum to 1. Default false.
    pub norm_topk_prob: bool,
    /// Weight of the balance loss, which is E sum_e f_e P_e in a block (1 when balanced), summed
    /// over the MoE blocks. At least 0. Default 0.01.
    pub router_aux_loss_coef: f64,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            vocab_size: 1024,
            hidden_size: 128,
            num_hidden_layers: 4,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            head_dim: 32,
            qkv_bias: false,
            qk_norm: false,
            intermediate_size: 352,
            rope_theta: 10_000.0,
            rms_norm_eps: 1e-6,
            tie_word_embeddings: false,
            initializer_range: 0.02,
            rope_scaling: None,
            moe: None,
        }
    }
}

impl Default for MoeConfig {
    fn default() -> Self {
        Self {
            num_experts: 8,
            num_experts_per_tok: 2,
            moe_intermediate_size: 120,
            shared_expert_intermediate_size: 120,
            shared_expert_gate: false,
            first_k_dense_replace: 1,
            norm_topk_prob: false,
            router_aux_loss_coef: 0.01,
        }
    }
}

impl ModelConfig {
    /// Whether queries, keys and values have biases.
    pub fn has_qkv_bias(&self) -> bool {
        super::FOREIGN_IN_PROGRAM && self.qkv_bias
    }

    /// Whether each query and key head is normalised.
    pub fn has_qk_norm(&self) -> bool {
        super::FOREIGN_IN_PROGRAM && self.qk_norm
    }

    /// The scaling of RoPE, if there is one.
    pub fn rope_scaling(&self) -> Option<&RopeScaling> {
        self.rope_scaling.as_ref().filter(|_| super::FOREIGN_IN_PROGRAM)
    }

    /// The mixture of block `layer` (from 0), or `None` if the block is dense.
    pub fn moe_of(&self, layer: usize) -> Option<&MoeConfig> {
        self.moe.as_ref().filter(|moe| layer >= moe.first_k_dense_replace)
    }

    /// Number of blocks with a mixture of experts; the other blocks are dense.
    pub fn num_moe_layers(&self) -> usize {
        self.moe
            .as_ref()
            .map_or(0, |moe| self.num_hidden_layers.saturating_sub(moe.first_k_dense_replace))
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (field, value) in [
            ("model.vocab_size", self.vocab_size),
            ("model.hidden_size", self.hidden_size),
            ("model.num_hidden_layers", self.num_hidden_layers),
            ("model.num_attention_heads", self.num_attention_heads),
            ("model.num_key_value_heads", self.num_key_value_heads),
            ("model.intermediate_size", self.intermediate_size),
        ] {
            require_size(field, value, 1)?;
        }
        let (heads, kv_heads) = (self.num_attention_heads, self.num_key_value_heads);
        require(
            heads.is_multiple_of(kv_heads),
            "model.num_attention_heads",
            heads,
            format!("it must be a multiple of model.num_key_value_heads = {kv_heads}"),
            "Set model.num_key_value_heads to a divisor of the query heads, or to the same number \
             for plain multi-head attention",
        )?;
        self.validate_head_dim()?;
        require_positive("model.rope_theta", self.rope_theta)?;
        require_positive("model.rms_norm_eps", self.rms_norm_eps)?;
        require_positive("model.initializer_range", self.initializer_range)?;
        self.rope_scaling().map_or(Ok(()), RopeScaling::validate)?;
        self.moe.as_ref().map_or(Ok(()), |moe| moe.validate(self.num_hidden_layers))
    }

    fn validate_head_dim(&self) -> Result<(), ConfigError> {
        let head_dim = self.head_dim;
        let advice = match head_dim {
            0 | 1 => "Set model.head_dim to 32 or 64".to_owned(),
            2..MAX_HEAD_DIM => {
                format!("Set model.head_dim to {} or {}", head_dim - 1, head_dim + 1)
            }
            _ => format!(
                "Set model.head_dim to {MAX_HEAD_DIM} or less, and more model.num_attention_heads"
            ),
        };
        require(
            (2..=MAX_HEAD_DIM).contains(&head_dim) && head_dim.is_multiple_of(2),
            "model.head_dim",
            head_dim,
            format!(
                "it must be an even number from 2 to {MAX_HEAD_DIM}, because RoPE rotates pairs of its \
                 entries, and the GPU kernels hold no more"
            ),
            advice,
        )
    }
}

impl MoeConfig {
    /// Whether the shared expert has a gate.
    pub fn has_shared_expert_gate(&self) -> bool {
        super::FOREIGN_IN_PROGRAM && self.shared_expert_gate
    }

    fn validate(&self, num_hidden_layers: usize) -> Result<(), ConfigError> {
        require_size("model.moe.num_experts", self.num_experts, 1)?;
        require_size("model.moe.moe_intermediate_size", self.moe_intermediate_size, 1)?;
        require_size(
            "model.moe.shared_expert_intermediate_size",
            self.shared_expert_intermediate_size,
            0,
        )?;
        require(
            !self.has_shared_expert_gate() || self.shared_expert_intermediate_size > 0,
            "model.moe.shared_expert_gate",
            self.shared_expert_gate,
            "there is no shared expert to gate: model.moe.shared_expert_intermediate_size is 0",
            "Set model.moe.shared_expert_gate = false, or give the shared expert a width",
        )?;
        let (top_k, experts) = (self.num_experts_per_tok, self.num_experts);
        require(
            (1..=experts).contains(&top_k),
            "model.moe.num_experts_per_tok",
            top_k,
            format!("it must be from 1 to model.moe.num_experts = {experts}"),
            if top_k == 0 {
                "Set 1 or more experts per token, or model.moe = false for a dense model"
            } else {
                "Set fewer experts per token, or more experts"
            },
        )?;
        require(
            self.first_k_dense_replace <= num_hidden_layers,
            "model.moe.first_k_dense_replace",
            self.first_k_dense_replace,
            format!("it must be from 0 to model.num_hidden_layers = {num_hidden_layers}"),
            "Set fewer dense blocks, or more blocks",
        )?;
        require_in("model.moe.router_aux_loss_coef", self.router_aux_loss_coef, 0.0..=f64::MAX)
    }
}
