// Each scalar times the loss scale (core/src/ops/loss_scale.rs).

struct Sizes { len: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> scalars: array<f32>;
@group(0) @binding(2) var<storage, read_write> state: array<f32>;  // the scale is the first
@group(0) @binding(3) var<storage, read_write> scaled: array<f32>; // like scalars

const THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn scale_losses(@builtin(local_invocation_index) lane: u32) {
    for (var i = lane; i < sizes.len; i += THREADS) { scaled[i] = state[0] * scalars[i]; }
}
