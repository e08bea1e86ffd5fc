//! The whole model as a plan: training (forward, backward, clip, optimizer), evaluation (losses and
//! last hidden states), losses of single tokens, generation (logits after one token, with a cache), probing
//! (all of a row's states).

use super::block::{Block, BlockOf};
use super::context::Context;
use super::head::{GradientTo, TokenLoss, unembedding};
use super::mtp_head::mtp;
use super::nextlat_head::nextlat;
use super::nitp_head::{States, nitp};
use super::norm::{Norm, Stream};
use super::optimizer::update;
use super::planned::{
    CacheTensors, DecodeTensors, EvaluateTensors, Planned, ProbeTensors, StatesTensors,
    TokenLossesTensors, TrainTensors,
};
use super::top_head::top;
use crate::config::{Config, Source};
use crate::ops::add::Add;
use crate::ops::copy::Copy;
use crate::ops::embedding::{Embedding, EmbeddingBackward};
use crate::plan::{Limits, ParameterLayout, PlanBuilder};
use crate::tensor::{DType, Role, View};

/// The blocks of a planned forward.
struct Forward {
    blocks: Vec<Block>,
    norm: Norm,
    /// The residual stream after block k, indexed by k; 0 is the embedding's output.
    streams: Vec<View>,
}

/// Plans embedding, blocks and the final norm. The last hidden states go to `hidden`, if given. They are never halves,
/// because losses read them.
fn forward(b: &mut PlanBuilder, cx: &Context<'_>, hidden: Option<View>) -> Forward {
    let (n, width) = (cx.tokens(), cx.width());
    let layers = cx.config.model.num_hidden_layers;
    let sum = b.activation("embedded", &[n, width]);
    let weight = cx.weight(b, "embed_tokens");
    let vocab = cx.config.model.vocab_size;
    b.push(Embedding { tokens: cx.inputs.tokens, weight, x: sum, rows: n, vocab, width });
    let mut stream = Stream { sum, branch: None };
    let mut blocks = Vec::with_capacity(layers);
    // The norm after block k computes the stream after block k.
    let mut streams = vec![sum];
    for layer in 0..layers {
        let (after, block) = Block::forward(b, cx, BlockOf::layer(cx, layer), stream);
        if layer > 0 {
            streams.push(block.input());
        }
        stream = after;
        blocks.push(block);
    }
    let norm = b.scoped("head", |b| {
        let hidden = hidden.unwrap_or_else(|| b.activation("normed", &[n, width]));
        Norm::forward(b, cx, "norm", stream, Some(hidden))
    });
    streams.push(norm.sum);
    Forward { blocks, streams, norm }
}

/// One training step: forward and backward for each micro-batch, then clipping and AdamW.
///
/// State tensors: `metrics` (see [`metric`](super::metric)) and, for each MoE block,
/// `layers.{i}.expert_load`.
pub fn train_plan(config: &Config, layout: &ParameterLayout) -> Planned<TrainTensors> {
    let mut builder = PlanBuilder::new("train");
    let b = &mut builder;
    let train = &config.train;
    let cx = &Context::new(b, config, layout.limits, train.batch_size, train.context_length, true)
        .packed(b);
    let (n, width) = (cx.tokens(), cx.width());
    let Forward { blocks, norm, streams } = forward(b, cx, None);
    let target = streams[config.nitp.target_layer];

    let source = config.nitp.source;
    let predict = |b: &mut PlanBuilder, state: View, gradient: View| {
        config
            .nitp
            .enabled
            .then(|| nitp(b, cx, States { source: state, target }, Some(gradient)))
            .flatten()
    };
    let (dstream, dtarget) = b.scoped("head", |b| {
        let dhidden = b.activation("dhidden", &[n, width]);
        let into = GradientTo { view: dhidden, accumulate: false };
        TokenLoss::next_token(cx).plan(b, cx, norm.y, Some(into));
        rivals_of_hidden(b, cx, norm.y, Some(dhidden));
        let mut dtarget = None;
        if source == Source::PostNorm {
            dtarget = predict(b, norm.y, dhidden);
        }
        let dstream = b.activation("dstream", &[n, width]);
        let last = norm.sum;
        norm.backward(b, cx, dhidden, dstream, false);
        if source == Source::PreNorm {
            dtarget = predict(b, last, dstream);
        }
        if config.mtp.is_on() {
            mtp(b, cx, last, Some(dstream));
        }
        (dstream, dtarget)
    });
    // If the stop-gradient is off, the target's gradient joins the stream after block k.
    let join = |b: &mut PlanBuilder, after: usize| {
        if let (Some(x), true) = (dtarget, config.nitp.target_layer == after) {
            b.push(Add { y: dstream, x });
        }
    };
    join(b, blocks.len());
    for (layer, block) in blocks.into_iter().enumerate().rev() {
        block.backward(b, cx, dstream);
        join(b, layer);
    }
    let dweight = cx.gradient(b, "embed_tokens");
    b.push(EmbeddingBackward {
        tokens: cx.inputs.tokens,
        sorted_positions: cx.inputs.sorted_positions,
        segment_starts: cx.inputs.segment_starts,
        dx: dstream,
        dweight,
        rows: n,
        vocab: config.model.vocab_size,
        width,
    });
    b.scoped("optimizer", |b| update(b, cx, layout));
    cx.planned(builder, TrainTensors { metrics: cx.metrics })
}

