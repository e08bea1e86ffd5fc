//! The storage of a kernel, by name. A line `storage y: real;` in its text becomes a declaration with the binding
//! number and the element type that a dispatch binds as `y`, and functions that load and store elements.
//!
//! Kernels compute in f32. A `real` may have fewer bits in storage. A text loads and stores it by `load_y(i)` and
//! `store_y(i, value)`, so the text is independent of the number of bits.

use super::Dispatch;
use crate::tensor::DType;

/// Binding number of the first storage that a text declares and a dispatch doesn't bind. Another entry point uses such
/// storage; the layout of a pipeline contains only the bindings of its own entry point.
const UNBOUND: usize = 100;

/// The WGSL of an element type.
struct Held {
    /// Its name.
    scalar: &'static str,
    /// The directive that the type needs at the beginning of a text.
    directive: Option<&'static str>,
    /// The conversion to f32 and back, if the type may stand for `real`.
    real: Option<Conversion>,
}

#[derive(Clone, Copy)]
enum Conversion {
    /// The type is f32.
    Identity,
    /// By the name of the target type: `f32(x)`, `vec4<f16>(x)`.
    Constructor,
}

/// The WGSL of each element type.
fn held(dtype: DType) -> Held {
    match dtype {
        DType::Real => Held { scalar: "f32", directive: None, real: Some(Conversion::Identity) },
        DType::Half => Held {
            scalar: "f16",
            directive: Some("enable f16;"),
            real: Some(Conversion::Constructor),
        },
        DType::U32 => Held { scalar: "u32", directive: None, real: None },
    }
}

/// Numbers of reals per load and store, by the declared type. `real8` is for halves: they are held as a `vec4<u32>`, so
/// that a load takes 16 bytes.
const SHAPES: [(&str, usize); 4] =
    [("real", 1), ("vec2<real>", 2), ("vec4<real>", 4), ("real8", EIGHT)];
const EIGHT: usize = 8;

/// Writes the declarations of a kernel's storage for a dispatch.
pub(super) struct Storage<'a> {
    dispatch: &'a Dispatch,
    /// The whole text. Functions that it does not call are left out.
    source: &'a str,
    /// Names declared so far.
    declared: Vec<&'a str>,
    /// Directives for the declarations, for the beginning of the text.
    directives: Vec<&'static str>,
}

impl<'a> Storage<'a> {
    pub fn new(dispatch: &'a Dispatch, source: &'a str) -> Self {
        Self { dispatch, source, declared: Vec::new(), directives: Vec::new() }
    }

    /// The WGSL that replaces a line of the text, if the line declares storage.
    ///
    /// # Panics
    /// If the line can't be parsed, or its type does not fit the binding.
    pub fn declaration(&mut self, line: &'a str) -> Option<String> {
        let parts = line.strip_prefix("storage ")?.split_once(';').and_then(|(declared, rest)| {
            let (name, kind) = declared.split_once(':')?;
            Some((name.trim(), kind.trim(), rest))
        });
        let Some((name, kind, rest)) = parts else {
            panic!("{}: `{line}` declares no storage", self.kernel());
        };
        assert!(!self.declared.contains(&name), "{} has two storages `{name}`", self.kernel());
        let bound = self.dispatch.bindings.iter().position(|(it, _)| *it == name);
        let number = bound.map_or(UNBOUND + self.declared.len(), |index| index + 1);
        self.declared.push(name);
        let dtype = bound.map(|index| self.dispatch.bindings[index].1.dtype);
        let Some((element, functions)) = self.elements(name, kind, dtype) else {
            let bound = dtype.map_or("nothing", |dtype| held(dtype).scalar);
            panic!("{}: `{name}` is {kind}, but is bound to {bound}", self.kernel());
        };
        Some(format!(
            "@group(0) @binding({number}) var<storage, read_write> {name}: array<{element}>;{rest}\n\
             {functions}"
        ))
    }

