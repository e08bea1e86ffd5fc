//! The experiments of this visit, to sort, overlay, link to and take along.

use eframe::egui::{self, Ui};

use super::curves::number;
use super::known::Known;
use super::setup::short;
use crate::engine::History;
use crate::link::Host;
use crate::protocol::{File, Lane};
use nitp_core::config::parameter_counts;

/// One experiment of this visit.
pub struct Entry {
    /// Its link's query.
    pub query: String,
    /// Whether its curves are drawn beside those of the live one.
    pub overlaid: bool,
    /// By run.
    pub histories: Vec<(Lane, History)>,
    parameters: u64,
}

/// The list.
#[derive(Default)]
pub struct Runs {
    /// Oldest first.
    pub entries: Vec<Entry>,
    column: usize,
    falling: bool,
}

const COLUMNS: [&str; 7] =
    ["#", "run", "steps", "held-out loss", "effective rank", "mean cosine", "parameters"];

/// A line of the table.
struct Line {
    entry: usize,
    lane: Lane,
    steps: f64,
    val_loss: f64,
    rank: f64,
    cosine: f64,
    parameters: f64,
}

impl Runs {
    /// Remembers what is under way, before it is left for another.
    pub fn remember(&mut self, known: &Known, query: String) {
        let Some(config) = known.config().filter(|_| known.step() > 0) else { return };
        self.entries.push(Entry {
            query,
            overlaid: false,
            histories: known.histories.iter().map(|(&lane, it)| (lane, it.clone())).collect(),
            parameters: parameter_counts(&config.model, &config.nitp).total,
        });
    }

    /// Curves to draw beside the live ones.
    pub fn overlays(&self) -> Vec<(String, &History)> {
        let shown = self.entries.iter().enumerate().filter(|(_, entry)| entry.overlaid);
        shown
            .flat_map(|(index, entry)| {
                entry
                    .histories
                    .iter()
                    .map(move |(lane, it)| (format!("#{} {}", index + 1, lane.name()), it))
            })
            .collect()
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = self
            .entries
            .iter()
            .enumerate()
            .flat_map(|(index, entry)| {
                entry.histories.iter().map(move |(lane, history)| {
                    let geometry = history.snapshots().last().map(|(_, it)| &it.geometry);
                    Line {
                        entry: index,
                        lane: *lane,
                        steps: history.steps().last().map_or(0.0, |it| it.step as f64),
                        val_loss: history.evaluations().last().map_or(f64::NAN, |it| it.val_loss),
                        rank: geometry.map_or(f64::NAN, |it| it.effective_rank),
                        cosine: geometry.map_or(f64::NAN, |it| it.mean_cosine),
                        parameters: entry.parameters as f64,
                    }
                })
            })
            .collect();
        let key = |line: &Line| match self.column {
            1 => f64::from(u8::from(line.lane == Lane::Nitp)),
            2 => line.steps,
            3 => line.val_loss,
            4 => line.rank,
            5 => line.cosine,
            6 => line.parameters,
            _ => line.entry as f64,
        };
        lines.sort_by(|a, b| key(a).total_cmp(&key(b)));
        if self.falling {
            lines.reverse();
        }
        lines
    }

    /// The table as CSV.
    pub fn to_csv(&self) -> String {
        let mut text = format!("{},link\n", COLUMNS.join(","));
        for line in self.lines() {
            text += &format!(
                "{},{},{},{},{},{},{},{}\n",
                line.entry + 1,
                line.lane.name(),
                line.steps,
                line.val_loss,
                line.rank,
                line.cosine,
                line.parameters,
                self.entries[line.entry].query
            );
        }
        text
    }
}

/// The tab; gives a query to start from.
pub fn show(ui: &mut Ui, runs: &mut Runs, host: &mut dyn Host) -> Option<String> {
    let mut chosen = None;
    if runs.entries.is_empty() {
        ui.label(
            "Experiments that you leave for another one are listed here, to compare and overlay. \
             The one under way joins them when you start anew.",
        );
        return None;
    }
    ui.horizontal(|ui| {
        if ui.button("Save as CSV").clicked() {
            let bytes = runs.to_csv().into_bytes();
            host.save(File { name: "nitp-runs.csv".to_owned(), bytes });
        }
        ui.weak("click a heading to sort");
    });
    egui::ScrollArea::horizontal().show(ui, |ui| {
        egui::Grid::new("runs").striped(true).spacing([16.0, 5.0]).show(ui, |ui| {
            for (index, name) in COLUMNS.iter().enumerate() {
                let mark = match (runs.column == index, runs.falling) {
                    (false, _) => "",
                    (true, true) => " ▼",
                    (true, false) => " ▲",
                };
                let text = egui::RichText::new(format!("{name}{mark}")).strong();
                if ui.add(egui::Button::new(text).frame(false)).clicked() {
                    runs.falling = runs.column == index && !runs.falling;
                    runs.column = index;
                }
            }
            ui.strong("overlay");
            ui.end_row();
            for line in runs.lines() {
                ui.label(format!("{}", line.entry + 1));
                ui.label(line.lane.name());
                for value in [line.steps, line.val_loss, line.rank, line.cosine] {
                    ui.monospace(number(value));
                }
                ui.label(short(line.parameters as u64));
                let entry = &mut runs.entries[line.entry];
                ui.checkbox(&mut entry.overlaid, "").on_hover_text("Draw its curves too");
                if ui.button("Settings").on_hover_text(entry.query.clone()).clicked() {
                    chosen = Some(entry.query.clone());
                }
                ui.end_row();
            }
        });
    });
    chosen
}
