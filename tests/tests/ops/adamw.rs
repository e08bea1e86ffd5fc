use nitp_core::ops::adamw::Adamw;
use nitp_core::ops::scalars;
use nitp_core::tensor::View;
use nitp_tests::op_case::OpCase;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.95;
const EPS: f64 = 1e-8;
const DECAY: f64 = 0.1;
const RATE: f64 = 0.02;
const CLIP: f64 = 0.25;

/// The scalars of step `t`, counted from 1.
fn scalars(case: &mut OpCase, t: i32, rate: f64) -> View {
    let mut values = vec![-99.0; scalars::LEN];
    values[scalars::LEARNING_RATE] = rate;
    values[scalars::BIAS_CORRECTION1] = 1.0 - BETA1.powi(t);
    values[scalars::BIAS_CORRECTION2] = 1.0 - BETA2.powi(t);
    case.reals(&format!("scalars{t}"), &[scalars::LEN], values)
}

/// The first step: moments are 0.
fn first(case: &mut OpCase, gradient: Vec<f64>, decay_end: usize, rate: f64) -> Adamw {
    let len = gradient.len();
    Adamw {
        parameter: case.random("parameter", &[len]),
        gradient: case.reals("gradient", &[len], gradient),
        moment1: case.reals("moment1", &[len], vec![0.0; len]),
        moment2: case.reals("moment2", &[len], vec![0.0; len]),
        clip: case.reals("clip", &[1], vec![CLIP]),
        scalars: scalars(case, 1, rate),
        decay_end,
        beta1: BETA1,
        beta2: BETA2,
        eps: EPS,
        weight_decay: DECAY,
    }
}

/// A later step of the same chunk.
fn later(case: &mut OpCase, first: &Adamw, t: i32, gradient: Vec<f64>) -> Adamw {
    Adamw {
        gradient: case.reals(&format!("gradient{t}"), &[gradient.len()], gradient),
        scalars: scalars(case, t, RATE),
        ..*first
    }
}

fn outputs(op: &Adamw) -> [View; 3] {
    [op.parameter, op.moment1, op.moment2]
}

fn gradient(case: &mut OpCase, len: usize) -> Vec<f64> {
    // Away from 0, because an update of the size of the learning rate must not depend on a rounded sign.
    (0..len).map(|_| case.uniform()).map(|x| x + x.signum() * 0.1).collect()
}

#[test]
fn two_steps_on_every_executor() {
    // One thread; more than one workgroup; more than one task of the fast path.
    for len in [1, 257, 16 * 1024 + 65] {
        // Decay of nothing, of a part, up to the end of the first task, of everything.
        for decay_end in [0, len / 3, len.min(16 * 1024), len] {
            let mut case = OpCase::new(len as u64);
            let gradients = [0, 1].map(|_| gradient(&mut case, len));
            let [gradient1, gradient2] = gradients;
            let op1 = first(&mut case, gradient1, decay_end, RATE);
            let op2 = later(&mut case, &op1, 2, gradient2);
            case.check(&[&op1], &outputs(&op1));
            case.check(&[&op1, &op2], &outputs(&op1));
        }
    }
}

#[test]
fn the_first_step_moves_by_the_learning_rate() {
    let mut case = OpCase::exact(1);
    let gradient = vec![2.0, -0.5, 1e-3, -4.0];
    let op = first(&mut case, gradient.clone(), 2, RATE);
    let before = case.twin(&[], &[op.parameter]).remove(0);
    let after = case.twin(&[&op], &outputs(&op));
    for (i, g) in gradient.into_iter().enumerate() {
        // Bias corrections make both moments those of this one gradient.
        let g = CLIP * g;
        let keep = if i < 2 { 1.0 - RATE * DECAY } else { 1.0 };
        let expected = keep * before[i] - RATE * g / (g.abs() + EPS);
        assert!((after[0][i] - expected).abs() < 1e-14, "element {i}");
        assert!((after[1][i] - (1.0 - BETA1) * g).abs() < 1e-15);
        assert!((after[2][i] - (1.0 - BETA2) * g * g).abs() < 1e-15);
    }
}

#[test]
fn the_second_step_weighs_both_gradients() {
    let mut case = OpCase::exact(2);
    let (gradient1, gradient2) = (vec![2.0, -0.5, 0.03], vec![-1.0, -0.25, 0.0]);
    let op1 = first(&mut case, gradient1.clone(), 1, RATE);
    let op2 = later(&mut case, &op1, 2, gradient2.clone());
    let before = case.twin(&[&op1], &[op1.parameter]).remove(0);
    let after = case.twin(&[&op1, &op2], &[op1.parameter]).remove(0);
    for i in 0..3 {
        let (g1, g2) = (CLIP * gradient1[i], CLIP * gradient2[i]);
        // Weights sum to 1 after the corrections 1 - beta² = (1 - beta) (1 + beta).
        let mean = (BETA1 * g1 + g2) / (1.0 + BETA1);
        let square = (BETA2 * g1 * g1 + g2 * g2) / (1.0 + BETA2);
        let keep = if i < 1 { 1.0 - RATE * DECAY } else { 1.0 };
        let expected = keep * before[i] - RATE * mean / (square.sqrt() + EPS);
        assert!((after[i] - expected).abs() < 1e-14, "element {i}");
    }
}

#[test]
fn a_gradient_of_zero_leaves_decay_alone() {
    let len = 70;
    let mut case = OpCase::new(3);
    let op = first(&mut case, vec![0.0; len], 40, RATE);
    case.check(&[&op], &outputs(&op));
    let before = case.twin(&[], &[op.parameter]).remove(0);
    let after = case.twin(&[&op], &outputs(&op));
    assert!(after[1].iter().chain(&after[2]).all(|&moment| moment == 0.0));
    for (i, (before, after)) in before.iter().zip(&after[0]).enumerate() {
        let keep = if i < 40 { 1.0 - RATE * DECAY } else { 1.0 };
        assert!((after - keep * before).abs() < 1e-9, "element {i}");
    }
}

/// Evaluation and gradient checks run a train plan in this way: parameters are unchanged bitwise.
#[test]
fn a_rate_of_zero_changes_no_parameter() {
    let len = 300;
    let mut case = OpCase::new(4);
    let gradient = gradient(&mut case, len);
    let op = first(&mut case, gradient, len, 0.0);
    let before = case.twin(&[], &[op.parameter]).remove(0);
    assert_eq!(case.twin(&[&op], &[op.parameter])[0], before);
    let found = case.gpu(&[&op], &[op.parameter]).remove(0);
    assert_eq!(found.iter().map(|&x| f64::from(x)).collect::<Vec<_>>(), before);
}
