//! Pictures made of the data's pictures, with captions that say how: another colour, a coloured
//! background, two things side by side or one above the other. They teach words that the data alone
//! never separates from the thing named.

use yuragi_io::{Caption, CaptionKind, Item, Picture, PictureError};

use super::{order::Draws, wording};

/// Purposes of draws.
const FORM: u32 = 1;
const FIRST: u32 = 2;
const SECOND: u32 = 3;
const COLOUR: u32 = 4;
const WORDING: u32 = 5;

/// A colour word.
struct Colour {
    english: &'static str,
    /// As it stands before a noun.
    japanese: &'static str,
    /// Degrees.
    hue: f32,
    /// The background's colour.
    rgb: [u8; 3],
}

const fn colour(english: &'static str, japanese: &'static str, hue: f32, rgb: [u8; 3]) -> Colour {
    Colour { english, japanese, hue, rgb }
}

const COLOURS: [Colour; 7] = [
    colour("red", "赤い", 0.0, [226, 66, 60]),
    colour("orange", "オレンジ色の", 28.0, [247, 152, 60]),
    colour("yellow", "黄色い", 50.0, [250, 214, 70]),
    colour("green", "緑色の", 115.0, [96, 180, 90]),
    colour("blue", "青い", 212.0, [72, 136, 224]),
    colour("purple", "紫色の", 275.0, [146, 92, 200]),
    colour("pink", "ピンクの", 332.0, [248, 150, 190]),
];

/// The most words of a name that is short, or characters in Japanese.
const SHORT: usize = 2;
const SHORT_JAPANESE: usize = 8;
/// The least share of a picture's pixels that is white around the thing, for a background to be seen.
const AROUND: f32 = 0.1;
/// Hues are counted in bins of this many degrees.
const BIN: f32 = 20.0;
/// Below this saturation a pixel has no hue.
const GREY: f32 = 0.2;
/// The share of a thing's pixels that its main hue must cover for a colour word to describe it.
const MAIN_SHARE: f32 = 0.45;

