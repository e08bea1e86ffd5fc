//! Multinomial logistic regression with an L2 penalty, the linear probe.
//! The objective is implemented here, because linfa-logistic has two rows of weights for two classes, which halves
//! scikit-learn's penalty, clips small probabilities by the largest logit of all rows, has no sparse rows, and has
//! forty dependencies. It is minimised by this crate's own L-BFGS, because line searches of argmin, which linfa uses,
//! may not terminate.

use nalgebra::{DMatrix, DMatrixView, DVector};

use crate::error::{not_empty, same_length};
use crate::lbfgs::{Minimum, minimize};
use crate::{Error, Features};

/// The settings of a fit. The defaults are those of scikit-learn's `LogisticRegression`, as in MTEB's classification
/// tasks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// `C`: weight of the summed loss relative to `½‖W‖²`; above 0; infinite for no penalty.
    pub inverse_regularization: f64,
    /// Largest number of L-BFGS iterations.
    pub max_iterations: usize,
    /// L-BFGS stops if no entry of the gradient of the mean loss with its penalty is larger than this.
    pub tolerance: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { inverse_regularization: 1.0, max_iterations: 100, tolerance: 1e-4 }
    }
}

/// A fitted regression.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    classes: Vec<usize>,
    /// `[outputs, width]`: one output for two classes, else one per class.
    weights: DMatrix<f64>,
    /// `[outputs]`
    intercepts: Vec<f64>,
    iterations: usize,
    converged: bool,
}

/// Fits `P(class) = softmax(W x + b)` to rows `x` and their class ids, by minimising `C Σ loss + ½‖W‖²`, starting from
/// zero. The intercepts `b` are not penalised.
///
/// Two classes have one output, the logit of the larger id, as in scikit-learn's
/// `LogisticRegression(solver="lbfgs")`; more have one each. A class without a row is not fitted
/// and is never predicted. Everything is computed in f64.
///
/// # Errors
/// [`Error::Empty`]; [`Error::Lengths`]; [`Error::OneClass`]; [`Error::Setting`].
pub fn fit(features: &Features, labels: &[usize], settings: Settings) -> Result<Model, Error> {
    not_empty(labels, "labels")?;
    same_length(("rows", features.rows()), ("labels", labels.len()))?;
    settings.check()?;
    let mut classes = labels.to_vec();
    classes.sort_unstable();
    classes.dedup();
    if classes.len() == 1 {
        return Err(Error::OneClass { class: classes[0].to_string(), count: labels.len() });
    }
    let place = |label| classes.binary_search(label).expect("classes has each label");
    let targets = labels.iter().map(place).collect();
    let outputs = if classes.len() == 2 { 1 } else { classes.len() };
    let penalty = 1.0 / (settings.inverse_regularization * labels.len() as f64);
    let objective = Objective { features, targets, outputs, penalty };

    let width = features.width();
    let start = DVector::zeros(outputs * (width + 1));
    let function = |parameters: &DVector<f64>| objective.evaluate(parameters.as_slice());
    let Minimum { parameters, iterations, converged } =
        minimize(function, start, settings.max_iterations, settings.tolerance);
    let (weights, intercepts) = parameters.as_slice().split_at(outputs * width);
    Ok(Model {
        weights: DMatrix::from_column_slice(outputs, width, weights),
        intercepts: intercepts.to_vec(),
        classes,
        iterations,
        converged,
    })
}

impl Settings {
    fn check(self) -> Result<(), Error> {
        let Self { inverse_regularization, max_iterations, tolerance } = self;
        for (setting, value, may_be, allowed) in [
            ("C", inverse_regularization, inverse_regularization > 0.0, "above 0"),
            ("the number of iterations", max_iterations as f64, max_iterations > 0, "above 0"),
            (
                "the tolerance",
                tolerance,
                tolerance > 0.0 && tolerance.is_finite(),
                "above 0 and finite",
            ),
        ] {
            if !may_be {
                return Err(Error::Setting { setting, value, allowed });
            }
        }
        Ok(())
    }
}

