// Turns pairs (x_i, x_{i+half}) of the query and key heads in place (core/src/ops/rope.rs).
// One thread a pair; neighbours take neighbouring features.

// f32, or f16 in mixed precision.
alias Real1 = f32;

struct Sizes { pairs: u32, context: u32, heads: u32, width: u32, half: u32, sign: f32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> qkv: array<Real1>; // [tokens, width]
@group(0) @binding(2) var<storage, read_write> table: array<f32>; // [context, cos half | sin half]

const THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn rope(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let pair = (group.x + group.y * groups.x) * THREADS + lane;
    if pair >= sizes.pairs { return; }
    let i = pair % sizes.half;
    let head = pair / sizes.half % sizes.heads;
    let token = pair / (sizes.half * sizes.heads);
    let angle = token % sizes.context * 2 * sizes.half + i;
    let cosine = table[angle];
    let sine = table[angle + sizes.half] * sizes.sign;
    let at = token * sizes.width + head * 2 * sizes.half + i;
    let a = f32(qkv[at]);
    let b = f32(qkv[at + sizes.half]);
    qkv[at] = Real1(a * cosine - b * sine);
    qkv[at + sizes.half] = Real1(b * cosine + a * sine);
}
