//! Overlays a base configuration with a partial one: first a TOML text, then each `--set`.
//! The known keys come from a full default configuration, so that no second list can differ from the structs. Values
//! replace those of the base one leaf at a time, and the result is parsed after each leaf. An error therefore belongs
//! to that leaf, and is reported with its origin.

use serde::Deserialize;
use toml::de::DeTable;
use toml::{Table, Value};

use super::error::ConfigError;
use super::{Config, MoeConfig, RopeScaling};

/// Least similarity (Jaro-Winkler, 0 to 1) of a known name that is suggested for an unknown one.
const NEAR: f64 = 0.8;

/// Overlays `base` with `toml_text` (a name for messages, and the text), then with each `section.key=value` of `sets`,
/// and validates the result.
///
/// - Keys in neither of them keep the value of `base`.
/// - The value of a set is TOML. Text that is no TOML is read as a string, as in `nitp.loss=mse`. One string stands for
///   a list with this string.
/// - Any key of `model.moe` over a dense base makes it a mixture of experts with the defaults of
///   [`MoeConfig`]; so does an empty `[model.moe]`. `model.moe=none` (or `false`) makes it dense.
///   `model.rope_scaling` works in the same way.
///
/// # Errors
/// A [`ConfigError`] that names the key, the line or the set, and what is allowed: for text that
/// is not TOML, unknown keys, values of the wrong kind, and all errors of [`Config::validate`].
pub fn load(
    base: Config,
    toml_text: Option<(&str, &str)>,
    sets: &[String],
) -> Result<Config, ConfigError> {
    let config = overlay(base, toml_text, sets)?;
    config.validate()?;
    Ok(config)
}

/// Like [`load()`], for a configuration that is not complete yet and not validated.
///
/// # Errors
/// Those of [`load()`], but not those of [`Config::validate`].
pub fn overlay(
    base: Config,
    toml_text: Option<(&str, &str)>,
    sets: &[String],
) -> Result<Config, ConfigError> {
    let mut layers = Layers::over(&base)?;
    if let Some((name, text)) = toml_text {
        let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
            origin: name.to_owned(),
            message: error.to_string(),
        })?;
        layers.lay(&[], table, &Origin::File { name, text })?;
    }
    for set in sets {
        layers.lay_set(set)?;
    }
    layers.config()
}

/// Name of the base configuration in messages.
const BASE: &str = "the base configuration";

/// The most similar of `names`, in words, or all of them if none is similar.
pub(super) fn suggest<'a>(name: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(name, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it must be one of {}", names.collect::<Vec<_>>().join(", ")),
    }
}

fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|&(likeness, _)| likeness >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// Origin of a value, for messages.
enum Origin<'a> {
    File { name: &'a str, text: &'a str },
    Set(&'a str),
}

impl Origin<'_> {
    fn of(&self, path: &[&str]) -> String {
        match self {
            Self::File { name, text } => match line_of(text, path) {
                Some(line) => format!("{name}, line {line}"),
                None => (*name).to_owned(),
            },
            Self::Set(set) => format!("--set {set}"),
        }
    }
}

/// The line (from 1) that names the key `path` in `text`.
fn line_of(text: &str, path: &[&str]) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut line = None;
    for name in path {
        let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
        line = Some(1 + text[..key.span().start].matches('\n').count());
        match value.get_ref().as_table() {
            Some(inner) => table = inner,
            None => break,
        }
    }
    line
}

/// The configuration so far, and the table of all known keys.
struct Layers {
    table: Table,
    schema: Table,
}

