//! Loading plans (buffers, bind groups) and encoding a run as one submission.

use std::collections::HashMap;

use super::GpuDevice;
use super::pipelines::Pipelines;
use super::readback::Readback;
use super::timestamps;
use crate::executor::{Executor, ExecutorError, MicroInputs, PlanId, Source, Ticket};
use crate::ops::{BASELINE, Dispatch, Kernel, Uniform, Variant, kernel::linear_grid};
use crate::plan::{DType, Layout, ParameterLayout, Plan, Space, TensorId, View};

/// A dispatch with everything bound.
pub(super) struct Command {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    grid: [u32; 3],
    label: String,
    /// Which node of the plan it is part of.
    pub(super) node: usize,
}

/// The host's copy of an input buffer, and where micro-batches wait on the device.
struct Inputs {
    space: Space,
    image: Vec<u32>,
    staging: wgpu::Buffer,
}

pub(super) struct Loaded {
    pub(super) plan: Plan,
    layout: Layout,
    buffers: HashMap<(Space, usize), wgpu::Buffer>,
    pub(super) prepare: Vec<Command>,
    /// By node: its dispatches, then (if poisoning) fills of what it frees.
    pub(super) micro: Vec<Command>,
    update: Vec<Command>,
    inputs: Vec<Inputs>,
}

impl Loaded {
    /// Brings the inputs of a micro-batch to where the plan reads them.
    pub(super) fn put_inputs(&self, encoder: &mut wgpu::CommandEncoder, micro: usize) {
        for inputs in &self.inputs {
            let bytes = 4 * inputs.image.len() as u64;
            encoder.copy_buffer_to_buffer(
                &inputs.staging,
                bytes * micro as u64,
                &self.buffers[&(inputs.space, 0)],
                0,
                bytes,
            );
        }
    }
}

