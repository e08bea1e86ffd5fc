//! Types of elements, and ranges of tensors: the operands of ops and kernels.

/// Element type of a tensor. `Real` is f32 on every executor except the f64 oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// A real number: f32 (or f64 in the CPU oracle).
    Real,
    /// A real number of half the size: f16 on a GPU. The CPU holds it as f32 and rounds it to f16
    /// after each op that writes it; the f64 oracle does not round.
    Half,
    /// An unsigned 32-bit integer: token ids, expert indices, counts.
    U32,
}

impl DType {
    /// Every type.
    pub const ALL: [DType; 3] = [DType::Real, DType::Half, DType::U32];

    /// Bytes of an element on a GPU.
    pub const fn bytes(self) -> usize {
        match self {
            DType::Real | DType::U32 => 4,
            DType::Half => 2,
        }
    }

    /// Alignment of bindings in elements: WebGPU binds storage at multiples of 256 bytes.
    pub const fn alignment(self) -> usize {
        256 / self.bytes()
    }
}

/// Identifies a tensor within one [`Plan`](crate::plan::Plan).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub(crate) u32);

impl TensorId {
    /// Position in [`Plan::tensors`](crate::plan::Plan::tensors).
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A contiguous range of a tensor's elements, which ops read and write.
///
/// `offset` must be a multiple of [`DType::alignment`] so that a GPU can bind the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The tensor.
    pub id: TensorId,
    /// First element.
    pub offset: usize,
    /// Number of elements.
    pub len: usize,
    /// Type of the elements: the tensor's.
    pub dtype: DType,
}

impl View {
    /// [`DType::alignment`] of types of four bytes.
    pub const ALIGNMENT: usize = DType::Real.alignment();

    /// The first `len` elements of the scratch memory that the GPU executor lends to one op at a time. Dispatches of a
    /// [`Variant`](crate::kernel::Variant) pass intermediate results to later dispatches in it.
    pub fn scratch(len: usize) -> View {
        View { id: TensorId(u32::MAX), offset: 0, len, dtype: DType::Real }
    }

    /// The `len` elements of scratch memory from `offset` on.
    pub fn scratch_from(offset: usize, len: usize) -> View {
        View { offset, ..View::scratch(len) }
    }

    /// Whether this is a range of the scratch memory.
    pub fn is_scratch(self) -> bool {
        self.id.0 == u32::MAX
    }

    /// The elements `offset..offset + len` of this view.
    ///
    /// # Panics
    /// If the range exceeds the view or its start is not aligned: a mistake in a plan builder.
    // Plan builders call it in many places, once for each plan: copies of it would make the page larger.
    #[inline(never)]
    pub fn slice(self, offset: usize, len: usize) -> View {
        assert!(offset + len <= self.len, "slice {offset}+{len} of a view of {}", self.len);
        assert!(offset.is_multiple_of(self.dtype.alignment()), "slice at {offset} is not aligned");
        View { offset: self.offset + offset, len, ..self }
    }

    /// Bytes of the elements on a GPU.
    pub fn bytes(self) -> u64 {
        (self.dtype.bytes() * self.len) as u64
    }

    /// Whether two views share an element.
    pub fn overlaps(self, other: View) -> bool {
        self.id == other.id
            && self.offset < other.offset + other.len
            && other.offset < self.offset + self.len
    }
}
