//! `nitp info`: the cost of a configuration.

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use console::style;
use indicatif::BinaryBytes;
use nitp_core::config::{
    Config, FlopsPerToken, ParameterCounts, Precision, flops_per_token, parameter_counts,
    preset_names,
};
use nitp_core::gpu::AdapterSummary;
use nitp_core::model::Memory;
use nitp_core::plan::Limits;
use serde_json::{Value, json};

use crate::args::InfoArgs;
use crate::output::outln;
use crate::progress::{short, thousands, with_prefix};
use crate::{device, settings};

/// Prints the costs, or the list of presets.
pub fn run(args: InfoArgs) -> Result<()> {
    let given = &args.config;
    if given.config.is_none() && given.preset.is_none() && given.sets.is_empty() && !args.json {
        print_presets();
        return Ok(());
    }
    let config = settings::config(given)?;
    let counts = parameter_counts(&config);
    let flops = flops_per_token(&config);
    let memory = Memory::of(&config, Limits::NONE)?;
    let mut other = config.clone();
    other.train.recompute_activations = !config.train.recompute_activations;
    let other = Memory::of(&other, Limits::NONE)?;
    let fits: Vec<(String, Result<u64, String>)> = device::list()
        .iter()
        .map(|adapter| (device::describe(adapter), fit(&config, adapter)))
        .collect();
    if args.json {
        let costs = to_json(&config, &counts, &flops, &memory, &fits);
        outln!("{}", serde_json::to_string_pretty(&costs)?);
        return Ok(());
    }
    outln!("{}\n", style(settings::name(given)).bold());
    print_parameters(&counts);
    print_flops(&config, &flops);
    print_memory(&config, &flops, &memory, &other);
    print_fits(&fits, memory.total());
    Ok(())
}

/// The bytes that training takes on an adapter, whose limits may divide activations. An error gives the reason why it
/// can't train the model.
fn fit(config: &Config, adapter: &AdapterSummary) -> Result<u64, String> {
    if config.train.precision == Precision::Mixed {
        adapter.check_half().map_err(|error| error.to_string())?;
    }
    let memory = Memory::of(config, adapter.limits);
    memory.map(|it| it.total()).map_err(|error| format!("too small. {error}"))
}

fn print_presets() {
    outln!("{}\n", style("Presets").bold());
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, about) in preset_names() {
        table.add_row([name, about]);
    }
    outln!("{table}\n\nCost of a preset: nitp info --preset NAME");
}

/// Rows of a name, a number and a remark.
fn print_table(title: &str, rows: impl IntoIterator<Item = [String; 3]>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.add_rows(rows);
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    outln!("{}\n{table}\n", style(title).bold());
}

