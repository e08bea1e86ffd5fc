// Features that belong together lie HALF apart: i and i + HALF of each 2 HALF. Four columns of a product
// are made to be two such pairs, i, i + 1, i + HALF, i + 1 + HALF, by the choice of the rows of b.

override HALF: u32; // even

// The feature i of the pairs in the four columns that begin at `column`.
fn first_feature(column: u32) -> u32 {
    let within = column % (2 * HALF);
    return column - within + within / 2;
}

fn b_row(column: u32) -> u32 {
    return first_feature(column / 4 * 4) + column % 2 + column / 2 % 2 * HALF;
}
