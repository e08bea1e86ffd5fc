//! Shader modules and compute pipelines, each made once.

use std::collections::HashMap;

use super::GpuDevice;
use crate::ops::Kernel;

/// Shared snippets that a shader takes in with `#include "name"`.
const INCLUDES: &[(&str, &str)] = &[
    ("matmul", include_str!("../../../shaders/include/matmul.wgsl")),
    ("reduce", include_str!("../../../shaders/include/reduce.wgsl")),
    ("reduce_vec3", include_str!("../../../shaders/include/reduce_vec3.wgsl")),
];

/// Caches by module, entry point and constants.
#[derive(Default)]
pub(super) struct Pipelines {
    modules: HashMap<&'static str, wgpu::ShaderModule>,
    layouts: HashMap<usize, (wgpu::BindGroupLayout, wgpu::PipelineLayout)>,
    pipelines: HashMap<String, wgpu::ComputePipeline>,
}

impl Pipelines {
    /// The pipeline of a kernel with this many storage bindings, and its bind group layout.
    pub(super) fn get(
        &mut self,
        gpu: &GpuDevice,
        kernel: &Kernel,
        bindings: usize,
    ) -> (wgpu::ComputePipeline, wgpu::BindGroupLayout) {
        let (bind_group_layout, pipeline_layout) =
            self.layouts.entry(bindings).or_insert_with(|| layouts(&gpu.device, bindings));
        let key = format!("{}/{}/{:?}/{bindings}", kernel.module, kernel.entry, kernel.constants);
        let module = self.modules.entry(kernel.module).or_insert_with(|| compile(gpu, kernel));
        let pipeline = self.pipelines.entry(key).or_insert_with(|| {
            gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(kernel.entry),
                layout: Some(pipeline_layout),
                module,
                entry_point: Some(kernel.entry),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &kernel.constants,
                    ..Default::default()
                },
                cache: None,
            })
        });
        (pipeline.clone(), bind_group_layout.clone())
    }
}

fn compile(gpu: &GpuDevice, kernel: &Kernel) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(kernel.module),
        source: wgpu::ShaderSource::Wgsl(assemble(kernel.source).into()),
    };
    if cfg!(debug_assertions) || cfg!(target_arch = "wasm32") {
        return gpu.device.create_shader_module(descriptor);
    }
    // SAFETY: the kernels are this crate's own; the same ones run with the checks on in every
    // test, and none indexes past the sizes in its uniform block.
    unsafe {
        gpu.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
    }
}

/// Replaces each line `#include "name"` by the snippet of that name.
fn assemble(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    for line in source.lines() {
        match line.trim().strip_prefix("#include ") {
            Some(quoted) => {
                let name = quoted.trim().trim_matches('"');
                let snippet = INCLUDES.iter().find(|(key, _)| *key == name);
                text.push_str(snippet.unwrap_or_else(|| panic!("no shader include `{name}`")).1);
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
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
