// The uniform block of every attention kernel (core/src/ops/attention/variants.rs).

struct Sizes {
    context: u32,
    q_heads: u32,
    kv_heads: u32,
    head_dim: u32,
    rows: u32, // tokens * q_heads
    scale: f32,
    // First block of tokens, head and row of the batch of this dispatch.
    block: u32,
    head: u32,
    row: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;

// Below every score, and finite, because WGSL has no infinity.
const LOWEST: f32 = -1e30;
