//! The engine without a browser: two runs in lock step, saved, restored, exported and opened.

use std::collections::BTreeMap;
use std::io::Read;

use nitp_core::config::Config;
use web::app::from_query;
use web::engine::{Engine, Pumped};
use web::protocol::{
    Command, DeviceWish, Experiment, File, Format, Inspection, Lane, Phase, Text, Update, Writing,
};

const QUICK: &str = "preset=nano&train.steps=12&train.batch_size=2&train.context_length=32\
                     &train.eval_interval=4&train.eval_batches=2&train.geometry_interval=4";

pub fn config(more: &str) -> Config {
    from_query(&format!("{QUICK}{more}")).expect("a valid query").1
}

pub fn experiment(config: &Config) -> Experiment {
    Experiment {
        config: config.to_toml(),
        text: Text::Demo,
        tokenizer: None,
        lanes: Lane::ALL.to_vec(),
    }
}

pub fn prepare(experiment: Experiment) -> Command {
    Command::Prepare { experiment: Box::new(experiment), until: 0 }
}

pub fn import(files: Vec<File>) -> Command {
    Command::Import { files, text: Text::Demo }
}

/// Executes a command and all following work.
pub fn does(engine: &mut Engine, command: Command) -> Vec<Update> {
    pollster::block_on(engine.handle(command));
    let mut told = Vec::new();
    loop {
        let pumped = engine.pump();
        told.extend(engine.updates());
        match pumped {
            Pumped::Idle => return told,
            Pumped::Waiting => engine.wait(),
            Pumped::Worked => {}
        }
    }
}

pub fn open(kept: Option<Vec<u8>>) -> (Engine, Vec<Update>) {
    let mut engine = Engine::new(kept, None);
    let told = does(&mut engine, Command::Open(DeviceWish::Cpu));
    (engine, told)
}

/// Steps and losses of each run.
fn losses(told: &[Update]) -> BTreeMap<Lane, Vec<(usize, f64, f64)>> {
    let mut losses: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for update in told {
        if let Update::Step(lane, it) = update {
            losses.entry(*lane).or_default().push((it.step, it.ntp_loss, it.nitp_loss));
        }
    }
    losses
}

pub fn errors(told: &[Update]) -> Vec<&String> {
    told.iter()
        .filter_map(|it| if let Update::Error(text) = it { Some(text) } else { None })
        .collect()
}

fn whole(config: &Config) -> Vec<Update> {
    let (mut engine, _) = open(None);
    let mut told = does(&mut engine, prepare(experiment(config)));
    told.extend(does(&mut engine, Command::Run(None)));
    assert_eq!(errors(&told), [""; 0]);
    told
}

#[test]
fn both_runs_go_step_by_step_from_the_same_weights() {
    let told = whole(&config(""));
    let losses = losses(&told);
    let [ntp, nitp] = [&losses[&Lane::Ntp], &losses[&Lane::Nitp]];
    assert_eq!(ntp.len(), 12);
    assert_eq!(ntp[0].1, nitp[0].1, "the same weights and batch");
    assert!(ntp.iter().all(|it| it.2 == 0.0) && nitp.iter().all(|it| it.2 > 0.0));
    let mut at = BTreeMap::new();
    for update in &told {
        if let Update::Step(lane, it) = update {
            at.insert(*lane, it.step);
            let steps: Vec<usize> = at.values().copied().collect();
            assert!(steps.len() < 2 || steps[0].abs_diff(steps[1]) <= 1, "{steps:?}");
        }
    }
    let snapshots = |wanted| -> Vec<usize> {
        let of = |it: &Update| match it {
            Update::Snapshot(lane, it) if *lane == wanted => Some(it.geometry.step),
            _ => None,
        };
        told.iter().filter_map(of).collect()
    };
    assert_eq!(snapshots(Lane::Ntp), [0, 4, 8, 12]);
    assert_eq!(snapshots(Lane::Nitp), [0, 4, 8, 12]);
    let last =
        told.iter().rev().find_map(|it| if let Update::Phase(it) = it { Some(*it) } else { None });
    assert_eq!(last, Some(Phase::Finished));
}

