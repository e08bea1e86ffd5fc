//! Shader modules and compute pipelines, each made once on a device, whichever plans use it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::GpuDevice;
use crate::ops::{Dispatch, Kernel};

/// Shared snippets that a shader takes in with `#include "name"`.
const INCLUDES: &[(&str, &str)] = &[
    ("attention", include_str!("../../../shaders/include/attention.wgsl")),
    ("attention_sizes", include_str!("../../../shaders/include/attention_sizes.wgsl")),
    ("attention_tile", include_str!("../../../shaders/include/attention_tile.wgsl")),
    ("attention_registers", include_str!("../../../shaders/include/attention_registers.wgsl")),
    ("epilogue_rope", include_str!("../../../shaders/include/epilogue_rope.wgsl")),
    ("epilogue_store", include_str!("../../../shaders/include/epilogue_store.wgsl")),
    ("epilogue_swiglu", include_str!("../../../shaders/include/epilogue_swiglu.wgsl")),
    (
        "epilogue_swiglu_backward",
        include_str!("../../../shaders/include/epilogue_swiglu_backward.wgsl"),
    ),
    ("expert_tiles", include_str!("../../../shaders/include/expert_tiles.wgsl")),
    ("matmul", include_str!("../../../shaders/include/matmul.wgsl")),
    ("pairs", include_str!("../../../shaders/include/pairs.wgsl")),
    ("product", include_str!("../../../shaders/include/product.wgsl")),
    ("product_block", include_str!("../../../shaders/include/product_block.wgsl")),
    ("product_subgroup", include_str!("../../../shaders/include/product_subgroup.wgsl")),
    ("product_tile", include_str!("../../../shaders/include/product_tile.wgsl")),
    ("reduce", include_str!("../../../shaders/include/reduce.wgsl")),
    ("reduce_vec3", include_str!("../../../shaders/include/reduce_vec3.wgsl")),
    ("sigmoid", include_str!("../../../shaders/include/sigmoid.wgsl")),
];

/// Caches by module, entry point, constants and precisions. The map is locked only to find an entry:
/// threads compile different kernels at the same time.
#[derive(Debug, Default)]
pub(super) struct Pipelines(Mutex<Caches>);

/// An entry that the first who needs it fills.
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
                compilation_options: Default::default(),
                cache: None,
            })
        });
        (pipeline.clone(), bind_group_layout)
    }

    /// As if this dispatch had never been asked for.
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

/// Names of a dispatch's module and pipeline: what differs by one of them has another text or layout.
fn keys(gpu: &GpuDevice, dispatch: &Dispatch) -> [String; 2] {
    let (kernel, bindings) = (&dispatch.kernel, dispatch.bindings.len());
    // The text by its address: it lies in the program, once.
    let text = kernel.source.as_ptr();
    let (halves, checks) = (dispatch.halves(), checks(gpu));
    let module = format!("{}{text:p}{:?}{halves:?}{checks}", kernel.module, kernel.constants);
    let key = format!("{module}/{}/{bindings}", kernel.entry);
    [module, key]
}

/// Whether wgpu puts range checks into the kernels.
fn checks(gpu: &GpuDevice) -> bool {
    cfg!(target_arch = "wasm32") || cfg!(debug_assertions) && gpu.guard.is_none()
}

fn compile(gpu: &GpuDevice, dispatch: &Dispatch) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(dispatch.kernel.module),
        source: wgpu::ShaderSource::Wgsl(assemble(dispatch).into()),
    };
    if checks(gpu) {
        return gpu.device.create_shader_module(descriptor);
    }
    // SAFETY: the kernels are this crate's own, and none indexes past the sizes in its uniform block: the tests
    // of ops run them without the checks and find what they read or write past their views.
    unsafe {
        gpu.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
    }
}

/// A dispatch's whole WGSL: its kernel's text with its snippets, each `override` a `const` with its
/// value, and each `alias RealN = f32;` an f16 where binding N holds halves.
///
/// # Panics
/// If there is no such snippet, a constant has no `override`, or a binding of halves no alias:
/// mistakes in an op or a plan.
pub fn assemble(dispatch: &Dispatch) -> String {
    let (kernel, halves) = (&dispatch.kernel, dispatch.halves());
    let mut text = String::new();
    if !halves.is_empty() {
        text.push_str("enable f16;\n");
    }
    let mut used = Vec::new();
    let mut aliased = Vec::new();
    for line in expand(kernel.source).lines() {
        // naga knows subgroups without the directives that browsers ask for, and refuses them.
        let directive = line.starts_with("enable ") || line.starts_with("diagnostic(");
        if directive && !cfg!(target_arch = "wasm32") {
            continue;
        }
        let half = line.strip_prefix("alias Real").and_then(|rest| {
            let number = rest.strip_suffix(" = f32;")?.parse().ok()?;
            halves.contains(&number).then_some(number)
        });
        match (line.strip_prefix("override "), half) {
            (Some(declared), _) => text.push_str(&constant(declared, kernel, &mut used)),
            (None, Some(number)) => {
                aliased.push(number);
                text.push_str(&format!("alias Real{number} = f16;"));
            }
            (None, None) => text.push_str(line),
        }
        text.push('\n');
    }
    for (name, _) in &kernel.constants {
        assert!(used.contains(name), "{} has no override {name}", kernel.module);
    }
    for number in halves {
        assert!(aliased.contains(&number), "{} has no alias Real{number}", kernel.entry);
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
