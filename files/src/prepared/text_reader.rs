//! The text that is prepared, part by part.

use std::sync::mpsc::SyncSender;

use anyhow::{Result, ensure};
use nitp_core::data::TextDigest;
use sha2::{Digest, Sha256};

use super::index::State;
use crate::documents::{self, Changes, Meter, Part, Source};
use crate::hex;

/// What the reader passes on.
#[derive(Debug)]
pub enum Message {
    /// The next part of the file that is open.
    Part {
        /// The texts or tokens.
        part: Part,
        /// Digest of all parts up to this one.
        sha256: String,
    },
    /// The end of a file.
    End {
        /// Digest of its text.
        digest: TextDigest,
        /// What was not taken as it is there.
        changes: Changes,
    },
}

/// Reads `sources` and passes their parts on, except those before `state`, which are only compared with its digest.
///
/// # Errors
/// Errors of [`documents::read`], and text before `state` that has changed. If no one receives any more, reading ends.
pub fn read(
    sources: &[Source],
    column: Option<&str>,
    state: &State,
    meter: &Meter,
    to: &SyncSender<Message>,
) -> Result<()> {
    let (mut sha256, mut parts) = (Sha256::new(), 0);
    for source in sources {
        let mut is_open = true;
        let (digest, changes) = documents::read_metered(source, column, meter, |part| {
            hash(&mut sha256, &part);
            parts += 1;
            let so_far = hex(&sha256.clone().finalize());
            if parts == state.parts {
                ensure!(so_far == state.sha256, changed());
            }
            if parts > state.parts {
                is_open = to.send(Message::Part { part, sha256: so_far }).is_ok();
                ensure!(is_open, "the preparation has ended");
            }
            Ok(())
        })?;
        if to.send(Message::End { digest, changes }).is_err() {
            return Ok(());
        }
    }
    ensure!(parts >= state.parts, changed());
    Ok(())
}

/// What to say of another text.
pub fn changed() -> &'static str {
    "the text has changed since the preparation began: prepare it in another folder, with another --out"
}

fn hash(sha256: &mut Sha256, part: &Part) {
    match part {
        Part::Texts { texts, continues } => {
            sha256.update([u8::from(*continues)]);
            for text in texts {
                sha256.update((text.len() as u64).to_le_bytes());
                sha256.update(text);
            }
        }
        Part::Tokens { ids, .. } => {
            sha256.update([2]);
            sha256.update(bytemuck::cast_slice(ids));
        }
    }
}
