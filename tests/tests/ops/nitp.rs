use nitp_core::config::{NitpLoss, Shift};
use nitp_core::ops::nitp::{Nitp, NitpGradient};
use nitp_core::ops::scalars;
use nitp_core::tensor::View;
use nitp_tests::op_case::OpCase;

use super::accumulate_sum::{scalars_with, total};

const KINDS: [NitpLoss; 4] = [NitpLoss::Cosine, NitpLoss::Mse, NitpLoss::SmoothL1, NitpLoss::Kl];
const SHIFTS: [Shift; 2] = [Shift::Next, Shift::Current];

/// Rows, context and width: a context of one has no next step.
const SHAPES: [(usize, usize, usize); 4] = [(1, 1, 1), (2, 5, 12), (3, 19, 65), (1, 40, 200)];

/// Settings of a case besides its shape.
#[derive(Clone, Copy)]
struct Setting {
    kind: NitpLoss,
    shift: Shift,
    /// Gradient, if any, and whether it also flows into the target.
    gradient: Option<bool>,
}

/// Predictions and targets in -2..2, whose differences use both branches of smooth L1.
fn inputs(case: &mut OpCase, (rows, context, width): (usize, usize, usize)) -> [Vec<f64>; 2] {
    let mut values = || (0..rows * context * width).map(|_| 2.0 * case.uniform()).collect();
    [values(), values()]
}

fn op(
    case: &mut OpCase,
    shape: (usize, usize, usize),
    [p, z]: [Vec<f64>; 2],
    Setting { kind, shift, gradient }: Setting,
    scale: f64,
) -> Nitp {
    let (rows, context, width) = shape;
    let tokens = rows * context;
    // Some pairs do not count; the end of a sequence, which has no next step, is not masked.
    let mask = (0..tokens).map(|t| u32::from(t % 7 != 3)).collect();
    Nitp {
        p: case.reals("p", &[tokens, width], p),
        z: case.reals("z", &[tokens, width], z),
        mask: case.ints("mask", &[tokens], mask),
        loss: case.output("loss", &[tokens]),
        gradient: gradient.map(|both| NitpGradient {
            dp: case.output("dp", &[tokens, width]),
            dz: both.then(|| case.output("dz", &[tokens, width])),
            weight: 0.8,
            scalars: scalars_with(case, "scalars", scalars::NITP_SCALE, scale),
            index: scalars::NITP_SCALE,
        }),
        kind,
        shift,
        rows,
        context,
        width,
    }
}

fn outputs(op: &Nitp) -> Vec<View> {
    let gradient = op.gradient.into_iter().flat_map(|g| [Some(g.dp), g.dz]);
    std::iter::once(op.loss).chain(gradient.flatten()).collect()
}

#[test]
fn every_setting_on_every_executor() {
    for shape in SHAPES {
        for kind in KINDS {
            for shift in SHIFTS {
                for gradient in [None, Some(false), Some(true)] {
                    let mut case = OpCase::new(1);
                    let inputs = inputs(&mut case, shape);
                    let setting = Setting { kind, shift, gradient };
                    let op = op(&mut case, shape, inputs, setting, 1.25);
                    case.check(&[&op], &outputs(&op));
                }
            }
        }
    }
}

#[test]
fn gradients_against_finite_differences() {
    let shape = (2, 6, 5);
    for kind in KINDS {
        for shift in SHIFTS {
            let mut case = OpCase::exact(2);
            let data = inputs(&mut case, shape);
            let setting = Setting { kind, shift, gradient: None };
            let forward = op(&mut case, shape, data.clone(), setting, 0.0);
            let sum = total(&mut case, forward.loss, 0.8);
            let (p, z) = (forward.p, forward.z);
            case.check_gradient(&[&forward, &sum], &[p, z], &[sum.metrics], |weights, _| {
                let mut case = OpCase::exact(3);
                let setting = Setting { gradient: Some(true), ..setting };
                let op = op(&mut case, shape, data, setting, weights[0][0]);
                case.twin(&[&op], &outputs(&op)[1..])
            });
        }
    }
}

