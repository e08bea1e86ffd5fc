//! Every op with a counterpart in PyTorch against `ops.safetensors`, which
//! `tests/reference/ops.py` writes.

use nitp_core::config::{NitpLoss, Shift};
use nitp_core::geometry::geometry;
use nitp_core::ops::adamw::Adamw;
use nitp_core::ops::attention::{Attention, AttentionBackward, Shape, document_bounds};
use nitp_core::ops::cross_entropy::{CrossEntropy, CrossEntropyGradient};
use nitp_core::ops::grad_norm::{ClipFactor, SumOfSquares};
use nitp_core::ops::matmul::{Matmul, Transpose};
use nitp_core::ops::moe_balance::MoeBalance;
use nitp_core::ops::moe_route::{MoeRoute, MoeRouteBackward};
use nitp_core::ops::nitp::{Nitp, NitpGradient};
use nitp_core::ops::rmsnorm::{Rmsnorm, RmsnormBackward};
use nitp_core::ops::rope::{Rope, table};
use nitp_core::ops::scalars;
use nitp_core::ops::swiglu::{Swiglu, SwigluBackward};
use nitp_core::ops::token_cosine::{TokenCosine, TokenCosineGradient};
use nitp_core::tensor::View;
use nitp_tests::op_case::OpCase;
use nitp_tests::vectors::Vectors;

use super::accumulate_sum::{scalars_with, total};
use super::moe_dispatch::{dispatch_of, show};

/// The part of the file about one operation, and the case built from it.
struct Reference {
    file: Vectors,
    operation: &'static str,
    case: OpCase,
}

impl Reference {
    fn new(operation: &'static str) -> Self {
        Self { file: Vectors::load("ops"), operation, case: OpCase::new(0) }
    }

    /// The elements of `<operation>/<name>`.
    fn get(&self, name: &str) -> &[f64] {
        self.file.get(&format!("{}/{name}", self.operation))
    }

    /// The only element.
    fn scalar(&self, name: &str) -> f64 {
        let [x] = self.get(name) else { panic!("{name} is one number") };
        *x
    }

    fn ints(&self, name: &str) -> Vec<u32> {
        // -100 is PyTorch's label for no loss.
        self.get(name).iter().map(|&x| if x < 0.0 { u32::MAX } else { x as u32 }).collect()
    }

    /// An operand with these elements.
    fn input(&mut self, name: &str) -> View {
        let shape = self.file.shape(&format!("{}/{name}", self.operation)).to_vec();
        let data = self.get(name).to_vec();
        self.case.reals(name, &shape, data)
    }

    /// An integer operand with these elements.
    fn input_ints(&mut self, name: &str) -> View {
        let data = self.ints(name);
        self.case.ints(name, &[data.len()], data)
    }

    /// The rows of several tensors, concatenated: `(name, elements of a row)`.
    fn packed(&self, parts: &[(&str, usize)]) -> Vec<f64> {
        let rows = self.get(parts[0].0).len() / parts[0].1;
        (0..rows)
            .flat_map(|row| parts.iter().map(move |&(name, width)| (row, name, width)))
            .flat_map(|(row, name, width)| &self.get(name)[row * width..][..width])
            .copied()
            .collect()
    }
}

#[test]
fn rmsnorm() {
    let (rows, width) = (7, 12);
    let mut r = Reference::new("rmsnorm");
    let forward = Rmsnorm {
        x: r.input("x"),
        residual: None,
        gain: r.input("gain"),
        y: r.case.output("y", &[rows, width]),
        rstd: r.case.output("rstd", &[rows]),
        rows,
        width,
        eps: 1e-6,
    };
    let backward = RmsnormBackward {
        dy: r.input("dy"),
        x: forward.x,
        gain: forward.gain,
        rstd: forward.rstd,
        dx: r.case.output("dx", &[rows, width]),
        accumulate: false,
        dgain: r.case.reals("dgain", &[width], vec![0.0; width]),
        partial: r.case.output("partial", &[RmsnormBackward::partial_rows(rows), width]),
        rows,
        width,
    };
    r.case.expect(&[&forward], &[(forward.y, r.get("y"))]);
    let expected = [(backward.dx, r.get("dx")), (backward.dgain, r.get("dgain"))];
    r.case.expect(&[&forward, &backward], &expected);
}

