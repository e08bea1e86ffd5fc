//! An experiment as the query of a link: the preset, and each setting that differs from it, with the names of `nitp
//! train --set`.

use nitp_core::config::{Config, load, preset, preset_names};
use toml::{Table, Value};

/// The default preset.
pub const FIRST_PRESET: &str = "mini";

/// The query of an experiment, such as `preset=mini&nitp.weight=0.5`.
pub fn to_query(name: &str, config: &Config) -> String {
    let base = preset(name).unwrap_or_default();
    let (base, own) = (leaves(&base), leaves(config));
    let mut parts = vec![format!("preset={}", encode(name))];
    if config.model.moe.is_none() && base.iter().any(|(key, _)| key.starts_with("model.moe.")) {
        parts.push("model.moe=none".to_owned());
    }
    let differing = own.iter().filter(|leaf| !base.contains(leaf));
    parts.extend(differing.map(|(key, value)| format!("{key}={}", encode(value))));
    parts.join("&")
}

/// The preset's name and the configuration of a query. Other keys are ignored.
///
/// # Errors
/// The error of a `--set` with the same text.
pub fn from_query(query: &str) -> Result<(String, Config), String> {
    let pairs = || {
        let parts = query.trim_start_matches(['?', '#']).split('&');
        parts
            .filter_map(|part| part.split_once('='))
            .map(|(key, value)| (decode(key), decode(value)))
    };
    let name = pairs().find(|(key, _)| key == "preset").map(|(_, value)| value);
    let name = name.unwrap_or_else(|| FIRST_PRESET.to_owned());
    let sets: Vec<String> = pairs()
        .filter(|(key, _)| key.contains('.'))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let base = preset(&name).map_err(|error| error.to_string())?;
    let config = load(base, None, &sets).map_err(|error| error.to_string())?;
    Ok((name, config))
}

/// The preset that gives the shortest link for a configuration.
pub fn nearest_preset(config: &Config) -> String {
    let names = preset_names().iter().map(|(name, _)| (*name).to_owned());
    names.min_by_key(|name| to_query(name, config).len()).unwrap_or_default()
}

/// Whether a link's query names an experiment.
pub fn is_experiment(query: &str) -> bool {
    let keys = query.trim_start_matches(['?', '#']).split('&').filter_map(|it| it.split_once('='));
    keys.into_iter().any(|(key, _)| key == "preset" || key.contains('.'))
}

/// Every setting by its dotted name, as text.
fn leaves(config: &Config) -> Vec<(String, String)> {
    fn walk(path: &str, table: &Table, into: &mut Vec<(String, String)>) {
        for (key, value) in table {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match value {
                Value::Table(inner) => walk(&path, inner, into),
                Value::String(text) => into.push((path, text.clone())),
                other => into.push((path, other.to_string())),
            }
        }
    }
    let mut into = Vec::new();
    walk("", &Table::try_from(config).unwrap_or_default(), &mut into);
    into
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/,".contains(&byte);
    let one = |byte: u8| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(one).collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_an_experiment() {
        for name in ["mini", "tiny-moe"] {
            let mut config = preset(name).unwrap();
            assert_eq!(to_query(name, &config), format!("preset={name}"));
            config.nitp.weight = 0.25;
            config.nitp.loss = nitp_core::config::NitpLoss::SmoothL1;
            config.train.steps = 123;
            config.data.paths = vec!["a b & c.txt".to_owned()];
            let query = to_query(name, &config);
            assert!(query.contains("nitp.weight=0.25&"), "{query}");
            assert_eq!(from_query(&format!("?{query}&device=cpu")).unwrap().1, config);
        }
    }

    #[test]
    fn kinds_of_model_change_in_a_link() {
        let mut config = preset("tiny-moe").unwrap();
        config.model.moe = None;
        assert_eq!(from_query(&to_query("tiny-moe", &config)).unwrap().1, config);
        let mut config = preset("mini").unwrap();
        config.model.moe = Some(nitp_core::config::MoeConfig::default());
        assert_eq!(from_query(&to_query("mini", &config)).unwrap().1, config);
    }

    #[test]
    fn a_changed_preset_is_found_again() {
        for name in ["nano", "tiny-moe", "small"] {
            let mut config = preset(name).unwrap();
            config.train.seed = 7;
            assert_eq!(nearest_preset(&config), name);
        }
    }

    #[test]
    fn a_broken_link_says_why() {
        assert!(from_query("preset=mimi").unwrap_err().contains("mini"));
        assert!(from_query("nitp.wieght=2").unwrap_err().contains("weight"));
        assert_eq!(from_query("").unwrap().0, FIRST_PRESET);
        assert!(is_experiment("#nitp.weight=2") && !is_experiment("#device=cpu&start=1"));
    }
}
