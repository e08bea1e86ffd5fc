//! The page, and the same app in a desktop window. So far it introduces the project and shows what
//! each preset's model is made of, from the same core that trains it.

mod app;

use app::App;

#[cfg(not(target_arch = "wasm32"))]
fn main() -> eframe::Result {
    let options = eframe::NativeOptions::default();
    eframe::run_native("nitp", options, Box::new(|_| Ok(Box::new(App::default()))))
}

#[cfg(target_arch = "wasm32")]
fn main() {
    use eframe::wasm_bindgen::JsCast;

    let canvas = eframe::web_sys::window()
        .and_then(|window| window.document())
        .and_then(|document| document.get_element_by_id("nitp"))
        .and_then(|element| element.dyn_into::<eframe::web_sys::HtmlCanvasElement>().ok())
        .expect("index.html has a canvas with the id nitp");
    wasm_bindgen_futures::spawn_local(async move {
        eframe::WebRunner::new()
            .start(
                canvas,
                eframe::WebOptions::default(),
                Box::new(|_| Ok(Box::new(App::default()))),
            )
            .await
            .expect("eframe starts on a canvas");
    });
}
