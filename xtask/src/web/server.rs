//! A server of one folder's files on the loopback address, with the headers that isolate a page from other origins.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, thread};

use crate::shell::Outcome;

/// What isolates the page from other origins, which is what threads need.
const ISOLATING: &str = "Cross-Origin-Opener-Policy: same-origin\r\n\
    Cross-Origin-Embedder-Policy: require-corp\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n";

/// What every answer says: only what is here may be loaded.
const HEADERS: &str = "Content-Security-Policy: default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
    img-src 'self' blob:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Referrer-Policy: no-referrer\r\n\
    Cache-Control: no-cache\r\n\
    Connection: close\r\n";

/// The longest request that is read.
const LONGEST: u64 = 16_384;

pub struct Server {
    port: u16,
    thread: thread::JoinHandle<()>,
}

impl Server {
    /// Serves a folder from a thread of its own; port 0 takes any that is free.
    pub fn start(folder: &Path, port: u16) -> Outcome<Server> {
        Server::with(folder, port, ISOLATING)
    }

    /// The same without the headers that isolate the page, as most servers of files are: threads are not to be had.
    pub fn plain(folder: &Path) -> Outcome<Server> {
        Server::with(folder, 0, "")
    }

    fn with(folder: &Path, port: u16, isolating: &'static str) -> Outcome<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
            format!("cannot listen on port {port} ({error}); `--port` takes another, 0 any that is free")
        })?;
        let port = listener.local_addr().map_err(|error| format!("cannot listen: {error}"))?.port();
        let folder = folder.to_owned();
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let folder = folder.clone();
                thread::spawn(move || {
                    // A browser that goes away is its own matter.
                    let _ = answer(&folder, isolating, &stream);
                });
            }
        });
        Ok(Server { port, thread })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Serves on and on.
    pub fn wait(self) -> Outcome {
        self.thread.join().map_err(|_| "the server has stopped".to_owned())
    }
}

fn answer(folder: &Path, isolating: &str, stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = BufReader::new(stream.take(LONGEST));
    let mut first = String::new();
    request.read_line(&mut first)?;
    let mut line = String::new();
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut stream = stream;
    let (status, kind, body) = match (method, file(folder, path)) {
        ("GET" | "HEAD", Some(file)) => ("200 OK", kind(&file), fs::read(&file)?),
        ("GET" | "HEAD", None) => ("404 Not Found", "text/plain", b"there is no such file\n".to_vec()),
        _ => ("405 Method Not Allowed", "text/plain", b"files are read, nothing else\n".to_vec()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{isolating}{HEADERS}\r\n",
        body.len()
    )?;
    if method != "HEAD" {
        stream.write_all(&body)?;
    }
    stream.flush()
}

/// The file that a request means, of those that lie in the folder itself.
fn file(folder: &Path, path: &str) -> Option<PathBuf> {
    let name = path.split(['?', '#']).next()?.strip_prefix('/')?;
    let name = if name.is_empty() { "index.html" } else { name };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let file = folder.join(name);
    (name.chars().all(legal) && !name.starts_with('.') && file.is_file()).then_some(file)
}

fn kind(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    #[test]
    fn only_files_of_the_folder_are_served() {
        let folder = env::temp_dir().join(format!("yuragi-server-{}", std::process::id()));
        fs::create_dir_all(folder.join("inner")).unwrap();
        fs::write(folder.join("index.html"), "page").unwrap();
        fs::write(folder.join("inner/secret.js"), "no").unwrap();
        let server = Server::start(&folder, 0).unwrap();
        let ask = |request: &str| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
            write!(stream, "{request} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        };
        for whole in ["GET /", "GET /index.html?x=1"] {
            let text = ask(whole);
            assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("\r\n\r\npage"), "{text}");
            assert!(
                text.contains("Cross-Origin-Opener-Policy: same-origin") && text.contains("require-corp"),
                "{text}"
            );
        }
        assert!(ask("HEAD /").ends_with("\r\n\r\n"));
        for absent in
            ["GET /inner/secret.js", "GET /../Cargo.toml", "GET /%2e%2e/x", "GET /inner", "GET /.hidden", "GET x"]
        {
            assert!(ask(absent).starts_with("HTTP/1.1 404"), "{absent}");
        }
        assert!(ask("POST /").starts_with("HTTP/1.1 405"));
        let plain = Server::plain(&folder).unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, plain.port())).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.contains("Content-Security-Policy") && !text.contains("Cross-Origin"), "{text}");
        fs::remove_dir_all(folder).unwrap();
    }
}
