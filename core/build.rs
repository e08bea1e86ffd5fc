//! Lists the shaders: a table of names and texts, so that a kernel is found by the name of its file.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let shaders = root.join("shaders");
    println!("cargo::rerun-if-changed={}", shaders.display());
    let mut text = table("SHADERS", &shaders);
    text += &table("SNIPPETS", &shaders.join("include"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("shaders.rs"), text).expect("the table is written");
}

fn table(name: &str, folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let files = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|it| it == "wgsl")).collect();
    // The page leaves out kernels that it never uses, to be small: browsers have no matrix units, wgpu has no subgroups
    // in browsers, and the page neither trains NITP's rivals, nor opens models of other programs, nor compares products.
    let is_page = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32");
    if is_page {
        files.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let unused = [
                "head_norm",
                "matmul_plain",
                "matrix",
                "registers",
                "sigmoid_gate",
                "subgroup",
                "token_order",
            ];
            !unused.iter().any(|part| name.contains(part))
        });
    }
    files.sort();
    let mut text = format!("pub static {name}: &[(&str, &str)] = &[\n");
    for path in files {
        let stem = path.file_stem().expect("it has a name");
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let source = if is_page { shortened(&source) } else { source };
        writeln!(text, "    ({stem:?}, {source:?}),").expect("a string takes it");
    }
    text + "];\n"
}

/// Without comments, indentation and empty lines.
fn shortened(source: &str) -> String {
    let code = |line: &str| line.split("//").next().unwrap_or_default().trim().to_owned();
    let lines = source.lines().map(code).filter(|line| !line.is_empty());
    lines.map(|line| line + "\n").collect()
}
