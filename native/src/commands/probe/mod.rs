//! `nitp probe` and `nitp embed`: probes and vectors of texts from frozen hidden states.

mod embed;
pub mod examples;
pub mod scores;
mod vectors;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use console::style;
use nitp_core::config::Config;
use nitp_core::data::Tokenizer;
use nitp_core::executor::Executor;
use nitp_core::model::StateLayer;
use nitp_core::train::{StateReader, Tensors, initialize};
use serde::{Deserialize, Serialize};

use crate::args::{DeviceArgs, ProbeArgs};
use crate::commands::eval::write_weights;
use crate::device::{self, Device};
use crate::model::{Heads, Model};
use crate::output::{errln, outln};
use crate::settings;
pub use embed::embed;
use examples::Examples;
use scores::{Classification, Score};
use vectors::{LayerVectors, Tokens};

/// Results of a probe; `nitp probe --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probed {
    /// Number of documents.
    pub documents: usize,
    /// Number of pairs of texts with a score.
    pub similar: usize,
    /// Scores by layer, in ascending order.
    pub layers: Vec<LayerScores>,
    /// Scores of the model before training, at the last of the layers; none if its states were not read.
    pub untrained: Option<LayerScores>,
    /// Baselines that need no states, by task.
    pub baselines: Vec<Baseline>,
}

/// Scores of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerScores {
    /// `0` is the embedding, `k` the stream after block k, `last` the input of the unembedding.
    pub layer: String,
    /// Effective rank of token states, 1 to hidden_size; none if not requested, or for fewer than two states.
    pub effective_rank: Option<f64>,
    /// Mean cosine of pairs of token states, -1 to 1.
    pub mean_cosine: Option<f64>,
    /// Scores of each task.
    pub scores: Vec<Score>,
}

/// Baselines of a task without a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The task.
    pub task: String,
    /// Classes to choose from.
    pub classes: Option<usize>,
    /// Numbers of documents to fit on and to score on.
    pub documents: Option<[usize; 2]>,
    /// Accuracy of the most frequent class.
    pub majority: f64,
    /// Accuracy of logistic regression on counts of words.
    pub bag_of_words: Option<f64>,
}

/// `nitp probe`.
///
/// # Errors
/// A run or examples that can't be read or judged.
pub fn probe(args: &ProbeArgs) -> Result<()> {
    let model = Subject::of(&args.run, &args.options.device)?;
    let (layers, names) = layers(&args.options.layer, &model.config)?;
    let data = match args.data.as_slice() {
        [] => vec![settings::demo_corpus()?],
        given => given.to_vec(),
    };
    let examples = Examples::read(&data)?;
    if examples.empty > 0 {
        errln!("warning: {} documents without any text are left out", examples.empty);
    }
    let probed = model.probe(&examples, &args.labels, &layers, &names, args.seed, true)?;
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&probed)?);
        return Ok(());
    }
    outln!("{}", model.checkpoint.display());
    outln!("  on {}\n", model.why);
    print(&probed);
    Ok(())
}

/// Probes the last states of a run's newest checkpoint, without the untrained model.
///
/// # Errors
/// As [`probe`].
pub fn of_run(run: &Path, examples: &Examples, device: &DeviceArgs) -> Result<Probed> {
    let model = Subject::of(run, device)?;
    let (layers, names) = layers("last", &model.config)?;
    model.probe(examples, &[], &layers, &names, 0, false)
}

/// A checkpoint, and the executor that runs it.
struct Subject {
    config: Config,
    tokenizer: Tokenizer,
    weights: Tensors,
    device: Device,
    checkpoint: PathBuf,
    why: String,
}

/// The weights whose states are probed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weights {
    Trained,
    /// The initial weights.
    Initial,
}

impl Subject {
    fn of(run: &Path, device: &DeviceArgs) -> Result<Self> {
        // Hidden states don't depend on the objective.
        let Model { config, tokenizer, weights, place, .. } = Model::open(run, Heads::None)?;
        let choice = device::choose(device)?;
        let (device, why) = (choice.device, choice.why);
        Ok(Self { config, tokenizer, weights, device, checkpoint: place, why })
    }

