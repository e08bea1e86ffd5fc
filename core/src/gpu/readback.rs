//! Reading back without blocking: a pool of mappable buffers, filled by copies in a submission.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::GpuDevice;
use crate::executor::{ExecutorError, Ticket};

const UNDER_WAY: u8 = 0;
const ARRIVED: u8 = 1;
const FAILED: u8 = 2;

struct Pending {
    buffer: wgpu::Buffer,
    bytes: u64,
    state: Arc<AtomicU8>,
}

/// Reads that are under way, and buffers to use again.
#[derive(Default)]
pub(super) struct Readback {
    free: HashMap<u64, Vec<wgpu::Buffer>>,
    pending: HashMap<u64, Pending>,
    next: u64,
}

impl Readback {
    /// Encodes the copy of `bytes` from `source` at `offset`; call [`Readback::map`] after the
    /// submission.
    pub(super) fn copy(
        &mut self,
        device: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
        source: &wgpu::Buffer,
        offset: u64,
        bytes: u64,
    ) -> Ticket {
        let buffer = self.free.get_mut(&bytes).and_then(Vec::pop).unwrap_or_else(|| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("readback"),
                size: bytes,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        });
        encoder.copy_buffer_to_buffer(source, offset, &buffer, 0, bytes);
        self.next += 1;
        let state = Arc::new(AtomicU8::new(UNDER_WAY));
        self.pending.insert(self.next, Pending { buffer, bytes, state });
        Ticket(self.next)
    }

    /// Asks for the data of a submitted copy.
    pub(super) fn map(&self, ticket: Ticket) {
        let Some(pending) = self.pending.get(&ticket.0) else { return };
        let state = pending.state.clone();
        pending.buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            state.store(if result.is_ok() { ARRIVED } else { FAILED }, Ordering::Release);
        });
    }

    /// Whether a read is still on its way.
    pub(super) fn is_waiting(&self) -> bool {
        self.pending.values().any(|pending| pending.state.load(Ordering::Acquire) == UNDER_WAY)
    }

    /// The data, once they are here.
    pub(super) fn take(
        &mut self,
        gpu: &GpuDevice,
        ticket: Ticket,
    ) -> Result<Option<Vec<f32>>, ExecutorError> {
        let Some(pending) = self.pending.get(&ticket.0) else { return Ok(None) };
        match pending.state.load(Ordering::Acquire) {
            UNDER_WAY => Ok(None),
            ARRIVED => {
                let pending = self.pending.remove(&ticket.0).expect("found above");
                let data = {
                    let range = pending.buffer.get_mapped_range(..).map_err(|error| {
                        ExecutorError::Gpu { reason: format!("reading back: {error}") }
                    })?;
                    bytemuck::pod_collect_to_vec(&range[..])
                };
                pending.buffer.unmap();
                self.free.entry(pending.bytes).or_default().push(pending.buffer);
                Ok(Some(data))
            }
            _ => {
                gpu.check()?;
                Err(ExecutorError::Gpu { reason: "a read-back buffer could not be mapped".into() })
            }
        }
    }
}