#[test]
fn rope() {
    // The file's 3 heads as 2 query heads and 1 key head; a value head of ones must not change.
    let (tokens, context, head_dim) = (14, 7, 6);
    for (from, to, inverse) in [("x", "y", false), ("dy", "dx", true)] {
        let mut r = Reference::new("rope");
        let with_values = |name: &str| {
            let rows = r.get(name).chunks_exact(3 * head_dim);
            rows.flat_map(|row| [row, &[1.0; 6]].concat()).collect::<Vec<f64>>()
        };
        let (from, to) = (with_values(from), with_values(to));
        let angles = table(context, head_dim, 10_000.0, None).into_iter().map(f64::from).collect();
        let op = Rope {
            qkv: r.case.reals("qkv", &[tokens, 4 * head_dim], from),
            table: r.case.reals("table", &[context, head_dim], angles),
            tokens,
            context,
            q_heads: 2,
            kv_heads: 1,
            head_dim,
            inverse,
        };
        r.case.expect(&[&op], &[(op.qkv, &to)]);
    }
}

/// Both passes of the file's attention, and `qkv`'s gradient.
fn attention_ops(r: &mut Reference) -> (Attention, AttentionBackward, Vec<f64>) {
    let documents = (r.operation == "attention_documents").then(|| {
        let bounds = document_bounds(&r.ints("document_starts"), 7);
        r.case.ints("documents", &[14, 2], bounds)
    });
    let shape = Shape { batch: 2, context: 7, q_heads: 6, kv_heads: 3, head_dim: 6 };
    let tokens = shape.tokens();
    let qkv = r.packed(&[("q", 36), ("k", 18), ("v", 18)]);
    let dqkv = r.packed(&[("dq", 36), ("dk", 18), ("dv", 18)]);
    let forward = Attention {
        qkv: r.case.reals("qkv", &[tokens, shape.width()], qkv),
        out: r.case.output("out", &[tokens, shape.out_width()]),
        lse: r.case.output("lse", &[tokens * shape.q_heads]),
        documents,
        shape,
    };
    let backward = AttentionBackward {
        qkv: forward.qkv,
        out: forward.out,
        dout: r.input("dout"),
        lse: forward.lse,
        dqkv: r.case.output("dqkv", &[tokens, shape.width()]),
        delta: r.case.output("delta", &[tokens * shape.q_heads]),
        documents,
        shape,
    };
    (forward, backward, dqkv)
}

#[test]
fn attention() {
    let mut r = Reference::new("attention");
    let (op, ..) = attention_ops(&mut r);
    r.case.expect(&[&op], &[(op.out, r.get("out")), (op.lse, r.get("log_sum_exp"))]);
}

#[test]
fn attention_backward() {
    let mut r = Reference::new("attention");
    let (forward, op, dqkv) = attention_ops(&mut r);
    r.case.expect(&[&forward, &op], &[(op.dqkv, &dqkv)]);
}

#[test]
fn attention_within_documents() {
    let mut r = Reference::new("attention_documents");
    let (forward, op, dqkv) = attention_ops(&mut r);
    r.case.expect(&[&forward], &[(op.out, r.get("out"))]);
    r.case.expect(&[&forward, &op], &[(op.dqkv, &dqkv)]);
}

#[test]
fn swiglu() {
    let (rows, width) = (7, 13);
    let mut r = Reference::new("swiglu");
    let packed = r.packed(&[("gate", width), ("up", width)]);
    let forward = Swiglu {
        gate_up: r.case.reals("gate_up", &[rows, 2 * width], packed),
        y: r.case.output("y", &[rows, width]),
        rows,
        width,
    };
    let backward = SwigluBackward {
        dy: r.input("dy"),
        gate_up: forward.gate_up,
        dgate_up: r.case.output("dgate_up", &[rows, 2 * width]),
        rows,
        width,
    };
    r.case.expect(&[&forward], &[(forward.y, r.get("y"))]);
    let expected = r.packed(&[("dgate", width), ("dup", width)]);
    r.case.expect(&[&backward], &[(backward.dgate_up, &expected)]);
}

