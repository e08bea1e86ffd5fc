// The largest logit of a row and the sum of exponentials, in one pass by a workgroup. The kernel defines THREADS,
// sizes.vocab and the storage logits.

// Below every logit, and finite, because WGSL guarantees nothing about infinity.
const LOWEST: f32 = -3.0e38;

// The sum is of e^(logit - largest).
struct Share { largest: f32, sum: f32 }

var<workgroup> shares: array<Share, THREADS>;

fn merged(a: Share, b: Share) -> Share {
    let largest = max(a.largest, b.largest);
    return Share(largest, a.sum * exp(a.largest - largest) + b.sum * exp(b.largest - largest));
}

fn row_share(lane: u32, base: u32) -> Share {
    var share = Share(LOWEST, 0.0);
    for (var j = lane; j < sizes.vocab; j += THREADS) {
        let x = logits[base + j];
        // The same exponential either rescales the sum or is the new term.
        let e = exp(-abs(x - share.largest));
        if x > share.largest {
            share = Share(x, share.sum * e + 1.0);
        } else {
            share.sum += e;
        }
    }
    shares[lane] = share;
    workgroupBarrier();
    for (var stride = THREADS / 2; stride > 0u; stride >>= 1u) {
        if lane < stride { shares[lane] = merged(shares[lane], shares[lane + stride]); }
        workgroupBarrier();
    }
    return shares[0];
}
