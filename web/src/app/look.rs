//! A typed sentence that both models are inspected with: its tokens, cosines, experts, curvature.

use eframe::egui::{self, Rect, Sense, Ui, pos2, vec2};

use super::figure::figure;
use super::known::Known;
use super::theme::{lane_color, ramp};
use crate::protocol::{Command, Inspection, Lane, Phase};

/// The sentence, and the state of its inspection.
pub struct Look {
    /// The sentence.
    pub text: String,
    /// The token whose curvature is requested.
    pub position: Option<usize>,
    /// Whether an inspection is due.
    pub due: bool,
    /// The step of the snapshot before the last inspection.
    seen: Option<usize>,
    /// Whether the last inspection included the curvature.
    bent: bool,
}

impl Default for Look {
    fn default() -> Self {
        let text = "The old gardener pointed at the crane by the river.".to_owned();
        Self { text, position: None, due: true, seen: None, bent: false }
    }
}

impl Look {
    /// The command for an inspection that is due: on request, or after each snapshot while the tab is visible.
    pub fn command(&mut self, known: &Known, visible: bool, curvature: bool) -> Option<Command> {
        let moved = known.snapshot() != self.seen || curvature && !self.bent;
        if known.phase == Phase::Empty || !visible || !(self.due || moved) {
            return None;
        }
        (self.due, self.seen, self.bent) = (false, known.snapshot(), curvature);
        let (text, position) = (self.text.clone(), self.position);
        Some(Command::Inspect(Inspection { text, position, curvature }))
    }
}

/// The sentence's field.
pub fn text_field(ui: &mut Ui, look: &mut Look, known: &Known) {
    ui.horizontal(|ui| {
        let label = ui.label("Sentence");
        let width = (ui.available_width() - 80.0).max(120.0);
        let field = egui::TextEdit::singleline(&mut look.text).desired_width(width);
        let field = ui.add(field).labelled_by(label.id);
        let enter = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let ready = known.phase != Phase::Empty;
        if ui.add_enabled(ready, egui::Button::new("Look")).clicked() || enter {
            (look.due, look.position) = (true, None);
        }
    });
    if known.phase == Phase::Empty {
        ui.weak("Press Start first: there is no model to look into yet.");
    }
}

/// Text in place of missing results.
pub fn waiting(known: &Known) -> &'static str {
    if known.phase == Phase::Empty { "Press Start first." } else { "Looking…" }
}

/// Heat maps of the sentence's cosines, one per model.
pub fn heat_maps(ui: &mut Ui, known: &Known) {
    let dark = ui.visuals().dark_mode;
    let lanes: Vec<Lane> = known.inspected.keys().copied().collect();
    if lanes.is_empty() {
        return;
    }
    let columns = if ui.available_width() < 560.0 { 1 } else { lanes.len() };
    for row in lanes.chunks(columns) {
        ui.columns(columns, |uis| {
            for (ui, &lane) in uis.iter_mut().zip(row) {
                let seen = &known.inspected[&lane];
                let title = format!("{} cosines of the sentence", lane.name());
                let header = |ui: &mut Ui| drop(ui.colored_label(lane_color(lane, dark), &title));
                figure(ui, &title, header, |ui| heat(ui, &seen.tokens, &seen.cosines));
            }
        });
    }
}

fn heat(ui: &mut Ui, tokens: &[String], cosines: &[f32]) {
    let n = tokens.len();
    let side = ui.available_width().min(320.0);
    let (rect, response) = ui.allocate_exact_size(vec2(side, side), Sense::hover());
    let cell = side / n as f32;
    // One mesh, because a long sentence has thousands of cells.
    let mut mesh = egui::Mesh::default();
    for (index, &cosine) in cosines.iter().enumerate() {
        let corner = pos2((index % n) as f32, (index / n) as f32) * cell;
        let area = Rect::from_min_size(rect.min + corner.to_vec2(), vec2(cell, cell));
        mesh.add_colored_rect(area, ramp(0.5 * (cosine + 1.0)));
    }
    ui.painter_at(rect).add(mesh);
    if let Some(pointer) = response.hover_pos() {
        let place = (pointer - rect.min) / cell;
        let (j, i) = ((place.x as usize).min(n - 1), (place.y as usize).min(n - 1));
        let words = format!("“{}” and “{}”: {:.3}", tokens[i], tokens[j], cosines[i * n + j]);
        response.on_hover_text_at_pointer(words);
    }
    ui.small("violet -1, green 0, yellow 1");
}
