// Each scalar times the loss scale (core/src/ops/loss_scale.rs).

struct Sizes { len: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage scalars: f32;
storage state: f32;  // the scale is the first
storage scaled: f32; // like scalars

const THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn scale_losses(@builtin(local_invocation_index) lane: u32) {
    for (var i = lane; i < sizes.len; i += THREADS) { scaled[i] = state[0] * scalars[i]; }
}
