//! The little language that the scenes are written in.
//!
//! - `%[a|b]` a choice of facts: what happens. Settled first, so both members of a paraphrase pair share it.
//! - `[a|b]` a choice of wording: how it is said. May hold further choices.
//! - `{slot}` what the scene fills in; its value may hold choices too.
//! - `{H}` and `{O}` mention the hero and the other person, `<H: ...>` and `<O: ...>` are speech; see `voice`.
//! - `word^sense` is a word with two meanings and the one meant here; see `polish`.

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// One item, with a draw that does not depend on the width of `usize`.
pub fn pick<'a, T>(rng: &mut ChaCha8Rng, items: &'a [T]) -> &'a T {
    &items[rng.random_range(0..items.len() as u32) as usize]
}

/// True in `percent` of a hundred draws.
pub fn chance(rng: &mut ChaCha8Rng, percent: u32) -> bool {
    rng.random_range(0..100u32) < percent
}

/// Fills the slots and settles the facts of one scene; choices of wording and the mentions `{H}` and `{O}` stay.
pub struct Settler<'a> {
    slots: &'a BTreeMap<&'static str, String>,
    rng: &'a mut ChaCha8Rng,
    /// A choice of facts that is written twice, as in two wordings of a sentence, is made once.
    made: BTreeMap<String, String>,
}

impl<'a> Settler<'a> {
    pub fn new(slots: &'a BTreeMap<&'static str, String>, rng: &'a mut ChaCha8Rng) -> Self {
        Self { slots, rng, made: BTreeMap::new() }
    }

    pub fn settle(&mut self, template: &str) -> String {
        let mut settled = String::new();
        let mut rest = template;
        while let Some(at) = rest.find(['%', '[', '{']) {
            settled.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(body) = rest.strip_prefix('{') {
                let (name, after) = body.split_once('}').expect("a slot is closed");
                settled.push_str(&self.fill(name));
                rest = after;
            } else if let Some(body) = rest.strip_prefix("%[") {
                let (options, after) = split_options(body);
                let key = &body[..body.len() - after.len()];
                if !self.made.contains_key(key) {
                    let fact = self.settle_one(&options);
                    self.made.insert(key.to_owned(), fact);
                }
                settled.push_str(&self.made[key]);
                rest = after;
            } else {
                let body = rest.strip_prefix('[').expect("% stands only before [");
                let (options, after) = split_options(body);
                let options: Vec<String> = options.iter().map(|o| self.settle(o)).collect();
                settled.push_str(&format!("[{}]", options.join("|")));
                rest = after;
            }
        }
        settled + rest
    }

    fn settle_one(&mut self, options: &[&str]) -> String {
        let option = *pick(self.rng, options);
        self.settle(option)
    }

    fn fill(&mut self, name: &str) -> String {
        match name {
            "H" | "O" => format!("{{{name}}}"),
            _ => {
                let value = self.slots.get(name);
                self.settle(value.unwrap_or_else(|| panic!("no slot {{{name}}}")))
            }
        }
    }
}

/// Chooses the wording of a settled template.
pub fn word(settled: &str, rng: &mut ChaCha8Rng) -> String {
    let mut worded = String::new();
    let mut rest = settled;
    while let Some((before, body)) = rest.split_once('[') {
        worded.push_str(before);
        let (options, after) = split_options(body);
        worded.push_str(&word(pick::<&str>(rng, &options), rng));
        rest = after;
    }
    worded + rest
}

/// Every wording of a settled template.
pub fn wordings(settled: &str) -> Vec<String> {
    let Some((before, body)) = settled.split_once('[') else { return vec![settled.to_owned()] };
    let (options, after) = split_options(body);
    let ends = wordings(after);
    let middles = options.iter().flat_map(|option| wordings(option));
    middles
        .flat_map(|middle| ends.iter().map(move |end| format!("{before}{middle}{end}")))
        .collect()
}

/// The options of a choice whose opening bracket is already read, and what follows its closing bracket.
fn split_options(body: &str) -> (Vec<&str>, &str) {
    let mut options = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' if depth == 0 => {
                options.push(&body[start..at]);
                return (options, &body[at + 1..]);
            }
            b']' => depth -= 1,
            b'|' if depth == 0 => {
                options.push(&body[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    panic!("a choice is not closed in {body:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn facts_are_settled_before_wording() {
        let slots = BTreeMap::from([("thing", "%[key|map]".to_owned())]);
        let template = "[The {thing}|That {thing}] was %[lost|found], said {H}.";
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let settled = Settler::new(&slots, rng).settle(template);
        assert!(!settled.contains('%') && settled.contains("{H}"));
        assert!(settled.starts_with('['), "{settled}");
        assert!(settled.contains("key") != settled.contains("map"), "{settled}");
        let wordings: std::collections::BTreeSet<_> =
            (0..50).map(|_| word(&settled, rng)).collect();
        assert_eq!(wordings.len(), 2, "{wordings:?}");
        assert_eq!(super::wordings("[a|b[c|d]] e[f|g]").len(), 6);
    }
}
