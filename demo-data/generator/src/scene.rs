//! One scene: its facts are planned once, and can then be told in other words again and again.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::mentions::name;
use super::moods::{MOODS, Mood};
use super::people::{PEOPLE, Person};
use super::places::{PLACES, Place, WEATHER, Weather};
use super::plots::{self, Plot};
use super::polish::{Sense, polish};
use super::senses::SENSES;
use super::template::{Settler, chance, pick, word};
use super::voice::speak;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

pub const TOPICS: &[&str] = &[
    "fishing", "storm", "craft", "trade", "learning", "illness", "music", "cooking", "garden",
    "lost",
];
const TIMES: &[&str] = &["morning", "afternoon", "evening"];

const OPENING: &str = "[{says}. {H} was {at}, {doing}.|{H} was {doing} {at}, while {clause}.|One {season} {time}, \
    while {clause}, {H} was {at}, {doing}.|It was a {adjective} {time} in {season}, and {H} was {doing} {at}.|{H}, {doing} {at} \
    that {season} {time}, hardly noticed that {clause}.]";

const ARRIVE: &str = "[{O} came along.|Then {O} came by.|{O} came over.|Just then {O} arrived.|Along came {O}.|{O} turned up.]";

const PRESENT: &str =
    "[{O} was there as well.|{O} had come too.|{O} stood nearby.|Next to {him} was {O}.]";

/// How often each label was used: of two random candidates the rarer one is taken, which evens the labels out.
#[derive(Default)]
pub struct Tally(RefCell<BTreeMap<&'static str, usize>>);

impl Tally {
    fn pick<'a, T>(
        &self,
        rng: &mut ChaCha8Rng,
        items: &'a [T],
        id: impl Fn(&T) -> &'static str,
    ) -> &'a T {
        let mut counts = self.0.borrow_mut();
        let candidates = [pick(rng, items), pick(rng, items)];
        let rarer = candidates
            .into_iter()
            .min_by_key(|item| counts.get(id(item)).copied().unwrap_or(0))
            .expect("there are two");
        *counts.entry(id(rarer)).or_default() += 1;
        rarer
    }
}

/// The two people of a scene and the hero's mood.
pub struct Cast<'a> {
    pub hero: &'a Person,
    pub other: &'a Person,
    pub mood: &'a Mood,
}

/// What happens in a scene, without its wording.
pub struct Plan {
    pub topic: &'static str,
    pub season: &'static str,
    pub hero: &'static Person,
    pub place: &'static Place,
    pub weather: &'static Weather,
    pub mood: &'static Mood,
    pub other: &'static Person,
    /// Whether a habit tells who the hero is, so that the name is not needed.
    known_by_habit: bool,
    /// In the language of `template`, with its facts settled.
    pub draft: String,
}

