//! The window: what is shown and what can be asked for. It never waits for the engine.

mod cloud;
mod curves;
mod experts;
mod geometry;
mod known;
mod look;
mod query;
mod runs;
mod setup;
mod theme;
mod tour;
mod why;
mod write;

use std::time::Duration;

use eframe::egui::{self, Key, Modifiers, RichText, Ui};

use geometry::Geometry;
pub use known::Known;
use look::Look;
use nitp_core::config::{Config, preset};
pub use query::{from_query, to_query};
use runs::Runs;
use setup::Setup;
use write::Write;

use crate::link::{Choice, Host, Link};
use crate::protocol::{Command, DeviceWish, File, Lane, Phase};

/// Below this width there is one column.
const NARROW: f32 = 760.0;

/// What fills the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    /// The settings, where there is no column for them.
    Setup,
    /// What was measured along the training.
    Curves,
    /// Hidden states.
    Geometry,
    /// Curvature.
    Why,
    /// Mixtures of experts.
    Experts,
    /// Text from both.
    Write,
    /// Experiments of this visit.
    Runs,
}

const TABS: [(Tab, &str); 7] = [
    (Tab::Setup, "Setup"),
    (Tab::Curves, "Curves"),
    (Tab::Geometry, "Hidden states"),
    (Tab::Why, "Why it works"),
    (Tab::Experts, "Experts"),
    (Tab::Write, "Text"),
    (Tab::Runs, "Runs"),
];

/// The app.
pub struct App {
    link: Box<dyn Link>,
    host: Box<dyn Host>,
    /// What the engine told.
    pub known: Known,
    setup: Setup,
    tab: Tab,
    geometry: Geometry,
    look: Look,
    write: Write,
    runs: Runs,
    tour: Option<usize>,
    /// What is wrong with the link that led here.
    complaint: Option<String>,
    /// Start as soon as the engine is there.
    start_at_once: bool,
    /// Whether the link named an experiment.
    linked: bool,
    /// What to train to once the experiment is prepared.
    then_run: Option<Option<usize>>,
    /// Tests only: the step at which the GPU is lost.
    lose_device_at: Option<usize>,
}

impl App {
    /// An app that speaks to this engine, set up by a link's query.
    pub fn new(
        context: &egui::Context,
        mut link: Box<dyn Link>,
        mut host: Box<dyn Host>,
        query: &str,
    ) -> Self {
        theme::apply(context);
        let (found, complaint) = match from_query(query) {
            Ok(found) => (found, None),
            Err(error) => {
                let name = query::FIRST_PRESET.to_owned();
                let config = preset(&name).unwrap_or_default();
                ((name, config), Some(format!("The link can't be followed: {error}")))
            }
        };
        let value = |key: &str| {
            query.trim_start_matches(['#', '?']).split('&').find_map(|it| it.strip_prefix(key))
        };
        let has = |part: &str| query.trim_start_matches(['#', '?']).split('&').any(|it| it == part);
        let wish = match (has("device=cpu"), has("device=gpu")) {
            (true, _) => DeviceWish::Cpu,
            (_, true) => DeviceWish::Gpu,
            _ => DeviceWish::Auto,
        };
        host.set_status("Opening.");
        link.send(Command::Open(wish));
        Self {
            link,
            host,
            known: Known::default(),
            setup: Setup::new(found.0, found.1),
            tab: Tab::Curves,
            geometry: Geometry::default(),
            look: Look::default(),
            write: Write::default(),
            runs: Runs::default(),
            tour: None,
            complaint,
            start_at_once: has("start=1"),
            linked: query.contains("preset="),
            then_run: None,
            lose_device_at: value("lose-device-at=").and_then(|it| it.parse().ok()),
        }
    }

