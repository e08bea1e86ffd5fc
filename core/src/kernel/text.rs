//! The WGSL of a kernel: put together from the folder of shaders and snippets, found by name.

use super::storage::Storage;
use super::{Dispatch, Kernel, Matrices};

/// `SHADERS` and `SNIPPETS`: names and texts of `shaders/*.wgsl` and `shaders/include/*.wgsl` (build.rs).
mod folder {
    include!(concat!(env!("OUT_DIR"), "/shaders.rs"));
}

/// Where a kernel's text comes from. Lines `#include "name"` in it take in `shaders/include/name.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// The file of this name in `shaders/`.
    Shader(&'static str),
    /// The same, and before it these snippets.
    WithSnippets(&'static str, [&'static str; 3]),
    /// A name, and a text that lies elsewhere: of an op outside of this crate.
    Own(&'static str, &'static str),
}

impl Module {
    /// What labels and messages call it.
    pub fn name(self) -> String {
        match self {
            Self::Shader(name) | Self::Own(name, _) => name.to_owned(),
            Self::WithSnippets(name, snippets) => {
                // Of `epilogue_store`, `store`.
                let short = snippets.map(|it| it.split_once('_').map_or(it, |(_, rest)| rest));
                format!("{name}_{}", short.join("_"))
            }
        }
    }

    /// What tells it from all others.
    #[cfg(feature = "gpu")]
    pub(crate) fn key(self) -> String {
        match self {
            // By the text's address: it lies in the program, once.
            Self::Own(name, text) => format!("{name} at {:p}", text.as_ptr()),
            _ => self.name(),
        }
    }

    /// Its text, snippets taken in; for `#include "matrix"`, those of this kind. [`assemble`] makes WGSL of it.
    ///
    /// # Panics
    /// If there is no such file or snippet: a mistake in an op.
    pub fn text(self, matrices: Matrices) -> String {
        match self {
            Self::Shader(name) => expand(found(folder::SHADERS, name), matrices),
            Self::WithSnippets(name, snippets) => {
                let includes = snippets.map(|it| format!("#include \"{it}\"\n")).concat();
                expand(&(includes + found(folder::SHADERS, name)), matrices)
            }
            Self::Own(_, text) => expand(text, matrices),
        }
    }
}