/// The projection head as the model plans it: one product for gate and up.
#[test]
fn projector() {
    let (rows, d, inner) = (7, 5, 20);
    let mut r = Reference::new("projector");
    let weight = [r.get("gate"), r.get("up")].concat();
    let dweight = [r.get("dgate"), r.get("dup")].concat();
    let h = r.input("h");
    let weight = r.case.reals("gate_up_weight", &[2 * inner, d], weight);
    let down = r.input("down");
    let dp = r.input("dp");
    let gate_up = r.case.output("gate_up", &[rows, 2 * inner]);
    let y = r.case.output("y", &[rows, inner]);
    let p = r.case.output("p", &[rows, d]);
    let dy = r.case.output("dy", &[rows, inner]);
    let dgate_up = r.case.output("dgate_up", &[rows, 2 * inner]);
    let dh = r.case.output("dh", &[rows, d]);
    let dw = r.case.output("dgate_up_weight", &[2 * inner, d]);
    let ddown = r.case.output("ddown", &[d, inner]);
    let product = |[a, b, c]: [View; 3], [m, n, k]: [usize; 3], transpose: Transpose| Matmul {
        a,
        b,
        c,
        m,
        n,
        k,
        transpose,
        accumulate: false,
    };
    let widen = product([h, weight, gate_up], [rows, 2 * inner, d], Transpose::B);
    let gate = Swiglu { gate_up, y, rows, width: inner };
    let narrow = product([y, down, p], [rows, d, inner], Transpose::B);
    r.case.expect(&[&widen, &gate, &narrow], &[(p, r.get("p"))]);
    let into_y = product([dp, down, dy], [rows, inner, d], Transpose::None);
    let into_down = product([dp, y, ddown], [d, inner, rows], Transpose::A);
    let into_gate = SwigluBackward { dy, gate_up, dgate_up, rows, width: inner };
    let into_weight = product([dgate_up, h, dw], [2 * inner, d, rows], Transpose::A);
    let into_h = product([dgate_up, weight, dh], [rows, d, 2 * inner], Transpose::None);
    r.case.expect(
        &[&widen, &gate, &into_y, &into_down, &into_gate, &into_weight, &into_h],
        &[(dh, r.get("dh")), (dw, &dweight), (ddown, r.get("ddown"))],
    );
}

#[test]
fn cross_entropy() {
    let (rows, vocab) = (7, 13);
    let mut r = Reference::new("cross_entropy");
    let counted = r.ints("labels").iter().filter(|&&label| label != u32::MAX).count();
    let scale = 1.0 / counted as f64;
    let op = CrossEntropy {
        logits: r.input("logits"),
        labels: r.input_ints("labels"),
        loss: r.case.output("token_loss", &[rows]),
        gradient: Some(CrossEntropyGradient {
            scalars: scalars_with(&mut r.case, "scalars", scalars::NTP_SCALE, scale),
            index: scalars::NTP_SCALE,
            weight: 1.0,
        }),
        rows,
        vocab,
    };
    let mean = total(&mut r.case, op.loss, scale);
    r.case.expect(&[&op], &[(op.loss, r.get("token_loss")), (op.logits, r.get("dlogits"))]);
    r.case.expect(&[&op, &mean], &[(mean.metrics, r.get("loss"))]);
}

fn nitp(operation: &'static str, kind: NitpLoss) {
    let (rows, context, width) = (2, 7, 12);
    let mut r = Reference::new(operation);
    let scale = 1.0 / r.get("mask").iter().sum::<f64>();
    let (dp, dz) = (
        r.case.output("dp", &[rows * context, width]),
        r.case.output("dz", &[rows * context, width]),
    );
    let op = Nitp {
        p: r.input("p"),
        z: r.input("z"),
        mask: r.input_ints("mask"),
        loss: r.case.output("pair_loss", &[rows * context]),
        gradient: Some(NitpGradient {
            dp,
            dz: Some(dz),
            weight: 1.0,
            scalars: scalars_with(&mut r.case, "scalars", scalars::NITP_SCALE, scale),
            index: scalars::NITP_SCALE,
        }),
        kind,
        shift: Shift::Next,
        rows,
        context,
        width,
    };
    let mean = total(&mut r.case, op.loss, scale);
    let expected = [(op.loss, r.get("pair_loss")), (dp, r.get("dp")), (dz, r.get("dz"))];
    r.case.expect(&[&op], &expected);
    r.case.expect(&[&op, &mean], &[(mean.metrics, r.get("loss"))]);
}

