//! Harness for what crosses crates: one body runs an op on every executor and compares with the
//! f64 twin; finite differences judge every backward.

pub mod as_real;
pub mod model_case;
pub mod op_case;
pub mod vectors;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use nitp_core::gpu::{DeviceRequest, GpuDevice, open};

/// An adapter for tests: lavapipe in CI, whatever there is elsewhere. Without matrix units, kernels for them
/// run with plain code in their place.
///
/// A software adapter compiles on one thread a device, and compiling is most of what these tests do there: two
/// devices serve the tests in turns, each test's thread one of them.
///
/// # Panics
/// If there is none: a test that needs an adapter fails rather than passing by skipping.
pub fn gpu() -> GpuDevice {
    static DEVICES: [OnceLock<GpuDevice>; 2] = [const { OnceLock::new() }; 2];
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static ITS: usize = THREADS.fetch_add(1, Ordering::Relaxed) % DEVICES.len();
    }
    DEVICES[ITS.with(|its| *its)].get_or_init(gpu_alone).clone()
}

/// The same adapter, opened for one test alone: one that makes kernels fail, which others that run at the
/// same time would see.
///
/// # Panics
/// As [`gpu`].
pub fn gpu_alone() -> GpuDevice {
    pollster::block_on(open(&DeviceRequest::AnyGpu))
        .expect("these tests need a Vulkan adapter; on Debian: apt-get install mesa-vulkan-drivers")
        .emulating_matrices()
}
