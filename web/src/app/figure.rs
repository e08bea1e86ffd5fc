//! A card that can be saved: as SVG from its shapes, or as PNG from its pixels.

use std::sync::{Arc, Mutex, PoisonError};

use eframe::egui::{self, Align, ColorImage, Id, Layout, Rect, Ui};

use super::svg;
use super::theme::card;
use crate::protocol::File;

/// Number of frames after the click when the menu is closed and the card is scrolled into view.
const SETTLED: u64 = 3;
/// Number of frames after the click by which a picture must be taken.
const OVER: u64 = 8;

/// The format of a saved figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Png,
    Svg,
}

/// A figure to save.
#[derive(Clone)]
struct Wanted {
    name: String,
    format: Format,
    /// The frame of the click.
    since: u64,
}

/// The requested figure and the finished files. Stored in egui's memory, because many places draw figures.
#[derive(Clone, Default)]
struct Desk {
    wanted: Option<Wanted>,
    done: Arc<Mutex<Vec<File>>>,
}

fn desk<R>(context: &egui::Context, with: impl FnOnce(&mut Desk) -> R) -> R {
    context.data_mut(|data| with(data.get_temp_mut_or_default(Id::unique("figures"))))
}

/// Takes the finished files.
pub fn finished(context: &egui::Context) -> Vec<File> {
    let done = desk(context, |desk| desk.done.clone());
    std::mem::take(&mut *done.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A card with a row of words at its top, and a button that saves it under this name.
pub fn figure(ui: &mut Ui, name: &str, header: impl FnOnce(&mut Ui), body: impl FnOnce(&mut Ui)) {
    let frame = ui.ctx().cumulative_frame_nr();
    let wanted = desk(ui.ctx(), |desk| desk.wanted.clone()).filter(|it| it.name == name);
    let first = shapes(ui);
    let drawn = ui.scope(|ui| {
        card(ui, "", |ui| {
            ui.horizontal(|ui| {
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    save_button(ui, name, wanted.is_none());
                    ui.with_layout(Layout::left_to_right(Align::Center), header);
                });
            });
            body(ui);
        });
    });
    let Some(wanted) = wanted else { return };
    ui.ctx().request_repaint();
    let rect = drawn.response.rect;
    match frame - wanted.since {
        1 => ui.scroll_to_rect_animation(rect, None, egui::style::ScrollAnimation::none()),
        SETTLED => take(ui, &wanted, rect, first),
        age if age > OVER => desk(ui.ctx(), |desk| desk.wanted = None),
        _ => {}
    }
}

/// Number of shapes on the layer so far.
fn shapes(ui: &Ui) -> usize {
    ui.ctx().graphics(|all| all.get(ui.layer_id()).map_or(0, |list| list.all_entries().len()))
}

/// The save button, which is invisible in the saved picture.
fn save_button(ui: &mut Ui, name: &str, visible: bool) {
    ui.scope(|ui| {
        if !visible {
            ui.set_invisible();
        }
        let words = egui::RichText::new("⬇").size(17.0).weak();
        let button = egui::Button::new(words).frame(false);
        let (response, _) = egui::containers::menu::MenuButton::from_button(button).ui(ui, |ui| {
            for (format, words) in [(Format::Svg, "Save as SVG"), (Format::Png, "Save as PNG")] {
                if ui.button(words).clicked() {
                    let since = ui.ctx().cumulative_frame_nr();
                    let wanted = Wanted { name: name.to_owned(), format, since };
                    desk(ui.ctx(), |desk| desk.wanted = Some(wanted));
                    ui.close();
                }
            }
        });
        response
            .accessible_name(format!("Save {name}"))
            .on_hover_text("Save this figure as SVG or PNG");
    });
}

fn take(ui: &Ui, wanted: &Wanted, rect: Rect, first: usize) {
    let file = format!("nitp-{}", wanted.name.to_lowercase().replace(' ', "-"));
    let done = desk(ui.ctx(), |desk| desk.done.clone());
    let hand_over = move |name: String, bytes: Vec<u8>| {
        done.lock().unwrap_or_else(PoisonError::into_inner).push(File { name, bytes });
    };
    match wanted.format {
        Format::Svg => {
            let layer = ui.layer_id();
            let text = ui.ctx().graphics(|all| {
                let shapes = all.get(layer).into_iter().flat_map(|list| list.all_entries());
                svg::document(rect, shapes.skip(first))
            });
            hand_over(format!("{file}.svg"), text.into_bytes());
            desk(ui.ctx(), |desk| desk.wanted = None);
        }
        Format::Png => {
            let context = ui.ctx().clone();
            ui.ctx().request_screenshot(move |image| {
                let seen = rect.intersect(context.content_rect());
                if !seen.is_positive() {
                    return;
                }
                let part = image.region(&seen, Some(context.pixels_per_point()));
                if let Ok(bytes) = png(&part) {
                    hand_over(format!("{file}.png"), bytes);
                }
                context.request_repaint();
            });
        }
    }
}

fn png(image: &ColorImage) -> Result<Vec<u8>, png::EncodingError> {
    let [width, height] = image.size;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgba);
    let mut writer = encoder.write_header()?;
    let pixels: Vec<u8> = image.pixels.iter().flat_map(|it| it.to_srgba_unmultiplied()).collect();
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(bytes)
}
