//! Prints the emoji that the installed font draws with their English names in the installed CLDR, as the tokenizer
//! carries them: `cargo run --release -p yuragi-io --example emoji_names > crates/models/src/tokenizer/emoji.txt`.
//!
//! An emoji with skin tones is left out where the name without them tells its own; the list then has that name, also of
//! a sequence that is no emoji without tones.

use std::collections::BTreeMap;

use yuragi_io::{CaptionKind, DatasetError, emoji};

/// Emoji 15.0 to 16.0, which CLDR 41 does not know.
const NEWER: &str = "
🐦‍⬛ black bird, 🐦‍🔥 phoenix, 🍄‍🟫 brown mushroom, 🍋‍🟩 lime, ⛓‍💥 broken chain, 🙂‍↔ head shaking horizontally,
🙂‍↕ head shaking vertically, 🛜 wireless, 🩵 light blue heart, 🩶 grey heart, 🩷 pink heart, 🪇 maracas, 🪈 flute,
🪉 harp, 🪏 shovel, 🪭 folding hand fan, 🪮 hair pick, 🪯 khanda, 🪻 hyacinth, 🪼 jellyfish, 🪽 wing, 🪾 leafless tree,
🪿 goose, 🫆 fingerprint, 🫎 moose, 🫏 donkey, 🫚 ginger root, 🫛 pea pod, 🫜 root vegetable, 🫟 splatter,
🫨 shaking face, 🫩 face with bags under eyes, 🫷 leftwards pushing hand, 🫸 rightwards pushing hand";

fn main() -> Result<(), DatasetError> {
    let options = emoji::Options { size: 1, flags: true, components: true, ..emoji::Options::default() };
    let dataset = emoji::load(&options)?;
    let mut names: BTreeMap<String, String> = NEWER
        .trim()
        .split(",")
        .filter_map(|entry| entry.trim().split_once(' '))
        .map(|(s, n)| (s.into(), n.into()))
        .collect();
    let mut toned = Vec::new();
    for item in &dataset.items {
        let (Some(emoji), Some(name)) = (&item.emoji, item.caption(CaptionKind::NameEn)) else { continue };
        if emoji.tones.is_empty() || emoji.base.is_empty() {
            names.insert(emoji.sequence.clone(), name.to_owned());
        } else {
            toned.push((emoji, name));
        }
    }
    for (emoji, name) in toned {
        let without = |name: &str| -> String {
            let (who, rest) = name.split_once(": ").unwrap_or((name, ""));
            let kept: Vec<&str> =
                rest.split(", ").filter(|part| !part.ends_with("skin tone") && !part.is_empty()).collect();
            if kept.is_empty() { who.to_owned() } else { format!("{who}: {}", kept.join(", ")) }
        };
        let base = names.entry(emoji.base.clone()).or_insert_with(|| without(name));
        if *base != without(name) {
            names.insert(emoji.sequence.clone(), name.to_owned());
        }
    }
    names.iter().for_each(|(sequence, name)| println!("{sequence}\t{name}"));
    Ok(())
}
