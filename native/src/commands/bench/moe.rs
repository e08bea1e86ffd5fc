//! A mixture of experts beside a dense feed-forward of the same active FLOPs: forward and backward
//! of the layer alone, as nodes of two train plans that differ in it.

use anyhow::{Context, Result};
use indicatif::HumanCount;
use nitp_core::config::{Config, load, preset};
use nitp_core::plan::Node;
use nitp_core::train::Rehearsal;
use serde::Serialize;

use super::table::time;
use super::{WARM_UP, median};
use crate::args::BenchArgs;
use crate::device;
use crate::output::outln;

/// Where the layer's nodes are in the plans.
const LAYER: &str = "layers.0.ffn";

/// A layer in both forms.
#[derive(Debug, Serialize)]
struct Layers {
    preset: String,
    tokens: usize,
    hidden_size: usize,
    num_experts: usize,
    num_experts_per_tok: usize,
    moe_intermediate_size: usize,
    shared_expert_intermediate_size: usize,
    /// Inner width of the dense layer: that of all experts that a token passes.
    dense_intermediate_size: usize,
    /// Forward and backward, medians.
    moe_seconds: f64,
    dense_seconds: f64,
    /// The first by the second.
    ratio: f64,
}

/// Measures and prints.
pub fn run(args: &BenchArgs, presets: &[String]) -> Result<()> {
    let mut measured = Vec::new();
    for name in presets {
        let config = one_block(load(preset(name)?, None, &[])?, &args.sets)?;
        let layers = measure(name, config, args)?;
        if !args.json {
            outln!("{}", words(&layers));
        }
        measured.push(layers);
    }
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&measured)?);
    }
    Ok(())
}

/// A model of one block with the layer of `config`, and of little else: 4,096 random tokens of as
/// many kinds, so that a fresh router spreads them.
fn one_block(mut config: Config, sets: &[String]) -> Result<Config> {
    let (model, train) = (&mut config.model, &mut config.train);
    (model.vocab_size, model.num_hidden_layers) = (4096, 1);
    (model.num_attention_heads, model.num_key_value_heads, model.head_dim) = (1, 1, 16);
    if let Some(moe) = &mut model.moe {
        moe.first_k_dense_replace = 0;
    }
    (train.batch_size, train.context_length, train.gradient_accumulation_steps) = (16, 256, 1);
    config.nitp.target_layer = 0;
    Ok(load(config.next_token_alone(), None, sets)?)
}

fn measure(name: &str, config: Config, args: &BenchArgs) -> Result<Layers> {
    let moe = config.model.moe.clone();
    let moe = moe.with_context(|| format!("{name} has no experts: nothing to compare"))?;
    let mut dense = config.clone();
    dense.model.moe = None;
    dense.model.intermediate_size =
        moe.num_experts_per_tok * moe.moe_intermediate_size + moe.shared_expert_intermediate_size;
    let rehearsal = |config: &Config| -> Result<Rehearsal> {
        let choice = device::choose_tuned(&args.device, config)?;
        Ok(Rehearsal::new(config, choice.device.executor_for_steps(config)?)?)
    };
    let (mut with_moe, mut with_dense) = (rehearsal(&config)?, rehearsal(&dense)?);
    let (mut moe_seconds, mut dense_seconds) = (Vec::new(), Vec::new());
    for step in 0..WARM_UP + args.steps {
        let pair = (layer_seconds(&mut with_moe)?, layer_seconds(&mut with_dense)?);
        if step >= WARM_UP {
            moe_seconds.push(pair.0);
            dense_seconds.push(pair.1);
        }
    }
    let (moe_seconds, dense_seconds) = (median(moe_seconds), median(dense_seconds));
    Ok(Layers {
        preset: name.to_owned(),
        tokens: config.train.batch_size * config.train.context_length,
        hidden_size: config.model.hidden_size,
        num_experts: moe.num_experts,
        num_experts_per_tok: moe.num_experts_per_tok,
        moe_intermediate_size: moe.moe_intermediate_size,
        shared_expert_intermediate_size: moe.shared_expert_intermediate_size,
        dense_intermediate_size: dense.model.intermediate_size,
        moe_seconds,
        dense_seconds,
        ratio: moe_seconds / dense_seconds,
    })
}

/// Seconds of the layer's nodes in one step. The norm before it is no part of it.
fn layer_seconds(rehearsal: &mut Rehearsal) -> Result<f64> {
    let seconds = rehearsal.profile()?;
    let counts =
        |node: &Node| node.scope.starts_with(LAYER) && !node.op.name().starts_with("rmsnorm");
    let nodes = rehearsal.plan().nodes().zip(seconds);
    Ok(nodes.filter(|(node, _)| counts(node)).map(|(_, seconds)| seconds).sum())
}

fn words(it: &Layers) -> String {
    format!(
        "{}: forward and backward of {} tokens of width {}\n  \
         {} through {} experts {} wide, {} of them and a shared one {} wide for a token\n  \
         {} through a dense layer {} wide: the experts take {:.2} times as long",
        it.preset,
        HumanCount(it.tokens as u64),
        it.hidden_size,
        time(it.moe_seconds),
        it.num_experts,
        it.moe_intermediate_size,
        it.num_experts_per_tok,
        it.shared_expert_intermediate_size,
        time(it.dense_seconds),
        it.dense_intermediate_size,
        it.ratio
    )
}
