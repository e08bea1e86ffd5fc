//! Checks of every kernel of every plan: it is valid WGSL, it uses exactly the bindings of its dispatch, it takes no
//! more workgroup memory than its variant declares, and it reads and writes as its op declares.

mod reflection;
mod wrong;

use std::collections::{BTreeSet, HashMap};

use naga::ScalarKind;
use naga::valid::GlobalUse;
use nitp_core::config::{Config, load, preset};
use nitp_core::kernel::{Binding, Capabilities, Dispatch, Matrices, Variant, assemble};
use nitp_core::model::{
    decode_plan, evaluate_plan, fill_cache_plan, parameters, probe_plan, token_losses_plan,
    train_plan,
};
use nitp_core::ops::multiply_add::MultiplyAdd;
use nitp_core::ops::{DynOp, tolerance};
use nitp_core::plan::{Limits, Plan, PlanBuilder};
use nitp_core::tensor::{Access, DType, Role, Use, View};
use nitp_tests::model_case::{MOE, config, layout};

use self::reflection::{Reflection, reflect};
use super::mixed::{MIXED, models};

/// Configurations that together have every kernel, and sizes that are not multiples of 4, in both precisions.
fn configs() -> Vec<Config> {
    let mut settings = models();
    settings.extend([vec!["nitp.loss=smooth_l1"], vec!["nitp.loss=kl"]]);
    settings.push([MOE, &["model.moe.norm_topk_prob=true"]].concat());
    let mut all = Vec::new();
    for precision in ["train.precision=f32", MIXED] {
        for name in ["tiny", "small", "small-moe", "1.9b-a0.3b"] {
            let sets = [precision.to_owned()];
            all.push(load(preset(name).expect("a preset"), None, &sets).expect("it is valid"));
        }
        all.extend(settings.iter().map(|sets| config(&[sets, &[precision][..]].concat())));
    }
    all
}

fn plans(config: &Config) -> [Plan; 6] {
    [
        train_plan(config, &layout(&parameters(config))).plan,
        evaluate_plan(config, Limits::NONE).plan,
        token_losses_plan(config, Limits::NONE).plan,
        fill_cache_plan(config, Limits::NONE, 3, 2).plan,
        decode_plan(config, Limits::NONE, 2).plan,
        probe_plan(config, Limits::NONE).plan,
    ]
}

/// Matrix units for which a variant's text may be assembled.
fn kinds(variant: &Variant) -> &'static [Matrices] {
    if variant.needs.matrices {
        &[Matrices::Emulated, Matrices::Units8, Matrices::Units16]
    } else {
        &[Matrices::None]
    }
}

/// Checks that a text uses exactly the storage that the dispatch binds, in number and type.
fn check_bindings(what: &str, dispatch: &Dispatch, found: &Reflection) {
    let bound: BTreeSet<&str> = dispatch.bindings.iter().map(|(name, _)| *name).collect();
    let used: BTreeSet<&str> = found.storage.keys().map(String::as_str).collect();
    assert_eq!(used, bound, "{what}: the text uses (left) and the op binds (right)");
    assert!(bound.len() <= 8, "{what}: WebGPU promises 8 storage buffers");
    for ((name, view), number) in dispatch.bindings.iter().zip(1..) {
        let it = &found.storage[*name];
        assert_eq!(it.number, number, "{what}: {name}");
        let count = it.stride as usize / view.dtype.bytes();
        let scalar = (it.scalar.kind, it.scalar.width);
        let fits = match (view.dtype, count) {
            // Eight halves are held as four words.
            (DType::Half, 8) => scalar == (ScalarKind::Uint, 4),
            (DType::Half, 1 | 2 | 4) => scalar == (ScalarKind::Float, 2),
            (DType::Real, 1 | 2 | 4) => scalar == (ScalarKind::Float, 4),
            (DType::U32, 1 | 2 | 4) => scalar == (ScalarKind::Uint, 4),
            _ => false,
        };
        assert!(fits, "{what}: {name} of {:?} is {it:?}", view.dtype);
    }
}

/// Checks that a variant declares the workgroup memory of its kernels, if they take more than WebGPU's guaranteed size.
fn check_workgroup_memory(what: &str, variant: &Variant, matrices: Matrices, found: &Reflection) {
    // Emulated units keep pieces in workgroup memory, too.
    if matrices == Matrices::Emulated {
        return;
    }
    let most = variant.needs.shared.max(Capabilities::PROMISED.shared);
    let bytes = found.workgroup_bytes;
    assert!(bytes <= most, "{what}: {bytes} bytes of workgroup memory; {most} are declared");
}

/// Kernels that read storage that their op only writes: each thread reads only elements that it or its workgroup wrote
/// before.
const READ_BACK: [(&str, &str); 3] =
    [("add_rmsnorm", "sum"), ("moe_route", "weights"), ("moe_route_backward", "dlogits")];

/// Whether a range is within another.
fn is_part(part: View, whole: View) -> bool {
    part.id == whole.id
        && whole.offset <= part.offset
        && part.offset + part.len <= whole.offset + whole.len
}

