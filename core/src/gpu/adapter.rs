//! Lists and opens adapters.

use std::sync::{Arc, Mutex};

use super::pipelines::Pipelines;
use super::tuning::Tuning;
use crate::executor::ExecutorError;
use crate::kernel::{Capabilities, ForcedError, Matrices, Selector, Variant};
use crate::ops::DynOp;
use crate::plan::{Limits, Plan};

/// Description of an adapter.
#[derive(Clone, Debug)]
pub struct AdapterSummary {
    /// The adapter's name; empty if a browser hides it, so messages use
    /// [`AdapterSummary::quoted`] or [`AdapterSummary::label`].
    pub name: String,
    /// Vulkan, Metal, DirectX 12 or WebGPU.
    pub backend: String,
    /// Driver name and version.
    pub driver: String,
    /// A software renderer on the CPU: the CPU executor is faster.
    pub software: bool,
    /// Whether kernels may hold numbers in 16 bits: `train.precision = "mixed"`.
    pub half: bool,
    /// Largest buffer and binding.
    pub limits: Limits,
}

impl AdapterSummary {
    /// The name within a sentence: in backticks, or `an adapter without a name`.
    pub fn quoted(&self) -> String {
        match self.name.trim() {
            "" => "an adapter without a name".to_owned(),
            name => format!("`{name}`"),
        }
    }

    /// The name by itself, or `adapter without a name`.
    pub fn label(&self) -> &str {
        match self.name.trim() {
            "" => "adapter without a name",
            name => name,
        }
    }

    /// Checks that a plan with halves runs here.
    ///
    /// # Errors
    /// [`ExecutorError::NoHalf`] if the adapter has no 16-bit numbers.
    pub fn check_half(&self) -> Result<(), ExecutorError> {
        if self.half {
            return Ok(());
        }
        Err(ExecutorError::NoHalf { adapter: format!("{} lacks it", self.quoted()) })
    }
}

/// Which adapter to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceRequest {
    /// A real GPU; no software adapter.
    RealGpu,
    /// A real GPU whose kernels may hold numbers in 16 bits.
    RealGpuWithHalf,
    /// Any adapter, real ones first.
    AnyGpu,
    /// The first adapter whose name contains this, ignoring case.
    Named(String),
}

/// The error of a failed device: set by wgpu's callbacks, read by the executor.
#[derive(Clone, Debug, Default)]
pub(super) struct Failure(Arc<Mutex<Option<ExecutorError>>>);

impl Failure {
    fn set(&self, error: ExecutorError) {
        let mut slot = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // On a lost device every later call fails, so the loss replaces their errors.
        if slot.is_none() || matches!(error, ExecutorError::DeviceLost { .. }) {
            *slot = Some(error);
        }
    }

    /// The failure, if there was one.
    pub(super) fn check(&self) -> Result<(), ExecutorError> {
        match &*self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

/// An opened adapter.
#[derive(Clone, Debug)]
pub struct GpuDevice {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) failure: Failure,
    /// Shared by all clones.
    pub(super) pipelines: Arc<Pipelines>,
    /// Its description.
    pub summary: AdapterSummary,
    /// Chooses among the variants of an op.
    selector: Selector,
    /// Measurements of the variants of ops.
    tuning: Arc<Tuning>,
    /// See [`GpuDevice::guarded`].
    pub(super) guard: Option<u64>,
}

impl GpuDevice {
    /// The failure, if there was one.
    pub(super) fn check(&self) -> Result<(), ExecutorError> {
        if matches!(self.failure.check(), Err(ExecutorError::Gpu { .. })) {
            // Commands on a lost device fail at once, but the callback for the loss comes only after the last work. The
            // result of polling itself is not needed.
            let timeout = Some(std::time::Duration::from_secs(5));
            let _ = self.device.poll(wgpu::PollType::Wait { submission_index: None, timeout });
        }
        self.failure.check()
    }

    /// Its capabilities.
    pub fn capabilities(&self) -> &Capabilities {
        &self.selector.capabilities
    }

    /// The variants of an op that can run on this adapter.
    pub fn usable(&self, op: &dyn DynOp) -> Vec<Variant> {
        self.selector.usable(op.variants())
    }

    /// The reason why a variant can't run here, in words; none if it can.
    pub fn missing(&self, variant: &Variant) -> Option<String> {
        self.selector.missing(variant)
    }

    /// The variants of an op that are worth measuring here.
    pub(super) fn candidates(&self, op: &dyn DynOp) -> Vec<Variant> {
        self.selector.candidates(self.usable(op))
    }

    /// Whether an op needs no measurement: it has one variant, or the choice is known.
    pub fn is_measured(&self, op: &dyn DynOp, known: &Tuning) -> bool {
        let usable = self.usable(op);
        known.choice(op, &usable).is_some() || self.selector.candidates(usable).len() < 2
    }

