//! Places of tensors in memory. Parameters are packed once for all plans. Activations share an arena by liveness:
//! memory is reused after the last read of a tensor.

use std::collections::HashMap;

use thiserror::Error;

use super::Plan;
use crate::tensor::{DType, Role, TensorId, View};

/// A group of buffers with one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// Weights.
    Parameter,
    /// Gradients, laid out like the weights.
    Gradient,
    /// First moments, laid out like the weights.
    Moment1,
    /// Second moments, laid out like the weights.
    Moment2,
    /// Written by the host before each micro-batch.
    Input(DType),
    /// Written by the host once.
    Constant(DType),
    /// Kept for a run and readable.
    State(DType),
    /// Kept as long as the plan.
    Kept(DType),
    /// Activations.
    Arena(DType),
}

impl Space {
    /// The four spaces of the parameter store.
    pub const STORE: [Space; 4] =
        [Space::Parameter, Space::Gradient, Space::Moment1, Space::Moment2];

    /// Element type of the space.
    pub fn dtype(self) -> DType {
        match self {
            Space::Input(dtype)
            | Space::Constant(dtype)
            | Space::State(dtype)
            | Space::Kept(dtype)
            | Space::Arena(dtype) => dtype,
            _ => DType::Real,
        }
    }
}

/// A position: chunk and first element within a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The space.
    pub space: Space,
    /// Index of the buffer within the space. A space has several buffers if it exceeds the largest buffer size.
    pub chunk: usize,
    /// First element.
    pub offset: usize,
}

/// Largest buffer and binding of an executor, in elements of 4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Elements in one buffer.
    pub buffer: usize,
    /// Elements in one binding.
    pub binding: usize,
}

impl Limits {
    /// Elements of this type in one buffer.
    fn buffer_of(self, dtype: DType) -> usize {
        self.buffer.saturating_mul(4) / dtype.bytes()
    }

    /// Elements of this type in one tensor.
    pub(crate) fn tensor_of(self, dtype: DType) -> usize {
        self.binding.min(self.buffer).saturating_mul(4) / dtype.bytes()
    }

    /// No limit: the CPU.
    pub const NONE: Limits = Limits { buffer: usize::MAX, binding: usize::MAX };
}

/// A tensor exceeds a limit.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum LayoutError {
    /// One tensor is larger than a binding may be.
    #[error(
        "tensor `{name}` needs {bytes} bytes, but this adapter binds at most {limit} bytes at once"
    )]
    TensorTooLarge {
        /// The tensor.
        name: String,
        /// Its size.
        bytes: u64,
        /// The adapter's limit.
        limit: u64,
    },
}

/// A parameter, for the packing.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    /// Its name in plans.
    pub name: &'a str,
    /// Number of elements.
    pub len: usize,
    /// Whether weight decay applies.
    pub decay: bool,
    /// Whether it belongs to a head that only training uses.
    pub of_head: bool,
}

/// The packing of all parameters, shared by every plan over one store.
///
/// Matrices come first, then norm gains: weight decay applies to a prefix of each chunk. Heads that only training uses
/// have chunks of their own, after those of the model. Sums over the model's gradients are therefore bitwise equal with
/// and without such a head.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterLayout {
    places: HashMap<String, (usize, usize)>,
    /// The limits that it was made for. Plans over it divide larger activations.
    pub limits: Limits,
    /// Elements in each chunk, padding included.
    pub chunks: Vec<usize>,
    /// For each chunk, the first element without weight decay.
    pub decay_ends: Vec<usize>,
}

impl ParameterLayout {
    /// Packs parameters in order.
    ///
    /// # Errors
    /// [`LayoutError::TensorTooLarge`] if one parameter exceeds the limit of a binding.
    pub fn new<'a>(
        parameters: impl Iterator<Item = Packed<'a>>,
        limits: Limits,
    ) -> Result<Self, LayoutError> {
        let limit = limits.binding.min(limits.buffer);
        let mut sorted: Vec<_> = parameters.collect();
        sorted.sort_by_key(|it| (it.of_head, !it.decay));
        let mut in_heads = false;
        let mut layout =
            Self { places: HashMap::new(), limits, chunks: vec![0], decay_ends: vec![0] };
        for Packed { name, len, decay, of_head } in sorted {
            check(name, len, DType::Real, limits)?;
            let padded = align(len, DType::Real);
            let mut chunk = layout.chunks.len() - 1;
            let begins_heads = of_head && !in_heads && layout.chunks[chunk] > 0;
            in_heads = of_head;
            if begins_heads || !holds(layout.chunks[chunk], padded, limit) {
                layout.chunks.push(0);
                layout.decay_ends.push(0);
                chunk += 1;
            }
            layout.places.insert(name.to_owned(), (chunk, layout.chunks[chunk]));
            layout.chunks[chunk] += padded;
            if decay {
                layout.decay_ends[chunk] = layout.chunks[chunk];
            }
        }
        Ok(layout)
    }

    /// `(chunk, first element)` of a parameter.
    pub fn place(&self, name: &str) -> Option<(usize, usize)> {
        self.places.get(name).copied()
    }
}

