//! Tests of the configuration, by subject, and their common functions.

mod cost;
mod fuzz;
mod laying;
mod presets;
mod rules;

use super::*;

fn sets(list: &[&str]) -> Vec<String> {
    list.iter().map(|set| (*set).to_owned()).collect()
}

fn with(list: &[&str]) -> Result<Config, ConfigError> {
    load(Config::default(), None, &sets(list))
}

fn message(result: Result<Config, ConfigError>) -> String {
    result.expect_err("a refusal").to_string()
}

/// Checks that the message contains every part.
#[track_caller]
fn says(result: Result<Config, ConfigError>, parts: &[&str]) {
    let message = message(result);
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}
