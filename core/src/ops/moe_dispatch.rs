//! Sorts routed pairs by expert, so that each expert's rows are contiguous. No pair is dropped
//! (MegaBlocks, arXiv 2211.15841). A pair's id is `token * top_k + slot`.

use super::Op;
use crate::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use crate::numeric::Real;
use crate::tensor::{OpMemory, Use, View};

/// Largest number of rows of a tile of the grouped GEMM.
pub const TILE_ROWS: usize = 64;

/// Marks an unused entry of the tile list.
pub const NO_TILE: u32 = u32::MAX;

/// A stable counting sort of pairs by expert, and the tiles that cover the sorted rows.
///
/// Tile `i` covers the rows from `tile_row[i]` to the end of its expert's rows, [`TILE_ROWS`] at
/// most. The number of tiles depends on the routing and is known only on the device. The rest of the list is
/// [`NO_TILE`].
#[derive(Clone, Copy, Debug)]
pub struct MoeDispatch {
    /// Expert of each pair, u32 `[pairs]`.
    pub experts: View,
    /// Pairs of each expert, u32 `[num_experts]`.
    pub counts: View,
    /// First sorted row of each expert, then `pairs`: u32 `[num_experts + 1]`.
    pub offsets: View,
    /// Pair id of each sorted row, u32 `[pairs]`.
    pub order: View,
    /// Sorted row of each pair id, u32 `[pairs]`.
    pub position: View,
    /// Expert of each tile, u32 `[MoeDispatch::max_tiles(pairs, num_experts)]`.
    pub tile_expert: View,
    /// First sorted row of each tile, u32, like `tile_expert`.
    pub tile_row: View,
    /// Scratch for the GPU, u32 `[MoeDispatch::chunks(pairs), num_experts]`.
    pub chunk_counts: View,
    /// Scratch for the GPU, u32 `[num_experts + 1]`.
    pub tile_offsets: View,
    /// Number of routed pairs: `tokens * top_k`.
    pub pairs: usize,
    /// Number of routed experts.
    pub num_experts: usize,
}

impl MoeDispatch {
    /// Pairs that one thread of the GPU searches for its expert.
    /// Two passes read every pair once for each expert: `2 * pairs * num_experts` comparisons without atomics or
    /// barriers, thousands of times less than the experts' own work.
    const CHUNK: usize = 256;

    /// Rows of `chunk_counts`.
    pub fn chunks(pairs: usize) -> usize {
        pairs.div_ceil(Self::CHUNK)
    }

    /// Length of the tile list: enough for any routing, because each expert has at most one partial tile.
    pub fn max_tiles(pairs: usize, num_experts: usize) -> usize {
        pairs.div_ceil(TILE_ROWS) + num_experts
    }
}

impl Op for MoeDispatch {
    fn name(&self) -> &'static str {
        "moe_dispatch"
    }

    fn uses(&self) -> Vec<Use> {
        vec![
            Use::read(self.experts),
            Use::write(self.counts),
            Use::write(self.offsets),
            Use::write(self.order),
            Use::write(self.position),
            Use::write(self.tile_expert),
            Use::write(self.tile_row),
            Use::write(self.chunk_counts),
            Use::write(self.tile_offsets),
        ]
    }

    fn flops(&self) -> f64 {
        0.0
    }

    /// Also the fast path: three passes over integers.
    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        let experts = memory.read_u32(self.experts);
        let (counts, offsets) = (memory.write_u32(self.counts), memory.write_u32(self.offsets));
        let (order, position) = (memory.write_u32(self.order), memory.write_u32(self.position));
        counts.fill(0);
        for &expert in experts {
            counts[expert as usize] += 1;
        }
        offsets[0] = 0;
        for e in 0..self.num_experts {
            offsets[e + 1] = offsets[e] + counts[e];
        }
        let mut next = offsets.to_vec();
        for (pair, &expert) in experts.iter().enumerate() {
            let row = &mut next[expert as usize];
            order[*row as usize] = pair as u32;
            position[pair] = *row;
            *row += 1;
        }
        let tile_expert = memory.write_u32(self.tile_expert);
        let tile_row = memory.write_u32(self.tile_row);
        tile_expert.fill(NO_TILE);
        tile_row.fill(NO_TILE);
        let tiles = (0..self.num_experts).flat_map(|e| {
            (offsets[e]..offsets[e + 1]).step_by(TILE_ROWS).map(move |row| (e as u32, row))
        });
        for (tile, (expert, row)) in tiles.enumerate() {
            tile_expert[tile] = expert;
            tile_row[tile] = row;
        }
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        const THREADS: usize = 64;
        let chunks = Self::chunks(self.pairs);
        let tiles = Self::max_tiles(self.pairs, self.num_experts);
        let dispatch = |entry, bindings, grid| Dispatch {
            kernel: Kernel { module: Module::Shader("moe_dispatch"), entry, constants: Vec::new() },
            bindings,
            uniform: Uniform::new()
                .size(self.pairs)
                .size(self.num_experts)
                .size(chunks)
                .size(Self::CHUNK)
                .size(tiles)
                .size(TILE_ROWS),
            grid,
        };
        let chunk_grid = linear_grid((chunks * self.num_experts).div_ceil(THREADS));
        vec![
            dispatch(
                "moe_count",
                vec![("experts", self.experts), ("chunk_counts", self.chunk_counts)],
                chunk_grid,
            ),
            dispatch(
                "moe_scan_chunks",
                vec![("counts", self.counts), ("chunk_counts", self.chunk_counts)],
                linear_grid(self.num_experts),
            ),
            dispatch(
                "moe_scan_experts",
                vec![
                    ("counts", self.counts),
                    ("offsets", self.offsets),
                    ("tile_offsets", self.tile_offsets),
                ],
                [1, 1, 1],
            ),
            dispatch(
                "moe_scatter",
                vec![
                    ("experts", self.experts),
                    ("chunk_counts", self.chunk_counts),
                    ("offsets", self.offsets),
                    ("order", self.order),
                    ("position", self.position),
                ],
                chunk_grid,
            ),
            dispatch(
                "moe_tiles",
                vec![
                    ("tile_expert", self.tile_expert),
                    ("offsets", self.offsets),
                    ("tile_offsets", self.tile_offsets),
                    ("tile_row", self.tile_row),
                ],
                linear_grid(tiles.div_ceil(THREADS)),
            ),
        ]
    }
}
