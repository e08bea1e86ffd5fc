//! The metrics of a comparison, with the paper's results.

use super::results::RunResult;

/// Description of a metric.
#[derive(Clone, Copy)]
pub struct About {
    /// Its name in files.
    pub key: &'static str,
    /// Its name in reports.
    pub title: &'static str,
    /// Number of decimals.
    pub digits: usize,
    /// Whether less is better; none if neither is.
    pub less_is_better: Option<bool>,
    /// The paper's result.
    pub paper: Option<&'static str>,
    /// Whether the metric is comparable between arms.
    pub compared: bool,
    /// Its value in a run; none if the run lacks it.
    pub of: fn(&RunResult) -> Option<f64>,
}

/// Metrics that are determined by the seeds.
pub const RESULTS: &[About] = &[
    About {
        key: "val_loss",
        title: "held-out loss, nats a token",
        digits: 4,
        less_is_better: Some(true),
        paper: Some("2.006 with NTP and 2.006 with NITP (3B MoE, 200 B tokens)"),
        compared: true,
        of: |run| Some(run.evaluation()?.val_loss),
    },
    About {
        key: "bits_per_byte",
        title: "bits per byte",
        digits: 4,
        less_is_better: Some(true),
        paper: None,
        compared: true,
        of: |run| run.evaluation()?.bits_per_byte,
    },
    About {
        key: "effective_rank",
        title: "effective rank of the last hidden states",
        digits: 1,
        less_is_better: Some(false),
        paper: Some("higher with NITP"),
        compared: true,
        of: |run| Some(run.geometry()?.effective_rank),
    },
    About {
        key: "mean_cosine",
        title: "mean cosine of pairs of hidden states",
        digits: 4,
        less_is_better: Some(true),
        paper: Some("lower with NITP"),
        compared: true,
        of: |run| Some(run.geometry()?.mean_cosine),
    },
    About {
        key: "nitp_loss",
        title: "NITP loss, held out",
        digits: 4,
        less_is_better: None,
        paper: Some("below 0.1 at the end"),
        // With other targets or losses, the metric has another meaning.
        compared: false,
        of: |run| {
            run.evaluation().filter(|_| run.history.config.nitp.enabled).map(|it| it.nitp_loss)
        },
    },
    About {
        key: "mtp_loss",
        title: "multi-token prediction: cross-entropy of the token after the next, held out",
        digits: 4,
        less_is_better: None,
        paper: None,
        compared: false,
        of: |run| run.evaluation()?.rivals.mtp_loss,
    },
    About {
        key: "nextlat_loss",
        title: "next-latent prediction: smooth L1 of states, held out",
        digits: 4,
        less_is_better: None,
        paper: None,
        compared: false,
        of: |run| run.evaluation()?.rivals.nextlat_loss,
    },
    About {
        key: "nextlat_kl",
        title: "next-latent prediction: KL of distributions, held out",
        digits: 4,
        less_is_better: None,
        paper: None,
        compared: false,
        of: |run| run.evaluation()?.rivals.nextlat_kl,
    },
    About {
        key: "top_loss",
        title: "token order prediction: ListNet loss, held out",
        digits: 4,
        less_is_better: None,
        paper: None,
        compared: false,
        of: |run| run.evaluation()?.rivals.top_loss,
    },
];

/// Metrics that depend on the machine and its load.
pub const COSTS: &[About] = &[
    About {
        key: "tokens_per_second",
        title: "training tokens a second",
        digits: 0,
        less_is_better: Some(false),
        paper: Some("1.8 % more time a step with NITP (9B MoE)"),
        compared: true,
        of: |run| run.history.tokens_per_second(),
    },
    About {
        key: "train_seconds",
        title: "seconds of training steps",
        digits: 1,
        less_is_better: Some(true),
        paper: None,
        compared: true,
        of: |run| run.history.train_seconds(),
    },
];

/// A score in percent; more is better.
pub const SCORE: About = About {
    key: "",
    title: "",
    digits: 2,
    less_is_better: Some(false),
    paper: None,
    compared: true,
    of: |_| None,
};