/// The other objectives that read the last hidden states after the norm.
fn rivals_of_hidden(b: &mut PlanBuilder, cx: &Context<'_>, hidden: View, dhidden: Option<View>) {
    if cx.config.nextlat.is_on() {
        nextlat(b, cx, hidden, dhidden);
    }
    if cx.config.top.is_on() {
        top(b, cx, hidden, dhidden);
    }
}

/// Losses of one micro-batch, and its last hidden states as the state tensor `hidden`
/// `[tokens, width]`.
pub fn evaluate_plan(config: &Config, limits: Limits) -> Planned<EvaluateTensors> {
    let mut builder = PlanBuilder::new("evaluate");
    let b = &mut builder;
    let train = &config.train;
    let cx =
        &Context::new(b, config, limits, train.batch_size, train.context_length, false).packed(b);
    let hidden = b.shared("hidden", &[cx.tokens(), cx.width()], DType::Real, Role::State);
    let Forward { blocks, norm, streams } = forward(b, cx, Some(hidden));
    b.scoped("head", |b| {
        TokenLoss::next_token(cx).plan(b, cx, hidden, None);
        rivals_of_hidden(b, cx, hidden, None);
        if config.mtp.is_on() {
            mtp(b, cx, norm.sum, None);
        }
        if config.nitp.enabled {
            let target = streams[config.nitp.target_layer];
            let source = if config.nitp.source == Source::PostNorm { hidden } else { norm.sum };
            nitp(b, cx, States { source, target }, None);
        }
    });
    let expert_loads = blocks.iter().filter_map(|block| block.expert_load).collect();
    cx.planned(builder, EvaluateTensors { metrics: cx.metrics, hidden, expert_loads })
}

/// The cross-entropy of each label of a batch of rows, one by one: the state tensor `token_losses`
/// `[batch_size * context_length]`, 0 at positions without a label. Without the projection head and NITP.
pub fn token_losses_plan(config: &Config, limits: Limits) -> Planned<TokenLossesTensors> {
    let mut builder = PlanBuilder::new("token_losses");
    let b = &mut builder;
    let train = &config.train;
    let cx = &Context::new(b, config, limits, train.batch_size, train.context_length, false);
    let losses = b.shared("token_losses", &[cx.tokens()], DType::Real, Role::State);
    let Forward { norm, .. } = forward(b, cx, None);
    b.scoped("head", |b| TokenLoss::next_token(cx).of_tokens(b, cx, norm.y, losses, None));
    cx.planned(builder, TokenLossesTensors { losses })
}