#[test]
fn nitp_cosine() {
    nitp("nitp_cosine", NitpLoss::Cosine);
}

#[test]
fn nitp_mse() {
    nitp("nitp_mse", NitpLoss::Mse);
}

#[test]
fn nitp_smooth_l1() {
    nitp("nitp_smooth_l1", NitpLoss::SmoothL1);
}

#[test]
fn nitp_kl() {
    nitp("nitp_kl", NitpLoss::Kl);
}

#[test]
fn token_cosine() {
    let (rows, context, width) = (2, 7, 12);
    let mut r = Reference::new("token_cosine");
    let scale = 1.0 / rows as f64;
    let dh = r.case.output("dh", &[rows * context, width]);
    let op = TokenCosine {
        h: r.input("h"),
        loss: r.case.output("loss", &[rows]),
        gradient: Some(TokenCosineGradient {
            dh,
            accumulate: false,
            weight: 1.0,
            scalars: scalars_with(&mut r.case, "scalars", scalars::NITP_SCALE, scale),
            index: scalars::NITP_SCALE,
        }),
        inverse: r.case.output("inverse", &[rows * context]),
        partial: r.case.output("partial", &[TokenCosine::partial_rows(rows, context), width]),
        unit_sum: r.case.output("unit_sum", &[rows, width]),
        rows,
        context,
        width,
    };
    let mean = total(&mut r.case, op.loss, scale);
    r.case.expect(&[&op], &[(dh, r.get("dh"))]);
    r.case.expect(&[&op, &mean], &[(mean.metrics, r.get("loss"))]);
}

/// The choice and both gradients that reach the logits, one at a time.
fn moe_route_of(operation: &'static str, norm_topk_prob: bool) {
    let (tokens, num_experts, top_k) = (7, 5, 2);
    let mut r = Reference::new(operation);
    let route = MoeRoute {
        logits: r.input("logits"),
        probs: r.case.output("probs", &[tokens, num_experts]),
        experts: r.case.output_u32("experts", &[tokens, top_k]),
        weights: r.case.output("weights", &[tokens, top_k]),
        tokens,
        num_experts,
        top_k,
        norm_topk_prob,
    };
    let experts = show(&mut r.case, "moe_route", route.experts);
    r.case.expect(
        &[&route, &experts],
        &[
            (route.probs, r.get("probs")),
            (route.weights, r.get("weights")),
            (experts.y, r.get("experts")),
        ],
    );

    let sort = dispatch_of(&mut r.case, route.experts, num_experts);
    let balance = MoeBalance {
        probs: route.probs,
        counts: sort.counts,
        scalars: scalars_with(&mut r.case, "scalars", scalars::MICRO_SCALE, 1.0),
        scale: scalars::MICRO_SCALE,
        metrics: r.case.reals("metrics", &[1], vec![0.0]),
        metric: 0,
        load: r.case.reals("load", &[num_experts], vec![0.0; num_experts]),
        partial: r.case.output("partial", &[MoeBalance::partial_rows(tokens), num_experts]),
        tokens,
        num_experts,
        top_k,
    };
    r.case.expect(&[&route, &sort, &balance], &[(balance.metrics, r.get("balance_loss"))]);

    let dweights = r.input("dweights");
    let none = r.case.reals("no_dweights", &[tokens, top_k], vec![0.0; tokens * top_k]);
    let dlogits = r.case.output("dlogits", &[tokens, num_experts]);
    for (dweights, aux_coefficient, name) in
        [(dweights, 0.0, "dlogits"), (none, 1.0, "dlogits_balance")]
    {
        let op = MoeRouteBackward {
            dweights,
            probs: route.probs,
            experts: route.experts,
            counts: sort.counts,
            scalars: balance.scalars,
            scale: balance.scale,
            aux_coefficient,
            dlogits,
            tokens,
            num_experts,
            top_k,
            norm_topk_prob,
        };
        r.case.expect(&[&route, &sort, &op], &[(dlogits, r.get(name))]);
    }
}

