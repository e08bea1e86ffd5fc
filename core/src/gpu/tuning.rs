//! Which way each op takes on an adapter: what was measured there, as a file keeps it.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::AdapterSummary;
use crate::ops::{DynOp, Variant};

/// The choices for one adapter. The same adapter and the same choices give the same bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    /// The program that measured.
    version: String,
    /// Name, interface and driver.
    adapter: String,
    /// By [`DynOp::tuning_key`].
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
    /// Variants that this adapter can't run, and what it said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, String>,
    /// Digest of the kernels that were measured.
    pub kernels: String,
}

/// Why a file is no tuning for an adapter.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum TuningError {
    /// Not what this module writes.
    #[error("it is broken ({0})")]
    Broken(String),
    /// Measured by other kernels.
    #[error("it is of version {found}, and this is {expected}")]
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
        Self { version: VERSION.to_owned(), adapter: name(adapter), ops: BTreeMap::new() }
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

    /// Where it differs from another adapter's, a file's name may differ.
    pub fn file_name(adapter: &AdapterSummary) -> String {
        format!("tuning-{}.json", &digest([name(adapter).as_bytes()])[..16])
    }

    /// Every class that was measured.
    pub fn choices(&self) -> impl Iterator<Item = (&str, &Choice)> {
        self.ops.iter().map(|(key, choice)| (key.as_str(), choice))
    }

    /// What was measured for an op with these variants; nothing if its kernels have changed.
    pub fn choice(&self, op: &dyn DynOp, variants: &[Variant]) -> Option<&Choice> {
        self.ops.get(&op.tuning_key()).filter(|it| it.kernels == kernels(variants))
    }

    /// Puts a measurement down.
    pub(super) fn put(&mut self, key: String, choice: Choice) {
        self.ops.insert(key, choice);
    }
}

fn name(adapter: &AdapterSummary) -> String {
    format!("{}, {}, {}", adapter.name, adapter.backend, adapter.driver)
}

/// Of the texts of all variants: a changed kernel is measured anew.
pub(super) fn kernels(variants: &[Variant]) -> String {
    let dispatches = variants.iter().flat_map(|variant| &variant.dispatches);
    let texts = dispatches.map(|dispatch| dispatch.kernel.source.as_bytes());
    let mut short = digest(variants.iter().map(|variant| variant.name.as_bytes()).chain(texts));
    short.truncate(16);
    short
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
