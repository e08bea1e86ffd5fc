//! The WGSL of a kernel: put together from the folder of shaders and snippets, found by name.

use super::{Dispatch, Kernel};

/// `SHADERS` and `SNIPPETS`: names and texts of `shaders/*.wgsl` and `shaders/include/*.wgsl` (build.rs).
mod folder {
    include!(concat!(env!("OUT_DIR"), "/shaders.rs"));
}

/// Where a kernel's text comes from. Lines `#include "name"` in it take in `shaders/include/name.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// The file of this name in `shaders/`.
    Shader(&'static str),
    /// The same, and behind it the snippet `epilogue_` and this name: what is done with results on their way to
    /// memory.
    WithEpilogue(&'static str, &'static str),
    /// A name, and a text that lies elsewhere: of an op outside of this crate.
    Own(&'static str, &'static str),
}

impl Module {
    /// What labels and messages call it.
    pub fn name(self) -> String {
        match self {
            Self::Shader(name) | Self::Own(name, _) | Self::WithEpilogue(name, "store") => {
                name.to_owned()
            }
            Self::WithEpilogue(name, epilogue) => format!("{name}_{epilogue}"),
        }
    }

    /// What tells it from all others.
    pub(crate) fn key(self) -> String {
        match self {
            // By the text's address: it lies in the program, once.
            Self::Own(name, text) => format!("{name} at {:p}", text.as_ptr()),
            _ => self.name(),
        }
    }

    /// Its text, snippets taken in.
    ///
    /// # Panics
    /// If there is no such file or snippet: a mistake in an op.
    pub fn text(self) -> String {
        match self {
            Self::Shader(name) => expand(found(folder::SHADERS, name)),
            Self::WithEpilogue(name, epilogue) => {
                let include = format!("#include \"epilogue_{epilogue}\"\n");
                expand(&(found(folder::SHADERS, name).to_owned() + &include))
            }
            Self::Own(_, text) => expand(text),
        }
    }
}

fn found(texts: &[(&str, &'static str)], name: &str) -> &'static str {
    let found = texts.iter().find(|(key, _)| *key == name);
    found.unwrap_or_else(|| panic!("shaders/ has no `{name}`")).1
}

/// A text, each line `#include "name"` in it the snippet of that name.
fn expand(source: &str) -> String {
    let mut text = String::new();
    for line in source.lines() {
        match line.strip_prefix("#include ") {
            Some(quoted) => text += &expand(found(folder::SNIPPETS, quoted.trim_matches('"'))),
            None => text.extend([line, "\n"]),
        }
    }
    text
}

/// A dispatch's whole WGSL: its kernel's text with its snippets, each `override` a `const` with its
/// value, and each `alias RealN = f32;` an f16 where binding N holds halves.
///
/// # Panics
/// If there is no such snippet, a constant has no `override`, or a binding of halves no alias:
/// mistakes in an op or a plan.
pub fn assemble(dispatch: &Dispatch) -> String {
    let (kernel, halves) = (&dispatch.kernel, dispatch.halves());
    let mut text = String::new();
    if !halves.is_empty() {
        text.push_str("enable f16;\n");
    }
    let mut used = Vec::new();
    let mut aliased = Vec::new();
    for line in kernel.module.text().lines() {
        // naga knows subgroups without the directives that browsers ask for, and refuses them.
        let directive = line.starts_with("enable ") || line.starts_with("diagnostic(");
        if directive && !cfg!(target_arch = "wasm32") {
            continue;
        }
        let half = line.strip_prefix("alias Real").and_then(|rest| {
            let number = rest.strip_suffix(" = f32;")?.parse().ok()?;
            halves.contains(&number).then_some(number)
        });
        match (line.strip_prefix("override "), half) {
            (Some(declared), _) => text.push_str(&constant(declared, kernel, &mut used)),
            (None, Some(number)) => {
                aliased.push(number);
                text.push_str(&format!("alias Real{number} = f16;"));
            }
            (None, None) => text.push_str(line),
        }
        text.push('\n');
    }
    for (name, _) in &kernel.constants {
        assert!(used.contains(name), "{} has no override {name}", kernel.module.name());
    }
    for number in halves {
        assert!(aliased.contains(&number), "{} has no alias Real{number}", kernel.entry);
    }
    text
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
