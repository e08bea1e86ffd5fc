//! Vectors of texts from a model's frozen states: the mean over a text's tokens, scaled to length 1.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use nitp_core::data::Tokenizer;
use nitp_core::executor::Executor;
use nitp_core::geometry::{Geometry, geometry};
use nitp_core::train::StateReader;
use nitp_lab::vectors::l2_normalized;

/// A text as tokens, and the tokens whose single states are requested.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// Token ids of the whole text.
    pub ids: Vec<u32>,
    /// Positions of these tokens.
    pub marked: Vec<usize>,
}

/// Vectors of some texts at a layer.
#[derive(Clone, Debug, Default)]
pub struct LayerVectors {
    /// For each text, the mean of its tokens' states, L2-normalised, `[texts, hidden_size]`.
    pub texts: Vec<f64>,
    /// For each text, the states of its marked tokens, L2-normalised, `[texts][marked, hidden_size]`.
    pub marked: Vec<Vec<f64>>,
    /// A sample of token states without normalisation, `[tokens, hidden_size]`.
    sample: Vec<f32>,
}

impl LayerVectors {
    /// Geometry of token states; none for fewer than two.
    pub fn geometry(&self, width: usize) -> Option<Geometry> {
        (self.sample.len() >= 2 * width).then(|| geometry(&self.sample, width))
    }
}

/// Approximate number of token states for the geometry: as in training, four times the width; at least a few thousand
/// for narrow states.
fn geometry_tokens(width: usize) -> usize {
    (4 * width).max(4096)
}

/// The tokens for the geometry: at regular intervals in all texts, so that each kind of text has its share.
#[derive(Clone, Copy)]
struct Sampled {
    every: Option<usize>,
}

impl Sampled {
    fn of(texts: &[Tokens], width: usize, wanted: bool) -> Self {
        let tokens: usize = texts.iter().map(|text| text.ids.len()).sum();
        Self { every: wanted.then(|| tokens.div_ceil(geometry_tokens(width)).max(1)) }
    }

    fn takes(self, token: usize) -> bool {
        self.every.is_some_and(|every| token.is_multiple_of(every))
    }
}

/// Reads the states of texts. A text longer than the context is read in consecutive windows of the context, and its
/// vector is the mean over the tokens of all windows. If the tokenizer has an end-of-text token, each text begins after
/// one, as in training; the state of this token does not count. With `for_geometry`, a sample of token states is kept
/// for [`LayerVectors::geometry`].
///
/// # Errors
/// Errors of the device, or states that are not finite.
pub fn read(
    executor: &mut dyn Executor,
    reader: &StateReader,
    tokenizer: &Tokenizer,
    width: usize,
    texts: &[Tokens],
    for_geometry: bool,
    what: &str,
) -> Result<Vec<LayerVectors>> {
    let begin = tokenizer.end_of_text();
    let windows = windows(texts, reader.context(), begin);
    let bar = ProgressBar::new(windows.len() as u64);
    let template = "{bar:24.cyan/dim} {msg}  {pos}/{len} windows  ETA {eta}";
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    bar.set_style(style.progress_chars("━╸─"));
    bar.set_message(what.to_owned());
    let sampled = Sampled::of(texts, width, for_geometry);
    let starts: Vec<usize> = texts
        .iter()
        .scan(0, |next, text| Some(std::mem::replace(next, *next + text.ids.len())))
        .collect();
    let mut layers: Vec<LayerVectors> = Vec::new();
    for some in windows.chunks(reader.rows()) {
        let rows: Vec<&[u32]> = some.iter().map(|window| window.row.as_slice()).collect();
        let states = reader.read_now(executor, &rows)?;
        if layers.is_empty() {
            let empty = LayerVectors {
                texts: vec![0.0; texts.len() * width],
                marked: texts.iter().map(|it| vec![0.0; it.marked.len() * width]).collect(),
                sample: Vec::new(),
            };
            layers = vec![empty; states.len()];
        }
        for (layer, rows) in layers.iter_mut().zip(&states) {
            for (window, states) in some.iter().zip(rows) {
                window.add(states, width, &texts[window.text], layer);
                let first = starts[window.text] + window.first;
                let states = states[window.before * width..].chunks(width);
                for (_, state) in (first..).zip(states).filter(|&(token, _)| sampled.takes(token)) {
                    layer.sample.extend(state);
                }
            }
        }
        bar.inc(some.len() as u64);
    }
    bar.finish_and_clear();
    for layer in &mut layers {
        // The mean is normalised, so the sum need not be divided by the number of tokens.
        for vector in layer.texts.chunks_mut(width) {
            vector.copy_from_slice(&l2_normalized(vector)?);
        }
        for vector in layer.marked.iter_mut().flat_map(|marked| marked.chunks_mut(width)) {
            vector.copy_from_slice(&l2_normalized(vector)?);
        }
    }
    Ok(layers)
}

/// A part of a text in a row.
struct Window {
    text: usize,
    /// Position in the text of the row's first token that counts.
    first: usize,
    /// Tokens at the row's beginning that don't count.
    before: usize,
    row: Vec<u32>,
}

impl Window {
    fn add(&self, states: &[f32], width: usize, text: &Tokens, layer: &mut LayerVectors) {
        let mean = &mut layer.texts[self.text * width..(self.text + 1) * width];
        let states = &states[self.before * width..];
        for state in states.chunks(width) {
            mean.iter_mut().zip(state).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        let there = self.first..self.first + states.len() / width;
        let marked = layer.marked[self.text].chunks_mut(width).zip(&text.marked);
        for (to, &position) in marked.filter(|(_, position)| there.contains(position)) {
            let state = &states[(position - self.first) * width..][..width];
            to.iter_mut().zip(state).for_each(|(to, &x)| *to = f64::from(x));
        }
    }
}

fn windows(texts: &[Tokens], context: usize, begin: Option<u32>) -> Vec<Window> {
    let mut windows = Vec::new();
    for (text, tokens) in texts.iter().enumerate() {
        let mut first = 0;
        while first < tokens.ids.len() {
            // A context of one token has no room for the end-of-text token.
            let begin = begin.filter(|_| first == 0 && context > 1);
            let before = usize::from(begin.is_some());
            let end = (first + context - before).min(tokens.ids.len());
            let row = begin.into_iter().chain(tokens.ids[first..end].iter().copied()).collect();
            windows.push(Window { text, first, before, row });
            first = end;
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_every_token_once() {
        let texts = [7, 0, 3].map(|len| Tokens { ids: (0..len).collect(), marked: Vec::new() });
        for begin in [None, Some(99)] {
            for context in [1, 2, 3, 8] {
                let windows = windows(&texts, context, begin);
                assert!(windows.iter().all(|it| it.row.len() <= context));
                for (index, text) in texts.iter().enumerate() {
                    let of_text = windows.iter().filter(|it| it.text == index);
                    let held: Vec<u32> =
                        of_text.flat_map(|it| it.row[it.before..].to_vec()).collect();
                    assert_eq!(held, text.ids, "{context} {begin:?}");
                }
            }
        }
    }
}
