// A packed projection whose query and key heads are turned as they are stored (core/src/ops/rope.rs).

#include "pairs"

override CONTEXT: u32;
override TURNING: u32; // columns of the query and key heads

// f32, or f16 in mixed precision.
alias Real3 = f32;

@group(0) @binding(3) var<storage, read_write> qkv: array<vec2<Real3>>;   // [m, n], heads of 2 HALF
@group(0) @binding(4) var<storage, read_write> table: array<vec2f>; // [context, cos HALF | sin HALF]

fn store(part: Part, row: u32, column: u32, value: vec4f) {
    let feature = first_feature(column);
    var low = value.xy;
    var high = value.zw;
    if column < TURNING {
        let angle = (sizes.first + row) % CONTEXT * 2 * HALF + feature % (2 * HALF);
        let cosine = table[angle / 2];
        let sine = table[(angle + HALF) / 2];
        low = value.xy * cosine - value.zw * sine;
        high = value.zw * cosine + value.xy * sine;
    }
    let at = row * sizes.n + feature;
    qkv[at / 2] = vec2<Real3>(low);
    qkv[(at + HALF) / 2] = vec2<Real3>(high);
}
