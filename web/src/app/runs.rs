//! The experiments of this visit: sorting, overlays, links and CSV.

use eframe::egui::{self, Ui};

use super::curves::number;
use super::known::Known;
use super::query::{nearest_preset, to_query};
use super::setup::short;
use crate::engine::History;
use crate::link::Host;
use crate::protocol::{File, Lane};
use nitp_core::config::parameter_counts;

/// One experiment of this visit.
pub struct Entry {
    /// Its link's query.
    pub query: String,
    /// Whether its curves are overlaid on the current ones.
    pub overlaid: bool,
    /// Histories of its runs.
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
    /// Its entry; none for the current runs.
    entry: Option<usize>,
    lane: Lane,
    steps: f64,
    val_loss: f64,
    rank: f64,
    cosine: f64,
    parameters: f64,
}

impl Line {
    fn new(entry: Option<usize>, lane: Lane, history: &History, parameters: u64) -> Self {
        let geometry = history.snapshots().last().map(|(_, it)| &it.geometry);
        Self {
            entry,
            lane,
            steps: history.steps().last().map_or(0.0, |it| it.step as f64),
            val_loss: history.evaluations().last().map_or(f64::NAN, |it| it.val_loss),
            rank: geometry.map_or(f64::NAN, |it| it.effective_rank),
            cosine: geometry.map_or(f64::NAN, |it| it.mean_cosine),
            parameters: parameters as f64,
        }
    }

    fn name(&self) -> String {
        self.entry.map_or("now".to_owned(), |entry| (entry + 1).to_string())
    }
}

/// The link's query of the current runs.
fn link(known: &Known) -> String {
    known.config().map_or(String::new(), |config| to_query(&nearest_preset(config), config))
}

fn parameters(known: &Known) -> u64 {
    known.config().map_or(0, |config| parameter_counts(config).total)
}

impl Runs {
    /// Adds the current experiment to the list.
    pub fn remember(&mut self, known: &Known) {
        if known.step() == 0 {
            return;
        }
        self.entries.push(Entry {
            query: link(known),
            overlaid: false,
            histories: known.histories.iter().map(|(&lane, it)| (lane, it.clone())).collect(),
            parameters: parameters(known),
        });
    }

    /// Curves to overlay on the current ones.
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

    fn lines(&self, known: &Known) -> Vec<Line> {
        let mut lines = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let line = |(lane, history): &(Lane, History)| {
                Line::new(Some(index), *lane, history, entry.parameters)
            };
            lines.extend(entry.histories.iter().map(line));
        }
        let parameters = parameters(known);
        let line = |(lane, history): (&Lane, &History)| Line::new(None, *lane, history, parameters);
        lines.extend(known.histories.iter().map(line));
        let key = |line: &Line| match self.column {
            1 => f64::from(u8::from(line.lane == Lane::Nitp)),
            2 => line.steps,
            3 => line.val_loss,
            4 => line.rank,
            5 => line.cosine,
            6 => line.parameters,
            _ => line.entry.map_or(f64::INFINITY, |entry| entry as f64),
        };
        lines.sort_by(|a, b| key(a).total_cmp(&key(b)));
        if self.falling {
            lines.reverse();
        }
        lines
    }

    /// The table as CSV.
    pub fn to_csv(&self, known: &Known) -> String {
        let mut text = format!("{},link\n", COLUMNS.join(","));
        for line in self.lines(known) {
            let query = match line.entry {
                Some(entry) => self.entries[entry].query.clone(),
                None => link(known),
            };
            text += &format!(
                "{},{},{},{},{},{},{},{}\n",
                line.name(),
                line.lane.name(),
                line.steps,
                line.val_loss,
                line.rank,
                line.cosine,
                line.parameters,
                query
            );
        }
        text
    }
}

/// The tab; returns the query of an entry whose settings were requested.
pub fn show(ui: &mut Ui, runs: &mut Runs, known: &Known, host: &mut dyn Host) -> Option<String> {
    let mut chosen = None;
    ui.label(
        "The current runs and the earlier runs of this visit. Overlay their curves, or return to the settings \
         of a run.",
    );
    if known.histories.is_empty() {
        ui.weak("There are none yet: press Start.");
        return None;
    }
    ui.horizontal(|ui| {
        if ui.button("Save as CSV").clicked() {
            let bytes = runs.to_csv(known).into_bytes();
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
            for line in runs.lines(known) {
                ui.label(line.name());
                ui.label(line.lane.name());
                for value in [line.steps, line.val_loss, line.rank, line.cosine] {
                    ui.monospace(number(value));
                }
                ui.label(short(line.parameters as u64));
                if let Some(entry) = line.entry.map(|entry| &mut runs.entries[entry]) {
                    ui.checkbox(&mut entry.overlaid, "")
                        .accessible_name(format!("Overlay {}", line.entry.unwrap_or_default() + 1))
                        .on_hover_text("Draw its curves too");
                    if ui.button("Settings").on_hover_text(entry.query.clone()).clicked() {
                        chosen = Some(entry.query.clone());
                    }
                }
                ui.end_row();
            }
        });
    });
    chosen
}
