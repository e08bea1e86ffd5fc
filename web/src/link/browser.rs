//! The page's connection to the worker, and the page around the canvas.

use std::cell::RefCell;
use std::rc::Rc;

use eframe::egui::{self, DroppedFileHandle};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    Blob, HtmlAnchorElement, HtmlInputElement, MessageEvent, Url, Worker, WorkerOptions, WorkerType,
};

use super::{Choice, Host, Link, needed};
use crate::protocol::{Command, File, Phase, Update};

/// The engine in a worker.
pub struct Page {
    worker: Worker,
    updates: Rc<RefCell<Vec<Update>>>,
}

impl Page {
    /// Starts the worker's program.
    ///
    /// # Errors
    /// Errors of the browser.
    pub fn start(context: egui::Context) -> Result<Self, JsValue> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options("./start-worker.js", &options)?;
        let updates = Rc::new(RefCell::new(Vec::new()));
        let told = updates.clone();
        let failed_context = context.clone();
        let heard = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let bytes = Uint8Array::new(&event.data()).to_vec();
            match rmp_serde::from_slice::<Vec<Update>>(&bytes) {
                Ok(news) => told.borrow_mut().extend(news),
                Err(error) => told.borrow_mut().push(Update::Error(error.to_string())),
            }
            context.request_repaint();
        });
        worker.set_onmessage(Some(heard.as_ref().unchecked_ref()));
        heard.forget();
        let told = updates.clone();
        let failed = Closure::<dyn FnMut(JsValue)>::new(move |event: JsValue| {
            let why = js_sys::Reflect::get(&event, &"message".into());
            let why = why.ok().and_then(|it| it.as_string()).unwrap_or_default();
            told.borrow_mut().push(Update::Phase(Phase::Empty));
            told.borrow_mut().push(Update::Error(format!(
                "The training worker has stopped: {why}. Reload the page: a saved run continues."
            )));
            failed_context.request_repaint();
        });
        worker.set_onerror(Some(failed.as_ref().unchecked_ref()));
        failed.forget();
        Ok(Self { worker, updates })
    }
}

impl Link for Page {
    fn send(&mut self, command: Command) {
        match rmp_serde::to_vec_named(&command) {
            Ok(bytes) => {
                let message = Uint8Array::from(bytes.as_slice());
                let moved = Array::of1(&message.buffer());
                let _ = self.worker.post_message_with_transfer(&message, &moved);
            }
            Err(error) => self.updates.borrow_mut().push(Update::Error(error.to_string())),
        }
    }

    fn poll(&mut self) -> Vec<Update> {
        std::mem::take(&mut self.updates.borrow_mut())
    }
}

/// Bytes of this program's memory, which only grows.
pub fn wasm_memory() -> u64 {
    const PAGE: u64 = 1 << 16;
    core::arch::wasm32::memory_size::<0>() as u64 * PAGE
}

/// Files, and what they were chosen for.
type Chosen = (Choice, Vec<File>);

/// The page around the canvas.
pub struct Browser {
    context: egui::Context,
    chosen: Rc<RefCell<Vec<Chosen>>>,
    followed: Rc<RefCell<Option<String>>>,
    told: [String; 2],
}

fn document() -> Option<web_sys::Document> {
    web_sys::window()?.document()
}

impl Browser {
    /// Access to the page's elements for the app.
    pub fn new(context: egui::Context) -> Self {
        super::mirror::Mirror::install(&context);
        let browser = Self {
            context,
            chosen: Rc::default(),
            followed: Rc::default(),
            told: Default::default(),
        };
        for choice in [Choice::Text, Choice::Run, Choice::Zip] {
            browser.listen(choice);
        }
        browser.listen_to_links();
        browser
    }

    /// Listens to changes of the hash in the address, for example when a link is pasted.
    fn listen_to_links(&self) {
        let (followed, context) = (self.followed.clone(), self.context.clone());
        let changed = Closure::<dyn FnMut()>::new(move || {
            let hash = web_sys::window().and_then(|window| window.location().hash().ok());
            *followed.borrow_mut() = hash;
            context.request_repaint();
        });
        if let Some(window) = web_sys::window() {
            let heard = changed.as_ref().unchecked_ref();
            let _ = window.add_event_listener_with_callback("hashchange", heard);
        }
        changed.forget();
    }

