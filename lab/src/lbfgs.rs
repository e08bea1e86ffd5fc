//! L-BFGS for smooth convex functions (Liu & Nocedal 1989; Nocedal & Wright 2006, algorithm 7.4).
//!
//! Own code: argmin, the usual crate, has no limit of evaluations in a line search, and on rows of the
//! kind that the tests draw its search after More and Thuente went on with NaN without end.

use std::collections::VecDeque;

use nalgebra::DVector;

/// How many of its last steps are remembered; scipy's number.
const MEMORY: usize = 10;

/// Evaluations of one line search at most. Each halves or doubles the step; what 2^100 does not bridge
/// is no scale that features have.
const LINE_EVALUATIONS: usize = 100;

/// Wolfe's conditions, with the constants of Nocedal & Wright: a step lowers the function by this
/// share of what its slope promises...
const DECREASE: f64 = 1e-4;
/// ...and the slope to this share of what it was.
const CURVATURE: f64 = 0.9;

/// Where a search ended.
pub struct Minimum {
    pub parameters: DVector<f64>,
    pub iterations: usize,
    /// Whether the gradient is as small as asked for.
    pub converged: bool,
}

/// A place on the way.
struct Point {
    parameters: DVector<f64>,
    value: f64,
    gradient: DVector<f64>,
}

/// Minimises a function, given as value and gradient, from `start` on, until no entry of the gradient
/// is larger than `tolerance`, `max_iterations` have passed, or rounding leaves no step that lowers
/// the value.
pub fn minimize(
    function: impl Fn(&DVector<f64>) -> (f64, DVector<f64>),
    start: DVector<f64>,
    max_iterations: usize,
    tolerance: f64,
) -> Minimum {
    let at = |parameters: DVector<f64>| {
        let (value, gradient) = function(&parameters);
        Point { parameters, value, gradient }
    };
    let mut point = at(start);
    let mut history = History(VecDeque::with_capacity(MEMORY));
    let mut iterations = 0;
    while iterations < max_iterations && point.gradient.amax() > tolerance {
        let direction = history.direction(&point.gradient);
        // Without a history nothing is known of the scale, and a step of length 1 is tried.
        let first = if history.0.is_empty() { 1.0 / direction.norm().max(1.0) } else { 1.0 };
        let Some(next) = line_search(&at, &point, &direction, first) else { break };
        history.push(&next.parameters - &point.parameters, &next.gradient - &point.gradient);
        point = next;
        iterations += 1;
    }
    let converged = point.gradient.amax() <= tolerance;
    Minimum { parameters: point.parameters, iterations, converged }
}

/// The point on the line that fulfils Wolfe's conditions, or the lowest found that fulfils the first
/// of them; none if no step does. By doubling and bisection (Lewis & Overton 2013, algorithm 2.6).
fn line_search(
    at: &impl Fn(DVector<f64>) -> Point,
    start: &Point,
    direction: &DVector<f64>,
    mut step: f64,
) -> Option<Point> {
    let slope = start.gradient.dot(direction);
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let mut best = None;
    for _ in 0..LINE_EVALUATIONS {
        let point = at(&start.parameters + direction * step);
        // Written so that a value that is not a number is no decrease.
        let decreases =
            point.value < start.value && point.value <= start.value + DECREASE * step * slope;
        if decreases {
            let flat = point.gradient.dot(direction) >= CURVATURE * slope;
            best = Some(point);
            if flat {
                return best;
            }
            low = step;
        } else {
            high = step;
        }
        step = if high.is_finite() { (low + high) / 2.0 } else { 2.0 * low };
    }
    best
}

/// The last steps and by how much the gradient changed in each, the oldest first.
struct History(VecDeque<(DVector<f64>, DVector<f64>)>);

impl History {
    fn push(&mut self, step: DVector<f64>, change: DVector<f64>) {
        // Where rounding hides the curvature, the step tells nothing of it.
        if step.dot(&change) <= 0.0 {
            return;
        }
        if self.0.len() == MEMORY {
            self.0.pop_front();
        }
        self.0.push_back((step, change));
    }

    /// Minus the inverse Hessian, as far as it is known, times the gradient.
    fn direction(&self, gradient: &DVector<f64>) -> DVector<f64> {
        let mut direction = -gradient;
        let mut factors = Vec::with_capacity(self.0.len());
        for (step, change) in self.0.iter().rev() {
            let factor = step.dot(&direction) / step.dot(change);
            direction.axpy(-factor, change, 1.0);
            factors.push(factor);
        }
        if let Some((step, change)) = self.0.back() {
            direction *= step.dot(change) / change.norm_squared();
        }
        for ((step, change), factor) in self.0.iter().zip(factors.into_iter().rev()) {
            let correction = factor - change.dot(&direction) / step.dot(change);
            direction.axpy(correction, step, 1.0);
        }
        direction
    }
}