/// Runs plans on a WebGPU device.
pub struct GpuExecutor {
    pub(super) gpu: GpuDevice,
    parameters: ParameterLayout,
    store: HashMap<(Space, usize), wgpu::Buffer>,
    /// What an op needs beside the plan's tensors, one op after the other.
    scratch: Option<wgpu::Buffer>,
    pub(super) plans: Vec<Loaded>,
    pipelines: Pipelines,
    readback: Readback,
    poison: bool,
    submissions: u64,
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
            pipelines: Pipelines::default(),
            readback: Readback::default(),
            poison: false,
            submissions: 0,
        })
    }

    /// Queue submissions so far: tests check that a step is one.
    pub fn submissions(&self) -> u64 {
        self.submissions
    }

    /// Bytes of all buffers that the executor holds: tests check that steps do not grow them.
    pub fn allocated_bytes(&self) -> u64 {
        let plans = self.plans.iter().flat_map(|loaded| {
            loaded.buffers.values().chain(loaded.inputs.iter().map(|inputs| &inputs.staging))
        });
        self.store.values().chain(&self.scratch).chain(plans).map(wgpu::Buffer::size).sum()
    }

    /// Submits, and asks for the data of these reads.
    fn submit(&mut self, encoder: wgpu::CommandEncoder, tickets: &[Ticket]) {
        let submission = self.gpu.queue.submit([encoder.finish()]);
        self.submissions += 1;
        tickets.iter().for_each(|&ticket| self.readback.map(ticket, &submission));
    }

    /// The dispatches of a node of a loaded plan, done in this way.
    pub(super) fn commands(&mut self, id: PlanId, node: usize, variant: &Variant) -> Vec<Command> {
        self.grow_scratch(variant.scratch());
        let scope = self.plans[id.0].plan.nodes().nth(node).expect("a node of it").scope.clone();
        let commands = variant.dispatches.iter().map(|dispatch| {
            let label = format!("{scope}.{}", dispatch.kernel.entry);
            self.command(id, node, label, dispatch)
        });
        commands.collect()
    }

    /// As if this variant had never been asked for: what failed is not taken for made the next time.
    pub(super) fn forget(&mut self, variant: &Variant) {
        variant.dispatches.iter().for_each(|dispatch| self.pipelines.forget(dispatch));
        if variant.scratch() > 0 {
            self.scratch = None;
        }
    }

    fn grow_scratch(&mut self, len: usize) {
        if self.scratch.as_ref().is_none_or(|it| it.size() < 4 * len as u64) && len > 0 {
            self.scratch = Some(self.gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("scratch"),
                size: 4 * len as u64,
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            }));
        }
    }

    fn command(&mut self, id: PlanId, node: usize, label: String, dispatch: &Dispatch) -> Command {
        assert!(dispatch.bindings.len() <= 8, "{label}: WebGPU promises 8 storage buffers");
        let (pipeline, layout) = self.pipelines.get(&self.gpu, dispatch);
        let uniform = uniform_buffer(&self.gpu, &dispatch.uniform);
        let buffers: Vec<(wgpu::Buffer, u64)> =
            dispatch.bindings.iter().map(|&view| self.place_of(id, view)).collect();
        let mut entries =
            vec![wgpu::BindGroupEntry { binding: 0, resource: uniform.as_entire_binding() }];
        for (i, ((buffer, offset), view)) in buffers.iter().zip(&dispatch.bindings).enumerate() {
            entries.push(wgpu::BindGroupEntry {
                binding: i as u32 + 1,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset: *offset,
                    // An odd number of halves ends in the room that aligning leaves.
                    size: wgpu::BufferSize::new(view.bytes().next_multiple_of(4)),
                }),
            });
        }
        let bind_group = self.gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&label),
            layout: &layout,
            entries: &entries,
        });
        Command { pipeline, bind_group, grid: dispatch.grid, label, node }
    }

    /// Where a view's elements begin: buffer and bytes.
    pub(super) fn place_of(&self, id: PlanId, view: View) -> (wgpu::Buffer, u64) {
        let bytes = (view.dtype.bytes() * view.offset) as u64;
        if view.is_scratch() {
            return (self.scratch.clone().expect("grown to what is needed"), bytes);
        }
        let loaded = &self.plans[id.0];
        let place = loaded.layout.places[view.id.index()];
        let key = (place.space, place.chunk);
        let buffer = loaded.buffers.get(&key).or_else(|| self.store.get(&key));
        // The tensor's own type: poisoning takes halves for words.
        let first = (place.space.dtype().bytes() * place.offset) as u64;
        (buffer.expect("every chunk was allocated").clone(), first + bytes)
    }
}

/// Fills a dead tensor with a value that no correct plan reads.
fn poison(view: View) -> Dispatch {
    // Two halves that are NaN are a NaN too.
    let words = (view.bytes() as usize).div_ceil(4);
    let view = View { dtype: DType::U32, len: words, offset: 0, ..view };
    Dispatch {
        kernel: Kernel {
            module: "fill",
            source: include_str!("../../../shaders/fill.wgsl"),
            entry: "fill",
            constants: Vec::new(),
        },
        bindings: vec![view],
        uniform: Uniform(vec![words as u32, u32::MAX]), // NaN as a real
        grid: linear_grid(words.div_ceil(256)),
    }
}

fn storage(device: &wgpu::Device, space: Space, len: usize) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(&format!("{space:?}")),
        size: (space.dtype().bytes() * len.max(space.dtype().alignment())) as u64,
        usage: wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

fn staging(device: &wgpu::Device, bytes: u64) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("inputs"),
        size: bytes,
        usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

fn uniform_buffer(gpu: &GpuDevice, uniform: &Uniform) -> wgpu::Buffer {
    let mut words = uniform.0.clone();
    words.resize(words.len().next_multiple_of(4).max(4), 0);
    let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("uniform"),
        size: 4 * words.len() as u64,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&words));
    buffer
}

pub(super) fn encode<'a>(
    pass: &mut wgpu::ComputePass<'_>,
    commands: impl IntoIterator<Item = &'a Command>,
) {
    for command in commands {
        pass.push_debug_group(&command.label);
        pass.set_pipeline(&command.pipeline);
        pass.set_bind_group(0, &command.bind_group, &[]);
        let [x, y, z] = command.grid;
        pass.dispatch_workgroups(x, y, z);
        pass.pop_debug_group();
    }
}

