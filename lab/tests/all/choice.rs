use nitp_lab::Error;
use nitp_lab::choice::{Accuracy, Choice, Item, score};
use proptest::prelude::*;
use serde::Deserialize;

use crate::{close, load};

#[derive(Deserialize)]
struct Vectors {
    items: Vec<Question>,
    acc: Counted,
    acc_norm: Counted,
    acc_bytes: Counted,
}

#[derive(Deserialize)]
struct Question {
    choices: Vec<String>,
    log_likelihoods: Vec<f64>,
    answer: usize,
}

#[derive(Deserialize)]
struct Counted {
    each: Vec<u8>,
    mean: f64,
    stderr: f64,
}

impl Question {
    fn item(&self) -> Item<'_> {
        let choices = self.choices.iter().zip(&self.log_likelihoods);
        Item {
            choices: choices
                .map(|(text, &log_likelihood)| Choice { text, log_likelihood })
                .collect(),
            answer: self.answer,
        }
    }
}

impl Counted {
    fn check(&self, items: &[Item<'_>], found: &Accuracy) {
        let right = items.iter().zip(&found.chosen).map(|(item, &it)| u8::from(item.answer == it));
        assert_eq!(right.collect::<Vec<_>>(), self.each);
        close(found.mean, self.mean, 1e-12);
        close(found.standard_error.expect("50 items"), self.stderr, 1e-12);
    }
}

#[test]
fn accuracies_are_the_harnesss() {
    let vectors: Vectors = load("choice");
    let items: Vec<Item> = vectors.items.iter().map(Question::item).collect();
    let scores = score(&items).expect("scores");
    vectors.acc.check(&items, &scores.by_sum);
    vectors.acc_norm.check(&items, &scores.by_character);
    vectors.acc_bytes.check(&items, &scores.by_byte);
}

/// Choices of these log-likelihoods, all with the same text.
fn item(log_likelihoods: &[f64], answer: usize) -> Item<'static> {
    let choice = |&log_likelihood| Choice { text: "oak", log_likelihood };
    Item { choices: log_likelihoods.iter().map(choice).collect(), answer }
}

#[test]
fn baselines_are_of_the_items_own_choices() {
    let items = [item(&[-1.0, -2.0], 1), item(&[-1.0; 4], 1), item(&[-2.0, -1.0], 0)];
    let scores = score(&items).expect("scores");
    close(scores.chance, (0.5 + 0.25 + 0.5) / 3.0, 1e-12);
    close(scores.majority, 2.0 / 3.0, 1e-12);
    assert_eq!(scores.by_sum.chosen, [0, 0, 1]);
}

#[test]
fn impossible_choices_are_the_last_to_be_taken() {
    let never = f64::NEG_INFINITY;
    let scores = score(&[item(&[never, -900.0], 1), item(&[never, never], 0)]).expect("scores");
    assert_eq!(scores.by_character.chosen, [1, 0]);
    assert_eq!(scores.by_sum.mean, 1.0);
    assert_eq!(scores.by_sum.standard_error, Some(0.0));
}

#[test]
fn a_single_item_has_no_standard_error() {
    assert_eq!(score(&[item(&[-1.0, -2.0], 0)]).expect("scores").by_sum.standard_error, None);
}

#[test]
fn what_can_not_be_scored_is_told_with_its_place() {
    assert_eq!(score(&[]), Err(Error::Empty { what: "items" }));
    let fine = || item(&[-1.0, -2.0], 0);
    let refused = |item: Item<'static>| score(&[fine(), item]).expect_err("a bad item");
    assert_eq!(refused(item(&[-1.0], 1)), Error::Answer { item: 1, answer: 1, choices: 1 });
    assert_eq!(refused(item(&[], 0)), Error::Answer { item: 1, answer: 0, choices: 0 });
    assert_eq!(
        refused(item(&[-1.0, f64::NAN], 0)).to_string(),
        "the log-likelihood of choice 1 of item 1 is NaN; it must be a number below +∞"
    );
    let value = f64::INFINITY;
    assert_eq!(refused(item(&[value], 0)), Error::LogLikelihood { item: 1, choice: 0, value });
    let mut silent = fine();
    silent.choices[1].text = "";
    assert_eq!(refused(silent), Error::EmptyChoice { item: 1, choice: 1 });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_all_choices_share_does_not_choose(
        log_likelihoods in proptest::collection::vec(-40..0i32, 2..6),
        shift in -40..0i32,
        copies in 2..5usize,
    ) {
        let shifted = |shift: i32| -> Vec<f64> {
            log_likelihoods.iter().map(|&it| f64::from(it + shift)).collect()
        };
        let plain = score(&[item(&shifted(0), 0)]).expect("scores");
        let moved = score(&vec![item(&shifted(shift), 0); copies]).expect("scores");
        prop_assert_eq!(&vec![plain.by_sum.chosen[0]; copies], &moved.by_sum.chosen);
        // All texts are as long, so lengths change nothing.
        prop_assert_eq!(&moved.by_sum, &moved.by_character);
        prop_assert_eq!(&moved.by_sum, &moved.by_byte);
    }
}
