//! The worker's program: the engine, fed by messages.

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
    use web::link::storage;
    use web::protocol::{Command, Update};
    use web_sys::{DedicatedWorkerGlobalScope, MessageChannel, MessageEvent};

    /// Bytes to keep, the newest only, and whether they are being written.
    #[derive(Default)]
    struct Keeping {
        next: Option<Vec<u8>>,
        busy: bool,
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
        // Messages that came before are those that the start script held back.
        let _ = js_sys::Reflect::get(&scope, &"flush".into())
            .and_then(|flush| flush.unchecked_into::<js_sys::Function>().call0(&scope));

        let kept = storage::load().await.unwrap_or_default();
        let mut engine = Engine::new(kept);
        let keeping = Rc::new(RefCell::new(Keeping::default()));
        let turn = Turn::new();
        let mut idle = true;
        loop {
            let command = if idle { commands.recv().await.ok() } else { commands.try_recv().ok() };
            if let Some(command) = command {
                engine.handle(command).await;
            }
            let pumped = engine.pump();
            idle = pumped == Pumped::Idle;
            let mut news = Vec::new();
            for update in engine.updates() {
                match update {
                    Update::Keep(bytes) => keep(&keeping, bytes),
                    other => news.push(other),
                }
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

    fn post(scope: &DedicatedWorkerGlobalScope, news: &[Update]) {
        if let Ok(bytes) = rmp_serde::to_vec_named(news) {
            let message = Uint8Array::from(bytes.as_slice());
            let moved = Array::of1(&message.buffer());
            let _ = scope.post_message_with_transfer(&message, &moved);
        }
    }

    /// Writes what is to be kept, one after the other; of those that wait, only the newest.
    fn keep(keeping: &Rc<RefCell<Keeping>>, bytes: Vec<u8>) {
        keeping.borrow_mut().next = Some(bytes);
        if std::mem::replace(&mut keeping.borrow_mut().busy, true) {
            return;
        }
        let keeping = keeping.clone();
        wasm_bindgen_futures::spawn_local(async move {
            loop {
                let Some(bytes) = keeping.borrow_mut().next.take() else { break };
                // Private windows may refuse: then the run lasts as long as the page.
                let _ = storage::save(&bytes).await;
            }
            keeping.borrow_mut().busy = false;
        });
    }

    /// Lets the browser take its turn: a macrotask, without the delay that timers have.
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

    /// Some milliseconds, for the GPU.
    async fn sleep(scope: &DedicatedWorkerGlobalScope) {
        let promise = Promise::new(&mut |resolve, _| {
            let _ = scope.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, 1);
        });
        let _ = JsFuture::from(promise).await;
    }
}
