//! The folder for files that this program can make again.

use std::path::PathBuf;

/// The folder. The variable `NITP_CACHE_DIR` overrides the system's folder for caches. As usual, an empty variable
/// counts as not set.
pub fn folder() -> PathBuf {
    match std::env::var_os("NITP_CACHE_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => folder.into(),
        None => dirs::cache_dir().unwrap_or_else(std::env::temp_dir).join("nitp"),
    }
}