    /// Vectors by layer.
    fn vectors(
        &self,
        tokens: &[Tokens],
        layers: &[StateLayer],
        weights: Weights,
        for_geometry: bool,
    ) -> Result<Vec<LayerVectors>> {
        let config = &self.config;
        let mut executor = self.device.again().executor(config)?;
        let executor: &mut dyn Executor = executor.as_mut();
        let what = match weights {
            Weights::Trained => {
                write_weights(executor, config, &self.weights)?;
                "states"
            }
            Weights::Initial => {
                let parameters = nitp_core::model::parameters(config);
                initialize(executor, &parameters, config.train.seed, &Tensors::new())?;
                "states of the untrained model"
            }
        };
        let reader = StateReader::new(executor, config, layers)?;
        let width = config.model.hidden_size;
        vectors::read(executor, &reader, &self.tokenizer, width, tokens, for_geometry, what)
    }

    /// Probes every task of the examples; with `whole`, also the geometry of each layer and the untrained model.
    fn probe(
        &self,
        examples: &Examples,
        labels: &[String],
        layers: &[StateLayer],
        names: &[String],
        seed: u64,
        whole: bool,
    ) -> Result<Probed> {
        let tasks = classifications(examples, labels, seed)?;
        let tokens = tokens(examples, &self.tokenizer)?;
        let width = self.config.model.hidden_size;
        let mut baselines: BTreeMap<String, Baseline> = BTreeMap::new();
        let mut score = |layer: &LayerVectors| -> Result<Vec<Score>> {
            let mut scores = Vec::new();
            for task in &tasks {
                scores.extend(task.scores(layer, width, seed)?);
            }
            if let Some((found, majority)) = scores::senses(examples, layer, width, seed)? {
                let task = found.task.clone();
                let baseline = Baseline {
                    task: task.clone(),
                    classes: None,
                    documents: None,
                    majority,
                    bag_of_words: None,
                };
                baselines.insert(task, baseline);
                scores.push(found);
            }
            scores.extend(scores::retrieval(examples, layer, width)?);
            scores.extend(scores::similarity(examples, layer, width)?);
            Ok(scores)
        };
        let mut scores = |layer: &LayerVectors, name: &str| -> Result<LayerScores> {
            let geometry = layer.geometry(width);
            Ok(LayerScores {
                layer: name.to_owned(),
                effective_rank: geometry.as_ref().map(|it| it.effective_rank),
                mean_cosine: geometry.as_ref().map(|it| it.mean_cosine),
                scores: score(layer)?,
            })
        };
        let mut found = Vec::new();
        let trained = self.vectors(&tokens, layers, Weights::Trained, whole)?;
        for (layer, name) in trained.iter().zip(names) {
            found.push(scores(layer, name)?);
        }
        let mut untrained = None;
        if whole {
            let (last, name) = (layers[layers.len() - 1], &names[layers.len() - 1]);
            let initial = self.vectors(&tokens, &[last], Weights::Initial, true)?;
            untrained = Some(scores(&initial[0], name)?);
        }
        for task in &tasks {
            let baseline = Baseline {
                task: task.name.clone(),
                classes: Some(task.classes()),
                documents: Some(task.sides()),
                majority: task.majority(),
                bag_of_words: Some(task.bag_of_words(examples)?),
            };
            baselines.insert(task.name.clone(), baseline);
        }
        ensure!(
            found.iter().all(|layer| !layer.scores.is_empty()),
            "there is nothing to probe: no line has a label, a `pair`, `senses` or a `score`"
        );
        Ok(Probed {
            documents: examples.documents.len(),
            similar: examples.similar.len(),
            layers: found,
            untrained,
            baselines: baselines.into_values().collect(),
        })
    }
}

