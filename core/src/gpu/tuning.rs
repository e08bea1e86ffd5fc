//! Which way each op takes on an adapter: what was measured there, as a file keeps it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::sync::{LazyLock, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::AdapterSummary;
use crate::kernel::{Dispatch, Matrices, Module, Variant};
use crate::ops::DynOp;

/// The choices for one adapter. The same adapter and the same choices give the same bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    /// The program that measured.
    version: String,
    /// Name, interface and driver.
    adapter: String,
    /// Floating-point operations a second of multiply-adds in f32, if they were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flops: Option<f64>,
    /// By [`key`].
    ops: BTreeMap<String, Choice>,
}

/// What was measured of the ways to do one class of ops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The fastest.
    pub variant: String,
    /// A call's time by variant.
    pub microseconds: BTreeMap<String, f64>,
    /// Whether two measurements of the fastest were far apart: something else was at work on the adapter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub noisy: bool,
    /// Variants that this adapter can't run, and what it said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, String>,
}

/// Why a file is no tuning for an adapter.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum TuningError {
    /// Not what this module writes.
    #[error("it is broken ({0})")]
    Broken(String),
    /// Measured by other kernels.
    #[error("its version is {found}, not {expected}")]
    Version {
        /// In the file.
        found: String,
        /// This program's.
        expected: &'static str,
    },
    /// Measured elsewhere.
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
    /// Nothing measured.
    pub fn new(adapter: &AdapterSummary) -> Self {
        Self {
            version: VERSION.to_owned(),
            adapter: name(adapter),
            flops: None,
            ops: BTreeMap::new(),
        }
    }

    /// What [`Tuning::write`] made for this adapter.
    ///
    /// # Errors
    /// If it is something else.
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

    /// As a file keeps it: JSON.
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

    /// What was measured for an op with these variants.
    pub fn choice(&self, op: &dyn DynOp, variants: &[Variant]) -> Option<&Choice> {
        self.ops.get(&key(op, variants))
    }

    /// Whether a variant of an op did not work in some class.
    pub(super) fn has_failed(&self, op: &dyn DynOp, variant: &str) -> bool {
        let name = format!("{} ", op.name());
        self.ops.iter().any(|(key, it)| key.starts_with(&name) && it.failed.contains_key(variant))
    }

    /// Takes over what another has; where both have a class, the other's.
    pub fn extend(&mut self, other: Self) {
        self.ops.extend(other.ops);
        self.flops = other.flops.or(self.flops);
    }

    /// What is not the same in `other`.
    pub fn beyond(&self, other: &Self) -> Self {
        let mut new = self.clone();
        new.ops.retain(|key, choice| other.ops.get(key) != Some(choice));
        new
    }

    /// Puts a measurement down.
    pub(super) fn put(&mut self, key: String, choice: Choice) {
        self.ops.insert(key, choice);
    }
}

fn name(adapter: &AdapterSummary) -> String {
    format!("{}, {}, {}", adapter.name, adapter.backend, adapter.driver)
}

/// What one measurement serves: [`DynOp::tuning_key`] and a digest of the variants' texts, so that a
/// changed kernel is measured anew, and so is an op of the class that has other variants. Values of
/// constants follow from an op's exact sizes, of which a class has many, and don't count.
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

/// Of a module's text, which is put together once: a plan has hundreds of ops.
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
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string");
        text
    })
}
