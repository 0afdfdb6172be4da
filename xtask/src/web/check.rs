//! The page in a browser: that it draws what the program draws, anneals and dreams the same bits, never stands still, and
//! can be used from a keyboard and in a narrow window.

use std::collections::BTreeMap;
use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fmt, fs, process, thread};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use super::driver::{self, Browser, Programs};
use super::server::Server;
use super::thread::{self as main_thread, Tasks};
use super::{build, missing_targets, size};
use crate::shell::{self, Outcome};

const PROMPT: &str = "a red rocket";
const JAPANESE: &str = "笑う猫";
const SEED: &str = "42";
/// How far a level of a colour may lie from the program's: single precision rounds a number on a boundary either way.
const LEVELS: i16 = 1;
/// How long a picture may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// Milliseconds of a frame.
const FRAME: f64 = 16.0;
/// Milliseconds from the beginning of a load to its first picture.
const FIRST: f64 = 3000.0;
/// The least contrast of texts (WCAG 2.2, level AA).
const CONTRAST: f64 = 4.5;

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Milliseconds from the beginning of a load to its first picture, on one core and on all.
    pub first: [f64; 2],
    /// Threads that draw.
    pub threads: u64,
    /// Milliseconds to the first picture where threads are not to be had.
    pub alone: f64,
    /// The tasks of the page's own thread.
    pub task: Tasks,
    /// The longest time between two frames in milliseconds while a picture was drawn, and the mean.
    pub gaps: [f64; 2],
    /// Bytes of the memory of the module that draws, and of all that the page holds, if the browser tells.
    pub memory: [f64; 2],
    /// Bytes of all files.
    pub size: u64,
    /// The largest difference of a colour's level from the program's picture, of 255, and how many levels differ at all.
    pub difference: (i16, usize),
    /// Whether the glass's and the machine's numbers are the program's to the bit.
    pub equal: bool,
    /// Things that the keyboard reaches, in their order.
    pub stops: Vec<String>,
    /// The least contrast of a text.
    pub contrast: f64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, all] = self.first;
        let [module, page] = self.memory.map(|bytes| bytes / 1e6);
        let [longest, mean] = self.gaps;
        writeln!(
            f,
            "first picture: {one:.0} ms on one core (wanted: {FIRST:.0}), {all:.0} ms on {} threads",
            self.threads
        )?;
        writeln!(f, "without threads, as other servers serve it: {:.0} ms, the same picture", self.alone)?;
        writeln!(f, "page's thread: {} (wanted: {FRAME:.0} ms)", self.task)?;
        writeln!(f, "frames while drawing: {mean:.1} ms apart, at most {longest:.0} ms")?;
        writeln!(f, "memory: {module:.0} MB of the module that draws, {page:.0} MB of the whole page")?;
        writeln!(f, "files: {:.2} MB", self.size as f64 / 1e6)?;
        writeln!(
            f,
            "pixels: {} levels differ from the program's, by {} at most",
            self.difference.1, self.difference.0
        )?;
        writeln!(f, "glass and digits: {}", if self.equal { "the program's bits" } else { "other bits" })?;
        write!(f, "keyboard: {} stops; least contrast {:.1}", self.stops.len(), self.contrast)
    }
}

