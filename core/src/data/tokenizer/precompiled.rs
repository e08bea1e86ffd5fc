//! The character map of SentencePiece's normalizers: a double-array trie over bytes, whose values are positions in a
//! text of replacements. The library follows it without range checks, so all nodes that any text can reach are checked
//! here first.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Longest replacement, in bytes. (The longest of NFKC has 33.)
const MOST_REPLACED: usize = 256;

/// Checks a map of a `tokenizer.json`.
///
/// # Errors
/// The problem in words.
pub fn check(map: &str) -> Result<(), String> {
    let bytes = BASE64_STANDARD.decode(map).map_err(|error| {
        format!("precompiled_charsmap is no base64 ({error}); download the file again")
    })?;
    let broken =
        |what: &str| format!("precompiled_charsmap is broken: {what}; download the file again");
    let (size, rest) = bytes.split_first_chunk().ok_or_else(|| broken("it has no trie"))?;
    let units = u32::from_le_bytes(*size) as usize / 4;
    let trie = units
        .checked_mul(4)
        .and_then(|bytes| rest.split_at_checked(bytes))
        .ok_or_else(|| broken("its trie is longer than the data"))?;
    let (trie, replacements) = trie;
    let replacements =
        str::from_utf8(replacements).map_err(|_| broken("its replacements are no UTF-8"))?;
    let units: Vec<u32> = trie.as_chunks().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
    check_trie(&units, replacements).map_err(broken)
}

/// Visits every node that a text without zero bytes reaches.
fn check_trie(units: &[u32], replacements: &str) -> Result<(), &'static str> {
    const LEADS_OUT: &str = "its trie points outside of itself";
    let unit = |place: usize| units.get(place).copied();
    let offset = |unit: u32| ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize;
    let root = offset(unit(0).ok_or("its trie is empty")?);
    let (mut seen, mut open) = (vec![false; units.len()], vec![root]);
    while let Some(base) = open.pop() {
        for byte in 1..=255u8 {
            let place = base ^ usize::from(byte);
            let node = unit(place).ok_or(LEADS_OUT)?;
            if node & ((1 << 31) | 0xFF) != u32::from(byte) {
                continue;
            }
            let next = place ^ offset(node);
            if node & (1 << 8) != 0 {
                let value = unit(next).ok_or(LEADS_OUT)? & ((1 << 31) - 1);
                let replacement = replacements
                    .get(value as usize..)
                    .ok_or("it points to a missing replacement")?;
                let length = replacement.find('\0').unwrap_or(replacement.len());
                if length > MOST_REPLACED {
                    return Err("a replacement has more than 256 bytes");
                }
            }
            // A node is identified by the position of its children. The last node may have none; its position is then
            // outside.
            match seen.get_mut(next) {
                Some(seen) if *seen => {}
                Some(seen) => {
                    *seen = true;
                    open.push(next);
                }
                None => return Err(LEADS_OUT),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(units: &[u32], replacements: &str) -> String {
        let mut bytes = (4 * units.len() as u32).to_le_bytes().to_vec();
        units.iter().for_each(|unit| bytes.extend(unit.to_le_bytes()));
        bytes.extend(replacements.as_bytes());
        BASE64_STANDARD.encode(bytes)
    }

    /// "a" becomes the replacement at `value`.
    fn trie(value: u32) -> Vec<u32> {
        let mut units = vec![0; 1024];
        units[0] = 256 << 10;
        let a = 256 ^ usize::from(b'a');
        units[a] = u32::from(b'a') | (1 << 8) | (((a ^ 512) as u32) << 10);
        units[512] = value | (1 << 31);
        units
    }

    #[test]
    fn a_sound_map_is_taken_and_does_what_it_says() {
        let map = map(&trie(2), "x\0yz\0");
        check(&map).unwrap();
        let json = serde_json::json!({ "type": "Precompiled", "precompiled_charsmap": map });
        let json = json.to_string();
        let library: tokenizers::normalizers::Precompiled = serde_json::from_str(&json).unwrap();
        assert_eq!(library.normalize_string("bab"), "byzb");
    }

    #[test]
    fn a_broken_map_is_told() {
        let refused = |map: &str| check(map).unwrap_err();
        assert!(refused("&&&").contains("no base64"));
        assert!(refused("AAA=").contains("no trie"));
        assert!(refused(&BASE64_STANDARD.encode([255; 8])).contains("longer than the data"));
        assert!(refused(&map(&trie(9), "x\0")).contains("a missing replacement"));
        assert!(refused(&map(&trie(1), "é\0")).contains("a missing replacement"));
        assert!(refused(&map(&trie(0), &"x".repeat(300))).contains("256"));
        assert!(refused(&map(&[0; 100], "")).contains("points outside"));
        let mut far = trie(0);
        far[256 ^ usize::from(b'a')] |= 1 << 9;
        assert!(refused(&map(&far, "x\0")).contains("points outside"));
    }
}