/// Checks that a variant's dispatches access storage as its op declares. Returns storage that is [read
/// back](READ_BACK).
fn check_access(
    what: &str,
    uses: &[Use],
    steps: &[(&Dispatch, Reflection)],
) -> Vec<(&'static str, &'static str)> {
    let mut written: Vec<View> = Vec::new();
    let mut read_back = Vec::new();
    for (dispatch, found) in steps {
        let entry = dispatch.kernel.entry;
        for &(name, view) in &dispatch.bindings {
            if view.is_scratch() {
                continue;
            }
            let its: Vec<Access> =
                uses.iter().filter(|it| is_part(view, it.view)).map(|it| it.access).collect();
            assert!(!its.is_empty(), "{what}: {entry} binds {name}, which the op does not declare");
            let access = found.storage[name].access;
            let (reads, writes) =
                (access.contains(GlobalUse::READ), access.contains(GlobalUse::WRITE));
            assert!(
                !writes || its.iter().any(|it| it.writes()),
                "{what}: {entry} writes {name}, which the op only reads"
            );
            let was_written = written.iter().any(|it| it.overlaps(view));
            if reads && its.iter().all(|it| *it == Access::Write) && !was_written {
                assert!(
                    writes && READ_BACK.contains(&(entry, name)),
                    "{what}: {entry} reads {name}, which the op only writes"
                );
                read_back.push((entry, name));
            }
        }
        let results = dispatch
            .bindings
            .iter()
            .filter(|&&(name, _): &&Binding| found.storage[name].access.contains(GlobalUse::WRITE));
        written.extend(results.map(|(_, view)| *view));
    }
    for used in uses {
        let is_result = matches!(used.access, Access::Write | Access::ReadWrite);
        assert!(
            !is_result || written.iter().any(|it| it.overlaps(used.view)),
            "{what}: nothing writes {used:?}"
        );
    }
    read_back
}

/// State of the checks.
#[derive(Default)]
struct Checked {
    /// Kernels by everything that determines their texts, because many ops share them.
    kernels: HashMap<String, Reflection>,
    /// Kernels with halves, by entry point, or by module if entry points have the same name.
    with_halves: BTreeSet<String>,
    read_back: BTreeSet<(&'static str, &'static str)>,
    ops: BTreeSet<&'static str>,
    ways: usize,
}

impl Checked {
    /// Checks every variant of an op.
    fn check(&mut self, op: &dyn DynOp) {
        self.ops.insert(op.name());
        for variant in op.variants() {
            let what = format!("{}, {}", op.name(), variant.name);
            for &matrices in kinds(&variant) {
                let mut steps = Vec::new();
                for dispatch in &variant.dispatches {
                    let found = self.reflection(dispatch, matrices);
                    let entry = dispatch.kernel.entry;
                    check_bindings(&format!("{what}: {entry}"), dispatch, found);
                    check_workgroup_memory(&format!("{what}: {entry}"), &variant, matrices, found);
                    steps.push((dispatch, found.clone()));
                }
                self.read_back.extend(check_access(&what, &op.uses(), &steps));
                self.ways += 1;
            }
        }
    }

    fn reflection(&mut self, dispatch: &Dispatch, matrices: Matrices) -> &Reflection {
        let Dispatch { kernel, .. } = dispatch;
        if dispatch.halves().next().is_some() {
            self.with_halves.insert(match kernel.entry {
                "product" => kernel.module.name(),
                entry => entry.to_owned(),
            });
        }
        let key = format!("{kernel:?} {:?} {matrices:?}", dispatch.storage());
        let read = || reflect(&assemble(dispatch, matrices), kernel.entry);
        self.kernels.entry(key).or_insert_with(read)
    }
}

/// Kernels that have halves in the configurations: every kind of kernel that may have them.
const WITH_HALVES: [&str; 35] = [
    "add_rmsnorm",
    "attention",
    "attention_backward_delta",
    "attention_backward_kv",
    "attention_backward_q",
    "attention_matrix",
    "attention_matrix_kv",
    "attention_matrix_q",
    "copy",
    "grouped_matmul_nt",
    "grouped_matmul_tn",
    "head_norm",
    "head_norm_backward",
    "matmul_nn",
    "matmul_plain",
    "matmul_split_sum",
    "moe_combine_backward",
    "moe_combine_shared",
    "moe_gather",
    "moe_gather_backward",
    "product_block_dense_store",
    "product_block_tile_store",
    "product_matrix_dense_rope",
    "product_matrix_dense_store",
    "product_matrix_tile_swiglu_backward",
    "product_matrix_weight_store",
    "product_subgroup_dense_rope",
    "product_subgroup_weight_store",
    "product_tile_dense_store",
    "product_tile_tile_swiglu",
    "rmsnorm",
    "rmsnorm_backward",
    "rope",
    "swiglu",
    "swiglu_backward",
];

/// Ops that plans contain only fused with a product, whose baseline has their dispatches.
const FUSED: [&str; 2] = ["swiglu", "swiglu_backward"];

#[test]
fn kernels_use_what_ops_bind_and_declare() {
    let mut checked = Checked::default();
    for config in configs() {
        for plan in plans(&config) {
            plan.nodes().for_each(|node| checked.check(&*node.op));
        }
    }
    // Ops that only rehearsals plan.
    let mut builder = PlanBuilder::new("rehearsal");
    let [x, y] = ["x", "y"].map(|name| builder.shared(name, &[64], DType::Real, Role::State));
    checked.check(&MultiplyAdd { x, y, rounds: 1 });
    let Checked { kernels, with_halves, read_back, ops, ways } = checked;
    assert_eq!(read_back, BTreeSet::from(READ_BACK));
    // The builder removes ops that declare no output.
    let unmet: Vec<&str> = tolerance::ops().filter(|name| !ops.contains(name)).collect();
    assert_eq!(unmet, FUSED, "ops that no plan has");
    for entry in WITH_HALVES {
        assert!(with_halves.contains(entry), "no `{entry}` with halves among {with_halves:?}");
    }
    println!("{ways} ways of ops, {} kernels", kernels.len());
}
