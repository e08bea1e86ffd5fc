//! A small server for the page, for this machine only.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tiny_http::{Header, Request, Response, Server};

/// Serves a folder until it is stopped.
pub fn run(folder: &Path, port: u16) -> Result<()> {
    if !folder.join("index.html").exists() {
        anyhow::bail!("{} holds no page: run `cargo xtask web` first", folder.display());
    }
    let mut server = listen(port)?;
    println!("The page is at http://{}/  (Ctrl-C ends it)", server.server_addr());
    let port = server.server_addr().to_ip().map_or(port, |address| address.port());
    loop {
        match server.recv() {
            Ok(request) => answer(folder, request),
            // The client closed the connection before it was accepted; tiny_http stops listening then.
            Err(error) => {
                eprintln!("warning: a connection failed ({error}); the server goes on");
                drop(server);
                server = listen_again(port)?;
            }
        }
    }
}

fn listen(port: u16) -> Result<Server> {
    Server::http(("127.0.0.1", port))
        .map_err(|error| anyhow!("{error}"))
        .with_context(|| format!("listening on port {port}; choose another with --port"))
}

/// Listens again, with retries: the port or file handles may still be in use for a moment.
fn listen_again(port: u16) -> Result<Server> {
    const TRIES: usize = 20;
    let mut last = listen(port);
    for _ in 1..TRIES {
        if last.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(250));
        last = listen(port);
    }
    last
}

/// Answers with a file, or with an error 404. A closed connection is no failure.
fn answer(folder: &Path, request: Request) {
    let response = match find(folder, request.url()).map(|path| (fs::read(&path), path)) {
        Some((Ok(bytes), path)) => Response::from_data(bytes).with_header(header(&path)),
        // The file may have disappeared since the search: a new build of the page removes the old one first.
        Some((Err(error), path)) => {
            let words = format!("{} can't be read: {error}", path.display());
            Response::from_data(words).with_status_code(500)
        }
        None => Response::from_data("not here").with_status_code(404),
    };
    let _ = request.respond(response);
}

/// The file of a URL, if it is in the folder.
fn find(folder: &Path, url: &str) -> Option<PathBuf> {
    let path = url.split(['?', '#']).next()?.trim_start_matches('/');
    let path = Path::new(if path.is_empty() { "index.html" } else { path });
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    Some(folder.join(path)).filter(|path| inside && path.is_file())
}

fn header(path: &Path) -> Header {
    let kind = match path.extension().and_then(|it| it.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    };
    Header::from_bytes("Content-Type", kind).expect("a header of letters")
}