    fn hear(&mut self) {
        for update in self.link.poll() {
            let prepared = matches!(update, crate::protocol::Update::Prepared(_));
            let opened = matches!(update, crate::protocol::Update::Device { .. });
            self.known.take(update);
            if prepared {
                self.follow();
                if let Some(until) = self.then_run.take() {
                    self.link.send(Command::Run(until));
                }
            }
            if opened && std::mem::take(&mut self.start_at_once) {
                self.start();
            }
        }
        if self.lose_device_at.is_some_and(|step| self.known.step() >= step) {
            self.lose_device_at = None;
            self.link.send(Command::LoseDevice);
        }
        for file in std::mem::take(&mut self.known.files) {
            self.host.save(file);
        }
        for (choice, files) in self.host.chosen() {
            match choice {
                Choice::Text => self.setup.take_text(files),
                Choice::Run | Choice::Zip => self.open(files),
                Choice::Dropped => {
                    let of_run =
                        |it: &File| it.name.ends_with(".zip") || it.name.ends_with(".toml");
                    if files.iter().any(of_run) {
                        self.open(files);
                    } else {
                        self.setup.take_text(files);
                    }
                }
            }
        }
    }

    /// Shows the settings of a run that was kept or opened.
    fn follow(&mut self) {
        self.look.due = true;
        let Some((prepared, config)) = &self.known.prepared else { return };
        if prepared.continued && !self.linked {
            self.setup.config = config.clone();
        }
    }

    fn open(&mut self, files: Vec<File>) {
        self.remember();
        self.linked = false;
        self.link.send(Command::Import(files));
    }

    fn remember(&mut self) {
        let query = self.known.config().map(|config| to_query(&self.setup.preset, config));
        self.runs.remember(&self.known, query.unwrap_or_default());
    }

    /// Begins the experiment that is set up.
    fn start(&mut self) {
        self.remember();
        self.linked = true;
        let query = to_query(&self.setup.preset, &self.setup.config);
        self.host.set_query(&query);
        self.link.send(Command::Prepare(Box::new(self.setup.experiment())));
        self.then_run = Some(None);
        if self.tab == Tab::Setup {
            self.tab = Tab::Curves;
        }
    }

    /// Start, pause or go on, whichever is next.
    fn toggle(&mut self) {
        match self.known.phase {
            Phase::Empty | Phase::Finished => self.start(),
            Phase::Paused => self.link.send(Command::Run(None)),
            Phase::Running => self.link.send(Command::Pause),
        }
    }

    fn one_step(&mut self) {
        match self.known.phase {
            Phase::Empty => {
                self.link.send(Command::Prepare(Box::new(self.setup.experiment())));
                self.then_run = Some(Some(1));
            }
            Phase::Paused => self.link.send(Command::Run(Some(self.known.step() + 1))),
            Phase::Running | Phase::Finished => {}
        }
    }

    fn keys(&mut self, ui: &Ui) {
        // A field that is typed in has the keys for itself.
        if ui.ctx().text_edit_focused() {
            return;
        }
        let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        if ui.ctx().memory(|memory| memory.focused().is_none()) && pressed(Key::Space) {
            self.toggle();
        }
        if pressed(Key::N) {
            self.one_step();
        }
        if pressed(Key::T) {
            self.tour = if self.tour.is_some() { None } else { Some(0) };
        }
        if ui.input_mut(|input| input.consume_key(Modifiers::COMMAND, Key::S)) {
            self.link.send(Command::Export(Lane::Nitp));
        }
        let digits = [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6, Key::Num7];
        for (key, (tab, _)) in digits.into_iter().zip(TABS) {
            if pressed(key) {
                self.tab = tab;
            }
        }
    }