/// Places of all tensors of a plan.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The place of each tensor.
    pub places: Vec<Place>,
    /// Elements of each chunk of each space that belongs to the plan (not the store).
    pub sizes: HashMap<Space, Vec<usize>>,
    /// The activations that die after node i. Tests fill them with NaN.
    pub frees: Vec<Vec<View>>,
    /// Least bytes that any arena for this plan needs: the largest sum of live activations.
    pub arena_lower_bound: u64,
}

/// Name of the tensor that is a whole chunk of a store space.
pub fn packed_name(role: Role, chunk: usize) -> String {
    format!("packed.{role:?}.{chunk}")
}

/// Name of the gradient of a parameter.
pub fn gradient_name(parameter: &str) -> String {
    format!("grad/{parameter}")
}

impl Layout {
    /// Places every tensor of `plan`.
    ///
    /// # Errors
    /// [`LayoutError::TensorTooLarge`] names the tensor, its size and the limit.
    ///
    /// # Panics
    /// If the plan reads an activation before writing it, or names an unknown parameter: mistakes
    /// in a plan builder.
    pub fn new(
        plan: &Plan,
        parameters: &ParameterLayout,
        limits: Limits,
    ) -> Result<Self, LayoutError> {
        let lifetimes = lifetimes(plan);
        let mut layout = Self {
            places: vec![
                Place { space: Space::Parameter, chunk: 0, offset: 0 };
                plan.tensors.len()
            ],
            sizes: HashMap::new(),
            frees: vec![Vec::new(); plan.nodes().count()],
            arena_lower_bound: 0,
        };
        let roles = [Role::Parameter, Role::Gradient, Role::Moment1, Role::Moment2];
        let chunks = |role| (0..parameters.chunks.len()).map(move |it| (packed_name(role, it), it));
        let packed: HashMap<String, usize> = roles.into_iter().flat_map(chunks).collect();
        for (index, info) in plan.tensors.iter().enumerate() {
            check(&info.name, info.len(), info.dtype, limits)?;
            let space = match info.role {
                Role::Parameter => Space::Parameter,
                Role::Gradient => Space::Gradient,
                Role::Moment1 => Space::Moment1,
                Role::Moment2 => Space::Moment2,
                Role::Input => Space::Input(info.dtype),
                Role::Constant => Space::Constant(info.dtype),
                Role::State => Space::State(info.dtype),
                Role::Kept => Space::Kept(info.dtype),
                Role::Activation => continue,
            };
            let (chunk, offset) = if Space::STORE.contains(&space) {
                packed
                    .get(&info.name)
                    .map(|&chunk| (chunk, 0))
                    .or_else(|| {
                        let name = info.name.strip_prefix("grad/").unwrap_or(&info.name);
                        parameters.place(name)
                    })
                    .unwrap_or_else(|| panic!("`{}` is no parameter of this store", info.name))
            } else {
                let sizes = layout.sizes.entry(space).or_insert_with(|| vec![0]);
                let len = align(info.len(), info.dtype);
                let mut chunk = sizes.len() - 1;
                if !holds(sizes[chunk], len, limits.buffer_of(info.dtype)) {
                    sizes.push(0);
                    chunk += 1;
                }
                sizes[chunk] += len;
                (chunk, sizes[chunk] - len)
            };
            layout.places[index] = Place { space, chunk, offset };
        }
        for dtype in DType::ALL {
            layout.place_activations(plan, dtype, &lifetimes, limits.buffer_of(dtype));
        }
        for (index, &(_, last)) in lifetimes.iter().enumerate() {
            let info = &plan.tensors[index];
            if info.role == Role::Activation && last != usize::MAX {
                layout.frees[last].push(View {
                    id: TensorId(index as u32),
                    offset: 0,
                    len: info.len(),
                    dtype: info.dtype,
                });
            }
        }
        Ok(layout)
    }