#[test]
fn a_kept_session_goes_on_bit_for_bit() {
    let config = config("");
    let expected = losses(&whole(&config));
    let (mut engine, _) = open(None);
    does(&mut engine, prepare(experiment(&config)));
    let told = does(&mut engine, Command::Run(Some(5)));
    let kept = told.iter().rev().find_map(|it| {
        if let Update::Keep { bytes, .. } = it { Some(bytes.clone()) } else { None }
    });
    let (mut engine, told) = open(Some(kept.expect("a pause keeps the runs")));
    assert_eq!(losses(&told)[&Lane::Nitp].len(), 5, "the past is told anew");
    let told = [told, does(&mut engine, Command::Run(None))].concat();
    assert_eq!(losses(&told), expected);
}

#[test]
fn what_is_exported_can_be_opened_and_goes_on() {
    let config = config("");
    let expected = losses(&whole(&config));
    let (mut engine, _) = open(None);
    does(&mut engine, prepare(experiment(&config)));
    does(&mut engine, Command::Run(Some(6)));
    let told = does(&mut engine, Command::Export(Lane::Ntp, Format::Run));
    let file =
        told.iter().find_map(|it| if let Update::File(it) = it { Some(it.clone()) } else { None });
    let file = file.expect("a file");
    assert_eq!(file.name, "ntp-step-6.zip");
    let (mut engine, _) = open(None);
    let told = does(&mut engine, import(vec![file]));
    assert_eq!(errors(&told), [""; 0]);
    let told = [told, does(&mut engine, Command::Run(None))].concat();
    let found = losses(&told);
    assert_eq!(found.get(&Lane::Nitp), None, "it was one run");
    assert_eq!(found[&Lane::Ntp], expected[&Lane::Ntp]);
}

#[test]
fn a_saved_run_is_opened_as_it_was_written_or_not_at_all() {
    let config = config("");
    let (mut engine, _) = open(None);
    does(&mut engine, prepare(experiment(&config)));
    does(&mut engine, Command::Run(Some(2)));
    let told = does(&mut engine, Command::Export(Lane::Ntp, Format::Run));
    let file = told.iter().find_map(|it| if let Update::File(it) = it { Some(it) } else { None });
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(&file.expect("a file").bytes))
        .expect("a whole zip");
    let mut files: Vec<File> = (0..zip.len())
        .map(|index| {
            let mut entry = zip.by_index(index).expect("an entry");
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("it is whole");
            File { name: entry.name().expect("a name").into_owned(), bytes }
        })
        .collect();
    // A folder with missing files is no checkpoint.
    let empty = "ntp-step-2/checkpoints/step-99999999/trainer.json".to_owned();
    files.push(File { name: empty, bytes: b"{}".to_vec() });
    let (mut engine, _) = open(None);
    assert_eq!(errors(&does(&mut engine, import(files.clone()))), [""; 0]);
    for name in ["model.safetensors", "optimizer.safetensors", "trainer.json"] {
        let mut damaged = files.clone();
        let path = format!("step-00000002/{name}");
        let file = damaged.iter_mut().find(|it| it.name.ends_with(&path)).expect("the file");
        let middle = file.bytes.len() / 2;
        file.bytes[middle] ^= 1;
        let (mut engine, _) = open(None);
        let told = does(&mut engine, import(damaged));
        let error = errors(&told).first().map_or("none", |error| error.as_str()).to_owned();
        // Invalid JSON is reported as broken, all other damage as changed after it was written.
        let told = error.contains("written") || error.contains("broken");
        assert!(error.contains(&path) && told, "{error}");
    }
}

#[test]
fn models_write_and_are_looked_into() {
    let config = config("&model.moe.num_experts=4&model.moe.moe_intermediate_size=16");
    let (mut engine, _) = open(None);
    does(&mut engine, prepare(experiment(&config)));
    does(&mut engine, Command::Run(Some(2)));
    let writing = Writing { prompt: "The ".to_owned(), max_tokens: 5, temperature: 0.0, seed: 0 };
    let told = does(&mut engine, Command::Write(writing));
    for lane in Lane::ALL {
        let last = told.iter().rev().find_map(|it| match it {
            Update::Written(of, it) if *of == lane => Some(it),
            _ => None,
        });
        let last = last.expect("it wrote");
        assert!(last.done && !last.text.is_empty());
        assert!(last.next.windows(2).all(|pair| pair[0].1 >= pair[1].1));
    }
    let text = "by the river".to_owned();
    let told =
        does(&mut engine, Command::Inspect(Inspection { text, position: None, curvature: true }));
    for lane in Lane::ALL {
        let seen = told.iter().find_map(|it| match it {
            Update::Inspected(of, it) if *of == lane => Some(it),
            _ => None,
        });
        let seen = seen.expect("it was looked into");
        let n = seen.tokens.len();
        assert_eq!((n, seen.cosines.len()), (12, 144));
        assert_eq!(seen.router_probs.len(), config.model.num_hidden_layers - 1);
        for row in seen.router_probs[0].1.chunks_exact(4) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
        let (_, curvature) = seen.curvature.as_ref().expect("it was wanted");
        assert_eq!(curvature.cross_entropy.len(), config.model.hidden_size);
        assert_eq!(curvature.nitp.is_some(), lane == Lane::Nitp);
    }
}

