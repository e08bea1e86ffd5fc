// Features of a pair are HALF apart: i and i + HALF within each 2 HALF features. The choice of the rows of b makes four
// columns of a product two such pairs: i, i + 1, i + HALF, i + 1 + HALF.

override HALF: u32; // even

// The feature i of the pairs in the four columns from `column` on.
fn first_feature(column: u32) -> u32 {
    let within = column % (2 * HALF);
    return column - within + within / 2;
}

fn b_row(column: u32) -> u32 {
    return first_feature(column / 4 * 4) + column % 2 + column / 2 % 2 * HALF;
}
