//! Ten training steps of tiny models against the same steps in PyTorch float64: the files of
//! `tests/vectors`, which `tests/reference/models.py` writes.

use std::collections::BTreeSet;

use nitp_core::config::Config;
use nitp_core::cpu::CpuExecutor;
use nitp_core::data::{Batch, IGNORED_LABEL};
use nitp_core::executor::Executor;
use nitp_core::model::parameters;
use nitp_core::plan::Space;
use nitp_core::train::{BatchSource, Tensor, Tensors, learning_rate};
use nitp_tests::model_case::{StepNumbers, Steps, fast_executor, gpu_executor, layout};
use nitp_tests::vectors::Vectors;

/// Relative tolerances against PyTorch: for single numbers, and for tensors by their norms.
/// There is no absolute tolerance: if the reference is 0 (a loss that is off, the gradient of an expert without a
/// token), the executor must give 0, too.
#[derive(Clone, Copy)]
struct Bounds {
    /// Losses and gradient norm of the first step.
    first: f64,
    /// The first step's gradients, before clipping.
    gradient: f64,
    /// Losses and gradient norms of all steps.
    curves: f64,
    /// Each parameter after the last step. AdamW divides by the gradient's own size, so that an
    /// element whose gradient is near 0 moves by far more than the gradient's error.
    last: f64,
}

/// The specification's tolerances for every implementation.
const SINGLE: Bounds = Bounds { first: 1e-5, gradient: 1e-5, curves: 1e-4, last: 1e-4 };

/// The twin computes in f64 like the reference, but the step's scalars, and the gradients and parameters in the file,
/// are rounded to f32.
const DOUBLE: Bounds = Bounds { first: 5e-7, gradient: 5e-7, curves: 2e-6, last: 2e-6 };

/// The batches of a file.
struct Recorded {
    micro_batches: Vec<Batch>,
    accumulation: usize,
}

impl Recorded {
    fn new(file: &Vectors) -> Self {
        let [_, accumulation, rows, context] = file.shape("input_ids") else {
            panic!("input_ids are [steps, accumulation, rows, context]");
        };
        let len = rows * context;
        let parts = |name| file.get(name).chunks_exact(len);
        let micro_batches = parts("input_ids")
            .zip(parts("labels"))
            .zip(parts("nitp_mask"))
            .map(|((input_ids, labels), mask)| Batch {
                input_ids: input_ids.iter().map(|&id| id as u32).collect(),
                labels: labels
                    .iter()
                    .map(|&label| if label == -100.0 { IGNORED_LABEL } else { label as u32 })
                    .collect(),
                nitp_mask: mask.iter().map(|&mask| mask as u32).collect(),
                label_count: labels.iter().filter(|&&label| label != -100.0).count(),
                pair_count: mask.iter().filter(|&&mask| mask == 1.0).count(),
                document_starts: Vec::new(),
                byte_count: len,
                unknown_count: 0,
                padding_rows: 0,
            })
            .collect();
        let mut micro_batches: Vec<Batch> = micro_batches;
        if file.names().any(|name| name == "document_starts") {
            for (batch, starts) in micro_batches.iter_mut().zip(parts("document_starts")) {
                batch.document_starts = starts.iter().map(|&start| start as u32).collect();
            }
        }
        Self { micro_batches, accumulation: *accumulation }
    }
}

impl BatchSource for Recorded {
    fn train(&self, step: usize, micro: usize) -> Batch {
        self.micro_batches[step * self.accumulation + micro].clone()
    }
    fn validation_batches(&self) -> usize {
        0
    }
    fn validation(&self, _: usize) -> Batch {
        unreachable!("there are no validation batches")
    }
    fn fingerprint(&self) -> &str {
        "recorded"
    }
}

/// The tensors `group/<name>` of a file.
fn tensors(file: &Vectors, group: &str) -> Tensors {
    file.names()
        .filter_map(|name| {
            let short = name.strip_prefix(group)?.strip_prefix('/')?;
            let data = file.get(name).iter().map(|&x| x as f32).collect();
            Some((short.to_owned(), Tensor { shape: file.shape(name).to_vec(), data }))
        })
        .collect()
}

/// `|found - right| / |right|`, Euclidean; 0 if both are equal, infinite if only `right` is 0.
fn distance(found: &[f64], right: &[f64]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter().zip(right).map(|(a, b)| a - b));
    if difference == 0.0 { 0.0 } else { difference / norm(&mut right.iter().copied()) }
}

/// Distances of an executor from a file that exceed their bounds.
struct Comparison {
    failures: Vec<String>,
}

impl Comparison {
    fn add(&mut self, what: &str, distance: f64, bound: f64) {
        if distance.is_nan() || distance > bound {
            self.failures.push(format!("{what} is {distance:.1e} off, more than {bound:.0e}"));
        }
    }

