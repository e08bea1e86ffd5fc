//! The seeds of the fuzz targets, and the inputs that were findings once, do no harm.

use std::fs;
use std::path::Path;

// The fuzz targets are a workspace of their own, which nothing here may depend on: fuzz/README.md.
#[path = "../../fuzz/src/targets.rs"]
mod targets;

/// What the names of inputs begin with that were findings. All others are accepted.
const FINDING: &str = "finding-";

#[test]
fn every_seed_is_read_without_a_panic() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    for (name, target) in targets::TARGETS {
        let files = fs::read_dir(seeds.join(name)).unwrap();
        let paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        assert!(!paths.is_empty(), "{name} has seeds");
        for path in paths {
            // Shown if the target panics.
            println!("{}", path.display());
            let accepted = target(&fs::read(&path).unwrap());
            let is_finding = path.file_name().unwrap().to_str().unwrap().starts_with(FINDING);
            assert!(accepted || is_finding, "{}", path.display());
        }
    }
}
