//! A real Chromium on a page that is served from `target/web/dist`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant, SystemTime};

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tiny_http::{Header, Response, Server};
use tokio::runtime::{Builder, Runtime};
use walkdir::WalkDir;

/// Factor on time limits, relative to an idle machine of two cores.
const PATIENCE: u64 = 4;

/// Browsers run in parallel, except one whose test measures times, which runs alone.
static TURN: RwLock<()> = RwLock::new(());

/// A browser, and a server of the page's folder.
pub struct Browser {
    runtime: Runtime,
    client: Client,
    driver: Child,
    server: Arc<Server>,
    address: String,
    /// Folder of downloads.
    pub downloads: tempfile::TempDir,
    _turn: Turn,
}

/// Released when the browser is closed.
enum Turn {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

/// The program `nitp`, which `cargo test --workspace` has built. Building it separately would rebuild its dependencies
/// with other features.
pub fn nitp() -> Command {
    let test = std::env::current_exe().expect("this program");
    let profile = test.ancestors().nth(2).expect("it lies in deps");
    let program = profile.join("nitp");
    assert!(program.exists(), "{}: run `cargo test --workspace --all-features`", program.display());
    let mut command = Command::new(program);
    // In this folder, the page's zip and the presets find the demo corpus.
    command.current_dir(root());
    command
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The screen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// A window of this size in pixels.
    Window(u32, u32),
    /// A phone of this size with a touch screen.
    Phone(u32, u32),
}

/// The browser's WebGPU support.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Gpu {
    /// WebGPU on SwiftShader.
    Software,
    /// No WebGPU at all.
    None,
}

impl Browser {
    /// Starts a browser.
    pub fn start(gpu: Gpu, screen: Screen) -> Self {
        let guard = TURN.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        Self::start_in(Turn::Shared { _guard: guard }, gpu, screen)
    }

    /// Starts a browser while no other runs: for tests that compare times.
    pub fn start_alone(gpu: Gpu, screen: Screen) -> Self {
        let guard = TURN.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        Self::start_in(Turn::Alone { _guard: guard }, gpu, screen)
    }

    fn start_in(turn: Turn, gpu: Gpu, screen: Screen) -> Self {
        let (server, address) = serve(root().join("target/web/dist"));
        let downloads = tempfile::tempdir().expect("a folder for downloads");
        let (driver, port) = driver();
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = runtime.block_on(connect(port, gpu, screen, downloads.path()));
        Self { runtime, client, driver, server, address, downloads, _turn: turn }
    }

    /// Opens the page with an experiment.
    pub fn open(&self, query: &str) {
        let url = format!("{}#{query}", self.address);
        self.runtime.block_on(async {
            // A change of only the hash would not reload the page.
            self.client.goto("about:blank").await.expect("a blank page");
            self.client.goto(&url).await.expect("the page loads");
        });
    }

    /// Reloads the page.
    pub fn reload(&self) {
        self.runtime.block_on(self.client.refresh()).expect("the page loads again");
    }

    /// Runs a script.
    pub fn script(&self, text: &str) -> Value {
        self.runtime.block_on(self.client.execute(text, vec![])).expect("the script runs")
    }

    /// Runs a script that calls its last argument with the result.
    pub fn script_later(&self, text: &str) -> Value {
        self.runtime.block_on(self.client.execute_async(text, vec![])).expect("the script runs")
    }

