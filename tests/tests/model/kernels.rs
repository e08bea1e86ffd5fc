//! Every kernel of every plan: it is valid WGSL, uses what its dispatch binds and no more, and reads and
//! writes as its op declares.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use naga::compact::{KeepUnused, compact};
use naga::valid::{Capabilities, GlobalUse, ModuleInfo, ValidationFlags, Validator};
use naga::{
    AddressSpace, Arena, Block, Expression, Function, Handle, Literal, Module, ResourceBinding,
    ScalarKind, Statement, TypeInner,
};
use nitp_core::config::{Config, load, preset};
use nitp_core::kernel::{Binding, Dispatch, Matrices, Variant, assemble};
use nitp_core::model::{evaluate_plan, generate_plan, parameters, probe_plan, train_plan};
use nitp_core::ops::{Access, DynOp, Use};
use nitp_core::plan::{DType, Plan, View};
use nitp_tests::model_case::{MOE, config, layout};

use super::mixed::{MIXED, models};

/// Presets that between them have every kernel, and sizes that are no whole vec4s, in either precision.
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

fn plans(config: &Config) -> [Plan; 4] {
    [
        train_plan(config, &layout(&parameters(config))),
        evaluate_plan(config),
        generate_plan(config),
        probe_plan(config),
    ]
}

/// What a kernel does with one of its storages.
#[derive(Clone, Debug)]
struct Storage {
    number: u32,
    scalar: naga::Scalar,
    stride: u32,
    /// In branches that are taken.
    access: GlobalUse,
}

/// A kernel's storage by name, from its text alone.
type Reflection = BTreeMap<String, Storage>;

/// Kernels by all that their texts follow from: many ops share them.
#[derive(Default)]
struct Kernels {
    read: HashMap<String, Reflection>,
    /// Those with halves, by entry point, or by module where entry points are called alike.
    with_halves: BTreeSet<String>,
}

impl Kernels {
    /// What naga makes of a dispatch's text.
    fn read(&mut self, dispatch: &Dispatch, matrices: Matrices) -> &Reflection {
        let Dispatch { kernel, .. } = dispatch;
        if dispatch.halves().next().is_some() {
            self.with_halves.insert(match kernel.entry {
                "product" => kernel.module.name(),
                entry => entry.to_owned(),
            });
        }
        let key = format!("{kernel:?} {:?} {matrices:?}", dispatch.storage());
        self.read.entry(key).or_insert_with(|| reflect(&assemble(dispatch, matrices), kernel.entry))
    }
}

fn valid(module: &Module, name: &str, text: &str) -> ModuleInfo {
    let capabilities =
        Capabilities::SHADER_FLOAT16 | Capabilities::SUBGROUP | Capabilities::COOPERATIVE_MATRIX;
    Validator::new(ValidationFlags::all(), capabilities)
        .validate(module)
        .unwrap_or_else(|error| panic!("{name}: {}\n{text}", error.emit_to_string(text)))
}

/// # Panics
/// If the text is no valid WGSL.
fn reflect(text: &str, entry: &str) -> Reflection {
    let mut module = naga::front::wgsl::parse_str(text)
        .unwrap_or_else(|error| panic!("{entry}: {}\n{text}", error.emit_to_string(text)));
    let index = module.entry_points.iter().position(|it| it.name == entry).expect("an entry point");
    let whole = valid(&module, entry, text);
    let whole = whole.get_entry_point(index);
    let mut storage = Reflection::new();
    for (handle, global) in module.global_variables.iter() {
        if !matches!(global.space, AddressSpace::Storage { .. }) || whole[handle].is_empty() {
            continue;
        }
        let TypeInner::Array { base, stride, .. } = module.types[global.ty].inner else {
            panic!("{entry}: a storage is no array");
        };
        let ResourceBinding { group, binding } = global.binding.expect("a binding");
        assert_eq!(group, 0, "{entry}");
        let scalar = module.types[base].inner.scalar().expect("of numbers");
        let name = global.name.clone().expect("a name");
        let access = GlobalUse::empty();
        storage.insert(name, Storage { number: binding, scalar, stride, access });
    }
    take_branches(&mut module);
    let taken = valid(&module, entry, text);
    let taken = taken.get_entry_point(index);
    for (handle, global) in module.global_variables.iter() {
        if let Some(it) = global.name.as_ref().and_then(|name| storage.get_mut(name)) {
            it.access = taken[handle];
        }
    }
    storage
}

