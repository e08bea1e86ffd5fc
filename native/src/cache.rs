//! Where this program keeps what it can make again.

use std::path::PathBuf;

/// The folder; the variable `NITP_CACHE_DIR` overrides the system's folder for such files. An empty
/// one counts as not set, as is the custom.
pub fn folder() -> PathBuf {
    match std::env::var_os("NITP_CACHE_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => folder.into(),
        None => dirs::cache_dir().unwrap_or_else(std::env::temp_dir).join("nitp"),
    }
}