/// Stores the keys and values of tokens, one per slot, in a cache of `rows` rows: inputs `tokens`, `positions` and
/// `cache_rows`, each `[slots]` ([`CachedAttention`](crate::ops::attention::CachedAttention)). The cache is the only
/// result; [`decode_plan`] reads it. Without the projection head and NITP.
pub fn fill_cache_plan(
    config: &Config,
    limits: Limits,
    slots: usize,
    rows: usize,
) -> Planned<CacheTensors> {
    let mut builder = PlanBuilder::new("fill_cache");
    let b = &mut builder;
    let (cx, cache) = &Context::caching(b, config, limits, slots, rows);
    forward(b, cx, None);
    cx.planned(builder, *cache)
}

/// The next-token logits `[rows, vocab_size]` (state `logits`) after one more token of each of `rows` texts, whose
/// earlier tokens are in the cache. The cache is that of [`fill_cache_plan`], and so are the inputs, with one slot for
/// each row.
pub fn decode_plan(config: &Config, limits: Limits, rows: usize) -> Planned<DecodeTensors> {
    let mut builder = PlanBuilder::new("decode");
    let b = &mut builder;
    let (cx, cache) = &Context::caching(b, config, limits, rows, rows);
    let logits = b.shared("logits", &[rows, config.model.vocab_size], DType::Real, Role::State);
    let Forward { norm, .. } = forward(b, cx, None);
    b.scoped("head", |b| unembedding(cx).forward_into(b, cx, norm.y, logits, rows));
    cx.planned(builder, DecodeTensors { cache: *cache, logits })
}

/// Internal states of one row of tokens. State tensors: `hidden [context, width]`; `target
/// [context, width]`, the stream that NITP predicts; `layers.{i}.router_probs [context,
/// num_experts]` of each MoE block.
pub fn probe_plan(config: &Config, limits: Limits) -> Planned<ProbeTensors> {
    let mut builder = PlanBuilder::new("probe");
    let b = &mut builder;
    let context = config.train.context_length;
    let cx = &Context::probing(b, config, limits, context);
    let shape = [context, cx.width()];
    let hidden = b.shared("hidden", &shape, DType::Real, Role::State);
    let target = b.shared("target", &shape, DType::Real, Role::State);
    let Forward { blocks, streams, .. } = forward(b, cx, Some(hidden));
    b.push(Copy { x: streams[config.nitp.target_layer], y: target });
    let probs = blocks.iter().map(Block::router_probs).enumerate();
    let router_probs = probs.filter_map(|(layer, probs)| Some((layer, probs?))).collect();
    cx.planned(builder, ProbeTensors { hidden, target, router_probs })
}

/// Hidden states of a batch of rows: for each of `layers` a state tensor, `hidden` or `stream.{k}`, of shape
/// `[batch_size * context_length, hidden_size]`.
pub fn states_plan(
    config: &Config,
    limits: Limits,
    layers: &[StateLayer],
) -> Planned<StatesTensors> {
    let mut builder = PlanBuilder::new("states");
    let b = &mut builder;
    let train = &config.train;
    let cx = &Context::new(b, config, limits, train.batch_size, train.context_length, false);
    let shape = [cx.tokens(), cx.width()];
    let mut state = |layer: StateLayer| b.shared(&layer.tensor(), &shape, DType::Real, Role::State);
    let states: Vec<View> = layers.iter().map(|&layer| state(layer)).collect();
    let last = layers.iter().position(|&layer| layer == StateLayer::Last);
    let Forward { streams, .. } = forward(b, cx, last.map(|index| states[index]));
    for (&layer, &y) in layers.iter().zip(&states) {
        if let StateLayer::Stream(block) = layer {
            b.push(Copy { x: streams[block], y });
        }
    }
    cx.planned(builder, StatesTensors { states })
}

/// The layer of hidden states of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StateLayer {
    /// The residual stream after this block, from 0 (the embedding's output) to num_hidden_layers.
    Stream(usize),
    /// The last hidden state after the final norm, the input of the unembedding.
    Last,
}

impl StateLayer {
    /// Its tensor in [`states_plan`].
    fn tensor(self) -> String {
        match self {
            Self::Stream(block) => format!("stream.{block}"),
            Self::Last => "hidden".to_owned(),
        }
    }
}