    fn add_tensors(&mut self, group: &str, found: &Tensors, right: &Tensors, bound: f64) {
        let names = |tensors: &Tensors| tensors.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(found), names(right), "the parameters of {group}");
        for (name, right) in right {
            let found = &found[name];
            assert_eq!(found.shape, right.shape, "{group}/{name}");
            let real =
                |tensor: &Tensor| tensor.data.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            self.add(&format!("{group}/{name}"), distance(&real(found), &real(right)), bound);
        }
    }
}

/// Replays a file on an executor, and reports distances beyond the bounds.
fn replay<E: Executor>(
    executor: E,
    config: &Config,
    file: &Vectors,
    bounds: Bounds,
) -> Vec<String> {
    let mut comparison = Comparison { failures: Vec::new() };
    let mut steps =
        Steps::new(executor, config, &tensors(file, "init"), Box::new(Recorded::new(file)));
    for step in 0..config.train.steps {
        let StepNumbers { loss, ntp_loss, nitp_loss, balance_loss, rivals, grad_norm } =
            steps.step(step, None);
        let [mtp_loss, nextlat_loss, nextlat_kl, top_loss] = rivals;
        let numbers = [
            ("loss", loss),
            ("ntp_loss", ntp_loss),
            ("nitp_loss", nitp_loss),
            ("balance_loss", balance_loss),
            ("grad_norm", grad_norm),
            ("mtp_loss", mtp_loss),
            ("nextlat_loss", nextlat_loss),
            ("nextlat_kl", nextlat_kl),
            ("top_loss", top_loss),
        ];
        let is_in_file = |name: &str| file.names().any(|known| known == name);
        for (name, found) in numbers {
            if !is_in_file(name) {
                // The objective is off.
                assert_eq!(found, 0.0, "{name}");
                continue;
            }
            let bound = if step == 0 { bounds.first } else { bounds.curves };
            let distance = distance(&[found], &file.get(name)[step..=step]);
            comparison.add(&format!("{name} of step {step}"), distance, bound);
        }
        if step == 0 {
            // The store keeps gradients unclipped: the optimizer scales them as it reads.
            let found = steps.tensors(Space::Gradient);
            comparison.add_tensors("grad", &found, &tensors(file, "grad"), bounds.gradient);
        }
    }
    let found = steps.tensors(Space::Parameter);
    comparison.add_tensors("final", &found, &tensors(file, "final"), bounds.last);
    comparison.failures
}

/// Checks a file on the executor that `new` makes.
fn check<E: Executor>(name: &str, new: impl FnOnce(&Config) -> E, bounds: Bounds) {
    let file = Vectors::load(name);
    let config = file.metadata("config");
    let config: Config = serde_json::from_str(config).expect("the file holds a configuration");
    config.validate().expect("a valid configuration");
    assert_eq!(file.shape("loss"), [config.train.steps]);
    for (step, &rate) in file.get("learning_rate").iter().enumerate() {
        let found = learning_rate(&config.train, step);
        assert!((found - rate).abs() <= 1e-12 * rate, "step {step}: rate {found}, not {rate}");
    }
    let failures = replay(new(&config), &config, &file, bounds);
    assert!(failures.is_empty(), "{name} against PyTorch:\n{}", failures.join("\n"));
}

fn twin(config: &Config) -> CpuExecutor<f64> {
    CpuExecutor::twin(layout(&parameters(config)))
}

macro_rules! files {
    ($($name:ident)*) => {
        const FILES: &[&str] = &[$(stringify!($name)),*];

        $(mod $name {
            use super::*;

            #[test]
            fn f64_twin() {
                check(stringify!($name), twin, DOUBLE);
            }

            #[test]
            fn fast_cpu() {
                check(stringify!($name), fast_executor, SINGLE);
            }

            #[test]
            fn gpu() {
                check(stringify!($name), gpu_executor, SINGLE);
            }
        })*
    };
}

files! {
    accumulation_masked
    dense
    documents_masked
    gqa
    kl
    moe
    moe_norm_topk
    mse
    mtp
    mtp_moe
    mtp_parallel
    nextlat
    nextlat_moe
    ntp
    pre_norm
    projector_none
    qk_norm
    qkv_bias
    rivals_masked
    rope_llama3
    shared_expert_gate
    shift_current
    smooth_l1
    stop_gradient_off
    target_layer_0
    tied
    token_cosine
    top
    top_moe
}

#[test]
fn no_file_is_left_out() {
    let mut files = Vectors::list();
    // Files of other tests.
    files.retain(|name| !["geometry", "ops"].contains(&name.as_str()));
    assert_eq!(files, FILES.iter().map(|&name| name.to_owned()).collect());
}
