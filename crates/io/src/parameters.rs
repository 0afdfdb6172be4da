//! How a picture was made, as web interfaces write it into its `parameters` text.
//!
//! ```text
//! a red cat, <lora:fluffy:0.8>
//! Negative prompt: dog
//! Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 512x512, Model: sd15, Clip skip: 2
//! ```

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// Settings without which a line is no line of settings.
const FEWEST: usize = 3;
/// What begins the negative prompt.
const NEGATIVE: &str = "Negative prompt:";

/// The prompts and settings of a picture.
///
/// ```
/// use yuragi_io::parameters::Parameters;
/// let text = "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, Seed: 42, Size: 512x768, Model: \"a, b\"";
/// let made = Parameters::parse(text);
/// assert_eq!((made.prompt.as_str(), made.negative.as_str()), ("a cat", "dog"));
/// assert_eq!(made.number("Steps"), Ok(Some(20)));
/// assert_eq!(made.size(), Ok(Some([512, 768])));
/// assert_eq!(made.get("Model"), Some("a, b"));
/// assert_eq!(made.to_string(), text);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// What the picture shows.
    pub prompt: String,
    /// What was kept away from; empty if nothing.
    pub negative: String,
    /// The settings, by name, in their order.
    pub settings: Vec<(String, String)>,
}

/// A setting that does not say what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the picture's `{name}` is `{}`; it must be {legal}", crate::read::shown(.value))]
pub struct SettingError {
    /// The setting.
    pub name: String,
    /// What it says.
    pub value: String,
    /// What it may say.
    pub legal: &'static str,
}

impl Parameters {
    /// Reads a text. Whatever it is, it means something: without a line of at least three settings, all of it is prompt.
    ///
    /// Settings stand in the last line, or in the last that has `Steps`; what follows such a line is read as a setting
    /// each line. Values with commas, colons or line ends stand in quotes as JSON has them; lists and objects of JSON
    /// are kept as they are.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim().replace("\r\n", "\n");
        let lines: Vec<&str> = text.split('\n').collect();
        let settings = |line: &&str| {
            let found = settings(line);
            Some(found).filter(|found| found.len() >= FEWEST && !line.trim().starts_with(NEGATIVE))
        };
        let steps = |line: &&str| settings(line).is_some_and(|all| all.iter().any(|(name, _)| name == "Steps"));
        let last = lines.len() - 1;
        let place = lines.iter().rposition(steps).or_else(|| settings(&lines[last]).map(|_| last));
        let mut made = Self::default();
        let mut negative = false;
        for line in &lines[..place.unwrap_or(lines.len())] {
            let mut line = line.trim();
            if let Some(rest) = line.strip_prefix(NEGATIVE) {
                (negative, line) = (true, rest.trim());
            }
            let to = if negative { &mut made.negative } else { &mut made.prompt };
            if !to.is_empty() {
                to.push('\n');
            }
            to.push_str(line);
        }
        if let Some(place) = place {
            made.settings = settings(&lines[place]).unwrap_or_default();
            for line in &lines[place + 1..] {
                if let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_name(name.trim())) {
                    made.settings.push((name.trim().to_owned(), value.trim().to_owned()));
                }
            }
        }
        made
    }

    /// The value of a setting; of a repeated one the last.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.settings.iter().rev().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// Adds a setting.
    pub fn set(&mut self, name: &str, value: impl ToString) {
        self.settings.push((name.to_owned(), value.to_string()));
    }

    /// A setting as a number.
    ///
    /// # Errors
    /// A value that is no such number.
    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, SettingError> {
        let wrong = |value: &str| SettingError { name: name.into(), value: value.into(), legal: "a number in range" };
        self.get(name).map(|value| value.parse().map_err(|_| wrong(value))).transpose()
    }

    /// Width and height.
    ///
    /// # Errors
    /// A size that is not two numbers with an `x` between them.
    pub fn size(&self) -> Result<Option<[usize; 2]>, SettingError> {
        let Some(value) = self.get("Size") else { return Ok(None) };
        let parsed =
            value.split_once('x').and_then(|(width, height)| Some([width.parse().ok()?, height.parse().ok()?]));
        let legal = "WIDTHxHEIGHT";
        parsed.map(Some).ok_or_else(|| SettingError { name: "Size".into(), value: value.into(), legal })
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prompt)?;
        if !self.negative.is_empty() {
            write!(f, "\n{NEGATIVE} {}", self.negative)?;
        }
        for (place, (name, value)) in self.settings.iter().enumerate() {
            write!(f, "{}{name}: {}", if place == 0 { "\n" } else { ", " }, quoted(value))?;
        }
        Ok(())
    }
}

