// Attention for real GPUs: a workgroup owns OWN tokens in workgroup memory and lets others pass by, OTHER at a time.
// QUADS threads share EACH own tokens. Each of them computes the scores of these with ACROSS passing tokens, and
// one vec4 of each of their results. What it loads from workgroup memory are vec4s alone, each for many products.

#include "attention"

override OWN: u32 = 16;   // a multiple of EACH
override OTHER: u32 = 16; // at most ACROSS * QUADS
override EACH: u32 = 4;   // 4 * FOURS
override FOURS: u32 = 1;
override ACROSS: u32 = 1;

// Rows of vec4s are padded to an odd number, so that a column's rows lie in different banks.
const STRIDE: u32 = QUADS | 1;
const THREADS: u32 = OWN / EACH * QUADS;

// Of the threads that share own tokens, those that compute scores.
const SCORING: u32 = OTHER / ACROSS;
// What belongs to a pair is stored by passing tokens, so that four own ones are a vec4.
const OWN_FOURS: u32 = OWN / 4;

fn add_dot(sum: f32, a: vec4f, b: vec4f) -> f32 {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}
