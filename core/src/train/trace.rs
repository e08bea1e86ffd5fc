//! The receipt of a short run: everything that another framework needs to replay it, and the results.

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::events::StepEvent;
use super::inputs::{self, BatchSource, step_inputs};
use super::store::{self, Tensors, unpack};
use super::trainer::TrainError;
use crate::config::Config;
use crate::data::IGNORED_LABEL;
use crate::executor::{Executor, read_now, read_store};
use crate::model::{parameters, train_plan};
use crate::plan::Space;

/// Value of an ignored label in the file: PyTorch's `ignore_index`.
const IGNORED_IN_FILE: i64 = -100;

/// A traced run of `steps` steps.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The whole configuration.
    pub config: Config,
    /// Every parameter before the first step.
    pub init: Tensors,
    /// Every gradient of the first step, before clipping.
    pub grad: Tensors,
    /// Every parameter after the last step.
    pub last: Tensors,
    /// Token ids, `[steps, accumulation, rows, context]`.
    pub input_ids: Vec<i64>,
    /// The token to predict, or -100 for none; same shape.
    pub labels: Vec<i64>,
    /// 1 if the pair of this position and its target counts, else 0; same shape.
    pub nitp_mask: Vec<i64>,
    /// Position in the row of the first token of each position's document; same shape.
    pub document_starts: Vec<i64>,
    /// Numbers of each step.
    pub steps: Vec<StepEvent>,
}

impl Trace {
    /// Trains `steps` steps from these weights, and records them. Missing weights are initialised from the seed. `each`
    /// gets every step.
    ///
    /// # Errors
    /// Errors of the executor.
    pub fn record(
        config: &Config,
        executor: &mut dyn Executor,
        source: &dyn BatchSource,
        weights: &Tensors,
        steps: usize,
        mut each: impl FnMut(&StepEvent),
    ) -> Result<Self, TrainError> {
        let parameters = parameters(config);
        let plan = train_plan(config, executor.parameters());
        let plan = inputs::load_plan(executor, config, plan)?;
        store::initialize(executor, &parameters, config.train.seed, weights)?;
        let tensors = |executor: &mut dyn Executor, space| {
            let chunks = read_store(executor, space)?;
            Ok::<_, TrainError>(unpack(&parameters, executor.parameters(), &chunks))
        };
        let mut trace = Self {
            config: config.clone(),
            init: tensors(executor, Space::Parameter)?,
            grad: Tensors::new(),
            last: Tensors::new(),
            input_ids: Vec::new(),
            labels: Vec::new(),
            nitp_mask: Vec::new(),
            document_starts: Vec::new(),
            steps: Vec::new(),
        };
        let metrics = plan.source(plan.tensors.metrics);
        for step in 0..steps {
            for micro in 0..config.train.gradient_accumulation_steps {
                trace.note(&source.train(step, micro));
            }
            let inputs = step_inputs(config, &plan.inputs, source, step);
            executor.run(plan.id, &inputs, &[])?;
            let values = read_now(executor, metrics)?;
            let event = StepEvent::new(config, step, &values);
            each(&event);
            trace.steps.push(event);
            if step == 0 {
                trace.grad = tensors(executor, Space::Gradient)?;
                if let Some(scale) = trace.steps[0].loss_scale {
                    let gradients = trace.grad.values_mut().flat_map(|tensor| &mut tensor.data);
                    gradients.for_each(|gradient| *gradient /= scale as f32);
                }
            }
        }
        trace.last = tensors(executor, Space::Parameter)?;
        Ok(trace)
    }

    fn note(&mut self, batch: &crate::data::Batch) {
        let label = |&label: &u32| {
            if label == IGNORED_LABEL { IGNORED_IN_FILE } else { i64::from(label) }
        };
        self.input_ids.extend(batch.input_ids.iter().map(|&id| i64::from(id)));
        self.labels.extend(batch.labels.iter().map(label));
        self.nitp_mask.extend(batch.nitp_mask.iter().map(|&mask| i64::from(mask)));
        self.document_starts.extend(batch.document_starts.iter().map(|&start| i64::from(start)));
    }

    /// The file: `init/<name>`, `grad/<name>` and `final/<name>` in f32 under Hugging Face's
    /// names, the batches in i64 (`document_starts` only with `train.document_mask`), the curves
    /// `[steps]` in f64, and the configuration as JSON under
    /// the metadata's key `config`.
    pub fn to_safetensors(&self) -> Vec<u8> {
        let train = &self.config.train;
        let steps = self.steps.len();
        let mut entries: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        for (group, tensors) in [("init", &self.init), ("grad", &self.grad), ("final", &self.last)]
        {
            for (name, tensor) in tensors {
                let bytes = bytemuck::cast_slice(&tensor.data).to_vec();
                entries.push((format!("{group}/{name}"), Dtype::F32, tensor.shape.clone(), bytes));
            }
        }
        let shape =
            vec![steps, train.gradient_accumulation_steps, train.batch_size, train.context_length];
        let starts = ("document_starts", &self.document_starts);
        let inputs = [
            ("input_ids", &self.input_ids),
            ("labels", &self.labels),
            ("nitp_mask", &self.nitp_mask),
        ];
        for (name, values) in inputs.into_iter().chain(train.document_mask.then_some(starts)) {
            let bytes = bytemuck::cast_slice(values).to_vec();
            entries.push((name.to_owned(), Dtype::I64, shape.clone(), bytes));
        }
        let mut curve = |name: &str, value: fn(&StepEvent) -> Option<f64>| {
            // An objective that is off has no curve.
            let Some(values) = self.steps.iter().map(value).collect::<Option<Vec<_>>>() else {
                return;
            };
            let bytes = bytemuck::cast_slice(&values).to_vec();
            entries.push((name.to_owned(), Dtype::F64, vec![steps], bytes));
        };
        curve("loss", |step| Some(step.loss));
        curve("ntp_loss", |step| Some(step.ntp_loss));
        curve("nitp_loss", |step| Some(step.nitp_loss));
        curve("balance_loss", |step| Some(step.balance_loss));
        curve("mtp_loss", |step| step.rivals.mtp_loss);
        curve("nextlat_loss", |step| step.rivals.nextlat_loss);
        curve("nextlat_kl", |step| step.rivals.nextlat_kl);
        curve("top_loss", |step| step.rivals.top_loss);
        curve("grad_norm", |step| Some(step.grad_norm));
        curve("learning_rate", |step| Some(step.learning_rate));
        let views = entries.iter().map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes);
            (name, view.expect("a tensor's shape matches its data"))
        });
        let config = serde_json::to_string(&self.config).expect("plain data serialises");
        let metadata = [("config".to_owned(), config), ("format".to_owned(), "pt".to_owned())];
        safetensors::serialize(views, Some(metadata.into())).expect("views serialise")
    }
}
