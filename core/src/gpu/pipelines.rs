//! Shader modules and compute pipelines, each made once.

use std::collections::HashMap;

use super::GpuDevice;
use crate::ops::Kernel;

/// Shared snippets that a shader takes in with `#include "name"`.
const INCLUDES: &[(&str, &str)] = &[
    ("attention", include_str!("../../../shaders/include/attention.wgsl")),
    ("attention_tile", include_str!("../../../shaders/include/attention_tile.wgsl")),
    ("attention_registers", include_str!("../../../shaders/include/attention_registers.wgsl")),
    ("expert_tiles", include_str!("../../../shaders/include/expert_tiles.wgsl")),
    ("matmul", include_str!("../../../shaders/include/matmul.wgsl")),
    ("product", include_str!("../../../shaders/include/product.wgsl")),
    ("product_block", include_str!("../../../shaders/include/product_block.wgsl")),
    ("product_subgroup", include_str!("../../../shaders/include/product_subgroup.wgsl")),
    ("product_tile", include_str!("../../../shaders/include/product_tile.wgsl")),
    ("reduce", include_str!("../../../shaders/include/reduce.wgsl")),
    ("reduce_vec3", include_str!("../../../shaders/include/reduce_vec3.wgsl")),
];

/// Caches by module, entry point and constants.
#[derive(Default)]
pub(super) struct Pipelines {
    modules: HashMap<String, wgpu::ShaderModule>,
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
        let module = format!("{}{:?}", kernel.module, kernel.constants);
        let key = format!("{module}/{}/{bindings}", kernel.entry);
        let module = self.modules.entry(module).or_insert_with(|| compile(gpu, kernel));
        let pipeline = self.pipelines.entry(key).or_insert_with(|| {
            gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(kernel.entry),
                layout: Some(pipeline_layout),
                module,
                entry_point: Some(kernel.entry),
                compilation_options: Default::default(),
                cache: None,
            })
        });
        (pipeline.clone(), bind_group_layout.clone())
    }
}

fn compile(gpu: &GpuDevice, kernel: &Kernel) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(kernel.module),
        source: wgpu::ShaderSource::Wgsl(assemble(kernel).into()),
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

/// A kernel's whole WGSL: its text with its snippets, and each `override` a `const` with its value.
///
/// # Panics
/// If there is no such snippet, or a constant has no `override`: mistakes in an op.
pub fn assemble(kernel: &Kernel) -> String {
    let mut text = String::new();
    let mut used = Vec::new();
    for line in expand(kernel.source).lines() {
        // naga knows subgroups without the directives that browsers ask for, and refuses them.
        let directive = line.starts_with("enable ") || line.starts_with("diagnostic(");
        if directive && !cfg!(target_arch = "wasm32") {
            continue;
        }
        match line.strip_prefix("override ") {
            Some(declared) => text.push_str(&constant(declared, kernel, &mut used)),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    for (name, _) in &kernel.constants {
        assert!(used.contains(name), "{} has no override {name}", kernel.module);
    }
    text
}

/// A shader's text, each line `#include "name"` in it the snippet of that name.
///
/// # Panics
/// If there is no such snippet.
pub(super) fn expand(source: &str) -> String {
    let mut text = String::new();
    for line in source.lines() {
        match line.strip_prefix("#include ") {
            Some(quoted) => {
                let name = quoted.trim_matches('"');
                let snippet = INCLUDES.iter().find(|(key, _)| *key == name);
                text += &expand(snippet.unwrap_or_else(|| panic!("no shader include `{name}`")).1);
            }
            None => text.extend([line, "\n"]),
        }
    }
    text
}

/// `NAME: type = default;`, or without a default, as a constant.
fn constant<'a>(declared: &str, kernel: &'a Kernel, used: &mut Vec<&'a str>) -> String {
    let declared = declared.split(';').next().unwrap_or(declared);
    let (declaration, default) = match declared.split_once('=') {
        Some((declaration, default)) => (declaration.trim_end(), Some(default.trim_start())),
        None => (declared, None),
    };
    let (name, kind) = declaration.split_once(':').expect("an override says its type");
    let found = kernel.constants.iter().find(|(it, _)| *it == name);
    let value = match (found, kind.trim()) {
        (None, _) => default.expect("a constant without a default has a value").to_owned(),
        (Some((_, value)), "bool") => (*value != 0.0).to_string(),
        (Some((_, value)), "f32") => format!("{value:?}"),
        (Some((_, value)), _) => value.to_string(),
    };
    used.extend(found.map(|(name, _)| *name));
    format!("const {declaration} = {value};")
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
