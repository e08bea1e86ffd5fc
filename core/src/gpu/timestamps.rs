//! Time of each command on the device: by timestamps if the adapter has them, else by a separate submission and wait
//! for each command.

use web_time::Instant;

use super::GpuDevice;
use crate::executor::ExecutorError;

/// Queries of one set, guaranteed by WebGPU.
const QUERIES: usize = 4096;

/// Submits `before`, then each of `commands` in a pass of its own, and returns their seconds.
///
/// # Errors
/// What the device reports.
pub(super) fn time<C>(
    gpu: &GpuDevice,
    mut before: wgpu::CommandEncoder,
    commands: &[C],
    encode: impl Fn(&mut wgpu::ComputePass<'_>, &C),
) -> Result<Vec<f64>, ExecutorError> {
    if !gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
        gpu.queue.submit([before.finish()]);
        wait(gpu)?;
        return commands.iter().map(|command| time_alone(gpu, command, &encode)).collect();
    }
    let mut sets = Vec::new();
    for commands in commands.chunks(QUERIES / 2) {
        let count = 2 * commands.len() as u32;
        let set = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("times"),
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        for (index, command) in commands.iter().enumerate() {
            let mut pass = before.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &set,
                    beginning_of_pass_write_index: Some(2 * index as u32),
                    end_of_pass_write_index: Some(2 * index as u32 + 1),
                }),
            });
            encode(&mut pass, command);
        }
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = buffer(gpu, count, usage);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readable = buffer(gpu, count, usage);
        before.resolve_query_set(&set, 0..count, &resolved, 0);
        before.copy_buffer_to_buffer(&resolved, 0, &readable, 0, readable.size());
        sets.push(readable);
    }
    gpu.queue.submit([before.finish()]);
    for readable in &sets {
        // Errors appear when the buffer is read.
        readable.map_async(wgpu::MapMode::Read, .., |_| {});
    }
    wait(gpu)?;
    let period = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
    let mut seconds = Vec::new();
    for readable in sets {
        let view = readable
            .get_mapped_range(..)
            .map_err(|error| ExecutorError::Gpu { reason: format!("timestamps: {error}") })?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view);
        seconds.extend(ticks.chunks(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * period));
    }
    Ok(seconds)
}

fn buffer(gpu: &GpuDevice, count: u32, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let size = 8 * u64::from(count);
    let label = Some("times");
    gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label,
        size,
        usage,
        mapped_at_creation: false,
    })
}

fn time_alone<C>(
    gpu: &GpuDevice,
    command: &C,
    encode: impl Fn(&mut wgpu::ComputePass<'_>, &C),
) -> Result<f64, ExecutorError> {
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    encode(&mut encoder.begin_compute_pass(&Default::default()), command);
    let commands = encoder.finish();
    let begin = Instant::now();
    gpu.queue.submit([commands]);
    wait(gpu)?;
    Ok(begin.elapsed().as_secs_f64())
}

fn wait(gpu: &GpuDevice) -> Result<(), ExecutorError> {
    let waited = gpu.device.poll(wgpu::PollType::Wait { submission_index: None, timeout: None });
    gpu.check()?;
    waited.map(drop).map_err(|error| ExecutorError::Gpu { reason: format!("waiting: {error}") })
}
