// A product's results as they are: c (+)= a b.

override ACCUMULATE: bool = false;

@group(0) @binding(3) var<storage, read_write> c: array<vec4f>; // [m, n]

fn b_row(column: u32) -> u32 {
    return column;
}

fn store(part: Part, row: u32, column: u32, value: vec4f) {
    let at = part.c + (row * sizes.n + column) / 4;
    if ACCUMULATE {
        c[at] += value;
    } else {
        c[at] = value;
    }
}
