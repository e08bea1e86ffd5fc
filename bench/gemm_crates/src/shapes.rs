//! The matrix products of a training step.

use nitp_core::config::Config;
use nitp_core::model::parameters;

/// Which of a linear layer's products.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `y = x wᵀ`.
    Forward,
    /// `dx = dy w`.
    InputGradient,
    /// `dw += dyᵀ x`.
    WeightGradient,
}

impl Kind {
    pub fn words(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::InputGradient => "input's gradient",
            Self::WeightGradient => "weight's gradient",
        }
    }
}

/// A product `c [m, n] (+)= a b`, summed over k.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    pub kind: Kind,
    /// m, n, k.
    pub size: (usize, usize, usize),
    /// In a step.
    pub calls: usize,
}

impl Product {
    pub fn flops(&self) -> f64 {
        let (m, n, k) = self.size;
        2.0 * (m * n * k) as f64
    }

    pub fn accumulates(&self) -> bool {
        self.kind == Kind::WeightGradient
    }

    /// (row stride, column stride) of `a [m, k]` and `b [k, n]`.
    pub fn strides(&self) -> [(usize, usize); 2] {
        let (m, n, k) = self.size;
        match self.kind {
            Kind::Forward => [(k, 1), (1, k)],
            Kind::InputGradient => [(k, 1), (n, 1)],
            Kind::WeightGradient => [(1, m), (n, 1)],
        }
    }
}

/// Of every linear layer. The unembedding is taken in chunks of 2^18 logits, as the model does it;
/// each expert gets its share of the rows.
pub fn products(config: &Config) -> Vec<Product> {
    let tokens = config.train.batch_size * config.train.context_length;
    let mut products = Vec::new();
    for parameter in parameters(config) {
        let (rows, outputs, inputs, calls) = match (parameter.name.as_str(), &*parameter.shape) {
            ("embed_tokens", _) | (_, [_]) => continue,
            ("lm_head", &[outputs, inputs]) => {
                let rows = ((1 << 18) / outputs).min(tokens);
                (rows, outputs, inputs, tokens / rows)
            }
            (_, &[outputs, inputs]) => (tokens, outputs, inputs, 1),
            (_, &[experts, outputs, inputs]) => {
                let moe = config.model.moe.as_ref().expect("a model with experts");
                (tokens * moe.num_experts_per_tok / experts, outputs, inputs, experts)
            }
            (name, shape) => unreachable!("{name} has the shape {shape:?}"),
        };
        for (kind, size) in [
            (Kind::Forward, (rows, outputs, inputs)),
            (Kind::InputGradient, (rows, inputs, outputs)),
            (Kind::WeightGradient, (outputs, inputs, rows)),
        ] {
            let same = |it: &&mut Product| it.kind == kind && it.size == size;
            match products.iter_mut().find(same) {
                Some(product) => product.calls += calls,
                None => products.push(Product { kind, size, calls }),
            }
        }
    }
    products
}
