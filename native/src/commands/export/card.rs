//! The model card: a model's architecture, training and results.

use std::path::Path;

use anyhow::Result;
use nitp_core::config::{Config, NitpConfig, parameter_counts};
use nitp_core::hugging_face::file;
use nitp_core::train::TrainerState;

use crate::history::History;
use crate::hugging_face::NamedFile;
use crate::model::Model;
use crate::progress::{short, thousands};
use crate::run_folder;

/// Metadata for Hugging Face's site, and a title. The licence is that of the model that the run started from.
fn head(name: &str, kept: &[NamedFile]) -> String {
    let licence = licence(kept);
    format!(
        "---\n{licence}library_name: transformers\npipeline_tag: text-generation\ntags:\n- nitp\n---\n\n# {name}\n"
    )
}

/// The lines about the licence in the card of an imported model.
fn licence(kept: &[NamedFile]) -> String {
    let card = kept.iter().find(|(name, _)| name == file::CARD);
    let card = card.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned());
    let card = card.unwrap_or_default();
    let mut lines = card.lines();
    if lines.next() != Some("---") {
        return String::new();
    }
    let head = lines.take_while(|line| *line != "---");
    head.filter(|line| line.starts_with("license")).map(|line| format!("{line}\n")).collect()
}

const USE: &str = "\
## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(\"PATH\")
model = AutoModelForCausalLM.from_pretrained(\"PATH\")
inputs = tokenizer(\"Once upon a time\", return_tensors=\"pt\", add_special_tokens=False)
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=50)[0]))
```
";

/// The card of the model at `path`.
///
/// # Errors
/// A run whose configuration or log can't be read.
pub fn card(path: &Path, model: &Model) -> Result<String> {
    let absolute = std::path::absolute(path)?;
    let name = |path: &Path| {
        path.file_name().map_or_else(|| "model".to_owned(), |it| it.to_string_lossy().into_owned())
    };
    let Some(state) = model.state.as_ref().filter(|state| state.step > 0) else {
        let mut text = head(&name(&absolute), &model.kept);
        text += "\n## Model\n\n";
        text += &table(&model_rows(&model.config));
        text += "\n";
        return Ok(text + USE);
    };
    let run = run_folder::find(path)?;
    let config = run.config()?;
    let mut text = head(&name(run.path()), &model.kept);
    text += &format!(
        "\nA language model, trained with [NITP](https://arxiv.org/abs/2605.24956)'s program `nitp` {}: {}.\n\n",
        env!("CARGO_PKG_VERSION"),
        objective(&config)
    );
    if let Some(origin) = run.began_from() {
        text += &format!("It began from the weights of `{}`.\n\n", name(Path::new(&origin)));
    }
    text += "## Model\n\n";
    text += &table(&model_rows(&config));
    text += "\n## Training\n\n";
    text += &table(&training_rows(&config, state));
    // A missing or broken log does not prevent the export.
    if let Ok(history) = History::read(&run.metrics(), config.clone()) {
        let figures = figures(&history, state.step);
        if !figures.is_empty() {
            text += "\n## Figures\n\nOf the held-out part of the text.\n\n";
            text += &table(&figures);
        }
    }
    text += "\n";
    Ok(text + USE)
}

type Row = (&'static str, String);

fn table(rows: &[Row]) -> String {
    let mut text = "| | |\n| --- | --- |\n".to_owned();
    for (name, value) in rows {
        text += &format!("| {name} | {value} |\n");
    }
    text
}

fn model_rows(config: &Config) -> Vec<Row> {
    let (model, counts) = (&config.model, parameter_counts(config));
    let mut rows = vec![
        (
            "parameters",
            format!("{} ({})", thousands(counts.total as f64), short(counts.total as f64)),
        ),
        ("blocks", model.num_hidden_layers.to_string()),
        ("hidden size", model.hidden_size.to_string()),
        (
            "heads",
            format!(
                "{} of width {}, {} for keys and values",
                model.num_attention_heads, model.head_dim, model.num_key_value_heads
            ),
        ),
        ("vocabulary", thousands(model.vocab_size as f64)),
    ];
    if let Some(moe) = &model.moe {
        rows.push((
            "experts",
            format!(
                "{} in each block from {} on, {} for a token; {} parameters active",
                moe.num_experts,
                moe.first_k_dense_replace,
                moe.num_experts_per_tok,
                short(counts.active as f64)
            ),
        ));
    }
    rows
}

fn training_rows(config: &Config, state: &TrainerState) -> Vec<Row> {
    let train = &config.train;
    vec![
        ("objective", objective(config)),
        ("steps", format!("{} of {}", thousands(state.step as f64), thousands(train.steps as f64))),
        ("tokens", thousands(state.tokens as f64)),
        ("context", format!("{} tokens", train.context_length)),
        ("tokens in a step", thousands(train.tokens_per_step() as f64)),
        ("learning rate", format!("{:e}", train.learning_rate)),
        ("weight decay", train.weight_decay.to_string()),
        ("seed", train.seed.to_string()),
    ]
}

fn objective(config: &Config) -> String {
    let mut names = vec!["next-token prediction".to_owned()];
    if config.nitp.enabled {
        let NitpConfig { weight, target_layer, .. } = config.nitp;
        names.push(format!("NITP of weight {weight} towards block {target_layer}"));
    }
    for (is_on, name) in [
        (config.mtp.enabled, "multi-token prediction"),
        (config.nextlat.enabled, "next-latent prediction"),
        (config.top.enabled, "token order prediction"),
    ] {
        if is_on {
            names.push(name.to_owned());
        }
    }
    names.join(", ")
}

/// The last measurements up to a step.
fn figures(history: &History, step: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(found) = history.evaluations.iter().rfind(|it| it.step <= step) {
        rows.push(("loss", format!("{:.4} nats a token, at step {}", found.val_loss, found.step)));
        rows.push(("perplexity", format!("{:.2}", found.perplexity)));
        if let Some(bits) = found.bits_per_byte {
            rows.push(("bits per byte", format!("{bits:.4}")));
        }
    }
    if let Some(found) = history.geometries.iter().rfind(|it| it.step <= step) {
        let width = history.config.model.hidden_size;
        rows.push((
            "effective rank of the last hidden states",
            format!("{:.1} of {width}, at step {}", found.effective_rank, found.step),
        ));
        rows.push(("mean cosine of two of them", format!("{:.4}", found.mean_cosine)));
    }
    rows
}
