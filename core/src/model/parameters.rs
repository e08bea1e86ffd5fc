//! The parameters of a model: packed for the kernels, with the Hugging Face tensors that each consists of.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sha2::{Digest, Sha256};

use crate::config::{Config, ModelConfig, MtpConfig, MtpHead};
use crate::plan::{LayoutError, Limits, Packed, ParameterLayout};

/// Initialisation of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// All ones: norm gains.
    Ones,
    /// All zeros: biases.
    Zeros,
}

/// A tensor of a file: a contiguous range of a packed parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Hugging Face's name (Llama, Qwen2Moe), or a name of a head that only training uses: see [`is_of_training_head`].
    pub name: String,
    /// First element within the parameter.
    pub offset: usize,
    /// `[out, in]`, or `[width]` for norm gains and biases.
    pub shape: Vec<usize>,
    /// Its initialisation.
    pub init: Init,
}

impl Part {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A parameter of plans.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Name in plans, e.g. `layers.0.qkv`.
    pub name: String,
    /// Packed shape.
    pub shape: Vec<usize>,
    /// Whether weight decay applies: matrices, not norm gains and biases.
    pub decay: bool,
    /// Its tensors in files, in order, without gaps.
    pub parts: Vec<Part>,
}

/// Prefixes of tensors of heads that only training uses. A model without these heads ignores such tensors in files.
const TRAINING_HEADS: [&str; 4] = ["nitp.", "mtp.", "nextlat.", "top."];

/// Whether a tensor of a file belongs to a head that only training uses, by its name.
pub fn is_of_training_head(file_name: &str) -> bool {
    training_head(file_name).is_some()
}

/// The prefix of the head that a tensor of a file belongs to, if only training uses this head.
pub fn training_head(file_name: &str) -> Option<&'static str> {
    TRAINING_HEADS.into_iter().find(|head| file_name.starts_with(head))
}

impl Parameter {
    /// Description for the packing.
    pub fn packed(&self) -> Packed<'_> {
        let of_head = self.parts.iter().any(|part| is_of_training_head(&part.name));
        Packed { name: &self.name, len: self.len(), decay: self.decay, of_head }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A list of parameters under construction.
struct List(Vec<Parameter>);

impl List {
    fn gain(&mut self, name: String, file_name: String, width: usize) {
        let part = Part { name: file_name, offset: 0, shape: vec![width], init: Init::Ones };
        self.0.push(Parameter { name, shape: vec![width], decay: false, parts: vec![part] });
    }

    /// Biases of matrices that are stacked.
    fn biases(&mut self, name: String, parts: &[(String, usize)]) {
        let mut list = Vec::new();
        let mut offset = 0;
        for (name, width) in parts {
            let (name, shape) = (name.clone(), vec![*width]);
            list.push(Part { name, offset, shape, init: Init::Zeros });
            offset += width;
        }
        self.0.push(Parameter { name, shape: vec![offset], decay: false, parts: list });
    }

    /// Matrices `[rows, columns]` of equal `columns`, one below the other.
    fn stacked(&mut self, name: String, parts: &[(String, usize)], columns: usize, std: f64) {
        let mut list = Vec::new();
        let mut rows = 0;
        for (name, part_rows) in parts {
            list.push(Part {
                name: name.clone(),
                offset: rows * columns,
                shape: vec![*part_rows, columns],
                init: Init::Normal(std),
            });
            rows += part_rows;
        }
        self.0.push(Parameter { name, shape: vec![rows, columns], decay: true, parts: list });
    }

    fn matrix(&mut self, name: String, file_name: String, shape: [usize; 2], std: f64) {
        self.stacked(name, &[(file_name, shape[0])], shape[1], std);
    }

