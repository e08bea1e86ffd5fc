//! Dispatches in wgpu's terms: pipeline, bind group, grid.

use super::GpuDevice;
use super::run::GpuExecutor;
use crate::executor::PlanId;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, Variant, linear_grid};
use crate::tensor::{DType, View};

/// A dispatch with its pipeline and its bind group.
pub(super) struct Command {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    grid: [u32; 3],
    label: String,
    /// The node of the plan that it belongs to.
    pub(super) node: usize,
}

impl GpuExecutor {
    /// The commands of one variant of a node of a loaded plan.
    pub(super) fn commands(&mut self, id: PlanId, node: usize, variant: &Variant) -> Vec<Command> {
        self.grow_scratch(variant.scratch());
        let scope = self.plans[id.0].plan.nodes().nth(node).expect("a node of it").scope.clone();
        let commands = variant.dispatches.iter().map(|dispatch| {
            let label = format!("{scope}.{}", dispatch.kernel.entry);
            self.command(id, node, label, dispatch)
        });
        commands.collect()
    }

    /// Removes this variant from the caches, so that a failed pipeline or buffer is not used again.
    pub(super) fn forget(&mut self, variant: &Variant) {
        let pipelines = &self.gpu.pipelines;
        variant.dispatches.iter().for_each(|dispatch| pipelines.forget(&self.gpu, dispatch));
        if variant.scratch() > 0 {
            self.scratch = None;
        }
    }

    fn grow_scratch(&mut self, len: usize) {
        let guard = self.gpu.guard.unwrap_or(0);
        let size = 4 * len as u64 + guard;
        if self.scratch.as_ref().is_none_or(|it| it.size() < size) && len > 0 {
            // Tests copy guard words to and from the end of the buffer.
            let copies = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
            let copies = if guard > 0 { copies } else { wgpu::BufferUsages::empty() };
            self.scratch = Some(self.gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("scratch"),
                size,
                usage: wgpu::BufferUsages::STORAGE | copies,
                mapped_at_creation: false,
            }));
        }
    }

    /// One dispatch of a node.
    pub(super) fn command(
        &mut self,
        id: PlanId,
        node: usize,
        label: String,
        dispatch: &Dispatch,
    ) -> Command {
        assert!(dispatch.bindings.len() <= 8, "{label}: WebGPU promises 8 storage buffers");
        let (pipeline, layout) = self.gpu.pipelines.get(&self.gpu, dispatch);
        let uniform = uniform_buffer(&self.gpu, &dispatch.uniform);
        let buffers: Vec<(wgpu::Buffer, u64)> =
            dispatch.bindings.iter().map(|&(_, view)| self.place_of(id, view)).collect();
        let mut entries =
            vec![wgpu::BindGroupEntry { binding: 0, resource: uniform.as_entire_binding() }];
        let guard = self.gpu.guard.unwrap_or(0);
        for (i, ((buffer, offset), (_, view))) in buffers.iter().zip(&dispatch.bindings).enumerate()
        {
            // An odd number of halves ends in the padding.
            let size = view.bytes().next_multiple_of(4) + guard;
            entries.push(wgpu::BindGroupEntry {
                binding: i as u32 + 1,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset: *offset,
                    size: wgpu::BufferSize::new(size.min(buffer.size() - *offset)),
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

    /// Start of a view: its buffer and its offset in bytes.
    pub(super) fn place_of(&self, id: PlanId, view: View) -> (wgpu::Buffer, u64) {
        let bytes = (view.dtype.bytes() * view.offset) as u64;
        if view.is_scratch() {
            return (self.scratch.clone().expect("grown to what is needed"), bytes);
        }
        let loaded = &self.plans[id.0];
        let place = loaded.layout.places[view.id.index()];
        let key = (place.space, place.chunk);
        let buffer = loaded.buffers.get(&key).or_else(|| self.store.get(&key));
        // By the tensor's own type, because poisoning views halves as words.
        let first = (place.space.dtype().bytes() * place.offset) as u64;
        (buffer.expect("every chunk was allocated").clone(), first + bytes)
    }
}

/// Appends commands to a pass.
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

/// Fills a dead tensor with a value that no correct plan reads.
pub(super) fn poison(view: View) -> Dispatch {
    // Two halves with all bits set, both NaN, make a word that is NaN, too.
    let words = (view.bytes() as usize).div_ceil(4);
    let view = View { dtype: DType::U32, len: words, offset: 0, ..view };
    Dispatch {
        kernel: Kernel { module: Module::Shader("fill"), entry: "fill", constants: Vec::new() },
        bindings: vec![("x", view)],
        uniform: Uniform(vec![words as u32, u32::MAX]), // NaN as a real
        grid: linear_grid(words.div_ceil(256)),
    }
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