impl Layers {
    fn over(base: &Config) -> Result<Self, ConfigError> {
        let mut full = Config::default();
        full.model.moe = Some(MoeConfig { shared_expert_gate: true, ..MoeConfig::default() });
        full.model.rope_scaling = Some(RopeScaling::default());
        // Keys that are written only if they differ from the default.
        // The pattern names all sections, so that the compiler points here when there is a new one.
        let Config { model, nitp: _, mtp, nextlat, top, train, data } = &mut full;
        data.text_column = Some("text".to_owned());
        data.weights = vec![1.0];
        (model.qkv_bias, model.qk_norm) = (true, true);
        train.document_mask = true;
        (mtp.enabled, nextlat.enabled, top.enabled) = (true, true, true);
        let table = |config: &Config| {
            Table::try_from(config).map_err(|error| ConfigError::Syntax {
                origin: BASE.to_owned(),
                message: error.to_string(),
            })
        };
        Ok(Self { table: table(base)?, schema: table(&full)? })
    }

    fn config(&self) -> Result<Config, ConfigError> {
        // Every leaf was parsed when it was set, so an error here could only come from the base.
        Config::deserialize(self.table.clone()).map_err(|error| ConfigError::Syntax {
            origin: BASE.to_owned(),
            message: error.to_string(),
        })
    }

    /// Sets one `section.key=value`.
    fn lay_set(&mut self, set: &str) -> Result<(), ConfigError> {
        let form = || ConfigError::SetForm { text: set.to_owned() };
        let (key, text) = set.split_once('=').ok_or_else(form)?;
        let (key, text) = (key.trim(), text.trim());
        let path: Vec<&str> = key.split('.').map(str::trim).collect();
        if text.is_empty() || path.iter().any(|name| name.is_empty()) {
            return Err(form());
        }
        let nested = |leaf: Value| {
            path.iter().rev().fold(leaf, |value, name| {
                Value::Table(Table::from_iter([((*name).to_owned(), value)]))
            })
        };
        let mut lay = |leaf: Value| match nested(leaf) {
            Value::Table(table) => self.lay(&[], table, &Origin::Set(set)),
            _ => Err(form()),
        };
        let bare = Value::String(text.to_owned());
        match text.parse::<Value>() {
            // A file may be called `2024` or `true`: if the typed value doesn't fit, its text may.
            Ok(typed) if !typed.is_array() && !typed.is_table() => {
                lay(typed).or_else(|error| lay(bare).map_err(|_| error))
            }
            Ok(typed) => lay(typed),
            Err(_) => lay(bare),
        }
    }

    /// Sets every entry of `patch`, the table at `path`.
    fn lay(&mut self, path: &[&str], patch: Table, origin: &Origin<'_>) -> Result<(), ConfigError> {
        for (name, value) in patch {
            let path = [path, &[name.as_str()]].concat();
            let known = at(&self.schema, &path).cloned();
            match (known, value) {
                (None, _) => return Err(self.unknown(&path, origin)),
                (Some(Value::Table(_)), Value::Table(inner)) => {
                    // An empty `[model.moe]` counts too.
                    self.try_value(&path, None, origin)?;
                    self.lay(&path, inner, origin)?;
                }
                (Some(Value::Table(_)), value) if is_optional(&path) && is_none(&value) => {
                    if let Some(model) = self.table.get_mut("model").and_then(Value::as_table_mut) {
                        model.remove(&name);
                    }
                }
                (Some(Value::Array(_)), value @ Value::String(_)) => {
                    self.try_value(&path, Some(Value::Array(vec![value])), origin)?;
                }
                (Some(_), value) => self.try_value(&path, Some(value), origin)?,
            }
        }
        Ok(())
    }

    /// Sets `value` at `path` if the result is still a configuration. No value means a table that has to exist.
    fn try_value(
        &mut self,
        path: &[&str],
        value: Option<Value>,
        origin: &Origin<'_>,
    ) -> Result<(), ConfigError> {
        let mut table = self.table.clone();
        let mut entry = &mut table;
        let (last, sections) = path.split_last().expect("a path holds the key it was made from");
        for section in sections {
            let inner = entry.entry(*section).or_insert_with(|| Value::Table(Table::new()));
            entry = inner.as_table_mut().expect("the schema says that this is a section");
        }
        match &value {
            Some(value) => drop(entry.insert((*last).to_owned(), value.clone())),
            None => drop(entry.entry(*last).or_insert_with(|| Value::Table(Table::new()))),
        }
        match (Config::deserialize(table.clone()), value) {
            (Ok(_), _) => {
                self.table = table;
                Ok(())
            }
            (Err(error), value) => Err(ConfigError::Value {
                origin: origin.of(path),
                key: path.join("."),
                value: value.as_ref().map_or_else(String::new, shown),
                expected: at(&self.schema, path).map_or_else(String::new, |known| {
                    expected(path, known, value.as_ref(), error.message())
                }),
            }),
        }
    }

