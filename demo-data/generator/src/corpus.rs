//! The corpus: scenes with labels, paraphrase pairs among them, as JSON lines of a fixed total size.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::polish::Sense;
use super::scene::{Plan, Tally};
use super::template::chance;

/// The seed of the committed corpus.
pub const SEED: u64 = 260_524_956;

/// The corpus ends with the last scene that fits.
const MAX_BYTES: usize = 1_030_000;

/// Of a hundred plans, how many are told twice.
const PAIRS_PERCENT: u32 = 15;

/// Tellings of a plan among which its paraphrase is sought.
const PARAPHRASE_TRIES: usize = 24;

/// One line of the corpus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub text: String,
    pub topic: String,
    pub mood: String,
    pub speaker: String,
    pub place: String,
    pub season: String,
    pub weather: String,
    /// Two records with the same number tell the same scene in other words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub senses: Vec<Sense>,
}

impl Record {
    fn new(plan: &Plan, (text, senses): (String, Vec<Sense>), pair: Option<usize>) -> Self {
        Self {
            text,
            topic: plan.topic.to_owned(),
            mood: plan.mood.id.to_owned(),
            speaker: plan.hero.id.to_owned(),
            place: plan.place.id.to_owned(),
            season: plan.season.to_owned(),
            weather: plan.weather.id.to_owned(),
            pair,
            senses,
        }
    }
}

/// The records that a seed gives, in their final order.
pub fn generate(seed: u64) -> Result<Vec<Record>> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let tally = Tally::default();
    let mut records: Vec<Record> = Vec::new();
    let mut told = BTreeSet::new();
    let (mut bytes, mut pairs) = (0, 0);
    loop {
        let plan = Plan::new(rng, &tally);
        if !told.insert(plan.draft.clone()) {
            continue;
        }
        let first = plan.tell(rng);
        let paraphrase = chance(rng, PAIRS_PERCENT).then(|| {
            (0..PARAPHRASE_TRIES)
                .map(|_| plan.tell(rng))
                .min_by(|(a, _), (b, _)| overlap(&first.0, a).total_cmp(&overlap(&first.0, b)))
                .expect("there is at least one try")
        });
        let pair = paraphrase.is_some().then_some(pairs);
        pairs += usize::from(pair.is_some());
        let tellings: Vec<Record> = [Some(first), paraphrase]
            .into_iter()
            .flatten()
            .map(|telling| Record::new(&plan, telling, pair))
            .collect();
        bytes += to_jsonl(&tellings)?.len();
        if bytes > MAX_BYTES {
            break;
        }
        records.extend(tellings);
    }
    records.shuffle(rng);
    Ok(records)
}

/// One JSON object a line.
pub fn to_jsonl(records: &[Record]) -> Result<String> {
    let lines: Result<Vec<String>, _> = records.iter().map(serde_json::to_string).collect();
    Ok(lines.context("a record is plain data")?.join("\n") + "\n")
}

/// The share of pairs of neighbouring words that two texts have in common (Jaccard), from 0 to 1.
pub fn overlap(a: &str, b: &str) -> f64 {
    let bigrams = |text: &str| -> BTreeSet<(String, String)> {
        let words: Vec<&str> = text.split_whitespace().collect();
        words.windows(2).map(|w| (w[0].to_owned(), w[1].to_owned())).collect()
    };
    let (a, b) = (bigrams(a), bigrams(b));
    a.intersection(&b).count() as f64 / a.union(&b).count().max(1) as f64
}