    /// A SwiGLU FFN: `{name}.gate_up [2 * inner, width]` and `{name}.down [width, inner]`.
    fn swiglu(&mut self, name: &str, file: &str, width: usize, inner: usize, stds: [f64; 2]) {
        let [std, out_std] = stds;
        self.stacked(
            format!("{name}.gate_up"),
            &[
                (format!("{file}.gate_proj.weight"), inner),
                (format!("{file}.up_proj.weight"), inner),
            ],
            width,
            std,
        );
        self.matrix(
            format!("{name}.down"),
            format!("{file}.down_proj.weight"),
            [width, inner],
            out_std,
        );
    }
}

/// Every parameter of the model and its projection head, in a fixed order.
///
/// Initialisation is normal(0, initializer_range); matrices that write to the residual stream are
/// scaled by 1 / sqrt(2 * blocks).
pub fn parameters(config: &Config) -> Vec<Parameter> {
    let model = &config.model;
    let (d, stds) = (model.hidden_size, stds(model));
    let std = stds[0];
    let mut list = List(Vec::new());
    list.matrix(
        "embed_tokens".into(),
        "model.embed_tokens.weight".into(),
        [model.vocab_size, d],
        std,
    );
    for layer in 0..model.num_hidden_layers {
        let (name, file) = (format!("layers.{layer}"), format!("model.layers.{layer}"));
        list.attention(&name, &file, model);
        let mlp = format!("{file}.mlp");
        let Some(moe) = model.moe_of(layer) else {
            list.swiglu(&format!("{name}.ffn"), &mlp, d, model.intermediate_size, stds);
            continue;
        };
        list.matrix(
            format!("{name}.router"),
            format!("{mlp}.gate.weight"),
            [moe.num_experts, d],
            std,
        );
        list.experts(&name, &mlp, d, moe.num_experts, moe.moe_intermediate_size, stds);
        if moe.shared_expert_intermediate_size > 0 {
            list.swiglu(
                &format!("{name}.shared"),
                &format!("{mlp}.shared_expert"),
                d,
                moe.shared_expert_intermediate_size,
                stds,
            );
        }
        if moe.has_shared_expert_gate() {
            let file = format!("{mlp}.shared_expert_gate.weight");
            list.matrix(format!("{name}.shared_gate"), file, [1, d], std);
        }
    }
    list.gain("norm".into(), "model.norm.weight".into(), d);
    if !model.tie_word_embeddings {
        list.matrix("lm_head".into(), "lm_head.weight".into(), [model.vocab_size, d], std);
    }
    if config.nitp.has_projector() {
        list.swiglu("projector", "nitp.projector", d, 4 * d, [std, std]);
    }
    list.rivals(config);
    list.0
}

/// Standard deviations: of matrices in general, and of matrices that write to the residual stream.
fn stds(model: &ModelConfig) -> [f64; 2] {
    let std = model.initializer_range;
    [std, std / (2.0 * model.num_hidden_layers as f64).sqrt()]
}

/// The packing of a model's parameters under these limits.
///
/// # Errors
/// If a tensor is larger than a binding.
pub fn parameter_layout(config: &Config, limits: Limits) -> Result<ParameterLayout, LayoutError> {
    let parameters = parameters(config);
    ParameterLayout::new(parameters.iter().map(Parameter::packed), limits)
}

impl List {
    /// The attention half of a block, and the gain of its feed-forward network's norm.
    fn attention(&mut self, name: &str, file: &str, model: &ModelConfig) {
        let (d, [std, out_std]) = (model.hidden_size, stds(model));
        let [q, kv] = [model.num_attention_heads, model.num_key_value_heads]
            .map(|heads| heads * model.head_dim);
        self.gain(format!("{name}.attention_norm"), format!("{file}.input_layernorm.weight"), d);
        let attention = format!("{file}.self_attn");
        self.stacked(
            format!("{name}.qkv"),
            &[
                (format!("{attention}.q_proj.weight"), q),
                (format!("{attention}.k_proj.weight"), kv),
                (format!("{attention}.v_proj.weight"), kv),
            ],
            d,
            std,
        );
        if model.has_qkv_bias() {
            self.biases(
                format!("{name}.qkv_bias"),
                &[
                    (format!("{attention}.q_proj.bias"), q),
                    (format!("{attention}.k_proj.bias"), kv),
                    (format!("{attention}.v_proj.bias"), kv),
                ],
            );
        }
        if model.has_qk_norm() {
            for head in ["q", "k"] {
                let file = format!("{attention}.{head}_norm.weight");
                self.gain(format!("{name}.{head}_norm"), file, model.head_dim);
            }
        }
        self.matrix(
            format!("{name}.o_proj"),
            format!("{attention}.o_proj.weight"),
            [d, q],
            out_std,
        );
        self.gain(format!("{name}.ffn_norm"), format!("{file}.post_attention_layernorm.weight"), d);
    }

