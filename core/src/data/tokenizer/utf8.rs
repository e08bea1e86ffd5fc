//! UTF-8 that arrives in parts.

/// Bytes that become text as with [`String::from_utf8_lossy`], except for a character whose bytes are not complete yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Utf8 {
    open: Vec<u8>,
}

impl Utf8 {
    pub(super) fn push(&mut self, bytes: &[u8], text: &mut String) {
        self.open.extend_from_slice(bytes);
        let mut settled = 0;
        for chunk in self.open.utf8_chunks() {
            text.push_str(chunk.valid());
            settled += chunk.valid().len();
            let invalid = chunk.invalid();
            let open = settled + invalid.len() == self.open.len()
                && str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if open {
                break;
            }
            if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
                settled += invalid.len();
            }
        }
        self.open.drain(..settled);
    }

    pub(super) fn finish(&mut self, text: &mut String) {
        text.push_str(&String::from_utf8_lossy(&self.open));
        self.open.clear();
    }
}