#[test]
fn what_is_wrong_is_said() {
    let (mut engine, _) = open(None);
    let told = does(&mut engine, Command::Run(None));
    assert!(errors(&told)[0].contains("press Start"));
    let mut short = experiment(&config(""));
    short.text = Text::Own(vec![File { name: "a.txt".to_owned(), bytes: b"one two".to_vec() }]);
    let told = does(&mut engine, prepare(short));
    assert!(errors(&told)[0].contains("give more text"), "{told:?}");
    let binary = vec![File { name: "run.zip".to_owned(), bytes: vec![0; 40] }];
    let told = does(&mut engine, import(binary));
    assert!(errors(&told)[0].contains("zip can't be read"));
    let (_, told) = open(Some(vec![1, 2, 3]));
    assert!(errors(&told)[0].contains("can't be opened"));
    // The engine continues after the errors.
    let told = does(&mut engine, prepare(experiment(&config(""))));
    assert_eq!(errors(&told), [""; 0]);
}

#[test]
fn mixed_precision_is_refused_where_there_are_no_halves() {
    let (mut engine, _) = open(None);
    let told = does(&mut engine, prepare(experiment(&config("&train.precision=mixed"))));
    let words: String = errors(&told).into_iter().map(String::as_str).collect();
    for part in ["train.precision", "shader-f16", "CPU", "\"f32\""] {
        assert!(words.contains(part), "`{part}` is not in {words}");
    }
}

fn phase(told: &[Update]) -> Option<Phase> {
    told.iter().rev().find_map(|it| if let Update::Phase(it) = it { Some(*it) } else { None })
}

fn kept(told: &[Update]) -> (usize, Vec<u8>) {
    let of = |it: &Update| match it {
        Update::Keep { step, bytes } => Some((*step, bytes.clone())),
        _ => None,
    };
    told.iter().rev().find_map(of).expect("the runs are kept")
}

fn clouds(told: &[Update], wanted: Lane) -> Vec<usize> {
    let of = |it: &Update| match it {
        Update::Snapshot(lane, it) if *lane == wanted && !it.positions.is_empty() => {
            Some(it.geometry.step)
        }
        _ => None,
    };
    told.iter().filter_map(of).collect()
}

/// Executes a command and a few pieces of the following work.
fn begins(engine: &mut Engine, command: Command, pieces: usize) -> Vec<Update> {
    pollster::block_on(engine.handle(command));
    for _ in 0..pieces {
        if engine.pump() == Pumped::Waiting {
            engine.wait();
        }
    }
    engine.updates().collect()
}

#[test]
fn a_run_kept_where_its_states_are_measured_goes_on() {
    let config = config("");
    let expected = losses(&whole(&config));
    for (step, then) in [(4, Phase::Paused), (12, Phase::Finished)] {
        let (mut engine, _) = open(None);
        does(&mut engine, prepare(experiment(&config)));
        let told = does(&mut engine, Command::Run(Some(step)));
        let (at, bytes) = kept(&told);
        assert_eq!(at, step);
        let (mut engine, told) = open(Some(bytes));
        assert_eq!(phase(&told), Some(then));
        assert!(told.iter().any(|it| matches!(it, Update::Kept(at) if *at == step)));
        assert!(told.iter().any(|it| matches!(it, Update::Saved(at) if *at == step)));
        let told = [told, does(&mut engine, Command::Run(None))].concat();
        assert_eq!(losses(&told), expected);
        assert_eq!(clouds(&told, Lane::Nitp), [0, 4, 8, 12]);
        assert_eq!(phase(&told), Some(Phase::Finished));
    }
}

#[test]
fn a_pause_in_the_middle_is_a_checkpoint_of_both() {
    for wish in [DeviceWish::Cpu, DeviceWish::Gpu] {
        let mut engine = Engine::new(None, None);
        does(&mut engine, Command::Open(wish));
        does(&mut engine, prepare(experiment(&config("&train.steps=200"))));
        let before = begins(&mut engine, Command::Run(None), 33);
        let told = does(&mut engine, Command::Pause);
        assert_eq!(phase(&told), Some(Phase::Paused), "{wish:?}");
        let (step, _) = kept(&told);
        for (lane, losses) in losses(&[before, told].concat()) {
            assert_eq!(losses.last().map(|it| it.0), Some(step), "{lane:?} {wish:?}");
        }
    }
}

