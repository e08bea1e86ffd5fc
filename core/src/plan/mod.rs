//! A plan: the static list of ops on named tensors that one training step (or evaluation, or
//! generation) runs. Built once by `model`, executed by `cpu` or `gpu`.

mod builder;
mod layout;

pub use builder::PlanBuilder;
pub use layout::{
    Layout, LayoutError, Limits, Packed, ParameterLayout, Place, Space, gradient_name, packed_name,
};

use crate::ops::{Cost, DynOp};
use crate::tensor::{DType, Role, TensorId, TensorInfo, View};

/// One op and its place in the model.
pub struct Node {
    /// The op, with its views and sizes.
    pub op: Box<dyn DynOp>,
    /// The part of the model that planned it, e.g. `layers.0.attention`. Labels on the GPU are `{scope}.{op}`.
    pub scope: String,
}

/// A compiled list of ops over tensors.
///
/// A run executes [`Plan::prepare`] once, [`Plan::micro`] once for each micro-batch, then
/// [`Plan::update`] once.
pub struct Plan {
    /// Name for messages: `train`, `evaluate`, `decode`.
    pub name: String,
    /// All tensors, indexed by [`TensorId`].
    pub tensors: Vec<TensorInfo>,
    /// Ops whose results all micro-batches of a step share: working copies of the weights.
    pub prepare: Vec<Node>,
    /// Forward and backward of one micro-batch.
    pub micro: Vec<Node>,
    /// Clip and optimizer, once a step.
    pub update: Vec<Node>,
}

impl Plan {
    /// The tensor behind an id.
    pub fn info(&self, id: TensorId) -> &TensorInfo {
        &self.tensors[id.index()]
    }

    /// A view of the whole tensor of this name. Activations are not found.
    pub fn find(&self, name: &str) -> Option<View> {
        let index = self
            .tensors
            .iter()
            .position(|tensor| tensor.role != Role::Activation && tensor.name == name)?;
        let TensorInfo { dtype, .. } = self.tensors[index];
        let id = TensorId(index as u32);
        Some(View { id, offset: 0, len: self.tensors[index].len(), dtype })
    }

    /// Checks that two plans have the same [kept](Role::Kept) tensors in the same order, and so at the same places, and
    /// can share their memory. Panics otherwise.
    pub(crate) fn assert_keeps_as(&self, other: &Plan) {
        let kept = |plan: &Plan| -> Vec<(String, Vec<usize>, DType)> {
            let kept = plan.tensors.iter().filter(|info| info.role == Role::Kept);
            kept.map(|info| (info.name.clone(), info.shape.clone(), info.dtype)).collect()
        };
        assert_eq!(kept(self), kept(other), "what `{}` and `{}` keep", self.name, other.name);
    }

    /// All ops in the order of execution, for one micro-batch.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.prepare.iter().chain(&self.micro).chain(&self.update)
    }

    /// Floating-point operations and bytes of a run with one micro-batch.
    pub fn cost(&self) -> Cost {
        self.nodes().map(|node| node.op.cost()).sum()
    }
}
