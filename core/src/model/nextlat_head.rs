//! Next-latent prediction (arXiv 2511.05963): from a state and the next token, a small network predicts the next
//! state. The next state counts as a constant in both losses, and the unembedding in the second.

use super::context::{Context, metric, record};
use super::head::{chunks, unembedding};
use super::linear::SwigluMlp;
use super::next_token::{Joined, ahead};
use crate::config::{NitpLoss, Shift};
use crate::ops::add::Add;
use crate::ops::copy::Copy;
use crate::ops::gather_rows::GatherRows;
use crate::ops::nitp::{Nitp, NitpGradient};
use crate::ops::scalars;
use crate::plan::PlanBuilder;
use crate::tensor::{DType, View};

/// Plans both losses of the last hidden states `h [tokens, width]`, and in a training plan `dh +=` their gradient.
pub(super) fn nextlat(b: &mut PlanBuilder, cx: &Context<'_>, h: View, dh: Option<View>) {
    b.scoped("nextlat", |b| predict(b, cx, h, dh));
}

fn predict(b: &mut PlanBuilder, cx: &Context<'_>, h: View, dh: Option<View>) {
    let (n, width) = (cx.tokens(), cx.width());
    let joined = Joined::forward(b, cx, "nextlat", h);
    let read = cx.in_working(b, joined.sum);
    let (change, dynamics) =
        SwigluMlp::forward(b, cx, "nextlat.dynamics", read, n, 4 * width, DType::Real);
    // The network predicts the change of the state.
    let predicted = b.activation("predicted", &[n, width]);
    b.push(Copy { x: h, y: predicted });
    b.push(Add { y: predicted, x: change });
    let next = b.activation("next_states", &[n, width]);
    b.push(GatherRows { x: h, index: ahead(cx).positions, y: next, rows: n, width });

    let compare = Comparison {
        predicted,
        next,
        dpredicted: dh.map(|_| b.activation("dpredicted", &[n, width])),
    };
    compare.states(b, cx);
    compare.distributions(b, cx);
    let (Some(dh), Some(dpredicted)) = (dh, compare.dpredicted) else { return };
    b.push(Add { y: dh, x: dpredicted });
    let djoined = b.activation("djoined", &[n, width]);
    dynamics.backward(b, cx, dpredicted, djoined, false);
    joined.backward(b, cx, djoined, dh);
}

/// Predicted states and actual next states, `[tokens, width]` each.
struct Comparison {
    predicted: View,
    next: View,
    dpredicted: Option<View>,
}

/// A loss between the rows of two tensors.
struct Distance {
    kind: NitpLoss,
    weight: f64,
    rows: usize,
    width: usize,
}

impl Distance {
    /// A pair is a row of `p` and the same row of `z`.
    fn plan(
        self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        [p, z]: [View; 2],
        mask: View,
        loss: View,
        dp: Option<View>,
    ) {
        let Self { kind, weight, rows, width } = self;
        let gradient = dp.map(|dp| NitpGradient {
            dp,
            dz: None,
            weight,
            scalars: cx.loss_scalars,
            index: scalars::NEXTLAT_SCALE,
        });
        let shift = Shift::Current;
        b.push(Nitp { p, z, mask, loss, gradient, kind, shift, rows: 1, context: rows, width });
    }
}

impl Comparison {
    /// Smooth L1, mean over width; writes the gradient.
    fn states(&self, b: &mut PlanBuilder, cx: &Context<'_>) {
        let (rows, width, weight) = (cx.tokens(), cx.width(), cx.config.nextlat.weight);
        let loss = b.activation("state_loss", &[rows]);
        let distance = Distance { kind: NitpLoss::SmoothL1, weight, rows, width };
        let states = [self.predicted, self.next];
        distance.plan(b, cx, states, ahead(cx).mask, loss, self.dpredicted);
        record(b, cx, loss, scalars::NEXTLAT_SCALE, metric::NEXTLAT_LOSS);
    }

    /// KL divergence between the next-token distributions of the predicted and of the actual next state, in chunks;
    /// adds to the gradient. The unembedding gets no gradient.
    fn distributions(&self, b: &mut PlanBuilder, cx: &Context<'_>) {
        let (n, width, weight) = (cx.tokens(), cx.width(), cx.config.nextlat.kl_weight);
        let vocab = cx.config.model.vocab_size;
        let project = unembedding(cx);
        let loss = b.activation("distribution_loss", &[n]);
        for (first, rows) in chunks(cx, vocab) {
            let slice = |states: View| states.slice(first * width, rows * width);
            let logits = ["logits", "next_logits"].map(|name| b.activation(name, &[rows, vocab]));
            for (states, logits) in [self.predicted, self.next].into_iter().zip(logits) {
                project.forward_into(b, cx, slice(states), logits, rows);
            }
            let dlogits = self.dpredicted.map(|_| b.activation("dlogits", &[rows, vocab]));
            let distance = Distance { kind: NitpLoss::Kl, weight, rows, width: vocab };
            let mask = ahead(cx).mask.slice(first, rows);
            distance.plan(b, cx, logits, mask, loss.slice(first, rows), dlogits);
            if let (Some(dlogits), Some(dpredicted)) = (dlogits, self.dpredicted) {
                project.backward_input(b, cx, dlogits, slice(dpredicted), true, rows);
            }
        }
        record(b, cx, loss, scalars::NEXTLAT_SCALE, metric::NEXTLAT_KL);
    }
}
