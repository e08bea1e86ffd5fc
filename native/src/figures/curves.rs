//! Charts of a page, in groups with captions.

use anyhow::Result;

use super::charts::{Axes, chart};
use super::lines::{self, Line, Series, X, Y};

/// A chart.
pub struct Panel {
    /// Description for screen readers.
    pub label: String,
    /// The picture.
    pub svg: String,
    /// A name and lines of text below the picture.
    pub note: Option<(String, String)>,
}

/// Charts that belong together.
pub struct Group {
    /// Title above them.
    pub title: &'static str,
    /// Caption below them.
    pub caption: String,
    /// The charts; none if no run has such data.
    pub panels: Vec<Panel>,
}

/// Losses against measures of cost.
///
/// # Errors
/// Errors of the plotting library, as for all functions of this file.
pub fn curves(
    title: &'static str,
    caption: String,
    series: &[Series<'_>],
    which: &[(X, Y)],
) -> Result<Group> {
    let panels = which.iter().map(|&(x, y)| {
        let label = format!("{} against {}", y.title(), x.title());
        panel(Axes { x: x.title(), y: &label, log: false }, &lines::curves(series, x, y))
    });
    group(title, caption, panels)
}

/// Effective rank, mean cosine, and NITP's loss.
pub fn geometry(series: &[Series<'_>], band: &str) -> Result<Group> {
    let caption = format!(
        "Effective rank: the number of directions over which the states spread. Mean cosine: the \
        similarity of two states; 1 if all states have the same direction.{band}"
    );
    let which = [Y::EffectiveRank, Y::MeanCosine, Y::NitpLoss].map(|y| (X::Steps, y));
    curves("Geometry of the last hidden states", caption, series, &which)
}

/// Spectra from the first to the last measurement of geometry.
pub fn spectra(series: &[Series<'_>], means: &str) -> Result<Group> {
    let caption = format!(
        "Eigenvalues of the covariance of the last hidden states, largest first, each as a share of \
         their sum{means}. A steep curve means few directions."
    );
    let panels = lines::spectrum_steps(series).into_iter().map(|step| {
        let y = format!("spectrum at step {step}");
        panel(Axes { x: "direction", y: &y, log: true }, &lines::spectra(series, step))
    });
    group("Spectra", caption, panels)
}

/// A chart for the first, the middle and the last MoE block.
pub fn experts(series: &[Series<'_>], means: &str) -> Result<Group> {
    let caption = format!(
        "Share of the tokens routed to each expert of a block at the last measurement, largest \
        first{means}. Equal shares would be 1 / number of experts."
    );
    let runs = series.iter().flat_map(|it| &it.runs);
    let blocks = runs.map(|run| lines::expert_blocks(run)).max().unwrap_or(0);
    let mut wanted = match blocks {
        0 => Vec::new(),
        _ => vec![0, blocks / 2, blocks - 1],
    };
    wanted.dedup();
    let panels = wanted.into_iter().map(|block| {
        let y = format!("expert load of MoE block {}", block + 1);
        panel(Axes { x: "expert, by load", y: &y, log: false }, &lines::loads(series, block))
    });
    group("Experts", caption, panels)
}

fn panel(axes: Axes<'_>, lines: &[Line]) -> Result<Panel> {
    Ok(Panel { label: axes.y.to_owned(), svg: chart(axes, lines)?, note: None })
}

fn group(
    title: &'static str,
    caption: String,
    panels: impl Iterator<Item = Result<Panel>>,
) -> Result<Group> {
    let mut panels = panels.collect::<Result<Vec<_>>>()?;
    panels.retain(|panel| !panel.svg.is_empty());
    Ok(Group { title, caption, panels })
}
