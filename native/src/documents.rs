//! Text on disk as documents: text files, JSONL files with a `text` field, folders of both.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use walkdir::WalkDir;

/// File name extensions that are read in a folder; a file that is named itself may have any.
const TEXT_EXTENSIONS: [&str; 4] = ["txt", "text", "md", "jsonl"];

/// The files behind `paths`, in the order given, folders in the order of their file names.
///
/// # Errors
/// A path that does not exist, a folder without text.
pub fn files(paths: &[impl AsRef<Path>]) -> Result<Vec<PathBuf>> {
    ensure!(
        !paths.is_empty(),
        "no text to read: give --data with text files, JSONL files or folders, or set data.paths"
    );
    let mut files = Vec::new();
    for path in paths.iter().map(AsRef::as_ref) {
        let metadata = fs::metadata(path).with_context(|| {
            format!("can't read the data {}: is the path right?", path.display())
        })?;
        if metadata.is_dir() {
            let before = files.len();
            files.extend(folder(path)?);
            ensure!(
                files.len() > before,
                "the folder {} holds no text: files that end in .{} are read",
                path.display(),
                TEXT_EXTENSIONS.join(", .")
            );
        } else {
            files.push(path.to_owned());
        }
    }
    Ok(files)
}

fn folder(path: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let hidden = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('.');
    let walk = WalkDir::new(path).sort_by_file_name().follow_links(true);
    let entries =
        walk.into_iter().filter_entry(|entry| entry.depth() == 0 || !hidden(entry.file_name()));
    for entry in entries {
        let entry = entry.with_context(|| format!("reading the folder {}", path.display()))?;
        let extension = entry.path().extension().unwrap_or_default().to_string_lossy();
        let text = TEXT_EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str());
        // Empty files in a folder are no one's mistake.
        if text && entry.file_type().is_file() && entry.metadata()?.len() > 0 {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// The bytes of a file that is to be text.
///
/// # Errors
/// If it can't be read or is empty.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    ensure!(!bytes.is_empty(), "{} is empty: there is nothing to train on", path.display());
    Ok(bytes)
}

/// The documents in a file's bytes.
///
/// # Errors
/// What holds no text, with its place.
pub fn parse(path: &Path, bytes: Vec<u8>) -> Result<Vec<String>> {
    Ok(nitp_core::data::documents(&path.display().to_string(), bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_text_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.txt", "a.jsonl", "image.png", ".hidden.txt"] {
            fs::write(folder.path().join(name), "{}").unwrap();
        }
        fs::write(folder.path().join("empty.txt"), "").unwrap();
        fs::create_dir(folder.path().join("c")).unwrap();
        fs::write(folder.path().join("c/d.md"), "x").unwrap();
        let found = files(&[folder.path()]).unwrap();
        let names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(folder.path()).unwrap()).collect();
        assert_eq!(names, [Path::new("a.jsonl"), Path::new("b.txt"), Path::new("c/d.md")]);
        let error = files(&[folder.path().join("nowhere")]).unwrap_err();
        assert!(error.to_string().contains("nowhere"));
    }
}
