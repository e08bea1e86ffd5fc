//! The WGSL of a kernel, assembled from the shaders and snippets of the folder `shaders`.

use super::storage::Storage;
use super::{Dispatch, Kernel, Matrices};

/// `SHADERS` and `SNIPPETS`: names and texts of `shaders/*.wgsl` and `shaders/include/*.wgsl` (build.rs).
mod folder {
    include!(concat!(env!("OUT_DIR"), "/shaders.rs"));
}

/// The source of a kernel's text. A line `#include "name"` is replaced by `shaders/include/name.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// The file of this name in `shaders/`.
    Shader(&'static str),
    /// Such a file, preceded by a snippet.
    WithSnippet(&'static str, &'static str),
    /// Such a file, preceded by these snippets.
    WithSnippets(&'static str, [&'static str; 3]),
    /// A name and a text, for an op outside of this crate.
    Own(&'static str, &'static str),
}

impl Module {
    /// Name in labels and messages.
    pub fn name(self) -> String {
        match self {
            Self::Shader(name) | Self::Own(name, _) => name.to_owned(),
            Self::WithSnippet(name, _) | Self::WithSnippets(name, _) => {
                // `epilogue_store` is shortened to `store`.
                let short = |it: &&'static str| it.split_once('_').map_or(*it, |(_, rest)| rest);
                let short: Vec<&str> = self.snippets().iter().map(short).collect();
                format!("{name}_{}", short.join("_"))
            }
        }
    }

    /// A key that is unique among all modules.
    #[cfg(feature = "gpu")]
    pub(crate) fn key(self) -> String {
        match self {
            // By the text's address, which is unique in the program.
            Self::Own(name, text) => format!("{name} at {:p}", text.as_ptr()),
            _ => self.name(),
        }
    }

    /// Its text with all snippets included; `matrices` chooses the snippet for `#include "matrix"`. [`assemble`] turns
    /// it into WGSL.
    ///
    /// # Panics
    /// If there is no such file or snippet: a mistake in an op.
    pub fn text(self, matrices: Matrices) -> String {
        match self {
            Self::Shader(name) | Self::WithSnippet(name, _) | Self::WithSnippets(name, _) => {
                let include = |it: &&str| format!("#include \"{it}\"\n");
                let includes: String = self.snippets().iter().map(include).collect();
                expand(&(includes + found(folder::SHADERS, name)), matrices)
            }
            Self::Own(_, text) => expand(text, matrices),
        }
    }

    /// The snippets before the text.
    fn snippets(&self) -> &[&'static str] {
        match self {
            Self::WithSnippet(_, snippet) => std::slice::from_ref(snippet),
            Self::WithSnippets(_, snippets) => snippets,
            Self::Shader(_) | Self::Own(..) => &[],
        }
    }
}

fn found(texts: &[(&str, &'static str)], name: &str) -> &'static str {
    let found = texts.iter().find(|(key, _)| *key == name);
    found.unwrap_or_else(|| panic!("shaders/ has no `{name}`")).1
}

/// Replaces each line `#include "name"` by the snippet of that name.
fn expand(source: &str, matrices: Matrices) -> String {
    let mut text = String::new();
    for line in source.lines() {
        let included =
            line.strip_prefix("#include ").map(|quoted| match quoted.trim_matches('"') {
                // An adapter without matrix units runs no kernel that includes this snippet, but its text must still be
                // readable.
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

/// The whole WGSL of a dispatch for an adapter with these matrix units: the kernel's text with its snippets. Each
/// `override` becomes a `const` with its value, and each `storage` a declaration for its binding.
///
/// # Panics
/// If there is no such snippet, a constant has no `override`, or a declaration of storage does not fit its binding:
/// mistakes in an op or a plan.
pub fn assemble(dispatch: &Dispatch, matrices: Matrices) -> String {
    let kernel = &dispatch.kernel;
    let source = kernel.module.text(matrices);
    // With emulated units, unrolled loops would make long texts, which take long to compile.
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
        if line.starts_with("enable ") {
            directives.push(line);
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
    // Snippets may be anywhere in a text, but directives must be at its beginning.
    let directives = directives.iter().map(|it| format!("{it}\n"));
    directives.collect::<String>() + &text
}

/// Unrolls each loop `for (var i = 0u; i < NAME; i++) { // unroll` into copies of its body with a constant `i`. Without
/// this, some compilers do not keep an array of matrices in registers, because its index is not a constant.
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

/// The value of a kernel's `override`: the given one or the default.
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

/// Turns a declaration `NAME: type = default;`, or one without a default, into a constant.
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
