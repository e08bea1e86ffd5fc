//! A page: one HTML file that needs no network, for screens, phones and paper.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::charts::colour;
use super::curves::{Group, Panel};

/// The whole page around its body.
pub fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body { h1 { (title) } (body) }
        }
    };
    page.into_string()
}

/// The key: names and colours of lines.
pub fn key<'a>(names: impl Iterator<Item = &'a str>) -> Markup {
    html! {
        ul.key {
            @for (place, name) in names.enumerate() {
                li { i style={ "background:" (colour(place)) } {} (name) }
            }
        }
    }
}

/// A group with its title, and a key, unless its pictures have names; nothing without charts.
pub fn group(group: &Group, key: &Markup) -> Markup {
    let named = group.panels.iter().any(|it| it.note.is_some());
    html! {
        @if !group.panels.is_empty() {
            h2 { (group.title) }
            @if !named { (key) }
            div.charts.clouds[named] { @for panel in &group.panels { (figure(panel)) } }
            p.small.soft { (group.caption) }
        }
    }
}

fn figure(panel: &Panel) -> Markup {
    html! {
        figure {
            div role="img" aria-label=(panel.label) { (PreEscaped(&panel.svg)) }
            @if let Some((name, words)) = &panel.note {
                figcaption { b { (name) } br; (words) }
            }
        }
    }
}