#[test]
fn a_prediction_meets_the_target_of_the_next_position_of_its_own_sequence() {
    // p_t = z_{t+1} within each of two sequences of 3: the loss is 0 there, and only there.
    let z: Vec<f64> = vec![1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 1.0];
    let mut p = z.clone();
    p.rotate_left(2);
    for (shift, expected) in
        [(Shift::Next, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]), (Shift::Current, [1.0; 6])]
    {
        let mut case = OpCase::new(4);
        let op = Nitp {
            p: case.reals("p", &[6, 2], p.clone()),
            z: case.reals("z", &[6, 2], z.clone()),
            mask: case.ints("mask", &[6], vec![1; 6]),
            loss: case.output("loss", &[6]),
            gradient: None,
            kind: NitpLoss::Cosine,
            shift,
            rows: 2,
            context: 3,
            width: 2,
        };
        assert_eq!(case.twin(&[&op], &[op.loss])[0], expected);
        case.check(&[&op], &[op.loss]);
    }
}

#[test]
fn vectors_without_length_have_a_finite_loss_and_no_gradient() {
    let shape = (1, 4, 8);
    for kind in KINDS {
        let mut case = OpCase::new(5);
        let [mut p, mut z] = inputs(&mut case, shape);
        p[..8].fill(0.0);
        z[8..16].fill(0.0);
        p[16..24].fill(0.0);
        let setting = Setting { kind, shift: Shift::Current, gradient: Some(true) };
        let op = op(&mut case, shape, [p, z], setting, 1.0);
        case.check(&[&op], &outputs(&op));
        let results = case.twin(&[&op], &outputs(&op));
        assert!(results.iter().flatten().all(|x| x.is_finite()));
        if kind == NitpLoss::Cosine {
            assert_eq!(results[0][..3], [1.0; 3]);
            assert!(results[1][..24].iter().chain(&results[2][..24]).all(|&x| x == 0.0));
        }
    }
}

/// As at the start of training: predictions and targets near 0, with nearly uniform softmaxes. In the form `Σ q (ln q -
/// ln s)`, the sum in f32 would have a relative error of a thousandth or more.
#[test]
fn divergence_of_nearly_uniform_distributions_does_not_cancel() {
    for width in [128, 2048] {
        for deviation in [0.02, 0.002] {
            let shape = (1, 8, width);
            let mut case = OpCase::new(6);
            // A sum of three has a standard deviation of 1, because each term has 1 / √3.
            let mut values = || {
                let sum = |_| deviation * (0..3).map(|_| case.uniform()).sum::<f64>();
                (0..8 * width).map(sum).collect::<Vec<f64>>()
            };
            let data = [values(), values()];
            let setting =
                Setting { kind: NitpLoss::Kl, shift: Shift::Current, gradient: Some(true) };
            let op = op(&mut case, shape, data, setting, 1.0);
            let outputs = outputs(&op);
            let exact = case.twin(&[&op], &outputs);
            for (executor, found) in case.in_f32(&[&op], &outputs) {
                for (&found, &exact) in found[0].iter().zip(&exact[0]) {
                    let error = (f64::from(found) - exact).abs();
                    assert!(
                        error <= 1e-5 * exact,
                        "{executor}, {width} of deviation {deviation}: {found:e}, not {exact:e}"
                    );
                }
                let length = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
                for (found, exact) in found[1..].iter().zip(&exact[1..]) {
                    let error: Vec<f64> =
                        found.iter().zip(exact).map(|(&f, e)| f64::from(f) - e).collect();
                    // An error of 1e-6 in the logarithms of both sums is an error of every ratio.
                    assert!(
                        length(&error) <= 2e-6 / deviation * length(exact),
                        "{executor}, {width} of deviation {deviation}: gradient off by {:e}",
                        length(&error) / length(exact)
                    );
                }
            }
        }
    }
}

/// The closed form of two entries: `q ln(q / s)` of `q = (1/2, 1/2)` and `s = (3/4, 1/4)`, and of
/// distributions that have nothing in common, whose ratio no f32 holds.
#[test]
fn divergence_by_hand() {
    let mut case = OpCase::new(7);
    let op = Nitp {
        p: case.reals("p", &[3, 2], vec![3f64.ln(), 0.0, 200.0, 0.0, 5.0, 5.0]),
        z: case.reals("z", &[3, 2], vec![0.0, 0.0, 0.0, 200.0, -7.0, -7.0]),
        mask: case.ints("mask", &[3], vec![1; 3]),
        loss: case.output("loss", &[3]),
        gradient: None,
        kind: NitpLoss::Kl,
        shift: Shift::Current,
        rows: 1,
        context: 3,
        width: 2,
    };
    let expected = [0.5 * (4f64 / 3.0).ln(), 200.0, 0.0];
    case.expect(&[&op], &[(op.loss, &expected)]);
}
