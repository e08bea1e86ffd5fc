//! The CPU executor's buffers, and the access that one op gets to them.

use std::cell::{Cell, UnsafeCell};

use super::{DType, Use, View};

/// A buffer that can lend disjoint ranges at the same time.
pub(crate) struct Buffer<T>(UnsafeCell<Box<[T]>>);

// SAFETY: ranges are handed out by `OpMemory` alone, which is not `Sync` and checks that no
// written range is handed out twice.
unsafe impl<T: Send> Send for Buffer<T> {}

impl<T: Copy + Default> Buffer<T> {
    pub(crate) fn new(len: usize) -> Self {
        Self(UnsafeCell::new(vec![T::default(); len].into_boxed_slice()))
    }
    pub(crate) fn get_mut(&mut self) -> &mut [T] {
        self.0.get_mut()
    }
    fn base(&self) -> *mut T {
        // SAFETY: only the pointer of the box is read; no reference to its elements is made.
        unsafe { (*self.0.get()).as_mut_ptr() }
    }
}

/// Which buffer a tensor lies in, and at which element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub buffer: usize,
    pub offset: usize,
    pub dtype: DType,
}

/// What one op sees of memory: the views that it declared in [`uses`](crate::ops::Op::uses), each
/// once.
///
/// # Panics
/// Every accessor panics when the op asks for a view that it did not declare (with that access),
/// asks for a written one twice, or takes one of the other element type: mistakes in an op.
pub struct OpMemory<'a, R> {
    pub(crate) slots: &'a [Slot],
    pub(crate) reals: &'a [Buffer<R>],
    pub(crate) ints: &'a [Buffer<u32>],
    pub(crate) uses: &'a [Use],
    pub(crate) taken: Cell<u64>,
}

impl<'a, R: Copy + Default> OpMemory<'a, R> {
    /// Elements of a view declared as read.
    pub fn read(&self, view: View) -> &'a [R] {
        let (buffer, offset) = self.claim(view, DType::Real, false);
        // SAFETY: `claim` found it declared; the plan builder checked that no written view of this
        // op overlaps it.
        unsafe { std::slice::from_raw_parts(self.reals[buffer].base().add(offset), view.len) }
    }

    /// Elements of a view declared as written (or read and written).
    pub fn write(&self, view: View) -> &'a mut [R] {
        let (buffer, offset) = self.claim(view, DType::Real, true);
        // SAFETY: as in `read`, and `claim` hands a written view out once.
        unsafe { std::slice::from_raw_parts_mut(self.reals[buffer].base().add(offset), view.len) }
    }

    /// Elements of an integer view declared as read.
    pub fn read_u32(&self, view: View) -> &'a [u32] {
        let (buffer, offset) = self.claim(view, DType::U32, false);
        // SAFETY: as in `read`.
        unsafe { std::slice::from_raw_parts(self.ints[buffer].base().add(offset), view.len) }
    }

    /// Elements of an integer view declared as written.
    pub fn write_u32(&self, view: View) -> &'a mut [u32] {
        let (buffer, offset) = self.claim(view, DType::U32, true);
        // SAFETY: as in `write`.
        unsafe { std::slice::from_raw_parts_mut(self.ints[buffer].base().add(offset), view.len) }
    }

    /// Lends the memory to an op that is a part of this op, with the uses that the part declares. Parts run one after
    /// the other.
    ///
    /// # Panics
    /// If the part uses a view that this op did not declare, or writes a view that this op only reads.
    pub(crate) fn lend(&self, uses: &[Use], part: impl FnOnce(&OpMemory<'_, R>)) {
        for used in uses {
            let declared = self.uses.iter().any(|it| {
                let enough = it.access.writes() || !used.access.writes();
                it.view == used.view && enough
            });
            assert!(declared, "the op did not declare {used:?}");
        }
        part(&OpMemory { uses, taken: Cell::new(0), ..*self });
    }

    fn claim(&self, view: View, dtype: DType, write: bool) -> (usize, usize) {
        let index = self
            .uses
            .iter()
            .position(|used| used.view == view && used.access.writes() == write)
            .unwrap_or_else(|| panic!("the op did not declare {view:?} (write: {write})"));
        if write {
            let bit = 1 << index;
            assert!(self.taken.get() & bit == 0, "{view:?} is taken twice");
            self.taken.set(self.taken.get() | bit);
        }
        let slot = self.slots[view.id.index()];
        // Halves are stored among the reals.
        let is_integer = |dtype| dtype == DType::U32;
        assert!(is_integer(slot.dtype) == is_integer(dtype), "{view:?} is {:?}", slot.dtype);
        (slot.buffer, slot.offset + view.offset)
    }
}
