//! GEMM crates on the products of a training step: `gemm_crates tiny tiny-moe small`.
//!
//! Every linear layer of a preset, forward and both of its gradients, as often as a step has it.
//! Each crate with its own threads, and some with the product cut into a part for each thread, as
//! nitp's executor does it. In turns; the median of each.

mod crates;
mod shapes;

use std::time::Instant;

use crates::{Job, WAYS};
use shapes::{Kind, Product, products};

/// Times that each is run.
const REPEATS: usize = 15;

fn main() {
    let mut presets: Vec<String> = std::env::args().skip(1).collect();
    if presets.is_empty() {
        presets.push("tiny".to_owned());
    }
    print!("| products | GFLOP |");
    WAYS.iter().for_each(|way| print!(" {} |", way.name));
    println!("\n| --- | ---: |{}", " ---: |".repeat(WAYS.len()));
    for preset in presets {
        let config = nitp_core::config::preset(&preset).unwrap_or_else(|error| panic!("{error}"));
        let mut all = Row::default();
        for kind in [Kind::Forward, Kind::InputGradient, Kind::WeightGradient] {
            let mut row = Row::default();
            for product in products(&config).iter().filter(|product| product.kind == kind) {
                row.add(product);
            }
            row.print(&format!("{preset}, {}", kind.words()));
            all.merge(&row);
        }
        all.print(&format!("{preset}, all"));
    }
}

/// Some products: their FLOPs, and the seconds that each way takes for them.
#[derive(Default)]
struct Row {
    flops: f64,
    seconds: [f64; WAYS.len()],
}

impl Row {
    fn add(&mut self, product: &Product) {
        let calls = product.calls as f64;
        self.flops += calls * product.flops();
        let medians = measure(product);
        for (sum, seconds) in self.seconds.iter_mut().zip(medians) {
            *sum += calls * seconds;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.flops += other.flops;
        self.seconds.iter_mut().zip(other.seconds).for_each(|(sum, seconds)| *sum += seconds);
    }

    /// In GFLOP/s.
    fn print(&self, name: &str) {
        print!("| {name} | {:.1} |", 1e-9 * self.flops);
        self.seconds.iter().for_each(|seconds| print!(" {:.0} |", 1e-9 * self.flops / seconds));
        println!();
    }
}

/// Median seconds of each way.
fn measure(product: &Product) -> [f64; WAYS.len()] {
    let (m, n, k) = product.size;
    let numbers = |len: usize, step: usize| -> Vec<f32> {
        (0..len).map(|i| (i * step % 1000) as f32 * 1e-3 - 0.5).collect()
    };
    let (a, b) = (numbers(m * k, 7919), numbers(k * n, 104_729));
    let (mut right, mut c) = (vec![0.0; m * n], vec![0.0; m * n]);
    (WAYS[0].run)(Job::new(product, &a, &b, &mut right, false));
    for way in &WAYS {
        (way.run)(Job::new(product, &a, &b, &mut c, false));
        let off = c.iter().zip(&right).map(|(c, right)| (c - right).abs()).fold(0.0, f32::max);
        assert!(off < 1e-2, "{} is off by {off} in {product:?}", way.name);
    }
    let mut seconds = [const { Vec::new() }; WAYS.len()];
    for _ in 0..REPEATS {
        for (way, seconds) in WAYS.iter().zip(&mut seconds) {
            let job = Job::new(product, &a, &b, &mut c, product.accumulates());
            let begin = Instant::now();
            (way.run)(job);
            seconds.push(begin.elapsed().as_secs_f64());
        }
    }
    seconds.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}
