//! The worker's program: the engine, driven by messages.

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("This program is the page's worker; build it for wasm32 with `cargo xtask web`.");
}

#[cfg(target_arch = "wasm32")]
fn main() {
    wasm_bindgen_futures::spawn_local(browser::work());
}

#[cfg(target_arch = "wasm32")]
mod browser {
    use std::cell::RefCell;
    use std::rc::Rc;

    use futures_channel::mpsc::unbounded;
    use js_sys::{Array, Promise, Uint8Array};
    use wasm_bindgen::closure::Closure;
    use wasm_bindgen::{JsCast, JsValue};
    use wasm_bindgen_futures::JsFuture;
    use web::engine::{Engine, Pumped};
    use web::link::browser::wasm_memory;
    use web::link::storage;
    use web::protocol::{Command, Update};
    use web_sys::{DedicatedWorkerGlobalScope, MessageChannel, MessageEvent, Response};

    /// The newest data to save, and the state of saving.
    #[derive(Default)]
    struct Keeping {
        next: Option<(usize, Vec<u8>)>,
        busy: bool,
        /// The reason why nothing can be saved, if any.
        refused: Option<String>,
        /// Whether the visitor was told of a failure to save.
        said: bool,
    }

    pub async fn work() {
        let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
        let (inbox, mut commands) = unbounded::<Command>();
        let heard = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let bytes = Uint8Array::new(&event.data()).to_vec();
            if let Ok(command) = rmp_serde::from_slice(&bytes) {
                let _ = inbox.unbounded_send(command);
            }
        });
        scope.set_onmessage(Some(heard.as_ref().unchecked_ref()));
        heard.forget();
        // Flushes earlier messages, which the start script queued.
        let _ = js_sys::Reflect::get(&scope, &"flush".into())
            .and_then(|flush| flush.unchecked_into::<js_sys::Function>().call0(&scope));

        let mut kept = None;
        let keeping = Rc::new(RefCell::new(Keeping::default()));
        if keeps(&scope).await {
            match storage::load(storage::RUNS).await {
                Ok(found) => kept = found,
                Err(why) => keeping.borrow_mut().refused = Some(why.to_string()),
            }
        } else {
            let why = "another tab of this page saves its runs".to_owned();
            keeping.borrow_mut().refused = Some(why);
        }
        // If this fails, the adapter is measured again.
        let tuning = storage::load(storage::TUNING).await.ok().flatten();
        let tuning = tuning.and_then(|bytes| String::from_utf8(bytes).ok());
        let mut engine = Engine::new(kept, tuning);
        let turn = Turn::new();
        let mut idle = true;
        let mut memory = 0;
        loop {
            let command = if idle { commands.recv().await.ok() } else { commands.try_recv().ok() };
            if let Some(command) = command {
                for needed in engine.needed(&command) {
                    // If this fails, the engine reports the error.
                    if let Ok(text) = fetch(&scope, needed.file).await {
                        needed.set(text);
                    }
                }
                engine.handle(command).await;
            }
            let pumped = engine.pump();
            idle = pumped == Pumped::Idle;
            let mut news = Vec::new();
            for update in engine.updates() {
                match update {
                    Update::Keep { step, bytes } => keep(&scope, &keeping, step, bytes),
                    Update::Tuned(text) => wasm_bindgen_futures::spawn_local(async move {
                        let _ = storage::save(storage::TUNING, text.as_bytes()).await;
                    }),
                    other => news.push(other),
                }
            }
            if memory != wasm_memory() {
                memory = wasm_memory();
                news.push(Update::Memory(memory));
            }
            if !news.is_empty() {
                post(&scope, &news);
            }
            match pumped {
                Pumped::Worked => turn.end().await,
                Pumped::Waiting => sleep(&scope).await,
                Pumped::Idle => {}
            }
        }
    }

    async fn fetch(scope: &DedicatedWorkerGlobalScope, name: &str) -> Result<String, JsValue> {
        let response = JsFuture::from(scope.fetch_with_str(name)).await?;
        let response: Response = response.dyn_into()?;
        if !response.ok() {
            return Err(response.status_text().into());
        }
        let text = JsFuture::from(response.text()?).await?;
        text.as_string().ok_or_else(|| "no text".into())
    }

    /// Whether this tab saves its runs; the start script requested the lock.
    async fn keeps(scope: &DedicatedWorkerGlobalScope) -> bool {
        let Ok(asked) = js_sys::Reflect::get(scope, &"keeps".into()) else { return true };
        let answer = JsFuture::from(asked.unchecked_into::<Promise>()).await;
        answer.is_ok_and(|it| it.is_truthy())
    }

    fn post(scope: &DedicatedWorkerGlobalScope, news: &[Update]) {
        if let Ok(bytes) = rmp_serde::to_vec_named(news) {
            let message = Uint8Array::from(bytes.as_slice());
            let moved = Array::of1(&message.buffer());
            let _ = scope.post_message_with_transfer(&message, &moved);
        }
    }

    /// Saves data, one write at a time; of the data that wait, only the newest.
    fn keep(
        scope: &DedicatedWorkerGlobalScope,
        keeping: &Rc<RefCell<Keeping>>,
        step: usize,
        bytes: Vec<u8>,
    ) {
        keeping.borrow_mut().next = Some((step, bytes));
        if std::mem::replace(&mut keeping.borrow_mut().busy, true) {
            return;
        }
        let (scope, keeping) = (scope.clone(), keeping.clone());
        wasm_bindgen_futures::spawn_local(async move {
            loop {
                let Some((step, bytes)) = keeping.borrow_mut().next.take() else { break };
                let refused = keeping.borrow().refused.clone();
                let saved = match refused {
                    None => {
                        storage::save(storage::RUNS, &bytes).await.map_err(|why| why.to_string())
                    }
                    Some(why) => Err(why),
                };
                let told = match saved {
                    Ok(()) => Update::Kept(step),
                    Err(why) => {
                        if std::mem::replace(&mut keeping.borrow_mut().said, true) {
                            continue;
                        }
                        Update::Notice(format!(
                            "These runs are lost on a reload: {why}. Save them under \"Save and open\" \
                             before this page is closed."
                        ))
                    }
                };
                post(&scope, &[told]);
            }
            keeping.borrow_mut().busy = false;
        });
    }

    /// Yields to the browser by a macrotask, without the delay of timers.
    struct Turn {
        channel: MessageChannel,
    }

    impl Turn {
        fn new() -> Self {
            Self { channel: MessageChannel::new().expect("every browser has it") }
        }

        async fn end(&self) {
            let port = self.channel.port1();
            let promise = Promise::new(&mut |resolve, _| {
                port.set_onmessage(Some(&resolve));
                let _ = self.channel.port2().post_message(&JsValue::NULL);
            });
            let _ = JsFuture::from(promise).await;
        }
    }

    /// Sleeps some milliseconds, for the GPU.
    async fn sleep(scope: &DedicatedWorkerGlobalScope) {
        let promise = Promise::new(&mut |resolve, _| {
            let _ = scope.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, 1);
        });
        let _ = JsFuture::from(promise).await;
    }
}
