//! Guarantees of a run: bitwise reproducibility, exact resume, one submission per step, flat memory, and an error
//! message at its end.

use std::ops::ControlFlow;

use nitp_core::config::Config;
use nitp_core::executor::{Executor, ExecutorError};
use nitp_core::gpu::{DeviceRequest, GpuExecutor, open};
use nitp_core::model::parameters;
use nitp_core::train::{
    BatchSource, Checkpoint, Evaluator, Event, Origin, Prober, Progress, Start, TrainError,
    Trainer, initialize,
};
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
                    step.tokens_per_second = None; // the one number that differs
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
    // Through the bytes of files, as in apps.
    let files: Vec<_> = half.to_files().collect();
    let origin = Origin { path: "test", step: Some(at) };
    let half = Checkpoint::from_files(origin, &config, &files[0].1, &files[1].1, &files[2].1)
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
fn cpu_mixed_precision() {
    same_bits_and_exact_resume(&["train.precision=mixed"], |config| {
        Box::new(fast_executor(config))
    });
}

#[test]
fn cpu_mixed_precision_moe_with_accumulation() {
    let more = ["train.precision=mixed", "train.gradient_accumulation_steps=2"];
    same_bits_and_exact_resume(&[MOE, &more].concat(), |config| Box::new(fast_executor(config)));
}

#[test]
fn gpu_mixed_precision() {
    let sets = [MOE, &["train.precision=mixed"]].concat();
    same_bits_and_exact_resume(&sets, |config| Box::new(gpu_executor(config)));
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
        steps.executor.run(steps.plan.id, &inputs, &[]).expect("a step runs");
        assert_eq!(steps.executor.submissions(), before + 1);
        assert_eq!(steps.executor.allocated_bytes(), bytes);
    }
}

