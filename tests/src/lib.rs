//! Harness for tests across crates: runs an op on every executor and compares it with the f64 twin, and checks every
//! backward by finite differences.

pub mod as_real;
pub mod model_case;
pub mod op_case;
pub mod vectors;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use nitp_core::gpu::{DeviceRequest, GpuDevice, open};

/// An adapter for tests: lavapipe in CI, any adapter elsewhere. Without matrix units, kernels for them run with plain
/// code instead. A software adapter compiles on one thread per device, and compilation takes most of the tests' time
/// there. The tests therefore share two devices; each test's thread uses one of them.
///
/// # Panics
/// If there is no adapter: a test that needs one must fail, not be skipped.
pub fn gpu() -> GpuDevice {
    static DEVICES: [OnceLock<GpuDevice>; 2] = [const { OnceLock::new() }; 2];
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static ITS: usize = THREADS.fetch_add(1, Ordering::Relaxed) % DEVICES.len();
    }
    DEVICES[ITS.with(|its| *its)].get_or_init(gpu_alone).clone()
}

/// The same adapter, opened for a single test that makes kernels fail, which would affect tests on the same device.
///
/// # Panics
/// As [`gpu`].
pub fn gpu_alone() -> GpuDevice {
    pollster::block_on(open(&DeviceRequest::AnyGpu))
        .expect("these tests need a Vulkan adapter; on Debian: apt-get install mesa-vulkan-drivers")
        .emulating_matrices()
}
