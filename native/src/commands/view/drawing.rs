//! A chart in characters: braille lines in colours, or one letter per line without colours.

use console::style;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{HorizontalAlignment, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Widget};

use crate::figures::charts::MOST_LINES;
use crate::figures::lines::{Line, range};

/// How lines are distinguished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// By colours.
    Colours,
    /// By letters: no terminal, or one without colours.
    Letters,
}

/// The colours of the pages, approximated by a terminal's 256 colours. The first is the colour of its text.
const COLOURS: [Option<u8>; MOST_LINES] =
    [None, Some(166), Some(32), Some(36), Some(175), Some(214), Some(74), Some(136)];

impl Ink {
    /// The symbol of a line in the key.
    pub fn mark(self, line: usize) -> String {
        match (self, COLOURS[line % COLOURS.len()]) {
            (Self::Colours, Some(colour)) => style("━━").color256(colour).to_string(),
            (Self::Colours, None) => "━━".to_owned(),
            (Self::Letters, _) => letter(line).to_string(),
        }
    }

    fn marker(self, line: usize) -> Marker {
        match self {
            Self::Colours => Marker::Braille,
            Self::Letters => Marker::Custom(letter(line)),
        }
    }
}

fn letter(line: usize) -> char {
    (b'a' + (line % 26) as u8) as char
}

/// A chart of this size, one string per row, with the title first; none without points.
pub fn chart(
    title: &str,
    lines: &[Line],
    log: bool,
    ink: Ink,
    [width, height]: [u16; 2],
) -> Option<Vec<String>> {
    let floor = |y: f64| if log { y.max(f64::MIN_POSITIVE).log10() } else { y };
    let top = range(lines.iter().flat_map(|it| &it.points).map(|it| floor(it[1])))?[1];
    // At most eight orders of magnitude of a steep spectrum.
    let y_of = |y: f64| if log { floor(y).max(top - 8.0) } else { y };
    let points: Vec<Vec<(f64, f64)>> =
        lines.iter().map(|it| it.points.iter().map(|it| (it[0], y_of(it[1]))).collect()).collect();
    let of = |part: fn(&(f64, f64)) -> f64| range(points.iter().flatten().map(part));
    let (x, y) = (wide(of(|it| it.0)?, 0.0), wide(of(|it| it.1)?, 0.04));
    let datasets = lines.iter().zip(&points).map(|(line, points)| {
        let colour = COLOURS[line.colour % COLOURS.len()].map_or(Color::Reset, Color::Indexed);
        let graph = if points.len() > 1 { GraphType::Line } else { GraphType::Scatter };
        Dataset::default()
            .data(points)
            .marker(ink.marker(line.colour))
            .graph_type(graph)
            .style(Style::default().fg(colour))
    });
    let middle = |[low, high]: [f64; 2]| [low, 0.5 * (low + high), high];
    let x_labels = middle(x).map(|it| format!("{it:.0}"));
    let digits = digits(y[1] - y[0]);
    let y_labels = middle(y).map(|it| match log {
        true => format!("{:.0e}", 10f64.powf(it)),
        false => format!("{it:.digits$}"),
    });
    let area = Rect::new(0, 0, width, height - 1);
    let mut buffer = Buffer::empty(area);
    Chart::new(datasets.collect())
        .legend_position(None)
        .x_axis(Axis::default().bounds(x).labels(x_labels))
        .y_axis(
            Axis::default().bounds(y).labels(y_labels).labels_alignment(HorizontalAlignment::Right),
        )
        .render(area, &mut buffer);
    let title: String = title.chars().take(width as usize).collect();
    let title = format!("{title:<0$}", width as usize);
    let title = if ink == Ink::Colours { style(title).bold().to_string() } else { title };
    let rows = buffer.content.chunks(width as usize).map(row);
    Some([title].into_iter().chain(rows).collect())
}

/// Widens a range by a share of its length; a single value also becomes a range.
fn wide([low, high]: [f64; 2], share: f64) -> [f64; 2] {
    let pad = if high > low { share * (high - low) } else { 0.5 * high.abs().max(1e-3) };
    if share > 0.0 { [low - pad, high + pad] } else { [low, high.max(low + 1.0)] }
}

/// Number of digits that distinguishes labels at this distance.
fn digits(distance: f64) -> usize {
    (2.0 - distance.log10().floor()).clamp(0.0, 6.0) as usize
}

/// Cells as text, with a colour code for each coloured stretch.
fn row(cells: &[Cell]) -> String {
    let stretch = |cells: &[Cell]| {
        let text: String = cells.iter().map(Cell::symbol).collect();
        match cells[0].fg {
            Color::Indexed(colour) => style(text).color256(colour).to_string(),
            _ => text,
        }
    };
    cells.chunk_by(|a, b| a.fg == b.fg).map(stretch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(colour: usize, points: &[(f64, f64)]) -> Line {
        Line { colour, points: points.iter().map(|&(x, y)| [x, y, y, y]).collect() }
    }

    fn drawn(lines: &[Line], log: bool) -> Vec<String> {
        chart("loss", lines, log, Ink::Letters, [40, 10]).unwrap()
    }

    #[test]
    fn lines_are_letters_without_colours() {
        let lines = [line(0, &[(0.0, 7.0), (100.0, 1.0)]), line(1, &[(0.0, 1.0), (100.0, 7.0)])];
        let rows = drawn(&lines, false);
        assert_eq!((rows.len(), rows[0].trim_end()), (10, "loss"));
        assert!(rows.iter().all(|row| row.chars().count() == 40), "{rows:#?}");
        assert!(rows[1].contains("│a") && rows[1].ends_with('b'), "{rows:#?}");
        assert!(rows[9].contains('0') && rows[9].ends_with("100"), "{rows:#?}");
        assert!(rows[1].starts_with("7.24│") && rows.iter().any(|row| row.starts_with("0.76│")));
    }

    #[test]
    fn a_point_and_equal_values_can_be_drawn() {
        for values in [&[(3.0, 2.0)][..], &[(0.0, 2.0), (1.0, 2.0)], &[(0.0, 0.0), (1.0, 0.0)]] {
            assert!(drawn(&[line(0, values)], false).iter().any(|row| row.contains('a')));
        }
        assert_eq!(chart("loss", &[], false, Ink::Letters, [40, 10]), None);
    }

    #[test]
    fn a_spectrum_is_logarithmic_and_may_end_in_zeros() {
        let rows = drawn(&[line(0, &[(1.0, 0.9), (2.0, 1e-3), (3.0, 0.0)])], true);
        assert!(rows[1].contains("e0│") || rows[1].contains("e-1│"), "{rows:#?}");
        assert!(rows.iter().any(|row| row.contains("e-9│")), "{rows:#?}");
    }
}
