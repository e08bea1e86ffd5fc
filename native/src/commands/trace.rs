//! `nitp trace`.

use anyhow::Result;
use nitp_core::train::Trace;

use super::train::beginning::Beginning;
use crate::args::TraceArgs;
use crate::device;
use crate::output::{errln, outln, quoted};
use nitp_files::documents::Named;
use nitp_files::{token_cache, whole_file};

/// Number of traced steps without `--steps`: the first steps of the run as configured.
const DEFAULT_STEPS: usize = 10;

/// Trains a few steps and writes the receipt.
pub fn run(args: TraceArgs) -> Result<()> {
    let Beginning { config, tokenizer, weights, .. } = Beginning::of(&args.run)?;
    let weights = weights.unwrap_or_default();
    let warn = |text: String| errln!("warning: {text}");
    let dataset = token_cache::dataset(&config, Named::Now, &tokenizer, warn)?;
    let choice = device::choose_for(&args.run.device, &config, None)?;
    outln!("{}", choice.why);
    let mut executor = choice.device.executor_for_steps(&config)?;
    let steps = args.run.steps.unwrap_or(DEFAULT_STEPS.min(config.train.steps));
    let trace = Trace::record(&config, executor.as_mut(), &dataset, &weights, steps, |step| {
        outln!(
            "step {:>4}  loss {:.6}  ntp {:.6}  nitp {:.6}  balance {:.6}  gradient norm {:.6}",
            step.step,
            step.loss,
            step.ntp_loss,
            step.nitp_loss,
            step.balance_loss,
            step.grad_norm
        );
    })?;
    whole_file::write(&args.out, &trace.to_safetensors())?;
    outln!(
        "{}\nCheck it with PyTorch: python3 tests/reference/check_trace.py {}",
        args.out.display(),
        quoted(&args.out)
    );
    Ok(())
}