#[test]
fn a_lost_device_ends_the_run_with_words() {
    let config = config(&["train.steps=100000", "train.checkpoint_interval=3"]);
    // A separate device, because other tests continue with theirs.
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
    assert!(error.to_string().contains("Checkpoints are intact"), "{error}");
    // The saved checkpoint is whole, and another device continues from it.
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

/// On a GPU several steps are pending, so earlier results arrive together with the failing step.
#[test]
fn what_was_done_before_a_failure_is_told() {
    let sets = ["train.learning_rate=1e30", "train.grad_clip=0", "train.steps=50"];
    let config = config(&[&sets[..], &["train.checkpoint_interval=1"]].concat());
    let source = Box::new(RandomBatches::new(&config));
    let executor = Box::new(gpu_executor(&config));
    let mut trainer = Trainer::new(&config, executor, source, Start::Seed).expect("it fits");
    let (mut steps, mut checkpoints) = (0, 0);
    let error = trainer
        .run(|_, event| {
            steps += usize::from(matches!(event, Event::Step(_)));
            checkpoints += usize::from(matches!(event, Event::Checkpoint(_)));
            ControlFlow::Continue(())
        })
        .expect_err("the run diverges");
    let TrainError::NotFinite { step, .. } = error else { panic!("{error}") };
    assert_eq!((steps, checkpoints), (step - 1, step - 1));
}

#[test]
fn a_held_run_goes_no_further_and_saves_when_asked() {
    let config = config(&["train.steps=9"]);
    let source = Box::new(RandomBatches::new(&config));
    let executor = Box::new(fast_executor(&config));
    let mut trainer = Trainer::new(&config, executor, source, Start::Seed).expect("it fits");
    trainer.hold_at(4);
    while trainer.advance().expect("it runs") == Progress::Submitted {}
    assert_eq!((trainer.submitted(), trainer.step(), trainer.is_idle()), (4, 4, true));
    trainer.save();
    trainer.save();
    while trainer.advance().expect("it runs") == Progress::Submitted {}
    let saved = trainer.events().filter(|event| matches!(event, Event::Checkpoint(_))).count();
    assert_eq!(saved, 1);
    trainer.hold_at(usize::MAX);
    while trainer.advance().expect("it runs") != Progress::Finished {}
    assert_eq!(trainer.step(), 9);
}

/// A step that is already submitted: in an earlier version the end was never planned, and the run waited forever.
#[test]
fn a_run_that_is_to_stop_where_it_is_ends() {
    for (submitted, stop_at) in [(0, 0), (3, 3), (3, 1)] {
        let config = config(&["train.steps=9", "train.checkpoint_interval=0"]);
        let source = Box::new(RandomBatches::new(&config));
        let executor = Box::new(fast_executor(&config));
        let mut trainer = Trainer::new(&config, executor, source, Start::Seed).expect("it fits");
        trainer.hold_at(submitted);
        while trainer.advance().expect("it runs") != Progress::Held {}
        trainer.stop_at(stop_at);
        let mut saved = 0;
        trainer
            .run(|_, event| {
                saved += usize::from(matches!(event, Event::Checkpoint(_)));
                ControlFlow::Continue(())
            })
            .expect("it ends");
        assert_eq!((trainer.step(), saved), (submitted, 1));
    }
}

#[test]
fn a_run_that_waits_for_nothing_fails_with_words() {
    let config = config(&["train.steps=9"]);
    let source = Box::new(RandomBatches::new(&config));
    let executor = Box::new(fast_executor(&config));
    let mut trainer = Trainer::new(&config, executor, source, Start::Seed).expect("it fits");
    trainer.hold_at(2);
    let error = trainer.run(|_, _| ControlFlow::Continue(())).expect_err("it is held");
    assert!(matches!(error, TrainError::Stuck { submitted: 2, end: 9, .. }), "{error}");
    // After a failure there is nothing left to do.
    assert_eq!(trainer.advance().expect("it is over"), Progress::Finished);
}

/// The losses of the last step belong to the weights before it.
#[test]
fn a_checkpoint_with_weights_that_are_no_numbers_is_never_told() {
    let sets = ["train.steps=1", "train.learning_rate=1e300", "train.eval_interval=0"];
    let config = config(&sets);
    let source = Box::new(RandomBatches::new(&config));
    let executor = Box::new(fast_executor(&config));
    let mut trainer = Trainer::new(&config, executor, source, Start::Seed).expect("it fits");
    let mut told = 0;
    let error = trainer
        .run(|_, event| {
            told += usize::from(matches!(event, Event::Checkpoint(_)));
            ControlFlow::Continue(())
        })
        .expect_err("the weights are infinite");
    let TrainError::NotFinite { step: 1, what: "a weight", .. } = error else { panic!("{error}") };
    assert_eq!(told, 0);
}

#[test]
fn a_probe_sees_what_an_evaluation_computes() {
    for device in [false, true] {
        let config = config(&[MOE, &["train.batch_size=1"]].concat());
        let mut executor: Box<dyn Executor> =
            if device { Box::new(gpu_executor(&config)) } else { Box::new(fast_executor(&config)) };
        let executor = executor.as_mut();
        let parameters = parameters(&config);
        initialize(executor, &parameters, 0, &Default::default()).expect("it fits");
        let batch = RandomBatches::new(&config).validation(0);
        let evaluator = Evaluator::new(executor, &config).expect("it fits");
        let hidden = evaluator.hidden_now(executor, &batch).expect("it runs");
        let prober = Prober::new(executor, &config).expect("it fits");
        // The first tokens of a row don't depend on the later ones.
        let tokens = &batch.input_ids[..batch.input_ids.len() - 3];
        let mut reads = prober.submit(executor, tokens).expect("it runs");
        executor.wait().expect("it arrives");
        let probe = prober.collect(executor, &mut reads).expect("it runs").expect("it arrived");
        let width = config.model.hidden_size;
        assert_eq!(probe.hidden.len(), tokens.len() * width);
        assert_eq!(probe.target.len(), probe.hidden.len());
        for (found, expected) in probe.hidden.iter().zip(&hidden) {
            assert!((found - expected).abs() < 1e-4, "{found} and {expected}");
        }
        let experts = config.model.moe.as_ref().expect("a mixture").num_experts;
        assert!(!probe.router_probs.is_empty());
        for (_, probs) in &probe.router_probs {
            assert_eq!(probs.len(), tokens.len() * experts);
            for row in probs.chunks_exact(experts) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            }
        }
    }
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

impl BatchSource for Repeated {
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
