//! The app without a browser: real runs on the CPU, with panels found by their names for screen readers. Characters
//! missing in the fonts, and controls without a name, are failures.

use std::cell::RefCell;
use std::rc::Rc;

use eframe::egui::accesskit::Role;
use eframe::egui::{DroppedFileHandle, Key};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use web::app::{App, from_query};
use web::engine::Engine;
use web::link::{Choice, Host, Link};
use web::protocol::{Command, File, Lane, Update};

use crate::engine::unzipped;

const QUICK: &str = "preset=nano&train.steps=8&train.batch_size=2&train.context_length=32\
                     &train.eval_interval=4&train.eval_batches=2&train.geometry_interval=4\
                     &device=cpu";

/// The engine, driven by the app's frames.
struct Inline(Engine);

impl Link for Inline {
    fn send(&mut self, command: Command) {
        pollster::block_on(self.0.handle(command));
    }

    fn poll(&mut self) -> Vec<Update> {
        self.0.pump();
        self.0.updates().collect()
    }
}

/// The app's effects on its environment.
#[derive(Default)]
struct Seen {
    saved: Vec<File>,
    query: String,
    asked: Vec<Choice>,
    chosen: Vec<(Choice, Vec<File>)>,
}

struct Desk(Rc<RefCell<Seen>>);

impl Host for Desk {
    fn save(&mut self, file: File) {
        self.0.borrow_mut().saved.push(file);
    }

    fn choose(&mut self, what: Choice) {
        self.0.borrow_mut().asked.push(what);
    }

    fn read(&mut self, _: Vec<DroppedFileHandle>) {}

    fn chosen(&mut self) -> Vec<(Choice, Vec<File>)> {
        std::mem::take(&mut self.0.borrow_mut().chosen)
    }

    fn set_query(&mut self, query: &str) {
        query.clone_into(&mut self.0.borrow_mut().query);
    }

    fn link(&self, query: &str) -> String {
        format!("#{query}")
    }

    fn tell(&mut self, _: &str, _: &str) {}
}

struct Visit {
    harness: Harness<'static, App>,
    seen: Rc<RefCell<Seen>>,
}

impl Visit {
    fn new(query: &str, size: [f32; 2]) -> Self {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let host = Box::new(Desk(seen.clone()));
        let build = Harness::builder().with_size(size).with_accessibility_check(true);
        // An untrained model may write any character.
        let build = if query.ends_with("&writes") { build.allow_missing_glyphs() } else { build };
        let query = query.to_owned();
        let harness = build.build_eframe(move |creation| {
            App::new(&creation.egui_ctx, Box::new(Inline(Engine::new(None, None))), host, &query)
        });
        Self { harness, seen }
    }

    /// Runs frames until a text is in the status.
    fn until(&mut self, part: &str) {
        for _ in 0..4000 {
            self.harness.step();
            let known = &self.harness.state().known;
            if known.status().contains(part) || known.alert().contains(part) {
                return self.harness.run_steps(3);
            }
        }
        panic!("no `{part}` in: {}", self.harness.state().known.status());
    }

    fn press(&mut self, name: &str) {
        self.harness.get_by_role_and_label(Role::Button, name).click();
        self.harness.run_steps(4);
        let _ = self.harness.run_ok();
    }

    fn shows(&self, words: &str) -> bool {
        self.harness.query_all_by_label_contains(words).next().is_some()
    }
}

#[test]
fn a_visitor_starts_and_looks_around() {
    let mut visit = Visit::new(QUICK, [1280.0, 900.0]);
    visit.until("Ready");
    assert!(visit.shows("Press Start"));
    visit.press("▶ Start");
    visit.until("Finished");
    assert!(visit.seen.borrow().query.contains("train.steps=8"));
    for (tab, words) in [
        ("Curves", "Effective rank"),
        ("Hidden states", "Colour by"),
        ("Why it works", "directions have a next-token curvature below"),
        ("Experts", "This model is dense"),
        ("Text", "Continue the text"),
        ("Runs", "The current runs"),
    ] {
        visit.press(tab);
        visit.harness.run_steps(20);
        assert!(visit.shows(words), "`{words}` is not in {tab}");
    }
}

