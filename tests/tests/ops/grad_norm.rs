use nitp_core::ops::grad_norm::{ClipFactor, SumOfSquares};
use nitp_core::tensor::View;
use nitp_tests::op_case::OpCase;

const METRIC: usize = 3;

/// The norm of chunks of gradients: a sum of squares each, then the clip factor.
struct Norm {
    squares: Vec<SumOfSquares>,
    clip: ClipFactor,
}

impl Norm {
    fn new(case: &mut OpCase, chunks: Vec<Vec<f64>>, max_norm: f64) -> Self {
        let counts: Vec<usize> =
            chunks.iter().map(|chunk| SumOfSquares::partials(chunk.len())).collect();
        let partials = case.output("partials", &[counts.iter().sum()]);
        let mut first = 0;
        let squares = chunks
            .into_iter()
            .zip(counts)
            .enumerate()
            .map(|(i, (chunk, count))| {
                first += count;
                SumOfSquares {
                    x: case.reals(&format!("chunk{i}"), &[chunk.len()], chunk),
                    partials: partials.slice(first - count, count),
                }
            })
            .collect();
        let clip = ClipFactor {
            partials,
            metrics: case.random("metrics", &[8]),
            metric: METRIC,
            clip: case.output("clip", &[1]),
            max_norm,
        };
        Self { squares, clip }
    }

    fn outputs(&self) -> [View; 2] {
        [self.clip.metrics, self.clip.clip]
    }

    fn check(&self, case: &OpCase) {
        case.check(&self.ops(), &self.outputs());
    }

    /// The norm and the factor of the f64 twin.
    fn twin(&self, case: &OpCase) -> (f64, f64) {
        let results = case.twin(&self.ops(), &self.outputs());
        (results[0][METRIC], results[1][0])
    }

    fn ops(&self) -> Vec<&dyn nitp_tests::op_case::CloneOp> {
        let squares = self.squares.iter().map(|op| op as _);
        squares.chain(std::iter::once(&self.clip as _)).collect()
    }
}

#[test]
fn norm_and_factor_on_every_executor() {
    // Chunks of one element, around a partial's 64 elements, of many blocks and of most partials.
    for lens in [vec![1], vec![63, 65], vec![4097, 1, 300_007], vec![9_000_001]] {
        for max_norm in [0.0, 0.5, 1e6] {
            let mut case = OpCase::new(lens.len() as u64);
            let chunks =
                lens.iter().map(|&len| (0..len).map(|_| case.uniform()).collect()).collect();
            let norm = Norm::new(&mut case, chunks, max_norm);
            norm.check(&case);
        }
    }
}

#[test]
fn a_norm_above_the_limit_is_clipped_to_it() {
    let mut case = OpCase::new(1);
    let norm = Norm::new(&mut case, vec![vec![3.0, 0.0], vec![-4.0, 12.0]], 2.0);
    norm.check(&case);
    assert_eq!(norm.twin(&case), (13.0, 2.0 / (13.0 + 1e-6)));
}

#[test]
fn a_norm_below_the_limit_is_left_alone() {
    for max_norm in [13.5, 0.0] {
        let mut case = OpCase::new(2);
        let norm = Norm::new(&mut case, vec![vec![3.0, 0.0], vec![-4.0, 12.0]], max_norm);
        norm.check(&case);
        assert_eq!(norm.twin(&case), (13.0, 1.0));
    }
}

#[test]
fn a_gradient_of_zero_has_a_factor_of_one() {
    for max_norm in [0.0, 1.0] {
        let mut case = OpCase::new(3);
        let norm = Norm::new(&mut case, vec![vec![0.0; 70]], max_norm);
        norm.check(&case);
        assert_eq!(norm.twin(&case), (0.0, 1.0));
    }
}
