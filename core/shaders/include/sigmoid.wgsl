// WGSL guarantees nothing about infinity, so e^-x is kept finite.
fn sigmoid(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(min(-x, 88.0)));
}
