// Stores a product's results: c (+)= a b.

override ACCUMULATE: bool = false;

storage c: vec4<real>; // [m, n]

fn b_row(column: u32) -> u32 {
    return column;
}

fn store(part: Part, row: u32, column: u32, value: vec4f) {
    let at = part.c + (row * sizes.n + column) / 4;
    if ACCUMULATE {
        store4_c(at, load4_c(at) + value);
    } else {
        store4_c(at, value);
    }
}