    fn unknown(&self, path: &[&str], origin: &Origin<'_>) -> ConfigError {
        let (name, sections) = path.split_last().expect("a path holds the key it was made from");
        let section = sections.join(".");
        let siblings: Vec<String> = match sections {
            [] => self.schema.keys().cloned().collect(),
            _ => at(&self.schema, sections)
                .and_then(Value::as_table)
                .map(|table| table.keys().cloned().collect())
                .unwrap_or_default(),
        };
        let mut everywhere = Vec::new();
        collect_keys("", &self.schema, &mut everywhere);
        let elsewhere =
            everywhere.iter().find(|key| key.rsplit('.').next() == Some(*name)).cloned();
        let near = || {
            let sibling = nearest(name, siblings.iter().map(String::as_str))?;
            Some(if section.is_empty() {
                sibling.to_owned()
            } else {
                format!("{section}.{sibling}")
            })
        };
        let hint = match elsewhere.or_else(near) {
            Some(key) => format!("did you mean `{key}`?"),
            None if section.is_empty() => format!("the sections are {}", siblings.join(", ")),
            None => format!("[{section}] has the keys {}", siblings.join(", ")),
        };
        ConfigError::UnknownKey { origin: origin.of(path), key: path.join("."), hint }
    }
}

/// The value at `path` in nested tables.
fn at<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, name| value.as_table()?.get(*name))
}

/// Every key of `table` with its sections, sections themselves included.
fn collect_keys(prefix: &str, table: &Table, keys: &mut Vec<String>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if let Value::Table(inner) = value {
            collect_keys(&key, inner, keys);
        }
        keys.push(key);
    }
}

/// Whether this section is optional.
fn is_optional(path: &[&str]) -> bool {
    matches!(path, ["model", "moe" | "rope_scaling"])
}

fn is_none(value: &Value) -> bool {
    value.as_bool() == Some(false) || value.as_str() == Some("none")
}

/// A value as TOML writes it, on one line.
fn shown(value: &Value) -> String {
    value.to_string().replace('\n', " ")
}

/// The kind of value that `path` expects, in words. `known` is its default, which shows the type; `refusal` is serde's
/// error about `found`.
fn expected(path: &[&str], known: &Value, found: Option<&Value>, refusal: &str) -> String {
    match known {
        Value::Integer(_) => "expected a whole number of at least 0".to_owned(),
        Value::Float(_) => "expected a number".to_owned(),
        Value::Boolean(_) => "expected true or false".to_owned(),
        Value::Array(items) if items.first().is_some_and(Value::is_float) => {
            "expected a list of numbers, such as [0.7, 0.3]".to_owned()
        }
        Value::Array(_) => {
            "expected a list of strings, such as [\"a.txt\", \"b.jsonl\"]".to_owned()
        }
        // A rejected string is not one of an enum's names, which serde lists.
        Value::String(_) if found.is_some_and(Value::is_str) => refusal.to_owned(),
        Value::String(_) => "expected a string in quotes".to_owned(),
        Value::Table(_) if is_optional(path) => {
            "expected a section, or false for a model without it".to_owned()
        }
        _ => format!(
            "it is a section: name one of its keys, such as {}.{}",
            path.join("."),
            known.as_table().and_then(|table| table.keys().next()).map_or("", String::as_str)
        ),
    }
}
