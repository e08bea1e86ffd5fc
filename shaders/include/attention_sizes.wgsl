// The uniform block of every attention kernel (core/src/ops/attention/variants.rs).

struct Sizes {
    context: u32,
    q_heads: u32,
    kv_heads: u32,
    head_dim: u32,
    rows: u32, // tokens * q_heads
    scale: f32,
    // Of tokens, heads and rows of the batch: where this dispatch begins.
    block: u32,
    head: u32,
    row: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;

// Below every score, and finite: WGSL knows no infinity.
const LOWEST: f32 = -1e30;
