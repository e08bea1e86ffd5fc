// Rotates pairs (x_i, x_{i+half}) of the query and key heads in place (core/src/ops/rope.rs).
// One thread for each pair; neighbouring threads have neighbouring features.

struct Sizes { pairs: u32, context: u32, heads: u32, width: u32, half: u32, sign: f32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage qkv: real;  // [tokens, width]
storage table: f32; // [context, cos half | sin half]

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
    let a = load_qkv(at);
    let b = load_qkv(at + sizes.half);
    store_qkv(at, a * cosine - b * sine);
    store_qkv(at + sizes.half, b * cosine + a * sine);
}
