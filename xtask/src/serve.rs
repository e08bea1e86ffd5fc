//! A small server for the page, for this machine alone.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use tiny_http::{Header, Response, Server};

/// Serves a folder until it is stopped.
pub fn run(folder: &Path, port: u16) -> Result<()> {
    if !folder.join("index.html").exists() {
        anyhow::bail!("{} holds no page: run `cargo xtask web` first", folder.display());
    }
    let server = Server::http(("127.0.0.1", port))
        .map_err(|error| anyhow!("{error}"))
        .with_context(|| format!("listening on port {port}; choose another with --port"))?;
    println!("The page is at http://{}/  (Ctrl-C ends it)", server.server_addr());
    for request in server.incoming_requests() {
        let response = match find(folder, request.url()) {
            Some(path) => Response::from_data(fs::read(&path)?).with_header(header(&path)),
            None => Response::from_data("not here").with_status_code(404),
        };
        // A visitor that went away is no failure.
        let _ = request.respond(response);
    }
    Ok(())
}

/// The file of a URL, if it lies in the folder.
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
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    };
    Header::from_bytes("Content-Type", kind).expect("a header of letters")
}
