// Attention for real GPUs: a workgroup owns OWN tokens in shared memory and lets others pass by, OTHER at
// a time. A thread owns EACH tokens and one vec4 of each of their results. It computes the scores of its
// tokens with every QUADS-th of the passing ones, so that it reads a passing vec4 once for EACH products.

#include "attention"

override OWN: u32 = 32;
override OTHER: u32 = 16;
override EACH: u32 = 4;

// Rows of vec4s are padded to an odd number, so that a column's rows lie in different banks.
const STRIDE: u32 = QUADS | 1;
const THREADS: u32 = OWN / EACH * QUADS;

// Passing tokens of a thread in the products of vectors.
const KEYS: u32 = (OTHER + QUADS - 1) / QUADS;
