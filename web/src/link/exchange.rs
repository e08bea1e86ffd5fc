//! The worker's connection to the program for models in Hugging Face's format.

use js_sys::{Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::exchange::{Answer, Request};

/// Loads the program, unless it is loaded, and asks it.
///
/// # Errors
/// If it can't be loaded.
pub async fn ask(request: &Request) -> Result<Answer, String> {
    let bytes = rmp_serde::to_vec_named(request).map_err(|error| error.to_string())?;
    let answer = call(&bytes).await.map_err(|error| {
        format!("the program for this format can't be loaded ({error:?}): check the connection")
    })?;
    rmp_serde::from_slice(&answer).map_err(|error| error.to_string())
}

/// Calls the start script's function `exchange`.
async fn call(bytes: &[u8]) -> Result<Vec<u8>, JsValue> {
    let scope = js_sys::global();
    let exchange: Function = Reflect::get(&scope, &"exchange".into())?.dyn_into()?;
    let promise: Promise = exchange.call1(&scope, &Uint8Array::from(bytes))?.dyn_into()?;
    let answer: Uint8Array = JsFuture::from(promise).await?.dyn_into()?;
    Ok(answer.to_vec())
}
