// Common functions of the matmul kernels for single elements: a 4x4 block of results per thread.

override ACCUMULATE: bool = false;

struct Sizes { m: u32, n: u32, k: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;

const BLOCK: u32 = 4;

// Out-of-range rows and columns read the last valid one: their results are not stored.
fn clamped(first: u32, end: u32) -> vec4u {
    return min(first + vec4u(0, 1, 2, 3), vec4u(end - 1));
}
