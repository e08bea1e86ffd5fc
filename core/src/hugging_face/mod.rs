//! Models in the format of Hugging Face's transformers: a folder with `config.json`, weights in safetensors files and
//! the files of a tokenizer. This module works on texts and bytes; callers read and write the files.
//!
//! | this program's model | class in transformers |
//! | --- | --- |
//! | dense | `LlamaForCausalLM`, with `qkv_bias` `Qwen2ForCausalLM`, with `qk_norm` `Qwen3ForCausalLM` |
//! | with a mixture of experts | `Qwen2MoeForCausalLM` |
//!
//! Names of tensors are the same on both sides. There is one difference: Qwen2Moe multiplies the result of its shared
//! expert by a gate, sigmoid(w x). A model without this gate is exported with a gate whose value is 1/2 for
//! every token, and with the shared expert's last matrix doubled; [`import()`] halves it again. Doubling and halving
//! are exact.

mod describe;
mod error;
mod export;
mod import;
mod keys;
mod shared_expert;
#[cfg(test)]
mod tests;

pub use describe::{Described, describe};
pub use error::HuggingFaceError;
pub use export::{ElementType, Export, Shard};
pub use import::{import, indexed_files};

/// Names of the files in a folder.
pub mod file {
    /// The architecture of the model.
    pub const CONFIG: &str = "config.json";
    /// Settings of generation.
    pub const GENERATION_CONFIG: &str = "generation_config.json";
    /// The weights, if they are in one file.
    pub const WEIGHTS: &str = "model.safetensors";
    /// The file of each tensor, if there are several files.
    pub const INDEX: &str = "model.safetensors.index.json";
    /// The tokenizer.
    pub const TOKENIZER: &str = "tokenizer.json";
    /// Settings of the tokenizer in transformers.
    pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
    /// The special tokens.
    pub const SPECIAL_TOKENS: &str = "special_tokens_map.json";
    /// The model card.
    pub const CARD: &str = "README.md";
}