impl Model {
    /// The class ids that occurred, ascending.
    pub fn classes(&self) -> &[usize] {
        &self.classes
    }

    /// The weights, row-major `[outputs, width]`; `coef_` of scikit-learn.
    pub fn coefficients(&self) -> Vec<f64> {
        self.weights.transpose().as_slice().to_vec()
    }

    /// The intercepts, `[outputs]`.
    pub fn intercepts(&self) -> &[f64] {
        &self.intercepts
    }

    /// Number of iterations of the fit.
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// Whether the gradient reached the tolerance. Otherwise the limit of iterations was reached, or rounding left no
    /// better weights.
    pub fn converged(&self) -> bool {
        self.converged
    }

    /// The most probable class id of each row; ties by the smallest id.
    ///
    /// # Errors
    /// [`Error::Width`].
    pub fn predict(&self, features: &Features) -> Result<Vec<usize>, Error> {
        features.same_width(self.weights.ncols())?;
        let logits = logits(features, &self.weights.as_view(), &self.intercepts);
        let predicted = logits.column_iter().map(|logits| {
            let place = match logits.as_slice() {
                [logit] => usize::from(*logit > 0.0),
                logits => crate::classification::argmax(logits),
            };
            self.classes[place]
        });
        Ok(predicted.collect())
    }
}

/// `[outputs, rows]`
fn logits(features: &Features, weights: &DMatrixView<'_, f64>, intercepts: &[f64]) -> DMatrix<f64> {
    let mut logits = features.weighted(weights);
    for mut logits in logits.column_iter_mut() {
        for (logit, intercept) in logits.iter_mut().zip(intercepts) {
            *logit += intercept;
        }
    }
    logits
}

/// The mean loss with its penalty.
///
/// Its parameters are the weights, column-major `[outputs, width]`, then the intercepts.
struct Objective<'a> {
    features: &'a Features,
    /// For each row, the index of its class.
    targets: Vec<usize>,
    outputs: usize,
    /// `1 / (C rows)`
    penalty: f64,
}

impl Objective<'_> {
    /// The value and the gradient.
    fn evaluate(&self, parameters: &[f64]) -> (f64, DVector<f64>) {
        let width = self.features.width();
        let (weights, intercepts) = parameters.split_at(self.outputs * width);
        let weights = DMatrixView::from_slice(weights, self.outputs, width);
        // Becomes the gradient of the loss in the logits: probabilities minus 1 for the target.
        let mut residuals = logits(self.features, &weights, intercepts);
        let mut loss = 0.0;
        for (mut column, &target) in residuals.column_iter_mut().zip(&self.targets) {
            match column.as_mut_slice() {
                [logit] => {
                    // ln(1 + exp(∓logit)), the logit being that of target 1.
                    loss += softplus(if target == 1 { -*logit } else { *logit });
                    *logit = 1.0 / (1.0 + (-*logit).exp()) - target as f64;
                }
                logits => {
                    let normalizer = log_sum_exp(logits);
                    loss += normalizer - logits[target];
                    logits.iter_mut().for_each(|logit| *logit = (*logit - normalizer).exp());
                    logits[target] -= 1.0;
                }
            }
        }
        let share = 1.0 / self.targets.len() as f64;
        residuals *= share;
        let value = share * loss + 0.5 * self.penalty * weights.norm_squared();
        let of_weights = self.features.combined(&residuals) + weights * self.penalty;
        let of_intercepts = residuals.column_sum();
        let gradient = of_weights.iter().chain(of_intercepts.iter()).copied();
        (value, DVector::from_iterator(parameters.len(), gradient))
    }
}

/// `ln(1 + exp(x))` for any x.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn log_sum_exp(logits: &[f64]) -> f64 {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + logits.iter().map(|logit| (logit - largest).exp()).sum::<f64>().ln()
}