/// A source of composed pictures.
///
/// No caption of them says what the picture does not show, as far as words tell: nothing is recoloured whose captions name
/// a colour, no background is named that cannot be seen or beside another one, and English stands beside English,
/// Japanese beside Japanese. Captions too long to be continued, or in other scripts, are left alone.
pub struct Composer<'a> {
    /// Items that are put beside each other, things with a short name, by [`Tongue`].
    things: [Vec<&'a Item>; 2],
    /// Items with white around them.
    bare: Vec<&'a Item>,
    /// Items of one main hue, and that hue in degrees.
    coloured: Vec<(&'a Item, f32)>,
    seed: u64,
}

/// A language that is composed in.
#[derive(Clone, Copy)]
enum Tongue {
    English,
    Japanese,
}

impl<'a> Composer<'a> {
    /// Composes what can be named: items with a name, none that is held out.
    pub fn new(items: impl IntoIterator<Item = &'a Item>, seed: u64) -> Composer<'a> {
        let named = |item: &&Item| !item.held_out && (english(item).is_some() || japanese(item).is_some());
        let items: Vec<&Item> = items.into_iter().filter(named).collect();
        let combination = |item: &Item| item.emoji.as_ref().is_some_and(|e| e.is_combination());
        let things = |tongue: Tongue| -> Vec<&Item> {
            let short = |item: &Item| match tongue {
                Tongue::English => english(item).is_some_and(|name| name.split(' ').count() <= SHORT),
                Tongue::Japanese => japanese(item).is_some_and(|name| name.chars().count() <= SHORT_JAPANESE),
            };
            let spoken = |item: &&&Item| match tongue {
                Tongue::English => english(item).is_some(),
                Tongue::Japanese => english(item).is_none(),
            };
            let all: Vec<&Item> = items.iter().filter(spoken).copied().collect();
            let short: Vec<&Item> = all.iter().filter(|item| !combination(item) && short(item)).copied().collect();
            if short.len() < 2 { all } else { short }
        };
        let says = |item: &Item, of: fn(&str) -> bool| item.captions.iter().any(|caption| of(&caption.text));
        let plain = |item: &&&Item| !combination(item) && !says(item, wording::names_colour);
        let coloured = items.iter().filter(plain).filter_map(|&i| Some((i, main_hue(&i.picture)?))).collect();
        let bare = |item: &&&Item| {
            let outside = outside(&item.picture);
            let share = outside.iter().filter(|is| **is).count() as f32 / outside.len() as f32;
            share >= AROUND && !says(item, wording::names_background)
        };
        let things = [Tongue::English, Tongue::Japanese].map(things);
        Composer { things, bare: items.iter().filter(bare).copied().collect(), coloured, seed }
    }

    /// The composed item of this number, always the same; `None` if the data has nothing to compose.
    pub fn item(&self, number: u64) -> Option<Result<Item, PictureError>> {
        let draws = Draws::new(self.seed ^ 0x0063_6f6d_706f_7365, number);
        let colour = &COLOURS[draws.below(COLOUR, COLOURS.len())];
        let form = draws.uniform(FORM);
        let pairs = self.things.iter().any(|things| things.len() > 1);
        let made = if !self.coloured.is_empty() && (form < 0.45 || (self.bare.is_empty() && !pairs)) {
            let (item, hue) = self.coloured[draws.below(FIRST, self.coloured.len())];
            recoloured(&item.picture, colour.hue - hue).map(|p| (p, named_colour(item, colour)))
        } else if !self.bare.is_empty() && (form < 0.65 || !pairs) {
            let item = self.bare[draws.below(FIRST, self.bare.len())];
            on_background(&item.picture, colour.rgb).map(|p| (p, named_background(item, colour)))
        } else if pairs {
            let [english, japanese] = &self.things;
            let first = draws.below(FIRST, english.len() + japanese.len());
            let (things, first) = match first.checked_sub(english.len()) {
                Some(first) if japanese.len() > 1 => (japanese, first),
                None if english.len() > 1 => (english, first),
                Some(_) => (english, first % english.len()),
                None => (japanese, first % japanese.len()),
            };
            let (beside, second) = (form < 0.85, draws.below(SECOND, things.len()));
            let [first, second] = [things[first], things[second]];
            both(&first.picture, &second.picture, beside).map(|p| (p, named_both(first, second, beside, draws)))
        } else {
            return None;
        };
        Some(made.map(|(picture, captions)| Item {
            id: format!("composed {number}"),
            picture,
            captions,
            held_out: false,
            emoji: None,
        }))
    }
}

/// The captions of a kind that can be told from the parts' captions.
fn captions(english: Option<String>, japanese: Option<String>) -> Vec<Caption> {
    let caption = |kind, text: Option<String>| text.map(|text| Caption { kind, text });
    [caption(CaptionKind::NameEn, english), caption(CaptionKind::NameJa, japanese)].into_iter().flatten().collect()
}

fn english(item: &Item) -> Option<&str> {
    let plain = || item.caption(CaptionKind::Plain).filter(|text| wording::is_english(text));
    item.caption(CaptionKind::NameEn).or_else(plain)
}

fn japanese(item: &Item) -> Option<&str> {
    let plain = || item.caption(CaptionKind::Plain).filter(|text| wording::is_japanese(text));
    item.caption(CaptionKind::NameJa).or_else(plain)
}

fn named_colour(item: &Item, colour: &Colour) -> Vec<Caption> {
    captions(
        english(item).map(|name| format!("{} {name}", colour.english)),
        japanese(item).map(|name| format!("{}{name}", colour.japanese)),
    )
}

fn named_background(item: &Item, colour: &Colour) -> Vec<Caption> {
    captions(
        english(item).map(|name| format!("{name} on a {} background", colour.english)),
        japanese(item).map(|name| format!("{}背景の{name}", colour.japanese)),
    )
}

fn named_both(first: &Item, second: &Item, beside: bool, draws: Draws) -> Vec<Caption> {
    let plain = draws.uniform(WORDING) < 0.6;
    let say_english = |(a, b): (&str, &str)| match (beside, plain) {
        (true, true) => format!("{a} and {b}"),
        (true, false) => format!("{a} to the left of {b}"),
        (false, true) => format!("{a} above {b}"),
        (false, false) => format!("{b} below {a}"),
    };
    let say_japanese = |(a, b): (&str, &str)| match (beside, plain) {
        (true, true) => format!("{a}と{b}"),
        (true, false) => format!("{b}の左に{a}"),
        (false, true) => format!("{b}の上に{a}"),
        (false, false) => format!("{a}の下に{b}"),
    };
    captions(
        english(first).zip(english(second)).map(say_english),
        japanese(first).zip(japanese(second)).map(say_japanese),
    )
}

/// Two pictures at half size on white, left and right or above and below.
fn both(first: &Picture, second: &Picture, beside: bool) -> Result<Picture, PictureError> {
    let side = first.width();
    let half = (side / 2).max(1);
    let mut picture = Picture::filled(side, side, [255; 3])?;
    let (first, second) = (first.resize(half, half)?, second.resize(half, half)?);
    let (middle, end) = ((side - half) / 2, side - half);
    if beside {
        picture.paste(&first, 0, middle);
        picture.paste(&second, end, middle);
    } else {
        picture.paste(&first, middle, 0);
        picture.paste(&second, middle, end);
    }
    Ok(picture)
}

/// Every hue turned by so many degrees.
fn recoloured(picture: &Picture, turn: f32) -> Result<Picture, PictureError> {
    let mut picture = picture.clone();
    for pixel in picture.rgb_mut().as_chunks_mut::<3>().0 {
        let (hue, saturation, value) = to_hsv(*pixel);
        *pixel = from_hsv((hue + turn).rem_euclid(360.0), saturation, value);
    }
    Ok(picture)
}

/// Which pixels are the white around the thing, seen from the border.
fn outside(picture: &Picture) -> Vec<bool> {
    let (width, height) = (picture.width(), picture.height());
    let pixels = picture.rgb().as_chunks::<3>().0;
    let white = |pixel: &[u8; 3]| pixel.iter().all(|&v| v > 236);
    let mut outside = vec![false; width * height];
    let border = |i: usize| i.is_multiple_of(width) || i % width == width - 1 || i < width || i >= width * (height - 1);
    let mut open: Vec<usize> = (0..width * height).filter(|&i| border(i) && white(&pixels[i])).collect();
    while let Some(i) = open.pop() {
        if outside[i] || !white(&pixels[i]) {
            continue;
        }
        outside[i] = true;
        let (x, y) = (i % width, i / width);
        let mut visit = |x: usize, y: usize| open.push(y * width + x);
        if x > 0 {
            visit(x - 1, y);
        }
        if x + 1 < width {
            visit(x + 1, y);
        }
        if y > 0 {
            visit(x, y - 1);
        }
        if y + 1 < height {
            visit(x, y + 1);
        }
    }
    outside
}

/// The white around the thing in a colour.
fn on_background(picture: &Picture, colour: [u8; 3]) -> Result<Picture, PictureError> {
    let (width, height) = (picture.width(), picture.height());
    let outside = outside(picture);
    let mut picture = picture.clone();
    let pixels = picture.rgb_mut().as_chunks_mut::<3>().0;
    for (i, pixel) in pixels.iter_mut().enumerate() {
        let (x, y) = (i % width, i / width);
        let touches = (x > 0 && outside[i - 1])
            || (x + 1 < width && outside[i + 1])
            || (y > 0 && outside[i - width])
            || (y + 1 < height && outside[i + width]);
        // White is the absence of cover: tinting by the background's colour keeps the soft edge.
        if outside[i] || touches {
            for (v, c) in pixel.iter_mut().zip(colour) {
                *v = (u16::from(*v) * u16::from(c) / 255) as u8;
            }
        }
    }
    Ok(picture)
}

/// The hue that covers most of the thing, in degrees, if one does.
fn main_hue(picture: &Picture) -> Option<f32> {
    let bins = (360.0 / BIN) as usize;
    let mut shares = vec![0.0f32; bins];
    let mut thing = 0.0f32;
    for &pixel in picture.rgb().as_chunks::<3>().0 {
        let (hue, saturation, value) = to_hsv(pixel);
        if saturation < 0.05 && value > 0.95 {
            continue;
        }
        thing += 1.0;
        if saturation > GREY && value > 0.2 {
            shares[(hue / BIN) as usize % bins] += 1.0;
        }
    }
    let around = |i: usize| shares[i] + shares[(i + 1) % bins];
    let best = (0..bins).max_by(|&a, &b| around(a).total_cmp(&around(b)))?;
    (around(best) > MAIN_SHARE * thing && thing > 0.0).then_some(((best + 1) as f32 * BIN).rem_euclid(360.0))
}

/// Degrees, and saturation and value from 0 to 1.
fn to_hsv([r, g, b]: [u8; 3]) -> (f32, f32, f32) {
    let (r, g, b) = (f32::from(r) / 255.0, f32::from(g) / 255.0, f32::from(b) / 255.0);
    let (high, low) = (r.max(g).max(b), r.min(g).min(b));
    let range = high - low;
    if range == 0.0 {
        return (0.0, 0.0, high);
    }
    let sextant = if high == r {
        (g - b) / range
    } else if high == g {
        2.0 + (b - r) / range
    } else {
        4.0 + (r - g) / range
    };
    ((sextant * 60.0).rem_euclid(360.0), range / high, high)
}

fn from_hsv(hue: f32, saturation: f32, value: f32) -> [u8; 3] {
    let channel = |n: f32| {
        let k = (n + hue / 60.0) % 6.0;
        let v = value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0);
        (v * 255.0 + 0.5) as u8
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disc(name: &str, colour: [u8; 3]) -> Item {
        let mut picture = Picture::filled(16, 16, [255; 3]).unwrap();
        picture.paste(&Picture::filled(8, 8, colour).unwrap(), 4, 4);
        let captions = vec![
            Caption { kind: CaptionKind::NameEn, text: name.into() },
            Caption { kind: CaptionKind::NameJa, text: "丸".into() },
        ];
        Item { id: name.into(), picture, captions, held_out: false, emoji: None }
    }

    #[test]
    fn colours_turn_to_the_word() {
        for (i, colour) in COLOURS.iter().enumerate() {
            let turned = recoloured(&disc("disc", [255, 30, 30]).picture, colour.hue).unwrap();
            let hue = to_hsv(turned.pixel(8, 8).unwrap()).0;
            assert!((hue - colour.hue).abs() < 2.0, "{} gives {hue}", COLOURS[i].english);
            assert_eq!(turned.pixel(0, 0), Some([255; 3]));
        }
        assert!((main_hue(&disc("disc", [30, 30, 255]).picture).unwrap() - 240.0).abs() <= BIN);
        assert_eq!(main_hue(&disc("disc", [90, 90, 90]).picture), None);
    }

    #[test]
    fn hsv_round_trips() {
        for r in (0..=255).step_by(17) {
            for g in (0..=255).step_by(17) {
                for b in (0..=255).step_by(17) {
                    let (h, s, v) = to_hsv([r, g, b]);
                    let back = from_hsv(h, s, v);
                    assert!(back.iter().zip([r, g, b]).all(|(x, y)| x.abs_diff(y) <= 1), "{r} {g} {b} {back:?}");
                }
            }
        }
    }

    #[test]
    fn backgrounds_reach_only_the_outside() {
        let mut item = disc("ring", [200, 0, 0]);
        item.picture.paste(&Picture::filled(2, 2, [255; 3]).unwrap(), 7, 7);
        let picture = on_background(&item.picture, [0, 0, 255]).unwrap();
        assert_eq!(picture.pixel(0, 0), Some([0, 0, 255]));
        assert_eq!(picture.pixel(7, 7), Some([255; 3]));
    }

    fn captioned(text: &str, colour: [u8; 3]) -> Item {
        Item { captions: vec![Caption { kind: CaptionKind::Plain, text: text.into() }], ..disc(text, colour) }
    }

    #[test]
    fn ones_own_captions_are_not_contradicted() {
        let own = [
            captioned("A Crimson kite", [200, 20, 40]),
            captioned("navy, sailing boat", [20, 30, 120]),
            captioned("dark-brown teapot", [110, 70, 20]),
            captioned("紺色の傘", [30, 40, 110]),
            captioned("木のいす", [160, 110, 60]),
            captioned("wooden chair", [160, 110, 60]),
            captioned("tent on a plain background", [30, 160, 90]),
            captioned("стул", [160, 110, 60]),
        ];
        let composer = Composer::new(&own, 1);
        assert_eq!(
            composer.coloured.iter().map(|(item, _)| item.title()).collect::<Vec<_>>(),
            ["木のいす", "wooden chair", "tent on a plain background"]
        );
        let all: Vec<String> =
            (0..400).map(|number| composer.item(number).unwrap().unwrap().title().to_owned()).collect();
        for text in &all {
            let japanese = text.chars().any(|c| c >= '\u{3040}');
            assert!(japanese != text.bytes().any(|b| b.is_ascii_alphabetic()), "two languages: {text}");
            assert!(text.matches("background").count() <= 1 && !text.contains("стул"), "{text}");
        }
        assert!(all.iter().any(|text| text.contains("傘") && text.contains("背景")), "{all:?}");
    }

    #[test]
    fn a_background_that_cannot_be_seen_is_not_named() {
        let whole =
            |text: &str| Item { picture: Picture::filled(16, 16, [90, 60, 20]).unwrap(), ..captioned(text, [0; 3]) };
        let (forest, lake) = (whole("forest"), whole("lake"));
        let composer = Composer::new([&forest, &lake], 1);
        assert!((0..100).all(|number| !composer.item(number).unwrap().unwrap().title().contains("background")));
    }

    #[test]
    fn items_repeat_by_number_and_name_what_they_show() {
        let items = [disc("disc", [255, 30, 30]), disc("ball", [30, 200, 30])];
        let composer = Composer::new(&items, 3);
        for number in 0..50 {
            let item = composer.item(number).unwrap().unwrap();
            assert_eq!(item, composer.item(number).unwrap().unwrap());
            assert!(item.title().contains("disc") || item.title().contains("ball"), "{}", item.title());
        }
        assert!(Composer::new(&[], 3).item(0).is_none());
    }
}
