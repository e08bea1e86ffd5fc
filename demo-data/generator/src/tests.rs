//! The committed demo data is what its seed gives, and keeps what its README promises.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::read_to_string;

use super::corpus::{self, Record};
use super::moods::MOODS;
use super::people::PEOPLE;
use super::places::{PLACES, WEATHER};
use super::scene::TOPICS;
use super::tasks::Item;
use super::{DemoData, VOCAB_SIZE, folder, plots, senses, statistics};

/// No generated file in the repository may be larger.
const MAX_FILE_BYTES: usize = 1_048_576;

/// Nor a task.
const MAX_TASK_BYTES: usize = 200_000;

fn committed(name: &str) -> String {
    let path = folder().join(name);
    read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn records() -> Vec<Record> {
    let corpus = committed("corpus.jsonl");
    let lines = corpus.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("every line is a record")
}

#[test]
fn the_committed_files_are_what_the_seed_gives() {
    let data = DemoData::generate(corpus::SEED).unwrap();
    let advice = "differs from what the generator writes: run `cargo xtask demo-data`";
    assert!(data.corpus == committed("corpus.jsonl"), "corpus.jsonl {advice}");
    assert!(data.tokenizer == committed("tokenizer.json"), "tokenizer.json {advice}");
    for task in &data.tasks {
        let (name, text) = (format!("tasks/{}.jsonl", task.name), task.to_jsonl().unwrap());
        assert!(text == committed(&name), "{name} {advice}");
        assert!(text.len() < MAX_TASK_BYTES, "{name} has {} bytes", text.len());
    }
    let readme = committed("README.md");
    let renewed = statistics::replace_section(&readme, &data.statistics).unwrap();
    assert!(renewed == readme, "README.md {advice}");
    assert!((1_000_000..=MAX_FILE_BYTES).contains(&data.corpus.len()));
    assert!(data.tokenizer.len() <= MAX_FILE_BYTES);
}

#[test]
fn another_seed_gives_another_corpus() {
    let other = corpus::generate(corpus::SEED + 1).unwrap();
    assert_ne!(other, records());
}

#[test]
fn every_label_value_is_known_and_common() {
    let records = records();
    let check = |name: &str, label: fn(&Record) -> &str, known: Vec<&str>, least: usize| {
        let mut counts: BTreeMap<&str, usize> = known.into_iter().map(|id| (id, 0)).collect();
        for record in &records {
            let count = counts.get_mut(label(record));
            *count.unwrap_or_else(|| panic!("{name} {} is unknown", label(record))) += 1;
        }
        for (id, count) in counts {
            assert!(count >= least, "{name} {id} has only {count} scenes");
        }
    };
    check("topic", |r| &r.topic, TOPICS.to_vec(), 80);
    check("mood", |r| &r.mood, MOODS.iter().map(|m| m.id).collect(), 120);
    check("speaker", |r| &r.speaker, PEOPLE.iter().map(|p| p.id).collect(), 80);
    check("place", |r| &r.place, PLACES.iter().map(|p| p.id).collect(), 40);
    check("season", |r| &r.season, vec!["spring", "summer", "autumn", "winter"], 100);
    check("weather", |r| &r.weather, WEATHER.iter().map(|w| w.id).collect(), 100);
}

#[test]
fn no_single_word_gives_a_label_away() {
    // The best one-word rule "the text has the word, so the label is the one it usually has" must leave many scenes of the
    // label unexplained: a probe has to put several cues together.
    let records = records();
    type Label = (&'static str, fn(&Record) -> &str);
    let labels: [Label; 4] = [
        ("topic", |r| &r.topic),
        ("mood", |r| &r.mood),
        ("speaker", |r| &r.speaker),
        ("place", |r| &r.place),
    ];
    for (name, label) in labels {
        let mut with: BTreeMap<(String, &str), usize> = BTreeMap::new();
        let mut of_label: BTreeMap<&str, usize> = BTreeMap::new();
        let mut of_word: BTreeMap<String, usize> = BTreeMap::new();
        for record in &records {
            *of_label.entry(label(record)).or_default() += 1;
            for word in words(&record.text) {
                *with.entry((word.clone(), label(record))).or_default() += 1;
                *of_word.entry(word).or_default() += 1;
            }
        }
        for ((word, value), both) in with {
            let recall = both as f64 / of_label[value] as f64;
            let precision = both as f64 / of_word[&word] as f64;
            assert!(
                recall < 0.95 || precision < 0.95,
                "the word {word:?} alone gives {name} {value} away: precision {precision:.2}, recall {recall:.2}"
            );
        }
    }
}

fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect()
}

#[test]
fn every_ambiguous_word_is_labelled_where_it_stands() {
    let records = records();
    let mut senses: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for sense in records.iter().flat_map(|record| &record.senses) {
        *senses.entry(&sense.word).or_default().entry(&sense.sense).or_default() += 1;
    }
    for (word, meanings) in &senses {
        assert_eq!(meanings.len(), 2, "{word} should have two meanings: {meanings:?}");
        assert!(meanings.values().all(|&n| n >= 8), "{word} is too rare: {meanings:?}");
    }
    assert_eq!(senses.len(), 16);
    for record in &records {
        for sense in &record.senses {
            let found = &record.text[sense.start..sense.start + sense.word.len()];
            assert_eq!(found.to_ascii_lowercase(), sense.word, "{}", record.text);
        }
        let labelled: Vec<usize> = record.senses.iter().map(|sense| sense.start).collect();
        let mut start = 0;
        for word in record.text.split(|c: char| !c.is_ascii_alphabetic()) {
            let ambiguous = senses.contains_key(word.to_ascii_lowercase().as_str());
            assert!(
                !ambiguous || labelled.contains(&start),
                "{word} at byte {start} has no sense: {}",
                record.text
            );
            start += word.len() + 1;
        }
    }
}

#[test]
fn paraphrases_share_their_facts_and_not_their_words() {
    let records = records();
    let mut pairs: BTreeMap<usize, Vec<&Record>> = BTreeMap::new();
    for record in &records {
        if let Some(pair) = record.pair {
            pairs.entry(pair).or_default().push(record);
        }
    }
    assert!(pairs.len() >= 100, "only {} pairs", pairs.len());
    for (pair, members) in pairs {
        let [a, b] = members[..] else {
            panic!("pair {pair} has {} members", members.len());
        };
        let facts = |r: &Record| {
            [&r.topic, &r.mood, &r.speaker, &r.place, &r.season, &r.weather].map(Clone::clone)
        };
        assert_eq!(facts(a), facts(b), "pair {pair}");
        let overlap = corpus::overlap(&a.text, &b.text);
        assert!(overlap < 0.5, "pair {pair} shares {overlap:.2} of its bigrams");
    }
}

#[test]
fn texts_are_distinct_and_clean() {
    let records = records();
    let texts: BTreeSet<&str> = records.iter().map(|record| record.text.as_str()).collect();
    assert_eq!(texts.len(), records.len(), "a text comes twice");
    for text in texts {
        assert!(text.is_ascii(), "{text}");
        let slips =
            ["  ", "..", ",,", " ,", " .", ".,", "?,", "!,", ",.", " a a", " an b", " the the "];
        for slip in slips {
            assert!(!text.contains(slip), "{slip:?} in: {text}");
        }
        assert!(!text.contains(|c: char| "[]{}<>|%^".contains(c) || c.is_control()), "{text}");
        assert!(text.matches('"').count().is_multiple_of(2), "{text}");
        assert!(
            text.starts_with(|c: char| c.is_uppercase()) && text.ends_with(['.', '?', '!', '"']),
            "{text}"
        );
        for sentence in text.split(". ").skip(1) {
            assert!(!sentence.starts_with(|c: char| c.is_lowercase()), "{sentence:?} in: {text}");
        }
    }
}

#[test]
fn the_tokenizer_fits_its_size_and_gives_the_text_back() {
    let tokenizer: tokenizers::Tokenizer = committed("tokenizer.json").parse().unwrap();
    assert_eq!(tokenizer.get_vocab_size(true), VOCAB_SIZE);
    let end = tokenizer.token_to_id("<|endoftext|>").expect("it has <|endoftext|>");
    assert!((end as usize) < VOCAB_SIZE);
    for record in records().iter().take(50) {
        let encoding = tokenizer.encode(record.text.as_str(), false).unwrap();
        assert_eq!(tokenizer.decode(encoding.get_ids(), false).unwrap(), record.text);
    }
}

/// The committed tasks by name.
fn tasks() -> Vec<(&'static str, Vec<Item>)> {
    let items = |name: &str| {
        let text = committed(&format!("tasks/{name}.jsonl"));
        text.lines().map(|line| serde_json::from_str(line).expect("an item")).collect()
    };
    ["who", "where", "what_next", "agreement", "sense"].map(|name| (name, items(name))).into()
}

#[test]
fn tasks_are_of_scenes_that_the_corpus_does_not_have() {
    let corpus: Vec<String> = records().into_iter().map(|record| record.text).collect();
    for (name, items) in tasks() {
        let questions: BTreeSet<&str> = items.iter().map(|it| it.question.as_str()).collect();
        assert_eq!(questions.len(), items.len(), "{name} asks something twice");
        for item in &items {
            // The last two words of a question of sense are no part of its scene.
            let mut passage = item.question.as_str();
            for _ in 0..if name == "sense" { 2 } else { 0 } {
                passage = passage.rsplit_once(' ').expect("words").0;
            }
            assert!(!corpus.iter().any(|text| text.contains(passage)), "{name}: {passage}");
        }
    }
}

#[test]
fn nothing_about_a_choice_alone_tells_the_answer() {
    for (name, items) in tasks() {
        assert_eq!(items.len(), 200, "{name}");
        let choices = items[0].choices.len();
        let mut places = vec![0; choices];
        // How often each text, and each rank by length, is a choice and the answer.
        let mut texts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
        let mut ranks: BTreeMap<usize, f64> = BTreeMap::new();
        for item in &items {
            assert_eq!(item.choices.len(), choices, "{name}");
            assert_eq!(
                item.choices.iter().collect::<BTreeSet<_>>().len(),
                choices,
                "{name}: {item:?}"
            );
            places[item.answer] += 1;
            for (place, choice) in item.choices.iter().enumerate() {
                let [asked, right] = texts.entry(choice).or_default();
                *asked += 1;
                *right += usize::from(place == item.answer);
            }
            let length = item.choices[item.answer].len();
            let shorter = item.choices.iter().filter(|it| it.len() < length).count();
            let same = item.choices.iter().filter(|it| it.len() == length).count();
            for rank in shorter..shorter + same {
                *ranks.entry(rank).or_default() += 1.0 / same as f64;
            }
        }
        assert!(places.iter().all(|&it| it * choices == items.len()), "{name}: {places:?}");
        for (text, [asked, right]) in texts {
            assert_eq!(asked, choices * right, "{name}: {text}");
        }
        for (rank, right) in ranks {
            let share = right / items.len() as f64 - 1.0 / choices as f64;
            assert!(share.abs() < 1e-9, "{name}: rank {rank} by length is off by {share}");
        }
    }
}

#[test]
fn tasks_fit_into_small_contexts() {
    let tokenizer: tokenizers::Tokenizer = committed("tokenizer.json").parse().unwrap();
    for (name, items) in tasks() {
        for item in &items {
            for choice in &item.choices {
                let text = format!("{} {choice}", item.question);
                let tokens = tokenizer.encode(text.as_str(), false).unwrap().len();
                // That of tiny is 128; the last token is not read. That of nano is 64 bytes.
                assert!(tokens <= 129, "{name}: {tokens} tokens in {text}");
                assert!(choice.len() < 64, "{name}: {choice}");
            }
        }
    }
}

#[test]
fn plots_and_senses_name_only_what_exists() {
    let places: BTreeSet<&str> = PLACES.iter().map(|place| place.id).collect();
    let people: BTreeSet<&str> = PEOPLE.iter().map(|person| person.id).collect();
    let moods: BTreeSet<&str> = MOODS.iter().map(|mood| mood.id).collect();
    for plot in plots::all() {
        assert!(TOPICS.contains(&plot.topic), "{}", plot.topic);
        assert!(plot.heroes.iter().all(|id| people.contains(id)), "{:?}", plot.heroes);
        assert!(plot.places.iter().all(|id| places.contains(id)), "{:?}", plot.places);
        assert!(plot.endings.iter().all(|(id, _)| moods.contains(id)), "{}", plot.topic);
    }
    for sense in senses::SENSES {
        assert!(sense.places.iter().all(|id| places.contains(id)), "{:?}", sense.places);
    }
}

#[test]
fn the_example_configs_load_and_fit_their_names() {
    use nitp_core::config::{Config, load, preset};
    let config = |name: &str| -> Config {
        let text = committed(&format!("configs/{name}.toml"));
        load(Config::default(), Some((name, &text)), &[]).unwrap_or_else(|error| panic!("{error}"))
    };
    for name in ["tiny", "tiny-moe"] {
        assert_eq!(config(name), preset(name).unwrap(), "{name}");
    }
    let [ntp, nitp, moe] = ["shakespeare-ntp", "shakespeare-nitp", "shakespeare-moe"].map(config);
    for config in [&ntp, &nitp, &moe] {
        assert_eq!((config.model.num_hidden_layers, config.model.hidden_size), (4, 128));
        assert_eq!((config.train.batch_size, config.train.context_length), (12, 64));
        assert_eq!((config.train.steps, config.data.tokenizer.as_str()), (2000, "byte"));
    }
    assert!(!ntp.nitp.enabled && nitp.nitp.enabled && moe.nitp.enabled);
    assert_eq!(ntp.model, nitp.model, "the two differ in the objective alone");
    let mixture = moe.model.moe.expect("it is a mixture");
    let active = mixture.num_experts_per_tok * mixture.moe_intermediate_size
        + mixture.shared_expert_intermediate_size;
    assert_eq!(active, nitp.model.intermediate_size, "as many active weights as the dense model");
}

#[test]
fn the_scenes_quoted_in_the_readme_are_in_the_corpus() {
    let readme = committed("README.md");
    let quoted: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("> ")).collect();
    assert_eq!(quoted.len(), 2);
    let records = records();
    for scene in quoted {
        assert!(records.iter().any(|record| record.text == scene), "no such scene: {scene}");
    }
}