#[test]
fn a_prompt_is_gone_on_with_by_both() {
    let mut visit = Visit::new(&format!("{QUICK}&writes"), [1280.0, 900.0]);
    visit.until("Ready");
    visit.press("▶ Start");
    visit.until("Finished");
    visit.harness.key_press(Key::Num6);
    visit.harness.run_steps(2);
    visit.press("Continue the text");
    visit.harness.run_steps(200);
    for lane in Lane::ALL {
        let written = &visit.harness.state().known.written[&lane];
        assert!(written.done && !written.text.is_empty(), "{written:?}");
        let total: f32 = written.next.iter().map(|it| it.1).sum();
        assert!(total > 0.0 && total <= 1.0 + 1e-4, "{total}");
    }
}

#[test]
fn a_mixture_shows_its_experts() {
    let moe = "&model.moe.num_experts=4&model.moe.moe_intermediate_size=32";
    let mut visit = Visit::new(&format!("{QUICK}{moe}"), [1280.0, 900.0]);
    visit.until("Ready");
    visit.press("▶ Start");
    visit.until("Finished");
    visit.press("Experts");
    visit.harness.run_steps(20);
    for words in
        ["NTP: load of each expert", "NITP: where the sentence's tokens go", "From block 2 on"]
    {
        assert!(visit.shows(words), "{words}");
    }
}

#[test]
fn the_space_bar_pauses_and_one_step_is_one_step() {
    let mut visit = Visit::new(&QUICK.replace("steps=8", "steps=500"), [1280.0, 900.0]);
    visit.until("Ready");
    visit.harness.key_press(Key::N);
    visit.until("Paused");
    visit.until("Step 1 of 500");
    visit.harness.key_press(Key::Space);
    visit.until("Step 4");
    visit.harness.key_press(Key::Space);
    visit.until("Paused");
    let at = visit.harness.state().known.step();
    visit.press("Step");
    visit.until(&format!("Step {} of 500", at + 1));
    visit.harness.run_steps(30);
    assert_eq!(visit.harness.state().known.step(), at + 1);
}

#[test]
fn a_figure_is_saved_as_svg() {
    let mut visit = Visit::new(QUICK, [1280.0, 900.0]);
    visit.until("Ready");
    visit.press("▶ Start");
    visit.until("Finished");
    for (tab, figure, file) in [
        ("Curves", "Save Loss", "nitp-loss.svg"),
        ("Hidden states", "Save Hidden states of NITP", "nitp-hidden-states-of-nitp.svg"),
    ] {
        visit.press(tab);
        visit.press(figure);
        visit.press("Save as SVG");
        visit.harness.run_steps(10);
        let saved = visit.seen.borrow_mut().saved.pop().expect("a file");
        assert_eq!(saved.name, file);
        let text = String::from_utf8(saved.bytes).expect("text");
        let mut points = 0;
        let mut words = String::new();
        for event in svg::read(&text).expect("SVG") {
            match event {
                svg::parser::Event::Tag("path" | "circle", _, _) => points += 1,
                svg::parser::Event::Text(text) => words += text,
                svg::parser::Event::Error(error) => panic!("{error}"),
                _ => {}
            }
        }
        // At least a curve, or a point for each token.
        assert!(points > if tab == "Curves" { 4 } else { 30 }, "{points} of {text}");
        assert!(words.contains(if tab == "Curves" { "Loss" } else { "PC 1" }), "{words}");
    }
}

#[test]
fn runs_that_are_left_are_listed_and_taken_along() {
    let mut visit = Visit::new(QUICK, [1280.0, 900.0]);
    visit.until("Ready");
    visit.press("▶ Start");
    visit.until("Finished");
    visit.press("▶ Restart");
    visit.until("Finished");
    visit.press("Runs");
    assert!(visit.shows("held-out loss"));
    visit.press("Save as CSV");
    let saved = visit.seen.borrow_mut().saved.pop().expect("a file");
    let text = String::from_utf8(saved.bytes).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(lines[4].starts_with("now,NITP,8,"), "{text}");
    assert!(lines[1].starts_with("1,NTP,8,") && lines[2].starts_with("1,NITP,8,"), "{text}");
    // The link at the end of the line is the experiment.
    let link = lines[2].rsplit(',').next().expect("a link");
    assert_eq!(from_query(link).expect("a link").1.train.steps, 8);
}

