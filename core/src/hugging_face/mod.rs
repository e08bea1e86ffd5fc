//! Models as Hugging Face's transformers keeps them: a folder with `config.json`, weights in safetensors files and
//! the files of a tokenizer. Texts and bytes only: who calls reads and writes the files.
//!
//! | this program's model | class in transformers |
//! | --- | --- |
//! | dense | `LlamaForCausalLM`, with `qkv_bias` `Qwen2ForCausalLM`, with `qk_norm` `Qwen3ForCausalLM` |
//! | with a mixture of experts | `Qwen2MoeForCausalLM` |
//!
//! Names of tensors are the same on both sides. One thing differs: Qwen2Moe multiplies what its shared expert gives by
//! a gate, sigmoid(w x). A model without it is exported with a gate of zeros, which is a half for every token, and with the
//! shared expert's last matrix doubled; [`import()`] halves it again. Doubling and halving are exact.

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
    /// What the model is.
    pub const CONFIG: &str = "config.json";
    /// How text is drawn from it.
    pub const GENERATION_CONFIG: &str = "generation_config.json";
    /// Weights that are in one file.
    pub const WEIGHTS: &str = "model.safetensors";
    /// Which file of several each tensor is in.
    pub const INDEX: &str = "model.safetensors.index.json";
    /// The tokenizer.
    pub const TOKENIZER: &str = "tokenizer.json";
    /// How transformers uses the tokenizer.
    pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
    /// Names of tokens with a meaning of their own.
    pub const SPECIAL_TOKENS: &str = "special_tokens_map.json";
    /// The model card.
    pub const CARD: &str = "README.md";
}