    /// Directives of the declarations.
    ///
    /// # Panics
    /// If a binding of the dispatch was not declared, or a name is bound twice.
    pub fn finish(self) -> Vec<&'static str> {
        for (index, (name, _)) in self.dispatch.bindings.iter().enumerate() {
            assert!(self.declared.contains(name), "{} has no storage `{name}`", self.kernel());
            let mut before = self.dispatch.bindings[..index].iter();
            assert!(before.all(|(it, _)| it != name), "{} binds `{name}` twice", self.kernel());
        }
        self.directives
    }

    /// The type of a storage's elements, and functions that load and store them; none if `kind` can't hold a `dtype`.
    fn elements(
        &mut self,
        name: &str,
        kind: &str,
        dtype: Option<DType>,
    ) -> Option<(String, String)> {
        match SHAPES.iter().find(|(written, _)| *written == kind) {
            Some((_, EIGHT)) => (dtype.unwrap_or(DType::Half) == DType::Half)
                .then(|| ("vec4<u32>".to_owned(), self.load_eight(name))),
            Some((_, count)) => {
                let Held { scalar, directive, real } = held(dtype.unwrap_or(DType::Real));
                self.directives.extend(directive);
                let functions = self.loads_and_stores(name, *count, scalar, real?);
                Some((vector(scalar, *count), functions))
            }
            // The declared type is used unchanged.
            None => {
                let its = DType::ALL.into_iter().find(|it| held(*it).scalar == scalar_of(kind))?;
                self.directives.extend(held(its).directive);
                (dtype.unwrap_or(its) == its).then(|| (kind.to_owned(), String::new()))
            }
        }
    }

    fn loads_and_stores(
        &self,
        name: &str,
        count: usize,
        scalar: &str,
        conversion: Conversion,
    ) -> String {
        let (element, value) = (vector(scalar, count), vector("f32", count));
        let converted = |to: &str, expression: &str| match conversion {
            Conversion::Identity => expression.to_owned(),
            Conversion::Constructor => format!("{to}({expression})"),
        };
        let digit = if count == 1 { String::new() } else { count.to_string() };
        let (load, store) = (format!("load{digit}_{name}"), format!("store{digit}_{name}"));
        let mut functions = String::new();
        if self.calls(&load) {
            let loaded = converted(&value, &format!("{name}[i]"));
            functions += &format!("fn {load}(i: u32) -> {value} {{ return {loaded}; }}\n");
        }
        if self.calls(&store) {
            let stored = converted(&element, "value");
            functions +=
                &format!("fn {store}(i: u32, value: {value}) {{ {name}[i] = {stored}; }}\n");
        }
        functions
    }

    /// A load of two vec4s. It does not use WGSL's bitcast of two words to four halves, because naga takes it for a
    /// bitcast to two floats.
    fn load_eight(&self, name: &str) -> String {
        let load = format!("load8_{name}");
        if !self.calls(&load) {
            return String::new();
        }
        let four = |[low, high]: [char; 2]| {
            format!("vec4f(unpack2x16float(words.{low}), unpack2x16float(words.{high}))")
        };
        let [low, high] = [['x', 'y'], ['z', 'w']].map(four);
        format!(
            "fn {load}(i: u32) -> array<vec4f, 2> {{\n    let words = {name}[i];\n    \
             return array<vec4f, 2>({low}, {high});\n}}\n"
        )
    }

    /// Whether the text calls a function.
    fn calls(&self, function: &str) -> bool {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        self.source.match_indices(function).any(|(at, _)| {
            self.source[at + function.len()..].starts_with('(')
                && !self.source[..at].ends_with(is_part)
        })
    }

    /// Name of the kernel in messages.
    fn kernel(&self) -> String {
        let kernel = &self.dispatch.kernel;
        format!("`{}` of {}", kernel.entry, kernel.module.name())
    }
}

fn vector(scalar: &str, count: usize) -> String {
    if count == 1 { scalar.to_owned() } else { format!("vec{count}<{scalar}>") }
}

