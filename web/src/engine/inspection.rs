//! Inspection of a model with one text: cosines, routing, curvature.

use nalgebra::{DMatrix, DVector};
use nitp_core::config::{Config, NitpLoss, Source};
use nitp_core::geometry::{Curvature, Prediction, ProjectorWeights, cosine_matrix, curvature};
use nitp_core::train::Probe;

use crate::protocol::{Inspected, Inspection};

/// A request for an inspection.
#[derive(Clone, Debug)]
pub struct Wanted {
    step: usize,
    position: Option<usize>,
    curvature: bool,
    projector: bool,
    unembedding: &'static str,
}

impl Wanted {
    /// The parts of the request that this model supports.
    pub fn new(config: &Config, asked: &Inspection) -> Self {
        Self {
            step: 0,
            position: asked.position,
            curvature: asked.curvature,
            projector: has_lemma(config) && config.nitp.has_projector(),
            unembedding: if config.model.tie_word_embeddings { "embed_tokens" } else { "lm_head" },
        }
    }

    /// The same request at a step.
    pub fn at(self, step: usize) -> Self {
        Self { step, ..self }
    }

    /// Names of the required parameters.
    pub fn parameters(&self) -> Vec<&'static str> {
        match (self.curvature, self.projector) {
            (false, _) => Vec::new(),
            (true, false) => vec![self.unembedding],
            (true, true) => vec![self.unembedding, "projector.gate_up", "projector.down"],
        }
    }
}

/// Whether Lemma 3.1 gives the curvature of the NITP loss at the input of the unembedding.
fn has_lemma(config: &Config) -> bool {
    let nitp = &config.nitp;
    nitp.has_target() && nitp.loss == NitpLoss::Cosine && nitp.source == Source::PostNorm
}

/// The result; `parameters` are those of [`Wanted::parameters`], in the same order.
pub fn inspected(
    config: &Config,
    wanted: &Wanted,
    probe: &Probe,
    parameters: &[Vec<f32>],
    vocabulary: &[String],
) -> Inspected {
    let width = config.model.hidden_size;
    let name = |&id: &u32| vocabulary.get(id as usize).cloned().unwrap_or_default();
    let curvature = wanted.curvature.then(|| view(config, wanted, probe, parameters)).flatten();
    Inspected {
        step: wanted.step,
        tokens: probe.tokens.iter().map(name).collect(),
        cosines: cosine_matrix(&probe.hidden, width),
        router_probs: probe.router_probs.clone(),
        curvature,
    }
}

fn view(
    config: &Config,
    wanted: &Wanted,
    probe: &Probe,
    parameters: &[Vec<f32>],
) -> Option<(usize, Curvature)> {
    let width = config.model.hidden_size;
    let tokens = probe.tokens.len();
    let state = |states: &[f32], t: usize| {
        let values = states[t * width..][..width].iter().map(|&x| f64::from(x));
        DVector::from_iterator(width, values)
    };
    let matrix = |data: &[f32], columns: usize| {
        let rows = data.len() / columns;
        DMatrix::from_row_iterator(rows, columns, data.iter().map(|&x| f64::from(x)))
    };
    // The last token has no successor to predict.
    let last = tokens.saturating_sub(2);
    let position = wanted.position.unwrap_or(last).min(tokens - 1);
    let unembedding = matrix(parameters.first()?, width);
    let projector = match parameters {
        [_, gate_up, down] => {
            let (gate, up) = gate_up.split_at(gate_up.len() / 2);
            let inner = down.len() / width;
            let (gate, up) = (matrix(gate, width), matrix(up, width));
            Some(ProjectorWeights { gate, up, down: matrix(down, inner) })
        }
        _ => None,
    };
    let target = match config.nitp.shift {
        nitp_core::config::Shift::Next => position + 1,
        nitp_core::config::Shift::Current => position,
    };
    let prediction = (has_lemma(config)
        && wanted.step >= config.nitp.start_step
        && target < tokens)
        .then(|| Prediction {
            projector: projector.as_ref(),
            target: state(&probe.target, target),
            weight: config.nitp.weight,
        });
    Some((position, curvature(&unembedding, &state(&probe.hidden, position), prediction)))
}
