//! Tensors from PyTorch.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use safetensors::{Dtype, SafeTensors};

/// A file of `tests/vectors`.
pub struct Vectors {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
    metadata: HashMap<String, String>,
}

impl Vectors {
    /// Their folder.
    pub fn folder() -> PathBuf {
        let built = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors");
        // On a machine to which only the program was copied, they are in the working folder.
        if built.is_dir() { built } else { PathBuf::from("vectors") }
    }

    /// The names of all files, without `.safetensors`.
    pub fn list() -> BTreeSet<String> {
        let folder = std::fs::read_dir(Self::folder()).expect("tests/vectors is committed");
        folder
            .filter_map(|entry| {
                let name = entry.expect("a readable folder").file_name();
                let name = name.to_str().expect("an ASCII name");
                Some(name.strip_suffix(".safetensors")?.to_owned())
            })
            .collect()
    }

    /// Reads a file of [`Vectors::list`].
    pub fn load(name: &str) -> Self {
        let path = Self::folder().join(format!("{name}.safetensors"));
        let bytes = std::fs::read(&path)
            .unwrap_or_else(|error| panic!("{} is committed: {error}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors header");
        let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let tensors = file.iter().map(|(name, tensor)| {
            let data = tensor.data();
            // Each of these types fits an f64: token ids and labels are small.
            let data = match tensor.dtype() {
                Dtype::F32 => numbers(data, |b| f64::from(f32::from_le_bytes(b))),
                Dtype::F64 => numbers(data, f64::from_le_bytes),
                Dtype::I64 => numbers(data, |b| i64::from_le_bytes(b) as f64),
                other => panic!("{name} holds {other:?}"),
            };
            (name.to_owned(), (tensor.shape().to_vec(), data))
        });
        Self { tensors: tensors.collect(), metadata: header.metadata().clone().unwrap_or_default() }
    }

    /// The names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    fn tensor(&self, name: &str) -> &(Vec<usize>, Vec<f64>) {
        self.tensors.get(name).unwrap_or_else(|| panic!("the file has no {name}"))
    }

    /// Row-major extents of a tensor.
    pub fn shape(&self, name: &str) -> &[usize] {
        &self.tensor(name).0
    }

    /// The elements of a tensor.
    pub fn get(&self, name: &str) -> &[f64] {
        &self.tensor(name).1
    }

    /// An entry of the file's metadata.
    pub fn metadata(&self, key: &str) -> &str {
        self.metadata.get(key).unwrap_or_else(|| panic!("the file's metadata has no {key}"))
    }
}

fn numbers<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.as_chunks::<N>().0.iter().map(|&bytes| read(bytes)).collect()
}
