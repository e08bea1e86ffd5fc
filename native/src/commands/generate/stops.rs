//! Texts at which generation stops.

/// Passes text on up to the first of some stop texts, and holds back what may be the beginning of one.
#[derive(Clone, Debug)]
pub struct Stops<'a> {
    texts: &'a [String],
    held: String,
}

impl<'a> Stops<'a> {
    /// At any of these, none of which is empty.
    pub fn at(texts: &'a [String]) -> Self {
        Self { texts, held: String::new() }
    }

    /// What can be passed on of all that came so far, and whether a stop text came.
    pub fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        if let Some(at) = self.texts.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        // From the first place on where what is left may go on to be a stop text.
        let may_begin =
            |at: &usize| self.texts.iter().any(|stop| stop.starts_with(&self.held[*at..]));
        let ends = self.held.char_indices().map(|(at, _)| at);
        let keep = ends.clone().find(may_begin).unwrap_or(self.held.len());
        let rest = self.held.split_off(keep);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What was held back, where no stop text came of it.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is passed on of these parts, and whether a stop text came.
    fn passed(stops: &[&str], parts: &[&str]) -> (String, bool) {
        let stops: Vec<String> = stops.iter().map(|&it| it.to_owned()).collect();
        let mut filter = Stops::at(&stops);
        let mut all = String::new();
        for part in parts {
            let (text, has_stopped) = filter.push(part);
            all += &text;
            if has_stopped {
                return (all, true);
            }
        }
        (all + &filter.finish(), false)
    }

    #[test]
    fn text_ends_before_the_first_stop_however_it_comes_in_parts() {
        let text = "one, two.\n\nthree";
        for size in 1..=text.len() {
            let parts: Vec<&str> = text
                .as_bytes()
                .chunks(size)
                .map(|part| std::str::from_utf8(part).expect("ASCII"))
                .collect();
            assert_eq!(passed(&["\n\n", "three"], &parts), ("one, two.".to_owned(), true));
            assert_eq!(passed(&["threes", "\n\n\n"], &parts), (text.to_owned(), false));
            assert_eq!(passed(&[], &parts), (text.to_owned(), false));
            assert_eq!(passed(&["o"], &parts), (String::new(), true));
        }
    }

    #[test]
    fn a_beginning_within_a_beginning_is_not_missed() {
        assert_eq!(passed(&["aab"], &["a", "a", "a", "b", "c"]), ("a".to_owned(), true));
        assert_eq!(passed(&["ééx"], &["é", "é", "é", "x"]), ("é".to_owned(), true));
    }

    #[test]
    fn nothing_is_held_that_can_begin_no_stop() {
        let stops = ["\n\n".to_owned()];
        let mut filter = Stops::at(&stops);
        assert_eq!(filter.push("word"), ("word".to_owned(), false));
        assert_eq!(filter.push(" and\n"), (" and".to_owned(), false));
        assert_eq!(filter.push("x"), ("\nx".to_owned(), false));
    }
}
