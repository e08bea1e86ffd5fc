//! Files that appear whole or not at all.
//!
//! A file is written under a temporary name in the same folder, and then renamed. Its writer locks it until then, which
//! distinguishes files being written from files that a killed process left.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use tempfile::{Builder, NamedTempFile};

/// Prefix and suffix of the names of unfinished files.
const UNFINISHED: (&str, &str) = (".nitp-", ".unfinished");

/// Earlier versions did not lock their unfinished files, `.tmp` and six characters. A file older than this is no longer
/// being written.
const OLD: Duration = Duration::from_secs(24 * 3600);

/// Writes under a temporary name, syncs, and renames, replacing an existing file.
///
/// # Errors
/// Errors of the file system, such as a full disk. An existing file is unchanged then.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// Like [`write()`], for bytes in parts.
///
/// # Errors
/// As [`write()`].
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // The folder may be any folder, so names that other programs may use are not touched.
    clear(folder, false);
    let try_it = || {
        let file = begin(folder)?;
        let mut writer = std::io::BufWriter::new(file);
        fill(&mut writer)?;
        let file = writer.into_inner()?;
        readable(file.as_file())?;
        file.as_file().sync_all()?;
        // On Windows this is MoveFileExW. It may refuse to replace a file that another process has open or mapped, mostly
        // as PermissionDenied. The old file stays then, and the caller gets the error: nothing here tries again.
        file.persist(path)?;
        Ok::<_, std::io::Error>(())
    };
    try_it().with_context(|| format!("writing {}", path.display()))
}

/// Removes unfinished files, also of earlier versions, that no running process is writing, in a folder that only this
/// program uses. Ignores failures.
pub fn clear_abandoned(folder: &Path) {
    clear(folder, true);
}

fn clear(folder: &Path, of_old_versions: bool) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let age = || SystemTime::now().duration_since(entry.metadata().ok()?.modified().ok()?).ok();
        let is_old =
            || of_old_versions && is_of_old_version(&name) && age().is_some_and(|age| age > OLD);
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && (is_of_this_version(&name) || is_old()) {
            // The lock is held until the file is removed. A process that just made the file, and waits for the lock,
            // finds it removed and makes another.
            // Some file systems lock only files that are open for writing.
            let open = OpenOptions::new().write(true).open(entry.path());
            let Ok(file) = open else { continue };
            if file.try_lock().is_ok() {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Whether a file was being written when a process was killed, by this version or an earlier one.
pub fn is_unfinished(name: &str) -> bool {
    is_of_this_version(name) || is_of_old_version(name)
}

fn is_of_this_version(name: &str) -> bool {
    name.starts_with(UNFINISHED.0) && name.ends_with(UNFINISHED.1)
}

fn is_of_old_version(name: &str) -> bool {
    let random = name.strip_prefix(".tmp");
    random.is_some_and(|random| {
        random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// A new file, locked if the file system has locks.
fn begin(folder: &Path) -> std::io::Result<NamedTempFile> {
    loop {
        let file = Builder::new().prefix(UNFINISHED.0).suffix(UNFINISHED.1).tempfile_in(folder)?;
        // Without locks, no file ever counts as abandoned.
        let _ = file.as_file().lock();
        // Between creation and lock, another process could take the file for abandoned.
        match fs::metadata(file.path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            _ => return Ok(file),
        }
    }
}

/// Temporary files are readable only by their owner; these get the usual permissions.
#[cfg(unix)]
fn readable(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_living_process_writes_stays_and_the_rest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let names = || {
            let entries = fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let (first, last) = UNFINISHED;
        let old = File::create(folder.path().join(".tmpAb3dEf")).unwrap();
        old.set_modified(SystemTime::now() - 2 * OLD).unwrap();
        for name in [format!("{first}abcdef{last}"), ".tmpAb3dEg".into(), ".tmp-of-others".into()] {
            fs::write(folder.path().join(name), "half").unwrap();
        }
        let living = begin(folder.path()).unwrap();
        let path = folder.path().join("file");
        write_with(&path, |file| {
            // As another process would during a write.
            clear_abandoned(folder.path());
            file.write_all(b"whole")
        })
        .unwrap();
        let living = living.path().file_name().unwrap().to_str().unwrap();
        let mut expected = [living, ".tmp-of-others", ".tmpAb3dEg", "file"];
        expected.sort_unstable();
        assert_eq!(names(), expected);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        let failed = write_with(&path, |_| Err(std::io::Error::other("full")));
        assert!(format!("{:#}", failed.unwrap_err()).contains("full"));
        assert_eq!((names().len(), fs::read(&path).unwrap()), (4, b"whole".to_vec()));
    }
}
