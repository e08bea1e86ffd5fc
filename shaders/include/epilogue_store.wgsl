// A product's results as they are: c (+)= a b.

override ACCUMULATE: bool = false;

// f32, or f16 in mixed precision.
alias Real3 = f32;

@group(0) @binding(3) var<storage, read_write> c: array<vec4<Real3>>; // [m, n]

fn b_row(column: u32) -> u32 {
    return column;
}

fn store(part: Part, row: u32, column: u32, value: vec4f) {
    let at = part.c + (row * sizes.n + column) / 4;
    if ACCUMULATE {
        c[at] = vec4<Real3>(vec4f(c[at]) + value);
    } else {
        c[at] = vec4<Real3>(value);
    }
}
