//! Tensors: types, shapes, roles, and [`View`]s, by which ops and kernels name their operands. On the CPU, also the
//! buffers, and the access that one op gets to them ([`OpMemory`]).

mod access;
mod info;
mod memory;
mod view;

pub use access::{Access, Use};
pub use info::{Role, TensorInfo};
pub use memory::OpMemory;
pub(crate) use memory::{Buffer, Slot};
pub use view::{DType, TensorId, View};
