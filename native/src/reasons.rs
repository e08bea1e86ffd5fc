//! Error messages with their causes.

/// An error and its causes, without repetitions: many libraries include the source's message in their own.
pub fn reasons(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for reason in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = reason;
        } else if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fmt::{Display, Formatter};
    use std::num::ParseIntError;

    use anyhow::Context;

    use super::*;

    #[derive(Debug)]
    struct Embeds(ParseIntError);

    impl Display for Embeds {
        fn fmt(&self, to: &mut Formatter<'_>) -> std::fmt::Result {
            write!(to, "no tokenizer: {}. Give another", self.0)
        }
    }

    impl Error for Embeds {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_reason_that_a_message_holds_is_not_told_again() {
        let source = "x".parse::<u8>().unwrap_err();
        let result: Result<(), _> = Err(Embeds(source));
        let error = result.context("reading tokenizer.json").unwrap_err();
        let text =
            "reading tokenizer.json: no tokenizer: invalid digit found in string. Give another";
        assert_eq!(reasons(&error), text);
        assert_ne!(format!("{error:#}"), text);
    }
}
