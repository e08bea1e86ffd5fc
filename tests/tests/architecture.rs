//! The table of modules in ARCHITECTURE.md agrees with the code. The check reads `crate::` in the text, up to the tests of
//! a file, which may use any module.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows of the table, from the top: modules, and the modules that they use.
fn table() -> Vec<(BTreeSet<String>, BTreeSet<String>)> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("it is committed");
    let (_, table) = text.split_once("| module | modules that it uses |\n").expect("the table");
    let names = |cell: &str| -> BTreeSet<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let rows = table.lines().skip(1).map_while(|line| line.strip_prefix("| "));
    let cells = rows.map(|row| row.split_once(" | ").expect("two cells"));
    cells.map(|(modules, used)| (names(modules), names(used))).collect()
}

/// The files of a folder whose names end in `.rs`, without those of tests.
fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
    let is_test = |path: &Path| path.components().any(|it| it.as_os_str() == "tests");
    found.retain(|path| !is_test(path.strip_prefix(folder).expect("it is inside")));
    Ok(found)
}

/// For each module of the core, the other modules that its code names by `crate::`.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let folder = root().join("core/src");
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in sources(&folder).expect("the core's folder") {
        let below = path.strip_prefix(&folder).expect("it is inside");
        let first = below.components().next().expect("a name").as_os_str().to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        // `tests.rs` of a module has no name in the crate.
        if module == "lib" || path.file_stem().is_some_and(|it| it == "tests") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("text");
        let code = text.split("#[cfg(test)]\nmod").next().expect("at least one part");
        let used = uses.entry(module.clone()).or_default();
        for line in code.lines() {
            let line = line.split("//").next().expect("at least one part");
            for rest in line.split("crate::").skip(1) {
                let name: String =
                    rest.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect();
                assert!(!name.is_empty(), "{}: a list after `crate::`", path.display());
                if name != module {
                    used.insert(name);
                }
            }
        }
    }
    uses
}

#[test]
fn modules_use_each_other_in_one_direction() {
    let mut expected = BTreeMap::new();
    let mut earlier = BTreeSet::new();
    for (modules, used) in table() {
        assert!(used.is_subset(&earlier), "{modules:?} use modules of later rows: {used:?}");
        earlier.extend(modules.iter().cloned());
        expected.extend(modules.into_iter().map(|module| (module, used.clone())));
    }
    assert_eq!(uses(), expected, "the code, and the table of ARCHITECTURE.md");
}
