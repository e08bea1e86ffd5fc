//! Loading plans and encoding a run as one submission.

use std::collections::HashMap;

use super::GpuDevice;
use super::commands::{Command, encode, poison};
use super::loaded::{Loaded, storage};
use super::readback::Readback;
use super::timestamps;
use crate::executor::{Executor, ExecutorError, MicroInputs, PlanId, Source, Ticket};
use crate::kernel::{BASELINE, ForcedError, Variant};
use crate::plan::{Layout, ParameterLayout, Plan, Space};
use crate::tensor::{DType, View};

/// Runs plans on a WebGPU device.
pub struct GpuExecutor {
    pub(super) gpu: GpuDevice,
    parameters: ParameterLayout,
    pub(super) store: HashMap<(Space, usize), wgpu::Buffer>,
    /// Temporary memory of an op, reused by every op.
    pub(super) scratch: Option<wgpu::Buffer>,
    pub(super) plans: Vec<Loaded>,
    readback: Readback,
    poison: bool,
    submissions: u64,
    parameters_version: u64,
}

impl GpuExecutor {
    /// Allocates the parameter store on an opened device.
    ///
    /// # Errors
    /// If the device has no memory for it.
    pub fn new(gpu: GpuDevice, parameters: ParameterLayout) -> Result<Self, ExecutorError> {
        let mut store = HashMap::new();
        for space in Space::STORE {
            for (chunk, &len) in parameters.chunks.iter().enumerate() {
                store.insert((space, chunk), storage(&gpu.device, space, len));
            }
        }
        gpu.check()?;
        Ok(Self {
            gpu,
            parameters,
            store,
            scratch: None,
            plans: Vec::new(),
            readback: Readback::default(),
            poison: false,
            submissions: 0,
            parameters_version: 0,
        })
    }

    /// Queue submissions so far: tests check that a step is one.
    pub fn submissions(&self) -> u64 {
        self.submissions
    }

    /// Bytes of all buffers that the executor holds: tests check that steps do not grow them.
    pub fn allocated_bytes(&self) -> u64 {
        let plans = self.plans.iter().flat_map(Loaded::all_buffers);
        self.store.values().chain(&self.scratch).chain(plans).map(wgpu::Buffer::size).sum()
    }

    /// Submits, and asks for the data of these reads.
    fn submit(&mut self, encoder: wgpu::CommandEncoder, tickets: &[Ticket]) {
        let submission = self.gpu.queue.submit([encoder.finish()]);
        self.submissions += 1;
        tickets.iter().for_each(|&ticket| self.readback.map(ticket, &submission));
    }
}

impl Executor for GpuExecutor {
    fn description(&self) -> String {
        format!("{} ({})", self.gpu.summary.label(), self.gpu.summary.backend)
    }

    fn parameters(&self) -> &ParameterLayout {
        &self.parameters
    }

    fn parameters_version(&self) -> u64 {
        self.parameters_version
    }

    fn write_store(
        &mut self,
        space: Space,
        chunk: usize,
        data: &[f32],
    ) -> Result<(), ExecutorError> {
        self.parameters_version += 1;
        self.gpu.queue.write_buffer(&self.store[&(space, chunk)], 0, bytemuck::cast_slice(data));
        self.gpu.check()
    }

    fn load_sharing(
        &mut self,
        plan: Plan,
        kept_by: Option<PlanId>,
    ) -> Result<PlanId, ExecutorError> {
        if plan.tensors.iter().any(|tensor| tensor.dtype == DType::Half) {
            self.gpu.summary.check_half()?;
        }
        match self.gpu.check_forced(&plan) {
            // Later plans, such as those that measure peak rates, may lack such an op.
            Err(ForcedError::Unknown { .. }) if !self.plans.is_empty() => {}
            checked => checked?,
        }
        let layout = Layout::new(&plan, &self.parameters, self.gpu.summary.limits)?;
        let kept_by = kept_by.map(|id| &self.plans[id.0]);
        let loaded = Loaded::new(&self.gpu.device, plan, layout, kept_by);
        self.gpu.check()?;
        let id = PlanId(self.plans.len());
        let plan = &loaded.plan;
        let (micro, update) = (plan.prepare.len(), plan.prepare.len() + plan.micro.len());
        let ways: Vec<Variant> =
            plan.nodes().map(|node| self.gpu.variant(node.op.as_ref())).collect();
        self.plans.push(loaded);
        for (node, variant) in ways.iter().enumerate() {
            let mut commands = self.commands(id, node, variant);
            if self.poison {
                for view in self.plans[id.0].layout.frees[node].clone() {
                    commands.push(self.command(id, node, "poison".into(), &poison(view)));
                }
            }
            let loaded = &mut self.plans[id.0];
            let part = match node {
                _ if node < micro => &mut loaded.prepare,
                _ if node < update => &mut loaded.micro,
                _ => &mut loaded.update,
            };
            part.extend(commands);
        }
        self.gpu.check()?;
        Ok(id)
    }

    fn plan(&self, id: PlanId) -> (&Plan, &Layout) {
        (&self.plans[id.0].plan, &self.plans[id.0].layout)
    }

    fn write_constant(
        &mut self,
        plan: PlanId,
        view: View,
        data: &[f32],
    ) -> Result<(), ExecutorError> {
        let (buffer, offset) = self.place_of(plan, view);
        self.gpu.queue.write_buffer(&buffer, offset, bytemuck::cast_slice(data));
        self.gpu.check()
    }

