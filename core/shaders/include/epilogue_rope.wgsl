// Stores a packed projection, and rotates its query and key heads (core/src/ops/rope.rs).

#include "pairs"

override CONTEXT: u32;
override TURNING: u32; // columns of the query and key heads

storage qkv: vec2<real>; // [m, n], heads of 2 HALF
storage table: vec2f;    // [context, cos HALF | sin HALF]

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
    store2_qkv(at / 2, low);
    store2_qkv((at + HALF) / 2, high);
}
