//! A product and what is done with its result, as one op, so that a GPU may do both while results are in
//! registers. It is the two ops one after the other: their contracts, twins and fast paths.

use super::grouped_matmul::{self, GroupedMatmul};
use super::matmul::{self, Matmul};
use super::product;
use super::rope::Rope;
use super::swiglu::{Swiglu, SwigluBackward};
use super::{Access, Op, Use};
use crate::cpu::{OpMemory, Real};
use crate::kernel::{Dispatch, Variant};

/// The product.
#[derive(Clone, Copy, Debug)]
pub enum Product {
    /// Of a linear layer.
    Dense(Matmul),
    /// Of the experts, each with its rows.
    Experts(GroupedMatmul),
}

/// What is done with the product's result.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    /// Query and key heads of the result are turned; of a dense product.
    Rope(Rope),
    /// The result holds gates and what they gate.
    Swiglu(Swiglu),
    /// The result is the gradient of what came of the gates. It is written only where the GPU does both
    /// ops on their own.
    SwigluBackward(SwigluBackward),
}

/// A product, then another op on its result.
#[derive(Clone, Copy, Debug)]
pub struct FusedProduct {
    /// First.
    pub product: Product,
    /// Second; it reads or changes the product's `c`, row by row.
    pub then: Then,
}

/// Does something with either op of a kind.
macro_rules! of {
    ($kind:ident, $value:expr, $op:ident => $body:expr) => {
        of!(@$kind $value, $op => $body)
    };
    (@product $value:expr, $op:ident => $body:expr) => {
        match &$value {
            Product::Dense($op) => $body,
            Product::Experts($op) => $body,
        }
    };
    (@then $value:expr, $op:ident => $body:expr) => {
        match &$value {
            Then::Rope($op) => $body,
            Then::Swiglu($op) => $body,
            Then::SwigluBackward($op) => $body,
        }
    };
}

impl FusedProduct {
    /// Where the product's results go if the second op takes them from the registers.
    fn epilogue(&self) -> product::Epilogue {
        use product::{Epilogue, EpilogueKind};
        match &self.then {
            Then::Rope(rope) => Epilogue {
                kind: EpilogueKind::Rope,
                c: ("qkv", rope.qkv, rope.width()),
                other: Some(("table", rope.table, None)),
                constants: vec![
                    ("HALF", rope.head_dim as f64 / 2.0),
                    ("CONTEXT", rope.context as f64),
                    ("TURNING", (rope.heads() * rope.head_dim) as f64),
                ],
            },
            Then::Swiglu(gate) => Epilogue {
                kind: EpilogueKind::Swiglu,
                c: ("gate_up", gate.gate_up, 2 * gate.width),
                other: Some(("y", gate.y, Some(gate.width))),
                constants: vec![("HALF", gate.width as f64)],
            },
            Then::SwigluBackward(gate) => Epilogue {
                kind: EpilogueKind::SwigluBackward,
                c: ("dgate_up", gate.dgate_up, 2 * gate.width),
                other: Some(("gate_up", gate.gate_up, Some(2 * gate.width))),
                constants: Vec::new(),
            },
        }
    }

    /// Whether two neighbouring features and their partners are four columns of the product.
    fn pairs_are_even(&self) -> bool {
        match &self.then {
            Then::Rope(rope) => rope.head_dim.is_multiple_of(4),
            Then::Swiglu(gate) => gate.width.is_multiple_of(2),
            Then::SwigluBackward(_) => true,
        }
    }
}

impl Op for FusedProduct {
    fn name(&self) -> &'static str {
        match (&self.product, &self.then) {
            (Product::Dense(_), Then::Rope(_)) => "matmul_rope",
            (Product::Dense(_), Then::Swiglu(_)) => "matmul_swiglu",
            (Product::Dense(_), Then::SwigluBackward(_)) => "matmul_swiglu_backward",
            (Product::Experts(_), Then::Rope(_)) => panic!("experts have no heads"),
            (Product::Experts(_), Then::Swiglu(_)) => "grouped_matmul_swiglu",
            (Product::Experts(_), Then::SwigluBackward(_)) => "grouped_matmul_swiglu_backward",
        }
    }

    fn uses(&self) -> Vec<Use> {
        let mut uses = of!(product, self.product, op => Op::uses(op));
        for used in of!(then, self.then, op => Op::uses(op)) {
            match uses.iter().find(|it| it.view == used.view) {
                // The product wrote it.
                Some(product) => assert!(product.access == Access::Write, "{self:?}"),
                None => uses.push(used),
            }
        }
        if let Then::SwigluBackward(gate) = &self.then {
            uses.iter_mut()
                .filter(|it| it.view == gate.dy)
                .for_each(|it| *it = Use::scratch(it.view));
        }
        uses
    }

    fn flops(&self) -> f64 {
        of!(product, self.product, op => Op::flops(op)) + of!(then, self.then, op => Op::flops(op))
    }

    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        of!(product, self.product, op => memory.lend(&Op::uses(op), |memory| op.twin(memory)));
        of!(then, self.then, op => memory.lend(&Op::uses(op), |memory| op.twin(memory)));
    }

    fn fast(&self, memory: &OpMemory<f32>) {
        of!(product, self.product, op => memory.lend(&Op::uses(op), |it| Op::fast(op, it)));
        of!(then, self.then, op => memory.lend(&Op::uses(op), |it| Op::fast(op, it)));
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        let then = of!(then, self.then, op => Op::dispatches(op));
        [of!(product, self.product, op => Op::dispatches(op)), then].concat()
    }

    fn alternatives(&self) -> Vec<Variant> {
        let mut variants = Vec::new();
        if self.pairs_are_even() {
            let epilogue = self.epilogue();
            variants.extend(match &self.product {
                Product::Dense(op) => matmul::fused(op, &epilogue),
                Product::Experts(op) => grouped_matmul::fused(op, &epilogue),
            });
        }
        // Each op on its own, the product in all of its ways.
        let then = of!(then, self.then, op => Op::dispatches(op));
        let mut apart = of!(product, self.product, op => Op::alternatives(op));
        apart.iter_mut().for_each(|variant| variant.dispatches.extend(then.clone()));
        variants.extend(apart);
        variants
    }

    fn tuning_class(&self) -> String {
        of!(product, self.product, op => Op::tuning_class(op))
    }
}
