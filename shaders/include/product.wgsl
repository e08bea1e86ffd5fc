// What all products of matrices with rows of whole vec4s share: a b for some rows, columns and a range of
// k. Dense and grouped matmuls differ in which ranges a workgroup gets. Where results go, and what is done
// with them on the way, is an epilogue's business (epilogue_*.wgsl): it has `store`, and `b_row`, which
// row of b [n, k] gives a column of results.

override A_BY_K: bool = false; // a [k, m], else [m, k]
override B_BY_K: bool = true;  // b [k, n], else [n, k]

// f32, or f16 in mixed precision.
alias Real1 = f32;
alias Real2 = f32;

// Lengths of rows: m that of an a by k, n that of c and of a b by k, k that of the others. Grouped
// products also have the first tile (of a weight's gradient: expert) of this dispatch, and the end of
// its tiles; dense ones, the first row of this dispatch in the whole product.
struct Sizes { m: u32, n: u32, k: u32, first: u32, end: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> a: array<vec4<Real1>>;
@group(0) @binding(2) var<storage, read_write> b: array<vec4<Real2>>;

// A workgroup's part.
struct Part {
    row: u32,       // first of c
    row_end: u32,   // rows from here on are someone else's
    column: u32,    // first of c
    begin: u32,     // of k
    end: u32,
    b: u32,         // vec4s before the matrix in b
    c: u32,         // vec4s before the matrix in c
}

// Out-of-range rows and columns read the last valid ones: their results are not stored.
fn a_along_k(part: Part, row: u32, k: u32) -> vec4f {
    return vec4f(a[(min(row, part.row_end - 1) * sizes.k + k) / 4]);
}

fn a_along_m(row: u32, k: u32) -> vec4f {
    return vec4f(a[(k * sizes.m + min(row, sizes.m - 4)) / 4]);
}

fn b_along_k(part: Part, column: u32, k: u32) -> vec4f {
    return vec4f(b[part.b + (b_row(min(column, sizes.n - 1)) * sizes.k + k) / 4]);
}

fn b_along_n(part: Part, column: u32, k: u32) -> vec4f {
    return vec4f(b[part.b + (k * sizes.n + min(column, sizes.n - 4)) / 4]);
}

// Columns column..column + 4 of b at k..k + 4; a column of the result is one k.
fn b_block(part: Part, column: u32, k: u32) -> mat4x4f {
    if B_BY_K {
        return mat4x4f(
            b_along_n(part, column, k),
            b_along_n(part, column, k + 1),
            b_along_n(part, column, k + 2),
            b_along_n(part, column, k + 3),
        );
    }
    return transpose(mat4x4f(
        b_along_k(part, column, k),
        b_along_k(part, column + 1, k),
        b_along_k(part, column + 2, k),
        b_along_k(part, column + 3, k),
    ));
}
