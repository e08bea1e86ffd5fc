//! An earlier report beside this one: what got slower.

use std::path::Path;

use anyhow::{Context, Result};

use super::report::Report;

/// Slower by less is noise.
const NOISE: f64 = 1.1;

/// The report of an earlier run.
///
/// # Errors
/// If it is none.
pub fn read(path: &Path) -> Result<Report> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("reading the baseline {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| {
        format!("{} is no report: make one with `nitp bench --json`", path.display())
    })
}

/// What is slower now than then, in words.
pub fn compare(then: &Report, now: &Report) -> String {
    if then.device != now.device {
        return format!(
            "The baseline is of another machine ({}): nothing to compare.",
            then.device
        );
    }
    let mut slower = Vec::new();
    let mut seen = 0;
    for preset in &now.presets {
        let Some(before) = then.presets.iter().find(|it| it.preset == preset.preset) else {
            continue;
        };
        let mut put = |what: String, before: f64, now: f64| {
            seen += 1;
            if now > NOISE * before {
                slower.push((now / before, format!("  {:.2}x {what}", now / before)));
            }
        };
        let name = &preset.preset;
        put(format!("{name}: the whole step"), before.seconds_median, preset.seconds_median);
        for row in &preset.ops {
            let same = |it: &&super::report::Row| it.op == row.op && it.shape == row.shape;
            if let Some(before) = before.ops.iter().find(same) {
                let what = format!("{name}: {} {}", row.op, row.shape);
                put(what, before.seconds_median, row.seconds_median);
            }
        }
    }
    slower.sort_by(|a, b| b.0.total_cmp(&a.0));
    let lines: Vec<String> = slower.into_iter().map(|(_, line)| line).collect();
    match (seen, lines.is_empty()) {
        (0, _) => "The baseline has none of these presets: nothing to compare.".to_owned(),
        (_, true) => format!("Of {seen} times none is more than {NOISE}x the baseline's."),
        (_, false) => {
            format!("Slower than the baseline by more than {NOISE}x:\n{}", lines.join("\n"))
        }
    }
}
