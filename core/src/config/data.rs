//! The data of a run.

use serde::{Deserialize, Serialize};

use super::error::{ConfigError, require, require_below_one};

/// `[data]`: the text, how it becomes tokens, and how much of it is held out. Omitted keys take
/// the value of the `tiny` preset, which each field names as its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Files of text, JSONL, Parquet, CSV or token ids, folders of them, or a folder of `nitp data prepare`; "-" is the
    /// standard input. Default `["demo-data/corpus.jsonl"]`; the paper's presets leave it empty, because
    /// their text is not part of this project.
    pub paths: Vec<String>,
    /// One weight for each of `paths`, which then are the texts of a mixture: each row of a batch is from one of them,
    /// and the rows are divided by weight, whatever the sizes of the texts. Left out, all paths are one text.
    #[cfg_attr(target_arch = "wasm32", serde(skip))]
    #[cfg_attr(not(target_arch = "wasm32"), serde(skip_serializing_if = "super::is_default"))]
    pub weights: Vec<f64>,
    /// "byte", or the path of a Hugging Face `tokenizer.json`. Default "demo-data/tokenizer.json".
    pub tokenizer: String,
    /// The token that ends a document, by its content, such as "<|im_end|>"; "auto" takes the
    /// special token that has one of the usual names for it, "none" takes none: documents follow each other without a
    /// separator. Default "auto".
    pub end_of_text: String,
    /// The column of Parquet, CSV and TSV files that holds the text. Left out, it is `text`, or `content` where there is
    /// no `text`.
    #[cfg_attr(target_arch = "wasm32", serde(skip))]
    #[cfg_attr(not(target_arch = "wasm32"), serde(skip_serializing_if = "super::is_default"))]
    pub text_column: Option<String>,
    /// Share of the text that is held out for evaluation and never trained on: at least 0, below
    /// 1; 0 holds nothing out and leaves a run without evaluations. Default 0.05.
    pub validation_fraction: f64,
}

/// Most texts of a mixture: each has at least one of a thousand rows.
const MOST_TEXTS: usize = 1000;

/// The value of [`DataConfig::tokenizer`] that makes each of the 256 bytes a token.
pub const BYTE_TOKENIZER: &str = "byte";

/// The value of [`DataConfig::end_of_text`] that finds the token by its name.
pub const AUTO_END_OF_TEXT: &str = "auto";

/// The value of [`DataConfig::end_of_text`] that takes no token.
pub const NO_END_OF_TEXT: &str = "none";

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            paths: vec!["demo-data/corpus.jsonl".to_owned()],
            weights: Vec::new(),
            tokenizer: "demo-data/tokenizer.json".to_owned(),
            end_of_text: AUTO_END_OF_TEXT.to_owned(),
            text_column: None,
            validation_fraction: 0.05,
        }
    }
}

impl DataConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        require(
            self.paths.iter().all(|path| !path.trim().is_empty()),
            "data.paths",
            format!("{:?}", self.paths),
            "each of its entries must name a file or a folder",
            "Remove the empty entry",
        )?;
        let weights = &self.weights;
        require(
            cfg!(target_arch = "wasm32") || weights.is_empty() || weights.len() == self.paths.len(),
            "data.weights",
            format!("{weights:?}"),
            format!("it must have one weight for each of the {} data.paths", self.paths.len()),
            "Set as many weights as paths, or leave data.weights out",
        )?;
        require(
            cfg!(target_arch = "wasm32") || weights.iter().all(|it| it.is_finite() && *it > 0.0),
            "data.weights",
            format!("{weights:?}"),
            "each weight must be a number above 0",
            "Set each to a number above 0, or leave the text out",
        )?;
        require(
            cfg!(target_arch = "wasm32") || weights.len() <= MOST_TEXTS,
            "data.weights",
            format!("{} weights", weights.len()),
            format!("at most {MOST_TEXTS} texts can be mixed"),
            "Set fewer paths: a folder of texts is one text",
        )?;
        require(
            !self.tokenizer.trim().is_empty(),
            "data.tokenizer",
            format!("{:?}", self.tokenizer),
            "it must be \"byte\" or the path of a tokenizer.json",
            "Set data.tokenizer = \"byte\"",
        )?;
        require(
            !self.end_of_text.is_empty(),
            "data.end_of_text",
            format!("{:?}", self.end_of_text),
            "it must be the content of a token, \"auto\" or \"none\"",
            "Set data.end_of_text = \"auto\"",
        )?;
        require(
            cfg!(target_arch = "wasm32") || self.text_column.as_deref() != Some(""),
            "data.text_column",
            "\"\"",
            "it must be the name of a column",
            "Set data.text_column = \"text\"",
        )?;
        require_below_one("data.validation_fraction", self.validation_fraction)
    }
}
