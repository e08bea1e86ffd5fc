//! One file for each op: its contract (shapes, maths, source), its CPU twin, its fast CPU path and its WGSL bindings. A
//! forward and its backward are a pair: `x`, `x_backward`. ARCHITECTURE.md ("To add an op") names
//! the files of a new one. `nitp bench` times all ops of the plans.

use std::fmt::Debug;
use std::iter::Sum;

use crate::kernel::{BASELINE, Dispatch, Needs, Suits, Variant};
use crate::numeric::Real;
use crate::tensor::{Access, OpMemory, Use};

pub mod tolerance;

pub mod scalars;

pub mod accumulate_sum;
pub mod adamw;
pub mod add;
pub mod attention;
pub mod copy;
pub mod cross_entropy;
pub mod embedding;
pub mod fused_product;
pub mod gather_rows;
pub mod grad_norm;
pub mod grouped_matmul;
pub mod head_norm;
pub mod loss_scale;
pub mod matmul;
pub mod moe_balance;
pub mod moe_combine;
pub mod moe_dispatch;
pub mod moe_gather;
pub mod moe_route;
pub mod multiply_add;
pub mod nitp;
mod product;
pub mod rmsnorm;
pub mod rope;
pub mod sigmoid_gate;
pub mod swiglu;
pub mod token_cosine;
pub mod token_order;

/// Work of an op, for a roofline.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations (a multiply-add counts two).
    pub flops: f64,
    /// Bytes that must move: each input read once, each output written once.
    pub bytes: f64,
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), |a, b| Self {
            flops: a.flops + b.flops,
            bytes: a.bytes + b.bytes,
        })
    }
}

/// The trait that the author of an op implements.
pub trait Op: Debug + Send + Sync {
    /// Name of the op and of its shader, e.g. `rmsnorm_backward`.
    fn name(&self) -> &'static str;

    /// All views that any executor accesses.
    fn uses(&self) -> Vec<Use>;

    /// Floating-point operations; bytes follow from [`Op::uses`].
    fn flops(&self) -> f64;

    /// The oracle: plain code from the maths, in f32 or f64. It writes every output, but need not write scratch.
    fn twin<R: Real>(&self, memory: &OpMemory<R>);

    /// The fast CPU path, tested against the twin.
    fn fast(&self, memory: &OpMemory<f32>) {
        self.twin(memory);
    }

    /// The WGSL dispatches that compute the op on any adapter, in order.
    fn dispatches(&self) -> Vec<Dispatch>;

    /// Other variants, which are faster on some adapters.
    fn alternatives(&self) -> Vec<Variant> {
        Vec::new()
    }

    /// The class of ops that share one measurement: a text of those sizes and properties that decide which variant is
    /// the fastest. Needed if there are alternatives.
    fn tuning_class(&self) -> String {
        String::new()
    }
}

/// The object-safe form of [`Op`] in plans; implemented for every `Op`.
pub trait DynOp: Debug + Send + Sync {
    /// See [`Op::name`].
    fn name(&self) -> &'static str;
    /// See [`Op::uses`].
    fn uses(&self) -> Vec<Use>;
    /// FLOPs and compulsory bytes.
    fn cost(&self) -> Cost;
    /// See [`Op::twin`].
    #[cfg(feature = "oracle")]
    fn twin_f32(&self, memory: &OpMemory<f32>);
    /// See [`Op::twin`].
    #[cfg(feature = "oracle")]
    fn twin_f64(&self, memory: &OpMemory<f64>);
    /// See [`Op::fast`].
    fn fast(&self, memory: &OpMemory<f32>);
    /// All variants of the op on a GPU: [`Op::dispatches`] as [`BASELINE`], then
    /// [`Op::alternatives`].
    fn variants(&self) -> Vec<Variant>;
    /// `{name} {class}`: see [`Op::tuning_class`].
    fn tuning_key(&self) -> String;
}

impl<T: Op> DynOp for T {
    fn name(&self) -> &'static str {
        Op::name(self)
    }
    fn uses(&self) -> Vec<Use> {
        Op::uses(self)
    }
    fn cost(&self) -> Cost {
        let bytes: u64 = Op::uses(self)
            .iter()
            .map(|used| {
                let times = match used.access {
                    Access::Read | Access::Write => 1,
                    Access::ReadWrite => 2,
                    Access::Scratch => 0,
                };
                times * used.view.bytes()
            })
            .sum();
        Cost { flops: self.flops(), bytes: bytes as f64 }
    }
    #[cfg(feature = "oracle")]
    fn twin_f32(&self, memory: &OpMemory<f32>) {
        self.twin(memory);
    }
    #[cfg(feature = "oracle")]
    fn twin_f64(&self, memory: &OpMemory<f64>) {
        self.twin(memory);
    }
    fn fast(&self, memory: &OpMemory<f32>) {
        Op::fast(self, memory);
    }
    fn variants(&self) -> Vec<Variant> {
        let mut variants = vec![Variant {
            name: BASELINE,
            suits: Suits::All,
            needs: Needs::default(),
            dispatches: self.dispatches(),
        }];
        variants.extend(self.alternatives());
        variants
    }
    fn tuning_key(&self) -> String {
        format!("{} {}", Op::name(self), self.tuning_class())
    }
}
