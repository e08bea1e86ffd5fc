//! What the app asks of the engine, and what the engine tells.

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

/// What trains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceWish {
    /// A real GPU where there is one, else the CPU.
    #[default]
    Auto,
    /// Any GPU adapter, a software one too.
    Gpu,
    /// The CPU.
    Cpu,
}

/// A named piece of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its path, as far as it is known.
    pub name: String,
    /// What is in it.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// What is trained on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Text {
    /// The corpus that comes with the project.
    #[default]
    Demo,
    /// The visitor's own files: text or JSONL.
    Own(Vec<File>),
    /// That of the run under way, with its tokenizer.
    Same,
}

/// An experiment: runs that differ in NITP alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// The run with NITP, as TOML; the other one is the same without.
    pub config: String,
    /// What both train on.
    pub text: Text,
    /// A `tokenizer.json` of the visitor's, where the configuration names neither bytes nor the
    /// built-in one.
    pub tokenizer: Option<String>,
    /// Which runs there are: both, unless one was opened by itself.
    pub lanes: Vec<Lane>,
}

/// What the app asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Command {
    /// The first: open a device, and go on with what was kept, if anything.
    Open(DeviceWish),
    /// Leave what there is, prepare this and train it to a step.
    Prepare {
        /// What.
        experiment: Box<Experiment>,
        /// 0 only prepares; past the last step is to the end.
        until: usize,
    },
    /// Train to this step, or to the end.
    Run(Option<usize>),
    /// Hold both runs where they are.
    Pause,
    /// Let both models go on from a text.
    Write(Writing),
    /// Look into both models with a text.
    Inspect(Inspection),
    /// Pack a run as the folder that `nitp` reads.
    Export(Lane),
    /// Go on with a run.
    Import {
        /// Its folder's files, or a zip of them.
        files: Vec<File>,
        /// What it was trained on, where its folder does not hold it.
        text: Text,
    },
    /// Forget what was kept for the next visit.
    Forget,
    /// Tests only: lose the GPU, as a driver reset would.
    LoseDevice,
}

/// Text to go on from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Writing {
    /// The beginning.
    pub prompt: String,
    /// How many tokens at most.
    pub max_tokens: usize,
    /// Divides the logits; 0 takes the likeliest.
    pub temperature: f64,
    /// Seed of the draws.
    pub seed: u64,
}

/// A text to look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// The text.
    pub text: String,
    /// The token whose curvature is wanted; the last that has a successor where there is none.
    pub position: Option<usize>,
    /// Whether the curvature is wanted: it takes a while.
    pub curvature: bool,
}

/// What the engine is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Nothing is prepared.
    #[default]
    Empty,
    /// Ready to go on.
    Paused,
    /// Training.
    Running,
    /// All steps are done.
    Finished,
}

/// What the engine tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Update {
    /// What trains, in words.
    Device(String),
    /// An experiment is ready; what was told of another one is void.
    Prepared(Box<Prepared>),
    /// What the engine is at.
    Phase(Phase),
    /// A step was done.
    Step(Lane, StepEvent),
    /// Held-out text was evaluated.
    Evaluation(Lane, EvaluationEvent),
    /// The hidden states of the fixed tokens.
    Snapshot(Lane, Box<Snapshot>),
    /// The runs went back to this step: what came after is void.
    Rewound(usize),
    /// A model went on with the prompt.
    Written(Lane, Written),
    /// What was seen in a text.
    Inspected(Lane, Box<Inspected>),
    /// A file for the visitor.
    File(File),
    /// There is a checkpoint of this step of all runs, that can be exported.
    Saved(usize),
    /// For the host to keep for the next visit.
    Keep {
        /// The step that all runs are at.
        step: usize,
        /// What to keep; empty to forget what was kept.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// For the host to keep for every visit: what was measured of the adapter.
    Tuned(String),
    /// The host has kept the runs of this step; 0 where nothing is kept any more.
    Kept(usize),
    /// Bytes of memory that the engine's program has, where it is told.
    Memory(u64),
    /// Something to know.
    Notice(String),
    /// Something went wrong: what, and what to do.
    Error(String),
}

/// What was prepared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Prepared {
    /// The configuration of the run with NITP, as TOML.
    pub config: String,
    /// Which runs there are.
    pub lanes: Vec<Lane>,
    /// Name of the text.
    pub text: String,
    /// Tokens of the corpus.
    pub tokens: usize,
    /// Documents of the corpus.
    pub documents: usize,
    /// Tokens that are held out.
    pub held_out: usize,
    /// Strings of all tokens, by id.
    pub vocabulary: Vec<String>,
    /// The fixed held-out tokens.
    pub points: Points,
    /// Whether this is a run that was kept or opened.
    pub continued: bool,
}

/// The fixed held-out tokens whose hidden states are shown, row after row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Points {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Tokens of a row.
    pub context: usize,
    /// What is known of each token's text, e.g. its topic.
    pub labels: Vec<Label>,
}

/// One kind of label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// What it says: "topic", "mood".
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
    /// The states on their three principal axes, turned to where the last snapshot had them;
    /// scaled so that their root mean square distance from the origin is 1.
    pub positions: Vec<[f32; 3]>,
    /// Pairs of the fixed tokens by their cosine, from -1 to 1.
    pub cosines: Vec<u32>,
    /// The three likeliest next tokens of each state, with their probabilities.
    pub next: Vec<[(u32, f32); 3]>,
}

/// What a model wrote so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// The text after the prompt.
    pub text: String,
    /// The likeliest tokens after the prompt, with their probabilities.
    pub next: Vec<(String, f32)>,
    /// Whether no more comes.
    pub done: bool,
}

/// What was seen in a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inspected {
    /// The step at which.
    pub step: usize,
    /// The text's tokens.
    pub tokens: Vec<String>,
    /// Cosine of each pair of last hidden states, `[tokens, tokens]`.
    pub cosines: Vec<f32>,
    /// Router probabilities `[tokens, num_experts]` of each MoE block, with its index.
    pub router_probs: Vec<(usize, Vec<f32>)>,
    /// A token and the curvature of the losses at it, if wanted.
    pub curvature: Option<(usize, Curvature)>,
}
