//! Files that appear whole or not at all.
//!
//! A file is written under a name of its own beside its place and renamed. Its writer holds a lock
//! on it until then, so that what a killed process left can be told from what is being written.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use tempfile::{Builder, NamedTempFile};

/// What names of unfinished files begin and end with.
const UNFINISHED: (&str, &str) = (".nitp-", ".unfinished");

/// Earlier versions took no lock on their unfinished files, `.tmp` and six characters; nothing writes
/// one for as long as this.
const OLD: Duration = Duration::from_secs(24 * 3600);

/// Writes beside, syncs, renames over what may be there.
///
/// # Errors
/// What the file system says, a full disk among it; what was there is intact then.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// As [`write()`], for bytes that come in parts.
///
/// # Errors
/// As there.
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // The folder may be any: names that other programs take as well are not touched in it.
    clear(folder, false);
    let try_it = || {
        let file = begin(folder)?;
        let mut writer = std::io::BufWriter::new(file);
        fill(&mut writer)?;
        let file = writer.into_inner()?;
        readable(file.as_file())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok::<_, std::io::Error>(())
    };
    try_it().with_context(|| format!("writing {}", path.display()))
}

/// Removes the unfinished files in a folder of this program's own that no living process writes, those of
/// earlier versions too; what can't be removed stays.
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
            // Held until the file is removed: who has just made it, and waits for its lock, finds
            // it gone and makes another.
            // Some file systems lock only what is open for writing.
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
        // Without locks nothing is ever found abandoned either.
        let _ = file.as_file().lock();
        // Between its making and its locking another process could take it for abandoned.
        match fs::metadata(file.path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            _ => return Ok(file),
        }
    }
}

/// Temporary files are for their owner alone; ours are as readable as others.
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
            // As another process would, in the middle of a write.
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
