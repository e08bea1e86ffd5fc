//! Text on disk as documents: text files, JSONL files with a `text` field, folders of both.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use walkdir::WalkDir;

/// File name extensions that are read in a folder; a file that is named itself may have any.
const TEXT_EXTENSIONS: [&str; 4] = ["txt", "text", "md", "jsonl"];

/// One line of a JSONL file; other fields are left alone.
#[derive(Deserialize)]
struct Record {
    text: String,
}

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

/// The documents in a file's bytes: its lines for JSONL, else all of it as one.
///
/// # Errors
/// What is no UTF-8 text, lines that are no JSON with a `text` field: with the line.
pub fn parse(path: &Path, bytes: Vec<u8>) -> Result<Vec<String>> {
    let text = utf8(path, bytes)?;
    let jsonl = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("jsonl"));
    let documents: Vec<String> = if jsonl { json_lines(path, &text)? } else { vec![text] };
    ensure!(
        documents.iter().any(|text| !text.is_empty()),
        "{} holds no text: there is nothing to train on",
        path.display()
    );
    Ok(documents)
}

fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String> {
    let path = path.display();
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        bail!("{path} is no text but binary: byte {at} is 0. Give text in UTF-8, or JSONL");
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count();
        anyhow::anyhow!(
            "{path} is not UTF-8: line {line} (byte {at}) holds the byte {:#04x}. Convert it, for \
             example with `iconv -f latin1 -t utf-8`",
            error.as_bytes()[at]
        )
    })
}

fn json_lines(path: &Path, text: &str) -> Result<Vec<String>> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            let record: Record = serde_json::from_str(line).map_err(|error| {
                anyhow::anyhow!(
                    "{}, line {}: {error}. Each line must be a JSON object with the document in \
                     its field `text`",
                    path.display(),
                    number + 1
                )
            })?;
            Ok(record.text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str, bytes: &[u8]) -> Result<Vec<String>> {
        parse(Path::new(name), bytes.to_vec())
    }

    #[test]
    fn a_text_file_is_a_document_and_a_jsonl_file_has_many() {
        assert_eq!(parsed("a.txt", b"one\ntwo\n").unwrap(), ["one\ntwo\n"]);
        let lines = b"{\"text\": \"one\", \"topic\": 3}\n\n{\"text\": \"two\\n\"}\n";
        assert_eq!(parsed("a.JSONL", lines).unwrap(), ["one", "two\n"]);
    }

    #[test]
    fn what_is_no_text_is_named_with_its_place() {
        let message = |name: &str, bytes: &[u8]| parsed(name, bytes).unwrap_err().to_string();
        assert!(message("a.txt", b"ab\0c").contains("binary: byte 2"));
        assert!(message("a.txt", b"ab\nc\xe9").contains("line 2 (byte 4) holds the byte 0xe9"));
        assert!(
            message("a.jsonl", b"{\"text\": \"x\"}\n{\"body\": 1}").contains("a.jsonl, line 2")
        );
        assert!(message("a.jsonl", b"\n\n").contains("holds no text"));
    }

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
