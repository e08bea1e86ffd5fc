//! `trainer.json`: the position of the run, the model that the weights belong to, and digests that reveal changes of
//! the checkpoint's files.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::CheckpointError;
use super::file;
use super::meaning::same_meaning;
use super::state::TrainerState;
use crate::config::ModelConfig;
use crate::data::hexadecimal;

/// Version of `trainer.json`. Version 1, without model and digests, is still read.
const VERSION: u32 = 2;

/// Placeholder for the digest of `trainer.json` while the digest is computed.
const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Length and digest of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileDigest {
    bytes: u64,
    sha256: String,
}

impl FileDigest {
    /// Length and digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sha256: sha256(bytes) }
    }
}

/// Lengths and digests of both large files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileDigests {
    #[serde(rename = "model.safetensors")]
    pub model: FileDigest,
    #[serde(rename = "optimizer.safetensors")]
    pub optimizer: FileDigest,
}

/// Contents of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    state: TrainerState,
    /// The section `[model]` that the weights were trained with.
    model: ModelConfig,
    files: FileDigests,
    /// SHA-256 of this file's own bytes, with zeros in place of the digest.
    sha256: String,
}

/// Contents in version 1: only the state.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Version1 {
    #[allow(dead_code, reason = "it was read before")]
    version: u32,
    step: usize,
    tokens: u64,
    val_loss: Option<f64>,
    best: Option<(f64, usize)>,
    data_fingerprint: String,
    #[serde(default)]
    loss_scale: Option<super::LossScale>,
}

/// The parsed `trainer.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Position of the run.
    pub state: TrainerState,
    /// The model and the digests; none in checkpoints of version 1.
    known: Option<(ModelConfig, FileDigests)>,
}

impl Manifest {
    /// The file's bytes.
    pub(super) fn write(state: &TrainerState, model: &ModelConfig, files: FileDigests) -> Vec<u8> {
        let written = Written {
            version: VERSION,
            state: state.clone(),
            model: model.clone(),
            files,
            sha256: NO_DIGEST.to_owned(),
        };
        let text = serde_json::to_string_pretty(&written).expect("plain data serialises");
        let digest = sha256(text.as_bytes());
        let at = text.rfind(NO_DIGEST).expect("it was just written, last of all");
        [&text[..at], &digest, &text[at + digest.len()..]].concat().into_bytes()
    }

    /// Reads the file; `file` is its name in messages.
    ///
    /// # Errors
    /// If the file is broken, of an unknown version, or changed after it was written.
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, CheckpointError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let broken = |reason: String| CheckpointError::State { file: file.to_owned(), reason };
        let words = |error: serde_json::Error| broken(format!("it is broken ({error})"));
        let Version { version } = serde_json::from_slice(bytes).map_err(words)?;
        match version {
            1 => {
                let old: Version1 = serde_json::from_slice(bytes).map_err(words)?;
                let Version1 { step, tokens, val_loss, best, data_fingerprint, loss_scale, .. } =
                    old;
                let state =
                    TrainerState { step, tokens, val_loss, best, data_fingerprint, loss_scale };
                Ok(Self { state, known: None })
            }
            VERSION => {
                let written: Written = serde_json::from_slice(bytes).map_err(words)?;
                let found = own_digest(bytes, &written.sha256);
                if found.as_ref() != Some(&written.sha256) {
                    return Err(broken(format!(
                        "it was changed or damaged after it was written (its SHA-256 is {}, not the \
                         recorded {})",
                        found.unwrap_or_default(),
                        written.sha256
                    )));
                }
                Ok(Self { state: written.state, known: Some((written.model, written.files)) })
            }
            other => Err(broken(format!(
                "version {other} is unknown (known: 1 and {VERSION}); it may be of a newer `nitp`"
            ))),
        }
    }

    /// Whether there are digests. Checkpoints of version 1 have none, and are read without these checks.
    pub fn has_digests(&self) -> bool {
        self.known.is_some()
    }

    /// The section `[model]` that the weights were trained with, if it is known.
    pub fn model(&self) -> Option<&ModelConfig> {
        self.known.as_ref().map(|(model, _)| model)
    }

    /// Checks that the file's step equals the step in the folder's name.
    ///
    /// # Errors
    /// If the steps differ.
    pub fn check_step(&self, file: &str, step: usize) -> Result<(), CheckpointError> {
        if self.state.step == step {
            return Ok(());
        }
        let (says, folder) = (self.state.step, file::folder(step));
        Err(CheckpointError::State {
            file: file.to_owned(),
            reason: format!("it is of step {says}, but its folder is named {folder}"),
        })
    }

    /// Checks the length of one of the large files. This costs nothing, and detects truncated copies.
    ///
    /// # Errors
    /// If the length differs from the recorded one.
    pub fn check_len(&self, origin: &str, name: &str, len: u64) -> Result<(), CheckpointError> {
        match self.digest(name) {
            Some(written) if written.bytes != len => {
                let bytes = |count: u64| format!("{count} bytes");
                Err(changed(origin, name, bytes(written.bytes), format!("it has {}", bytes(len))))
            }
            _ => Ok(()),
        }
    }

    /// Checks the bytes of one of the large files.
    ///
    /// # Errors
    /// If the bytes differ from those that were written.
    pub(super) fn check_bytes(
        &self,
        origin: &str,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), CheckpointError> {
        self.check_len(origin, name, bytes.len() as u64)?;
        let Some(written) = self.digest(name) else { return Ok(()) };
        let found = sha256(bytes);
        if found == written.sha256 {
            return Ok(());
        }
        Err(changed(origin, name, written.sha256.clone(), format!("its SHA-256 is {found}")))
    }

    /// Checks that the weights have the same meaning in this model.
    ///
    /// # Errors
    /// The keys of `[model]` that differ.
    pub(super) fn check_model(
        &self,
        file: &str,
        model: &ModelConfig,
    ) -> Result<(), CheckpointError> {
        let Some(made_with) = self.model() else { return Ok(()) };
        same_meaning(model, made_with)
            .map_err(|differences| CheckpointError::Model { file: file.to_owned(), differences })
    }

    fn digest(&self, name: &str) -> Option<&FileDigest> {
        let (_, files) = self.known.as_ref()?;
        match name {
            file::MODEL => Some(&files.model),
            file::OPTIMIZER => Some(&files.optimizer),
            _ => None,
        }
    }
}