    /// Parameters that join a state and the next token's embedding: a norm and a matrix for each.
    fn joined(&mut self, head: &str, width: usize, std: f64) {
        for part in ["hidden", "token"] {
            let name = format!("{head}.{part}_norm");
            self.gain(name.clone(), format!("{name}.weight"), width);
            let name = format!("{head}.{part}_proj");
            self.matrix(name.clone(), format!("{name}.weight"), [width, width], std);
        }
    }

    /// The heads of other objectives.
    fn rivals(&mut self, config: &Config) {
        let model = &config.model;
        let (d, stds) = (model.hidden_size, stds(model));
        let std = stds[0];
        if config.mtp.is_on() {
            if config.mtp.head == MtpHead::Sequential {
                self.joined("mtp", d, std);
            }
            self.attention("mtp.block", "mtp.block", model);
            let inner = MtpConfig::intermediate_size(model);
            self.swiglu("mtp.block.ffn", "mtp.block.mlp", d, inner, stds);
            self.gain("mtp.norm".into(), "mtp.norm.weight".into(), d);
        }
        if config.nextlat.is_on() {
            self.joined("nextlat", d, std);
            self.swiglu("nextlat.dynamics", "nextlat.dynamics", d, 4 * d, [std, std]);
        }
        if config.top.is_on() {
            let name = "top.unembedding";
            self.matrix(name.into(), format!("{name}.weight"), [model.vocab_size, d], std);
        }
    }

    /// All experts of a block: `experts.gate_up [experts, 2 * inner, width]` and
    /// `experts.down [experts, width, inner]`.
    fn experts(
        &mut self,
        name: &str,
        file: &str,
        width: usize,
        experts: usize,
        inner: usize,
        stds: [f64; 2],
    ) {
        let mut one = List(Vec::new());
        for expert in 0..experts {
            one.swiglu("", &format!("{file}.experts.{expert}"), width, inner, stds);
        }
        for (index, (suffix, shape)) in
            [("gate_up", [experts, 2 * inner, width]), ("down", [experts, width, inner])]
                .into_iter()
                .enumerate()
        {
            let size = shape[1] * shape[2];
            let parts = one.0.iter().skip(index).step_by(2).enumerate();
            let parts = parts.flat_map(|(expert, parameter)| {
                parameter
                    .parts
                    .iter()
                    .map(move |part| Part { offset: part.offset + expert * size, ..part.clone() })
            });
            self.0.push(Parameter {
                name: format!("{name}.experts.{suffix}"),
                shape: shape.to_vec(),
                decay: true,
                parts: parts.collect(),
            });
        }
    }
}

/// The initial values of a tensor. They depend only on the seed, on the tensor's name in files, and on its shape.
pub fn initial_values(seed: u64, part: &Part) -> Vec<f32> {
    match part.init {
        Init::Ones => vec![1.0; part.len()],
        Init::Zeros => vec![0.0; part.len()],
        Init::Normal(std) => {
            let mut hash = Sha256::new();
            hash.update(seed.to_le_bytes());
            hash.update(part.name.as_bytes());
            let mut rng = ChaCha8Rng::from_seed(hash.finalize().into());
            let normal = |rng: &mut ChaCha8Rng| -> f64 { StandardNormal.sample(rng) };
            (0..part.len()).map(|_| (std * normal(&mut rng)) as f32).collect()
        }
    }
}
