//! Whole configurations by name: small ones to learn with, and the seven models of the paper's
//! table.

use super::load::suggest;
use super::{
    AUTO_END_OF_TEXT, BYTE_TOKENIZER, Config, ConfigError, DataConfig, ModelConfig, MoeConfig,
    NitpConfig, TrainConfig,
};

/// Names of all presets, with a description of one line.
const PRESETS: &[(&str, &str)] = &[
    ("nano", "41 k parameters, dense, bytes: a test of every part, trains in seconds"),
    ("mini", "0.22 M, dense: for a browser tab without a GPU; learns words in a few minutes"),
    (
        "tiny",
        "1.0 M, dense: the default; trains on the project's own corpus in minutes on two cores",
    ),
    ("tiny-moe", "1.8 M, 1.0 M active: tiny with 8 experts, two and a shared one for each token"),
    ("small", "30 M, dense: for a GPU, or an evening on a CPU"),
    ("small-moe", "29 M, 7.6 M active: 16 experts, two and a shared one for each token"),
    ("1.9b-a0.3b", "the paper's 1.9 B MoE, 0.3 B active: 16 blocks, 144 experts, 105 B tokens"),
    ("3b-a0.5b", "the paper's 3 B MoE, 0.5 B active: 17 blocks, 144 experts, 200 B tokens"),
    ("9b-a1b", "the paper's 9 B MoE, 1 B active: 24 blocks, 144 experts, 330 B tokens"),
    ("45b-a5.5b", "the paper's 45 B MoE, 5.5 B active: 24 blocks, 144 experts, 240 B tokens"),
    ("0.5b", "the paper's 0.5 B dense model: 24 blocks, 200 B tokens"),
    ("2b", "the paper's 2 B dense model: 28 blocks, 330 B tokens"),
    ("3b", "the paper's 3 B dense model: 28 blocks, 330 B tokens"),
];

/// Names of all presets, with a description of one line: first the project's own, then the paper's, each from small to
/// large.
pub fn preset_names() -> &'static [(&'static str, &'static str)] {
    PRESETS
}

/// The configuration of that name.
///
/// # Errors
/// [`ConfigError::UnknownPreset`], with the nearest name or all of them.
pub fn preset(name: &str) -> Result<Config, ConfigError> {
    match name {
        "nano" => Ok(nano()),
        "mini" => Ok(mini()),
        "tiny" => Ok(Config::default()),
        "tiny-moe" => Ok(tiny_moe()),
        "small" => Ok(small()),
        "small-moe" => Ok(small_moe()),
        _ => PAPER.iter().find(|row| row.name == name).map(PaperRow::config).ok_or_else(|| {
            ConfigError::UnknownPreset {
                name: name.to_owned(),
                hint: suggest(name, PRESETS.iter().map(|(known, _)| *known)),
            }
        }),
    }
}

fn nano() -> Config {
    Config {
        model: ModelConfig {
            vocab_size: 256,
            hidden_size: 32,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            head_dim: 8,
            intermediate_size: 96,
            ..ModelConfig::default()
        },
        train: TrainConfig {
            steps: 500,
            context_length: 64,
            learning_rate: 4e-3,
            warmup_steps: 50,
            ..TrainConfig::default()
        },
        data: DataConfig { tokenizer: BYTE_TOKENIZER.to_owned(), ..DataConfig::default() },
        ..Config::default()
    }
}

fn mini() -> Config {
    Config {
        model: ModelConfig {
            hidden_size: 64,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            head_dim: 16,
            intermediate_size: 176,
            ..ModelConfig::default()
        },
        train: TrainConfig {
            steps: 400,
            context_length: 64,
            learning_rate: 4e-3,
            warmup_steps: 40,
            eval_interval: 40,
            eval_batches: 4,
            geometry_interval: 20,
            ..TrainConfig::default()
        },
        ..Config::default()
    }
}

fn tiny_moe() -> Config {
    let mut config = Config::default();
    config.model.moe = Some(MoeConfig::default());
    config
}

fn small() -> Config {
    Config {
        model: ModelConfig {
            hidden_size: 512,
            num_hidden_layers: 10,
            num_attention_heads: 8,
            num_key_value_heads: 4,
            head_dim: 64,
            intermediate_size: 1408,
            ..ModelConfig::default()
        },
        nitp: NitpConfig { target_layer: 2, ..NitpConfig::default() },
        train: TrainConfig {
            steps: 2000,
            context_length: 256,
            learning_rate: 6e-4,
            warmup_steps: 100,
            ..TrainConfig::default()
        },
        ..Config::default()
    }
}

fn small_moe() -> Config {
    let small = small();
    Config {
        model: ModelConfig {
            hidden_size: 256,
            num_hidden_layers: 8,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            head_dim: 64,
            intermediate_size: 1024,
            moe: Some(MoeConfig {
                num_experts: 16,
                moe_intermediate_size: 288,
                shared_expert_intermediate_size: 288,
                ..MoeConfig::default()
            }),
            ..small.model
        },
        train: TrainConfig { learning_rate: 1e-3, ..small.train },
        ..small
    }
}

/// One column of the paper's table of models.
struct PaperRow {
    name: &'static str,
    learning_rate: f64,
    /// Rows of a step, and rows of a micro-batch here; the paper gives only the first.
    rows: usize,
    batch_size: usize,
    hidden_size: usize,
    blocks: usize,
    head_dim: usize,
    heads: usize,
    kv_heads: usize,
    intermediate_size: usize,
    /// Routed experts per token, and the inner width of each expert, routed or shared. Every MoE of the table has 144
    /// experts and a shared one.
    experts: Option<(usize, usize)>,
    target_layer: usize,
    weight: f64,
    /// Tokens of the whole run.
    tokens: f64,
}

