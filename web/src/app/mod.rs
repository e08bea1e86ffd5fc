//! The window: views and commands. It never waits for the engine.

mod bar;
mod cloud;
mod curves;
mod experts;
mod figure;
mod geometry;
mod known;
mod look;
mod query;
mod runs;
mod setup;
mod svg;
mod theme;
mod tour;
mod why;
mod write;

use std::time::Duration;

use eframe::egui::{self, Key, Modifiers, Ui};

use geometry::Geometry;
pub use known::Known;
use look::Look;
use nitp_core::config::{Config, preset};
pub use query::{from_query, to_query};
use runs::Runs;
use setup::Setup;
use write::Write;

use crate::link::{Choice, Host, Link};
use crate::protocol::{Command, DeviceWish, File, Format, Lane, Phase, Text, Update};

/// Below this width there is one column.
const NARROW: f32 = 760.0;

/// A tab of the central panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    /// The settings, in a narrow window without a column for them.
    Setup,
    /// Curves of the training.
    Curves,
    /// Hidden states.
    Geometry,
    /// Curvature.
    Why,
    /// Mixtures of experts.
    Experts,
    /// Text from both models.
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
    /// State from the engine's updates.
    pub known: Known,
    setup: Setup,
    tab: Tab,
    geometry: Geometry,
    look: Look,
    write: Write,
    runs: Runs,
    tour: Option<usize>,
    /// Whether to start as soon as the engine is ready.
    start_at_once: bool,
    /// Whether a link set the experiment. A saved run does not change the settings then.
    linked: bool,
    /// Parts of the link that are no settings, which stay in it.
    options: String,
    /// Whether a sent experiment is not prepared yet.
    preparing: bool,
    /// Tests only: the step at which the GPU is lost.
    lose_device_at: Option<usize>,
}

impl App {
    /// An app for this engine, set up by a link's query.
    pub fn new(
        context: &egui::Context,
        mut link: Box<dyn Link>,
        mut host: Box<dyn Host>,
        query: &str,
    ) -> Self {
        theme::apply(context);
        let options: Vec<&str> = query
            .trim_start_matches(['#', '?'])
            .split('&')
            .filter(|part| ["device=cpu", "device=gpu"].contains(part))
            .collect();
        let wish = match options.first() {
            Some(&"device=cpu") => DeviceWish::Cpu,
            Some(_) => DeviceWish::Gpu,
            None => DeviceWish::Auto,
        };
        let parts = || query.trim_start_matches(['#', '?']).split('&');
        let lost = parts().find_map(|it| it.strip_prefix("lose-device-at="));
        host.tell("Opening.", "");
        link.send(Command::Open(wish));
        let config = preset(query::FIRST_PRESET).unwrap_or_default();
        let mut app = Self {
            link,
            host,
            known: Known::default(),
            setup: Setup::new(query::FIRST_PRESET.to_owned(), config),
            tab: Tab::Curves,
            geometry: Geometry::default(),
            look: Look::default(),
            write: Write::default(),
            runs: Runs::default(),
            tour: None,
            start_at_once: parts().any(|it| it == "start=1"),
            linked: false,
            options: options.join("&"),
            preparing: false,
            lose_device_at: lost.and_then(|it| it.parse().ok()),
        };
        app.go_to(query);
        app
    }

    /// Sets up the experiment of a link, if it has one.
    fn go_to(&mut self, query: &str) {
        if !query::is_experiment(query) {
            return;
        }
        match from_query(query) {
            Ok((name, config)) => {
                self.set_up(name, config);
                self.linked = true;
            }
            Err(error) => self.known.error = Some(format!("The link can't be followed: {error}")),
        }
    }

    fn hear(&mut self) {
        for update in self.link.poll() {
            match &update {
                Update::Prepared(prepared) => {
                    self.remember();
                    self.preparing = false;
                    let config = Config::from_toml(&prepared.config).unwrap_or_default();
                    self.follow(prepared.continued, &config, &prepared.text);
                }
                Update::Error(_) => self.preparing = false,
                _ => {}
            }
            let opened = matches!(update, Update::Device(_));
            self.known.take(update);
            if opened && std::mem::take(&mut self.start_at_once) {
                self.start(usize::MAX);
            }
        }
        if self.lose_device_at.is_some_and(|step| self.known.step() >= step) {
            self.lose_device_at = None;
            self.link.send(Command::LoseDevice);
        }
        for file in std::mem::take(&mut self.known.files) {
            self.host.save(file);
        }
        if let Some(query) = self.host.followed() {
            self.go_to(&query);
        }
        for (choice, files) in self.host.chosen() {
            self.take_files(choice, files);
        }
    }

