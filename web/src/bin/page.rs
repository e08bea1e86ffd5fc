//! The page's program: it shows the app; the worker trains. In a native build, the app in a window.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> eframe::Result {
    web::open_window("")
}

#[cfg(target_arch = "wasm32")]
fn main() {
    wasm_bindgen_futures::spawn_local(async {
        if let Err(error) = browser::start().await {
            browser::say(&error);
        }
    });
}

#[cfg(target_arch = "wasm32")]
mod browser {
    use wasm_bindgen::{JsCast, JsValue};
    use web::app::App;
    use web::link::browser::{Browser, Page};

    pub async fn start() -> Result<(), JsValue> {
        let document = web_sys::window().and_then(|window| window.document());
        let canvas = document
            .and_then(|document| document.get_element_by_id("canvas"))
            .and_then(|element| element.dyn_into::<web_sys::HtmlCanvasElement>().ok())
            .ok_or("the page has no canvas")?;
        let query = web_sys::window().and_then(|window| window.location().hash().ok());
        let query = query.unwrap_or_default();
        let create = move |creation: &eframe::CreationContext<'_>| {
            let context = creation.egui_ctx.clone();
            let link = Page::start(context.clone()).map_err(|error| format!("{error:?}"))?;
            let host = Browser::new(context.clone());
            let app = App::new(&context, Box::new(link), Box::new(host), &query);
            Ok(Box::new(app) as Box<dyn eframe::App>)
        };
        let runner = eframe::WebRunner::new();
        runner.start(canvas, eframe::WebOptions::default(), Box::new(create)).await?;
        if let Some(text) = element("loading") {
            text.remove();
        }
        Ok(())
    }

    fn element(id: &str) -> Option<web_sys::Element> {
        web_sys::window()?.document()?.get_element_by_id(id)
    }

    /// Shows an error instead of a blank page.
    pub fn say(error: &JsValue) {
        if let Some(text) = element("loading") {
            text.set_text_content(Some(&format!(
                "The page can't start here: {error:?}. It needs WebGL and workers; switch on hardware \
                 acceleration, or use another browser. Without a browser, use `cargo run --release -p \
                 native -- train`."
            )));
        }
    }
}
