//! WebAssembly in a browser: the digests in a page of their own, and the page that the workspace has.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use std::{env, fs, thread};

use super::figure::{Extent, Figure, Row};
use super::{bits, tools};
use crate::shell::{self, Outcome};
use crate::web;

const TARGET: &str = "wasm32-wasip1";
const LIMIT: Duration = Duration::from_secs(300);

pub fn chromium(_: Extent) -> Row {
    const NAME: &str = "wasm32, Chromium";
    let browser = match tools::require(&["chromium", "chromium-browser", "google-chrome"], "chromium") {
        Ok(browser) => browser,
        Err(missing) => return Row::skipped(NAME, missing),
    };
    if let Err(missing) = tools::require_target(TARGET) {
        return Row::skipped(NAME, missing);
    }
    let mut row = Row::new(NAME);
    match program() {
        Ok(program) => {
            row.builds = Figure::good("with simd128");
            row.bits = bits::compare(digests(&browser, &program));
        }
        Err(error) => row.builds = Figure::bad(error),
    }
    (row.tests, row.size) = page();
    row
}

/// The workspace's page: whether it does what it must, and its size.
fn page() -> (Figure, Figure) {
    match web::test(None) {
        Ok(Ok(figures)) => {
            eprintln!("{figures}");
            (Figure::good("the page"), Figure::good(format!("{:.1} MB, the page", figures.size as f64 / 1e6)))
        }
        Ok(Err(missing)) => (Figure::skipped(missing), Figure::skipped("with the page")),
        Err(error) => (Figure::bad(error), Figure::absent()),
    }
}

/// The program `digests` for a system interface that the page stands in for.
fn program() -> Outcome<PathBuf> {
    let mut command = shell::cargo_command();
    command.args(["build", "--release", "--package", "yuragi-firmware", "--bin", "digests", "--target", TARGET]);
    command.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+simd128");
    shell::run("cargo", &mut command)?;
    Ok(tools::built(Some(TARGET), "release")?.join("digests.wasm"))
}

/// What the program writes in a page that is served here, and that sends it back.
fn digests(browser: &Path, program: &Path) -> Outcome<String> {
    let bytes = fs::read(program).map_err(|error| format!("{}: {error}", program.display()))?;
    let (address, written) = serve(bytes).map_err(|error| format!("cannot listen on the loopback address: {error}"))?;
    let profile = env::temp_dir().join(format!("yuragi-browser-{}", process::id()));
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.arg(format!("--user-data-dir={}", profile.display())).arg(format!("http://{address}/"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    eprintln!("$ {} --headless http://{address}/", browser.display());
    let started = command.spawn().map_err(|error| format!("cannot start {}: {error}", browser.display()));
    let text = started.and_then(|mut child| {
        let text = written.recv_timeout(LIMIT).map_err(|_| format!("the page sent nothing in {} s", LIMIT.as_secs()));
        let ended = child.kill().and_then(|()| child.wait());
        ended.map_err(|error| format!("cannot end {}: {error}", browser.display())).and(text)
    });
    // What the browser still holds is left to the system.
    let _ = fs::remove_dir_all(&profile);
    text
}

/// Serves the page with the program on the loopback address; what the page sends back comes out of the channel.
fn serve(program: Vec<u8>) -> io::Result<(SocketAddr, Receiver<String>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let (sender, receiver) = mpsc::channel();
    let program = Arc::new(program);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (program, sender) = (program.clone(), sender.clone());
            // A browser opens connections that it may never use: each has a thread.
            thread::spawn(move || {
                // One that goes away is its own matter.
                if let Ok(Some(text)) = answer(&stream, &program) {
                    sender.send(text).unwrap_or(());
                }
            });
        }
    });
    Ok((address, receiver))
}

/// Answers one request; gives what was sent with it, if it is the page's.
fn answer(mut stream: &TcpStream, program: &[u8]) -> io::Result<Option<String>> {
    let mut request = BufReader::new(stream);
    let mut first = String::new();
    request.read_line(&mut first)?;
    let (mut line, mut length) = (String::new(), 0);
    while request.read_line(&mut line)? > 2 {
        let header = line.to_ascii_lowercase();
        length = header.strip_prefix("content-length:").and_then(|n| n.trim().parse().ok()).unwrap_or(length);
        line.clear();
    }
    let (status, kind, body): (_, _, &[u8]) = match first.split(' ').take(2).collect::<Vec<_>>()[..] {
        ["GET", "/"] => ("200 OK", "text/html; charset=utf-8", include_bytes!("digests.html")),
        ["GET", "/digests.wasm"] => ("200 OK", "application/wasm", program),
        ["POST", "/output"] => ("204 No Content", "text/plain", b""),
        _ => ("404 Not Found", "text/plain", b""),
    };
    let mut text = String::new();
    request.take(length).read_to_string(&mut text)?;
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(body)?;
    Ok(first.starts_with("POST /output ").then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_takes_the_program_and_sends_back_what_it_wrote() {
        let (address, written) = serve(b"\0asm".to_vec()).unwrap();
        let ask = |request: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        assert!(ask("GET / HTTP/1.1\r\n\r\n").contains("digests.wasm"));
        assert!(ask("GET /digests.wasm HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n\0asm"));
        assert!(ask("GET /x HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
        assert!(ask("POST /output HTTP/1.1\r\nContent-Length: 4\r\n\r\na 1\n").starts_with("HTTP/1.1 204"));
        assert_eq!(written.recv_timeout(LIMIT), Ok("a 1\n".into()));
    }
}