    /// The page's status for screen readers.
    pub fn status(&self) -> String {
        let text = self.script("return document.getElementById('status')?.textContent ?? ''");
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The page's alert for screen readers: errors and notices.
    pub fn alert(&self) -> String {
        let text = self.script("return document.getElementById('alert')?.textContent ?? ''");
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the alert contains this part, and returns the alert.
    pub fn wait_for_alert(&self, part: &str) -> String {
        let begin = Instant::now();
        loop {
            let alert = self.alert();
            if alert.contains(part) {
                return alert;
            }
            assert!(begin.elapsed() < Duration::from_secs(30 * PATIENCE), "no {part}: {alert}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the status contains this part, and returns the status. `seconds` should be generous for an idle
    /// machine.
    pub fn wait_for(&self, part: &str, seconds: u64) -> String {
        self.wait_until(part, seconds, |status| status.contains(part))
    }

    /// Waits until `holds` is true for the status, and returns the status.
    pub fn wait_until(&self, what: &str, seconds: u64, holds: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        loop {
            let status = self.status();
            if holds(&status) {
                return status;
            }
            if begin.elapsed() > Duration::from_secs(PATIENCE * seconds) {
                self.screenshot("failed");
                let loading = self.script("return document.body.innerText");
                let alert = self.alert();
                panic!("not within {seconds} s: {what}\n{status}\n{alert}\n{loading}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Presses a key, with those held.
    pub fn press(&self, held: &[char], key: char) {
        self.runtime.block_on(async {
            let mut keys = KeyActions::new("keys".to_owned());
            for &value in held {
                keys = keys.then(KeyAction::Down { value });
            }
            keys = keys.then(KeyAction::Down { value: key }).then(KeyAction::Up { value: key });
            for &value in held {
                keys = keys.then(KeyAction::Up { value });
            }
            self.client.perform_actions(keys).await.expect("the keys are pressed");
        });
        // The app handles the keys in its next frame.
        std::thread::sleep(Duration::from_millis(300));
    }

    /// Clicks on the button of this name, as a screen reader would.
    pub fn click(&self, name: &str) {
        let script = format!(
            "const all = [...document.querySelectorAll('#mirror button')];
             const one = all.find(it => it.textContent === {name:?} && !it.disabled); one?.click();
             return one ? null : all.map(it => it.textContent).join(', ')"
        );
        let begin = Instant::now();
        loop {
            let others = self.script(&script);
            if others == Value::Null {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(10 * PATIENCE), "{name}? {others}");
            std::thread::sleep(Duration::from_millis(100));
        }
        std::thread::sleep(Duration::from_millis(300));
    }

    /// Chooses a file in one of the page's inputs.
    pub fn choose(&self, id: &str, path: &Path) {
        self.runtime.block_on(async {
            let input = self.client.find(Locator::Id(id)).await.expect("the input");
            input.send_keys(&path.display().to_string()).await.expect("the file is chosen");
        });
        std::thread::sleep(Duration::from_millis(500));
    }

    /// A screenshot, saved in `target/browser` under this name.
    pub fn screenshot(&self, name: &str) -> image::RgbImage {
        let bytes = self.runtime.block_on(self.client.screenshot()).expect("a picture");
        let folder = root().join("target/browser");
        fs::create_dir_all(&folder).expect("a folder for pictures");
        fs::write(folder.join(format!("{name}.png")), &bytes).expect("the picture is written");
        image::load_from_memory(&bytes).expect("a PNG").to_rgb8()
    }

    /// Runs `work` in another tab, which is in front meanwhile.
    pub fn in_another_tab(&self, work: impl FnOnce(&Self)) {
        let page = self.runtime.block_on(async {
            let page = self.client.window().await.expect("the page's tab");
            let other = self.client.new_window(true).await.expect("another tab");
            self.client.switch_to_window(other.handle).await.expect("it comes to the front");
            page
        });
        work(self);
        self.runtime.block_on(async {
            self.client.close_window().await.expect("it closes");
            self.client.switch_to_window(page).await.expect("the page is in front again");
        });
    }

    /// Waits for a download whose name has this end.
    pub fn download(&self, end: &str, seconds: u64) -> PathBuf {
        let begin = Instant::now();
        loop {
            let files = fs::read_dir(self.downloads.path()).expect("the downloads");
            let paths = files.map(|file| file.expect("a file").path());
            if let Some(path) = paths.into_iter().find(|path| path.to_string_lossy().ends_with(end))
            {
                return path;
            }
            assert!(begin.elapsed() < Duration::from_secs(PATIENCE * seconds), "no download {end}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.runtime.block_on(self.client.clone().close());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        self.server.unblock();
    }
}

async fn connect(port: u16, gpu: Gpu, screen: Screen, downloads: &Path) -> Client {
    let (Screen::Window(width, height) | Screen::Phone(width, height)) = screen;
    let window = format!("--window-size={width},{height}");
    let mut arguments = vec![
        "--headless",
        "--no-sandbox",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-quic",
        "--hide-scrollbars",
        "--enable-features=Vulkan",
        "--use-angle=vulkan",
        "--use-vulkan=swiftshader",
        "--ignore-gpu-blocklist",
        &window,
    ];
    if gpu == Gpu::Software {
        arguments.extend(["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]);
    } else {
        arguments.push("--disable-features=WebGPU,WebGPUService");
    }
    let mut options = json!({
        "args": arguments,
        "prefs": {
            "download.default_directory": downloads.display().to_string(),
            // Allows several downloads without a user's click.
            "profile.default_content_setting_values.automatic_downloads": 1,
        },
    });
    if let Screen::Phone(width, height) = screen {
        // A real window can't be as narrow as a phone. (An emulated pixel ratio does not reach ResizeObserver.)
        let metrics = json!({ "width": width, "height": height, "pixelRatio": 1.0, "touch": true });
        options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
    }
    let mut capabilities = serde_json::Map::new();
    capabilities.insert("goog:chromeOptions".to_owned(), options);
    capabilities.insert("timeouts".to_owned(), json!({ "script": 240_000 }));
    let address = format!("http://127.0.0.1:{port}");
    ClientBuilder::new(HttpConnector::new())
        .capabilities(capabilities)
        .connect(&address)
        .await
        .expect("Chromium starts")
}

/// Starts chromedriver on a free port.
fn driver() -> (Child, u16) {
    let mut child = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver is installed: run `cargo xtask setup`");
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let port = output.lines().map_while(Result::ok).find_map(|line| {
        let port = line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse();
        port.ok()
    });
    let Some(port) = port else {
        let status = child.wait();
        panic!("chromedriver ended before it listened: {status:?}");
    };
    (child, port)
}

/// Modification time of the newest file in a folder.
fn newest(folder: &Path) -> Option<SystemTime> {
    let files = WalkDir::new(folder).into_iter().filter_map(Result::ok);
    let files = files.filter(|entry| entry.file_type().is_file());
    files.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max()
}

/// Serves a folder from a thread.
fn serve(folder: PathBuf) -> (Arc<Server>, String) {
    let built = newest(&folder).expect("there is no page: run `cargo xtask web`");
    for sources in ["web/src", "core/src", "core/shaders", "index.html"] {
        assert!(
            newest(&root().join(sources)) <= Some(built),
            "run `cargo xtask web`: the page is old"
        );
    }
    let server = Arc::new(Server::http("127.0.0.1:0").expect("a free port"));
    let address = format!("http://{}/", server.server_addr());
    let answering = server.clone();
    std::thread::spawn(move || {
        for request in answering.incoming_requests() {
            let name = request.url().split(['?', '#']).next().unwrap_or_default();
            let name = name.trim_start_matches('/');
            let path = folder.join(if name.is_empty() { "index.html" } else { name });
            let kind = match path.extension().and_then(|it| it.to_str()) {
                Some("html") => "text/html",
                Some("js") => "text/javascript",
                Some("css") => "text/css",
                Some("wasm") => "application/wasm",
                _ => "application/octet-stream",
            };
            let header = Header::from_bytes("Content-Type", kind).expect("a header");
            let _ = match fs::read(&path) {
                Ok(bytes) => request.respond(Response::from_data(bytes).with_header(header)),
                Err(_) => request.respond(Response::from_data("").with_status_code(404)),
            };
        }
    });
    (server, address)
}

/// Approximate number of different colours of a picture; a blank one has one or two.
pub fn colors(picture: &image::RgbImage) -> usize {
    let coarse = picture.pixels().map(|pixel| pixel.0.map(|part| part / 16));
    coarse.collect::<std::collections::HashSet<_>>().len()
}

/// The number that follows a word in a status.
pub fn number_after(status: &str, word: &str) -> f64 {
    let after = status.split(word).nth(1).unwrap_or_else(|| panic!("no `{word}` in: {status}"));
    let text: String = after
        .trim_start()
        .chars()
        .take_while(|c| c.is_ascii_digit() || ".-".contains(*c))
        .collect();
    text.trim_end_matches('.')
        .parse()
        .unwrap_or_else(|_| panic!("no number after `{word}`: {status}"))
}
