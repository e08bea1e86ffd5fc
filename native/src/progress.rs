//! Progress of a run: a bar at the bottom, and a row for each evaluation above it.

use std::time::Duration;

use console::style;
use human_format::{Formatter, Scales};
use indicatif::{ProgressBar, ProgressStyle};
use nitp_core::config::Config;
use nitp_core::train::{EvaluationEvent, Event, GeometryEvent, StepEvent};

use crate::output::outln;

/// Number of progress lines of a run without a terminal.
const PLAIN_LINES: usize = 20;

/// Weight of the newest step in the displayed speed.
const SPEED_SHARE: f64 = 0.1;

/// Shows a run's events.
pub struct Progress {
    bar: ProgressBar,
    steps: usize,
    nitp: bool,
    tokens_per_second: Option<f64>,
    last_loss: Option<f64>,
    evaluation: Option<EvaluationEvent>,
    geometry: Option<GeometryEvent>,
    header_shown: bool,
}

impl Progress {
    /// For a run at step `done`.
    pub fn new(config: &Config, done: usize) -> Self {
        let bar = ProgressBar::new(config.train.steps as u64);
        let template = "{bar:24.cyan/dim} step {pos}/{len}  {msg}  ETA {eta}";
        bar.set_style(
            ProgressStyle::with_template(template)
                .expect("the template is valid")
                .progress_chars("━╸─"),
        );
        bar.set_position(done as u64);
        bar.reset_eta();
        bar.set_message("starting");
        bar.enable_steady_tick(Duration::from_millis(250));
        Self {
            bar,
            steps: config.train.steps,
            nitp: config.nitp.enabled,
            tokens_per_second: None,
            last_loss: None,
            evaluation: None,
            geometry: None,
            header_shown: false,
        }
    }

    /// Prints a line above the bar.
    pub fn line(&self, text: &str) {
        // The output may be closed; the run continues.
        self.bar.suspend(|| outln!("{text}"));
    }

    /// Shows an event.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Evaluation(event) => self.evaluation = Some(event.clone()),
            Event::Geometry(event) => self.geometry = Some(event.clone()),
            _ => self.flush_row(),
        }
        match event {
            Event::Step(event) => self.step(event),
            Event::Warning(event) => self.warn(&event.message),
            _ => {}
        }
    }

    /// Prints a warning above the bar.
    pub fn warn(&self, message: &str) {
        self.line(&format!("{} {message}", style("warning:").yellow().bold()));
    }

    /// Removes the bar.
    pub fn finish(&mut self) {
        self.flush_row();
        self.bar.finish_and_clear();
    }

    fn step(&mut self, event: &StepEvent) {
        let first = self.last_loss.replace(event.ntp_loss).is_none();
        let nitp = if self.nitp { format!("  nitp {:.3}", event.nitp_loss) } else { String::new() };
        let mut message = format!("loss {:.3}{nitp}", event.ntp_loss);
        for (name, loss) in event.rivals.named() {
            message += &format!("  {} {loss:.3}", name.trim_end_matches(" loss"));
        }
        // The first step's time is not typical, because it compiles pipelines.
        if let (false, Some(newest)) = (first, event.tokens_per_second) {
            let speed = self.tokens_per_second.map_or(newest, |speed| {
                // The average is over times, not over speeds.
                1.0 / ((1.0 - SPEED_SHARE) / speed + SPEED_SHARE / newest)
            });
            self.tokens_per_second = Some(speed);
        }
        if let Some(speed) = self.tokens_per_second {
            message += &format!("  {} tokens/s", thousands(speed));
            if let (Some(mfu), Some(newest)) = (event.mfu, event.tokens_per_second) {
                message += &format!("  MFU {:.0} %", 100.0 * mfu * speed / newest);
            }
        }
        if let (true, Some(scale)) = (event.skipped, event.loss_scale) {
            message += &format!("  skipped: gradients times {scale} overflow");
        }
        self.bar.set_position(event.step as u64);
        if self.bar.is_hidden() && self.is_due(event.step) {
            let eta = if first {
                String::new()
            } else {
                format!("  ETA {}", indicatif::HumanDuration(self.bar.eta()))
            };
            self.line(&format!("step {}/{}  {message}{eta}", event.step, self.steps));
        }
        self.bar.set_message(message);
    }

    fn is_due(&self, step: usize) -> bool {
        let lines = |step: usize| step * PLAIN_LINES / self.steps;
        step == 1 || lines(step) > lines(step - 1)
    }

    /// One row for the evaluation and the geometry of a step.
    fn flush_row(&mut self) {
        let (evaluation, geometry) = (self.evaluation.take(), self.geometry.take());
        let Some(step) = evaluation.as_ref().map(|e| e.step).or(geometry.as_ref().map(|g| g.step))
        else {
            return;
        };
        if !std::mem::replace(&mut self.header_shown, true) {
            let names = ["step", "loss", "held-out", "perplexity", "nitp", "rank", "cosine"];
            self.line(&style(row(names.map(str::to_owned))).bold().to_string());
        }
        let number = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        let evaluation = evaluation.as_ref();
        let nitp = evaluation.filter(|_| self.nitp).map(|e| e.nitp_loss);
        self.line(&row([
            step.to_string(),
            number(self.last_loss, 3),
            number(evaluation.map(|e| e.val_loss), 3),
            number(evaluation.map(|e| e.perplexity), 1),
            number(nitp, 3),
            number(geometry.as_ref().map(|g| g.effective_rank), 1),
            number(geometry.as_ref().map(|g| g.mean_cosine), 3),
        ]));
    }
}

fn row(cells: [String; 7]) -> String {
    let [step, rest @ ..] = cells;
    let rest: String = rest.iter().map(|cell| format!("{cell:>11}")).collect();
    format!("{step:>8}{rest}")
}

/// `12,345`.
pub fn thousands(value: f64) -> String {
    indicatif::HumanCount(value.round() as u64).to_string()
}

/// `1.04 M`, `8.75 B`: a count of parameters in three digits.
pub fn short(count: f64) -> String {
    scaled(count, &["", "k", "M", "B", "T"])
}

/// `1.04 M`, `8.75 G`: with SI prefixes.
pub fn with_prefix(value: f64) -> String {
    scaled(value, &["", "k", "M", "G", "T", "P"])
}

fn scaled(value: f64, suffixes: &[&str]) -> String {
    let mut scales = Scales::new();
    scales.with_base(1000).with_suffixes(suffixes.to_vec());
    let decimals = if value < 1000.0 { 0 } else { 2 };
    let text = Formatter::new().with_scales(scales).with_decimals(decimals).format(value);
    text.trim_end().to_owned()
}
