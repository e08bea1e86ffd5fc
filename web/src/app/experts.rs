//! Mixtures of experts: the load of each expert, and the experts of a sentence's tokens.

use eframe::egui::{self, Rect, Sense, Ui, pos2, vec2};

use super::figure::figure;
use super::known::Known;
use super::look::{self, Look};
use super::theme::{class_color, lane_color, ramp};

/// The tab.
pub fn show(ui: &mut Ui, look: &mut Look, known: &Known) {
    let moe = known.config().and_then(|config| config.model.moe.clone());
    let Some(moe) = moe else {
        ui.label(
            "This model is dense. For experts, choose the preset tiny-moe, or switch on \"Mixture of \
             experts\" under Model, and press Restart.",
        );
        return;
    };
    let dark = ui.visuals().dark_mode;
    ui.label(format!(
        "From block {} on, each token goes to {} of {} experts. The balance loss pushes towards equal \
         loads, which give a row one colour.",
        moe.first_k_dense_replace + 1,
        moe.num_experts_per_tok,
        moe.num_experts
    ));
    let narrow = ui.available_width() < 560.0;
    let columns = if narrow { 1 } else { known.histories.len().max(1) };
    let lanes: Vec<_> = known.histories.iter().collect();
    for row in lanes.chunks(columns) {
        ui.columns(columns, |uis| {
            for (ui, (lane, history)) in uis.iter_mut().zip(row) {
                let title = format!("{}: load of each expert", lane.name());
                let header = |ui: &mut Ui| drop(ui.colored_label(lane_color(**lane, dark), &title));
                figure(ui, &format!("Expert loads of {}", lane.name()), header, |ui| match history
                    .evaluations()
                    .last()
                {
                    Some(it) => loads(ui, &it.expert_load, moe.first_k_dense_replace),
                    None => drop(ui.weak("The first evaluation shows it.")),
                });
            }
        });
    }
    look::text_field(ui, look, known);
    for (lane, seen) in &known.inspected {
        let title = format!("{}: where the sentence's tokens go", lane.name());
        let header = |ui: &mut Ui| drop(ui.colored_label(lane_color(*lane, dark), &title));
        figure(ui, &format!("Experts of a sentence {}", lane.name()), header, |ui| {
            egui::ScrollArea::horizontal().id_salt(lane.name()).show(ui, |ui| {
                for (block, probs) in &seen.router_probs {
                    let top_k = moe.num_experts_per_tok;
                    route(ui, *block, probs, &seen.tokens, moe.num_experts, top_k);
                }
            });
        });
    }
}

/// `dense` is the number of blocks before the first block with experts.
fn loads(ui: &mut Ui, loads: &[Vec<f32>], dense: usize) {
    for (block, load) in loads.iter().enumerate() {
        ui.horizontal(|ui| {
            ui.monospace(format!("block {}", dense + block + 1));
            let even = 1.0 / load.len().max(1) as f32;
            let cell = ((ui.available_width() - 4.0) / load.len().max(1) as f32).min(34.0);
            let (rect, response) =
                ui.allocate_exact_size(vec2(cell * load.len() as f32, 22.0), Sense::hover());
            for (expert, &share) in load.iter().enumerate() {
                let corner = pos2(rect.left() + cell * expert as f32, rect.top());
                let area = Rect::from_min_size(corner, vec2(cell - 1.0, 22.0));
                ui.painter().rect_filled(area, 2.0, ramp(0.5 * share / even));
            }
            if let Some(pointer) = response.hover_pos() {
                let expert = (((pointer.x - rect.left()) / cell) as usize).min(load.len() - 1);
                let share = 100.0 * load[expert];
                response.on_hover_text_at_pointer(format!("expert {expert}: {share:.1} %"));
            }
        });
    }
    ui.small("violet: idle; green: its even share; yellow: twice as much");
}

fn route(
    ui: &mut Ui,
    block: usize,
    probs: &[f32],
    tokens: &[String],
    experts: usize,
    top_k: usize,
) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing = vec2(6.0, 4.0);
        ui.monospace(format!("block {}", block + 1));
        for (token, probs) in tokens.iter().zip(probs.chunks_exact(experts)) {
            // In the router's order: by probability, ties by the lowest index.
            let mut order: Vec<usize> = (0..experts).collect();
            order.sort_by(|&a, &b| probs[b].total_cmp(&probs[a]));
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing = vec2(2.0, 0.0);
                ui.label(if token.trim().is_empty() { "·" } else { token });
                ui.horizontal(|ui| {
                    for &expert in order.iter().take(top_k) {
                        let text = egui::RichText::new(expert.to_string()).small();
                        let share = 100.0 * probs[expert];
                        ui.colored_label(class_color(expert), text)
                            .on_hover_text(format!("expert {expert}, {share:.0} %"));
                    }
                });
            });
        }
    });
}
