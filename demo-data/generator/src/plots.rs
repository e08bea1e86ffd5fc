//! The plots: a topic, who and where it can happen, how it starts, how it goes on, and how it ends in each mood.

mod home;
mod water;
mod work;

/// A story skeleton. Texts are in the language of `template`; `{thing}` is the object of the story.
pub struct Plot {
    pub topic: &'static str,
    /// Ids of those it can happen to, and of where; anyone and anywhere if empty.
    pub heroes: &'static [&'static str],
    pub places: &'static [&'static str],
    pub things: &'static [&'static str],
    pub setups: &'static [&'static str],
    pub middles: &'static [&'static str],
    /// (mood, endings).
    pub endings: &'static [(&'static str, &'static [&'static str])],
}

/// All plots, by topic.
pub fn all() -> impl Iterator<Item = &'static Plot> {
    [water::PLOTS, work::PLOTS, home::PLOTS].into_iter().flatten()
}
