//! A plan on the device: its buffers, its commands, and the inputs of micro-batches.

use std::collections::HashMap;

use super::GpuDevice;
use super::commands::Command;
use crate::executor::MicroInputs;
use crate::plan::{Layout, Plan, Space};
use crate::tensor::{DType, TensorId};

/// The host's copy of an input buffer, and the buffer of all micro-batches on the device.
struct Inputs {
    space: Space,
    image: Vec<u32>,
    staging: wgpu::Buffer,
}

/// A loaded plan.
pub(super) struct Loaded {
    pub(super) plan: Plan,
    pub(super) layout: Layout,
    pub(super) buffers: HashMap<(Space, usize), wgpu::Buffer>,
    pub(super) prepare: Vec<Command>,
    /// For each node its dispatches, then, if poisoning is on, fills of the activations that it frees.
    pub(super) micro: Vec<Command>,
    pub(super) update: Vec<Command>,
    inputs: Vec<Inputs>,
    /// Whether its kept tensors are in buffers of another plan.
    borrows_kept: bool,
}

impl Loaded {
    /// Allocates a plan's buffers, except kept tensors that it shares with another plan. There are no commands yet.
    pub(super) fn new(
        device: &wgpu::Device,
        plan: Plan,
        layout: Layout,
        kept_by: Option<&Loaded>,
    ) -> Self {
        let mut buffers = HashMap::new();
        let mut inputs = Vec::new();
        if let Some(other) = kept_by {
            other.plan.assert_keeps_as(&plan);
        }
        for (&space, sizes) in &layout.sizes {
            let shared = kept_by.filter(|_| matches!(space, Space::Kept(_)));
            for (chunk, &len) in sizes.iter().enumerate() {
                let buffer = match shared {
                    Some(other) => other.buffers[&(space, chunk)].clone(),
                    None => storage(device, space, len),
                };
                buffers.insert((space, chunk), buffer);
            }
            if matches!(space, Space::Input(_)) {
                assert!(sizes.len() == 1, "the inputs of a micro-batch fit one buffer");
                inputs.push(Inputs {
                    space,
                    image: vec![0; sizes[0]],
                    staging: staging(device, 4 * sizes[0] as u64),
                });
            }
        }
        let (prepare, micro, update) = (Vec::new(), Vec::new(), Vec::new());
        let borrows_kept = kept_by.is_some();
        Self { plan, layout, buffers, prepare, micro, update, inputs, borrows_kept }
    }

    /// All its buffers, without those of another plan.
    pub(super) fn all_buffers(&self) -> impl Iterator<Item = &wgpu::Buffer> {
        let is_own = |space: &Space| !(self.borrows_kept && matches!(space, Space::Kept(_)));
        let own = self.buffers.iter().filter(move |((space, _), _)| is_own(space));
        own.map(|(_, buffer)| buffer).chain(self.inputs.iter().map(|inputs| &inputs.staging))
    }

    /// Encodes the copy of a micro-batch's inputs to the buffers that the plan reads.
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

    /// Writes the inputs of all micro-batches to the device, for [`Loaded::put_inputs`].
    pub(super) fn write_inputs(&mut self, gpu: &GpuDevice, micro: &[MicroInputs]) {
        for inputs in &mut self.inputs {
            let bytes = 4 * inputs.image.len() as u64;
            if inputs.staging.size() < bytes * micro.len() as u64 {
                inputs.staging = staging(&gpu.device, bytes * micro.len() as u64);
            }
            for (index, data) in micro.iter().enumerate() {
                let mut put = |tensor: TensorId, words: &[u32]| {
                    let place = self.layout.places[tensor.index()];
                    let len = self.plan.info(tensor).len();
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
                gpu.queue.write_buffer(
                    &inputs.staging,
                    bytes * index as u64,
                    bytemuck::cast_slice(&inputs.image),
                );
            }
        }
    }
}

/// A buffer of the store or of a plan.
pub(super) fn storage(device: &wgpu::Device, space: Space, len: usize) -> wgpu::Buffer {
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