/// Builds the page and proves it; screenshots go to a folder if one is named. Where a tool is missing, says which.
pub fn test(screenshots: Option<&Path>) -> Outcome<Result<Figures, String>> {
    let missing = missing_targets();
    if !missing.is_empty() {
        return Ok(Err(format!("rustup target add {}", missing.join(" "))));
    }
    let programs = match Programs::find() {
        Ok(programs) => programs,
        Err(missing) => return Ok(Err(missing)),
    };
    let page = build()?;
    let native = Native::run()?;
    let server = Server::start(&page, 0)?;
    let url = format!("http://127.0.0.1:{}/", server.port());
    let mut figures = Figures { size: size(&page), ..Figures::default() };
    if driver::program("taskset").is_some() {
        let browser = Browser::open(&programs, true, NETWORK)?;
        figures.first[0] = first_picture(&browser, &url)?;
    }
    let browser = Browser::open(&programs, false, NETWORK)?;
    browser.own("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCH }))?;
    figures.first[1] = first_picture(&browser, &url)?;
    if browser.script("return crossOriginIsolated", json!([]))? != json!(true) {
        return Err("the page is not isolated from other origins".into());
    }
    figures.threads =
        whole(&browser.script("return Number(document.getElementById('machine').dataset.threads)", json!([]))?);
    announces(&browser)?;
    draws(&browser, &native, &mut figures)?;
    cancels(&browser)?;
    notes(&browser)?;
    same_bits(&browser, &native)?;
    figures.equal = true;
    anneals(&browser)?;
    figures.stops = keyboard(&browser)?;
    figures.contrast = looks(&browser, screenshots)?;
    figures.memory = memory(&browser)?;
    quiet(&browser, &url)?;
    drop(browser);
    figures.task = main_thread::watched(&programs, &url)?;
    figures.alone = alone(&programs, &page, &native)?;
    Ok(Ok(figures))
}

/// Builds what [`test()`] runs, if it can run.
pub fn prepare() -> Outcome {
    if missing_targets().is_empty() && Programs::find().is_ok() {
        build()?;
        Native::build()?;
    }
    Ok(())
}

/// What the programs of this machine give for the same words and seeds.
struct Native {
    /// Red, green and blue bytes.
    picture: Vec<u8>,
    /// Lines of the example `native`, by their first word.
    numbers: BTreeMap<String, String>,
}

impl Native {
    fn build() -> Outcome {
        shell::cargo(["build", "--release", "--workspace", "--bin", "yuragi", "--example", "native"])
    }

    fn run() -> Outcome<Native> {
        Self::build()?;
        let folder = env::temp_dir().join(format!("yuragi-web-{}", process::id()));
        fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let file = folder.join("native.png");
        let path = file.display().to_string();
        let output =
            program(&yuragi()?, &["generate", PROMPT, "--seed", SEED, "--device", "cpu", "--no-show", "-o", &path])?;
        let picture = fs::read(&file).map_err(|error| format!("cannot read {path}: {error}: {output}"));
        let picture = picture.and_then(|bytes| decoded(&bytes));
        let _ = fs::remove_dir_all(&folder);
        let text = program(&shell::release_folder()?.join(format!("examples/native{EXE_SUFFIX}")), &[])?;
        let numbers = text.lines().filter_map(|line| line.split_once(' '));
        Ok(Native { picture: picture?, numbers: numbers.map(|(name, value)| (name.into(), value.into())).collect() })
    }
}

fn yuragi() -> Outcome<PathBuf> {
    Ok(shell::release_folder()?.join(format!("yuragi{EXE_SUFFIX}")))
}

/// What a program prints.
fn program(program: &Path, arguments: &[&str]) -> Outcome<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{}: {}", program.display(), String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Red, green and blue bytes of a PNG file; browsers write it with an opaque fourth channel.
fn decoded(file: &[u8]) -> Outcome<Vec<u8>> {
    let failed = |error: png::DecodingError| format!("a PNG file: {error}");
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().map_err(failed)?;
    let mut bytes = vec![0; reader.output_buffer_size().ok_or("a PNG file is too large")?];
    let info = reader.next_frame(&mut bytes).map_err(failed)?;
    bytes.truncate(info.buffer_size());
    match info.color_type {
        png::ColorType::Rgb => Ok(bytes),
        png::ColorType::Rgba => Ok(bytes.chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect()),
        other => Err(format!("a PNG file has the colours {other:?}, not red, green and blue")),
    }
}

/// Nothing is traced but what is asked of servers.
const NETWORK: &str = "nothing";
/// Runs in the page before all else: the times between frames, and what is read out of the line that tells how things are.
const WATCH: &str = "
    window.watched = { last: 0, gaps: [], said: [] };
    addEventListener('DOMContentLoaded', () => {
        const status = document.getElementById('status');
        new MutationObserver(() => watched.said.push(status.textContent)).observe(status, { childList: true, characterData: true, subtree: true });
    });
    const frame = now => {
        if (watched.last) watched.gaps.push(now - watched.last);
        watched.last = now;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);";

const DRAWN: &str = "document.getElementById('status').textContent.includes('rawn in')";
const READY: &str = "'ready' in document.documentElement.dataset";

fn whole(value: &Value) -> u64 {
    value.as_f64().map_or(0, |value| value as u64)
}

/// Loads the page and waits for its first picture; gives the milliseconds from the beginning.
fn first_picture(browser: &Browser, url: &str) -> Outcome<f64> {
    browser.go(url)?;
    browser.wait("the first picture", "performance.getEntriesByName('picture').length", PATIENCE)?;
    let time = browser.script("return performance.getEntriesByName('picture')[0].startTime", json!([]))?;
    let time = time.as_f64().ok_or("the first picture has no time")?;
    browser.wait("the glass and the digits", READY, PATIENCE)?;
    Ok(time)
}

/// What a screen reader says while the page begins: each thing once, not each part of a file.
fn announces(browser: &Browser) -> Outcome {
    let said = browser.value("watched.said")?;
    let said: Vec<&str> = said.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match said.as_slice() {
        [drawing, drawn] if drawing.starts_with("Drawing") && drawn.starts_with("Drawn in") => Ok(()),
        other => Err(format!("until the first picture is read out: {other:?}")),
    }
}

/// Types words, waits for the picture, and compares it with the program's.
fn draws(browser: &Browser, native: &Native, figures: &mut Figures) -> Outcome {
    browser.fill("#seed", SEED)?;
    browser.fill("#prompt", PROMPT)?;
    browser.script("watched.gaps.length = 0; document.getElementById('status').textContent = ''", json!([]))?;
    browser.press("\u{e007}")?;
    browser.wait("a picture of typed words", DRAWN, PATIENCE)?;
    let gaps = browser.script(
        "return [Math.max(...watched.gaps), watched.gaps.reduce((a, b) => a + b) / watched.gaps.length]",
        json!([]),
    )?;
    figures.gaps = [0, 1].map(|i| gaps[i].as_f64().unwrap_or(f64::INFINITY));
    let pixels = compared(browser, native, figures)?;
    saves(browser, &pixels)
}

/// The picture that was drawn, beside the program's.
fn compared(browser: &Browser, native: &Native, figures: &mut Figures) -> Outcome<Vec<i16>> {
    let pixels = browser.script(PIXELS, json!([]))?;
    let pixels: Vec<i16> = pixels.as_array().ok_or("no pixels")?.iter().map(|value| whole(value) as i16).collect();
    if pixels.len() != native.picture.len() {
        return Err(format!("the page's picture has {} levels, the program's {}", pixels.len(), native.picture.len()));
    }
    let distances = || pixels.iter().zip(&native.picture).map(|(have, want)| (have - i16::from(*want)).abs());
    figures.difference = (distances().max().unwrap_or(0), distances().filter(|distance| *distance > 0).count());
    if figures.difference.0 > LEVELS {
        return Err(format!(
            "the page's picture lies {} levels from the program's; at most {LEVELS}",
            figures.difference.0
        ));
    }
    Ok(pixels)
}

/// The page as it is served without the headers that threads need: it says so, and draws the same picture.
fn alone(programs: &Programs, page: &Path, native: &Native) -> Outcome<f64> {
    let server = Server::plain(page)?;
    let browser = Browser::open(programs, false, NETWORK)?;
    let first = first_picture(&browser, &format!("http://127.0.0.1:{}/", server.port()))?;
    let told = browser.value("[crossOriginIsolated, document.getElementById('machine').dataset.threads]")?;
    if told != json!([false, "1"]) {
        return Err(format!("without isolation the page has the threads {told}"));
    }
    browser.fill("#seed", SEED)?;
    browser.fill("#prompt", PROMPT)?;
    browser.script("document.getElementById('status').textContent = ''", json!([]))?;
    browser.press("\u{e007}")?;
    browser.wait("a picture of typed words on one thread", DRAWN, PATIENCE)?;
    let mut own = Figures::default();
    compared(&browser, native, &mut own)?;
    same_bits(&browser, native)?;
    Ok(first)
}

/// The key, as WebDriver writes it.
const ESCAPE: &str = "\u{e00c}";

const PIXELS: &str = "
    const canvas = document.querySelector('#now canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return Array.from(data).filter((_, i) => i % 4 < 3);";

/// The picture's file has its pixels and tells how it was made, and the program reads that.
fn saves(browser: &Browser, pixels: &[i16]) -> Outcome {
    let folder = env::temp_dir().join(format!("yuragi-saved-{}", process::id()));
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    browser.own("Browser.setDownloadBehavior", json!({ "behavior": "allow", "downloadPath": folder }))?;
    browser.click("#now figcaption button")?;
    let file = folder.join(format!("yuragi-{SEED}.png"));
    let begun = Instant::now();
    while !file.is_file() {
        if begun.elapsed() > Duration::from_secs(10) {
            return Err("the picture was not saved".into());
        }
        thread::sleep(Duration::from_millis(50));
    }
    let saved = decoded(&fs::read(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?)?;
    if saved.iter().map(|&level| i16::from(level)).ne(pixels.iter().copied()) {
        return Err("the saved picture has other pixels than the page".into());
    }
    let told = program(&yuragi()?, &["info", &file.display().to_string()])?;
    let _ = fs::remove_dir_all(&folder);
    match [PROMPT, SEED, "Euler"].iter().find(|part| !told.contains(**part)) {
        Some(part) => Err(format!("`yuragi info` does not read {part:?} from the saved picture: {}", told.trim())),
        None => Ok(()),
    }
}

/// A picture of many steps is cancelled, and the next one is drawn.
fn cancels(browser: &Browser) -> Outcome {
    browser.fill("#steps", "100")?;
    browser.click("#go")?;
    browser.wait("the cancelled picture's first step", "document.querySelector('#progress').value > 0.02", PATIENCE)?;
    // In a list, that key closes it and nothing else.
    browser.script("document.getElementById('count').focus()", json!([]))?;
    browser.press(ESCAPE)?;
    if browser.script("return document.getElementById('cancel').disabled", json!([]))? != json!(false) {
        return Err("Escape in a list cancels the drawing".into());
    }
    browser.script("document.getElementById('prompt').focus()", json!([]))?;
    let begun = Instant::now();
    browser.press(ESCAPE)?;
    browser.wait("cancelling", "document.getElementById('status').textContent === 'Cancelled.'", PATIENCE)?;
    if begun.elapsed() > Duration::from_secs(5) {
        return Err(format!("cancelling took {:.1} s", begun.elapsed().as_secs_f64()));
    }
    let left = browser.script("return document.querySelectorAll('#now figure').length", json!([]))?;
    if left != json!(0)
        || browser.script("return document.getElementById('cancel').disabled", json!([]))? != json!(true)
    {
        return Err("a cancelled picture is left".into());
    }
    browser.fill("#steps", "4")?;
    browser.script("document.getElementById('count').value = '2'", json!([]))?;
    browser.fill("#prompt", JAPANESE)?;
    browser.click("#go")?;
    browser.wait(
        "two pictures after one that was cancelled",
        "document.querySelectorAll('#now .drawn').length === 2",
        PATIENCE,
    )
}

/// Words that the model never met are named, and a wrong number is refused.
fn notes(browser: &Browser) -> Outcome {
    browser.script("document.getElementById('count').value = '1'", json!([]))?;
    browser.fill("#prompt", "a rokcet")?;
    browser.fill("#steps", "1")?;
    browser.script("document.getElementById('status').textContent = ''", json!([]))?;
    browser.click("#go")?;
    browser.wait("a picture of unknown words", DRAWN, PATIENCE)?;
    let note = browser.script("return document.getElementById('notes').textContent", json!([]))?;
    if !note.as_str().is_some_and(|note| note.contains("\"rokcet\"") && note.contains("\"rocket\"")) {
        return Err(format!("an unknown word is not named: {note}"));
    }
    browser.fill("#steps", "0")?;
    browser.click("#go")?;
    if browser.script("return document.querySelector('#steps').validity.valid", json!([]))? != json!(false) {
        return Err("no steps are taken for legal".into());
    }
    browser.fill("#steps", "8")?;
    browser.fill("#seed", "18446744073709551616")?;
    browser.click("#go")?;
    browser.wait(
        "a seed out of range",
        "document.getElementById('status').textContent.includes('whole number')",
        PATIENCE,
    )?;
    browser.fill("#seed", "7")
}

/// The script of the example `native`, in a worker of the page: the same bits.
fn same_bits(browser: &Browser, native: &Native) -> Outcome {
    let numbers = browser.script(NUMBERS, json!([]))?;
    for (name, want) in &native.numbers {
        let have = numbers[name].as_str().unwrap_or_default();
        if have != want {
            let at = have.bytes().zip(want.bytes()).position(|(a, b)| a != b).unwrap_or(have.len().min(want.len())) / 2;
            return Err(format!("{name}: byte {at} of {} is not the program's", want.len() / 2));
        }
    }
    match native.numbers.len() {
        3 => Ok(()),
        other => Err(format!("the example `native` gave {other} lines, not 3")),
    }
}

const NUMBERS: &str = "
    return (async () => {
        const { Engine } = await import('/engine.js');
        const hex = ({ output }) => Array.from(output, byte => byte.toString(16).padStart(2, '0')).join('');
        const engine = await Engine.start();
        await engine.call('glass_new', [24, 6, 5n, 2, 1.25]);
        for (let done = 0; done < 400; done += 4) {
            const { code: coldest } = await engine.call('glass_cooled', [2, 0.2, 400, done]);
            await engine.call('glass_step', [4, coldest, 1.25, 1]);
        }
        const found = { energies: hex(await engine.call('glass_energies')), spins: hex(await engine.call('glass_spins')) };
        await engine.load('digits.safetensors', 'digits_open');
        await engine.call('digits_start', [6, 3n]);
        found.digits = hex(await engine.call('digits_step', [50, 0]));
        return found;
    })()";

/// The page's own glass anneals: its coldest replica falls below what a quick quench reaches.
fn anneals(browser: &Browser) -> Outcome {
    browser.script("document.getElementById('glass').scrollIntoView()", json!([]))?;
    browser.wait(
        "annealing below -1.3 a spin",
        "Number(document.getElementById('energy-now').textContent.match(/coldest (\\S+),/)?.[1].replace('−', '-')) < -1.3",
        PATIENCE,
    )?;
    let colours =
        "return new Set(Array.from(document.querySelectorAll('#lattices canvas'), c => c.style.borderColor)).size";
    if browser.script(colours, json!([]))? != json!(8) {
        return Err("the replicas have not eight colours".into());
    }
    browser.wait("dreaming", "/: [1-9]\\d* steps/.test(document.getElementById('dream-status').textContent)", PATIENCE)
}

/// Goes through the page with the tab key: what is reached, in the order of the page, each with a name.
fn keyboard(browser: &Browser) -> Outcome<Vec<String>> {
    let wanted = browser.script(
        "document.activeElement.blur(); scrollTo(0, 0);
         const group = new Set();
         return Array.from(document.querySelectorAll('input, select, button, a[href]'))
             .filter(e => !e.disabled && e.checkVisibility() && (e.type !== 'radio' || e.checked))
             .map((e, i) => e.dataset.stop = String(i)).length",
        json!([]),
    )?;
    let wanted = whole(&wanted);
    browser.script(
        "document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')",
        json!([]),
    )?;
    let mut stops = Vec::new();
    for number in 0..wanted {
        browser.press("\u{e004}")?;
        let stop = browser
            .script("return document.activeElement.dataset.stop ?? document.activeElement.outerHTML", json!([]))?;
        if stop != json!(number.to_string()) {
            return Err(format!("tab {} of {wanted} reaches {stop}", number + 1));
        }
        let [name, role] = browser.focused()?;
        if name.trim().is_empty() {
            return Err(format!("tab {} reaches a {role} without a name", number + 1));
        }
        let outline = browser.script("return getComputedStyle(document.activeElement).outlineStyle", json!([]))?;
        if outline == json!("none") {
            return Err(format!("the focus of {name:?} cannot be seen"));
        }
        stops.push(format!("{name} ({role})"));
    }
    Ok(stops)
}

/// The widths and heights of windows, and the schemes, in which the page is looked at.
const VIEWS: [([u64; 2], &str); 4] =
    [([1280, 1000], "light"), ([1280, 1000], "dark"), ([360, 780], "light"), ([360, 780], "dark")];

fn view(browser: &Browser, ([width, height], scheme): ([u64; 2], &str)) -> Outcome {
    let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
    browser.own("Emulation.setDeviceMetricsOverride", metrics)?;
    let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
    browser.own("Emulation.setEmulatedMedia", json!({ "features": features }))?;
    thread::sleep(Duration::from_millis(300));
    Ok(())
}

/// The page in every view, with a note and an error on it: no sideways scrolling, and texts that can be read. Then
/// pictures of it, with a drawing alone.
fn looks(browser: &Browser, screenshots: Option<&Path>) -> Outcome<f64> {
    let mut least = f64::INFINITY;
    for ([width, height], scheme) in VIEWS {
        view(browser, ([width, height], scheme))?;
        let wide = browser.script("return document.documentElement.scrollWidth", json!([]))?;
        if whole(&wide) > width {
            return Err(format!("at {width} pixels the page is {wide} wide"));
        }
        let worst = browser.script(READABLE, json!([]))?;
        let contrast = worst[0].as_f64().unwrap_or(0.0);
        if contrast < CONTRAST {
            return Err(format!("{scheme}: the contrast of {} is {contrast:.2}; at least {CONTRAST}", worst[1]));
        }
        least = least.min(contrast);
    }
    if let Some(folder) = screenshots {
        browser.fill("#prompt", "an octopus")?;
        browser.script("document.getElementById('status').textContent = ''", json!([]))?;
        browser.click("#go")?;
        browser.wait("a picture to show", DRAWN, PATIENCE)?;
        for ([width, height], scheme) in VIEWS {
            view(browser, ([width, height], scheme))?;
            shot(browser, &folder.join(format!("page-{width}-{scheme}.webp")), width)?;
        }
    }
    browser.own("Emulation.clearDeviceMetricsOverride", json!({}))?;
    browser.own("Emulation.setEmulatedMedia", json!({ "features": [] }))?;
    Ok(least)
}

/// The least contrast of a text with what lies behind it, and the text.
const READABLE: &str = "
    const parse = text => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = e => {
        for (; e; e = e.parentElement) {
            const colour = parse(getComputedStyle(e).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    let worst = [Infinity, ''];
    for (const e of document.querySelectorAll('body *')) {
        const own = Array.from(e.childNodes).filter(n => n.nodeType === 3 && n.textContent.trim());
        if (!own.length && !e.matches('input, select') || !e.checkVisibility() || e.disabled) continue;
        const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
        const contrast = (a + 0.05) / (b + 0.05);
        if (contrast < worst[0]) worst = [contrast, (own[0]?.textContent ?? e.id).trim()];
    }
    return worst;";

fn shot(browser: &Browser, file: &Path, width: u64) -> Outcome {
    browser.script("document.activeElement.blur(); scrollTo(0, 0)", json!([]))?;
    let height = browser.script("return document.documentElement.scrollHeight", json!([]))?;
    let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
    let picture = browser.own(
        "Page.captureScreenshot",
        json!({ "format": "webp", "quality": 74, "clip": clip, "captureBeyondViewport": true }),
    )?;
    let bytes = picture["data"].as_str().and_then(|data| BASE64_STANDARD.decode(data).ok()).ok_or("no screenshot")?;
    fs::write(file, bytes).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

/// Bytes of the module that draws, and of all that the page holds.
fn memory(browser: &Browser) -> Outcome<[f64; 2]> {
    let module = browser.script("return Number(document.getElementById('machine').dataset.memory)", json!([]))?;
    let page =
        browser.script("return performance.measureUserAgentSpecificMemory().then(m => m.bytes, () => 0)", json!([]))?;
    Ok([module, page].map(|value| value.as_f64().unwrap_or(0.0)))
}

/// The logs: no errors, and nothing asked of other places.
fn quiet(browser: &Browser, url: &str) -> Outcome {
    let errors: Vec<String> = browser.log("browser")?.iter().map(|entry| entry["message"].to_string()).collect();
    if let Some(first) = errors.first() {
        return Err(format!("the console has {} lines: {first}", errors.len()));
    }
    let events = browser.events()?;
    // The browser loads a page of its own before ours.
    let of_page = |event: &&Value| event["params"]["documentURL"].as_str().is_some_and(|page| page.starts_with(url));
    let requested = events.iter().filter(|event| event["method"] == "Network.requestWillBeSent").filter(of_page);
    let requested: Vec<&str> = requested.filter_map(|event| event["params"]["request"]["url"].as_str()).collect();
    let own = |asked: &str| asked.starts_with(url) || asked.starts_with("blob:") || asked.starts_with("data:");
    if let Some(foreign) = requested.iter().find(|asked| !own(asked)) {
        return Err(format!("the page asks for {foreign}"));
    }
    if requested.is_empty() {
        return Err("the browser logged no requests".into());
    }
    Ok(())
}
