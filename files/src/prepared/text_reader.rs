//! The text that is prepared, part by part.

use std::sync::mpsc::SyncSender;

use anyhow::{Result, ensure};
use nitp_core::data::{TextDigest, hexadecimal};
use sha2::{Digest, Sha256};

use super::index::State;
use crate::documents::{self, Changes, Meter, Part, Source};

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
        /// Digest of everything up to here; none for a file that ended before the place.
        sha256: Option<String>,
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
    let mut text = TextSoFar { sha256: Sha256::new(), parts: 0, state };
    for source in sources {
        let (digest, changes) = documents::read_metered(source, column, meter, |part| {
            text.hash(&part);
            if let Some(sha256) = text.pass()? {
                let sent = to.send(Message::Part { part, sha256 });
                ensure!(sent.is_ok(), "the preparation has ended");
            }
            Ok(())
        })?;
        // Later parts are those of another file.
        text.sha256.update([3]);
        text.sha256.update(digest.to_bytes());
        let sha256 = text.pass()?;
        if to.send(Message::End { sha256, digest, changes }).is_err() {
            return Ok(());
        }
    }
    ensure!(text.parts >= state.parts, changed());
    Ok(())
}

/// What was read so far.
struct TextSoFar<'a> {
    sha256: Sha256,
    /// Parts, and ends of files.
    parts: u64,
    state: &'a State,
}

impl TextSoFar<'_> {
    /// Counts a part, or the end of a file. Gives the digest up to there if it is behind the place.
    ///
    /// # Errors
    /// If the text before the place has changed.
    fn pass(&mut self) -> Result<Option<String>> {
        self.parts += 1;
        let sha256 = hexadecimal(&self.sha256.clone().finalize());
        if self.parts == self.state.parts {
            ensure!(sha256 == self.state.sha256, changed());
        }
        Ok((self.parts > self.state.parts).then_some(sha256))
    }

    fn hash(&mut self, part: &Part) {
        let sha256 = &mut self.sha256;
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
}

/// What to say of another text.
pub fn changed() -> &'static str {
    "the text has changed since the preparation began: prepare it in another folder, with another --out"
}
