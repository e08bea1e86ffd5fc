// Attention for real GPUs: a workgroup owns OWN tokens in workgroup memory, and loops over the others, OTHER at a time.
// QUADS threads share EACH own tokens. Each thread computes their scores with ACROSS other tokens, and one vec4 of each
// of their results. It loads only vec4s from workgroup memory, and uses each for many products.

#include "attention"

override OWN: u32 = 16;   // a multiple of EACH
override OTHER: u32 = 16; // at most ACROSS * QUADS
override EACH: u32 = 4;   // 4 * FOURS
override FOURS: u32 = 1;
override ACROSS: u32 = 1;

// Vec4s from row to row: padded to an odd number, so that the elements of a column are in different banks.
const STRIDE: u32 = QUADS | 1;
const THREADS: u32 = OWN / EACH * QUADS;

// Number of threads that compute scores, among those that share own tokens.
const SCORING: u32 = OTHER / ACROSS;
// Values of pairs are stored by other tokens, so that those of four own tokens form a vec4.
const OWN_FOURS: u32 = OWN / 4;

fn add_dot(sum: f32, a: vec4f, b: vec4f) -> f32 {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}
