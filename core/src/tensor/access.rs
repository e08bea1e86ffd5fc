//! The declared access of an op to its operands.

use super::View;

/// How an op accesses a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only read.
    Read,
    /// Every element is written; none is read before.
    Write,
    /// Read and written, e.g. accumulated into.
    ReadWrite,
    /// Temporary memory of the op, which it may write. The contents are undefined afterwards.
    Scratch,
}

impl Access {
    /// Whether the op depends on the previous contents.
    pub fn reads(self) -> bool {
        matches!(self, Access::Read | Access::ReadWrite)
    }
    /// Whether the elements may change.
    pub fn writes(self) -> bool {
        self != Access::Read
    }
}

/// A view and how an op accesses it.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// The elements.
    pub view: View,
    /// Read, written or both.
    pub access: Access,
}

impl Use {
    /// A read view.
    pub fn read(view: View) -> Self {
        Self { view, access: Access::Read }
    }
    /// A view whose elements are all written.
    pub fn write(view: View) -> Self {
        Self { view, access: Access::Write }
    }
    /// A view for the op's own use.
    pub fn scratch(view: View) -> Self {
        Self { view, access: Access::Scratch }
    }
    /// A view that is read and written.
    pub fn read_write(view: View) -> Self {
        Self { view, access: Access::ReadWrite }
    }
    /// `write`, or `read_write` if the op adds to the contents.
    pub fn output(view: View, accumulate: bool) -> Self {
        if accumulate { Self::read_write(view) } else { Self::write(view) }
    }
}
