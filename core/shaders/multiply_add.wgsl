// Repeated x -> a x + b: measures an adapter's peak rate (core/src/ops/multiply_add.rs).

struct Sizes { len: u32, rounds: u32, a: f32, b: f32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage x: f32; // [len]
storage y: f32; // [len]

const THREADS: u32 = 64;
// Independent chains of one thread: eight of four elements.
const CHAINS: u32 = 8;

fn read(first: u32, chain: u32) -> vec4f {
    let at = min(first + THREADS * (4 * chain + vec4u(0, 1, 2, 3)), vec4u(sizes.len - 1));
    return vec4f(x[at.x], x[at.y], x[at.z], x[at.w]);
}

fn write(first: u32, chain: u32, value: vec4f) {
    for (var i = 0u; i < 4; i++) {
        let at = first + THREADS * (4 * chain + i);
        if at < sizes.len { y[at] = value[i]; }
    }
}

@compute @workgroup_size(THREADS)
fn multiply_add(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * THREADS * 4 * CHAINS + lane;
    if first >= sizes.len { return; }
    let a = vec4f(sizes.a);
    let b = vec4f(sizes.b);
    var v0 = read(first, 0);
    var v1 = read(first, 1);
    var v2 = read(first, 2);
    var v3 = read(first, 3);
    var v4 = read(first, 4);
    var v5 = read(first, 5);
    var v6 = read(first, 6);
    var v7 = read(first, 7);
    for (var i = 0u; i < sizes.rounds; i++) {
        v0 = fma(v0, a, b);
        v1 = fma(v1, a, b);
        v2 = fma(v2, a, b);
        v3 = fma(v3, a, b);
        v4 = fma(v4, a, b);
        v5 = fma(v5, a, b);
        v6 = fma(v6, a, b);
        v7 = fma(v7, a, b);
    }
    write(first, 0, v0);
    write(first, 1, v1);
    write(first, 2, v2);
    write(first, 3, v3);
    write(first, 4, v4);
    write(first, 5, v5);
    write(first, 6, v6);
    write(first, 7, v7);
}
