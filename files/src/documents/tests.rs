use super::*;

mod allocations;
mod damaged;
mod ids;
mod tables;

fn names(found: &Found, folder: &Path) -> Vec<String> {
    let name = |source: &Source| match source {
        Source::File(path) => path.strip_prefix(folder).unwrap().display().to_string(),
        Source::Pipe { name, .. } => name.clone(),
    };
    found.sources.iter().map(name).collect()
}

#[test]
fn a_folder_gives_its_text_in_order_and_tells_what_it_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    for name in ["b.txt", "a.jsonl", "e.NDJSON", "f.txt.gz", "image.png", "c.png", "g.tar.gz"] {
        write(name, "{}");
    }
    for name in ["h.parquet", "i.csv.zst", "j.tsv", "k.bin", "l.parquet.gz"] {
        write(name, "{}");
    }
    fs::write(folder.path().join("m.bin"), ids::header(20240520, 1, 1)).unwrap();
    write(".hidden.txt", "x");
    write("Makefile", "x");
    write("empty.txt", "");
    fs::create_dir(folder.path().join("c")).unwrap();
    write("c/d.md", "x");
    let found = find(&[folder.path()], Named::Now).unwrap();
    let expected = [
        "a.jsonl",
        "b.txt",
        "c/d.md",
        "e.NDJSON",
        "f.txt.gz",
        "h.parquet",
        "i.csv.zst",
        "j.tsv",
        "m.bin",
    ];
    assert_eq!(names(&found, folder.path()), expected);
    let note = found.notes.join("\n");
    let expected = "1 empty file, 1 hidden, 1 .bin without llm.c's header (k.bin), 2 .gz, 2 .png, \
                    1 file without an extension";
    assert!(note.starts_with("skipped in ") && note.ends_with(expected), "{note}");
    let error = find(&[folder.path().join("nowhere")], Named::Now).unwrap_err();
    assert!(error.to_string().contains("nowhere"));
    let only = folder.path().join("pictures");
    fs::create_dir(&only).unwrap();
    write("pictures/a.png", "x");
    let error = find(&[only], Named::Now).unwrap_err().to_string();
    assert!(error.contains("holds no text") && error.contains("1 .png"), "{error}");
}

#[test]
#[cfg(unix)]
fn links_that_lead_nowhere_are_told_and_skipped() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.txt"), "x").unwrap();
    fs::create_dir(at("sub")).unwrap();
    symlink("nowhere.txt", at("broken.txt")).unwrap();
    symlink("nowhere.txt", at("sub/broken.txt")).unwrap();
    symlink("..", at("sub/up")).unwrap();
    symlink("ping.txt", at("pong.txt")).unwrap();
    symlink("pong.txt", at("ping.txt")).unwrap();
    let found = find(&[folder.path()], Named::Now).unwrap();
    assert_eq!(names(&found, folder.path()), ["a.txt"]);
    let note = found.notes.join("\n");
    assert!(note.contains("4 broken links (broken.txt, …)"), "{note}");
    assert!(note.contains("1 link in a loop (sub/up)"), "{note}");
}

#[test]
fn a_file_that_is_given_twice_is_used_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.txt");
    fs::write(&file, "x").unwrap();
    let again = folder.path().join("../").join(folder.path().file_name().unwrap()).join("a.txt");
    let paths = [file.as_path(), folder.path(), &again];
    let found = find(&paths, Named::Now).unwrap();
    assert_eq!(names(&found, folder.path()), ["a.txt"]);
    let note = found.notes.join("\n");
    assert!(note.contains("used once") && note.matches("a.txt").count() == 2, "{note}");
    fs::write(folder.path().join("b.txt"), "x").unwrap();
    let found = find(&[folder.path()], Named::Now).unwrap();
    let digests: Vec<_> = found.sources.iter().map(|source| source.digest(None).unwrap()).collect();
    let note = equal_texts(&found.sources, &digests).unwrap();
    assert!(note.contains("a.txt and") && note.contains("b.txt"), "{note}");
}

#[test]
fn what_a_run_can_not_read_again_is_told_with_what_to_do() {
    for path in ["-", "/dev/fd/63", "/proc/self/fd/63", "nowhere.txt"] {
        let error = find(&[path], Named::Before("Give it with --data")).unwrap_err().to_string();
        assert!(error.contains(path) && error.contains("Give it with --data"), "{error}");
    }
}

#[test]
fn long_lists_are_cut() {
    let names = (0..1000).map(|i| i.to_string());
    assert_eq!(listed(names), "0, 1, 2, 3 and 996 more");
}
