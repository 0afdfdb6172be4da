//! What a judge learns from: true pictures, changed in every way that leaves what they show.

use yuragi_io::{Item, Picture, PictureError};

use crate::train::{
    compose::{
        canvas::{at_night, halves, on_background, scaled},
        colour::{COLOURS, Main, main_colour, recoloured},
        wear::{WORN, Worn, head},
    },
    order::Draws,
    wording,
};

/// Purposes of draws.
const FORM: u32 = 1;
const WHERE: u32 = 2;
const COUNT: u32 = 4;
const BACKGROUND: u32 = 5;
const COLOUR: u32 = 6;
const SHIFT: u32 = 7;
const BLUR: u32 = 9;
const LIGHT: u32 = 11;
const WEAR: u32 = 12;
/// Draws of each thing of a picture.
const THING: [u32; 2] = [20, 30];

/// The most pixels by which a picture is shifted.
const REACH: usize = 5;

/// Pictures that show known things.
pub struct Examples<'a> {
    kinds: Vec<Kind<'a>>,
    worn: Vec<(&'static Worn, &'a Picture)>,
    seed: u64,
}

struct Kind<'a> {
    item: &'a Item,
    /// The picture, and what an autoencoder leaves of it.
    forms: [&'a Picture; 2],
    /// The main colour, of what its names give none.
    colour: Option<Main>,
}

impl<'a> Examples<'a> {
    /// Of items and their pictures as an autoencoder gives them back, in the same order.
    pub fn new(items: &[&'a Item], autoencoded: &'a [Picture], seed: u64) -> Examples<'a> {
        let colour = |item: &Item| {
            let named = item.captions.iter().any(|caption| wording::names_colour(&caption.text));
            // What has many hues is turned by any angle.
            (!named).then(|| main_colour(&item.picture).unwrap_or(Main::Hue(0.0)))
        };
        let kind = |(item, autoencoded): (&&'a Item, &'a Picture)| Kind {
            item,
            forms: [&item.picture, autoencoded],
            colour: colour(item),
        };
        let worn = WORN.iter().filter_map(|worn| Some((worn, &worn.of(items)?.picture))).collect();
        Examples { kinds: items.iter().zip(autoencoded).map(kind).collect(), worn, seed }
    }

    /// The picture of this number, and the kinds that it shows, each as often as it shows it.
    pub fn example(&self, number: u64) -> Result<(Picture, Vec<usize>), PictureError> {
        let draws = Draws::new(self.seed ^ 0x006a_7564_6765, number);
        let form = draws.uniform(FORM);
        let (picture, kinds) = if form < 0.3 {
            let [(first, a), (second, b)] = [self.thing(draws, THING[0])?, self.thing(draws, THING[1])?];
            let places = if draws.uniform(WHERE) < 0.6 { [[0, 1], [2, 1]] } else { [[1, 0], [1, 2]] };
            (halves(&[(&first, places[0]), (&second, places[1])])?, vec![a, b])
        } else if form < 0.45 {
            let (thing, kind) = self.thing(draws, THING[0])?;
            let two: &[[usize; 2]] = if draws.uniform(WHERE) < 0.8 { &[[0, 1], [2, 1]] } else { &[[1, 0], [1, 2]] };
            let places = if draws.uniform(COUNT) < 0.5 { two } else { &[[1, 0], [0, 2], [2, 2]] };
            let things: Vec<(&Picture, [usize; 2])> = places.iter().map(|&place| (&thing, place)).collect();
            (halves(&things)?, vec![kind; places.len()])
        } else {
            let (thing, kind) = self.thing(draws, THING[0])?;
            let picture = match draws.uniform(BACKGROUND) {
                u if u < 0.12 => on_background(&thing, COLOURS[draws.below(COLOUR, COLOURS.len())].rgb),
                u if u < 0.18 => at_night(&thing, draws),
                u if u < 0.38 => scaled(&thing, 0.35 + 1.1 * draws.uniform(COLOUR))?,
                _ => self.dressed(thing, kind, draws)?,
            };
            (picture, vec![kind])
        };
        Ok((worse(&picture, draws)?, kinds))
    }