    fn top(&mut self, ui: &mut Ui, narrow: bool) {
        ui.add_space(6.0);
        ui.horizontal_wrapped(|ui| {
            ui.heading("NITP");
            if !narrow {
                ui.weak(
                    "Two small language models train here, on this machine: one predicts the next \
                     token, the other also predicts its hidden state.",
                );
            }
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                theme::choice(ui);
                if ui.button("Tour").on_hover_text("Five steps through the idea (T)").clicked() {
                    self.tour = Some(0);
                }
            });
        });
        ui.horizontal_wrapped(|ui| {
            let (words, about) = match self.known.phase {
                Phase::Empty => ("▶ Start", "Train both models (Space)"),
                Phase::Finished => ("▶ Start anew", "Train both models from the beginning (Space)"),
                Phase::Paused => ("▶ Continue", "Go on (Space)"),
                Phase::Running => ("⏸ Pause", "Hold both where they are (Space)"),
            };
            let button = egui::Button::new(RichText::new(words).strong());
            if ui.add_sized([120.0, 30.0], button).on_hover_text(about).clicked() {
                self.toggle();
            }
            let still = matches!(self.known.phase, Phase::Empty | Phase::Paused);
            let step = ui.add_enabled(still, egui::Button::new("Step"));
            if step.on_hover_text("One step of both (N)").clicked() {
                self.one_step();
            }
            if matches!(self.known.phase, Phase::Paused | Phase::Running) {
                let about = "From the beginning, with the settings as they are";
                if ui.button("Start anew").on_hover_text(about).clicked() {
                    self.start();
                }
            }
            self.files_menu(ui);
            self.progress(ui);
        });
        ui.add_space(2.0);
    }

    fn files_menu(&mut self, ui: &mut Ui) {
        ui.menu_button("Save and open", |ui| {
            for lane in Lane::ALL {
                let has = self.known.histories.contains_key(&lane) && self.known.kept.is_some();
                let words = format!("Save the {} run for `nitp`…", lane.name());
                let button = ui.add_enabled(has, egui::Button::new(words));
                let about = "A zip of the folder that the program `nitp` reads: unpack it, then \
                             nitp eval FOLDER. Pause first to save the latest step. (Ctrl+S saves \
                             the NITP run.)";
                if button.on_hover_text(about).clicked() {
                    self.link.send(Command::Export(lane));
                }
            }
            if ui.button("Open a run's folder…").clicked() {
                self.host.choose(Choice::Run);
            }
            if ui.button("Open a run's zip…").clicked() {
                self.host.choose(Choice::Zip);
            }
            let query = to_query(&self.setup.preset, &self.setup.config);
            if ui.button("Copy a link to this experiment").clicked() {
                ui.ctx().copy_text(self.host.link(&query));
            }
            if ui.button("Forget the run that is kept in this browser").clicked() {
                self.link.send(Command::Forget);
            }
        });
    }

    fn progress(&self, ui: &mut Ui) {
        let known = &self.known;
        if known.steps() > 0 {
            let share = known.step() as f32 / known.steps() as f32;
            let words = format!("step {} of {}", known.step(), known.steps());
            ui.add(egui::ProgressBar::new(share).desired_width(170.0).text(words));
        }
        if !known.device.is_empty() {
            ui.weak(format!("on {}", known.device));
        }
        if let Some(step) = known.kept {
            ui.weak(format!("kept: step {step}"))
                .on_hover_text("What a reload of this page goes on from, kept in this browser");
        }
    }

    fn messages(&mut self, ui: &mut Ui) {
        let error = ui.visuals().error_fg_color;
        let warning = ui.visuals().warn_fg_color;
        let mut put_away =
            |color, text: Option<&String>| text.is_some_and(|text| message(ui, color, text));
        if put_away(error, self.complaint.as_ref()) {
            self.complaint = None;
        }
        if put_away(error, self.known.error.as_ref()) {
            self.known.error = None;
        }
        if put_away(warning, self.known.notices.back()) {
            self.known.notices.pop_back();
        }
    }

    fn middle(&mut self, ui: &mut Ui) {
        match self.tab {
            Tab::Setup => self.setup.show(ui, self.host.as_mut()),
            Tab::Curves => {
                if self.known.prepared.is_none() {
                    welcome(ui);
                } else {
                    curves::show(ui, &self.known, &self.runs.overlays());
                }
            }
            Tab::Geometry => {
                geometry::show(ui, &mut self.geometry, &self.known);
                ui.add_space(6.0);
                look::text_field(ui, &mut self.look, &self.known);
                look::heat_maps(ui, &self.known);
            }
            Tab::Why => why::show(ui, &mut self.look, &self.known),
            Tab::Experts => experts::show(ui, &mut self.look, &self.known),
            Tab::Write => {
                if let Some(command) = write::show(ui, &mut self.write, &self.known) {
                    self.link.send(command);
                }
            }
            Tab::Runs => {
                let chosen = runs::show(ui, &mut self.runs, self.host.as_mut());
                if let Some(Ok((name, config))) = chosen.map(|query| from_query(&query)) {
                    self.set_up(name, config);
                }
            }
        }
        let looks = matches!(self.tab, Tab::Geometry | Tab::Why | Tab::Experts);
        if let Some(command) = self.look.command(&self.known, looks, self.tab == Tab::Why) {
            self.link.send(command);
        }
    }

    fn set_up(&mut self, name: String, config: Config) {
        (self.setup.preset, self.setup.config) = (name, config);
    }

    fn touring(&mut self, ui: &mut Ui) {
        let Some(at) = self.tour else { return };
        match tour::show(ui, at) {
            Some(tour::Pressed::Go(to)) => {
                self.tour = to;
                if let Some(to) = to {
                    self.tab = tour::STOPS[to].tab;
                }
            }
            Some(tour::Pressed::Try(at)) => {
                let stop = &tour::STOPS[at];
                self.tab = stop.tab;
                if let Ok((name, config)) = from_query(stop.query.unwrap_or_default()) {
                    self.set_up(name, config);
                    self.start();
                }
            }
            None => {}
        }
    }

    fn dropped(&mut self, context: &egui::Context) {
        let dropped = context.input_mut(|input| std::mem::take(&mut input.raw.dropped_files));
        if !dropped.is_empty() {
            self.host.read(dropped);
        }
    }
}

