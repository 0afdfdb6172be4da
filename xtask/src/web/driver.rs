//! A browser that is driven over WebDriver: Chromium, by its chromedriver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use serde_json::{Value, json};

use crate::shell::Outcome;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// The key of an element's reference.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The programs that a browser is driven with.
pub struct Programs {
    chromedriver: PathBuf,
    chromium: PathBuf,
}

impl Programs {
    /// Those of this machine, or what is missing.
    pub fn find() -> Outcome<Programs> {
        let find = |names: &[&str]| names.iter().find_map(|name| program(name));
        let chromedriver = find(&["chromedriver"]).ok_or("chromedriver is not installed")?;
        let chromium = find(&["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]);
        Ok(Programs { chromedriver, chromium: chromium.ok_or("Chromium is not installed")? })
    }
}

/// A program of the search path.
pub fn program(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A browser's window.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: PathBuf,
}

impl Browser {
    /// Opens a browser, on one core of the processor if that is asked for; its `performance` log has the events of these
    /// categories of Chromium's.
    pub fn open(programs: &Programs, one_core: bool, traced: &str) -> Outcome<Browser> {
        let mut command = match program("taskset").filter(|_| one_core) {
            Some(taskset) => {
                let mut command = Command::new(taskset);
                command.args(["-c", "0"]).arg(&programs.chromedriver);
                command
            }
            None => Command::new(&programs.chromedriver),
        };
        let mut driver = command
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start chromedriver: {error}"))?;
        static OPENED: AtomicUsize = AtomicUsize::new(0);
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        let profile = env::temp_dir().join(format!("yuragi-browser-{}-{number}", process::id()));
        let Some(port) = driver.stdout.take().and_then(port) else {
            let _ = driver.kill();
            return Err("chromedriver did not say its port".into());
        };
        let mut browser = Browser { driver, port, session: String::new(), profile };
        let profile = browser.profile.display();
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {
                "binary": programs.chromium,
                "args": [
                    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                    "--disable-background-networking", "--disable-component-update", "--disable-sync",
                    "--disable-dev-shm-usage", "--enable-blink-features=ForceEagerMeasureMemory",
                    "--window-size=1280,1000", format!("--user-data-dir={profile}"),
                ],
                "perfLoggingPrefs": { "enableNetwork": true, "traceCategories": traced },
            },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "timeouts": { "script": 100_000, "pageLoad": 100_000 },
        });
        let opened =
            browser.request("POST", "/session", &json!({ "capabilities": { "alwaysMatch": capabilities } }))?;
        browser.session = opened["sessionId"].as_str().ok_or("chromedriver opened no session")?.to_owned();
        Ok(browser)
    }

    /// A command of the session.
    fn command(&self, method: &str, path: &str, body: &Value) -> Outcome<Value> {
        self.request(method, &format!("/session/{}{path}", self.session), body)
    }

    pub fn go(&self, url: &str) -> Outcome {
        self.command("POST", "/url", &json!({ "url": url })).map(drop)
    }

    /// The value of a function's body; a promise is waited for.
    pub fn script(&self, body: &str, arguments: Value) -> Outcome<Value> {
        self.command("POST", "/execute/sync", &json!({ "script": body, "args": arguments }))
    }

    /// A command of the browser's own protocol.
    pub fn own(&self, name: &str, parameters: Value) -> Outcome<Value> {
        self.command("POST", "/goog/cdp/execute", &json!({ "cmd": name, "params": parameters }))
    }

    /// The value of a short expression, in a task of the page's thread that does nothing else.
    pub fn value(&self, expression: &str) -> Outcome<Value> {
        let mut answer = self.own("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }))?;
        Ok(answer["result"]["value"].take())
    }

    /// The events that the browser told of since it was asked last.
    pub fn events(&self) -> Outcome<Vec<Value>> {
        let told = self.log("performance")?;
        let told = told.iter().filter_map(|entry| serde_json::from_str::<Value>(entry["message"].as_str()?).ok());
        Ok(told.map(|mut entry| entry["message"].take()).collect())
    }

    /// What a log has since it was read last.
    pub fn log(&self, kind: &str) -> Outcome<Vec<Value>> {
        let log = self.command("POST", "/se/log", &json!({ "type": kind }))?;
        log.as_array().cloned().ok_or_else(|| format!("the log {kind} is no list"))
    }

    fn element(&self, selector: &str) -> Outcome<String> {
        let found = self.command("POST", "/element", &json!({ "using": "css selector", "value": selector }))?;
        found[ELEMENT].as_str().map(str::to_owned).ok_or_else(|| format!("there is no {selector}"))
    }

    pub fn click(&self, selector: &str) -> Outcome {
        let element = self.element(selector)?;
        self.command("POST", &format!("/element/{element}/click"), &json!({})).map(drop)
    }

    /// Replaces what stands in a field by typing.
    pub fn fill(&self, selector: &str, text: &str) -> Outcome {
        let element = self.element(selector)?;
        self.command("POST", &format!("/element/{element}/clear"), &json!({}))?;
        self.command("POST", &format!("/element/{element}/value"), &json!({ "text": text })).map(drop)
    }

    /// Presses keys on whatever has the focus.
    pub fn press(&self, keys: &str) -> Outcome {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() })))
            .collect();
        let actions = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] });
        self.command("POST", "/actions", &actions).map(drop)
    }

    /// The accessible name of what has the focus, and its role.
    pub fn focused(&self) -> Outcome<[String; 2]> {
        let active = self.command("GET", "/element/active", &Value::Null)?;
        let element = active[ELEMENT].as_str().ok_or("nothing has the focus")?;
        let text = |what: &str| {
            let value = self.command("GET", &format!("/element/{element}/{what}"), &Value::Null)?;
            Ok::<String, String>(value.as_str().unwrap_or_default().to_owned())
        };
        Ok([text("computedlabel")?, text("computedrole")?])
    }

    /// Waits until an expression is true.
    pub fn wait(&self, what: &str, expression: &str, limit: Duration) -> Outcome {
        let begun = Instant::now();
        while self.script(&format!("return Boolean({expression})"), json!([]))? != json!(true) {
            if begun.elapsed() > limit {
                let status = self.script("return document.getElementById('status')?.textContent", json!([]))?;
                return Err(format!("{what}: not within {} s (the page says {status})", limit.as_secs()));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// One request to chromedriver.
    fn request(&self, method: &str, path: &str, body: &Value) -> Outcome<Value> {
        let failed = |error: std::io::Error| format!("chromedriver: {error}");
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).map_err(failed)?;
        let mut reader = BufReader::new(stream);
        let (mut length, mut line) = (0, String::new());
        while reader.read_line(&mut line).map_err(failed)? > 2 {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().map_err(|_| "chromedriver: a length that is no number")?;
            }
            line.clear();
        }
        let mut answer = Vec::new();
        reader.take(length).read_to_end(&mut answer).map_err(failed)?;
        let mut answer: Value = serde_json::from_slice(&answer).map_err(|error| format!("chromedriver: {error}"))?;
        let value = answer["value"].take();
        match value.get("error").filter(|_| value.get("stacktrace").is_some()) {
            Some(error) => {
                let message = value["message"].as_str().unwrap_or_default().lines().next().unwrap_or_default();
                Err(format!("the browser: {}: {message}", error.as_str().unwrap_or_default()))
            }
            None => Ok(value),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.command("DELETE", "", &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

/// The port that chromedriver says it listens on; what it says later is thrown away.
fn port(output: impl Read + Send + 'static) -> Option<u16> {
    let mut lines = BufReader::new(output).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    thread::spawn(move || lines.for_each(drop));
    port
}