/// The Qwen2 tokenizer's rows, as in the paper's FLOP count.
const PAPER_VOCAB: usize = 152_064;
const PAPER_CONTEXT: usize = 8192;

/// With an untied unembedding, the MoE models have the totals of their names. The dense models have them only if the
/// two vocabulary matrices count once.
const PAPER: &[PaperRow] = &[
    PaperRow {
        name: "1.9b-a0.3b",
        learning_rate: 6.0e-4,
        rows: 256,
        batch_size: 4,
        hidden_size: 512,
        blocks: 16,
        head_dim: 64,
        heads: 8,
        kv_heads: 4,
        intermediate_size: 10_944,
        experts: Some((8, 496)),
        target_layer: 3,
        weight: 1.0,
        tokens: 105e9,
    },
    PaperRow {
        name: "3b-a0.5b",
        learning_rate: 8.7e-4,
        rows: 512,
        batch_size: 4,
        hidden_size: 768,
        blocks: 17,
        head_dim: 96,
        heads: 8,
        kv_heads: 4,
        intermediate_size: 10_944,
        experts: Some((8, 544)),
        target_layer: 4,
        weight: 1.0,
        tokens: 200e9,
    },
    PaperRow {
        name: "9b-a1b",
        learning_rate: 4.2e-4,
        rows: 1024,
        batch_size: 2,
        hidden_size: 1280,
        blocks: 24,
        head_dim: 160,
        heads: 8,
        kv_heads: 4,
        intermediate_size: 10_944,
        experts: Some((8, 640)),
        target_layer: 5,
        weight: 0.8,
        tokens: 330e9,
    },
    PaperRow {
        name: "45b-a5.5b",
        learning_rate: 2.8e-4,
        rows: 768,
        batch_size: 1,
        hidden_size: 3072,
        blocks: 24,
        head_dim: 128,
        heads: 24,
        kv_heads: 8,
        intermediate_size: 12_288,
        experts: Some((12, 1408)),
        target_layer: 5,
        weight: 0.6,
        tokens: 240e9,
    },
    PaperRow {
        name: "0.5b",
        learning_rate: 4.2e-4,
        rows: 512,
        batch_size: 4,
        hidden_size: 896,
        blocks: 24,
        head_dim: 64,
        heads: 14,
        kv_heads: 2,
        intermediate_size: 4864,
        experts: None,
        target_layer: 5,
        weight: 1.0,
        tokens: 200e9,
    },
    PaperRow {
        name: "2b",
        learning_rate: 4.2e-4,
        rows: 1024,
        batch_size: 2,
        hidden_size: 1792,
        blocks: 28,
        head_dim: 128,
        heads: 14,
        kv_heads: 2,
        intermediate_size: 10_752,
        experts: None,
        target_layer: 6,
        weight: 1.0,
        tokens: 330e9,
    },
    PaperRow {
        name: "3b",
        learning_rate: 4.2e-4,
        rows: 1024,
        batch_size: 2,
        hidden_size: 2560,
        blocks: 28,
        head_dim: 128,
        heads: 20,
        kv_heads: 4,
        intermediate_size: 10_240,
        experts: None,
        target_layer: 6,
        weight: 0.8,
        tokens: 330e9,
    },
];

impl PaperRow {
    /// Batches of the table, steps for its tokens, 2,000 steps of warm-up, and 20% of linear
    /// decay. Settings that the table leaves open (intervals, the weight of the balance loss, 1e6 as Qwen2's RoPE base)
    /// are this project's choice.
    fn config(&self) -> Config {
        Config {
            model: ModelConfig {
                vocab_size: PAPER_VOCAB,
                hidden_size: self.hidden_size,
                num_hidden_layers: self.blocks,
                num_attention_heads: self.heads,
                num_key_value_heads: self.kv_heads,
                head_dim: self.head_dim,
                intermediate_size: self.intermediate_size,
                rope_theta: 1e6,
                // The dense totals fit their names only with tied embeddings.
                tie_word_embeddings: self.experts.is_none(),
                moe: self.experts.map(|(top_k, width)| MoeConfig {
                    num_experts: 144,
                    num_experts_per_tok: top_k,
                    moe_intermediate_size: width,
                    shared_expert_intermediate_size: width,
                    router_aux_loss_coef: 0.001,
                    ..MoeConfig::default()
                }),
                ..ModelConfig::default()
            },
            nitp: NitpConfig {
                weight: self.weight,
                target_layer: self.target_layer,
                ..NitpConfig::default()
            },
            train: TrainConfig {
                steps: (self.tokens / (self.rows * PAPER_CONTEXT) as f64).round() as usize,
                batch_size: self.batch_size,
                context_length: PAPER_CONTEXT,
                gradient_accumulation_steps: self.rows / self.batch_size,
                learning_rate: self.learning_rate,
                warmup_steps: 2000,
                eval_interval: 500,
                eval_batches: 64,
                geometry_interval: 500,
                checkpoint_interval: 1000,
                ..TrainConfig::default()
            },
            data: DataConfig {
                paths: Vec::new(),
                tokenizer: "tokenizer.json".to_owned(),
                end_of_text: AUTO_END_OF_TEXT.to_owned(),
                validation_fraction: 0.001,
                text_column: None,
                weights: Vec::new(),
            },
            ..Config::default()
        }
    }
}