#[test]
fn a_narrow_window_has_the_settings_in_a_tab() {
    let mut narrow = Visit::new(QUICK, [360.0, 740.0]);
    narrow.until("Ready");
    narrow.press("Setup");
    assert!(narrow.shows("Learning rate"));
    narrow.press("▶ Start");
    narrow.until("Finished");
    assert!(narrow.shows("Held-out loss"));
    // The table of runs is wider, and has a scroll bar.
    for tab in ["Curves", "Hidden states", "Why it works", "Experts", "Text"] {
        narrow.press(tab);
        narrow.harness.run_steps(20);
        for it in narrow.harness.root().children_recursive() {
            let node = it.accesskit_node();
            // Text that does not fit into a field is clipped.
            if node.role() == Role::TextRun {
                continue;
            }
            let right = node.bounding_box().map_or(0.0, |it| it.x1);
            assert!(right <= 361.0, "{tab}: {:?} {:?}: {right}", node.role(), node.label());
        }
    }
}

#[test]
fn the_tour_sets_real_experiments_up() {
    let mut visit = Visit::new(QUICK, [1280.0, 900.0]);
    visit.until("Ready");
    visit.harness.key_press(Key::T);
    visit.harness.run_steps(3);
    assert!(visit.shows("1 of 5"));
    for place in 2..=5 {
        visit.press("Next");
        assert!(visit.shows(&format!("{place} of 5")));
    }
    visit.press("Set it up and start");
    visit.until("Training");
    assert!(visit.seen.borrow().query.contains("nitp.stop_gradient=false"));
    visit.press("Leave the tour");
    assert!(!visit.shows("5 of 5"));
}

#[test]
fn what_is_wrong_can_be_read_and_put_away() {
    let mut visit = Visit::new("preset=mimi", [1280.0, 900.0]);
    visit.until("Ready");
    assert!(visit.shows("The link can't be followed"));
    visit.press("Close");
    assert!(!visit.shows("The link can't be followed"));
    let short = vec![File { name: "short.txt".to_owned(), bytes: b"one two".to_vec() }];
    visit.seen.borrow_mut().chosen.push((Choice::Text, short));
    visit.harness.run_steps(2);
    visit.press("▶ Start");
    visit.until("Error:");
    assert!(visit.shows("give more text"));
}

/// The file that an entry of the menu saves after a whole experiment.
fn saved_by(entry: &str) -> File {
    let mut visit = Visit::new(QUICK, [1280.0, 900.0]);
    visit.until("Ready");
    visit.press("▶ Start");
    visit.until("Finished");
    visit.press("Save and open");
    visit.press(entry);
    visit.seen.borrow_mut().saved.pop().expect("a file")
}

#[test]
fn a_run_goes_out_as_a_zip_and_comes_back() {
    let zip = saved_by("Save the NITP run for `nitp`…");
    assert_eq!(zip.name, "nitp-step-8.zip");
    let mut other = Visit::new("device=cpu", [1280.0, 900.0]);
    other.until("Ready");
    other.press("Save and open");
    other.press("Open a zip…");
    assert_eq!(other.seen.borrow().asked, [Choice::Zip]);
    other.seen.borrow_mut().chosen.push((Choice::Zip, vec![zip]));
    other.until("Finished");
    assert!(other.harness.state().known.status().contains("Step 8 of 8"));
    // The opened run has a cloud, and the settings are those of the run.
    other.press("Hidden states");
    other.harness.run_steps(10);
    assert!(other.shows("step 8, rank"));
    assert!(!other.shows("The settings differ"));
}

#[test]
fn the_files_of_a_model_can_be_dropped() {
    let zip = saved_by("Save the NITP model for transformers…");
    assert_eq!(zip.name, "nitp-step-8-model.zip");
    let mut files = unzipped(&[Update::File(zip)]);
    // Dropped files come without their folder.
    for file in &mut files {
        file.name = file.name.rsplit('/').next().expect("a name").to_owned();
    }
    let mut other = Visit::new("device=cpu", [1280.0, 900.0]);
    other.until("Ready");
    other.seen.borrow_mut().chosen.push((Choice::Dropped, files));
    other.until("Paused");
    assert!(other.harness.state().known.status().contains("Step 0 of"));
    other.harness.run_steps(10);
    let notices = &other.harness.state().known.notices;
    assert!(notices.iter().any(|it| it.contains("begin from the weights")), "{notices:?}");
}
