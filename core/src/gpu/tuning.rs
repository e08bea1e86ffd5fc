//! The fastest variant of each op on an adapter: measurements, and their file.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::AdapterSummary;
use crate::data::hexadecimal;
use crate::kernel::{Dispatch, Matrices, Module, Variant};
use crate::ops::DynOp;

/// The choices for one adapter. The same adapter with the same choices gives bitwise equal results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    /// Version of the program that measured.
    version: String,
    /// Name, interface and driver.
    adapter: String,
    /// Peak rate of multiply-adds in f32, in floating-point operations a second, if it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flops: Option<f64>,
    /// By [`key`].
    ops: BTreeMap<String, Choice>,
}

/// Measurements of the variants of one class of ops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The fastest.
    pub variant: String,
    /// Microseconds per call, by variant.
    pub microseconds: BTreeMap<String, f64>,
    /// Whether two measurements of the fastest variant were far apart, because the adapter had other work.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub noisy: bool,
    /// Variants that failed on this adapter, and the reasons.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, String>,
}

/// Errors of a tuning file.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum TuningError {
    /// The file has another format.
    #[error("it is broken ({0})")]
    Broken(String),
    /// The measurements are of another version of the program.
    #[error("its version is {found}, not {expected}")]
    Version {
        /// In the file.
        found: String,
        /// This program's.
        expected: &'static str,
    },
    /// The measurements are of another adapter.
    #[error("it is of another adapter ({found}, not {expected})")]
    Adapter {
        /// In the file.
        found: String,
        /// The opened one's.
        expected: String,
    },
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Tuning {
    /// A tuning without measurements.
    pub fn new(adapter: &AdapterSummary) -> Self {
        Self {
            version: VERSION.to_owned(),
            adapter: name(adapter),
            flops: None,
            ops: BTreeMap::new(),
        }
    }

    /// Reads the text of [`Tuning::write`] for this adapter.
    ///
    /// # Errors
    /// If the text is broken, or of another version or adapter.
    pub fn read(text: &str, adapter: &AdapterSummary) -> Result<Self, TuningError> {
        let read: Self =
            serde_json::from_str(text).map_err(|error| TuningError::Broken(error.to_string()))?;
        if read.version != VERSION {
            return Err(TuningError::Version { found: read.version, expected: VERSION });
        }
        let expected = name(adapter);
        if read.adapter != expected {
            return Err(TuningError::Adapter { found: read.adapter, expected });
        }
        Ok(read)
    }

    /// The text of the file: JSON.
    pub fn write(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings and numbers")
    }

    /// A name for the file: every adapter has its own.
    pub fn file_name(adapter: &AdapterSummary) -> String {
        format!("tuning-{}.json", &digest([name(adapter).as_bytes()])[..16])
    }

    /// Every class that was measured.
    pub fn choices(&self) -> impl Iterator<Item = (&str, &Choice)> {
        self.ops.iter().map(|(key, choice)| (key.as_str(), choice))
    }

    /// The measurements of an op with these variants.
    pub fn choice(&self, op: &dyn DynOp, variants: &[Variant]) -> Option<&Choice> {
        self.ops.get(&key(op, variants))
    }

    /// Whether a variant of an op did not work in some class.
    pub(super) fn has_failed(&self, op: &dyn DynOp, variant: &str) -> bool {
        let name = format!("{} ", op.name());
        self.ops.iter().any(|(key, it)| key.starts_with(&name) && it.failed.contains_key(variant))
    }

    /// Adds the measurements of `other`, which replace those of the same class.
    pub fn extend(&mut self, other: Self) {
        self.ops.extend(other.ops);
        self.flops = other.flops.or(self.flops);
    }

    /// The measurements that `other` lacks, or that differ there.
    pub fn beyond(&self, other: &Self) -> Self {
        let mut new = self.clone();
        new.ops.retain(|key, choice| other.ops.get(key) != Some(choice));
        new
    }

    /// Adds a measurement.
    pub(super) fn put(&mut self, key: String, choice: Choice) {
        self.ops.insert(key, choice);
    }
}

fn name(adapter: &AdapterSummary) -> String {
    format!("{}, {}, {}", adapter.name, adapter.backend, adapter.driver)
}

/// The key of a class of ops: [`DynOp::tuning_key`] and a digest of the variants' texts. A changed kernel, or another
/// set of variants, is therefore measured again. The values of constants are not part of the key: they follow from an
/// op's exact sizes, and a class has ops of many sizes.
pub(super) fn key(op: &dyn DynOp, variants: &[Variant]) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut sorted: Vec<&Variant> = variants.iter().collect();
    sorted.sort_by_key(|variant| variant.name);
    for variant in sorted {
        texts.push(variant.name.to_owned());
        let modules = variant.dispatches.iter().map(|it| it.kernel.module);
        let mut modules: Vec<Module> = modules.collect();
        modules.dedup();
        texts.extend(modules.into_iter().map(text_digest));
    }
    let digest = digest(texts.iter().map(String::as_bytes));
    let dispatches = variants.iter().flat_map(|it| &it.dispatches);
    let halves: Vec<&str> =
        dispatches.flat_map(Dispatch::halves).collect::<BTreeSet<_>>().into_iter().collect();
    let halves =
        if halves.is_empty() { String::new() } else { format!(", f16 {}", halves.join(" ")) };
    format!("{}{halves}, kernels {}", op.tuning_key(), &digest[..8])
}

/// Digest of a module's text. Cached, because a plan has hundreds of ops.
fn text_digest(module: Module) -> String {
    static KNOWN: LazyLock<Mutex<HashMap<String, String>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let made = || digest([module.text(Matrices::default()).as_bytes()]);
    known.entry(module.key()).or_insert_with(made).clone()
}

fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hexadecimal(&hash.finalize())
}