#[test]
fn moe_route() {
    moe_route_of("moe_route", false);
}

#[test]
fn moe_route_normalised() {
    moe_route_of("moe_route_norm", true);
}

/// A matrix and a gain in one chunk, two steps: the first clipped, the second not.
#[test]
fn adamw() {
    let (matrix, len) = (35, 42);
    let (beta1, beta2) = (0.9, 0.95);
    let mut r = Reference::new("adamw");
    let both = |r: &Reference, name: &str| {
        ["matrix", "gain"].map(|part| r.get(&format!("{part}/{name}"))).concat()
    };
    let p0 = both(&r, "p0");
    let parameter = r.case.reals("parameter", &[len], p0);
    let [moment1, moment2] =
        ["moment1", "moment2"].map(|name| r.case.reals(name, &[len], vec![0.0; len]));
    let metrics = r.case.output("metrics", &[2]);
    let mut step = |step: usize| {
        let gradient = both(&r, &format!("g{step}"));
        let rate = r.scalar(&format!("learning_rate{step}"));
        let t = step as i32;
        let mut values = vec![0.0; scalars::LEN];
        values[scalars::LEARNING_RATE] = rate;
        values[scalars::BIAS_CORRECTION1] = 1.0 - f64::powi(beta1, t);
        values[scalars::BIAS_CORRECTION2] = 1.0 - f64::powi(beta2, t);
        let gradient = r.case.reals(&format!("gradient{step}"), &[len], gradient);
        let partials = SumOfSquares::partials(len);
        let partials = r.case.output(&format!("partials{step}"), &[partials]);
        let squares = SumOfSquares { x: gradient, partials };
        let clip = ClipFactor {
            partials,
            metrics,
            metric: step - 1,
            clip: r.case.output(&format!("clip{step}"), &[1]),
            max_norm: 1.0,
        };
        let update = Adamw {
            parameter,
            gradient,
            moment1,
            moment2,
            clip: clip.clip,
            scalars: r.case.reals(&format!("scalars{step}"), &[scalars::LEN], values),
            decay_end: matrix,
            beta1,
            beta2,
            eps: 1e-8,
            weight_decay: 0.1,
        };
        (squares, clip, update)
    };
    let (squares1, clip1, update1) = step(1);
    let (squares2, clip2, update2) = step(2);
    let norms = [r.scalar("norm1"), r.scalar("norm2")];
    assert!(norms[0] > 1.0 && norms[1] < 1.0);
    r.case.expect(&[&squares1, &squares2, &clip1, &clip2], &[(metrics, &norms)]);
    r.case.expect(&[&squares1, &clip1, &update1], &[(parameter, &both(&r, "p1"))]);
    r.case.expect(
        &[&squares1, &clip1, &update1, &squares2, &clip2, &update2],
        &[(parameter, &both(&r, "p2")), (moment1, &both(&r, "m")), (moment2, &both(&r, "v"))],
    );
}

#[test]
fn geometry_of_states() {
    let r = Reference::new("geometry");
    let states: Vec<f32> = r.get("h").iter().map(|&x| x as f32).collect();
    let found = geometry(&states, 6);
    for (name, found) in
        [("effective_rank", found.effective_rank), ("mean_cosine", found.mean_cosine)]
    {
        let expected = r.scalar(name);
        assert!(
            (found - expected).abs() < 1e-12 * expected.abs(),
            "{name} is {found}, not {expected}"
        );
    }
}

/// Every operation in the file must have a test.
#[test]
fn every_operation_has_a_test() {
    let file = Vectors::load("ops");
    let mut operations: Vec<&str> =
        file.names().filter_map(|name| Some(name.split_once('/')?.0)).collect();
    operations.dedup();
    assert_eq!(
        operations,
        [
            "adamw",
            "attention",
            "attention_documents",
            "cross_entropy",
            "geometry",
            "moe_route",
            "moe_route_norm",
            "nitp_cosine",
            "nitp_kl",
            "nitp_mse",
            "nitp_smooth_l1",
            "projector",
            "rmsnorm",
            "rope",
            "swiglu",
            "token_cosine",
        ]
    );
}
