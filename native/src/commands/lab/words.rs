//! Results of a comparison in sentences and cells of tables.

use super::summary::{Mean, Metric, Summary};

/// Below this p-value, a difference is called significant.
pub const SIGNIFICANT: f64 = 0.05;

/// A number with this many digits, and a sign if `signed`.
pub fn number(value: f64, digits: usize, signed: bool) -> String {
    let text = match signed {
        true => format!("{value:+.digits$}"),
        false => format!("{value:.digits$}"),
    };
    // A typographic minus sign, and no sign for zero.
    let zero = text.trim_start_matches(['+', '-']).chars().all(|c| c == '0' || c == '.');
    if zero {
        text.trim_start_matches(['+', '-']).to_owned()
    } else {
        text.replace('-', "\u{2212}")
    }
}

/// `[low, high]`, or a dash with one seed.
pub fn interval(mean: &Mean, digits: usize, signed: bool) -> String {
    match mean.interval {
        Some(ends) => {
            let [low, high] = ends.map(|end| number(end, digits, signed));
            format!("[{low}, {high}]")
        }
        None => "\u{2013}".to_owned(),
    }
}

/// `0.012`, `< 0.001`, or a dash with one seed.
pub fn p_value(mean: &Mean) -> String {
    match mean.p_value {
        Some(p) if p < 0.001 => "< 0.001".to_owned(),
        Some(p) => format!("{p:.3}"),
        None => "\u{2013}".to_owned(),
    }
}

/// The question of the comparison.
pub fn question(summary: &Summary) -> String {
    let others: Vec<&str> = summary.arms[1..].iter().map(|it| it.name.as_str()).collect();
    let others = match others[..] {
        [] => return format!("How does {} train?", summary.baseline),
        [one] => one.to_owned(),
        _ => format!("each of {} other settings", others.len()),
    };
    format!(
        "Does {others} change the held-out loss or the geometry of hidden states, compared with {}?",
        summary.baseline
    )
}

/// One sentence for each arm and main result, and sentences about the limits of the results.
pub fn findings(summary: &Summary) -> Vec<String> {
    let mut sentences = Vec::new();
    for (index, arm) in summary.arms.iter().enumerate() {
        let diverged = arm.runs.iter().filter(|run| run.outcome.is_diverged()).count();
        if diverged > 0 {
            sentences.push(format!(
                "{}: {diverged} of {} runs diverged, so the arm has no mean.",
                arm.name,
                arm.runs.len()
            ));
        }
        if index > 0 && summary.arms.len() <= 4 {
            let metrics = told(summary).filter(|it| it.less_is_better.is_some());
            sentences.extend(metrics.filter_map(|it| finding(summary, it, index)));
        }
    }
    if summary.arms.len() > 4 {
        sentences.extend(told(summary).filter_map(|it| finding_of_many(summary, it)));
    }
    let alike: Vec<&str> =
        summary.results.iter().filter(|it| is_alike(it)).map(short_title).collect();
    if !alike.is_empty() {
        sentences.push(format!("No significant difference in any of: {}.", alike.join(", ")));
    }
    match summary.seeds.len() {
        1 => sentences.push(
            "One seed gives no interval: a difference may be chance. Use three seeds or more (--seeds 3).".to_owned(),
        ),
        2 => sentences.push(
            "Two seeds give very wide intervals: more seeds narrow them (--seeds 5).".to_owned(),
        ),
        _ => {}
    }
    sentences.extend(scale(summary));
    sentences
}

/// A note if NITP is compared at a much smaller scale than the paper's.
fn scale(summary: &Summary) -> Option<String> {
    /// FLOPs of the paper's smallest run: 0.3 B active parameters, 105 B tokens, 6 FLOPs for each pair of them.
    const OF_THE_PAPER: f64 = 2e20;
    let most = summary.arms.iter().map(|arm| arm.flops).fold(0.0, f64::max);
    let has_nitp = summary.results.iter().any(|metric| metric.key == "nitp_loss");
    (has_nitp && most < OF_THE_PAPER / 100.0).then(|| {
        format!(
            "The paper found its differences in models trained with {OF_THE_PAPER:.0e} FLOPs and more. \
            These runs had at most {most:.0e}; docs/findings.md reports results at such sizes."
        )
    })
}

