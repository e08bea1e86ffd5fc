//! Models as builders of plans: parameters with their names in files, and for each kind of block one file with its
//! forward and backward.
//!
//! Seven plans over one parameter store: [`train_plan`], [`evaluate_plan`], [`token_losses_plan`],
//! [`fill_cache_plan`] and [`decode_plan`], [`probe_plan`], [`states_plan`].

mod attention_block;
mod block;
mod context;
mod experts;
mod ffn_block;
mod head;
mod linear;
mod memory;
mod moe_block;
mod mtp_head;
mod next_token;
mod nextlat_head;
mod nitp_head;
mod norm;
mod optimizer;
mod parameters;
mod planned;
mod plans;
mod rows;
mod top_head;

pub use context::{Ahead, Inputs, metric};
pub use memory::Memory;
pub use parameters::{
    Init, Parameter, Part, initial_values, is_of_training_head, parameter_layout, parameters,
    training_head,
};
pub use planned::{
    CacheTensors, DecodeTensors, EvaluateTensors, Planned, ProbeTensors, StatesTensors,
    TokenLossesTensors, TrainTensors,
};
pub use plans::{
    StateLayer, decode_plan, evaluate_plan, fill_cache_plan, probe_plan, states_plan,
    token_losses_plan, train_plan,
};
