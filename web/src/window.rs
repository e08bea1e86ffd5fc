//! The app in a desktop window.

use eframe::egui;

use crate::app::App;
use crate::link::{Desktop, Thread};

/// Opens it on the experiment of a link's query (see [`crate::app::to_query`]); returns when it is
/// closed.
///
/// # Errors
/// If there is no display or no OpenGL.
pub fn open_window(query: &str) -> eframe::Result {
    let viewport = egui::ViewportBuilder::default()
        .with_inner_size([1280.0, 860.0])
        .with_title("NITP: train and watch hidden states");
    let options = eframe::NativeOptions { viewport, ..Default::default() };
    let query = query.to_owned();
    eframe::run_native(
        "nitp",
        options,
        Box::new(move |creation| {
            let context = creation.egui_ctx.clone();
            let link = Box::new(Thread::start(context.clone()));
            let host = Box::new(Desktop::new(context.clone()));
            Ok(Box::new(App::new(&context, link, host, &query)))
        }),
    )
}
