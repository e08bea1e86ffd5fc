//! `nitp eval` on text; see `tasks` for `nitp eval --task`.

use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use nitp_core::config::Config;
use nitp_core::data::Dataset;
use nitp_core::executor::Executor;
use nitp_core::model::{parameters, training_head};
use nitp_core::plan::Space;
use nitp_core::train::{
    BatchSource, EvaluationEvent, Evaluator, GeometryEvent, Tensors, geometry_event, pack, write,
};
use serde_json::Value;

use crate::args::EvalArgs;
use crate::commands::tasks;
use crate::device;
use crate::model::{Heads, Model};
use crate::output::{errln, outln};
use nitp_files::documents::Named;
use nitp_files::token_cache;

/// Evaluates a run.
pub fn run(args: EvalArgs) -> Result<()> {
    if !args.task.is_empty() {
        return tasks::eval(&args);
    }
    let Model { mut config, tokenizer, weights, place, state, .. } =
        Model::open(&args.run, Heads::All)?;
    if let Some(batches) = args.batches {
        ensure!(batches > 0, "--batches 0: an evaluation needs at least one batch");
        config.train.eval_batches = batches;
    } else if !args.data.is_empty() {
        config.train.eval_batches = i32::MAX as usize;
    }
    leave_out_absent_heads(&mut config, &weights);
    if args.text_column.is_some() {
        config.data.text_column = args.text_column;
    }
    let warn = |text: String| errln!("warning: {text}");
    let dataset = if args.data.is_empty() {
        ensure!(
            !config.data.paths.is_empty(),
            "{} comes without a training text, and so without a held-out part: give a text with --data",
            place.display()
        );
        let named = Named::Before(
            "Put the text back to evaluate on its held-out part, or evaluate on another text: nitp \
            eval RUN --data PATH",
        );
        let dataset = token_cache::dataset(&config, named, &tokenizer, warn)?;
        if state.as_ref().is_some_and(|it| it.data_fingerprint != dataset.fingerprint()) {
            errln!(
                "warning: the data changed since the checkpoint: the held-out part may contain text \
                that the model was trained on"
            );
        }
        dataset
    } else {
        config.data.weights.clear();
        config.data.paths = args
            .data
            .iter()
            .map(|path| path.to_str().map(str::to_owned).context("a data path is not UTF-8"))
            .collect::<Result<Vec<_>>>()?;
        let corpus = token_cache::corpus(&config.data, Named::Now, &tokenizer, warn)?;
        tokenizer.check_corpus(&corpus).into_iter().for_each(warn);
        Dataset::held_out_only(&config, &tokenizer, corpus)?
    };
    let batches = BatchSource::validation_batches(&dataset);
    ensure!(
        batches > 0,
        "the run has no held-out text (data.validation_fraction = 0): give a text with --data"
    );
    let choice = device::choose(&args.device)?;
    let mut executor = choice.device.executor(&config)?;
    let executor = executor.as_mut();
    write_weights(executor, &config, &weights)?;
    let evaluator = Evaluator::new(executor, &config)?;
    let held_out = (0..batches).map(|index| dataset.validation_batch(index));
    let (step, tokens) = state.map_or((0, 0), |state| (state.step, state.tokens));
    let evaluation = evaluator.evaluate_now(executor, held_out)?.event(&config, step, tokens);
    let mut states = Vec::new();
    for index in 0..evaluator.geometry_batches(batches) {
        states.extend(evaluator.hidden_now(executor, &dataset.validation_batch(index))?);
    }
    let geometry = geometry_event(step, tokens, states, config.model.hidden_size);
    check_finite(&evaluation, &geometry)?;
    if args.json {
        outln!("{}", json(&evaluation, &geometry)?);
    } else {
        outln!("{}", place.display());
        outln!("  on {}; {batches} batches of held-out text\n", choice.why);
        print_table(&evaluation, &geometry, config.nitp.enabled, config.model.hidden_size);
    }
    Ok(())
}

/// Turns off objectives whose heads are missing in the weights. Their losses can't be measured, all others can.
fn leave_out_absent_heads(config: &mut Config, weights: &Tensors) {
    let parameters = parameters(config);
    let parts = || parameters.iter().flat_map(|parameter| &parameter.parts);
    let has = |head: &str| {
        let mut of_head = parts().filter(|part| training_head(&part.name) == Some(head));
        of_head.all(|part| weights.contains_key(&part.name))
    };
    config.nitp.enabled &= has("nitp.");
    config.mtp.enabled &= has("mtp.");
    config.nextlat.enabled &= has("nextlat.");
    config.top.enabled &= has("top.");
}

/// Writes weights to the store. Missing ones (heads that only training uses) stay zero.
pub fn write_weights(
    executor: &mut dyn Executor,
    config: &Config,
    weights: &Tensors,
) -> Result<()> {
    let chunks = pack(&parameters(config), executor.parameters(), |part| {
        weights.get(&part.name).map(|tensor| tensor.data.clone())
    });
    Ok(write(executor, Space::Parameter, &chunks)?)
}

/// Checks that all results are finite: NaN would be `null` in JSON.
fn check_finite(evaluation: &EvaluationEvent, geometry: &GeometryEvent) -> Result<()> {
    let numbers = [
        ("held-out loss", evaluation.val_loss),
        ("NITP loss", evaluation.nitp_loss),
        ("balance loss", evaluation.balance_loss),
        ("effective rank", geometry.effective_rank),
        ("mean cosine", geometry.mean_cosine),
    ];
    for (what, value) in numbers.into_iter().chain(evaluation.rivals.named()) {
        ensure!(
            value.is_finite(),
            "the {what} is {value}: the model's activations overflow, so no measurement of it is \
            valid. Use an earlier checkpoint"
        );
    }
    Ok(())
}

/// Both events as one JSON object, with the keys of metrics.jsonl.
fn json(evaluation: &EvaluationEvent, geometry: &GeometryEvent) -> Result<String> {
    let mut object = serde_json::to_value(evaluation)?;
    if let (Value::Object(object), Value::Object(more)) =
        (&mut object, serde_json::to_value(geometry)?)
    {
        object.extend(more);
    }
    Ok(serde_json::to_string(&object)?)
}

fn print_table(evaluation: &EvaluationEvent, geometry: &GeometryEvent, nitp: bool, width: usize) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut row = |name: &str, value: String, unit: String| {
        table.add_row([name.to_owned(), value, unit]);
    };
    row("held-out loss", format!("{:.4}", evaluation.val_loss), "nats a token".into());
    row("perplexity", format!("{:.2}", evaluation.perplexity), String::new());
    match evaluation.bits_per_byte {
        Some(bits) => row("bits per byte", format!("{bits:.4}"), String::new()),
        None => row("bits per byte", "-".into(), "unavailable: the text has unknown tokens".into()),
    }
    if nitp {
        row("NITP loss", format!("{:.4}", evaluation.nitp_loss), String::new());
    }
    for (name, loss) in evaluation.rivals.named() {
        row(name, format!("{loss:.4}"), String::new());
    }
    if !evaluation.expert_load.is_empty() {
        row(
            "balance loss",
            format!("{:.4}", evaluation.balance_loss),
            "summed over MoE blocks".into(),
        );
    }
    row("effective rank", format!("{:.1}", geometry.effective_rank), format!("of {width}"));
    row("mean cosine", format!("{:.4}", geometry.mean_cosine), String::new());
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    outln!("{table}");
}
