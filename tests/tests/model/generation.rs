//! Generation with a cache: earlier texts, in this row or in others, change no logits. `likelihood.rs` checks the
//! logits against whole rows, and `hugging_face.rs` against transformers.

use std::ops::ControlFlow;

use nitp_core::config::Config;
use nitp_core::data::Tokenizer;
use nitp_core::executor::{Executor, take_now};
use nitp_core::model::parameters;
use nitp_core::train::{GenerateError, Generator, Sampling, Tensors, initialize};
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
fn other_weights_empty_the_cache() {
    let config = config(&[]);
    let mut executor = fast_executor(&config);
    let executor: &mut dyn Executor = &mut executor;
    initialize(executor, &parameters(&config), 1, &Tensors::new()).expect("weights fit");
    let mut generator = Generator::new(executor, &config).expect("the plans fit");
    let before = generator.logits(executor, &[1, 2, 3]).expect("logits");
    initialize(executor, &parameters(&config), 2, &Tensors::new()).expect("weights fit");
    let after = generator.logits(executor, &[1, 2, 3]).expect("logits");
    let mut other = Generator::new(executor, &config).expect("the plans fit");
    assert_eq!(other.logits(executor, &[1, 2, 3]).expect("logits"), after);
    assert_ne!(before, after);
}

#[test]
fn a_new_token_is_all_that_is_computed() {
    let config = config(&[]);
    let mut executor = gpu_executor(&config);
    initialize(&mut executor, &parameters(&config), 1, &Tensors::new()).expect("weights fit");
    let mut generator = Generator::new(&mut executor, &config).expect("the plans fit");
    let mut submissions = |text: &[u32]| {
        let before = executor.submissions();
        generator.logits(&mut executor, text).expect("logits");
        executor.submissions() - before
    };
    // Tokens before the last go through a run of their own.
    assert_eq!(submissions(&[1, 2, 3]), 2);
    assert_eq!(submissions(&[1, 2, 3, 4]), 1);
    assert_eq!(submissions(&[1, 2, 3, 4]), 1);
    assert_eq!(submissions(&[1, 2]), 1);
    assert_eq!(submissions(&[2, 2, 3]), 2);
    assert_eq!(submissions(&[5]), 1);
}

#[test]
fn texts_end_where_they_are_told_to_and_rows_go_on_with_others() {
    let config = config(&[]);
    let mut executor = fast_executor(&config);
    initialize(&mut executor, &parameters(&config), 1, &Tensors::new()).expect("weights fit");
    // Bytes of a model with fewer tokens: every id below its vocabulary is one.
    let tokenizer = Tokenizer::new("byte", 256).expect("a tokenizer");
    let prompt = |seed: u64| {
        let sampling = Sampling { seed, ..Sampling::default() };
        (vec![1 + seed as u32, 2], sampling)
    };
    let mut write = |rows: usize,
                     count: u64,
                     most: usize,
                     end: &dyn Fn(Option<u32>, usize, usize) -> bool| {
        let mut generator = Generator::with_rows(&mut executor, &config, rows).expect("it fits");
        let mut texts = vec![Vec::new(); count as usize];
        let mut ended = Vec::new();
        let prompts = (0..count).map(prompt).collect();
        let done = generator.generate(&mut executor, prompts, most, &tokenizer, |index, token| {
            match token {
                Some(token) => texts[index].push(token),
                None => ended.push(index),
            }
            let breaks = end(token, index, texts[index].len());
            if breaks { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        done.expect("it generates");
        (texts, ended)
    };
    let (alone, ended) = write(1, 5, 6, &|_, _, _| false);
    assert_eq!(ended, [0, 1, 2, 3, 4]);
    assert!(alone.iter().all(|text| text.len() == 6));
    // Side by side, with more texts than rows; a text that ends early makes room for the next.
    let (texts, mut ended) =
        write(2, 5, 6, &|token, index, len| token.is_some() && index == 1 && len == 2);
    assert_eq!(ended[0], 1);
    ended.sort_unstable();
    assert_eq!(ended, [0, 1, 2, 3, 4]);
    for (index, (text, alone)) in texts.iter().zip(&alone).enumerate() {
        assert_eq!(text[..], alone[..if index == 1 { 2 } else { 6 }], "text {index}");
    }
    // No token at all; and a break at the end of a text ends all.
    assert_eq!(write(2, 3, 0, &|_, _, _| false), (vec![Vec::new(); 3], vec![0, 1, 2]));
    assert_eq!(write(1, 3, 2, &|_, _, len| len == 2).1, [0]);
    let mut generator = Generator::new(&mut executor, &config).expect("it fits");
    let empty = vec![(Vec::new(), Sampling::default())];
    let each = |_, _| ControlFlow::Continue(());
    let error = generator.generate(&mut executor, empty, 1, &tokenizer, each);
    assert!(matches!(error, Err(GenerateError::EmptyPrompt)));
}
