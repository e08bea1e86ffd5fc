// Common functions of all products of matrices with rows of whole vec4s: a b for some rows, columns and a range of k.
// Dense and grouped matmuls differ in the ranges of a workgroup. An epilogue (epilogue_*.wgsl) handles the results: it
// defines `store`, and `b_row`, the row of b [n, k] that gives a column of results.

override A_BY_K: bool = false; // a [k, m], else [m, k]
override B_BY_K: bool = true;  // b [k, n], else [n, k]

// Lengths of rows: m of a if A_BY_K, n of c and of b if B_BY_K, k of the others. `first` and `end` are the range of
// tiles (for a weight's gradient: of experts) of this dispatch in a grouped product; in a dense one, `first` is the
// first row of this dispatch in the whole product.
struct Sizes { m: u32, n: u32, k: u32, first: u32, end: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
storage a: vec4<real>;
storage b: vec4<real>;

// A workgroup's part.
struct Part {
    row: u32,       // first of c
    row_end: u32,   // end of its rows
    column: u32,    // first of c
    begin: u32,     // of k
    end: u32,
    b: u32,         // vec4s in b before the matrix
    c: u32,         // vec4s in c before the matrix
}

// Out-of-range rows and columns read the last valid ones: their results are not stored.
fn a_along_k(part: Part, row: u32, k: u32) -> vec4f {
    return load4_a((min(row, part.row_end - 1) * sizes.k + k) / 4);
}

fn a_along_m(row: u32, k: u32) -> vec4f {
    return load4_a((k * sizes.m + min(row, sizes.m - 4)) / 4);
}

fn b_along_n(part: Part, column: u32, k: u32) -> vec4f {
    return load4_b(part.b + (k * sizes.n + min(column, sizes.n - 4)) / 4);
}

// Indices of the vec4s of a block: four rows of a, or four columns of b, at k..k + 4. Loops start from them and add
// steps, because some compilers do not move constant computations out of a loop.
fn a_block_at(part: Part, row: u32, k: u32) -> vec4u {
    if A_BY_K { return ((k + vec4u(0, 1, 2, 3)) * sizes.m + min(row, sizes.m - 4)) / 4; }
    return (min(row + vec4u(0, 1, 2, 3), vec4u(part.row_end - 1)) * sizes.k + k) / 4;
}

fn b_block_at(part: Part, column: u32, k: u32) -> vec4u {
    let first = min(column, sizes.n - 4);
    if B_BY_K { return part.b + ((k + vec4u(0, 1, 2, 3)) * sizes.n + first) / 4; }
    let columns = first + vec4u(0, 1, 2, 3);
    let rows = vec4u(b_row(columns.x), b_row(columns.y), b_row(columns.z), b_row(columns.w));
    return part.b + (rows * sizes.k + k) / 4;
}

// Step of an index from k to k + 4.
fn a_step() -> u32 { return select(1u, sizes.m, A_BY_K); }
fn b_step() -> u32 { return select(1u, sizes.n, B_BY_K); }

// Four rows of a at k..k + 4; a column of the returned matrix is one row.
fn a_block(at: vec4u) -> mat4x4f {
    let block = mat4x4f(load4_a(at.x), load4_a(at.y), load4_a(at.z), load4_a(at.w));
    if A_BY_K { return transpose(block); }
    return block;
}

// Four columns of b at k..k + 4; a column of the returned matrix is one k.
fn b_block(at: vec4u) -> mat4x4f {
    let block = mat4x4f(load4_b(at.x), load4_b(at.y), load4_b(at.z), load4_b(at.w));
    if B_BY_K { return block; }
    return transpose(block);
}
