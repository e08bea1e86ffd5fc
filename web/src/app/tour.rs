//! The tour: five steps with real experiments.

use eframe::egui::{self, Ui};
use nitp_core::config::{Config, flops_per_token};

use super::Tab;

/// One step.
pub struct Stop {
    /// Its title.
    pub title: &'static str,
    /// Its text.
    pub text: &'static str,
    /// The experiment, as a link's query; none keeps the current one.
    pub query: Option<&'static str>,
    /// The tab to show.
    pub tab: Tab,
}

/// The steps.
pub const STOPS: [Stop; 5] = [
    Stop {
        title: "Flat directions of next-token prediction",
        text: "Next-token prediction constrains a last hidden state only through its logits. Start \
               trains two equal models on the same batches. Look at a sentence under \"Why it works\": \
               the blue curve falls by orders of magnitude, so in most directions the state can move \
               with hardly any change of the loss.",
        query: Some("preset=mini"),
        tab: Tab::Why,
    },
    Stop {
        title: "The additional prediction of NITP",
        text: "From the last hidden state, the second model also predicts the next token's state in \
               one of its own first blocks. The loss is 1 - cosine. Under Curves it falls fast, while \
               both held-out losses stay close.",
        query: None,
        tab: Tab::Curves,
    },
    Stop {
        title: "The shape of the states",
        text: "Each point is one held-out token. Colour the points by topic or by position, turn both \
               clouds, and go back in time. In the paper, at 0.5 to 45 billion parameters, NTP's states \
               collapse into few directions and NITP keeps them apart. At this toy scale nothing \
               collapses, and NITP changes little: over three seeds of `tiny`, the effective rank came \
               to 80.4 of 128 without and 81.8 with NITP, at held-out losses of 1.320 and 1.323.",
        query: None,
        tab: Tab::Geometry,
    },
    Stop {
        title: "The cost of NITP",
        text: "NITP's head has 12 d\u{b2} weights, used in training only: 2.3 % more FLOPs for the \
               paper's 9 B model, and none at inference. A model as small as this one pays far more, \
               because its head is relatively large.",
        query: None,
        tab: Tab::Curves,
    },
    Stop {
        title: "Try to break it",
        text: "Two of the paper's ablations make the task easy: the target moves (stop gradient off), \
               and is the same token's state. The NITP loss falls to 0, and the model learns nothing \
               from it. Then change one setting at a time, and compare under Runs.",
        query: Some("preset=mini&nitp.stop_gradient=false&nitp.shift=current"),
        tab: Tab::Curves,
    },
];

/// Index of the step about the cost.
const COST: usize = 3;

/// The pressed button.
pub enum Pressed {
    /// Go to this step, or leave.
    Go(Option<usize>),
    /// Set up this step's experiment and start it.
    Try(usize),
}

/// The strip.
pub fn show(ui: &mut Ui, at: usize, config: &Config) -> Option<Pressed> {
    let mut pressed = None;
    let stop = &STOPS[at];
    ui.horizontal_wrapped(|ui| {
        ui.strong(format!("{} of {}  {}", at + 1, STOPS.len(), stop.title));
        if at > 0 && ui.button("Back").clicked() {
            pressed = Some(Pressed::Go(Some(at - 1)));
        }
        if at + 1 < STOPS.len() && ui.button("Next").clicked() {
            pressed = Some(Pressed::Go(Some(at + 1)));
        }
        if stop.query.is_some() && ui.button("Set it up and start").clicked() {
            pressed = Some(Pressed::Try(at));
        }
        if ui.button("Leave the tour").clicked() {
            pressed = Some(Pressed::Go(None));
        }
    });
    let mut text = stop.text.to_owned();
    if at == COST {
        let flops = flops_per_token(config);
        text += &format!(
            " For this model it is {:.0} % more FLOPs; \"Tokens a second\" under Curves shows the time \
             on this machine.",
            100.0 * flops.overhead()
        );
    }
    ui.add(egui::Label::new(text).wrap());
    pressed
}
