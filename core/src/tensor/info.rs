//! Name, shape and role of a tensor.

use super::DType;

/// Purpose of a tensor; determines its buffer and its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A trained weight, shared by all plans over one store.
    Parameter,
    /// The gradient of a parameter; zeroed when a step begins, accumulated by every micro-batch.
    Gradient,
    /// AdamW's first moment of a parameter.
    Moment1,
    /// AdamW's second moment of a parameter.
    Moment2,
    /// Written by the host before each micro-batch.
    Input,
    /// Written by the host once, after loading: tables.
    Constant,
    /// Lives for the whole run of a plan and can be read back; zeroed when a run begins.
    State,
    /// Lives as long as the loaded plan: no run zeroes it.
    Kept,
    /// Lives from its first write to its last read, in the arena.
    Activation,
}

/// Name, shape and role of a tensor.
#[derive(Clone, Debug)]
pub struct TensorInfo {
    /// Unique within the plan, e.g. `layers.0.attention.qkv`.
    pub name: String,
    /// Row-major extents.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
    /// Its purpose.
    pub role: Role,
}

impl TensorInfo {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
