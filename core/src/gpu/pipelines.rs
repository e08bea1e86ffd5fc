//! Shader modules and compute pipelines, each made once on a device, whichever plans use it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::GpuDevice;
use crate::kernel::{Dispatch, assemble};

/// Caches by module, entry point, constants, and names and types of the bindings. The map is locked only for the search
/// of an entry, so threads can compile different kernels at the same time.
#[derive(Debug, Default)]
pub(super) struct Pipelines(Mutex<Caches>);

/// An entry of a cache, filled at its first use.
type Once<T> = Arc<OnceLock<T>>;

#[derive(Debug, Default)]
struct Caches {
    modules: HashMap<String, Once<wgpu::ShaderModule>>,
    layouts: HashMap<usize, (wgpu::BindGroupLayout, wgpu::PipelineLayout)>,
    pipelines: HashMap<String, Once<wgpu::ComputePipeline>>,
}

impl Pipelines {
    /// The pipeline of a dispatch, and its bind group layout.
    pub(super) fn get(
        &self,
        gpu: &GpuDevice,
        dispatch: &Dispatch,
    ) -> (wgpu::ComputePipeline, wgpu::BindGroupLayout) {
        let (kernel, bindings) = (&dispatch.kernel, dispatch.bindings.len());
        let [module, key] = keys(gpu, dispatch);
        let (module, pipeline, (bind_group_layout, pipeline_layout)) = {
            let mut caches = self.lock();
            let layouts =
                caches.layouts.entry(bindings).or_insert_with(|| layouts(&gpu.device, bindings));
            let layouts = layouts.clone();
            let module = caches.modules.entry(module).or_default().clone();
            (module, caches.pipelines.entry(key).or_default().clone(), layouts)
        };
        let pipeline = pipeline.get_or_init(|| {
            gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(kernel.entry),
                layout: Some(&pipeline_layout),
                module: module.get_or_init(|| compile(gpu, dispatch)),
                entry_point: Some(kernel.entry),
                compilation_options: wgpu::PipelineCompilationOptions {
                    // Kernels write workgroup memory before they read it.
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: None,
            })
        });
        (pipeline.clone(), bind_group_layout)
    }

    /// Removes a dispatch's module and pipeline from the caches.
    pub(super) fn forget(&self, gpu: &GpuDevice, dispatch: &Dispatch) {
        let [module, key] = keys(gpu, dispatch);
        let mut caches = self.lock();
        caches.modules.remove(&module);
        caches.pipelines.remove(&key);
    }

    fn lock(&self) -> MutexGuard<'_, Caches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys of a dispatch's module and pipeline. Kernels with different texts or layouts have different keys.
fn keys(gpu: &GpuDevice, dispatch: &Dispatch) -> [String; 2] {
    let kernel = &dispatch.kernel;
    let (storage, checks, matrices) =
        (dispatch.storage(), checks(gpu), gpu.capabilities().matrices);
    let constants = &kernel.constants;
    let module = format!("{}{constants:?}{storage:?}{checks}{matrices:?}", kernel.module.key());
    let key = format!("{module}/{}", kernel.entry);
    [module, key]
}

/// Whether wgpu puts range checks into the kernels.
fn checks(gpu: &GpuDevice) -> bool {
    cfg!(target_arch = "wasm32") || cfg!(debug_assertions) && gpu.guard.is_none()
}

fn compile(gpu: &GpuDevice, dispatch: &Dispatch) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(&dispatch.kernel.module.name()),
        source: wgpu::ShaderSource::Wgsl(assemble(dispatch, gpu.capabilities().matrices).into()),
    };
    if checks(gpu) {
        return gpu.device.create_shader_module(descriptor);
    }
    // SAFETY: the kernels belong to this crate, and none indexes past the sizes in its uniform block. The tests of ops
    // run them without the checks and detect reads and writes outside of their views.
    unsafe {
        gpu.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
    }
}

/// A uniform block and `bindings` writable storage buffers.
fn layouts(
    device: &wgpu::Device,
    bindings: usize,
) -> (wgpu::BindGroupLayout, wgpu::PipelineLayout) {
    let entries: Vec<wgpu::BindGroupLayoutEntry> = (0..=bindings as u32)
        .map(|binding| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: if binding == 0 {
                    wgpu::BufferBindingType::Uniform
                } else {
                    wgpu::BufferBindingType::Storage { read_only: false }
                },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        })
        .collect();
    let bind_group_layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: None,
        entries: &entries,
    });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(&bind_group_layout)],
        immediate_size: 0,
    });
    (bind_group_layout, pipeline_layout)
}
