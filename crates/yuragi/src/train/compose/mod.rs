//! Pictures made of the data's pictures, with captions that say how: in another colour, on a coloured background, at
//! night, big or small, two or three of it, two things side by side or one above the other, wearing something; and as they are, with
//! words that no picture shows. They teach words that the data alone never separates from the thing named.

pub(crate) mod canvas;
pub(crate) mod colour;
mod say;
pub(crate) mod wear;

use yuragi_io::{Caption, Item, Picture, PictureError};

use super::{order::Draws, wording};
use colour::{COLOURS, Colour, Main, main_colour};
use say::{Lie, english, japanese};
use wear::{WORN, Worn};

/// Purposes of draws.
const FORM: u32 = 1;
const FIRST: u32 = 2;
const SECOND: u32 = 3;
const COLOUR: u32 = 4;
const WORDING: u32 = 5;
const PLAIN: u32 = 6;
const CHOICE: u32 = 7;

/// The most words of a name that is short, or characters in Japanese.
const SHORT: usize = 2;
const SHORT_JAPANESE: usize = 8;
/// The share of draws of things with a short name that fall on those whose name is one word, where some are.
const PLAIN_SHARE: f64 = 0.7;
/// The least share of a picture's pixels that is white around the thing, for a background to be seen.
const AROUND: f32 = 0.1;
/// How small and how big things are drawn.
const SMALL: f64 = 0.4;
const BIG: f64 = 1.3;

/// What is composed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Described,
    Coloured,
    Background,
    Night,
    Sized,
    Counted,
    Both,
    Worn,
}

/// How often each form is drawn, where the data has what it takes.
const SHARES: [(Form, f64); 8] = [
    (Form::Described, 0.12),
    (Form::Coloured, 0.10),
    (Form::Background, 0.06),
    (Form::Night, 0.04),
    (Form::Sized, 0.06),
    (Form::Counted, 0.16),
    (Form::Both, 0.40),
    (Form::Worn, 0.06),
];

