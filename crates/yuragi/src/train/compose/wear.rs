//! Hats, glasses and crowns, and heads that wear them.

use yuragi_io::{Item, Picture, PictureError};

use super::canvas::{put_glass_on, put_on, trimmed};

/// Round faces, seen from the front.
const FACES: &str =
    "😀😃😄😁😆🙂😉😊😍😘😗😚😙😋😛😜🤪😝🤔🤨😐😑😏😒🙄😬😌😔😕😟🙁☹😮😯😲😳🥺😦😧😨😥😢😖😣😞😩😫😤😡😠";
/// The same of animals and beings.
const ANIMALS: &str = "🐵🐶🐺🦊🦝🐱🦁🐯🐮🐷🐗🐭🐹🐰🐻🐨🐼🐸🐔🤖👻🎃👽💀😺😸😻😼😽🙀😿😾";

/// Whether an item is the head of an animal, or of a person; `None` of what cannot wear anything.
pub fn head(item: &Item) -> Option<bool> {
    let sign = item.emoji.as_ref()?.sequence.as_str();
    let mut signs = sign.chars();
    let (first, rest) = (signs.next()?, signs.next());
    match rest {
        None if ANIMALS.contains(first) => Some(true),
        None if FACES.contains(first) => Some(false),
        _ => None,
    }
}

/// Something that a head wears.
pub struct Worn {
    /// The emoji that shows it.
    sign: &'static str,
    /// What it is called.
    pub english: &'static str,
    /// As it stands before who wears it.
    pub japanese: &'static str,
    eyes: bool,
}

const fn worn(sign: &'static str, english: &'static str, japanese: &'static str, eyes: bool) -> Worn {
    Worn { sign, english, japanese, eyes }
}

/// What is worn: mostly called what people call it.
pub const WORN: [Worn; 9] = [
    worn("🎩", "a hat", "帽子をかぶった", false),
    worn("👒", "a hat", "帽子をかぶった", false),
    worn("🎩", "a top hat", "シルクハットをかぶった", false),
    worn("👑", "a crown", "王冠をかぶった", false),
    worn("👑", "a crown", "冠をかぶった", false),
    worn("👓", "glasses", "メガネをかけた", true),
    worn("👓", "glasses", "眼鏡をかけた", true),
    worn("🕶", "sunglasses", "サングラスをかけた", true),
    worn("🧢", "a cap", "帽子をかぶった", false),
];

impl Worn {
    /// Its picture among items.
    pub fn of<'a>(&self, items: &[&'a Item]) -> Option<&'a Item> {
        items.iter().find(|item| item.emoji.as_ref().is_some_and(|emoji| emoji.sequence == self.sign)).copied()
    }

    /// A head that wears it.
    pub fn on(&self, head: &Picture, thing: &Picture, animal: bool) -> Result<Picture, PictureError> {
        let side = head.width();
        let part = |share: f64| ((side as f64 * share).round() as usize).max(1);
        let thing = trimmed(thing)?;
        // As wide as it is to be, but no higher.
        let fitted = |width: usize, height: usize| {
            let long = (thing.width() * height).max(thing.height() * width);
            let [w, h] = [thing.width(), thing.height()].map(|edge| (edge * width * height / long).max(1));
            thing.resize(w, h)
        };
        if self.eyes {
            let thing = fitted(part(0.72), part(0.4))?;
            let mut picture = head.clone();
            let middle = part(if animal { 0.48 } else { 0.41 });
            let top = middle.saturating_sub(thing.height() / 2);
            put_glass_on(&mut picture, &thing, (side - thing.width()) / 2, top);
            return Ok(picture);
        }
        let thing = fitted(part(0.6), part(0.38))?;
        let smaller = head.resize(part(0.8), part(0.8))?;
        let mut picture = Picture::filled(side, side, [255; 3])?;
        picture.paste(&smaller, (side - smaller.width()) / 2, side - smaller.height());
        put_on(&mut picture, &thing, (side - thing.width()) / 2, part(0.39).saturating_sub(thing.height()));
        Ok(picture)
    }
}
