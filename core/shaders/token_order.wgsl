// The loss of token order prediction, and its gradient, which replaces the logits (core/src/ops/token_order.rs has the
// formulas). One workgroup for each row; each of the first lanes has one token ahead.

#include "logit_share"

struct Sizes {
    rows: u32,
    vocab: u32,
    first: u32, // position of the first row
    context: u32,
    window: u32,
    index: u32,
    weight: f32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage logits: f32; // [rows, vocab]
storage labels: u32; // [tokens]
storage loss: f32;   // [rows]
storage scalars: f32;

const THREADS: u32 = 256;
override MAX_WINDOW: u32 = 64; // config::MAX_WINDOW

var<workgroup> shares_of_order: array<f32, MAX_WINDOW>;
var<workgroup> terms: array<f32, MAX_WINDOW>;

// A lane's token ahead, lane + 1 after the row's position, and its probability q. If it does not count, the token is
// sizes.vocab.
struct Ahead { token: u32, share: f32 }

// Whether the token at lane + 1 after position t counts: it is in the same sequence, all positions from t to it have
// labels, and it does not occur among the tokens before it.
fn counts(t: u32, lane: u32) -> bool {
    let end = (t / sizes.context + 1) * sizes.context;
    if lane >= sizes.window || t + lane >= end { return false; }
    let token = labels[t + lane];
    if token >= sizes.vocab { return false; }
    for (var i = 0u; i < lane; i++) {
        let before = labels[t + i];
        if before >= sizes.vocab || before == token { return false; }
    }
    return true;
}

// The shares of all lanes sum to 1, or are all 0.
fn ahead(t: u32, lane: u32) -> Ahead {
    let is_ahead = counts(t, lane);
    if lane < MAX_WINDOW { shares_of_order[lane] = select(0.0, exp(-f32(lane)), is_ahead); }
    workgroupBarrier();
    var total = 0.0;
    for (var i = 0u; i < sizes.window; i++) { total += shares_of_order[i]; }
    if !is_ahead { return Ahead(sizes.vocab, 0.0); }
    return Ahead(labels[t + lane], shares_of_order[lane] / total);
}

// The loss of the row, from logits that are not overwritten yet.
fn loss_of(lane: u32, base: u32, share: Share, mine: Ahead) -> f32 {
    if lane < MAX_WINDOW {
        terms[lane] = 0.0;
        if mine.share > 0.0 {
            terms[lane] = mine.share * (log(share.sum) - (logits[base + mine.token] - share.largest));
        }
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < sizes.window; i++) { sum += terms[i]; }
    return sum;
}

@compute @workgroup_size(THREADS)
fn token_order(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= sizes.rows { return; }
    let base = row * sizes.vocab;
    let share = row_share(lane, base);
    let mine = ahead(sizes.first + row, lane);
    let value = loss_of(lane, base, share, mine);
    if lane == 0 { loss[row] = value; }
}

@compute @workgroup_size(THREADS)
fn token_order_gradient(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= sizes.rows { return; }
    let base = row * sizes.vocab;
    let share = row_share(lane, base);
    let mine = ahead(sizes.first + row, lane);
    let value = loss_of(lane, base, share, mine);
    // Every lane has read its token's logit.
    storageBarrier();
    if lane == 0 { loss[row] = value; }
    // The next token always has the largest share, if there is any.
    let any = shares_of_order[0] > 0.0;
    let scale = select(0.0, sizes.weight * scalars[sizes.index], any);
    let factor = scale / share.sum;
    for (var j = lane; j < sizes.vocab; j += THREADS) {
        logits[base + j] = factor * exp(logits[base + j] - share.largest);
    }
    storageBarrier();
    if mine.share > 0.0 { logits[base + mine.token] -= scale * mine.share; }
}