/// A source of composed pictures.
///
/// No caption of them says what the picture does not show, as far as words tell: nothing is recoloured whose captions name
/// a colour, no background is named that cannot be seen or beside another one, nothing is counted or sized that is so by
/// its name, and English stands beside English, Japanese beside Japanese. Captions too long to be continued, or in other
/// scripts, are left alone.
pub struct Composer<'a> {
    /// Items that are put beside each other, things with a short name, by [`Tongue`].
    things: [Pool<'a>; 2],
    /// Those with a short name that words may be said of.
    described: Pool<'a>,
    /// Items with white around them.
    bare: Vec<&'a Item>,
    /// Those that can be at night.
    dark: Vec<&'a Item>,
    /// Those with a short name that can be counted, and sized.
    single: Pool<'a>,
    /// Items of one main colour.
    coloured: Vec<(&'a Item, Main)>,
    /// Heads, whether they are animals', and what can be worn.
    heads: Vec<(&'a Item, bool)>,
    worn: Vec<(&'static Worn, &'a Item)>,
    seed: u64,
}

/// A language that is composed in.
#[derive(Clone, Copy)]
enum Tongue {
    English,
    Japanese,
}

/// Items, those named by one word first.
#[derive(Default)]
struct Pool<'a> {
    items: Vec<&'a Item>,
    plain: usize,
}

impl<'a> Pool<'a> {
    fn new(mut items: Vec<&'a Item>) -> Pool<'a> {
        let plain = |item: &&Item| english(item).or(japanese(item)).is_some_and(|name| !name.contains([' ', '、']));
        items.sort_by_key(|item| !plain(item));
        Pool { plain: items.iter().filter(|item| plain(item)).count(), items }
    }

    /// One of the items, of which there are some.
    fn draw(&self, draws: Draws, purpose: u32) -> &'a Item {
        let few = self.plain > 1 && draws.uniform(purpose + PLAIN) < PLAIN_SHARE;
        self.items[draws.below(purpose, if few { self.plain } else { self.items.len() })]
    }
}

impl<'a> Composer<'a> {
    /// Composes what can be named: items with a name, none that is held out.
    pub fn new(items: impl IntoIterator<Item = &'a Item>, seed: u64) -> Composer<'a> {
        let named = |item: &&Item| !item.held_out && (english(item).is_some() || japanese(item).is_some());
        let items: Vec<&Item> = items.into_iter().filter(named).collect();
        let combination = |item: &Item| item.emoji.as_ref().is_some_and(|e| e.is_combination());
        let short_english = |item: &Item| english(item).is_some_and(|name| name.split(' ').count() <= SHORT);
        let short_japanese = |item: &Item| japanese(item).is_some_and(|name| name.chars().count() <= SHORT_JAPANESE);
        let short = |item: &Item| short_english(item) || english(item).is_none() && short_japanese(item);
        let thing = |item: &Item| !combination(item) && !wording::is_sign(item);
        let things = |tongue: Tongue| {
            let short = |item: &Item| match tongue {
                Tongue::English => short_english(item),
                Tongue::Japanese => short_japanese(item),
            };
            let spoken = |item: &&&Item| match tongue {
                Tongue::English => english(item).is_some(),
                Tongue::Japanese => english(item).is_none(),
            };
            let all: Vec<&Item> = items.iter().filter(spoken).copied().collect();
            let short: Vec<&Item> = all.iter().filter(|item| thing(item) && short(item)).copied().collect();
            Pool::new(if short.len() < 2 { all } else { short })
        };
        let says = |item: &Item, of: fn(&str) -> bool| item.captions.iter().any(|caption| of(&caption.text));
        let names = |item: &Item, of: fn(&str) -> bool| english(item).into_iter().chain(japanese(item)).any(of);
        let plain = |item: &&&Item| !combination(item) && !says(item, wording::names_colour);
        let coloured = items.iter().filter(plain).filter_map(|&i| Some((i, main_colour(&i.picture)?))).collect();
        let is_bare = |item: &&&Item| {
            let outside = canvas::outside(&item.picture);
            let share = outside.iter().filter(|is| **is).count() as f32 / outside.len() as f32;
            share >= AROUND && !says(item, wording::names_background)
        };
        let bare: Vec<&Item> = items.iter().filter(is_bare).copied().collect();
        let dark = bare.iter().filter(|item| !says(item, wording::names_time)).copied().collect();
        let one = |item: &&&Item| {
            short(item) && thing(item) && !names(item, wording::names_size) && !names(item, wording::names_number)
        };
        let single = Pool::new(bare.iter().filter(one).copied().collect());
        let mild = |item: &&&Item| short(item) && thing(item) && !says(item, wording::names_mood);
        let described = Pool::new(items.iter().filter(mild).copied().collect());
        let head = |item: &&'a Item| Some((*item, wear::head(item)?)).filter(|_| !says(item, wording::names_worn));
        let heads = items.iter().filter_map(head).collect();
        let worn = WORN.iter().filter_map(|worn| Some((worn, worn.of(&items)?))).collect();
        let things = [Tongue::English, Tongue::Japanese].map(things);
        Composer { things, described, bare, dark, single, coloured, heads, worn, seed }
    }

    /// Whether the data has what a form takes.
    fn has(&self, form: Form) -> bool {
        match form {
            Form::Described => !self.described.items.is_empty(),
            Form::Coloured => !self.coloured.is_empty(),
            Form::Background => !self.bare.is_empty(),
            Form::Night => !self.dark.is_empty(),
            Form::Sized | Form::Counted => !self.single.items.is_empty(),
            Form::Both => self.things.iter().any(|things| things.items.len() > 1),
            Form::Worn => !self.heads.is_empty() && !self.worn.is_empty(),
        }
    }

    /// The composed item of this number, always the same; `None` if nothing can be composed, or said of it in short.
    pub fn item(&self, number: u64) -> Option<Result<Item, PictureError>> {
        let draws = Draws::new(self.seed ^ 0x0063_6f6d_706f_7365, number);
        let forms: Vec<(Form, f64)> = SHARES.into_iter().filter(|(form, _)| self.has(*form)).collect();
        let mut left = draws.uniform(FORM) * forms.iter().map(|(_, share)| share).sum::<f64>();
        let chosen = forms.iter().find(|(_, share)| {
            left -= share;
            left < 0.0
        });
        let (form, _) = chosen.or(forms.last())?;
        let (picture, captions) = match self.compose(*form, draws) {
            Ok(made) => made,
            Err(error) => return Some(Err(error)),
        };
        let item = Item { id: format!("composed {number}"), picture, captions, held_out: false, emoji: None };
        (!item.captions.is_empty()).then_some(Ok(item))
    }

    fn compose(&self, form: Form, draws: Draws) -> Result<(Picture, Vec<Caption>), PictureError> {
        let word = draws.uniform(WORDING);
        let among = |items: &[&'a Item]| items[draws.below(FIRST, items.len())];
        Ok(match form {
            Form::Described => {
                let item = self.described.draw(draws, FIRST);
                (item.picture.clone(), say::described(item, word))
            }
            Form::Coloured => {
                let (item, main) = self.coloured[draws.below(FIRST, self.coloured.len())];
                let colour = &COLOURS[draws.below(COLOUR, COLOURS.len())];
                (colour::recoloured(&item.picture, main, colour), say::coloured(item, colour))
            }
            Form::Background => {
                let (item, colour) = (among(&self.bare), background(draws));
                (canvas::on_background(&item.picture, colour.rgb), say::on_background(item, colour))
            }
            Form::Night => {
                let item = among(&self.dark);
                (canvas::at_night(&item.picture, draws), say::at_night(item))
            }
            Form::Sized => {
                let (item, big) = (self.single.draw(draws, FIRST), draws.uniform(CHOICE) < 0.4);
                let share = if big { BIG } else { SMALL };
                (canvas::scaled(&item.picture, share)?, say::sized(item, big, word))
            }
            Form::Counted => {
                let (item, three) = (self.single.draw(draws, FIRST), draws.uniform(CHOICE) < 0.5);
                let two: &[[usize; 2]] = &[[0, 1], [2, 1]];
                let places = if three { &[[1, 0], [0, 2], [2, 2]] } else { two };
                let things: Vec<(&Picture, [usize; 2])> = places.iter().map(|&place| (&item.picture, place)).collect();
                (canvas::halves(&things)?, say::counted(item, three, wording::is_animal(item), word))
            }
            Form::Both => {
                let [english, japanese] = &self.things;
                let all = english.items.len() + japanese.items.len();
                let second = draws.below(CHOICE, all) >= english.items.len();
                let things = match (english.items.len() > 1, japanese.items.len() > 1) {
                    (_, false) => english,
                    (false, true) => japanese,
                    (true, true) => [english, japanese][usize::from(second)],
                };
                let [first, second] = [FIRST, SECOND].map(|purpose| things.draw(draws, purpose));
                let lie = if draws.uniform(COLOUR) < 0.6 { Lie::Beside } else { Lie::Above };
                let places = if lie == Lie::Beside { [[0, 1], [2, 1]] } else { [[1, 0], [1, 2]] };
                let picture = canvas::halves(&[(&first.picture, places[0]), (&second.picture, places[1])])?;
                (picture, say::both(first, second, lie, word))
            }
            Form::Worn => {
                let (head, animal) = self.heads[draws.below(FIRST, self.heads.len())];
                let (worn, thing) = self.worn[draws.below(SECOND, self.worn.len())];
                (worn.on(&head.picture, &thing.picture, animal)?, say::wearing(head, worn, animal, word))
            }
        })
    }
}

/// A colour that can be seen behind things: any but white, which stands last.
fn background(draws: Draws) -> &'static Colour {
    &COLOURS[draws.below(COLOUR, COLOURS.len() - 1)]
}

#[cfg(test)]
mod tests {
    use yuragi_io::CaptionKind;

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
    fn every_form_is_drawn_and_said_in_short() {
        let emoji = |sign: &str, english: &str, japanese: &str, colour| {
            let kinds = [(CaptionKind::NameEn, english), (CaptionKind::NameJa, japanese)];
            let captions = kinds.map(|(kind, text)| Caption { kind, text: text.into() }).to_vec();
            Item { captions, emoji: Some(yuragi_io::emoji::Emoji::new(sign)), ..disc(english, colour) }
        };
        let items = [
            emoji("🐱", "cat face", "ネコの顔", [200, 150, 60]),
            emoji("🦊", "fox", "キツネの顔", [230, 120, 40]),
            emoji("👑", "crown", "王冠", [220, 190, 40]),
            emoji("🍎", "red apple", "赤リンゴ", [220, 20, 40]),
            emoji("🕐", "one o’clock", "1時", [150, 150, 150]),
        ];
        let composer = Composer::new(&items, 5);
        let made: Vec<Item> = (0..3000).map(|number| composer.item(number).unwrap().unwrap()).collect();
        let of = |kind| made.iter().filter_map(move |item| item.caption(kind));
        for text in of(CaptionKind::NameEn) {
            assert!(text.split(' ').count() <= 10, "{text}");
            assert!(!text.contains("one o’clock") || !text.contains(" and ") && !text.contains("two"), "{text}");
            assert!(!text.contains("red apple") && !text.contains("green apple"), "{text}");
        }
        for [english, japanese] in [
            ["cat wearing a crown", "王冠をかぶったネコ"],
            ["fox and apple", "キツネとりんご"],
            ["two cat face", "2匹のネコの顔"],
            ["three apple", "三つのりんご"],
            ["big fox", "大きなキツネ"],
            ["cute fox", "かわいいキツネ"],
            ["crown at night", "夜の王冠"],
            ["blue fox", "青いキツネ"],
            ["apple on a blue background", "青い背景のりんご"],
        ] {
            assert!(of(CaptionKind::NameEn).any(|text| text == english), "{english}");
            assert!(of(CaptionKind::NameJa).any(|text| text == japanese), "{japanese}");
        }
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
