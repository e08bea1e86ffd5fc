// One AdamW update of a packed chunk of parameters (core/src/ops/adamw.rs). One thread for each element.

// Indices into scalars (core/src/ops/scalars.rs).
override LEARNING_RATE: u32;
override BIAS_CORRECTION1: u32;
override BIAS_CORRECTION2: u32;

struct Sizes {
    len: u32,
    decay_end: u32,
    beta1: f32,
    rest1: f32, // 1 - beta1
    beta2: f32,
    rest2: f32, // 1 - beta2
    eps: f32,
    weight_decay: f32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage parameter: f32; // [len]
storage gradient: f32;  // [len]
storage moment1: f32;   // [len]
storage moment2: f32;   // [len]
storage clip: f32;      // [1]
storage scalars: f32;

const THREADS: u32 = 256;

@compute @workgroup_size(THREADS)
fn adamw(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * THREADS + lane;
    // A factor of 0 skips the update.
    if i >= sizes.len || clip[0] == 0 { return; }
    let lr = scalars[LEARNING_RATE];
    let g = clip[0] * gradient[i];
    let m = sizes.beta1 * moment1[i] + sizes.rest1 * g;
    let v = sizes.beta2 * moment2[i] + sizes.rest2 * g * g;
    let decay = select(0.0, lr * sizes.weight_decay, i < sizes.decay_end);
    let denominator = sqrt(v) / sqrt(scalars[BIAS_CORRECTION2]) + sizes.eps;
    moment1[i] = m;
    moment2[i] = v;
    parameter[i] = (1 - decay) * parameter[i] - lr / scalars[BIAS_CORRECTION1] * m / denominator;
}
