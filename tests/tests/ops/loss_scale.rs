use nitp_core::ops::adamw::Adamw;
use nitp_core::ops::loss_scale::{GOOD_STEPS, ScaleLosses, UpdateLossScale, state};
use nitp_core::ops::scalars;
use nitp_core::tensor::View;
use nitp_tests::op_case::OpCase;

const NORM: usize = 3;
const SCALE: usize = 4;
const SKIPPED: usize = 5;

#[test]
fn losses_are_scaled_on_every_executor() {
    let mut case = OpCase::new(1);
    let scalars = case.random("scalars", &[scalars::LEN]);
    let state = case.reals("state", &[state::LEN], vec![4096.0, 7.0, 0.1, 0.2]);
    let scaled = case.output("scaled", &[scalars::LEN]);
    let op = ScaleLosses { scalars, state, scaled };
    case.check(&[&op], &[scaled]);
    let results = case.twin(&[&op], &[scalars, scaled]);
    for (plain, scaled) in results[0].iter().zip(&results[1]) {
        assert_eq!(*scaled, 4096.0 * plain);
    }
}

/// The end of a step whose scaled gradients have this norm.
fn update(case: &mut OpCase, norm: f64, good_steps: f64, max_norm: f64) -> UpdateLossScale {
    let mut metrics = vec![-7.5; 8];
    metrics[NORM] = norm;
    UpdateLossScale {
        state: case.reals("state", &[state::LEN], vec![1024.0, good_steps, 0.19, 0.0975]),
        metrics: case.reals("metrics", &[8], metrics),
        norm: NORM,
        scale: SCALE,
        skipped: SKIPPED,
        clip: case.output("clip", &[1]),
        scalars: case.random("scalars", &[scalars::LEN]),
        corrected: case.output("corrected", &[scalars::LEN]),
        max_norm,
        beta1: 0.9,
        beta2: 0.95,
    }
}

/// The state, the metrics and the factor after the op, after a comparison of all executors.
fn results(norm: f64, good_steps: f64, max_norm: f64) -> (Vec<f64>, Vec<f64>, f64) {
    let mut case = OpCase::new(2);
    let op = update(&mut case, norm, good_steps, max_norm);
    let outputs: [View; 4] = [op.state, op.metrics, op.clip, op.corrected];
    case.check(&[&op], &outputs);
    let mut found = case.twin(&[&op], &outputs).into_iter();
    let mut next = || found.next().expect("an output");
    (next(), next(), next()[0])
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-7 * expected.abs().max(1.0), "{found}, not {expected}");
}

#[test]
fn a_finite_norm_is_unscaled_and_clips() {
    let (state, metrics, clip) = results(3.0 * 1024.0, 5.0, 2.0);
    assert_eq!(state[..2], [1024.0, 6.0]);
    // One step more in both corrections: 1 - 0.9^3 and 1 - 0.95^3.
    near(state[2], 0.271);
    near(state[3], 0.142625);
    assert_eq!(metrics[NORM..=SKIPPED], [3.0, 1024.0, 0.0]);
    near(clip, 2.0 / (3.0 + 1e-6) / 1024.0);
    for max_norm in [0.0, 3.5] {
        let (_, _, clip) = results(3.0 * 1024.0, 5.0, max_norm);
        assert_eq!(clip, 1.0 / 1024.0);
    }
}

#[test]
fn the_scale_doubles_after_enough_good_steps() {
    let (state, metrics, clip) = results(1024.0, GOOD_STEPS as f64 - 1.0, 0.0);
    assert_eq!(state[..2], [2048.0, 0.0]);
    // The step itself still had the old scale.
    assert_eq!((metrics[SCALE], clip), (1024.0, 1.0 / 1024.0));
}

#[test]
fn a_norm_that_is_no_number_skips_the_step_and_halves_the_scale() {
    for norm in [f64::INFINITY, f64::NAN] {
        let (state, metrics, clip) = results(norm, 5.0, 1.0);
        assert_eq!(state[..2], [512.0, 0.0]);
        near(state[2], 0.19);
        near(state[3], 0.0975);
        assert_eq!(metrics[NORM..=SKIPPED], [0.0, 1024.0, 1.0]);
        assert_eq!(clip, 0.0);
    }
}

#[test]
fn corrections_go_on_while_other_scalars_are_copied() {
    let mut case = OpCase::new(3);
    let op = update(&mut case, 1024.0, 0.0, 1.0);
    let found = case.twin(&[&op], &[op.scalars, op.corrected]);
    for (index, (scalar, corrected)) in found[0].iter().zip(&found[1]).enumerate() {
        match index {
            scalars::BIAS_CORRECTION1 => near(*corrected, 0.271),
            scalars::BIAS_CORRECTION2 => near(*corrected, 0.142625),
            _ => assert_eq!(corrected, scalar),
        }
    }
}

#[test]
fn a_factor_of_zero_leaves_everything_as_it_is() {
    let gradient = [0.5, f64::INFINITY, f64::NAN, -1.0].repeat(100);
    let mut case = OpCase::new(4);
    let len = gradient.len();
    let mut values = vec![0.5; scalars::LEN];
    values[scalars::BIAS_CORRECTION1] = 0.0;
    let op = Adamw {
        parameter: case.random("parameter", &[len]),
        gradient: case.reals("gradient", &[len], gradient),
        moment1: case.random("moment1", &[len]),
        moment2: case.random("moment2", &[len]),
        clip: case.reals("clip", &[1], vec![0.0]),
        scalars: case.reals("scalars", &[scalars::LEN], values),
        decay_end: len / 2,
        beta1: 0.9,
        beta2: 0.95,
        eps: 1e-8,
        weight_decay: 0.1,
    };
    let outputs = [op.parameter, op.moment1, op.moment2];
    let before = case.twin(&[], &outputs);
    let expected: Vec<(View, &[f64])> =
        outputs.iter().zip(&before).map(|(&view, values)| (view, values.as_slice())).collect();
    case.expect(&[&op], &expected);
    assert_eq!(case.gpu(&[&op], &outputs), before.iter().map(|it| narrow(it)).collect::<Vec<_>>());
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}
