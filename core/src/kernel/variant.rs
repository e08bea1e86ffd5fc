//! The ways to do an op on a GPU.

use super::{Dispatch, Needs};

/// The way to do an op that runs on any adapter: [`Op::dispatches`](crate::ops::Op::dispatches).
pub const BASELINE: &str = "baseline";

/// One of an op's ways on a GPU. All of them give the same result, within the op's tolerance.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Unique within the op: what a tuning file says.
    pub name: &'static str,
    /// The adapters that it was made for.
    pub suits: Suits,
    /// What it asks of an adapter.
    pub needs: Needs,
    /// In order. Bindings may be ranges of the executor's [scratch](crate::plan::View::scratch).
    pub dispatches: Vec<Dispatch>,
}

/// The adapters that a variant was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suits {
    /// Any adapter.
    All,
    /// Real GPUs, where the first such variant is taken as long as nothing was measured.
    Gpus,
    /// Software on the CPU, likewise.
    Software,
    /// None: it is there to compare with.
    Comparison,
}

impl Variant {
    /// Elements of scratch that it needs.
    pub fn scratch(&self) -> usize {
        let views = self.dispatches.iter().flat_map(|it| &it.bindings).map(|(_, view)| view);
        let ends = views.filter(|view| view.is_scratch()).map(|view| view.offset + view.len);
        ends.max().unwrap_or(0)
    }
}