    /// Bytes of the plan's own buffers in a space.
    pub fn bytes(&self, space: Space) -> u64 {
        let elements = |sizes: &Vec<usize>| sizes.iter().map(|&size| size as u64).sum::<u64>();
        self.sizes.get(&space).map_or(0, |sizes| space.dtype().bytes() as u64 * elements(sizes))
    }

    /// Places activations, the largest first, each at the lowest offset that is free during its whole life.
    fn place_activations(
        &mut self,
        plan: &Plan,
        dtype: DType,
        lifetimes: &[(usize, usize)],
        limit: usize,
    ) {
        let space = Space::Arena(dtype);
        let mut order: Vec<usize> = (0..plan.tensors.len())
            .filter(|&i| plan.tensors[i].role == Role::Activation && plan.tensors[i].dtype == dtype)
            .filter(|&i| lifetimes[i].1 != usize::MAX)
            .collect();
        if order.is_empty() {
            return;
        }
        // For each node, the bytes of activations that begin to live there, and of those that died before it.
        let mut changes = vec![(0u64, 0u64); self.frees.len() + 1];
        for &i in &order {
            let bytes = dtype.bytes() as u64 * align(plan.tensors[i].len(), dtype) as u64;
            changes[lifetimes[i].0].0 += bytes;
            changes[lifetimes[i].1 + 1].1 += bytes;
        }
        let live = changes.into_iter().scan(0, |live, (more, fewer)| {
            *live = *live + more - fewer;
            Some(*live)
        });
        self.arena_lower_bound += live.max().unwrap_or(0);
        order.sort_by_key(|&i| std::cmp::Reverse(plan.tensors[i].len()));
        // (offset, end, tensor) of the placed activations in each chunk, sorted.
        let mut placed: Vec<Vec<(usize, usize, usize)>> = vec![Vec::new()];
        let mut sizes: Vec<usize> = vec![0];
        for &i in &order {
            let len = align(plan.tensors[i].len(), dtype);
            let (first, last) = lifetimes[i];
            let mut chunk = 0;
            let offset = loop {
                let busy = placed[chunk]
                    .iter()
                    .filter(|&&(_, _, j)| lifetimes[j].0 <= last && first <= lifetimes[j].1);
                let mut offset: usize = 0;
                for &(start, end, _) in busy {
                    if holds(offset, len, start) {
                        break;
                    }
                    offset = offset.max(end);
                }
                if holds(offset, len, limit) {
                    break offset;
                }
                chunk += 1;
                if chunk == sizes.len() {
                    sizes.push(0);
                    placed.push(Vec::new());
                }
            };
            let place = (offset, offset + len, i);
            let at = placed[chunk].partition_point(|&other| other < place);
            placed[chunk].insert(at, place);
            sizes[chunk] = sizes[chunk].max(offset + len);
            self.places[i] = Place { space, chunk, offset };
        }
        self.sizes.insert(space, sizes);
    }
}

/// First and last node that touch each activation; `(0, usize::MAX)` for tensors that no node touches.
fn lifetimes(plan: &Plan) -> Vec<(usize, usize)> {
    let mut lifetimes = vec![(0, usize::MAX); plan.tensors.len()];
    for (index, node) in plan.nodes().enumerate() {
        for used in node.op.uses() {
            let info = plan.info(used.view.id);
            let life = &mut lifetimes[used.view.id.index()];
            if life.1 == usize::MAX {
                assert!(
                    info.role != Role::Activation || !used.access.reads(),
                    "{}.{} reads `{}` before anything wrote it",
                    node.scope,
                    node.op.name(),
                    info.name
                );
                *life = (index, index);
            }
            life.1 = index;
        }
    }
    lifetimes
}

/// Whether `offset + len <= limit`. With addresses of 32 bits, the sum may overflow.
fn holds(offset: usize, len: usize, limit: usize) -> bool {
    offset.checked_add(len).is_some_and(|end| end <= limit)
}

fn align(len: usize, dtype: DType) -> usize {
    len.next_multiple_of(dtype.alignment())
}

fn check(name: &str, len: usize, dtype: DType, limits: Limits) -> Result<(), LayoutError> {
    let limit = limits.tensor_of(dtype);
    if align(len, dtype) <= limit {
        return Ok(());
    }
    let bytes = |elements: usize| (dtype.bytes() * elements) as u64;
    Err(LayoutError::TensorTooLarge {
        name: name.to_owned(),
        bytes: bytes(len),
        limit: bytes(limit),
    })
}
