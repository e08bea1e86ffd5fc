//! Collects tensors and ops into a [`Plan`].

use std::collections::HashMap;

use super::{Node, Plan};
use crate::ops::DynOp;
use crate::tensor::{DType, Role, TensorId, TensorInfo, View};

/// Builds a [`Plan`] op by op. Names are prefixed by the current scope.
pub struct PlanBuilder {
    plan: Plan,
    shared: HashMap<String, TensorId>,
    /// Number of activations planned under each name: a chunked loop plans a name more than once.
    copies: HashMap<String, usize>,
    scope: Vec<String>,
    in_update: bool,
}

impl PlanBuilder {
    /// An empty plan.
    pub fn new(name: &str) -> Self {
        Self {
            plan: Plan {
                name: name.to_owned(),
                tensors: Vec::new(),
                prepare: Vec::new(),
                micro: Vec::new(),
                update: Vec::new(),
            },
            shared: HashMap::new(),
            copies: HashMap::new(),
            scope: Vec::new(),
            in_update: false,
        }
    }

    /// Runs `build` with `name` appended to the scope of tensors and ops.
    pub fn scoped<T>(&mut self, name: impl Into<String>, build: impl FnOnce(&mut Self) -> T) -> T {
        self.scope.push(name.into());
        let result = build(self);
        self.scope.pop();
        result
    }

    /// The tensor `name` (never scoped: parameters, inputs and state are shared by name),
    /// created on first use.
    ///
    /// # Panics
    /// If it exists with another shape, type or role: a mistake in a plan builder.
    pub fn shared(&mut self, name: &str, shape: &[usize], dtype: DType, role: Role) -> View {
        if let Some(&id) = self.shared.get(name) {
            let info = self.plan.info(id);
            assert!(
                info.shape == shape && info.dtype == dtype && info.role == role,
                "tensor {name} is {:?} {:?} {:?}, asked for {shape:?} {dtype:?} {role:?}",
                info.shape,
                info.dtype,
                info.role
            );
            return View { id, offset: 0, len: info.len(), dtype };
        }
        let view = self.add(name.to_owned(), shape, dtype, role);
        self.shared.insert(name.to_owned(), view.id);
        view
    }

    /// A new activation of reals in the arena, named `{scope}.{name}`.
    pub fn activation(&mut self, name: &str, shape: &[usize]) -> View {
        self.fresh(name, shape, DType::Real)
    }

    /// A new activation of this type in the arena, named `{scope}.{name}`.
    pub fn activation_of(&mut self, dtype: DType, name: &str, shape: &[usize]) -> View {
        self.fresh(name, shape, dtype)
    }

    /// A new activation of integers in the arena, named `{scope}.{name}`.
    pub fn activation_u32(&mut self, name: &str, shape: &[usize]) -> View {
        self.fresh(name, shape, DType::U32)
    }

    fn fresh(&mut self, name: &str, shape: &[usize], dtype: DType) -> View {
        let mut full = self.scope.join(".");
        if !full.is_empty() {
            full.push('.');
        }
        full.push_str(name);
        let copies = self.copies.entry(full.clone()).or_default();
        *copies += 1;
        if *copies > 1 {
            full = format!("{full}#{copies}");
        }
        self.add(full, shape, dtype, Role::Activation)
    }

    fn add(&mut self, name: String, shape: &[usize], dtype: DType, role: Role) -> View {
        let id = TensorId(self.plan.tensors.len() as u32);
        self.plan.tensors.push(TensorInfo { name, shape: shape.to_vec(), dtype, role });
        View { id, offset: 0, len: shape.iter().product(), dtype }
    }

    /// From here on, ops run once a step instead of once a micro-batch.
    pub fn begin_update(&mut self) {
        self.in_update = true;
    }

    /// Whether there is a shared tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.shared.contains_key(name)
    }

    /// Appends an op that runs once a step, before the first micro-batch.
    ///
    /// # Panics
    /// As [`PlanBuilder::push`].
    pub fn prepare(&mut self, op: impl DynOp + 'static) {
        let node = self.node(Box::new(op));
        self.plan.prepare.push(node);
    }

    /// Appends an op.
    ///
    /// # Panics
    /// If the op writes a range that it also uses elsewhere, or a view leaves its tensor:
    /// mistakes in a plan builder.
    pub fn push(&mut self, op: impl DynOp + 'static) {
        let node = self.node(Box::new(op));
        if self.in_update { &mut self.plan.update } else { &mut self.plan.micro }.push(node);
    }

    /// Not generic, so that a program has it once, not once for each op.
    fn node(&self, op: Box<dyn DynOp>) -> Node {
        let uses = op.uses();
        for (i, a) in uses.iter().enumerate() {
            let info = self.plan.info(a.view.id);
            assert!(
                a.view.offset + a.view.len <= info.len(),
                "{}: view leaves {} ({} elements)",
                op.name(),
                info.name,
                info.len()
            );
            for b in &uses[i + 1..] {
                let both_read = !a.access.writes() && !b.access.writes();
                assert!(
                    both_read || !a.view.overlaps(b.view),
                    "{}: {} is bound twice and written",
                    op.name(),
                    info.name
                );
            }
        }
        Node { op, scope: self.scope.join(".") }
    }

    /// The finished plan, without ops whose results are never read. Such ops arise from recomputation: a block is
    /// planned a second time as a whole, and its backward reads only a part of the results.
    pub fn finish(mut self) -> Plan {
        self.leave_out_unread();
        self.plan
    }

    /// Removes ops whose results are never read. Goes backwards, so that an op is also removed if only removed ops read
    /// its results.
    fn leave_out_unread(&mut self) {
        let Plan { tensors, prepare, micro, update, .. } = &mut self.plan;
        let mut wanted: Vec<bool> =
            tensors.iter().map(|info| info.role != Role::Activation).collect();
        for nodes in [update, micro, prepare] {
            let mut kept = Vec::with_capacity(nodes.len());
            for node in nodes.drain(..).rev() {
                let uses = node.op.uses();
                let is_read =
                    uses.iter().any(|it| it.access.writes() && wanted[it.view.id.index()]);
                if is_read {
                    for used in uses.iter().filter(|it| it.access.reads()) {
                        wanted[used.view.id.index()] = true;
                    }
                    kept.push(node);
                }
            }
            kept.reverse();
            *nodes = kept;
        }
    }
}