/// A message that can be put away: whether it was.
fn message(ui: &mut Ui, color: egui::Color32, text: &str) -> bool {
    let frame = egui::Frame::new()
        .fill(color.gamma_multiply(0.12))
        .corner_radius(egui::CornerRadius::same(6))
        .inner_margin(8.0);
    frame
        .show(ui, |ui| {
            ui.horizontal_top(|ui| {
                let close = ui.button("✖").on_hover_text("Put away").clicked();
                ui.add(egui::Label::new(RichText::new(text).color(color)).wrap());
                close
            })
            .inner
        })
        .inner
}

fn welcome(ui: &mut Ui) {
    theme::card(ui, "Press Start", |ui| {
        ui.label(
            "Both models begin with the same weights and see the same text in the same order; only \
             their objective differs. Their curves are drawn here, and the other tabs look inside. \
             Nothing leaves this machine.",
        );
    });
    ui.add_space(6.0);
}

impl eframe::App for App {
    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        self.hear();
        self.keys(ui);
        self.dropped(&ui.ctx().clone());
        let narrow = ui.available_width() < NARROW;
        if !narrow && self.tab == Tab::Setup {
            self.tab = Tab::Curves;
        }
        egui::Panel::top("top").show(ui, |ui| self.top(ui, narrow));
        if self.tour.is_some() {
            egui::Panel::top("tour").show(ui, |ui| {
                ui.add_space(4.0);
                self.touring(ui);
                ui.add_space(4.0);
            });
        }
        if !narrow {
            egui::Panel::left("setup").resizable(true).default_size(290.0).show(ui, |ui| {
                egui::ScrollArea::vertical().show(ui, |ui| {
                    ui.add_space(6.0);
                    ui.strong("Experiment");
                    self.setup.show(ui, self.host.as_mut());
                });
            });
        }
        egui::CentralPanel::default().show(ui, |ui| {
            ui.horizontal_wrapped(|ui| {
                for (tab, name) in TABS {
                    if tab != Tab::Setup || narrow {
                        ui.selectable_value(&mut self.tab, tab, name);
                    }
                }
            });
            ui.separator();
            self.messages(ui);
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| self.middle(ui));
        });
        let status = self.known.status();
        self.host.set_status(&status);
        if self.known.phase == Phase::Running {
            // Updates wake the app; this is for a clock that does not stand still.
            ui.ctx().request_repaint_after(Duration::from_millis(500));
        }
    }
}

/// The app in a desktop window.
///
/// # Errors
/// Where there is no display, or no OpenGL.
#[cfg(not(target_arch = "wasm32"))]
pub fn open_window() -> eframe::Result {
    let viewport = egui::ViewportBuilder::default()
        .with_inner_size([1280.0, 860.0])
        .with_title("NITP: train and watch hidden states");
    let options = eframe::NativeOptions { viewport, ..Default::default() };
    eframe::run_native(
        "nitp",
        options,
        Box::new(|creation| {
            let context = creation.egui_ctx.clone();
            let link = Box::new(crate::link::Thread::start(context.clone()));
            let host = Box::new(crate::link::Desktop::default());
            Ok(Box::new(App::new(&context, link, host, "")))
        }),
    )
}
