//! Outputs of an op on a GPU, to compare its variants. Every variant starts from the same contents of the outputs.

use futures_channel::oneshot;
use half::f16;

use super::GpuDevice;
use super::commands::{Command, encode};
use super::run::GpuExecutor;
use super::tuner::done;
use crate::executor::{ExecutorError, PlanId};
use crate::tensor::{Access, DType};

/// Largest difference between the results of two variants, relative to the root mean square of the results. Another
/// order of sums or another `exp` stays below it; a kernel that the adapter's compiler broke exceeds it.
const MOST_DIFFERENCE: f64 = 1e-3;

/// The same for outputs in f16, which variants may round at different places.
const MOST_DIFFERENCE_OF_HALVES: f64 = 5e-3;

/// An output: its place, a copy of its contents before the op, and a buffer for the host.
struct Output {
    buffer: wgpu::Buffer,
    offset: u64,
    bytes: u64,
    dtype: DType,
    before: wgpu::Buffer,
    copy: wgpu::Buffer,
}

/// All outputs of an op.
pub(super) struct Outputs(Vec<Output>);

impl Outputs {
    /// The outputs of a node of a loaded plan, with their current contents. Empty if there is no memory for copies;
    /// then nothing is compared.
    pub async fn of(executor: &GpuExecutor, id: PlanId, node: usize) -> Self {
        let gpu = &executor.gpu;
        let node = executor.plans[id.0].plan.nodes().nth(node).expect("a node of it");
        let uses = node.op.uses();
        let written = uses.iter().filter(|it| it.access.writes() && it.access != Access::Scratch);
        let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let outputs = written.filter(|it| it.view.dtype != DType::U32).map(|used| {
            let (buffer, offset) = executor.place_of(id, used.view);
            let bytes = used.view.bytes().next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT);
            let before =
                made(gpu, bytes, wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST);
            let copy =
                made(gpu, bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
            encoder.copy_buffer_to_buffer(&buffer, offset, &before, 0, bytes);
            Output { buffer, offset, bytes, dtype: used.view.dtype, before, copy }
        });
        let outputs = Self(outputs.collect());
        if scope.pop().await.is_some() {
            return Self(Vec::new());
        }
        gpu.queue.submit([encoder.finish()]);
        outputs
    }

    /// Restores the contents from before the op.
    pub fn restore(&self, gpu: &GpuDevice) {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        for it in &self.0 {
            encoder.copy_buffer_to_buffer(&it.before, 0, &it.buffer, it.offset, it.bytes);
        }
        gpu.queue.submit([encoder.finish()]);
    }

    /// Runs the commands and reads the outputs.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn by(
        &self,
        gpu: &GpuDevice,
        commands: &[Command],
    ) -> Result<Vec<f32>, ExecutorError> {
        self.restore(gpu);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        encode(&mut encoder.begin_compute_pass(&Default::default()), commands);
        for it in &self.0 {
            encoder.copy_buffer_to_buffer(&it.buffer, it.offset, &it.copy, 0, it.bytes);
        }
        gpu.queue.submit([encoder.finish()]);
        let mut values = Vec::new();
        for it in &self.0 {
            let (tell, told) = oneshot::channel();
            it.copy.slice(..).map_async(wgpu::MapMode::Read, move |mapped| {
                // The receiver may be dropped already.
                let _ = tell.send(mapped);
            });
            done(gpu).await?;
            // An error is reported by `check`, below.
            if let (Ok(Ok(())), Ok(bytes)) = (told.await, it.copy.slice(..).get_mapped_range()) {
                if it.dtype == DType::Half {
                    let halves = bytemuck::pod_collect_to_vec::<u8, u16>(&bytes);
                    values.extend(halves.into_iter().map(|bits| f16::from_bits(bits).to_f32()));
                } else {
                    values.extend(bytemuck::pod_collect_to_vec::<u8, f32>(&bytes));
                }
            }
            it.copy.unmap();
        }
        gpu.check()?;
        Ok(values)
    }

    /// The difference in words, if the results differ by more than rounding.
    pub fn difference(&self, expected: &[f32], found: &[f32]) -> Option<String> {
        let halves = self.0.iter().any(|it| it.dtype == DType::Half);
        difference(
            expected,
            found,
            if halves { MOST_DIFFERENCE_OF_HALVES } else { MOST_DIFFERENCE },
        )
    }
}

fn difference(expected: &[f32], found: &[f32], most: f64) -> Option<String> {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let total: f64 = expected.iter().map(|&x| square(x)).sum();
    let apart: f64 = expected.iter().zip(found).map(|(&x, &y)| square(x - y)).sum();
    let relative = (apart / total.max(f64::MIN_POSITIVE)).sqrt();
    // NaN does not agree, either.
    let agree = expected.len() == found.len() && relative <= most;
    (!agree).then(|| format!("its relative error against the baseline is {relative:.1e}"))
}

fn made(gpu: &GpuDevice, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("outputs"),
        size,
        usage,
        mapped_at_creation: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_results_are_told_and_other_rounding_is_not() {
        let difference =
            |expected: &[f32], found: &[f32]| difference(expected, found, MOST_DIFFERENCE);
        let expected = [1.0, -2.0, 3.0];
        assert_eq!(difference(&expected, &[1.00001, -2.0, 2.99999]), None);
        assert_eq!(difference(&[0.0], &[0.0]), None);
        for wrong in [[1.0, -2.0, 3.1], [f32::NAN, -2.0, 3.0], [1.0, -2.0, 0.0]] {
            assert!(difference(&expected, &wrong).is_some(), "{wrong:?}");
        }
        assert!(difference(&expected, &[]).is_some());
    }
}