/// The metrics with a sentence of their own.
fn told(summary: &Summary) -> impl Iterator<Item = &Metric> {
    summary.results.iter().filter(|it| !is_alike(it))
}

/// Whether this is one probe or task of several.
pub fn is_one_of_several(metric: &Metric) -> bool {
    metric.key.starts_with("probe: ") || metric.key.starts_with("task_")
}

/// Whether this is one probe or task of several without a significant difference. These share a sentence.
fn is_alike(metric: &Metric) -> bool {
    let p_values = || metric.rows.iter().filter_map(|row| row.difference?.p_value);
    is_one_of_several(metric) && p_values().count() > 0 && p_values().all(|p| p >= SIGNIFICANT)
}

/// The words before the comma: `probe: mood` for `probe: mood, accuracy, percent`.
fn short_title(metric: &Metric) -> &str {
    metric.title.split(',').next().unwrap_or_default().trim_end_matches(": acc")
}

fn finding(summary: &Summary, metric: &Metric, arm: usize) -> Option<String> {
    let (name, digits) = (&summary.arms[arm].name, metric.digits);
    let row = &metric.rows[arm];
    let (mean, difference) = (row.mean?, row.difference?);
    let baseline = metric.rows[0].mean?;
    let start = format!(
        "{}: {} with {name}, {} with {}",
        metric.title,
        number(mean.mean, digits, false),
        number(baseline.mean, digits, false),
        summary.baseline
    );
    let Some(p) = difference.p_value else { return Some(start + ".") };
    let verdict = match (p < SIGNIFICANT, metric.less_is_better) {
        (false, _) => "no significant difference",
        (true, Some(less)) if less == (difference.mean < 0.0) => "better",
        (true, Some(_)) => "worse",
        (true, None) => "different",
    };
    Some(format!(
        "{start}: {verdict} (difference {}, 95 % interval {}, p {}).",
        number(difference.mean, digits, true),
        interval(&difference, digits, true),
        p_value(&difference)
    ))
}

fn finding_of_many(summary: &Summary, metric: &Metric) -> Option<String> {
    let less = metric.less_is_better?;
    let sign = if less { 1.0 } else { -1.0 };
    let arms = summary.arms.iter().zip(&metric.rows);
    let means = arms.filter_map(|(arm, row)| Some((&arm.name, row.mean?.mean)));
    let (best, value) = means.min_by(|a, b| (sign * a.1).total_cmp(&(sign * b.1)))?;
    let differ: Vec<&str> = summary
        .arms
        .iter()
        .zip(&metric.rows)
        .filter(|(_, row)| {
            row.difference.and_then(|it| it.p_value).is_some_and(|p| p < SIGNIFICANT)
        })
        .map(|(arm, _)| arm.name.as_str())
        .collect();
    let differ = match differ.len() {
        0 => format!("no arm differs significantly from {} (p < 0.05)", summary.baseline),
        _ => format!(
            "significantly different from {} (p < 0.05): {}",
            summary.baseline,
            differ.join(", ")
        ),
    };
    let word = if less { "lowest" } else { "highest" };
    let value = number(value, metric.digits, false);
    Some(format!("{}: {word} with {best} ({value}); {differ}.", metric.title))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_signed_zero() {
        assert_eq!(number(-0.00001, 3, true), "0.000");
        assert_eq!(number(-0.5, 2, true), "\u{2212}0.50");
        assert_eq!(number(0.5, 2, true), "+0.50");
        let one = Mean { mean: 1.0, interval: None, p_value: None };
        assert_eq!((interval(&one, 2, false), p_value(&one)), ("–".to_owned(), "–".to_owned()));
    }
}
