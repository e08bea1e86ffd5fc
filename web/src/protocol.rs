//! Commands from the app to the engine, and updates from the engine.

use nitp_core::geometry::Curvature;
use nitp_core::train::{EvaluationEvent, GeometryEvent, StepEvent};
use serde::{Deserialize, Serialize};

/// Which of the two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lane {
    /// Next-token prediction alone.
    Ntp,
    /// With Next Implicit Token Prediction.
    Nitp,
}

impl Lane {
    /// Both, in the order in which they are shown.
    pub const ALL: [Lane; 2] = [Lane::Ntp, Lane::Nitp];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Lane::Ntp => "NTP",
            Lane::Nitp => "NITP",
        }
    }
}

/// The device to train on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceWish {
    /// A real GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// Any GPU adapter, even a software one.
    Gpu,
    /// The CPU.
    Cpu,
}

/// A file in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its path, or its name.
    pub name: String,
    /// Its contents.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// The training text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Text {
    /// The corpus that comes with the project.
    #[default]
    Demo,
    /// The visitor's own files: text or JSONL.
    Own(Vec<File>),
    /// The text of the current run, with its tokenizer.
    Same,
}

/// An experiment: runs that differ only in NITP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Configuration of the run with NITP, as TOML; the other run is the same without NITP.
    pub config: String,
    /// The training text of both.
    pub text: Text,
    /// The visitor's `tokenizer.json`, if the configuration names neither bytes nor the built-in tokenizer.
    pub tokenizer: Option<String>,
    /// The runs: both, unless a single run was opened.
    pub lanes: Vec<Lane>,
}

/// A command of the app.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Command {
    /// The first command: open a device, and continue a saved session, if any.
    Open(DeviceWish),
    /// Replace the current experiment by this one, and train it to a step.
    Prepare {
        /// The experiment.
        experiment: Box<Experiment>,
        /// The step; 0 only prepares, and a step past the last one trains to the end.
        until: usize,
    },
    /// Train to this step, or to the end.
    Run(Option<usize>),
    /// Pause both runs.
    Pause,
    /// Generate text with both models.
    Write(Writing),
    /// Inspect both models with a text.
    Inspect(Inspection),
    /// Pack a run as a zipped folder.
    Export(Lane, Format),
    /// Open a run, or a model in Hugging Face's format.
    Import {
        /// Its folder's files, or a zip of them.
        files: Vec<File>,
        /// The training text, if the folder does not contain it.
        text: Text,
    },
    /// Delete the saved session.
    Forget,
    /// Tests only: lose the GPU, as a driver reset would.
    LoseDevice,
}

/// The format of a saved run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// The folder that `nitp` reads.
    Run,
    /// Its model alone, in Hugging Face's format.
    Model,
}

/// A request for generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Writing {
    /// The prompt.
    pub prompt: String,
    /// Largest number of tokens.
    pub max_tokens: usize,
    /// The divisor of logits; 0 always takes the likeliest token.
    pub temperature: f64,
    /// Seed of the sampling.
    pub seed: u64,
}

/// A request for an inspection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// The text.
    pub text: String,
    /// The token whose curvature is requested; none for the last token with a successor.
    pub position: Option<usize>,
    /// Whether the curvature is requested, which takes a while.
    pub curvature: bool,
}

/// State of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Nothing is prepared.
    #[default]
    Empty,
    /// Ready to continue.
    Paused,
    /// Training.
    Running,
    /// All steps are done.
    Finished,
}

/// An update of the engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Update {
    /// The device, in words.
    Device(String),
    /// An experiment is ready. Updates about an earlier one are invalid.
    Prepared(Box<Prepared>),
    /// State of the engine.
    Phase(Phase),
    /// A step was done.
    Step(Lane, StepEvent),
    /// Held-out text was evaluated.
    Evaluation(Lane, EvaluationEvent),
    /// The hidden states of the fixed tokens.
    Snapshot(Lane, Box<Snapshot>),
    /// The runs went back to this step. Later events are invalid.
    Rewound(usize),
    /// A model's text so far.
    Written(Lane, Written),
    /// The result of an inspection.
    Inspected(Lane, Box<Inspected>),
    /// A file for the visitor.
    File(File),
    /// All runs have a checkpoint of this step, which can be exported.
    Saved(usize),
    /// A session for the host to save for the next visit.
    Keep {
        /// The step that all runs are at.
        step: usize,
        /// The data; empty to delete the saved session.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// The adapter's measurements, for the host to save for later visits.
    Tuned(String),
    /// The host has saved the runs at this step; 0 if nothing is saved any more.
    Kept(usize),
    /// Bytes of memory of the engine's program, if known.
    Memory(u64),
    /// A notice.
    Notice(String),
    /// An error, with advice.
    Error(String),
}

/// A prepared experiment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Prepared {
    /// The configuration of the run with NITP, as TOML.
    pub config: String,
    /// The runs.
    pub lanes: Vec<Lane>,
    /// Name of the text.
    pub text: String,
    /// Tokens of the corpus.
    pub tokens: usize,
    /// Documents of the corpus.
    pub documents: usize,
    /// Number of held-out tokens.
    pub held_out: usize,
    /// Strings of all tokens, by id.
    pub vocabulary: Vec<String>,
    /// The fixed held-out tokens.
    pub points: Points,
    /// Whether this is a saved or opened run.
    pub continued: bool,
}

/// The fixed held-out tokens whose hidden states are shown, row after row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Points {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Tokens of a row.
    pub context: usize,
    /// Labels of each token's document, e.g. its topic.
    pub labels: Vec<Label>,
}

/// One kind of label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Its name: "topic", "mood".
    pub name: String,
    /// Its values.
    pub values: Vec<String>,
    /// Index of the value, by point.
    pub of: Vec<u16>,
}

/// Hidden states of the fixed tokens at one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Effective rank, mean cosine, spectrum.
    pub geometry: GeometryEvent,
    /// The states on their three principal axes, aligned to the last snapshot, and scaled so that their root mean
    /// square distance from the origin is 1.
    pub positions: Vec<[f32; 3]>,
    /// Histogram of the cosines of pairs of the fixed tokens, from -1 to 1.
    pub cosines: Vec<u32>,
    /// The three likeliest next tokens of each state, with their probabilities.
    pub next: Vec<[(u32, f32); 3]>,
}

/// A model's text so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// The text after the prompt.
    pub text: String,
    /// The likeliest tokens after the prompt, with their probabilities.
    pub next: Vec<(String, f32)>,
    /// Whether the text is complete.
    pub done: bool,
}

/// The result of an inspection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inspected {
    /// The step of the weights.
    pub step: usize,
    /// The text's tokens.
    pub tokens: Vec<String>,
    /// Cosine of each pair of last hidden states, `[tokens, tokens]`.
    pub cosines: Vec<f32>,
    /// Router probabilities `[tokens, num_experts]` of each MoE block, with its index.
    pub router_probs: Vec<(usize, Vec<f32>)>,
    /// A token and the curvature of the losses at it, if requested.
    pub curvature: Option<(usize, Curvature)>,
}
