//! Snapshot of the hidden states of the fixed tokens.

use nitp_core::geometry::{align, cosine_histogram};
use nitp_core::train::GeometryEvent;

use crate::protocol::Snapshot;

/// Number of bins of the histogram from -1 to 1.
const BINS: usize = 80;

/// The snapshot of `points` states of a geometry event with the unembedding, whose first `vocabulary` rows are tokens.
/// The cloud is aligned to `before`.
pub fn snapshot(
    mut geometry: GeometryEvent,
    points: usize,
    vocabulary: usize,
    before: Option<&[[f32; 3]]>,
) -> Snapshot {
    let width = geometry.spectrum.len();
    let states = std::mem::take(&mut geometry.states);
    let unembedding = std::mem::take(&mut geometry.unembedding);
    let mut positions = std::mem::take(&mut geometry.projected);
    positions.truncate(points);
    if let Some(before) = before.filter(|before| before.len() == positions.len()) {
        align(&mut positions, before);
    }
    let squares: f32 = positions.iter().flatten().map(|x| x * x).sum();
    let scale = (positions.len() as f32 / squares.max(1e-20)).sqrt();
    positions.iter_mut().flatten().for_each(|x| *x *= scale);
    let shown = &states[..positions.len() * width];
    let next =
        shown.chunks_exact(width).map(|state| likeliest(state, &unembedding, vocabulary)).collect();
    Snapshot { geometry, positions, cosines: cosine_histogram(shown, width, BINS), next }
}

/// The three likeliest tokens after one state, with their probabilities.
fn likeliest(state: &[f32], unembedding: &[f32], vocabulary: usize) -> [(u32, f32); 3] {
    let rows = unembedding.chunks_exact(state.len()).take(vocabulary);
    let logits: Vec<f32> =
        rows.map(|row| row.iter().zip(state).map(|(a, b)| a * b).sum()).collect();
    let mut best = [(0, f32::NEG_INFINITY); 3];
    for (id, &logit) in logits.iter().enumerate() {
        if let Some(place) = best.iter().position(|&(_, other)| logit > other) {
            best[place..].rotate_right(1);
            best[place] = (id as u32, logit);
        }
    }
    let total: f32 = logits.iter().map(|logit| (logit - best[0].1).exp()).sum();
    best.map(|(id, logit)| (id, (logit - best[0].1).exp() / total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_come_first() {
        let unembedding = [1.0, 0.0, 0.0, 2.0, 3.0, 0.0, 0.0, 1.0];
        let best = likeliest(&[1.0, 1.0], &unembedding, 4);
        assert_eq!(best.map(|(id, _)| id), [2, 1, 0]);
        let total: f32 = [1.0f32, 2.0, 3.0, 1.0].iter().map(|x| x.exp()).sum();
        assert!((best[0].1 - 3f32.exp() / total).abs() < 1e-6);
    }

    #[test]
    fn clouds_keep_their_size_and_side() {
        let states: Vec<f32> = (0..64).map(|i| ((i * i) as f32 * 0.7).sin()).collect();
        let event = || {
            let mut event = nitp_core::train::geometry_event(0, 0, states.clone(), 4);
            event.unembedding = vec![0.0; 12];
            event
        };
        let first = snapshot(event(), 16, 3, None);
        let mean: f32 = first.positions.iter().flatten().map(|x| x * x).sum::<f32>() / 16.0;
        assert!((mean - 1.0).abs() < 1e-5);
        let flipped: Vec<[f32; 3]> = first.positions.iter().map(|&[x, y, z]| [-x, z, y]).collect();
        let second = snapshot(event(), 16, 3, Some(&flipped));
        for (a, b) in second.positions.iter().flatten().zip(flipped.iter().flatten()) {
            assert!((a - b).abs() < 1e-4);
        }
        assert_eq!(first.cosines.iter().sum::<u32>(), 16 * 15 / 2);
    }
}