/// Those of `all` whose ids are in `ids`; all of them if there are no ids.
fn among<T>(all: &'static [T], ids: &[&str], id: impl Fn(&T) -> &str) -> Vec<&'static T> {
    all.iter().filter(|item| ids.is_empty() || ids.contains(&id(item))).collect()
}

impl Plan {
    pub fn new(rng: &mut ChaCha8Rng, tally: &Tally) -> Self {
        let topic = *tally.pick(rng, TOPICS, |topic| topic);
        let plots: Vec<&Plot> = plots::all().filter(|plot| plot.topic == topic).collect();
        let plot = *pick(rng, &plots);
        let (mood, endings) = *tally.pick(rng, plot.endings, |(mood, _)| mood);
        let mood = MOODS.iter().find(|m| m.id == mood);
        let hero = *tally.pick(rng, &among(PEOPLE, plot.heroes, |p| p.id), |p| p.id);
        let place = *tally.pick(rng, &among(PLACES, plot.places, |p| p.id), |p| p.id);
        let others: Vec<&Person> = PEOPLE.iter().filter(|p| p.id != hero.id).collect();
        let mut other = *pick(rng, &others);
        // A second draw where both are of one sex: pronouns tell the two apart more often then.
        if other.female == hero.female {
            other = *pick(rng, &others);
        }
        // No fruit in the snow, and no storm out of a blue sky.
        let (weathers, no_season): (&[&str], _) = match topic {
            "storm" => (&["rain", "wind"], ""),
            "garden" => (&["sun", "rain", "fog", "wind"], "winter"),
            _ => (&[], ""),
        };
        let weather = *tally.pick(rng, &among(WEATHER, weathers, |w| w.id), |w| w.id);
        let seasons = weather.seasons.iter().copied();
        let seasons: Vec<&str> = seasons.filter(|season| *season != no_season).collect();
        let mut plan = Self {
            topic,
            season: *pick(rng, &seasons),
            hero,
            place,
            weather,
            mood: mood.expect("plots name moods that exist"),
            other,
            known_by_habit: false,
            draft: String::new(),
        };
        let beats = plan.beats(rng, tally, plot, endings);
        let slots = plan.slots(rng, plot);
        plan.draft = Settler::new(&slots, rng).settle(&beats.join(" "));
        plan
    }

    /// Tells the scene: the text and the senses of its ambiguous words.
    pub fn tell(&self, rng: &mut ChaCha8Rng) -> (String, Vec<Sense>) {
        let cast = Cast { hero: self.hero, other: self.other, mood: self.mood };
        let spoken = speak(&word(&self.draft, rng), &cast, rng);
        polish(&name(&spoken, &cast, self.known_by_habit, rng))
    }

    /// The sentences of the scene in their order, not yet settled.
    fn beats(
        &mut self,
        rng: &mut ChaCha8Rng,
        tally: &Tally,
        plot: &Plot,
        endings: &[&str],
    ) -> Vec<String> {
        let setup = *pick(rng, plot.setups);
        // Middles are written in the order in which they can follow one another.
        let mut middles: Vec<usize> = (0..plot.middles.len()).collect();
        middles.shuffle(rng);
        middles.truncate(if chance(rng, 55) { 2 } else { 1 });
        middles.sort_unstable();
        let mut middles = middles.into_iter().map(|middle| plot.middles[middle]);

        let (mut early, late) = self.asides(rng, tally);
        let detail = chance(rng, 45).then(|| *pick(rng, self.place.details));
        let mut opening = vec![OPENING];
        opening.extend(detail);
        if chance(rng, 35) {
            opening.reverse();
        }
        // Some asides go before the set-up, so that scenes don't all begin alike.
        let first_asides = usize::from(chance(rng, 60)) + usize::from(chance(rng, 30));
        let after_setup = early.split_off(first_asides.min(early.len()));

        let first = middles.next().expect("plots have middles");
        // Whoever speaks has to come in first, but only once.
        let introduced = setup.contains("{O}");
        let (entrance, first) = match first.strip_prefix("{arrive}") {
            Some(first) if introduced => ("", first),
            Some(first) => ("{arrive}", first),
            None if introduced => ("", first),
            None => (PRESENT, first),
        };
        let second = middles.next().map(|m| m.trim_start_matches("{arrive}"));

        let mut beats = opening;
        beats.extend(early);
        beats.push(setup);
        beats.extend(after_setup);
        beats.extend([entrance, first]);
        beats.extend(late);
        beats.extend(second);
        beats.push(*pick(rng, endings));
        beats.extend(chance(rng, 75).then(|| *pick(rng, self.mood.closers)));
        beats.into_iter().map(str::to_owned).collect()
    }

    /// What stands beside the plot: the weather's doings, a sign of the mood, a habit, ambiguous words. The second list speaks of
    /// the other person and has to wait for the entrance.
    fn asides(
        &mut self,
        rng: &mut ChaCha8Rng,
        tally: &Tally,
    ) -> (Vec<&'static str>, Vec<&'static str>) {
        let effects = match self.place.indoors {
            true => self.weather.indoors,
            false => self.weather.outdoors,
        };
        let mut early: Vec<&str> = Vec::new();
        let mut late: Vec<&str> = Vec::new();
        early.extend(chance(rng, 40).then(|| *pick(rng, effects)));
        early.extend(chance(rng, 40).then(|| *pick(rng, self.mood.signs)));
        self.known_by_habit = chance(rng, 50);
        if self.known_by_habit {
            early.push(*pick(rng, self.hero.habits));
        }
        let mut fitting: Vec<usize> = (0..SENSES.len())
            .filter(|&sense| {
                let places = SENSES[sense].places;
                places.contains(&self.place.id) || (places.is_empty() && chance(rng, 30))
            })
            .collect();
        for _ in 0..2 {
            if !fitting.is_empty() && chance(rng, 52) {
                let sense = *tally.pick(rng, &fitting, |&s| SENSES[s].sentences[0]);
                fitting.retain(|&s| s != sense);
                let sentence = *pick(rng, SENSES[sense].sentences);
                match sentence.contains("{O}") || chance(rng, 50) {
                    true => late.push(sentence),
                    false => early.push(sentence),
                }
            }
        }
        (early, late)
    }

    fn slots(&self, rng: &mut ChaCha8Rng, plot: &Plot) -> BTreeMap<&'static str, String> {
        let (he, his, him) = pronouns(self.hero);
        let (ohe, ohis) = match self.other.female == self.hero.female {
            true => ("{O}", "{O}'s"),
            false => (pronouns(self.other).0, pronouns(self.other).1),
        };
        let himself = if self.hero.female { "herself" } else { "himself" };
        let season = match self.season {
            "spring" => "spring^season",
            season => season,
        };
        let values = [
            ("arrive", ARRIVE),
            ("says", self.weather.says),
            ("clause", self.weather.clause),
            ("adjective", self.weather.adjective),
            ("time", *pick(rng, TIMES)),
            ("season", season),
            ("at", self.place.at),
            ("doing", *pick(rng, self.place.doing)),
            ("spot", *pick(rng, self.place.spots)),
            ("thing", *pick(rng, plot.things)),
            ("he", he),
            ("his", his),
            ("him", him),
            ("himself", himself),
            ("ohe", ohe),
            ("ohis", ohis),
        ];
        values.map(|(name, value)| (name, value.to_owned())).into()
    }
}

fn pronouns(person: &Person) -> (&'static str, &'static str, &'static str) {
    if person.female { ("she", "her", "her") } else { ("he", "his", "him") }
}
