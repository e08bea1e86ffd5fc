//! Colours, type and spacing.

use eframe::egui::{self, Color32, CornerRadius, FontId, Stroke, TextStyle, Vec2, Visuals};

use crate::protocol::Lane;

/// The two runs' colours: blue and orange of a palette that colour-blind people can distinguish
/// (Okabe & Ito 2008), lighter on dark.
pub fn lane_color(lane: Lane, dark: bool) -> Color32 {
    match (lane, dark) {
        (Lane::Ntp, false) => Color32::from_rgb(0, 104, 170),
        (Lane::Ntp, true) => Color32::from_rgb(86, 180, 233),
        (Lane::Nitp, false) => Color32::from_rgb(205, 98, 0),
        (Lane::Nitp, true) => Color32::from_rgb(240, 165, 48),
    }
}

/// Colours of classes: those of Okabe & Ito, then further hues.
pub fn class_color(index: usize) -> Color32 {
    const FIRST: [(u8, u8, u8); 8] = [
        (0, 114, 178),
        (230, 159, 0),
        (0, 158, 115),
        (213, 94, 0),
        (86, 180, 233),
        (204, 121, 167),
        (160, 140, 20),
        (120, 120, 120),
    ];
    match FIRST.get(index) {
        Some(&(r, g, b)) => Color32::from_rgb(r, g, b),
        None => {
            let hue = (index as f32 * 0.618_034).fract();
            egui::ecolor::Hsva::new(hue, 0.65, 0.8, 1.0).into()
        }
    }
}

/// A perceptually uniform colour map from dark violet to yellow, `x` from 0 to 1: five stops of viridis.
pub fn ramp(x: f32) -> Color32 {
    const STOPS: [[f32; 3]; 5] = [
        [68.0, 1.0, 84.0],
        [59.0, 82.0, 139.0],
        [33.0, 145.0, 140.0],
        [94.0, 201.0, 98.0],
        [253.0, 231.0, 37.0],
    ];
    let x = x.clamp(0.0, 1.0) * 4.0;
    let first = (x as usize).min(3);
    let part = x - first as f32;
    let mix = |k: usize| (STOPS[first][k] * (1.0 - part) + STOPS[first + 1][k] * part) as u8;
    Color32::from_rgb(mix(0), mix(1), mix(2))
}

/// Ubuntu for words, Hack for numbers and for characters that Ubuntu lacks, both without hinting (see
/// `web/fonts/make.py`), which halves their size. egui's default set has two more fonts with emoji, which are half a
/// megabyte and are not used here.
fn fonts() -> egui::FontDefinitions {
    let mut fonts = egui::FontDefinitions::empty();
    for (name, bytes) in [
        ("Ubuntu-Light", &include_bytes!("../../fonts/Ubuntu-Light-derivative-nitp.ttf")[..]),
        ("Hack", include_bytes!("../../fonts/Hack-Regular-unhinted.ttf")),
        ("egui-icons", epaint_default_fonts::EGUI_ICONS),
    ] {
        fonts.font_data.insert(name.to_owned(), egui::FontData::from_static(bytes).into());
    }
    let order = |names: [&str; 3]| names.map(str::to_owned).to_vec();
    let proportional = order(["Ubuntu-Light", "Hack", "egui-icons"]);
    fonts.families.insert(egui::FontFamily::Proportional, proportional);
    let monospace = order(["Hack", "Ubuntu-Light", "egui-icons"]);
    fonts.families.insert(egui::FontFamily::Monospace, monospace);
    fonts
}

