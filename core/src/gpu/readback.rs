//! Non-blocking reads: a pool of mappable buffers, filled by copies in a submission.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::GpuDevice;
use crate::executor::{ExecutorError, Ticket};

const UNDER_WAY: u8 = 0;
const ARRIVED: u8 = 1;
const FAILED: u8 = 2;

/// Bytes of the largest buffer that is kept for the next read.
const LARGEST_POOLED: u64 = 1 << 20;

struct Pending {
    buffer: wgpu::Buffer,
    bytes: u64,
    state: Arc<AtomicU8>,
    submission: Option<wgpu::SubmissionIndex>,
}

/// Pending reads, and buffers for reuse.
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
        self.pending.insert(self.next, Pending { buffer, bytes, state, submission: None });
        Ticket(self.next)
    }

    /// Asks for the data of a copy that this submission makes.
    pub(super) fn map(&mut self, ticket: Ticket, submission: &wgpu::SubmissionIndex) {
        let Some(pending) = self.pending.get_mut(&ticket.0) else { return };
        pending.submission = Some(submission.clone());
        let state = pending.state.clone();
        pending.buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            state.store(if result.is_ok() { ARRIVED } else { FAILED }, Ordering::Release);
        });
    }

    /// The submission that a pending read waits for.
    pub(super) fn waiting_for(&self, ticket: Ticket) -> Option<wgpu::SubmissionIndex> {
        let pending = self.pending.get(&ticket.0)?;
        let waits = pending.state.load(Ordering::Acquire) == UNDER_WAY;
        pending.submission.clone().filter(|_| waits)
    }

    /// The newest pending read.
    pub(super) fn newest_waiting(&self) -> Option<Ticket> {
        let waiting = self.pending.keys().map(|&id| Ticket(id));
        waiting.filter(|&it| self.waiting_for(it).is_some()).max_by_key(|it| it.0)
    }

    /// The data of a read that has arrived.
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
                // Checkpoints are rare and large: their buffers go back to the device.
                if pending.bytes <= LARGEST_POOLED {
                    self.free.entry(pending.bytes).or_default().push(pending.buffer);
                }
                Ok(Some(data))
            }
            _ => {
                gpu.check()?;
                // A browser refuses to map before it reports the loss.
                Err(ExecutorError::DeviceLost { reason: "a read-back was refused".into() })
            }
        }
    }
}
