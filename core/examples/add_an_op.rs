//! An op that the library doesn't have, with its kernel: `y = x²`, element by element. One plan runs it on the CPU and,
//! where there is an adapter, on a GPU.
//!
//! ```sh
//! cargo run --release -p nitp-core --example add_an_op
//! ```
//!
//! An op of the library itself is a file of `core/src/ops` (CONTRIBUTING.md).

use anyhow::Result;
use nitp_core::cpu::CpuExecutor;
use nitp_core::executor::{Executor, MicroInputs, Source, take_now};
use nitp_core::gpu::{DeviceRequest, GpuExecutor, open};
use nitp_core::kernel::{Dispatch, Kernel, Module, Uniform, linear_grid};
use nitp_core::numeric::Real;
use nitp_core::ops::Op;
use nitp_core::plan::{Limits, ParameterLayout, PlanBuilder};
use nitp_core::tensor::{DType, OpMemory, Role, Use, View};

const TEXT: &str = "
@group(0) @binding(0) var<uniform> count: u32;
storage x: f32; // [count]
storage y: f32; // [count]

@compute @workgroup_size(64)
fn square(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * 64 + lane;
    if i < count { y[i] = x[i] * x[i]; }
}
";

/// `y = x²`.
#[derive(Debug)]
struct Square {
    x: View,
    y: View,
}

impl Op for Square {
    fn name(&self) -> &'static str {
        "square"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::read(self.x), Use::write(self.y)]
    }

    fn flops(&self) -> f64 {
        self.y.len as f64
    }

    // In f32 it runs, in f64 it judges.
    fn twin<R: Real>(&self, memory: &OpMemory<R>) {
        for (y, &x) in memory.write(self.y).iter_mut().zip(memory.read(self.x)) {
            *y = x * x;
        }
    }

    fn dispatches(&self) -> Vec<Dispatch> {
        vec![Dispatch {
            kernel: Kernel {
                module: Module::Own("square", TEXT),
                entry: "square",
                constants: Vec::new(),
            },
            bindings: vec![("x", self.x), ("y", self.y)],
            uniform: Uniform::new().size(self.y.len),
            grid: linear_grid(self.y.len.div_ceil(64)),
        }]
    }
}

fn run(executor: &mut dyn Executor) -> Result<()> {
    let mut builder = PlanBuilder::new("squares");
    let x = builder.shared("x", &[5], DType::Real, Role::Input);
    let y = builder.shared("y", &[5], DType::Real, Role::State);
    builder.push(Square { x, y });
    let plan = executor.load(builder.finish())?;
    let inputs = MicroInputs { reals: vec![(x.id, vec![1.0, 2.0, 3.0, 4.0, 5.0])], ints: vec![] };
    let tickets = executor.run(plan, &[inputs], &[Source::Tensor { plan, view: y }])?;
    let squares = take_now(executor, tickets[0])?;
    println!("{}: {squares:?}", executor.description());
    anyhow::ensure!(squares == [1.0, 4.0, 9.0, 16.0, 25.0]);
    Ok(())
}

fn main() -> Result<()> {
    // The ops of this plan have no weights.
    let no_parameters = || ParameterLayout::new(std::iter::empty(), Limits::NONE);
    run(&mut CpuExecutor::fast(no_parameters()?))?;
    match pollster::block_on(open(&DeviceRequest::AnyGpu)) {
        Ok(device) => run(&mut GpuExecutor::new(device, no_parameters()?)?)?,
        Err(error) => println!("no GPU: {error}"),
    }
    Ok(())
}