    /// The variant of an op that runs here: see [`Selector::select`].
    pub fn variant(&self, op: &dyn DynOp) -> Variant {
        let mut usable = self.usable(op);
        if usable.len() == 1 {
            return usable.remove(0);
        }
        let fastest = self.tuning.choice(op, &usable).map(|choice| choice.variant.as_str());
        self.selector.select(usable, fastest, |name| self.tuning.has_failed(op, name))
    }

    /// The same device, with this variant forced in every op that has it, for tests and comparisons. Loading a plan
    /// fails if the variant can't run here. Loading an executor's first plan also fails if none of its ops has the
    /// variant.
    pub fn forcing(mut self, variant: &str) -> Self {
        self.selector.forced = Some(variant.to_owned());
        self
    }

    /// Checks a plan for the forced variant: see [`Selector::check_forced`].
    pub(super) fn check_forced(&self, plan: &Plan) -> Result<(), ForcedError> {
        if cfg!(target_arch = "wasm32") {
            return Ok(()); // The page never forces a variant.
        }
        self.selector.check_forced(plan.nodes().map(|node| (node.op.name(), node.op.variants())))
    }

    /// The same device for tests of ops. Kernels run without wgpu's range checks, as in release builds, and each
    /// binding extends up to `bytes` past its view. Tests put guard words there, which no kernel may read or write.
    pub fn guarded(self, bytes: u64) -> Self {
        Self { guard: Some(bytes), ..self }
    }

    /// The same device, with plain code in place of matrix units, for tests on adapters without such units. Returns the
    /// device unchanged if it has matrix units, or no 16-bit numbers.
    pub fn emulating_matrices(mut self) -> Self {
        let has = &mut self.selector.capabilities;
        if has.half && has.matrices == Matrices::None {
            has.matrices = Matrices::Emulated;
        }
        self
    }

    /// Measurements of the variants of ops.
    pub fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// The same device with these choices.
    pub fn tuned(self, tuning: Tuning) -> Self {
        Self { tuning: Arc::new(tuning), ..self }
    }

    /// Destroys the device, as a driver reset would: for tests of lost devices.
    pub fn destroy(&self) {
        self.device.destroy();
    }
}

/// Every adapter of this machine, real GPUs first.
pub async fn adapters() -> Vec<AdapterSummary> {
    list(&instance()).await.iter().map(summarize).collect()
}

/// Opens the requested adapter with its largest limits.
///
/// # Errors
/// [`ExecutorError::NoAdapter`] lists the available adapters; [`ExecutorError::NoDevice`] gives the adapter's reason.
pub async fn open(request: &DeviceRequest) -> Result<GpuDevice, ExecutorError> {
    let all = list(&instance()).await;
    let suits = |adapter: &&wgpu::Adapter| {
        let summary = summarize(adapter);
        match request {
            DeviceRequest::RealGpu => !summary.software,
            DeviceRequest::RealGpuWithHalf => !summary.software && summary.half,
            DeviceRequest::AnyGpu => true,
            DeviceRequest::Named(part) => {
                summary.name.to_lowercase().contains(&part.to_lowercase())
            }
        }
    };
    // A whole name comes before a part of a name: "RTX 3070" is also in "RTX 3070 Ti".
    let named = |adapter: &&wgpu::Adapter| match request {
        DeviceRequest::Named(name) => summarize(adapter).name == *name,
        _ => false,
    };
    let chosen = all.iter().find(named).or_else(|| all.iter().find(suits));
    let Some(adapter) = chosen else {
        let names: Vec<String> = all.iter().map(|adapter| summarize(adapter).quoted()).collect();
        return Err(ExecutorError::NoAdapter {
            wanted: match request {
                DeviceRequest::RealGpu => "that is not software".into(),
                DeviceRequest::RealGpuWithHalf => "with 16-bit numbers (shader-f16)".into(),
                DeviceRequest::AnyGpu => "at all".into(),
                DeviceRequest::Named(part) => format!("whose name contains `{part}`"),
            },
            found: if names.is_empty() { "none".into() } else { names.join(", ") },
        });
    };
    let summary = summarize(adapter);
    let capabilities = capabilities(adapter);
    let (device, queue) = adapter
        .request_device(&wgpu::DeviceDescriptor {
            label: Some("nitp"),
            required_features: adapter.features()
                & (wgpu::Features::TIMESTAMP_QUERY
                    | wgpu::Features::SUBGROUP
                    | wgpu::Features::SHADER_F16
                    | matrix_feature(capabilities.matrices)),
            required_limits: adapter.limits(),
            experimental_features: experimental_features(capabilities.matrices),
            ..Default::default()
        })
        .await
        .map_err(|error| ExecutorError::NoDevice {
            adapter: summary.quoted(),
            reason: error.to_string(),
        })?;
    let failure = Failure::default();
    let seen = failure.clone();
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        seen.set(ExecutorError::Gpu { reason: error.to_string() });
    }));
    let seen = failure.clone();
    device.set_device_lost_callback(move |reason, message| {
        seen.set(ExecutorError::DeviceLost { reason: format!("{reason:?}: {message}") });
    });
    let tuning = Arc::new(Tuning::new(&summary));
    let selector = Selector { capabilities, software: summary.software, forced: None };
    let pipelines = Arc::default();
    Ok(GpuDevice { device, queue, failure, pipelines, summary, selector, tuning, guard: None })
}