fn found(texts: &[(&str, &'static str)], name: &str) -> &'static str {
    let found = texts.iter().find(|(key, _)| *key == name);
    found.unwrap_or_else(|| panic!("shaders/ has no `{name}`")).1
}

/// A text, each line `#include "name"` in it the snippet of that name.
fn expand(source: &str, matrices: Matrices) -> String {
    let mut text = String::new();
    for line in source.lines() {
        let included =
            line.strip_prefix("#include ").map(|quoted| match quoted.trim_matches('"') {
                // An adapter without them has no kernel that takes them in; their texts can be read all the same.
                "matrix" => matrices.snippet().unwrap_or("matrix_units16"),
                name => name,
            });
        match included {
            Some(name) => text += &expand(found(folder::SNIPPETS, name), matrices),
            None => text.extend([line, "\n"]),
        }
    }
    text
}

/// A dispatch's whole WGSL for an adapter that multiplies pieces of matrices in this way: its kernel's text
/// with its snippets, each `override` a `const` with its value, and each `storage` declared as what is bound.
///
/// # Panics
/// If there is no such snippet, a constant has no `override`, or storage is not declared as it is bound:
/// mistakes in an op or a plan.
pub fn assemble(dispatch: &Dispatch, matrices: Matrices) -> String {
    let kernel = &dispatch.kernel;
    let source = kernel.module.text(matrices);
    // Emulated, such loops would be long texts that are compiled for long.
    let source = match matrices {
        Matrices::Emulated => source,
        _ if !Matrices::IN_PROGRAM => source,
        _ => unroll(&source, &|name| value_of(&source, kernel, name)),
    };
    let mut storage = Storage::new(dispatch, &source);
    let mut directives = Vec::new();
    let mut text = String::new();
    let mut used = Vec::new();
    for line in source.lines() {
        if line.starts_with("enable ") || line.starts_with("diagnostic(") {
            // naga knows subgroups without the directives that browsers ask for, and refuses them.
            let is_of_browsers = line.contains("subgroup");
            if cfg!(target_arch = "wasm32") || !is_of_browsers {
                directives.push(line);
            }
            continue;
        }
        if let Some(declaration) = storage.declaration(line) {
            text += &declaration;
        } else if let Some(declared) = line.strip_prefix("override ") {
            text.extend([&constant(declared, kernel, &mut used), "\n"]);
        } else {
            text.extend([line, "\n"]);
        }
    }
    for (name, _) in &kernel.constants {
        assert!(used.contains(name), "{} has no override {name}", kernel.module.name());
    }
    directives.extend(storage.finish());
    directives.sort_unstable();
    directives.dedup();
    // Snippets come anywhere; directives, first.
    let directives = directives.iter().map(|it| format!("{it}\n"));
    directives.collect::<String>() + &text
}

/// A text with copies of the body in place of each `for (var i = 0u; i < NAME; i++) { // unroll`, in which `i` is a
/// constant: not every compiler keeps an array of matrices in registers where an index is not one.
///
/// # Panics
/// If such a loop does not end, or its NAME has no value: mistakes in a shader.
fn unroll(text: &str, value: &dyn Fn(&str) -> usize) -> String {
    let mut unrolled = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(head) = line.trim_start().strip_suffix(" { // unroll") else {
            unrolled.extend([line, "\n"]);
            continue;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        let (index, count) = head
            .strip_prefix("for (var ")
            .and_then(|rest| rest.split_once(" = 0u; "))
            .and_then(|(index, rest)| Some((index, rest.split_once(" < ")?.1.split_once(';')?.0)))
            .unwrap_or_else(|| panic!("`{head}` can't be unrolled"));
        let end = format!("{indent}}}");
        let mut body = Vec::new();
        loop {
            match lines.next() {
                Some(line) if line == end => break,
                Some(line) => body.push(line),
                None => panic!("`{head}` has no end"),
            }
        }
        let body = unroll(&(body.join("\n") + "\n"), value);
        for i in 0..value(count) {
            unrolled += &format!("{indent}{{\n{indent}    const {index} = {i}u;\n{body}{end}\n");
        }
    }
    unrolled
}

/// The value of a kernel's `override`, as given or by default.
fn value_of(source: &str, kernel: &Kernel, name: &str) -> usize {
    if let Some((_, value)) = kernel.constants.iter().find(|(it, _)| *it == name) {
        return *value as usize;
    }
    let declared = source.lines().find_map(|line| {
        let rest = line.strip_prefix("override ")?.strip_prefix(name)?.strip_prefix(": u32 = ")?;
        rest.split(';').next()?.parse().ok()
    });
    declared.unwrap_or_else(|| panic!("{} has no override {name}", kernel.module.name()))
}

/// `NAME: type = default;`, or without a default, as a constant.
fn constant<'a>(declared: &str, kernel: &'a Kernel, used: &mut Vec<&'a str>) -> String {
    let declared = declared.split(';').next().unwrap_or(declared);
    let (declaration, default) = match declared.split_once('=') {
        Some((declaration, default)) => (declaration.trim_end(), Some(default.trim_start())),
        None => (declared, None),
    };
    let (name, kind) = declaration.split_once(':').expect("an override says its type");
    let found = kernel.constants.iter().find(|(it, _)| *it == name);
    let value = match (found, kind.trim()) {
        (None, _) => default.expect("a constant without a default has a value").to_owned(),
        (Some((_, value)), "bool") => (*value != 0.0).to_string(),
        (Some((_, value)), "f32") => format!("{value:?}"),
        (Some((_, value)), _) => value.to_string(),
    };
    used.extend(found.map(|(name, _)| *name));
    format!("const {declaration} = {value};")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_become_copies_of_their_bodies() {
        let text = "a\n  for (var i = 0u; i < N; i++) { // unroll\n    f(i);\n  }\nb\n";
        let copy = |i: u32| format!("  {{\n      const i = {i}u;\n    f(i);\n  }}\n");
        assert_eq!(unroll(text, &|_| 2), ["a\n", &copy(0), &copy(1), "b\n"].concat());
    }

    #[test]
    #[should_panic(expected = "`for (var i = 0u; i < N; i++)` has no end")]
    fn a_loop_without_an_end_is_refused() {
        unroll("for (var i = 0u; i < N; i++) { // unroll\n    f(i);\n  }\n", &|_| 2);
    }
}
