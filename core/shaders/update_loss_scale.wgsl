// Update of the loss scale at the end of a step (core/src/ops/loss_scale.rs). One thread, for a few numbers.

// Indices into metrics.
override NORM: u32;
override SCALE: u32;
override SKIPPED: u32;
// Indices into scalars (core/src/ops/scalars.rs).
override BIAS_CORRECTION1: u32;
override BIAS_CORRECTION2: u32;

override GOOD_STEPS: f32;

struct Sizes {
    max_norm: f32,
    eps: f32,
    beta1: f32,
    rest1: f32, // 1 - beta1
    beta2: f32,
    rest2: f32, // 1 - beta2
    scalars: u32, // how many
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage state: f32;     // scale, good steps, two corrections
storage metrics: f32;
storage clip: f32;      // [1]
storage scalars: f32;
storage corrected: f32; // like scalars

// Tests the bits: WGSL allows compilers to assume that numbers are neither infinite nor NaN.
fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

@compute @workgroup_size(1)
fn update_loss_scale() {
    let scale = state[0];
    let norm = metrics[NORM];
    metrics[SCALE] = scale;
    if is_finite(norm) {
        let unscaled = norm / scale;
        var factor = 1.0;
        if sizes.max_norm > 0 { factor = min(1.0, sizes.max_norm / (unscaled + sizes.eps)); }
        metrics[SKIPPED] = 0.0;
        metrics[NORM] = unscaled;
        clip[0] = factor / scale;
        let good = state[1] + 1;
        let grows = good >= GOOD_STEPS;
        state[0] = select(scale, 2 * scale, grows);
        state[1] = select(good, 0.0, grows);
        state[2] = sizes.beta1 * state[2] + sizes.rest1;
        state[3] = sizes.beta2 * state[3] + sizes.rest2;
    } else {
        metrics[SKIPPED] = 1.0;
        metrics[NORM] = 0.0;
        clip[0] = 0.0;
        state[0] = scale / 2;
        state[1] = 0.0;
    }
    for (var i = 0u; i < sizes.scalars; i++) { corrected[i] = scalars[i]; }
    corrected[BIAS_CORRECTION1] = state[2];
    corrected[BIAS_CORRECTION2] = state[3];
}
