//! Log-probabilities of continuations, on every executor, against the logits of one position after the other.

use nitp_core::config::Config;
use nitp_core::executor::Executor;
use nitp_core::model::parameters;
use nitp_core::train::{Continuation, Generator, LikelihoodReader, Tensors, initialize};
use nitp_tests::model_case::{MOE, config, fast_executor, gpu_executor};

/// A full row, a row of two tokens, and some in between: one more than a batch holds.
fn continuations() -> Vec<Continuation> {
    let tokens = |count: u32, by: u32| (0..count).map(|i| (i * by + 3) % 251).collect();
    vec![
        Continuation { tokens: tokens(14, 37), first: 1 },
        Continuation { tokens: tokens(2, 5), first: 1 },
        Continuation { tokens: tokens(9, 11), first: 6 },
    ]
}

/// The log-probability of each token by log-softmax in f64 of generation's logits, and whether each token is the
/// likeliest.
fn direct(
    executor: &mut dyn Executor,
    generator: &mut Generator,
    it: &Continuation,
) -> (Vec<f64>, bool) {
    let mut is_greedy = true;
    let each = (it.first..it.tokens.len()).map(|at| {
        let logits = generator.logits(executor, &it.tokens[..at]).expect("logits");
        let largest = logits.iter().copied().fold(f32::MIN, f32::max);
        let right = logits[it.tokens[at] as usize];
        is_greedy &= right == largest;
        let sum: f64 = logits.iter().map(|&x| f64::from(x - largest).exp()).sum();
        f64::from(right - largest) - sum.ln()
    });
    (each.collect(), is_greedy)
}

fn check(config: &Config, mut executor: impl Executor) {
    let executor: &mut dyn Executor = &mut executor;
    executor.poison_freed(true);
    initialize(executor, &parameters(config), 1, &Tensors::new()).expect("weights fit");
    let reader = LikelihoodReader::new(executor, config).expect("the plan fits");
    let mut generator = Generator::new(executor, config).expect("the plan fits");
    let mut all = continuations();
    // The model's own greedy continuation.
    let mut tokens = all[2].tokens[..4].to_vec();
    for _ in 0..3 {
        let logits = generator.logits(executor, &tokens).expect("logits");
        let likeliest = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        tokens.push(likeliest.expect("there are logits") as u32);
    }
    all.push(Continuation { tokens, first: 4 });
    let mut greedy = 0;
    for some in all.chunks(reader.rows()) {
        let found = reader.read_now(executor, some).expect("losses");
        assert_eq!(found.len(), some.len());
        for (it, found) in some.iter().zip(&found) {
            let (expected, is_greedy) = direct(executor, &mut generator, it);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} {expected}");
            }
            let found = it.is_greedy(executor, &mut generator, found).expect("logits");
            assert_eq!(found, is_greedy, "{it:?}");
            greedy += usize::from(is_greedy);
        }
    }
    assert!((1..all.len()).contains(&greedy), "{greedy} of {} are greedy", all.len());
}

#[test]
fn dense() {
    let config = config(&[]);
    check(&config, fast_executor(&config));
    check(&config, gpu_executor(&config));
}

#[test]
fn moe_with_tied_embeddings() {
    let config = config(&[MOE, &["model.tie_word_embeddings=true"]].concat());
    check(&config, fast_executor(&config));
    check(&config, gpu_executor(&config));
}
