//! Conversion between the packed parameter store and tensors by file name.

use std::collections::BTreeMap;

use crate::executor::{Executor, ExecutorError};
use crate::model::{Parameter, Part, initial_values};
use crate::plan::{ParameterLayout, Space};

/// Tensors by file name, in f32.
pub type Tensors = BTreeMap<String, Tensor>;

/// A tensor outside of any plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Row-major extents.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Vec<f32>,
}

/// Every part of every parameter with its place: `(part, chunk, first element)`.
fn places<'a>(
    parameters: &'a [Parameter],
    layout: &'a ParameterLayout,
) -> impl Iterator<Item = (&'a Part, usize, usize)> {
    parameters.iter().flat_map(move |parameter| {
        let (chunk, base) = layout.place(&parameter.name).expect("the layout holds them all");
        parameter.parts.iter().map(move |part| (part, chunk, base + part.offset))
    })
}

/// Packs the tensors that `values` returns for each part (`None`: zeros) into the chunks of a store space.
pub fn pack(
    parameters: &[Parameter],
    layout: &ParameterLayout,
    mut values: impl FnMut(&Part) -> Option<Vec<f32>>,
) -> Vec<Vec<f32>> {
    let mut chunks: Vec<Vec<f32>> = layout.chunks.iter().map(|&len| vec![0.0; len]).collect();
    for (part, chunk, first) in places(parameters, layout) {
        if let Some(data) = values(part) {
            chunks[chunk][first..first + part.len()].copy_from_slice(&data);
        }
    }
    chunks
}

/// The tensors in the chunks of a store space.
pub fn unpack(parameters: &[Parameter], layout: &ParameterLayout, chunks: &[Vec<f32>]) -> Tensors {
    places(parameters, layout)
        .map(|(part, chunk, first)| {
            let data = chunks[chunk][first..first + part.len()].to_vec();
            (part.name.clone(), Tensor { shape: part.shape.clone(), data })
        })
        .collect()
}

/// Writes these weights, and the initial values of the seed for missing tensors. Moments are zero.
///
/// # Errors
/// Errors of the executor.
pub fn initialize(
    executor: &mut dyn Executor,
    parameters: &[Parameter],
    seed: u64,
    weights: &Tensors,
) -> Result<(), ExecutorError> {
    let chunks = pack(parameters, executor.parameters(), |part| {
        let given = weights.get(&part.name).map(|tensor| tensor.data.clone());
        Some(given.unwrap_or_else(|| initial_values(seed, part)))
    });
    write(executor, Space::Parameter, &chunks)
}

/// Overwrites a store space.
///
/// # Errors
/// Errors of the executor.
pub fn write(
    executor: &mut dyn Executor,
    space: Space,
    chunks: &[Vec<f32>],
) -> Result<(), ExecutorError> {
    chunks.iter().enumerate().try_for_each(|(chunk, data)| executor.write_store(space, chunk, data))
}
