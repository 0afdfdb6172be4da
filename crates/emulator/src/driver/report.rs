//! What the driver says to a person: on the standard error stream, as the environment asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, Once, OnceLock, TryLockError};

use super::lock::lock;
use crate::{finding::Finding, profile::Profile, properties::Properties, report::Report};

/// What happens when a launch has findings (`YURAGI_EMULATOR_CHECK`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// `off`: nothing.
    Off,
    /// `warn`: they are printed.
    Warn,
    /// `fail`, also when the variable is missing: they are printed, and what waits for the launch fails.
    Fail,
    /// `now`: they are printed, and the launch itself fails.
    Now,
}

/// The environment variables of the emulator, as they were at the first call.
pub struct Settings {
    pub check: Check,
    /// `YURAGI_EMULATOR_COUNTERS=1`: the counters of each launch are printed.
    pub counters: bool,
    /// `YURAGI_EMULATOR_DEVICE=A100`: what the device is like.
    pub device: Properties,
    /// `YURAGI_EMULATOR_REPORT=file.json`: where what the launches did is written when the process ends.
    pub report: Option<PathBuf>,
    /// `YURAGI_EMULATOR_REFUSE=cuMemAlloc_v2=2,…`: functions that give an error instead of what they do.
    pub refused: Vec<(String, u32)>,
}

pub fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let value = variable("YURAGI_EMULATOR_CHECK");
        let (check, misread) = check(&value);
        if let Some(value) = misread {
            say(&format!(
                "YURAGI_EMULATOR_CHECK is `{value}`, and can be `off`, `warn`, `fail` or `now`; taken as `fail`"
            ));
        }
        let refused = refused(&variable("YURAGI_EMULATOR_REFUSE")).unwrap_or_else(|word| {
            say(&format!("YURAGI_EMULATOR_REFUSE has `{word}`, and is a list of FUNCTION=NUMBER; nothing is refused"));
            Vec::new()
        });
        let name = variable("YURAGI_EMULATOR_DEVICE");
        let device = if name.is_empty() { Some(Properties::default()) } else { Properties::named(&name) };
        let device = device.unwrap_or_else(|| {
            let known = Properties::NAMES.join(", ");
            say(&format!("YURAGI_EMULATOR_DEVICE is `{name}`, and can be one of {known}; taken as an H200"));
            Properties::default()
        });
        let report = Some(variable("YURAGI_EMULATOR_REPORT")).filter(|path| !path.is_empty()).map(PathBuf::from);
        let counters = !matches!(variable("YURAGI_EMULATOR_COUNTERS").as_str(), "" | "0");
        Settings { check, counters, device, report, refused }
    })
}

/// The functions and codes of a list, or the word that is none.
fn refused(list: &str) -> Result<Vec<(String, u32)>, String> {
    let pair = |word: &str| {
        let parsed = word.split_once('=').and_then(|(name, code)| Some((name.to_owned(), code.parse().ok()?)));
        parsed.ok_or_else(|| word.to_owned())
    };
    list.split(',').map(str::trim).filter(|word| !word.is_empty()).map(pair).collect()
}

/// The meaning of a value, and the value if it has none.
fn check(value: &str) -> (Check, Option<&str>) {
    match value {
        "off" => (Check::Off, None),
        "warn" => (Check::Warn, None),
        "now" => (Check::Now, None),
        "fail" | "" => (Check::Fail, None),
        other => (Check::Fail, Some(other)),
    }
}

/// Prints a text, each line behind the emulator's name.
pub fn say(text: &str) {
    use std::io::Write;
    let block: String = text.lines().map(|line| format!("yuragi-emulator: {line}\n")).collect();
    // Nobody is left to hear that the error stream itself is broken.
    let _ = std::io::stderr().lock().write_all(block.as_bytes());
}

/// At most this many texts are remembered as said.
const REMEMBERED: usize = 4096;

/// Prints a text unless it was said before.
pub fn say_once(text: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut said = lock(&SAID);
    if said.len() < REMEMBERED && said.insert(text.to_owned()) {
        drop(said);
        say(text);
    }
}

/// What was found, by what it begins with: how often.
static FOUND: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// Says a finding the first time that its kernel and instruction have one of its kind; later ones are counted, and told
/// of at the 10th, the 100th, ... and when the process ends.
pub fn say_finding(finding: &Finding) {
    let name = format!("{} in {}, line {}", finding.kind.name(), finding.kernel, finding.at.line);
    let mut found = lock(&FOUND);
    if found.len() >= REMEMBERED && !found.contains_key(&name) {
        static SAID: Once = Once::new();
        drop(found);
        SAID.call_once(|| say(&format!("more than {REMEMBERED} different findings: others are not shown")));
        return;
    }
    let count = found.entry(name.clone()).or_default();
    let before = *count;
    *count += finding.times;
    let count = *count;
    drop(found);
    if before == 0 {
        say(&finding.to_string());
    } else if before.ilog10() < count.ilog10() {
        say(&format!("again {name}: {count} times so far"));
    }
}

/// What the launches did.
static PROFILE: Mutex<Option<Profile>> = Mutex::new(None);

/// Adds a launch to the report.
pub fn note(kernel: &str, report: &Report) {
    let settings = settings();
    if settings.report.is_some() {
        let device = &settings.device;
        let profile = &mut *lock(&PROFILE);
        let new = || Profile { device: device.name.clone(), ..Profile::default() };
        profile.get_or_insert_with(new).add(kernel, &device.roofline, report);
    }
}

/// Writes the report, if one is wanted and there is anything to tell.
pub fn write_report() {
    let Some(path) = &settings().report else { return };
    // Another thread that is still at work may hold the lock for ever.
    let profile = match PROFILE.try_lock() {
        Ok(mut profile) => profile.take(),
        Err(TryLockError::Poisoned(profile)) => profile.into_inner().take(),
        Err(TryLockError::WouldBlock) => None,
    };
    if let Some(Err(error)) = profile.map(|profile| profile.write(path)) {
        say(&format!("YURAGI_EMULATOR_REPORT: {error}"));
    }
}

/// Says how often the same was found.
pub fn say_found() {
    let found = match FOUND.try_lock() {
        Ok(found) => found,
        Err(TryLockError::Poisoned(found)) => found.into_inner(),
        // Another thread that is still at work may hold the lock for ever.
        Err(TryLockError::WouldBlock) => return,
    };
    found.iter().filter(|(_, times)| **times > 1).for_each(|(name, times)| say(&format!("{times} times: {name}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_is_strict_unless_the_environment_says_otherwise() {
        assert_eq!(check(""), (Check::Fail, None));
        assert_eq!(check("off"), (Check::Off, None));
        assert_eq!(check("warn"), (Check::Warn, None));
        assert_eq!(check("now"), (Check::Now, None));
        assert_eq!(check("none"), (Check::Fail, Some("none")));
    }

    #[test]
    fn refusals_are_a_list() {
        assert_eq!(refused(""), Ok(vec![]));
        assert_eq!(
            refused("cuInit=100, cuMemAlloc_v2=2"),
            Ok(vec![("cuInit".into(), 100), ("cuMemAlloc_v2".into(), 2)])
        );
        assert_eq!(refused("cuInit"), Err("cuInit".into()));
    }
}
