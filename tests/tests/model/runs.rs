//! What a run promises: the same bits twice, exact resume, one submission a step, flat memory, and
//! an end with words.

use std::ops::ControlFlow;

use nitp_core::config::Config;
use nitp_core::executor::{Executor, ExecutorError};
use nitp_core::gpu::{DeviceRequest, GpuExecutor, open};
use nitp_core::model::parameters;
use nitp_core::train::{Checkpoint, Event, Start, TrainError, Trainer};
use nitp_tests::model_case::{
    MOE, RandomBatches, Steps, config, fast_executor, gpu_executor, initial_weights, layout,
};

/// Runs to the end, or stops after the event of step `stop`; the last checkpoint and all step
/// events as JSON.
fn run(
    config: &Config,
    executor: Box<dyn Executor>,
    start: Start,
    stop: usize,
) -> (Checkpoint, Vec<Event>) {
    let source = Box::new(RandomBatches::new(config));
    let mut trainer = Trainer::new(config, executor, source, start).expect("it fits");
    let (mut last, mut steps) = (None, Vec::new());
    trainer
        .run(|_, event| {
            let stopping = matches!(&event, Event::Step(step) if step.step == stop);
            match event {
                Event::Checkpoint(event) => last = Some(*event.checkpoint),
                Event::Step(mut step) => {
                    step.tokens_per_second = 0.0; // the one number that differs
                    steps.push(Event::Step(step));
                }
                _ => {}
            }
            if stopping { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("the run is fine");
    (last.expect("the last step leaves a checkpoint"), steps)
}

fn same_bits_and_exact_resume(sets: &[&str], executor: impl Fn(&Config) -> Box<dyn Executor>) {
    let intervals =
        ["train.eval_interval=3", "train.geometry_interval=4", "train.checkpoint_interval=0"];
    let config = config(&[sets, &intervals].concat());
    let (whole, steps) = run(&config, executor(&config), Start::Seed, usize::MAX);
    assert_eq!(steps.len(), 10);
    let (again, _) = run(&config, executor(&config), Start::Seed, usize::MAX);
    assert!(whole == again, "the same run gave other bits");

    let (half, _) = run(&config, executor(&config), Start::Seed, 4);
    let at = half.state.step;
    assert!((4..8).contains(&at), "stopped at {at}");
    // Through the bytes of files, as apps do.
    let files: Vec<_> = half.to_files().collect();
    let half =
        Checkpoint::from_files("test", &parameters(&config), &files[0].1, &files[1].1, &files[2].1)
            .expect("what was written can be read");
    let (resumed, rest) =
        run(&config, executor(&config), Start::Checkpoint(Box::new(half)), usize::MAX);
    assert_eq!(rest, steps[at..]);
    assert!(resumed == whole, "resuming gave other bits");
}

#[test]
fn cpu_dense() {
    same_bits_and_exact_resume(&[], |config| Box::new(fast_executor(config)));
}

#[test]
fn cpu_moe_with_accumulation() {
    let sets = [MOE, &["train.gradient_accumulation_steps=2"]].concat();
    same_bits_and_exact_resume(&sets, |config| Box::new(fast_executor(config)));
}

#[test]
fn gpu_dense() {
    same_bits_and_exact_resume(&[], |config| Box::new(gpu_executor(config)));
}

#[test]
fn gpu_moe() {
    same_bits_and_exact_resume(MOE, |config| Box::new(gpu_executor(config)));
}

#[test]
fn a_gpu_step_is_one_submission_and_memory_stays_flat() {
    let config = config(&[MOE, &["train.gradient_accumulation_steps=2"]].concat());
    let source = Box::new(RandomBatches::new(&config));
    let mut steps = Steps::new(gpu_executor(&config), &config, &initial_weights(&config), source);
    steps.step(0, None);
    let bytes = steps.executor.allocated_bytes();
    for step in 1..6 {
        let inputs = steps.inputs(step, None);
        let before = steps.executor.submissions();
        steps.executor.run(steps.plan, &inputs, &[]).expect("a step runs");
        assert_eq!(steps.executor.submissions(), before + 1);
        assert_eq!(steps.executor.allocated_bytes(), bytes);
    }
}

#[test]
fn a_lost_device_ends_the_run_with_words() {
    let config = config(&["train.steps=100000", "train.checkpoint_interval=3"]);
    // A device of its own: other tests go on with theirs.
    let device = pollster::block_on(open(&DeviceRequest::AnyGpu)).expect("a Vulkan adapter");
    let layout = layout(&parameters(&config));
    let executor = Box::new(GpuExecutor::new(device.clone(), layout).expect("it fits"));
    let source = Box::new(RandomBatches::new(&config));
    let mut trainer = Trainer::new(&config, executor, source, Start::Seed).expect("it fits");
    let mut kept = None;
    let error = trainer
        .run(|_, event| {
            if let Event::Checkpoint(event) = event {
                kept = Some(*event.checkpoint);
                device.destroy();
            }
            ControlFlow::Continue(())
        })
        .expect_err("the device is gone");
    let TrainError::Executor(ExecutorError::DeviceLost { .. }) = &error else { panic!("{error}") };
    assert!(error.to_string().contains("--resume"), "{error}");
    // What was kept is whole: another device goes on with it.
    let kept = kept.expect("a checkpoint came before");
    let step = kept.state.step;
    let start = Start::Checkpoint(Box::new(kept));
    let (_, steps) = run(&config, Box::new(gpu_executor(&config)), start, step + 2);
    assert!(steps.len() >= 2);
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_before_it_saves_anything() {
    let config = config(&["train.learning_rate=1e30", "train.grad_clip=0", "train.steps=50"]);
    let source = Box::new(RandomBatches::new(&config));
    let executor = Box::new(fast_executor(&config));
    let mut trainer = Trainer::new(&config, executor, source, Start::Seed).expect("it fits");
    let mut checkpoints = 0;
    let error = trainer
        .run(|_, event| {
            checkpoints += usize::from(matches!(event, Event::Checkpoint(_)));
            ControlFlow::Continue(())
        })
        .expect_err("the run diverges");
    assert!(matches!(error, TrainError::NotFinite { .. }), "{error}");
    assert_eq!(checkpoints, 0);
}

#[test]
fn losses_fall() {
    let config = config(&["train.steps=30", "train.learning_rate=0.02"]);
    let source = Box::new(Repeated(RandomBatches::new(&config)));
    let mut steps = Steps::new(fast_executor(&config), &config, &initial_weights(&config), source);
    let first = steps.step(0, None);
    let last = (1..30).map(|step| steps.step(step, None)).last().expect("steps");
    assert!(last.ntp_loss < 0.5 * first.ntp_loss, "{first:?} to {last:?}");
    assert!(last.nitp_loss < 0.7 * first.nitp_loss, "{first:?} to {last:?}");
}

/// The same batch every time.
struct Repeated(RandomBatches);

impl nitp_core::train::BatchSource for Repeated {
    fn train(&self, _step: usize, _micro: usize) -> nitp_core::data::Batch {
        self.0.train(0, 0)
    }
    fn validation_batches(&self) -> usize {
        0
    }
    fn validation(&self, index: usize) -> nitp_core::data::Batch {
        self.0.validation(index)
    }
    fn fingerprint(&self) -> &str {
        "repeated"
    }
}
