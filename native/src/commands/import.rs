//! `nitp import`.

use anyhow::{Result, ensure};
use nitp_core::config::parameter_counts;
use nitp_core::train::{Checkpoint, Tensors, TrainerState};

use crate::args::ImportArgs;
use crate::hugging_face::{self, Pretrained};
use crate::memory;
use crate::output::{outln, quoted};
use crate::progress::short;
use crate::run_folder::{self, RunFolder};

/// Makes a run from a model.
///
/// # Errors
/// A model that can't be read or needs more memory than the machine has, or a folder that already exists.
pub fn run(args: &ImportArgs) -> Result<()> {
    ensure!(
        hugging_face::is_folder(&args.model),
        "{} is no folder in Hugging Face's format: it must hold config.json, safetensors files and tokenizer.json. \
         `hf download NAME --local-dir DIR` fetches a published model",
        args.model.display()
    );
    run_folder::check_free(&args.out)?;
    let pretrained = Pretrained::open(&args.model)?;
    // The run has no heads: training with one starts a new run by --init.
    let mut config = pretrained.config.clone().next_token_alone();
    memory::check_import(&config, pretrained.largest_file()?)?;
    let weights = pretrained.weights(&mut config)?;
    let Pretrained { tokenizer, kept, .. } = pretrained;
    let (run, _lock, _) = RunFolder::create(Some(&args.out), "")?;
    run.write_config(&config)?;
    run.write_tokenizer(&tokenizer)?;
    run.write_pretrained_files(&kept)?;
    let checkpoint = Checkpoint {
        weights,
        moment1: Tensors::new(),
        moment2: Tensors::new(),
        state: TrainerState::new(String::new()),
        model: config.model.clone(),
    };
    run.checkpoints().save(&checkpoint, || Ok(()))?;
    let out = quoted(&args.out);
    outln!(
        "{} parameters in {}\n",
        short(parameter_counts(&config).total as f64),
        args.out.display()
    );
    outln!("  nitp generate {out} --prompt \"Once upon a time\"");
    outln!("  nitp train --init {out} --data YOUR-TEXT        to train it on, with NITP");
    Ok(())
}