impl Executor for GpuExecutor {
    fn description(&self) -> String {
        format!("{} ({})", self.gpu.summary.name, self.gpu.summary.backend)
    }

    fn parameters(&self) -> &ParameterLayout {
        &self.parameters
    }

    fn write_store(
        &mut self,
        space: Space,
        chunk: usize,
        data: &[f32],
    ) -> Result<(), ExecutorError> {
        self.gpu.queue.write_buffer(&self.store[&(space, chunk)], 0, bytemuck::cast_slice(data));
        self.gpu.check()
    }

    fn load(&mut self, plan: Plan) -> Result<PlanId, ExecutorError> {
        if plan.tensors.iter().any(|tensor| tensor.dtype == DType::Half) {
            self.gpu.summary.check_half()?;
        }
        let layout = Layout::new(&plan, &self.parameters, self.gpu.summary.limits)?;
        let mut buffers = HashMap::new();
        let mut inputs = Vec::new();
        for (&space, sizes) in &layout.sizes {
            for (chunk, &len) in sizes.iter().enumerate() {
                buffers.insert((space, chunk), storage(&self.gpu.device, space, len));
            }
            if matches!(space, Space::Input(_)) {
                assert!(sizes.len() == 1, "the inputs of a micro-batch fit one buffer");
                inputs.push(Inputs {
                    space,
                    image: vec![0; sizes[0]],
                    staging: staging(&self.gpu.device, 4 * sizes[0] as u64),
                });
            }
        }
        self.gpu.check()?;
        let id = PlanId(self.plans.len());
        let (micro, update) = (plan.prepare.len(), plan.prepare.len() + plan.micro.len());
        let ways: Vec<Variant> =
            plan.nodes().map(|node| self.gpu.variant(node.op.as_ref())).collect();
        self.plans.push(Loaded {
            plan,
            layout,
            buffers,
            prepare: Vec::new(),
            micro: Vec::new(),
            update: Vec::new(),
            inputs,
        });
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
        // Drives callbacks; what it reports comes through the failure as well.
        let _ = self.gpu.device.poll(wgpu::PollType::Poll);
        self.readback.take(&self.gpu, ticket)
    }

    fn wait(&mut self) -> Result<(), ExecutorError> {
        while let Some(ticket) = self.readback.newest_waiting() {
            self.wait_for(ticket)?;
            // A browser can't wait: there, data arrive between calls.
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
            // Another executor on this device may have polled at the same time and be about to
            // tell.
            std::thread::yield_now();
        }
        Ok(())
    }

    fn poison_freed(&mut self, on: bool) {
        self.poison = on;
    }
}

impl GpuExecutor {
    /// A run's beginning: state and gradients zeroed, inputs on their way.
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
        if loaded.plan.tensors.iter().any(|info| info.role == crate::plan::Role::Gradient) {
            for chunk in 0..self.parameters.chunks.len() {
                encoder.clear_buffer(&self.store[&(Space::Gradient, chunk)], 0, None);
            }
        }
        for inputs in &mut loaded.inputs {
            let bytes = 4 * inputs.image.len() as u64;
            if inputs.staging.size() < bytes * micro.len() as u64 {
                inputs.staging = staging(&self.gpu.device, bytes * micro.len() as u64);
            }
            for (index, data) in micro.iter().enumerate() {
                let mut put = |tensor: TensorId, words: &[u32]| {
                    let place = loaded.layout.places[tensor.index()];
                    let len = loaded.plan.info(tensor).len();
                    assert_eq!(len, words.len(), "an input has another length than its tensor");
                    inputs.image[place.offset..place.offset + len].copy_from_slice(words);
                };
                match inputs.space.dtype() {
                    DType::Real => {
                        data.reals.iter().for_each(|(t, x)| put(*t, bytemuck::cast_slice(x)));
                    }
                    DType::U32 => data.ints.iter().for_each(|(t, x)| put(*t, x)),
                    DType::Half => unreachable!("the host writes no halves"),
                }
                self.gpu.queue.write_buffer(
                    &inputs.staging,
                    bytes * index as u64,
                    bytemuck::cast_slice(&inputs.image),
                );
            }
        }
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
