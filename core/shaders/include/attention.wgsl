// Common functions of the attention kernels for heads of whole vec4s (core/src/ops/attention/variants.rs).

override QUADS: u32 = 16; // vec4s of a head

#include "attention_sizes"

// Scores are exponents of 2, because hardware computes exp2.
const LOG2_E: f32 = 1.4426950408889634;
const LN_2: f32 = 0.6931471805599453;

// Vec4s of a token's packed row: all query heads, then the key heads, then the value heads.
fn width() -> u32 { return (sizes.q_heads + 2 * sizes.kv_heads) * QUADS; }
fn key_column(kv: u32) -> u32 { return (sizes.q_heads + kv) * QUADS; }
fn value_column(kv: u32) -> u32 { return (sizes.q_heads + sizes.kv_heads + kv) * QUADS; }

// The key and value head that a query head reads.
fn kv_of(head: u32) -> u32 { return head / (sizes.q_heads / sizes.kv_heads); }

// Index of a token in the batch.
fn token_of(row: u32, token: u32) -> u32 { return row * sizes.context + token; }

// Index of a token's log-sum-exp and delta in [batch, q_heads, context].
fn saved_at(row: u32, head: u32, token: u32) -> u32 {
    return (row * sizes.q_heads + head) * sizes.context + token;
}
