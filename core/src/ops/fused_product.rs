//! A product followed by an op on its result, as one op, so that a GPU can compute both while results are in registers.
//! Contract, twin and fast path are those of the two ops one after the other.

use super::Op;
use super::grouped_matmul::{self, GroupedMatmul};
use super::matmul::{self, Matmul};
use super::product;
use super::rope::Rope;
use super::swiglu::{Swiglu, SwigluBackward};
use crate::kernel::{Dispatch, Variant};
use crate::numeric::Real;
use crate::tensor::{Access, OpMemory, Use};

/// The product.
#[derive(Clone, Copy, Debug)]
pub enum Product {
    /// The product of a linear layer.
    Dense(Matmul),
    /// The products of experts with their rows.
    Experts(GroupedMatmul),
}

/// The op on the product's result.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    /// Rotates the query and key heads of a dense product.
    Rope(Rope),
    /// Applies SwiGLU's gates; the result holds the gates and their operands.
    Swiglu(Swiglu),
    /// Backward of SwiGLU; the result is the gradient of SwiGLU's output. It is written to memory only if the GPU runs
    /// both ops separately.
    SwigluBackward(SwigluBackward),
}

/// A product, then another op on its result.
#[derive(Clone, Copy, Debug)]
pub struct FusedProduct {
    /// The first op.
    pub product: Product,
    /// The second op, which reads or changes the product's `c` row by row.
    pub then: Then,
}

/// Evaluates an expression with the op of either kind.
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
    /// The epilogue of the product, if the second op takes the results from registers.
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

    /// Whether two neighbouring features and their partners are always four columns of the product.
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
                // The product's result.
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
        // The two ops separately, with every variant of the product.
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