    fn run(
        &mut self,
        id: PlanId,
        micro: &[MicroInputs],
        reads: &[Source],
    ) -> Result<Vec<Ticket>, ExecutorError> {
        self.parameters_version += u64::from(!self.plans[id.0].plan.update.is_empty());
        let mut encoder = self.begin(id, micro)?;
        let prepare = &self.plans[id.0].prepare;
        if !prepare.is_empty() {
            encode(&mut encoder.begin_compute_pass(&Default::default()), prepare);
        }
        for index in 0..micro.len() {
            let loaded = &self.plans[id.0];
            loaded.put_inputs(&mut encoder, index);
            encode(&mut encoder.begin_compute_pass(&Default::default()), &loaded.micro);
        }
        let update = &self.plans[id.0].update;
        encode(&mut encoder.begin_compute_pass(&Default::default()), update);
        let tickets: Vec<Ticket> =
            reads.iter().map(|&source| self.copy_out(&mut encoder, source)).collect();
        self.submit(encoder, &tickets);
        self.gpu.check()?;
        Ok(tickets)
    }

    fn way(&self, id: PlanId, node: usize) -> String {
        let node = self.plans[id.0].plan.nodes().nth(node).expect("a node of it");
        let variant = self.gpu.variant(node.op.as_ref());
        let mut entries: Vec<_> = variant.dispatches.iter().map(|it| it.kernel.entry).collect();
        entries.dedup();
        if variant.name == BASELINE {
            return entries.join("+");
        }
        format!("{}: {}", variant.name, entries.join("+"))
    }

    fn flops_ceiling(&self) -> Option<f64> {
        self.gpu.tuning().flops
    }

    fn profile(&mut self, id: PlanId, micro: &MicroInputs) -> Result<Vec<f64>, ExecutorError> {
        let mut encoder = self.begin(id, std::slice::from_ref(micro))?;
        let loaded = &self.plans[id.0];
        loaded.put_inputs(&mut encoder, 0);
        let parts = loaded.prepare.iter().chain(&loaded.micro).chain(&loaded.update);
        let commands: Vec<&Command> = parts.collect();
        let seconds = timestamps::time(&self.gpu, encoder, &commands, |pass, command| {
            encode(pass, [*command]);
        })?;
        self.submissions += 1;
        let mut times = vec![0.0; loaded.plan.nodes().count()];
        for (command, seconds) in commands.iter().zip(seconds) {
            times[command.node] += seconds;
        }
        Ok(times)
    }

    fn request(&mut self, source: Source) -> Result<Ticket, ExecutorError> {
        self.gpu.check()?;
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let ticket = self.copy_out(&mut encoder, source);
        self.submit(encoder, &[ticket]);
        Ok(ticket)
    }

    fn take(&mut self, ticket: Ticket) -> Result<Option<Vec<f32>>, ExecutorError> {
        // Runs callbacks. Errors also arrive through the failure.
        let _ = self.gpu.device.poll(wgpu::PollType::Poll);
        self.readback.take(&self.gpu, ticket)
    }

    fn wait(&mut self) -> Result<(), ExecutorError> {
        while let Some(ticket) = self.readback.newest_waiting() {
            self.wait_for(ticket)?;
            // A browser can't wait; data arrive between calls.
            if cfg!(target_arch = "wasm32") {
                break;
            }
        }
        self.gpu.check()
    }

    fn wait_for(&mut self, ticket: Ticket) -> Result<(), ExecutorError> {
        while let Some(submission) = self.readback.waiting_for(ticket) {
            let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
            if let Err(error) = self.gpu.device.poll(wait) {
                self.gpu.check()?;
                return Err(ExecutorError::Gpu { reason: format!("waiting: {error}") });
            }
            self.gpu.check()?;
            if cfg!(target_arch = "wasm32") {
                break;
            }
            // Another executor on this device may have polled at the same time, and is about to run the callback.
            std::thread::yield_now();
        }
        Ok(())
    }

    fn poison_freed(&mut self, on: bool) {
        self.poison = on;
    }
}

impl GpuExecutor {
    /// Starts the encoder of a run: zeroes state and gradients, and writes the inputs.
    pub(super) fn begin(
        &mut self,
        id: PlanId,
        micro: &[MicroInputs],
    ) -> Result<wgpu::CommandEncoder, ExecutorError> {
        self.gpu.check()?;
        let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor {
            label: Some(&self.plans[id.0].plan.name),
        });
        let loaded = &mut self.plans[id.0];
        for (&(space, _), buffer) in &loaded.buffers {
            if matches!(space, Space::State(_)) {
                encoder.clear_buffer(buffer, 0, None);
            }
        }
        if loaded.plan.tensors.iter().any(|info| info.role == crate::tensor::Role::Gradient) {
            for chunk in 0..self.parameters.chunks.len() {
                encoder.clear_buffer(&self.store[&(Space::Gradient, chunk)], 0, None);
            }
        }
        loaded.write_inputs(&self.gpu, micro);
        Ok(encoder)
    }

    fn copy_out(&mut self, encoder: &mut wgpu::CommandEncoder, source: Source) -> Ticket {
        let (buffer, offset, bytes) = match source {
            Source::Store { space, chunk } => {
                let len = self.parameters.chunks[chunk];
                (self.store[&(space, chunk)].clone(), 0, 4 * len as u64)
            }
            Source::Tensor { plan, view } => {
                assert!(view.dtype != DType::Half, "the host reads no halves");
                let (buffer, offset) = self.place_of(plan, view);
                (buffer, offset, 4 * view.len as u64)
            }
        };
        self.readback.copy(&self.gpu.device, encoder, &buffer, offset, bytes)
    }
}
