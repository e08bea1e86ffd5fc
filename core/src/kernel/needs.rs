//! Requirements of a variant, and capabilities of an adapter.

/// Requirements of kernels beyond WebGPU's guarantees. 16-bit numbers are not listed, because the bindings of a
/// dispatch tell whether it needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Least number of threads in a subgroup; 0 if the kernels use no subgroups.
    pub subgroup: usize,
    /// Whether pieces of matrices are multiplied by the adapter's matrix units
    /// (`shaders/include/matrix_*.wgsl`).
    pub matrices: bool,
    /// Bytes of workgroup memory; 0 if WebGPU's guaranteed size is enough.
    pub shared: usize,
}

/// How an adapter multiplies pieces of matrices, with factors in f16 and sums in f32. Chooses the snippet for `#include
/// "matrix"` in kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Matrices {
    /// Not at all.
    #[default]
    None,
    /// By plain code with the same results: slow, for tests, on any adapter with 16-bit numbers.
    Emulated,
    /// By matrix units for 8 x 8 x 8.
    Units8,
    /// By matrix units for 16 x 16 x 16.
    Units16,
}

impl Matrices {
    /// Whether this program has kernels for matrix units. The page has none: browsers give no access to matrix units,
    /// and the page must be small.
    pub(crate) const IN_PROGRAM: bool = cfg!(not(target_arch = "wasm32"));

    /// Name of the snippet in `shaders/include/`.
    pub(crate) fn snippet(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Emulated => Some("matrix_emulated"),
            Self::Units8 => Some("matrix_units8"),
            Self::Units16 => Some("matrix_units16"),
        }
    }
}

/// The capabilities of an adapter that [`Needs`] refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether kernels may hold numbers in 16 bits.
    pub half: bool,
    /// Threads of its smallest and its largest subgroup; 0 without subgroups.
    pub subgroup: [usize; 2],
    /// How it multiplies pieces of matrices.
    pub matrices: Matrices,
    /// Bytes of workgroup memory.
    pub shared: usize,
}

impl Capabilities {
    /// WebGPU's guarantees for any adapter.
    pub const PROMISED: Self =
        Self { half: false, subgroup: [0; 2], matrices: Matrices::None, shared: 16_384 };
}

impl Needs {
    /// Whether this program has kernels that need subgroups. The page has none: wgpu has no subgroups in browsers, and
    /// the page must be small.
    pub(crate) const SUBGROUPS_IN_PROGRAM: bool = cfg!(not(target_arch = "wasm32"));

    /// Needs of matrix units and of this much workgroup memory.
    pub fn matrices(shared: usize) -> Self {
        Self { matrices: true, shared, ..Self::default() }
    }

    /// The first need that an adapter does not meet, in words; none if it meets all.
    pub fn missing(&self, has: &Capabilities) -> Option<String> {
        let [smallest, _] = has.subgroup;
        if self.subgroup > smallest {
            return Some(match smallest {
                0 => "the adapter has no subgroups".to_owned(),
                _ => format!("subgroups of {} threads; here are {smallest}", self.subgroup),
            });
        }
        if self.matrices && has.matrices == Matrices::None {
            return Some("the adapter has no matrix units for halves with sums in f32".to_owned());
        }
        if self.shared > has.shared {
            let (wanted, has) = (self.shared, has.shared);
            return Some(format!("{wanted} bytes of workgroup memory; here are {has}"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let has = Capabilities { subgroup: [4, 32], ..Capabilities::PROMISED };
        assert_eq!(Needs::default().missing(&Capabilities::PROMISED), None);
        let subgroups = Needs { subgroup: 8, ..Needs::default() };
        assert_eq!(subgroups.missing(&has).unwrap(), "subgroups of 8 threads; here are 4");
        let none = subgroups.missing(&Capabilities::PROMISED).unwrap();
        assert_eq!(none, "the adapter has no subgroups");
        let matrices = Needs::matrices(0);
        assert!(matrices.missing(&has).unwrap().contains("matrix units"));
        for matrices_of in [Matrices::Emulated, Matrices::Units8, Matrices::Units16] {
            assert_eq!(matrices.missing(&Capabilities { matrices: matrices_of, ..has }), None);
        }
        let much = Needs { shared: 16_385, ..Needs::default() };
        assert!(much.missing(&has).unwrap().starts_with("16385 bytes of workgroup memory"));
    }
}
