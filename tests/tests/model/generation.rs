//! Generation with a cache: earlier texts, in this row or in others, change no logits. `likelihood.rs` checks the
//! logits against whole rows, and `hugging_face.rs` against transformers.

use nitp_core::config::Config;
use nitp_core::executor::{Executor, take_now};
use nitp_core::model::parameters;
use nitp_core::train::{Generator, Tensors, initialize};
use nitp_tests::model_case::{MOE, config, fast_executor, gpu_executor};

/// The logits of a text with an empty cache.
fn alone(executor: &mut dyn Executor, generator: &mut Generator, text: &[u32]) -> Vec<f32> {
    generator.forget();
    generator.logits(executor, text).expect("logits")
}

fn check(config: &Config, mut executor: impl Executor) {
    let executor: &mut dyn Executor = &mut executor;
    executor.poison_freed(true);
    initialize(executor, &parameters(config), 1, &Tensors::new()).expect("weights fit");
    let (context, vocab) = (config.train.context_length, config.model.vocab_size);
    let mut rows = Generator::with_rows(executor, config, 3).expect("the plans fit");
    let mut one = Generator::new(executor, config).expect("the plans fit");
    let text = |seed: usize, len: usize| -> Vec<u32> {
        (0..len).map(|at| ((at * at + seed * 7 + 3 * at) % vocab) as u32).collect()
    };
    let long = text(3, 2 * context + 5);
    let mut grown = text(1, 3);
    grown.push(1);
    // In turn: three texts, one of which is longer than the context; one more token for each; the same again; a text
    // that has ended; shorter texts and other texts in their places; a text that differs from an earlier one in the
    // middle.
    let rounds: [[Option<Vec<u32>>; 3]; 6] = [
        [Some(text(1, 3)), Some(long[..context + 1].to_vec()), Some(text(2, context))],
        [Some(grown.clone()), Some(long[..context + 2].to_vec()), Some(text(2, context + 1))],
        [Some(grown.clone()), Some(long[..context + 2].to_vec()), Some(text(2, context + 1))],
        [None, Some(long.clone()), None],
        [Some(text(1, 2)), Some(text(4, 1)), Some(long)],
        [Some(text(5, 9)), Some(text(4, 2)), Some([&text(2, 5)[..], &[1, 2]].concat())],
    ];
    for (round, texts) in rounds.iter().enumerate() {
        let asked: Vec<Option<&[u32]>> = texts.iter().map(Option::as_deref).collect();
        let ticket = rows.submit_rows(executor, &asked).expect("it runs");
        let found = take_now(executor, ticket).expect("logits");
        for (row, (text, found)) in texts.iter().zip(found.chunks_exact(vocab)).enumerate() {
            let Some(text) = text else { continue };
            let expected = alone(executor, &mut one, text);
            for (a, b) in found.iter().zip(&expected) {
                assert!((a - b).abs() < 1e-5, "round {round}, row {row}: {a} and {b}");
            }
        }
    }
}

#[test]
fn texts_side_by_side_and_one_after_the_other_are_as_if_alone() {
    let biased = ["model.qkv_bias=true", "model.qk_norm=true"];
    for settings in [&[][..], MOE, &biased] {
        let config = config(settings);
        check(&config, fast_executor(&config));
        check(&config, gpu_executor(&config));
    }
}

#[test]
fn other_weights_need_another_cache() {
    let config = config(&[]);
    let mut executor = fast_executor(&config);
    let executor: &mut dyn Executor = &mut executor;
    initialize(executor, &parameters(&config), 1, &Tensors::new()).expect("weights fit");
    let mut generator = Generator::new(executor, &config).expect("the plans fit");
    let before = generator.logits(executor, &[1, 2, 3]).expect("logits");
    initialize(executor, &parameters(&config), 2, &Tensors::new()).expect("weights fit");
    let stale = generator.logits(executor, &[1, 2, 3]).expect("logits");
    let fresh = alone(executor, &mut generator, &[1, 2, 3]);
    assert!(before != fresh && stale != fresh);
    let mut other = Generator::new(executor, &config).expect("the plans fit");
    assert_eq!(other.logits(executor, &[1, 2, 3]).expect("logits"), fresh);
}
