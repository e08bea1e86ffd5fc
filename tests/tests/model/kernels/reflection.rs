//! A kernel's use of memory, from naga.

use std::collections::{BTreeMap, HashMap};

use naga::compact::{KeepUnused, compact};
use naga::proc::Layouter;
use naga::valid::{Capabilities, GlobalUse, ModuleInfo, ValidationFlags, Validator};
use naga::{
    AddressSpace, Arena, Block, Expression, Function, Handle, Literal, Module, ResourceBinding,
    Statement, TypeInner,
};

/// A kernel's use of one storage.
#[derive(Clone, Debug)]
pub struct Storage {
    pub number: u32,
    pub scalar: naga::Scalar,
    pub stride: u32,
    /// Accesses in reachable branches.
    pub access: GlobalUse,
}

/// A kernel's memory, from its text.
#[derive(Clone, Debug)]
pub struct Reflection {
    /// By name.
    pub storage: BTreeMap<String, Storage>,
    /// Bytes of workgroup memory, as WebGPU counts them.
    pub workgroup_bytes: usize,
}

fn valid(module: &Module, name: &str, text: &str) -> ModuleInfo {
    let capabilities =
        Capabilities::SHADER_FLOAT16 | Capabilities::SUBGROUP | Capabilities::COOPERATIVE_MATRIX;
    Validator::new(ValidationFlags::all(), capabilities)
        .validate(module)
        .unwrap_or_else(|error| panic!("{name}: {}\n{text}", error.emit_to_string(text)))
}

/// An entry point's use of memory.
///
/// # Panics
/// If the text is no valid WGSL.
pub fn reflect(text: &str, entry: &str) -> Reflection {
    let mut module = naga::front::wgsl::parse_str(text)
        .unwrap_or_else(|error| panic!("{entry}: {}\n{text}", error.emit_to_string(text)));
    let index = module.entry_points.iter().position(|it| it.name == entry).expect("an entry point");
    let whole = valid(&module, entry, text);
    let whole = whole.get_entry_point(index);
    let mut layouter = Layouter::default();
    layouter.update(module.to_ctx()).expect("types with sizes");
    let of_workgroup = module.global_variables.iter().filter(|(handle, global)| {
        global.space == AddressSpace::WorkGroup && !whole[*handle].is_empty()
    });
    let sizes = of_workgroup.map(|(_, global)| layouter[global.ty].size.next_multiple_of(16));
    let workgroup_bytes = sizes.sum::<u32>() as usize;
    let mut storage = BTreeMap::new();
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
    Reflection { storage, workgroup_bytes }
}

/// Removes branches that constants make unreachable, because their accesses never happen.
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
        // A named expression would count as used.
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
