//! Every op: against its f64 twin on each executor, and its backward against finite differences.

mod matmul;
mod rmsnorm;
