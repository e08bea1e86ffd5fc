// c [m, n] (+)= a b where rows are whole vec4s (core/src/ops/matmul.rs), by subgroups of any size.
//
// All threads of a workgroup share ROWS rows of c, and each has four columns. A subgroup fetches as
// much of those rows of a as it has lanes, one vec4 a lane, and hands the vec4s round by shuffles:
// no shared memory and no barrier, and a is fetched once a subgroup.

enable subgroups;

override ACCUMULATE: bool = false;
override A_BY_K: bool = false; // a [k, m], else [m, k]
override B_BY_K: bool = true;  // b [k, n], else [n, k]

struct Sizes { m: u32, n: u32, k: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> a: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;

const THREADS: u32 = 64;
const ROWS: u32 = 8;

// Four elements of column `column..column + 4` of b at k.
fn right_at(k: u32, column: u32) -> vec4f {
    return b[(k * sizes.n + column) / 4];
}

// The same at k..k + 4: column i of the result is at k + i.
fn right_block(k: u32, column: u32) -> mat4x4f {
    if B_BY_K {
        return mat4x4f(
            right_at(k, column),
            right_at(k + 1, column),
            right_at(k + 2, column),
            right_at(k + 3, column),
        );
    }
    let at = (column * sizes.k + k) / 4;
    let row = sizes.k / 4;
    return transpose(mat4x4f(b[at], b[at + row], b[at + 2 * row], b[at + 3 * row]));
}

@compute @workgroup_size(THREADS)
fn matmul_subgroup(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_size) size: u32,
    @builtin(subgroup_invocation_id) member: u32,
) {
    let first = group.y * ROWS;
    // Threads past the last column go along, for what they fetch and hand on.
    let wanted = (group.x * THREADS + lane) * 4;
    let column = min(wanted, sizes.n - 4);
    var sums: array<vec4f, ROWS>;
    if A_BY_K {
        // A lane has rows first..first + 8 of a at its own k.
        for (var k = 0u; k < sizes.k; k += size) {
            let at = min(k + member, sizes.k - 1) * sizes.m;
            let low = a[(at + first) / 4];
            let high = a[(at + min(first + 4, sizes.m - 4)) / 4];
            for (var other = 0u; other < min(size, sizes.k - k); other++) {
                let right = right_at(k + other, column);
                let left_low = subgroupShuffle(low, other);
                let left_high = subgroupShuffle(high, other);
                sums[0] += left_low.x * right;
                sums[1] += left_low.y * right;
                sums[2] += left_low.z * right;
                sums[3] += left_low.w * right;
                sums[4] += left_high.x * right;
                sums[5] += left_high.y * right;
                sums[6] += left_high.z * right;
                sums[7] += left_high.w * right;
            }
        }
    } else {
        // A lane has its own four k of rows first..first + 8.
        for (var k = 0u; k < sizes.k; k += 4 * size) {
            let mine = min(k + 4 * member, sizes.k - 4);
            var left: array<vec4f, ROWS>;
            for (var i = 0u; i < ROWS; i++) {
                left[i] = a[(min(first + i, sizes.m - 1) * sizes.k + mine) / 4];
            }
            for (var other = 0u; other < min(size, (sizes.k - k) / 4); other++) {
                let right = right_block(k + 4 * other, column);
                for (var i = 0u; i < ROWS; i++) {
                    sums[i] += right * subgroupShuffle(left[i], other);
                }
            }
        }
    }
    if wanted >= sizes.n { return; }
    for (var i = 0u; i < ROWS; i++) {
        if first + i < sizes.m {
            let at = ((first + i) * sizes.n + column) / 4;
            if ACCUMULATE {
                c[at] += sums[i];
            } else {
                c[at] = sums[i];
            }
        }
    }
}
