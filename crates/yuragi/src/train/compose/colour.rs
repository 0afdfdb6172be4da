//! Colours: words for them, the one that a thing has, and another one for it.

use yuragi_io::Picture;

use super::canvas::outside;

/// A colour word.
pub struct Colour {
    /// As it stands before a noun.
    pub english: &'static str,
    /// As it stands before a noun.
    pub japanese: &'static str,
    /// What a thing becomes.
    tint: Tint,
    /// The background's colour.
    pub rgb: [u8; 3],
}

/// How pixels take a colour.
#[derive(Clone, Copy)]
enum Tint {
    /// This hue, in degrees.
    Hue(f32),
    /// This hue, saturation times the second and value times the third number, ..
    Dull(f32, f32, f32),
    /// .. the value at least this.
    Pale(f32),
}

const fn hue(english: &'static str, japanese: &'static str, hue: f32, rgb: [u8; 3]) -> Colour {
    Colour { english, japanese, tint: Tint::Hue(hue), rgb }
}

/// Colour words; what `white` makes of a background, [`Colour::rgb`], is none.
pub const COLOURS: [Colour; 11] = [
    hue("red", "赤い", 0.0, [226, 66, 60]),
    hue("orange", "オレンジ色の", 28.0, [247, 152, 60]),
    hue("yellow", "黄色い", 50.0, [250, 214, 70]),
    hue("green", "緑色の", 115.0, [96, 180, 90]),
    hue("blue", "青い", 212.0, [72, 136, 224]),
    hue("purple", "紫色の", 275.0, [146, 92, 200]),
    hue("pink", "ピンクの", 332.0, [248, 150, 190]),
    Colour { english: "brown", japanese: "茶色い", tint: Tint::Dull(24.0, 0.75, 0.62), rgb: [136, 90, 60] },
    Colour { english: "black", japanese: "黒い", tint: Tint::Dull(220.0, 0.15, 0.32), rgb: [34, 34, 36] },
    Colour { english: "grey", japanese: "灰色の", tint: Tint::Dull(220.0, 0.06, 0.78), rgb: [150, 152, 156] },
    Colour { english: "white", japanese: "白い", tint: Tint::Pale(0.8), rgb: [255; 3] },
];

/// Hues are counted in bins of this many degrees.
pub const BIN: f32 = 20.0;
/// Below this saturation a pixel has no hue.
const GREY: f32 = 0.2;
/// The share of a thing's pixels that its main colour must cover for a colour word to describe it.
const MAIN_SHARE: f32 = 0.45;
/// Saturation that grey takes with a hue, and the values, neither black nor white, at which it does.
const TAKEN: f32 = 0.55;
const MIDDLE: std::ops::Range<f32> = 0.2..0.94;

/// What covers most of a thing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Main {
    /// A hue, in degrees.
    Hue(f32),
    /// No hue.
    Grey,
}

/// The hue, or grey, that covers most of the thing, if one does.
pub fn main_colour(picture: &Picture) -> Option<Main> {
    let bins = (360.0 / BIN) as usize;
    let mut shares = vec![0.0f32; bins];
    let (mut thing, mut grey) = (0.0f32, 0.0f32);
    for &pixel in picture.rgb().as_chunks::<3>().0 {
        let (hue, saturation, value) = to_hsv(pixel);
        if saturation < 0.05 && value > 0.95 {
            continue;
        }
        thing += 1.0;
        if saturation > GREY && value > 0.2 {
            shares[(hue / BIN) as usize % bins] += 1.0;
        } else if MIDDLE.contains(&value) {
            grey += 1.0;
        }
    }
    let around = |i: usize| shares[i] + shares[(i + 1) % bins];
    let best = (0..bins).max_by(|&a, &b| around(a).total_cmp(&around(b)))?;
    let covers = |share: f32| share > MAIN_SHARE * thing && thing > 0.0;
    if covers(around(best)) {
        return Some(Main::Hue(((best + 1) as f32 * BIN).rem_euclid(360.0)));
    }
    covers(grey).then_some(Main::Grey)
}

/// A thing of this main colour in another one: every hue is turned as far as the main one, grey takes the hue.
pub fn recoloured(picture: &Picture, main: Main, colour: &Colour) -> Picture {
    let outside = outside(picture);
    let mut picture = picture.clone();
    for (pixel, outside) in picture.rgb_mut().as_chunks_mut::<3>().0.iter_mut().zip(outside) {
        let (hue, saturation, value) = to_hsv(*pixel);
        *pixel = match (colour.tint, main) {
            _ if outside => *pixel,
            (Tint::Hue(to), Main::Hue(from)) => from_hsv((hue + to - from).rem_euclid(360.0), saturation, value),
            (Tint::Hue(to), Main::Grey) if saturation <= GREY && MIDDLE.contains(&value) => from_hsv(to, TAKEN, value),
            (Tint::Hue(_), Main::Grey) => *pixel,
            (Tint::Dull(to, saturate, dim), Main::Hue(_)) => from_hsv(to, saturation * saturate, value * dim),
            (Tint::Dull(to, saturate, dim), Main::Grey) => from_hsv(to, TAKEN * saturate, value * dim),
            (Tint::Pale(least), _) => from_hsv(hue, 0.12 * saturation, least + (1.0 - least) * value),
        };
    }
    picture
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

    fn disc(colour: [u8; 3]) -> Picture {
        let mut picture = Picture::filled(16, 16, [255; 3]).unwrap();
        picture.paste(&Picture::filled(8, 8, colour).unwrap(), 4, 4);
        picture
    }

    #[test]
    fn colours_turn_to_the_word() {
        for colour in &COLOURS {
            for (from, main) in [([255, 30, 30], Main::Hue(0.0)), ([150, 152, 150], Main::Grey)] {
                let turned = recoloured(&disc(from), main, colour);
                let (hue, saturation, value) = to_hsv(turned.pixel(8, 8).unwrap());
                let name = colour.english;
                match colour.tint {
                    Tint::Hue(want) => assert!((hue - want).abs() < 3.0 && saturation > 0.5, "{name} gives {hue}"),
                    Tint::Dull(..) => assert!(value < 0.8, "{name} gives {value}"),
                    Tint::Pale(_) => assert!(saturation < 0.15 && value > 0.85, "{name} gives {saturation} {value}"),
                }
                assert_eq!(turned.pixel(0, 0), Some([255; 3]));
            }
        }
        let Some(Main::Hue(hue)) = main_colour(&disc([30, 30, 255])) else { panic!("blue has a hue") };
        assert!((hue - 240.0).abs() <= BIN);
        assert_eq!(main_colour(&disc([90, 90, 90])), Some(Main::Grey));
        assert_eq!(main_colour(&disc([255; 3])), None);
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
}
