//! L-BFGS for smooth convex functions (Liu & Nocedal 1989; Nocedal & Wright 2006, algorithm 7.4).
//! This is own code: argmin, the usual crate, has no limit on the evaluations of a line search, and its search by Moré
//! and Thuente looped forever on NaN with rows as in the tests.

use std::collections::VecDeque;

use nalgebra::DVector;

/// Number of stored steps; scipy's default.
const MEMORY: usize = 10;

/// Largest number of evaluations of one line search. Each halves or doubles the step; no scale of features needs a
/// factor above 2^100.
const LINE_EVALUATIONS: usize = 100;

/// Wolfe's conditions, with the constants of Nocedal & Wright: a step lowers the function by at least this share of the
/// decrease predicted by the slope...
const DECREASE: f64 = 1e-4;
/// ...and the slope to at most this share of its value before.
const CURVATURE: f64 = 0.9;

/// The result of a minimisation.
pub struct Minimum {
    pub parameters: DVector<f64>,
    pub iterations: usize,
    /// Whether the gradient is within the tolerance.
    pub converged: bool,
}

/// A point with its value and gradient.
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
        // Without a history the scale is unknown, so a step of length 1 is tried.
        let first = if history.0.is_empty() { 1.0 / direction.norm().max(1.0) } else { 1.0 };
        let Some(next) = line_search(&at, &point, &direction, first) else { break };
        history.push(&next.parameters - &point.parameters, &next.gradient - &point.gradient);
        point = next;
        iterations += 1;
    }
    let converged = point.gradient.amax() <= tolerance;
    Minimum { parameters: point.parameters, iterations, converged }
}

/// A point on the line that satisfies Wolfe's conditions, or the lowest point found that satisfies the first one; none
/// if no step does. By doubling and bisection (Lewis & Overton 2013, algorithm 2.6).
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
        // Written so that NaN is no decrease.
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

/// The last steps and the changes of the gradient in them, the oldest first.
struct History(VecDeque<(DVector<f64>, DVector<f64>)>);

impl History {
    fn push(&mut self, step: DVector<f64>, change: DVector<f64>) {
        // If rounding hides the curvature, the step gives no information about it.
        if step.dot(&change) <= 0.0 {
            return;
        }
        if self.0.len() == MEMORY {
            self.0.pop_front();
        }
        self.0.push_back((step, change));
    }

    /// The search direction: minus the approximate inverse Hessian times the gradient.
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
