//! Every op: against its f64 twin on each executor, and its backward against finite differences.

mod accumulate_sum;
mod adamw;
mod add;
mod attention;
mod copy;
mod cross_entropy;
mod embedding;
mod fused_product;
mod gather_rows;
mod grad_norm;
mod grouped_matmul;
mod guards;
mod loss_scale;
mod matmul;
mod moe_combine;
mod moe_dispatch;
mod moe_gather;
mod moe_route;
mod multiply_add;
mod nitp;
mod reference;
mod rmsnorm;
mod rope;
mod swiglu;
mod token_cosine;
mod tuner;