/// The scalar type of a vector: `f32` for `vec4f`, `vec4<f32>` and `f32`.
fn scalar_of(kind: &str) -> &str {
    if let Some((_, inner)) = kind.split_once('<') {
        return scalar_of(inner.trim_end_matches('>'));
    }
    match kind {
        "vec2f" | "vec3f" | "vec4f" => "f32",
        "vec2h" | "vec3h" | "vec4h" => "f16",
        "vec2u" | "vec3u" | "vec4u" => "u32",
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use crate::kernel::{Binding, Dispatch, Kernel, Matrices, Module, Uniform, assemble};
    use crate::plan::PlanBuilder;
    use crate::tensor::{DType, Role, View};

    fn view(dtype: DType) -> View {
        PlanBuilder::new("views").shared("x", &[64], dtype, Role::State)
    }

    fn text(source: &'static str, bindings: Vec<Binding>) -> String {
        let kernel = Kernel { module: Module::Own("own", source), entry: "run", constants: vec![] };
        let dispatch = Dispatch { kernel, bindings, uniform: Uniform::new(), grid: [1; 3] };
        assemble(&dispatch, Matrices::None)
    }

    const ADD: &str = "\
storage y: real; // [n]
storage x: vec4<real>;
storage other: u32;
fn run() { store_y(0, load_y(0) + load4_x(1).x); }
";

    #[test]
    fn names_get_numbers_and_the_types_of_what_is_bound() {
        let bindings = vec![("x", view(DType::Half)), ("y", view(DType::Real))];
        let expected = "\
enable f16;
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [n]
fn load_y(i: u32) -> f32 { return y[i]; }
fn store_y(i: u32, value: f32) { y[i] = value; }
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f16>>;
fn load4_x(i: u32) -> vec4<f32> { return vec4<f32>(x[i]); }
@group(0) @binding(102) var<storage, read_write> other: array<u32>;
fn run() { store_y(0, load_y(0) + load4_x(1).x); }
";
        assert_eq!(text(ADD, bindings), expected);
    }

    #[test]
    fn stores_round_to_halves() {
        let source = "storage y: vec2<real>;\nfn run() { store2_y(0, vec2f()); }\n";
        let found = text(source, vec![("y", view(DType::Half))]);
        assert!(
            found.contains("(i: u32, value: vec2<f32>) { y[i] = vec2<f16>(value); }"),
            "{found}"
        );
    }

    #[test]
    fn eight_halves_are_four_words() {
        let source = "storage x: real8;\nfn run() { let eight = load8_x(0); }\n";
        let found = text(source, vec![("x", view(DType::Half))]);
        assert!(found.contains("x: array<vec4<u32>>;\nfn load8_x(i: u32)"), "{found}");
    }

    #[test]
    #[should_panic(expected = "`run` of own has no storage `z`")]
    fn what_is_bound_must_be_declared() {
        text(ADD, vec![("z", view(DType::Real))]);
    }

    #[test]
    #[should_panic(expected = "`run` of own binds `y` twice")]
    fn a_name_is_bound_once() {
        text(ADD, vec![("y", view(DType::Real)), ("y", view(DType::Real))]);
    }

    #[test]
    #[should_panic(expected = "`run` of own has two storages `y`")]
    fn a_name_is_declared_once() {
        text("storage y: u32;\nstorage y: u32;\n", Vec::new());
    }

    #[test]
    #[should_panic(expected = "`run` of own: `storage y: u32` declares no storage")]
    fn a_declaration_ends() {
        text("storage y: u32\n", Vec::new());
    }

    #[test]
    #[should_panic(expected = "`run` of own: `other` is u32, but is bound to f32")]
    fn types_that_are_written_out_are_those_of_what_is_bound() {
        text(ADD, vec![("other", view(DType::Real))]);
    }

    #[test]
    #[should_panic(expected = "`run` of own: `y` is real, but is bound to u32")]
    fn integers_are_no_reals() {
        text(ADD, vec![("y", view(DType::U32))]);
    }

    #[test]
    #[should_panic(expected = "`run` of own: `x` is real8, but is bound to f32")]
    fn eight_at_a_time_are_halves() {
        text("storage x: real8;\n", vec![("x", view(DType::Real))]);
    }
}