/// Leaves out the branches that constants rule out: what is in them happens to no storage.
fn take_branches(module: &mut Module) {
    let globals = module.global_expressions.clone();
    let inits: HashMap<_, _> =
        module.constants.iter().map(|(it, value)| (it, value.init)).collect();
    let literal = |expressions: &Arena<Expression>, condition: Handle<Expression>| {
        let known = match expressions[condition] {
            Expression::Constant(constant) => &globals[inits[&constant]],
            ref other => other,
        };
        match *known {
            Expression::Literal(Literal::Bool(value)) => Some(value),
            _ => None,
        }
    };
    let entries = module.entry_points.iter_mut().map(|it| &mut it.function);
    for function in module.functions.iter_mut().map(|(_, it)| it).chain(entries) {
        let Function { body, expressions, named_expressions, .. } = function;
        // A name alone would keep an expression.
        named_expressions.clear();
        take(body, &|condition| literal(expressions, condition));
    }
    compact(module, KeepUnused::No);
}

fn take(block: &mut Block, known: &dyn Fn(Handle<Expression>) -> Option<bool>) {
    for statement in block.iter_mut() {
        if let Statement::If { condition, accept, reject } = statement
            && let Some(value) = known(*condition)
        {
            let taken = std::mem::take(if value { accept } else { reject });
            *statement = Statement::Block(taken);
        }
        match statement {
            Statement::Block(body) => take(body, known),
            Statement::If { accept, reject, .. } => {
                take(accept, known);
                take(reject, known);
            }
            Statement::Loop { body, continuing, .. } => {
                take(body, known);
                take(continuing, known);
            }
            Statement::Switch { cases, .. } => {
                cases.iter_mut().for_each(|case| take(&mut case.body, known));
            }
            _ => {}
        }
    }
}

/// Texts that a dispatch may have.
fn kinds(variant: &Variant) -> &'static [Matrices] {
    if variant.needs.matrices {
        &[Matrices::Emulated, Matrices::Units8, Matrices::Units16]
    } else {
        &[Matrices::None]
    }
}

/// The storage that a text uses is what the dispatch binds, in number and type.
fn check_bindings(what: &str, dispatch: &Dispatch, found: &Reflection) {
    let bound: BTreeSet<&str> = dispatch.bindings.iter().map(|(name, _)| *name).collect();
    let used: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(used, bound, "{what}: the text uses (left) and the op binds (right)");
    assert!(bound.len() <= 8, "{what}: WebGPU promises 8 storage buffers");
    for ((name, view), number) in dispatch.bindings.iter().zip(1..) {
        let it = &found[*name];
        assert_eq!(it.number, number, "{what}: {name}");
        let count = it.stride as usize / view.dtype.bytes();
        let scalar = (it.scalar.kind, it.scalar.width);
        let fits = match (view.dtype, count) {
            // Eight halves are four words.
            (DType::Half, 8) => scalar == (ScalarKind::Uint, 4),
            (DType::Half, 1 | 2 | 4) => scalar == (ScalarKind::Float, 2),
            (DType::Real, 1 | 2 | 4) => scalar == (ScalarKind::Float, 4),
            (DType::U32, 1 | 2 | 4) => scalar == (ScalarKind::Uint, 4),
            _ => false,
        };
        assert!(fits, "{what}: {name} of {:?} is {it:?}", view.dtype);
    }
}

/// Kernels that read of what their op only writes: each thread, what it or its workgroup has just written.
const READ_BACK: [(&str, &str); 3] =
    [("add_rmsnorm", "sum"), ("moe_route", "weights"), ("moe_route_backward", "dlogits")];

/// Whether a range lies in another.
fn is_part(part: View, whole: View) -> bool {
    part.id == whole.id
        && whole.offset <= part.offset
        && part.offset + part.len <= whole.offset + whole.len
}

/// What the dispatches of a variant do agrees with what its op declares. Gives what is [read
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
            let access = found[name].access;
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
            .filter(|&&(name, _): &&Binding| found[name].access.contains(GlobalUse::WRITE));
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

/// What the configurations give halves to: each kind of kernel that may have them.
const WITH_HALVES: [&str; 33] = [
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

#[test]
fn kernels_use_what_ops_bind_and_declare() {
    let mut kernels = Kernels::default();
    let mut read_back = BTreeSet::new();
    let mut checked = 0;
    let mut check = |op: &dyn DynOp| {
        for variant in op.variants() {
            let what = format!("{}, {}", op.name(), variant.name);
            for &matrices in kinds(&variant) {
                let mut steps = Vec::new();
                for dispatch in &variant.dispatches {
                    let found = kernels.read(dispatch, matrices);
                    let entry = dispatch.kernel.entry;
                    check_bindings(&format!("{what}: {entry}"), dispatch, found);
                    steps.push((dispatch, found.clone()));
                }
                read_back.extend(check_access(&what, &op.uses(), &steps));
                checked += 1;
            }
        }
    };
    for config in configs() {
        for plan in plans(&config) {
            plan.nodes().for_each(|node| check(&*node.op));
        }
    }
    assert_eq!(read_back, BTreeSet::from(READ_BACK));
    let Kernels { read, with_halves } = kernels;
    for entry in WITH_HALVES {
        assert!(with_halves.contains(entry), "no `{entry}` with halves among {with_halves:?}");
    }
    println!("{checked} ways of ops, {} kernels", read.len());
}