fn print_parameters(counts: &ParameterCounts) {
    let share = |count: u64| format!("{:.1} %", 100.0 * count as f64 / counts.total as f64);
    let parts = [
        ("embedding", counts.embedding),
        ("attention", counts.attention),
        ("dense FFN", counts.dense_ffn),
        ("routed experts", counts.experts_routed),
        ("shared experts", counts.experts_shared),
        ("router", counts.router),
        ("norms", counts.norms),
        ("biases", counts.biases),
        ("unembedding", counts.lm_head),
    ];
    let number = |count: u64| thousands(count as f64);
    let mut rows = vec![
        ["total".to_owned(), number(counts.total), short(counts.total as f64)],
        ["active".to_owned(), number(counts.active), short(counts.active as f64) + " a token"],
    ];
    rows.extend(
        parts
            .into_iter()
            .filter(|&(_, count)| count > 0)
            .map(|(name, count)| [format!("  {name}"), number(count), share(count)]),
    );
    for (name, count) in [
        ("NITP projector", counts.projector),
        ("multi-token head", counts.mtp),
        ("next-latent head", counts.nextlat),
        ("token order head", counts.top),
    ] {
        if count > 0 {
            let remark = "in training only, not in the total".to_owned();
            rows.push([name.to_owned(), number(count), remark]);
        }
    }
    print_table("Parameters", rows);
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn print_flops(config: &Config, flops: &FlopsPerToken) {
    let row =
        |name: &str, value: f64, remark: String| [name.to_owned(), with_prefix(value), remark];
    let context = config.train.context_length;
    let mut rows = vec![
        row(
            "NTP",
            flops.ntp,
            format!("of which attention scores {}", with_prefix(flops.attention)),
        ),
        row("with NITP", flops.ntp + flops.nitp, format!("+{}", percent(flops.overhead()))),
    ];
    for (name, more) in [
        ("multi-token prediction", flops.mtp),
        ("next-latent prediction", flops.nextlat),
        ("token order prediction", flops.top),
    ] {
        if more > 0.0 {
            rows.push(row(name, more, format!("+{}", percent(more / flops.ntp))));
        }
    }
    if flops.total() > flops.ntp + flops.nitp {
        let remark = format!("+{}", percent(flops.total() / flops.ntp - 1.0));
        rows.push(row("with all of these", flops.total(), remark));
    }
    if config.train.recompute_activations {
        let all = flops.total() + flops.recomputation;
        let remark = format!("+{}", percent(flops.recomputation_overhead()));
        rows.push(row("with recomputation", all, remark));
    }
    if flops.nitp > 0.0 {
        let remark = format!("NITP adds {}", percent(flops.paper_overhead()));
        rows.push(row("NTP, paper's count", flops.paper_ntp, remark));
    }
    print_table(&format!("Training FLOPs a token, context {context}"), rows);
}

/// `other` is the memory with the opposite of `train.recompute_activations`.
fn print_memory(config: &Config, flops: &FlopsPerToken, memory: &Memory, other: &Memory) {
    let train = &config.train;
    let row = |name: &str, bytes: u64, remark: String| {
        [name.to_owned(), BinaryBytes(bytes).to_string(), remark]
    };
    let none = String::new;
    let batch = format!(
        "{} x {} tokens; {:.2} times the lower bound",
        train.batch_size,
        train.context_length,
        memory.activations as f64 / memory.activations_least.max(1) as f64
    );
    let (name, remark) = if train.recompute_activations {
        ("    if kept", "train.recompute_activations=false".to_owned())
    } else {
        let more = percent(flops.recomputation_overhead());
        ("    if recomputed", format!("train.recompute_activations=true, +{more} FLOPs"))
    };
    let mut rows = vec![
        row("total", memory.total(), none()),
        row("  weights", memory.weights, none()),
        row("  gradients", memory.gradients, none()),
        row("  optimizer", memory.optimizer, "two moments".to_owned()),
        row("  activations", memory.activations, batch),
        row(name, other.activations, remark),
        row("  inputs, results", memory.other, none()),
        row(
            "to save",
            memory.checkpoint,
            "in addition, on the host, while a checkpoint is saved".into(),
        ),
    ];
    let mut title = "Training memory, f32";
    if train.precision == Precision::Mixed {
        title = "Training memory, mixed precision on a GPU";
        let copies = "16-bit copies of the weights, read by matrix products".to_owned();
        rows.insert(4, row("  working copies", memory.working, copies));
    }
    print_table(title, rows);
}

fn print_fits(fits: &[(String, Result<u64, String>)], total: u64) {
    outln!("{}", style("Adapters").bold());
    let total = BinaryBytes(total);
    outln!(" CPU: no limits; it needs {total} of free memory");
    for (name, fit) in fits {
        match fit {
            Ok(total) => {
                let total = BinaryBytes(*total);
                outln!(" {name}: its limits hold every tensor; it needs {total} free");
            }
            Err(reason) => outln!(" {name}: {reason}"),
        }
    }
}

fn to_json(
    config: &Config,
    counts: &ParameterCounts,
    flops: &FlopsPerToken,
    memory: &Memory,
    fits: &[(String, Result<u64, String>)],
) -> Value {
    let recomputation = if config.train.recompute_activations { flops.recomputation } else { 0.0 };
    let adapters: Vec<Value> = fits
        .iter()
        .map(|(name, fit)| json!({"name": name, "fits": fit.is_ok(), "reason": fit.as_ref().err()}))
        .collect();
    json!({
        "parameters": {
            "total": counts.total,
            "active": counts.active,
            "embedding": counts.embedding,
            "attention": counts.attention,
            "dense_ffn": counts.dense_ffn,
            "experts_routed": counts.experts_routed,
            "experts_shared": counts.experts_shared,
            "router": counts.router,
            "norms": counts.norms,
            "lm_head": counts.lm_head,
            "nitp_projector": counts.projector,
            "mtp_head": counts.mtp,
            "nextlat_head": counts.nextlat,
            "top_head": counts.top,
        },
        "flops_per_token": {
            "ntp": flops.ntp,
            "nitp": flops.nitp,
            "mtp": flops.mtp,
            "nextlat": flops.nextlat,
            "top": flops.top,
            "overhead": flops.overhead(),
            "recomputation": recomputation,
            "paper_ntp": flops.paper_ntp,
            "paper_nitp": flops.paper_nitp,
            "paper_overhead": flops.paper_overhead(),
        },
        "memory_bytes": {
            "total": memory.total(),
            "weights": memory.weights,
            "gradients": memory.gradients,
            "optimizer": memory.optimizer,
            "working_copies": memory.working,
            "activations": memory.activations,
            "activations_least": memory.activations_least,
            "other": memory.other,
            "checkpoint": memory.checkpoint,
        },
        "adapters": adapters,
    })
}