/// The requested labels, or all labels of the examples.
fn classifications(
    examples: &Examples,
    wanted: &[String],
    seed: u64,
) -> Result<Vec<Classification>> {
    let names = examples.label_names();
    for name in wanted {
        ensure!(
            names.contains(name),
            "--labels {name}: no line has this label; the labels are {}",
            names.join(", ")
        );
    }
    let chosen = if wanted.is_empty() { &names } else { wanted };
    let mut tasks = Vec::new();
    for name in chosen {
        match Classification::new(examples, name, seed) {
            Ok(task) => {
                if !task.singletons.is_empty() {
                    errln!(
                        "warning: {name}: {} occur only once; a probe needs examples for both fitting \
                        and scoring: {}",
                        task.singletons.len(),
                        task.singletons.join(", ")
                    );
                }
                tasks.push(task);
            }
            // A field that was not requested may be no label, such as a title or a unique number.
            Err(error) if wanted.is_empty() => {
                errln!("warning: {name} is left out: {}", crate::reasons::reasons(&error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(tasks)
}

/// The documents, then both texts of each similar pair.
fn tokens(examples: &Examples, tokenizer: &Tokenizer) -> Result<Vec<Tokens>> {
    let mut texts = Vec::new();
    for (index, document) in examples.documents.iter().enumerate() {
        let encode =
            |text: &str| tokenizer.encode(text).with_context(|| format!("document {}", index + 1));
        let ids = encode(&document.text)?;
        let mut marked = Vec::new();
        for sense in &document.senses {
            // The word's last token: the last token up to the end of the word in the text.
            let rest = &document.text[sense.start..];
            let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
            let before = encode(&document.text[..sense.start + end])?.len();
            marked.push(before.saturating_sub(1).min(ids.len().saturating_sub(1)));
        }
        texts.push(Tokens { ids, marked });
    }
    for pair in &examples.similar {
        for text in &pair.texts {
            texts.push(Tokens { ids: tokenizer.encode(text)?, marked: Vec::new() });
        }
    }
    Ok(texts)
}

/// `last`, a number of a block, or `all`.
fn layers(wanted: &str, config: &Config) -> Result<(Vec<StateLayer>, Vec<String>)> {
    let blocks = config.model.num_hidden_layers;
    let streams = |range: std::ops::RangeInclusive<usize>| range.map(StateLayer::Stream);
    let layers: Vec<StateLayer> = match wanted {
        "last" => vec![StateLayer::Last],
        "all" => streams(0..=blocks).chain([StateLayer::Last]).collect(),
        number => {
            let block = number.parse().ok().filter(|&block| block <= blocks);
            let block = block.with_context(|| {
                format!(
                    "--layer {number}: give `last`, `all`, or a number from 0 (the embedding) to {blocks} \
                     (the last block)"
                )
            })?;
            vec![StateLayer::Stream(block)]
        }
    };
    let name = |layer: &StateLayer| match layer {
        StateLayer::Stream(block) => block.to_string(),
        StateLayer::Last => "last".to_owned(),
    };
    let names = layers.iter().map(name).collect();
    Ok((layers, names))
}

/// One row for each task and measure; one column for each layer, then the baselines.
fn print(probed: &Probed) {
    outln!(
        "{} documents{}",
        probed.documents,
        match probed.similar {
            0 => String::new(),
            pairs => format!(", {pairs} pairs with a score"),
        }
    );
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut header = vec!["task".to_owned(), "measure".to_owned()];
    header.extend(probed.layers.iter().map(|it| match it.layer.as_str() {
        "last" => "last".to_owned(),
        block => format!("block {block}"),
    }));
    header.extend(["untrained", "words", "majority"].map(str::to_owned));
    table.set_header(header.iter().map(|it| style(it).bold().to_string()));
    let all = || probed.layers.iter().chain(&probed.untrained);
    type Number = fn(&LayerScores) -> Option<f64>;
    let geometry: [(&str, Number, usize); 2] =
        [("effective rank", |it| it.effective_rank, 1), ("mean cosine", |it| it.mean_cosine, 3)];
    for (measure, of, digits) in geometry {
        let number = |value: f64| format!("{value:.digits$}");
        let mut cells = vec!["token states".to_owned(), measure.to_owned()];
        cells.extend(all().map(|it| of(it).map(number).unwrap_or_default()));
        table.add_row(cells);
    }
    let percent = |value: f64| format!("{:.1}", 100.0 * value);
    for (row, score) in probed.layers[0].scores.iter().enumerate() {
        let mut cells = vec![score.task.clone(), score.measure.to_owned()];
        cells.extend(all().map(|layer| percent(layer.scores[row].value)));
        let baseline = probed
            .baselines
            .iter()
            .find(|it| it.task == score.task && score.measure == scores::LOGISTIC);
        let words = baseline.and_then(|it| it.bag_of_words).map(percent);
        let majority = baseline.map(|it| percent(it.majority));
        cells.extend([words, majority].map(|it| it.unwrap_or_default()));
        table.add_row(cells);
    }
    for column in 2..header.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    outln!("\n{table}");
    outln!(
        "\nIn percent, except the geometry of token states. The vector of a text is the mean of its \
        tokens' states, scaled to length 1. accuracy: logistic regression, fitted on 70 % of the \
        documents, scored on the rest. untrained: the same model before training. words: logistic \
        regression on word counts. majority: always the most frequent class."
    );
}
