//! Variants: the ways to compute an op on a GPU.

use super::{Dispatch, Needs};

/// The variant that runs on any adapter: [`Op::dispatches`](crate::ops::Op::dispatches).
pub const BASELINE: &str = "baseline";

/// One of the ways to compute an op on a GPU. All variants give the same result within the op's tolerance.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Name in tuning files, unique within the op.
    pub name: &'static str,
    /// The adapters that it was made for.
    pub suits: Suits,
    /// Requirements on the adapter.
    pub needs: Needs,
    /// The dispatches, in order. Bindings may be ranges of the executor's [scratch](crate::tensor::View::scratch).
    pub dispatches: Vec<Dispatch>,
}

/// The adapters that a variant was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suits {
    /// Any adapter.
    All,
    /// Real GPUs. Without measurements, a GPU takes the first such variant.
    Gpus,
    /// Software on the CPU, likewise.
    Software,
    /// None: the variant is for comparisons only.
    Comparison,
}

impl Variant {
    /// Number of scratch elements that it needs.
    pub fn scratch(&self) -> usize {
        let views = self.dispatches.iter().flat_map(|it| &it.bindings).map(|(_, view)| view);
        let ends = views.filter(|view| view.is_scratch()).map(|view| view.offset + view.len);
        ends.max().unwrap_or(0)
    }
}
