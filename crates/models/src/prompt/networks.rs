use alloc::string::String;
use alloc::vec::Vec;

/// A network that a prompt asks for: `<lora:NAME:0.8>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// What kind of network: `lora`, ..
    pub kind: String,
    /// What stands after it, between colons: its name, then weights.
    pub arguments: Vec<String>,
}

impl Network {
    /// Its name; empty if none is said.
    #[must_use]
    pub fn name(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }

    /// How much of it, 1 if nothing is said; `None` if it is no finite number.
    #[must_use]
    pub fn weight(&self) -> Option<f64> {
        let Some(text) = self.arguments.get(1) else { return Some(1.0) };
        text.trim().parse().ok().filter(|weight: &f64| weight.is_finite())
    }
}

/// A prompt without the networks that it asks for, and these.
///
/// ```
/// use yuragi_models::prompt::networks;
/// let (prompt, networks) = networks("a cat <lora:fluffy:0.8>, red");
/// assert_eq!(prompt, "a cat , red");
/// assert_eq!((networks[0].kind.as_str(), networks[0].name(), networks[0].weight()), ("lora", "fluffy", Some(0.8)));
/// ```
#[must_use]
pub fn networks(prompt: &str) -> (String, Vec<Network>) {
    let (mut text, mut networks, mut rest) = (String::new(), Vec::new(), prompt);
    while let Some(place) = rest.find('<') {
        text.push_str(&rest[..place]);
        rest = &rest[place..];
        match network(rest) {
            Some((network, length)) => {
                networks.push(network);
                rest = &rest[length..];
            }
            None => {
                text.push('<');
                rest = &rest[1..];
            }
        }
    }
    text.push_str(rest);
    (text, networks)
}

/// The network that a text begins with, and its bytes.
fn network(text: &str) -> Option<(Network, usize)> {
    let kind = &text[1..1 + text[1..].find(|c: char| !(c.is_alphanumeric() || c == '_'))?];
    let rest = text[1 + kind.len()..].strip_prefix(':').filter(|_| !kind.is_empty())?;
    let end = rest.find('>').filter(|end| *end > 0)?;
    let arguments = rest[..end].split(':').map(Into::into).collect();
    Some((Network { kind: kind.into(), arguments }, kind.len() + end + 3))
}