#[test]
fn a_lost_device_costs_no_more_than_the_steps_since_the_last_checkpoint() {
    let config = config("");
    let expected = losses(&whole(&config));
    let mut engine = Engine::new(None, None);
    let told = does(&mut engine, Command::Open(DeviceWish::Gpu));
    assert!(matches!(&told[0], Update::Device(words) if words.contains("Vulkan")), "{told:?}");
    does(&mut engine, prepare(experiment(&config)));
    does(&mut engine, Command::Run(Some(5)));
    begins(&mut engine, Command::Run(None), 6);
    let told = does(&mut engine, Command::LoseDevice);
    assert!(
        told.iter().any(|it| matches!(it, Update::Notice(words) if words.contains("from step 5"))),
        "{told:?}"
    );
    assert!(told.iter().any(|it| matches!(it, Update::Rewound(5))));
    assert_eq!(phase(&told), Some(Phase::Finished));
    let found = losses(&told);
    for lane in Lane::ALL {
        let (last, wanted) = (found[&lane].last().unwrap(), expected[&lane].last().unwrap());
        assert!(last.0 == 12 && (last.1 / wanted.1 - 1.0).abs() < 1e-3, "{last:?} {wanted:?}");
    }
}

#[test]
fn a_device_that_is_lost_while_nothing_trains_is_replaced_when_it_is_needed() {
    let mut engine = Engine::new(None, None);
    does(&mut engine, Command::Open(DeviceWish::Gpu));
    does(&mut engine, prepare(experiment(&config(""))));
    does(&mut engine, Command::Run(None));
    does(&mut engine, Command::LoseDevice);
    let writing = Writing { prompt: "The ".to_owned(), max_tokens: 2, temperature: 0.0, seed: 0 };
    let told = does(&mut engine, Command::Write(writing.clone()));
    assert!(told.iter().any(|it| matches!(it, Update::Notice(words) if words.contains("CPU"))));
    let told = does(&mut engine, Command::Write(writing));
    assert!(told.iter().any(|it| matches!(it, Update::Written(Lane::Nitp, it) if it.done)));
}

#[test]
fn a_run_whose_numbers_broke_stops_and_keeps_what_was_good() {
    let wild = "&train.learning_rate=1e20&train.warmup_steps=3&train.grad_clip=1e30";
    let (mut engine, _) = open(None);
    let told = does(&mut engine, prepare(experiment(&config(wild))));
    assert_eq!(errors(&told), [""; 0]);
    let told = does(&mut engine, Command::Run(None));
    assert!(errors(&told)[0].contains("diverged"), "{told:?}");
    assert_eq!(phase(&told), Some(Phase::Finished));
    let told = does(&mut engine, Command::Run(None));
    assert!(
        !told.iter().any(|it| matches!(it, Update::Step(..) | Update::Keep { .. })),
        "{told:?}"
    );
}

#[test]
fn own_texts_come_back_in_their_order_with_names_that_are_the_same() {
    let text =
        |words: &str| File { name: "a.txt".to_owned(), bytes: words.repeat(90).into_bytes() };
    let mut own = experiment(&config(""));
    own.text = Text::Own(vec![text("the sun went down \n"), text("a boat came in \n")]);
    let (mut engine, _) = open(None);
    does(&mut engine, prepare(own.clone()));
    let told = does(&mut engine, Command::Run(Some(3)));
    let (_, bytes) = kept(&told);
    let (_, told) = open(Some(bytes));
    assert_eq!((errors(&told), phase(&told)), (vec![], Some(Phase::Paused)));
    let told = does(&mut engine, Command::Export(Lane::Nitp, Format::Run));
    let file =
        told.iter().find_map(|it| if let Update::File(it) = it { Some(it.clone()) } else { None });
    let (mut other, _) = open(None);
    let told = does(&mut other, import(vec![file.expect("a file")]));
    assert_eq!(errors(&told), [""; 0]);
    // Its text is also available for the next start.
    let mut next = experiment(&config("&train.seed=3"));
    next.text = Text::Same;
    let told = does(&mut other, prepare(next));
    assert!(
        told.iter().any(|it| matches!(it, Update::Prepared(it) if it.text == "a.txt, a.txt")),
        "{told:?}"
    );
}

