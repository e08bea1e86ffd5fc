//! `cargo xtask kernels` runs this: every kernel of some models as whole WGSL files, for other compilers and
//! analysers.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use nitp_core::config::{load, preset};
use nitp_core::kernel::{Dispatch, Matrices, Variant, assemble};
use nitp_core::model::{decode_plan, parameter_layout, train_plan};
use nitp_core::plan::{Limits, Plan};

/// Models that between them have every kernel.
const PRESETS: [&str; 4] = ["tiny", "small", "small-moe", "1.9b-a0.3b"];

/// Writes every kernel as a whole WGSL file, variants and constants put in.
#[derive(Parser)]
struct Arguments {
    /// The folder; it is made
    #[arg(long)]
    out: PathBuf,
    /// Override one key of every model's configuration, for example train.precision=mixed
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

/// Writes `{module}-{entry}-{variant}-{constants}.wgsl` into a folder, with the names of the bindings that
/// are f16 in mixed precision.
fn main() -> Result<()> {
    let Arguments { out, set } = Arguments::parse();
    fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;
    let mut files = BTreeMap::new();
    for name in PRESETS {
        let config = load(preset(name)?, None, &set)?;
        let layout = parameter_layout(&config, Limits::NONE)?;
        let plans = [train_plan(&config, &layout).plan, decode_plan(&config, Limits::NONE, 1).plan];
        for node in plans.iter().flat_map(Plan::nodes) {
            for variant in node.op.variants() {
                for dispatch in &variant.dispatches {
                    files.insert(
                        file_name(&variant, dispatch),
                        assemble(dispatch, Matrices::Units16),
                    );
                }
            }
        }
    }
    for (name, text) in &files {
        let path = out.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    println!("{} kernels in {}", files.len(), out.display());
    Ok(())
}

fn file_name(variant: &Variant, dispatch: &Dispatch) -> String {
    let kernel = &dispatch.kernel;
    let mut name = format!("{}-{}-{}", kernel.module.name(), kernel.entry, variant.name);
    for (constant, value) in &kernel.constants {
        name.push_str(&format!("-{constant}{value}"));
    }
    let halves: Vec<&str> = dispatch.halves().collect();
    if !halves.is_empty() {
        name += &format!("-f16_{}", halves.join("_"));
    }
    name + ".wgsl"
}