fn changed(origin: &str, name: &str, expected: String, found: String) -> CheckpointError {
    CheckpointError::Changed {
        file: format!("{origin}/{name}"),
        trainer: file::TRAINER.to_owned(),
        expected,
        found,
    }
}

/// The digest of `trainer.json` with zeros in place of its digest; none if the file does not contain `digest`.
fn own_digest(bytes: &[u8], digest: &str) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let at = text.rfind(digest).filter(|_| digest.len() == NO_DIGEST.len())?;
    Some(sha256([&text[..at], NO_DIGEST, &text[at + digest.len()..]].concat().as_bytes()))
}

/// SHA-256 in lower-case hexadecimal digits.
fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut state = TrainerState::new("print".to_owned());
        (state.step, state.tokens, state.val_loss) = (12, 3072, Some(2.125));
        let files =
            FileDigests { model: FileDigest::of(b"model"), optimizer: FileDigest::of(b"moments") };
        Manifest::write(&state, &ModelConfig::default(), files)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let manifest = Manifest::read("t", &written()).unwrap();
        assert_eq!((manifest.state.step, manifest.state.val_loss), (12, Some(2.125)));
        assert_eq!(manifest.model(), Some(&ModelConfig::default()));
        manifest.check_bytes("x", file::MODEL, b"model").unwrap();
        manifest.check_step("t", 12).unwrap();
        let error = manifest.check_step("t", 13).unwrap_err().to_string();
        assert!(error.contains("of step 12") && error.contains("step-00000013"), "{error}");
        for (bytes, part) in [(&b"modem"[..], "SHA-256"), (b"mode", "it has 4 bytes")] {
            let error = manifest.check_bytes("x", file::MODEL, bytes).unwrap_err().to_string();
            assert!(error.contains("x/model.safetensors") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn no_flipped_bit_goes_unseen() {
        let whole = written();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                assert!(Manifest::read("t", &bytes).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn version_1_is_read_without_digests() {
        let old = br#"{"version": 1, "step": 4, "tokens": 128, "val_loss": null,
            "best": [3.5, 2], "data_fingerprint": "print"}"#;
        let manifest = Manifest::read("t", old).unwrap();
        assert!(!manifest.has_digests() && manifest.model().is_none());
        assert_eq!((manifest.state.step, manifest.state.best), (4, Some((3.5, 2))));
        manifest.check_bytes("x", file::MODEL, b"anything").unwrap();
        let newer = Manifest::read("t", b"{\"version\": 99}").unwrap_err().to_string();
        assert!(newer.contains("version 99") && newer.contains("newer"), "{newer}");
    }
}
