//! How names are compared.

use alloc::string::String;

/// A name without what people join words with, in small letters, and `pp`
/// for `++` undone.
pub(crate) fn plain(name: &str) -> String {
    let joined: String =
        name.chars().filter(|c| !matches!(c, ' ' | '-' | '_')).map(|c| c.to_ascii_lowercase()).collect();
    joined.replace("dpmpp", "dpm++")
}