/// The capabilities of an adapter, from its features.
fn capabilities(adapter: &wgpu::Adapter) -> Capabilities {
    let (features, info) = (adapter.features(), adapter.get_info());
    let half = features.contains(wgpu::Features::SHADER_F16);
    let subgroup = match features.contains(wgpu::Features::SUBGROUP) {
        true => [info.subgroup_min_size as usize, info.subgroup_max_size as usize],
        false => [0; 2],
    };
    // A subgroup holds a piece of a matrix, and the kernels assume subgroups of 32 threads. WGSL can't request a size
    // on an adapter with several sizes.
    let matrices = match half && subgroup == [32; 2] {
        true => matrices(adapter),
        false => Matrices::None,
    };
    let shared = adapter.limits().max_compute_workgroup_storage_size as usize;
    Capabilities { half, subgroup, matrices, shared }
}

/// The first shape in the adapter's list that the kernels support.
#[cfg(not(target_arch = "wasm32"))]
fn matrices(adapter: &wgpu::Adapter) -> Matrices {
    use wgpu::CooperativeScalarType::{F16, F32};
    if !adapter.features().contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
        return Matrices::None;
    }
    let listed = adapter.cooperative_matrix_properties();
    let known = listed.iter().filter(|it| (it.ab_type, it.cr_type) == (F16, F32));
    let mut known = known.filter_map(|it| match (it.m_size, it.n_size, it.k_size) {
        (16, 16, 16) => Some(Matrices::Units16),
        (8, 8, 8) => Some(Matrices::Units8),
        _ => None,
    });
    known.next().unwrap_or_default()
}

/// Browsers have no such feature.
#[cfg(target_arch = "wasm32")]
fn matrices(_: &wgpu::Adapter) -> Matrices {
    Matrices::None
}

fn matrix_feature(matrices: Matrices) -> wgpu::Features {
    match matrices {
        Matrices::Units8 | Matrices::Units16 => wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
        Matrices::None | Matrices::Emulated => wgpu::Features::empty(),
    }
}

fn experimental_features(matrices: Matrices) -> wgpu::ExperimentalFeatures {
    if matrix_feature(matrices).is_empty() {
        return wgpu::ExperimentalFeatures::disabled();
    }
    // SAFETY: the use of matrices in the kernels is checked by naga, by the tests of ops, and by the tuner, which
    // compares each variant with the baseline before taking it.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

fn instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env())
}

/// Sorted: discrete, integrated, virtual, other, software.
async fn list(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    #[cfg(target_arch = "wasm32")]
    let mut all: Vec<wgpu::Adapter> =
        instance.request_adapter(&Default::default()).await.into_iter().collect();
    #[cfg(not(target_arch = "wasm32"))]
    let mut all = instance.enumerate_adapters(wgpu::Backends::all()).await;
    all.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    all
}

fn summarize(adapter: &wgpu::Adapter) -> AdapterSummary {
    let info = adapter.get_info();
    let limits = adapter.limits();
    AdapterSummary {
        software: info.device_type == wgpu::DeviceType::Cpu || info.name.contains("SwiftShader"),
        half: adapter.features().contains(wgpu::Features::SHADER_F16),
        name: info.name,
        backend: match info.backend {
            wgpu::Backend::Vulkan => "Vulkan",
            wgpu::Backend::Metal => "Metal",
            wgpu::Backend::Dx12 => "DirectX 12",
            wgpu::Backend::Gl => "OpenGL",
            wgpu::Backend::BrowserWebGpu => "WebGPU",
            wgpu::Backend::Noop => "none",
        }
        .to_owned(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        limits: Limits {
            buffer: (limits.max_buffer_size / 4) as usize,
            // An element's index is a u32 in WGSL, and so is every size in a uniform block.
            binding: (limits.max_storage_buffer_binding_size / 4).min(u64::from(u32::MAX / 4))
                as usize,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> AdapterSummary {
        AdapterSummary {
            name: name.to_owned(),
            backend: "WebGPU".to_owned(),
            driver: String::new(),
            software: true,
            half: false,
            limits: Limits::NONE,
        }
    }

    #[test]
    fn a_hidden_name_leaves_no_hole_in_a_sentence() {
        assert_eq!(
            (named("llvmpipe").quoted().as_str(), named("llvmpipe").label()),
            ("`llvmpipe`", "llvmpipe")
        );
        for hidden in ["", " "] {
            let adapter = named(hidden);
            assert_eq!(adapter.quoted(), "an adapter without a name");
            assert_eq!(adapter.label(), "adapter without a name");
            let error = adapter.check_half().unwrap_err().to_string();
            assert!(error.contains("and an adapter without a name lacks it"), "{error}");
        }
    }
}