/// The files in the zip that was saved.
pub fn unzipped(told: &[Update]) -> Vec<File> {
    let zip =
        told.iter().find_map(|it| if let Update::File(it) = it { Some(&it.bytes) } else { None });
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip.expect("a file"))).expect("a zip");
    let count = zip.len();
    let file = |index: usize| {
        let mut file = zip.by_index(index).expect("a file");
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("its bytes");
        File { name: file.name().expect("a name").into_owned(), bytes }
    };
    (0..count).map(file).collect()
}

/// The text that a run writes without chance.
fn greedy(engine: &mut Engine, lane: Lane) -> String {
    let prompt = "The old gardener".to_owned();
    let wanted = Writing { prompt, max_tokens: 20, temperature: 0.0, seed: 0 };
    let told = does(engine, Command::Write(wanted));
    assert_eq!(errors(&told), [""; 0]);
    let written = told.into_iter().rev().find_map(|it| match it {
        Update::Written(of, written) if of == lane => Some(written.text),
        _ => None,
    });
    written.expect("a text")
}

#[test]
fn a_saved_model_opens_as_two_runs_from_its_weights() {
    for more in ["", "&model.moe.num_experts=4&model.moe.num_experts_per_tok=2"] {
        let (mut engine, _) = open(None);
        does(&mut engine, prepare(experiment(&config(more))));
        does(&mut engine, Command::Run(None));
        let expected = greedy(&mut engine, Lane::Nitp);
        let files = unzipped(&does(&mut engine, Command::Export(Lane::Nitp, Format::Model)));
        let names: Vec<&str> =
            files.iter().map(|it| it.name.rsplit('/').next().expect("a name")).collect();
        for name in ["config.json", "model.safetensors", "tokenizer.json", "README.md"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.contains(&"config.toml"), "{names:?}");

        let (mut other, _) = open(None);
        let told = does(&mut other, import(files.clone()));
        assert_eq!(errors(&told), [""; 0]);
        assert_eq!(phase(&told), Some(Phase::Paused));
        assert!(
            told.iter().any(|it| matches!(it, Update::Notice(text) if text.contains("weights")))
        );
        for lane in Lane::ALL {
            assert_eq!(greedy(&mut other, lane), expected, "{lane:?}");
        }
        let told = does(&mut other, Command::Run(Some(2)));
        let of = losses(&told);
        // Both saw the same batch with the same weights; only one of them has NITP.
        let [ntp, nitp] = [of[&Lane::Ntp][0], of[&Lane::Nitp][0]];
        assert_eq!((ntp.1, ntp.2), (nitp.1, 0.0));
        assert!(nitp.2 > 0.0);
        // It stays for the next visit, and is a run from now on.
        let (_, bytes) = kept(&told);
        let (mut again, told) = open(Some(bytes));
        assert_eq!((errors(&told), phase(&told)), (vec![], Some(Phase::Paused)));
        let told = does(&mut again, Command::Export(Lane::Ntp, Format::Run));
        assert!(unzipped(&told).iter().any(|it| it.name.ends_with("config.toml")));

        for (name, part) in [
            ("model.safetensors", "model.safetensors"),
            ("tokenizer.json", "the model's tokenizer.json is missing"),
        ] {
            let mut damaged = files.clone();
            damaged.retain(|it| !it.name.ends_with(name));
            let told = does(&mut other, import(damaged));
            assert!(errors(&told).iter().any(|it| it.contains(part)), "{told:?}");
        }
    }
}

#[test]
fn a_run_of_the_program_has_a_cloud_at_once() {
    let (mut engine, _) = open(None);
    does(&mut engine, prepare(experiment(&config(""))));
    does(&mut engine, Command::Run(None));
    let told = does(&mut engine, Command::Export(Lane::Nitp, Format::Run));
    let mut files = Vec::new();
    for File { name, bytes } in unzipped(&told) {
        // The program does not log clouds; macOS adds a folder to zips.
        if !name.ends_with("snapshots.json") {
            files.push(File { name: format!("__MACOSX/{name}"), bytes: vec![0] });
            files.push(File { name, bytes });
        }
    }
    let (mut other, _) = open(None);
    let told = does(&mut other, import(files));
    assert_eq!(errors(&told), [""; 0]);
    assert_eq!(phase(&told), Some(Phase::Finished));
    assert_eq!(clouds(&told, Lane::Nitp), [12]);
}