    fn input(choice: Choice) -> Option<HtmlInputElement> {
        let id = match choice {
            Choice::Text => "choose-text",
            Choice::Run => "choose-run",
            Choice::Zip => "choose-zip",
            Choice::Dropped => return None,
        };
        document()?.get_element_by_id(id)?.dyn_into().ok()
    }

    /// Reads files chosen in the page's file inputs.
    fn listen(&self, choice: Choice) {
        let Some(input) = Self::input(choice) else { return };
        let (chosen, context) = (self.chosen.clone(), self.context.clone());
        let changed = Closure::<dyn FnMut()>::new(move || {
            let Some(input) = Self::input(choice) else { return };
            let Some(list) = input.files() else { return };
            let files: Vec<web_sys::File> =
                (0..list.length()).filter_map(|index| list.get(index)).collect();
            let (chosen, context) = (chosen.clone(), context.clone());
            wasm_bindgen_futures::spawn_local(async move {
                let mut read = Vec::new();
                let name = |file: &web_sys::File| {
                    let path = js_sys::Reflect::get(file, &"webkitRelativePath".into());
                    let path = path.ok().and_then(|it| it.as_string()).unwrap_or_default();
                    if path.is_empty() { file.name() } else { path }
                };
                let names: Vec<String> = files.iter().map(name).collect();
                let needed = needed(&names);
                let wanted = files.into_iter().zip(names).zip(needed).filter(|it| it.1);
                for ((file, name), _) in wanted {
                    let buffer = wasm_bindgen_futures::JsFuture::from(file.array_buffer()).await;
                    if let Ok(buffer) = buffer {
                        read.push(File { name, bytes: Uint8Array::new(&buffer).to_vec() });
                    }
                }
                chosen.borrow_mut().push((choice, read));
                context.request_repaint();
            });
            // Reset, so that the same file can be chosen again.
            input.set_value("");
        });
        let _ = input.add_event_listener_with_callback("change", changed.as_ref().unchecked_ref());
        changed.forget();
    }
}

impl Host for Browser {
    fn save(&mut self, file: File) {
        let save = || -> Option<()> {
            let parts = Array::of1(&Uint8Array::from(file.bytes.as_slice()));
            let blob = Blob::new_with_u8_array_sequence(&parts).ok()?;
            let url = Url::create_object_url_with_blob(&blob).ok()?;
            let anchor: HtmlAnchorElement =
                document()?.create_element("a").ok()?.dyn_into().ok()?;
            anchor.set_href(&url);
            anchor.set_download(&file.name);
            anchor.click();
            Url::revoke_object_url(&url).ok()
        };
        let _ = save();
    }

    fn choose(&mut self, what: Choice) {
        if let Some(input) = Self::input(what) {
            input.click();
        }
    }

    fn read(&mut self, dropped: Vec<DroppedFileHandle>) {
        let (chosen, context) = (self.chosen.clone(), self.context.clone());
        wasm_bindgen_futures::spawn_local(async move {
            let mut read = Vec::new();
            for file in dropped {
                if let Ok(bytes) = file.bytes_async().await {
                    read.push(File { name: file.path().display().to_string(), bytes });
                }
            }
            chosen.borrow_mut().push((Choice::Dropped, read));
            context.request_repaint();
        });
    }

    fn chosen(&mut self) -> Vec<Chosen> {
        std::mem::take(&mut self.chosen.borrow_mut())
    }

    fn set_query(&mut self, query: &str) {
        let history = web_sys::window().and_then(|window| window.history().ok());
        if let Some(history) = history {
            let url = format!("#{query}");
            let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&url));
        }
    }

    fn link(&self, query: &str) -> String {
        let location = web_sys::window().and_then(|window| window.location().href().ok());
        let location = location.unwrap_or_default();
        let base = location.split('#').next().unwrap_or_default();
        format!("{base}#{query}")
    }

    fn memory(&self) -> u64 {
        wasm_memory()
    }

    fn followed(&mut self) -> Option<String> {
        self.followed.borrow_mut().take()
    }

    fn tell(&mut self, status: &str, alert: &str) {
        for (told, (id, words)) in self.told.iter_mut().zip([("status", status), ("alert", alert)])
        {
            if told == words {
                continue;
            }
            words.clone_into(told);
            if let Some(element) = document().and_then(|it| it.get_element_by_id(id)) {
                element.set_text_content(Some(words));
            }
        }
    }
}