    fn take_files(&mut self, choice: Choice, files: Vec<File>) {
        let of_run = |it: &File| {
            let name = it.name.to_lowercase();
            let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
            name.ends_with(".zip") || ["config.toml", "config.json"].contains(&last)
        };
        if files.is_empty() {
            self.known.notice(
                "These files can't be read. Drop text files, a model's files or a zip here; open a \
                 folder under \"Save and open\"."
                    .to_owned(),
            );
        } else if choice != Choice::Text && files.iter().any(of_run) {
            self.linked = false;
            let text = self.setup.text.clone();
            self.link.send(Command::Import { files, text });
        } else {
            let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
            self.known.notice(format!("The next start trains on {}.", names.join(", ")));
            self.setup.text = Text::Own(files);
        }
    }

    /// Shows the settings of a saved or opened run, unless a link set the experiment.
    fn follow(&mut self, continued: bool, config: &Config, text: &str) {
        self.look.due = true;
        if continued && !self.linked {
            self.setup.follow(config, text);
        }
    }

    /// Adds the current runs to the list before others replace them.
    fn remember(&mut self) {
        self.runs.remember(&self.known);
    }

    /// The link's query of the experiment that is set up.
    fn query(&self) -> String {
        let query = to_query(&self.setup.preset, &self.setup.config);
        [query.as_str(), &self.options].join("&").trim_end_matches('&').to_owned()
    }

    /// Starts the experiment with the current settings, and trains to a step or to the end.
    fn start(&mut self, until: usize) {
        self.linked = true;
        self.preparing = true;
        self.host.set_query(&self.query());
        let experiment = Box::new(self.setup.experiment());
        self.link.send(Command::Prepare { experiment, until });
        if self.tab == Tab::Setup {
            self.tab = Tab::Curves;
        }
    }

    /// Starts, pauses or continues.
    fn toggle(&mut self) {
        match self.known.phase {
            _ if self.preparing => {}
            Phase::Empty | Phase::Finished => self.start(usize::MAX),
            Phase::Paused => self.link.send(Command::Run(None)),
            Phase::Running => self.link.send(Command::Pause),
        }
    }

    fn one_step(&mut self) {
        match self.known.phase {
            _ if self.preparing => {}
            Phase::Empty => self.start(1),
            Phase::Paused => self.link.send(Command::Run(Some(self.known.step() + 1))),
            Phase::Running | Phase::Finished => {}
        }
    }

    /// Whether the settings differ from the current experiment.
    fn has_changed(&self) -> bool {
        self.known.config().is_some_and(|config| *config != self.setup.config)
    }

    fn keys(&mut self, ui: &Ui) {
        // A focused text field gets all keys.
        if ui.ctx().text_edit_focused() {
            return;
        }
        let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        let free = ui.ctx().memory(|memory| memory.focused().is_none());
        // A key pressed to pause must not discard runs that just finished.
        if free && self.known.phase != Phase::Finished && pressed(Key::Space) {
            self.toggle();
        }
        if pressed(Key::N) {
            self.one_step();
        }
        if pressed(Key::T) {
            let stop = if self.tour.is_some() { None } else { Some(0) };
            self.go_on_tour(stop);
        }
        if ui.input_mut(|input| input.consume_key(Modifiers::COMMAND, Key::S)) {
            self.link.send(Command::Export(Lane::Nitp, Format::Run));
        }
        let digits = [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6, Key::Num7];
        for (key, (tab, _)) in digits.into_iter().zip(TABS) {
            if pressed(key) {
                self.tab = tab;
            }
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
                let chosen = runs::show(ui, &mut self.runs, &self.known, self.host.as_mut());
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

    fn go_on_tour(&mut self, stop: Option<usize>) {
        self.tour = stop;
        if let Some(stop) = stop {
            self.tab = tour::STOPS[stop].tab;
        }
    }

    fn touring(&mut self, ui: &mut Ui) {
        let Some(at) = self.tour else { return };
        match tour::show(ui, at, &self.setup.config) {
            Some(tour::Pressed::Go(to)) => self.go_on_tour(to),
            Some(tour::Pressed::Try(at)) => {
                let stop = &tour::STOPS[at];
                self.tab = stop.tab;
                if let Ok((name, config)) = from_query(stop.query.unwrap_or_default()) {
                    self.set_up(name, config);
                    self.start(usize::MAX);
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

fn welcome(ui: &mut Ui) {
    theme::card(ui, "Press Start", |ui| {
        ui.label(
            "Both models begin with the same weights and see the same batches; only the objective \
             differs. Their curves appear here; the other tabs show hidden states, experts and text. \
             Nothing leaves this machine.",
        );
    });
    ui.add_space(6.0);
}

impl eframe::App for App {
    /// Also runs in a hidden tab, so that updates don't pile up and commands are sent.
    fn logic(&mut self, _: &egui::Context, _: &mut eframe::Frame) {
        self.hear();
        self.known.memory[1] = self.host.memory();
        self.host.tell(&self.known.status(), &self.known.alert());
    }

    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
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
        for picture in figure::finished(ui.ctx()) {
            self.host.save(picture);
        }
        if self.known.phase == Phase::Running {
            // Updates repaint the app; this keeps the clock running.
            ui.ctx().request_repaint_after(Duration::from_millis(500));
        }
    }
}