/// A value as it is, or as a JSON string where it would end too early.
fn quoted(value: &str) -> String {
    let plain = !value.is_empty() && !value.contains([',', ':', '\n', '"']) && value.trim() == value;
    if plain || json(value) == Some(value.len()) { value.to_owned() } else { Value::from(value).to_string() }
}

fn is_name(name: &str) -> bool {
    if name == "Negative prompt" {
        return false;
    }
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_alphanumeric() || c == '_');
    first && name.chars().nth(1).is_some() && chars.all(|c| c.is_alphanumeric() || matches!(c, '_' | ' ' | '-' | '/'))
}

/// The settings of a line.
fn settings(line: &str) -> Vec<(String, String)> {
    let (mut settings, mut rest) = (Vec::new(), line);
    while let Some((before, after)) = rest.split_once(':') {
        // What stands before the name's comma belongs to nothing.
        let name = before.rsplit(',').next().unwrap_or_default().trim();
        let value = after.trim_start();
        let end = whole(value).unwrap_or_else(|| value.find(',').unwrap_or(value.len()));
        if is_name(name) {
            let written = value[..end].trim_end();
            let text = serde_json::from_str(written).unwrap_or_else(|_| written.to_owned());
            settings.push((name.to_owned(), text));
            rest = value[end..].trim_start().strip_prefix(',').unwrap_or(&value[end..]);
        } else {
            rest = after;
        }
    }
    settings
}

/// The bytes of a value that says itself where it ends, before a comma or the line's end.
fn whole(value: &str) -> Option<usize> {
    let length = if value.starts_with('"') { string(value) } else { json(value) }?;
    let rest = value[length..].trim_start();
    (rest.is_empty() || rest.starts_with(',')).then_some(length)
}

