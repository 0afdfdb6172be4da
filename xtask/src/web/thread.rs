//! The page's own thread while nobody but the page works on it: how long its tasks are, and what the longest ones do.

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::driver::{Browser, Programs};
use crate::shell::Outcome;

/// How long the visit may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Tasks whose parts are named.
const SHOWN: usize = 3;
/// Tasks, and what is done in them.
const TRACED: &str = "toplevel,devtools.timeline";

/// Runs in the page, and visits it as somebody would: the driver does nothing meanwhile.
const VISIT: &str = "
    addEventListener('load', async () => {
        const $ = id => document.getElementById(id);
        const until = test => new Promise(done => {
            const look = () => test() ? done() : setTimeout(look, 100);
            look();
        });
        const drawn = async () => {
            $('status').textContent = '';
            $('go').click();
            await until(() => $('status').textContent.includes('rawn in'));
        };
        const change = (id, value) => {
            $(id).value = value;
            $(id).dispatchEvent(new Event('input'));
            $(id).dispatchEvent(new Event('change'));
        };
        await until(() => 'ready' in document.documentElement.dataset);
        $('prompt').value = '笑う猫';
        await drawn();
        $('prompt').value = 'a rokcet';
        $('steps').value = 60;
        $('go').click();
        await until(() => $('progress').value > 0.1);
        $('cancel').click();
        $('steps').value = 8;
        $('count').value = 4;
        await drawn();
        for (const save of $('now').querySelectorAll('button')) save.click();
        $('count').value = 1;
        await drawn();
        $('glass').scrollIntoView();
        await new Promise(done => setTimeout(done, 2000));
        change('colours', 'best');
        change('temperature', 40);
        $('glass-new').click();
        change('pace', 5);
        change('ink', 1);
        $('dream-new').click();
        await new Promise(done => setTimeout(done, 1500));
        document.documentElement.dataset.visited = '';
    });";

/// The tasks of the page's thread.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    /// How many there were.
    pub count: usize,
    /// Those that took the most processor time, in milliseconds, the longest first, and what was done in them.
    pub longest: Vec<(f64, String)>,
}

impl fmt::Display for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = self.longest.first().map_or(0.0, |(time, _)| *time);
        write!(f, "at most {longest:.1} ms at a time in {} tasks", self.count)?;
        self.longest.iter().try_for_each(|(time, parts)| write!(f, "; {time:.1} ms: {parts}"))
    }
}

/// Visits the page, and looks at what its thread did.
pub fn watched(programs: &Programs, url: &str) -> Outcome<Tasks> {
    let browser = Browser::open(programs, false, TRACED)?;
    browser.own("Browser.setDownloadBehavior", json!({ "behavior": "deny" }))?;
    browser.own("Page.addScriptToEvaluateOnNewDocument", json!({ "source": VISIT }))?;
    browser.go(url)?;
    let begun = Instant::now();
    while browser.value("'visited' in document.documentElement.dataset")? != json!(true) {
        if begun.elapsed() > PATIENCE {
            let said = browser.value("document.getElementById('status').textContent")?;
            return Err(format!("the visit of the page: not within {} s (it says {said})", PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    tasks(&browser.events()?, url)
}

/// The tasks of the page at `url`: the browser has pages of its own, with threads of the same name.
fn tasks(events: &[Value], url: &str) -> Outcome<Tasks> {
    let traced: Vec<&Value> = events
        .iter()
        .filter(|event| event["method"] == "Tracing.dataCollected")
        .map(|event| &event["params"])
        .collect();
    let tells = |event: &&Value| {
        [&event["args"]["data"], &event["args"]["beginData"]]
            .iter()
            .any(|data| data["url"].as_str().is_some_and(|from| from.starts_with(url)))
    };
    let processes: Vec<&Value> = traced.iter().copied().filter(tells).map(|event| &event["pid"]).collect();
    let is_main = |event: &&Value| event["name"] == "thread_name" && event["args"]["name"] == "CrRendererMain";
    let of_page = |event: &&Value| processes.contains(&&event["pid"]);
    let renderers: Vec<&Value> = traced.iter().copied().filter(is_main).filter(of_page).collect();
    let on_page = |event: &Value| renderers.iter().any(|r| r["pid"] == event["pid"] && r["tid"] == event["tid"]);
    let own: Vec<&Value> = traced.iter().copied().filter(|event| event["ph"] == "X" && on_page(event)).collect();
    let is_task = |event: &&Value| event["cat"].as_str().is_some_and(|all| all.split(',').any(|one| one == "toplevel"));
    let time = |event: &Value| event["tdur"].as_f64().unwrap_or(0.0) / 1000.0;
    let mut tasks: Vec<&Value> = own.iter().copied().filter(is_task).collect();
    if tasks.is_empty() {
        return Err("the browser traced no tasks of the page's thread".into());
    }
    tasks.sort_by(|a, b| time(b).total_cmp(&time(a)));
    let parts = |task: &Value| {
        let span = |event: &Value| {
            let begin = event["ts"].as_f64().unwrap_or(0.0);
            (begin, begin + event["dur"].as_f64().unwrap_or(0.0))
        };
        let (begin, end) = span(task);
        let inside = |event: &&Value| {
            let (from, to) = span(event);
            from >= begin && to <= end && event["tid"] == task["tid"] && event["pid"] == task["pid"]
        };
        let mut parts: Vec<&Value> = own.iter().copied().filter(|event| !is_task(event)).filter(inside).collect();
        parts.sort_by(|a, b| time(b).total_cmp(&time(a)));
        let told = parts.iter().take(4).map(|part| {
            let what = part["name"].as_str().unwrap_or_default();
            let data = &part["args"]["data"];
            let place =
                ["functionName", "url", "type"].iter().filter_map(|key| data[*key].as_str()).find(|s| !s.is_empty());
            format!("{what}{} {:.1}", place.map_or(String::new(), |place| format!(" {place}")), time(part))
        });
        let told: Vec<String> = told.collect();
        if told.is_empty() { task["args"].to_string() } else { told.join(", ") }
    };
    let longest = tasks.iter().take(SHOWN).map(|task| (time(task), parts(task))).collect();
    Ok(Tasks { count: tasks.len(), longest })
}