/// Sets fonts, text sizes, spacing and both colour schemes.
pub fn apply(context: &egui::Context) {
    context.set_fonts(fonts());
    for (theme, base) in
        [(egui::Theme::Light, Visuals::light()), (egui::Theme::Dark, Visuals::dark())]
    {
        let dark = theme == egui::Theme::Dark;
        let mut visuals = base;
        let accent = lane_color(Lane::Ntp, dark);
        visuals.selection.bg_fill = accent.gamma_multiply(if dark { 0.45 } else { 0.25 });
        visuals.selection.stroke = Stroke::new(1.0, if dark { Color32::WHITE } else { accent });
        visuals.hyperlink_color = accent;
        if dark {
            visuals.panel_fill = Color32::from_rgb(22, 25, 31);
            visuals.extreme_bg_color = Color32::from_rgb(14, 16, 20);
            visuals.faint_bg_color = Color32::from_rgb(30, 34, 41);
            visuals.override_text_color = Some(Color32::from_rgb(220, 224, 230));
        } else {
            visuals.panel_fill = Color32::from_rgb(250, 250, 248);
            visuals.extreme_bg_color = Color32::WHITE;
            visuals.faint_bg_color = Color32::from_rgb(241, 242, 240);
            visuals.override_text_color = Some(Color32::from_rgb(32, 36, 42));
        }
        let radius = CornerRadius::same(5);
        let widgets = &mut visuals.widgets;
        for widget in
            [&mut widgets.inactive, &mut widgets.hovered, &mut widgets.active, &mut widgets.open]
        {
            widget.corner_radius = radius;
        }
        context.set_visuals_of(theme, visuals);
    }
    context.all_styles_mut(|style| {
        style.spacing.item_spacing = Vec2::new(8.0, 6.0);
        style.spacing.button_padding = Vec2::new(10.0, 5.0);
        style.spacing.interact_size.y = 26.0;
        style.spacing.slider_width = 130.0;
        for (text, size) in [
            (TextStyle::Small, 11.5),
            (TextStyle::Body, 14.0),
            (TextStyle::Button, 14.0),
            (TextStyle::Monospace, 12.5),
            (TextStyle::Heading, 19.0),
        ] {
            let family = style.text_styles[&text].family.clone();
            style.text_styles.insert(text, FontId::new(size, family));
        }
    });
}

/// A titled box.
pub fn card<R>(ui: &mut egui::Ui, title: &str, add: impl FnOnce(&mut egui::Ui) -> R) -> R {
    let frame = egui::Frame::new()
        .fill(ui.visuals().faint_bg_color)
        .corner_radius(CornerRadius::same(8))
        .inner_margin(10.0);
    frame
        .show(ui, |ui| {
            if !title.is_empty() {
                ui.strong(title);
            }
            add(ui)
        })
        .inner
}

/// The choice of light, dark, or the system's scheme.
pub fn choice(ui: &mut egui::Ui) {
    let mut theme = ui.ctx().options(|options| options.theme_preference);
    let name = |theme| match theme {
        egui::ThemePreference::Light => "Light",
        egui::ThemePreference::Dark => "Dark",
        egui::ThemePreference::System => "Theme",
    };
    let all =
        [egui::ThemePreference::System, egui::ThemePreference::Light, egui::ThemePreference::Dark];
    egui::ComboBox::from_id_salt("theme")
        .width(70.0)
        .selected_text(name(theme))
        .show_ui(ui, |ui| {
            for option in all {
                let words = match option {
                    egui::ThemePreference::System => "As the system",
                    other => name(other),
                };
                if ui.selectable_value(&mut theme, option, words).clicked() {
                    ui.ctx().set_theme(option);
                }
            }
        })
        .response
        .accessible_name("Theme");
}

#[cfg(test)]
mod tests {
    use walkdir::WalkDir;

    use super::*;

    /// Checks that the fonts have all characters: a missing one would be an empty box.
    #[test]
    fn the_fonts_have_every_character_that_the_page_writes() {
        let context = egui::Context::default();
        apply(&context);
        context.begin_pass(egui::RawInput::default());
        let mut seen = 0;
        for entry in WalkDir::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")) {
            let entry = entry.expect("an entry");
            if !entry.file_type().is_file() {
                continue;
            }
            let text = std::fs::read_to_string(entry.path()).expect("source text");
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for c in code.flat_map(str::chars).filter(|c| !c.is_ascii()) {
                seen += 1;
                for font in [FontId::proportional(14.0), FontId::monospace(12.5)] {
                    let has_it = context.fonts_mut(|fonts| fonts.has_glyph(&font, c));
                    assert!(has_it, "{}: no font has {c:?}", entry.path().display());
                }
            }
        }
        assert!(seen > 10, "{seen}");
        context.end_pass().textures_delta.clear();
    }
}
