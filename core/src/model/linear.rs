//! Linear layers without bias: `y = x wᵀ` with `w [out, in]`.

use super::context::Context;
use super::rows::Rows;
use crate::ops::fused_product::{FusedProduct, Product, Then};
use crate::ops::matmul::{Matmul, Transpose};
use crate::ops::swiglu::{Swiglu, SwigluBackward};
use crate::plan::PlanBuilder;
use crate::tensor::{DType, View};

/// A weight by name with its extents.
#[derive(Clone, Copy)]
pub(super) struct Linear<'a> {
    pub weight: &'a str,
    pub inputs: usize,
    pub outputs: usize,
    /// Element type of the weight in products, and of results that get a new activation.
    pub dtype: DType,
}

impl Linear<'_> {
    /// `x [rows, inputs]` to a new activation `[rows, outputs]`.
    pub fn forward(
        &self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        name: &str,
        x: View,
        rows: usize,
    ) -> View {
        let c = b.activation_of(self.dtype, name, &[rows, self.outputs]);
        self.forward_into(b, cx, x, c, rows);
        c
    }

    /// `y [rows, outputs] = x wᵀ`.
    pub fn forward_into(
        &self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        x: View,
        y: View,
        rows: usize,
    ) {
        let product = self.product(b, cx, x, y, rows);
        b.push(product);
    }

    /// The product of [`Linear::forward_into`], to fuse with another op.
    pub fn product(
        &self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        x: View,
        y: View,
        rows: usize,
    ) -> Matmul {
        Matmul {
            a: x,
            b: cx.weight_as(b, self.weight, self.dtype),
            c: y,
            m: rows,
            n: self.outputs,
            k: self.inputs,
            transpose: Transpose::B,
            accumulate: false,
        }
    }

    /// `dw += dyᵀ x`.
    pub fn backward_weight(
        &self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        dy: View,
        x: View,
        rows: usize,
    ) {
        let gradient = cx.gradient(b, self.weight);
        b.push(Matmul {
            a: dy,
            b: x,
            c: gradient,
            m: self.outputs,
            n: self.inputs,
            k: rows,
            transpose: Transpose::A,
            accumulate: true,
        });
    }

    /// `dx (+)= dy w`.
    pub fn backward_input(
        &self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        dy: View,
        dx: View,
        accumulate: bool,
        rows: usize,
    ) {
        let product = self.product_of_gradient(b, cx, dy, dx, accumulate, rows);
        b.push(product);
    }

    /// The product of [`Linear::backward_input`], to fuse with another op.
    pub fn product_of_gradient(
        &self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        dy: View,
        dx: View,
        accumulate: bool,
        rows: usize,
    ) -> Matmul {
        Matmul {
            a: dy,
            b: cx.weight_as(b, self.weight, self.dtype),
            c: dx,
            m: rows,
            n: self.inputs,
            k: self.outputs,
            transpose: Transpose::None,
            accumulate,
        }
    }
}

/// A SwiGLU MLP `width -> inner -> width`: `{name}.gate_up` and `{name}.down`. Used as FFN, as shared expert and as
/// NITP's projector.
pub(super) struct SwigluMlp {
    name: String,
    width: usize,
    inner: usize,
    x: View,
    parts: Vec<MlpPart>,
}

/// Activations of a part of the rows.
struct MlpPart {
    rows: Rows,
    /// `[rows, 2 * inner]`.
    gate_up: View,
    /// `[rows, inner]`.
    activated: View,
}

impl SwigluMlp {
    /// Plans the forward over `x [rows, width]`; the result is a new activation `out` of this type.
    pub fn forward(
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        name: &str,
        x: View,
        rows: usize,
        inner: usize,
        result: DType,
    ) -> (View, Self) {
        let width = cx.width();
        let (gate_up_name, down_name) = (format!("{name}.gate_up"), format!("{name}.down"));
        let dtype = cx.working;
        let up = Linear { weight: &gate_up_name, inputs: width, outputs: 2 * inner, dtype };
        let down = Linear { weight: &down_name, inputs: inner, outputs: width, dtype };
        let out = b.activation_of(result, "out", &[rows, width]);
        let mut parts = Vec::new();
        for rows in cx.parts(rows, 2 * inner) {
            let n = rows.len;
            let gate_up = b.activation_of(dtype, "gate_up", &[n, 2 * inner]);
            let activated = b.activation_of(dtype, "activated", &[n, inner]);
            let product = Product::Dense(up.product(b, cx, rows.of(x, width), gate_up, n));
            let then = Then::Swiglu(Swiglu { gate_up, y: activated, rows: n, width: inner });
            b.push(FusedProduct { product, then });
            down.forward_into(b, cx, activated, rows.of(out, width), n);
            parts.push(MlpPart { rows, gate_up, activated });
        }
        (out, Self { name: name.to_owned(), width, inner, x, parts })
    }

    /// Plans the backward of `dout [rows, width]` into `dx` and the weights' gradients.
    pub fn backward(
        self,
        b: &mut PlanBuilder,
        cx: &Context<'_>,
        dout: View,
        dx: View,
        accumulate: bool,
    ) {
        let Self { name, width, inner, x, parts } = self;
        let (gate_up_name, down_name) = (format!("{name}.gate_up"), format!("{name}.down"));
        let dtype = cx.working;
        let dout = cx.in_working(b, dout);
        let down = Linear { weight: &down_name, inputs: inner, outputs: width, dtype };
        let up = Linear { weight: &gate_up_name, inputs: width, outputs: 2 * inner, dtype };
        for MlpPart { rows, gate_up, activated } in parts {
            let n = rows.len;
            let dout = rows.of(dout, width);
            down.backward_weight(b, cx, dout, activated, n);
            let dactivated = b.activation_of(dtype, "dactivated", &[n, inner]);
            let dgate_up = b.activation_of(dtype, "dgate_up", &[n, 2 * inner]);
            let product =
                Product::Dense(down.product_of_gradient(b, cx, dout, dactivated, false, n));
            let then = SwigluBackward { dy: dactivated, gate_up, dgate_up, rows: n, width: inner };
            b.push(FusedProduct { product, then: Then::SwigluBackward(then) });
            up.backward_weight(b, cx, dgate_up, rows.of(x, width), n);
            up.backward_input(b, cx, dgate_up, rows.of(dx, width), accumulate, n);
        }
    }
}