/// The bytes of a text in quotes.
fn string(value: &str) -> Option<usize> {
    let mut escaped = false;
    let end = value.bytes().enumerate().skip(1).find(|(_, byte)| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map(|(end, _)| end + 1)
}

/// The bytes of an object or a list of JSON.
fn json(value: &str) -> Option<usize> {
    if !value.starts_with(['{', '[']) {
        return None;
    }
    let mut stream = serde_json::Deserializer::from_str(value).into_iter::<Value>();
    stream.next()?.ok()?;
    Some(stream.byte_offset())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings_of(text: &str) -> Vec<(String, String)> {
        Parameters::parse(text).settings
    }

    #[test]
    fn what_the_common_web_interface_writes() {
        let text = "masterpiece, (cat:1.2)\n<lora:x:0.8>\nNegative prompt: bad, worse\nworst\nSteps: 28, Sampler: DPM++ 2M \
                    Karras, CFG scale: 7.5, Seed: 1234567890, Size: 512x768, Model hash: 6ce0161689, Model: v1-5, \
                    Denoising strength: 0.45, Clip skip: 2, Hires upscale: 2, Lora hashes: \"x: 1a2b, y: 3c4d\", Version: v1.9.4";
        let made = Parameters::parse(text);
        assert_eq!(made.prompt, "masterpiece, (cat:1.2)\n<lora:x:0.8>");
        assert_eq!(made.negative, "bad, worse\nworst");
        assert_eq!(made.get("Sampler"), Some("DPM++ 2M Karras"));
        assert_eq!(made.number("CFG scale"), Ok(Some(7.5)));
        assert_eq!(made.number::<u64>("Seed"), Ok(Some(1_234_567_890)));
        assert_eq!(made.size(), Ok(Some([512, 768])));
        assert_eq!(made.number("Denoising strength"), Ok(Some(0.45)));
        assert_eq!(made.get("Lora hashes"), Some("x: 1a2b, y: 3c4d"));
        assert_eq!(made.get("Version"), Some("v1.9.4"));
        assert_eq!(made.to_string(), text);
    }

    #[test]
    fn what_others_write() {
        let cpp = "a lovely cat\nNegative prompt: \nSteps: 20, CFG scale: 7.000000, Guidance: 3.500000, Seed: 42, Size: \
                   512x512, Model: sd15.gguf, RNG: cuda, Sampler: euler_a, Version: stable-diffusion.cpp";
        let made = Parameters::parse(cpp);
        assert_eq!((made.negative.as_str(), made.get("RNG"), made.settings.len()), ("", Some("cuda"), 9));
        let site = "cat\nSteps: 20, Sampler: Euler, Seed: 1, Hashes: {\"model\": \"ab, cd\", \"lora:x\": \"1\"}, Civitai \
                    resources: [{\"type\":\"checkpoint\",\"weight\":1}], Version: f2.0\nTemplate: a __b__, c";
        let made = Parameters::parse(site);
        assert_eq!(made.get("Hashes"), Some("{\"model\": \"ab, cd\", \"lora:x\": \"1\"}"));
        assert_eq!(made.get("Civitai resources"), Some("[{\"type\":\"checkpoint\",\"weight\":1}]"));
        assert_eq!((made.get("Version"), made.get("Template")), (Some("f2.0"), Some("a __b__, c")));
        assert_eq!(Parameters::parse(&made.to_string()).settings, made.settings);
    }

    #[test]
    fn any_text_means_something() {
        let made = Parameters::parse("just: a, prompt: two");
        assert_eq!((made.prompt.as_str(), made.settings.len()), ("just: a, prompt: two", 0));
        assert_eq!(Parameters::parse(""), Parameters::default());
        let crlf = Parameters::parse("a\r\nNegative prompt: b\r\nSteps: 1, Seed: 2, Size: 8x8\r\n");
        assert_eq!((crlf.prompt.as_str(), crlf.negative.as_str(), crlf.settings.len()), ("a", "b", 3));
        assert_eq!(settings_of("Steps: 1, Seed: \"unclosed, Size: 8x8, Model: m").len(), 4);
        assert_eq!(settings_of("Steps: 1, Model: \"a\\\"b\", Size: 8x8")[1].1, "a\"b");
        // No prompt at all.
        assert_eq!(Parameters::parse("Steps: 1, Seed: 2, Size: 8x8").prompt, "");
    }

    #[test]
    fn settings_that_are_none_are_named() {
        let made = Parameters::parse("Steps: many, Seed: -1, Size: 8");
        let said = made.number::<u32>("Steps").unwrap_err().to_string();
        assert_eq!(said, "the picture's `Steps` is `many`; it must be a number in range");
        assert!(made.size().unwrap_err().to_string().ends_with("it must be WIDTHxHEIGHT"));
        assert_eq!(made.number::<u64>("Nothing"), Ok(None));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for value in [
            "plain",
            "a, b",
            "a: b",
            "two\nlines",
            "\"quoted\"",
            " spaced ",
            "",
            "{\"a\": [1, 2]}",
            "{odd",
            "猫, 犬",
            "a\\",
        ] {
            let mut made = Parameters { prompt: "a cat".into(), ..Parameters::default() };
            made.set("Steps", 8);
            made.set("Model", value);
            made.set("Seed", u64::MAX);
            assert_eq!(Parameters::parse(&made.to_string()), made, "{value:?}");
        }
    }
}