    /// A thing in some colour.
    fn thing(&self, draws: Draws, purpose: u32) -> Result<(Picture, usize), PictureError> {
        let place = draws.below(purpose, self.kinds.len());
        let kind = &self.kinds[place];
        let picture = kind.forms[usize::from(draws.uniform(purpose + 1) < 0.5)];
        let colour = &COLOURS[draws.below(purpose + 2, COLOURS.len())];
        Ok(match kind.colour.filter(|_| draws.uniform(purpose + 3) < 0.3) {
            Some(main) => (recoloured(picture, main, colour), place),
            None => (picture.clone(), place),
        })
    }

    /// A head may wear something.
    fn dressed(&self, picture: Picture, kind: usize, draws: Draws) -> Result<Picture, PictureError> {
        match head(self.kinds[kind].item) {
            Some(animal) if !self.worn.is_empty() && draws.uniform(WEAR) < 0.4 => {
                let (worn, thing) = self.worn[draws.below(COLOUR, self.worn.len())];
                worn.on(&picture, thing, animal)
            }
            _ => Ok(picture),
        }
    }
}

/// Shifted, blurred, and lighter or darker.
fn worse(picture: &Picture, draws: Draws) -> Result<Picture, PictureError> {
    let side = picture.width();
    let corner = picture.pixel(0, 0).unwrap_or([255; 3]);
    let mut wide = Picture::filled(side + 2 * REACH, side + 2 * REACH, corner)?;
    wide.paste(picture, REACH, REACH);
    let [left, top] = [0, 1].map(|axis| draws.below(SHIFT + axis, 2 * REACH + 1));
    let mut picture = wide.crop(left, top, side, side)?;
    if draws.uniform(BLUR) < 0.4 {
        let small = side / 2 + draws.below(BLUR + 1, side / 2);
        picture = picture.resize(small, small)?.resize(side, side)?;
    }
    let light = 0.88 + 0.2 * draws.uniform(LIGHT);
    picture.rgb_mut().iter_mut().for_each(|value| *value = (f64::from(*value) * light).min(255.0) as u8);
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use yuragi_io::{Caption, CaptionKind, emoji::Emoji};

    use super::*;

    #[test]
    fn examples_show_what_they_say() {
        let item = |sign: &str, colour| {
            let mut picture = Picture::filled(32, 32, [255; 3]).unwrap();
            picture.paste(&Picture::filled(20, 20, colour).unwrap(), 6, 6);
            let captions = vec![Caption { kind: CaptionKind::NameEn, text: format!("red {sign}") }];
            Item { id: sign.into(), picture, captions, held_out: false, emoji: Some(Emoji::new(sign)) }
        };
        let items = [item("🍎", [220, 0, 0]), item("🌲", [0, 0, 0])];
        let items: Vec<&Item> = items.iter().collect();
        let plain: Vec<Picture> = items.iter().map(|item| item.picture.clone()).collect();
        let examples = Examples::new(&items, &plain, 1);
        let mut counts = [0; 4];
        for number in 0..200 {
            let (picture, kinds) = examples.example(number).unwrap();
            assert_eq!((picture.width(), examples.example(number).unwrap().0), (32, picture.clone()));
            counts[kinds.len()] += 1;
            // A caption names the colour, so it stays.
            let red = picture.rgb().as_chunks::<3>().0.iter().any(|p| p[0] > 120 && p[1] < 60 && p[2] < 60);
            assert!(red || !kinds.contains(&0), "{number}: {kinds:?}");
        }
        assert!(counts[1] > 80 && counts[2] > 50 && counts[3] > 5, "{counts:?}");
    }
}
