//! The program for models in Hugging Face's format. The worker loads it when it is first needed.

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("This program is a part of the page; build it for wasm32 with `cargo xtask web`.");
}

#[cfg(target_arch = "wasm32")]
fn main() {}

/// The answer to a request, both in MessagePack.
#[cfg(target_arch = "wasm32")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn answer(request: &[u8]) -> Vec<u8> {
    let answer = match rmp_serde::from_slice(request) {
        Ok(request) => web::exchange::answer(request),
        Err(error) => web::exchange::Answer::Failed(error.to_string()),
    };
    rmp_serde::to_vec_named(&answer).expect("answers are plain data")
}
