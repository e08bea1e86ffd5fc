//! The worker's connection to the program for models in Hugging Face's format.

use js_sys::{Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::exchange::{Answer, Request};

/// Loads the program, unless it is loaded, and asks it.
///
/// # Errors
/// If it can't be loaded, or fails.
pub async fn ask(request: Request) -> Result<Answer, String> {
    let answer = load().await.map_err(|_| {
        "the program for this format can't be loaded: check the connection, and reload the page"
    })?;
    let bytes = rmp_serde::to_vec_named(&request).map_err(|error| error.to_string())?;
    drop(request);
    let array = Uint8Array::from(bytes.as_slice());
    drop(bytes);
    let answered = answer.call1(&JsValue::NULL, &array).and_then(|it| it.dyn_into::<Uint8Array>());
    let answered =
        answered.map_err(|_| "the model is too large for a tab: use the program `nitp`")?;
    rmp_serde::from_slice(&answered.to_vec()).map_err(|error| error.to_string())
}

/// The program's function `answer`, by the start script's function `exchange`.
async fn load() -> Result<Function, JsValue> {
    let scope = js_sys::global();
    let exchange: Function = Reflect::get(&scope, &"exchange".into())?.dyn_into()?;
    let promise: Promise = exchange.call0(&scope)?.dyn_into()?;
    JsFuture::from(promise).await?.dyn_into()
}
