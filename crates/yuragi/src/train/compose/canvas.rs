//! Things on white, cut out, scaled and put where they belong.

use yuragi_io::{Picture, PictureError};

use super::super::order::Draws;

/// Draws of stars begin at this purpose.
const STAR: u32 = 64;
const STARS: u32 = 18;
/// The sky at night, what it leaves of a thing's colours, and its stars.
const NIGHT: [u8; 3] = [30, 36, 82];
const DIMMED: [u8; 3] = [176, 180, 210];
const LIGHT: [u8; 3] = [255, 246, 190];

/// Which pixels are the white around the thing, seen from the border.
pub fn outside(picture: &Picture) -> Vec<bool> {
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

/// Whether a pixel is outside, or beside one that is.
fn touches(outside: &[bool], width: usize, i: usize) -> bool {
    let x = i % width;
    outside[i]
        || (x > 0 && outside[i - 1])
        || (x + 1 < width && outside[i + 1])
        || (i >= width && outside[i - width])
        || outside.get(i + width).is_some_and(|&is| is)
}

/// A pixel seen through another one; white hides nothing.
fn through(pixel: [u8; 3], glass: [u8; 3]) -> [u8; 3] {
    [0, 1, 2].map(|c| (u16::from(pixel[c]) * u16::from(glass[c]) / 255) as u8)
}

/// The white around the thing in a colour.
pub fn on_background(picture: &Picture, colour: [u8; 3]) -> Picture {
    let outside = outside(picture);
    let mut picture = picture.clone();
    let width = picture.width();
    for (i, pixel) in picture.rgb_mut().as_chunks_mut::<3>().0.iter_mut().enumerate() {
        // White is the absence of cover: tinting by the background's colour keeps the soft edge.
        if touches(&outside, width, i) {
            *pixel = through(*pixel, colour);
        }
    }
    picture
}

/// A thing in the dark, under stars.
pub fn at_night(picture: &Picture, draws: Draws) -> Picture {
    let outside = outside(picture);
    let mut picture = picture.clone();
    let (width, height) = (picture.width(), picture.height());
    let pixels = picture.rgb_mut().as_chunks_mut::<3>().0;
    for (i, pixel) in pixels.iter_mut().enumerate() {
        *pixel = through(*pixel, if touches(&outside, width, i) { NIGHT } else { DIMMED });
    }
    for star in 0..STARS {
        let place = draws.below(STAR + star, width * height);
        let reach = if star % 3 == 0 { 2 } else { 1 };
        let spots = (0..reach).flat_map(|y| (0..reach).map(move |x| (x, y)));
        for (x, y) in spots.map(|(x, y)| (place % width + x, place / width + y)) {
            if x < width && y < height && outside[y * width + x] {
                pixels[y * width + x] = LIGHT;
            }
        }
    }
    picture
}

/// The part of a picture that the thing takes; all of it if it takes nothing.
pub fn trimmed(picture: &Picture) -> Result<Picture, PictureError> {
    let (outside, width) = (outside(picture), picture.width());
    let inside = || (0..outside.len()).filter(|&i| !outside[i]);
    let ends = |place: fn(usize, usize) -> usize| {
        let (low, high) = inside().map(|i| place(i, width)).fold((usize::MAX, 0), |(a, b), i| (a.min(i), b.max(i)));
        (low < usize::MAX).then_some((low, high + 1 - low))
    };
    match (ends(|i, width| i % width), ends(|i, width| i / width)) {
        (Some((left, width)), Some((top, height))) => picture.crop(left, top, width, height),
        _ => Ok(picture.clone()),
    }
}

/// Puts a thing without the white around it into a picture; what sticks out is lost.
pub fn put_on(picture: &mut Picture, thing: &Picture, left: usize, top: usize) {
    let outside = outside(thing);
    overlay(picture, thing, left, top, |i, below, above| match outside[i] {
        true => below,
        false if touches(&outside, thing.width(), i) => through(below, above),
        false => above,
    });
}

/// The same of what can be seen through.
pub fn put_glass_on(picture: &mut Picture, thing: &Picture, left: usize, top: usize) {
    overlay(picture, thing, left, top, |_, below, above| through(below, above));
}

fn overlay(
    picture: &mut Picture,
    thing: &Picture,
    left: usize,
    top: usize,
    meet: impl Fn(usize, [u8; 3], [u8; 3]) -> [u8; 3],
) {
    let (width, height) = (picture.width(), picture.height());
    let pixels = picture.rgb_mut().as_chunks_mut::<3>().0;
    for (i, &above) in thing.rgb().as_chunks::<3>().0.iter().enumerate() {
        let (x, y) = (left + i % thing.width(), top + i / thing.width());
        if x < width && y < height {
            let pixel = &mut pixels[y * width + x];
            *pixel = meet(i, *pixel, above);
        }
    }
}

/// Things at half size on white, each with its upper left corner at a place in halves of what is left of a side.
pub fn halves(things: &[(&Picture, [usize; 2])]) -> Result<Picture, PictureError> {
    let side = things.first().map_or(1, |(picture, _)| picture.width());
    let half = (side / 2).max(1);
    let mut picture = Picture::filled(side, side, [255; 3])?;
    for (thing, [x, y]) in things {
        picture.paste(&thing.resize(half, half)?, x * (side - half) / 2, y * (side - half) / 2);
    }
    Ok(picture)
}

/// A thing at a share of its size, around the middle: below 1 on white, above 1 cut at the border.
pub fn scaled(picture: &Picture, share: f64) -> Result<Picture, PictureError> {
    let side = picture.width();
    let new = ((side as f64 * share).round() as usize).max(1);
    let thing = picture.resize(new, new)?;
    if new >= side {
        return thing.crop((new - side) / 2, (new - side) / 2, side, side);
    }
    let mut small = Picture::filled(side, side, [255; 3])?;
    small.paste(&thing, (side - new) / 2, (side - new) / 2);
    Ok(small)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> Picture {
        let mut picture = Picture::filled(16, 16, [255; 3]).unwrap();
        picture.paste(&Picture::filled(8, 8, [200, 0, 0]).unwrap(), 4, 4);
        picture.paste(&Picture::filled(2, 2, [255; 3]).unwrap(), 7, 7);
        picture
    }

    #[test]
    fn backgrounds_reach_only_the_outside() {
        let picture = on_background(&ring(), [0, 0, 255]);
        assert_eq!(picture.pixel(0, 0), Some([0, 0, 255]));
        assert_eq!(picture.pixel(7, 7), Some([255; 3]));
        let night = at_night(&ring(), Draws::new(1, 2));
        assert_eq!((night.pixel(7, 7), night.pixel(5, 5).unwrap()[1]), (Some(DIMMED), 0));
        let sky = |pixel: &&[u8; 3]| **pixel == NIGHT || **pixel == LIGHT;
        assert!(night.rgb().as_chunks::<3>().0.iter().filter(sky).count() >= 256 - 64);
    }

    #[test]
    fn things_are_trimmed_and_put_where_they_belong() {
        let thing = trimmed(&ring()).unwrap();
        assert_eq!((thing.width(), thing.height()), (8, 8));
        let mut picture = Picture::filled(16, 16, [0, 255, 255]).unwrap();
        put_on(&mut picture, &ring(), 4, 8);
        assert_eq!(picture.pixel(0, 0), Some([0, 255, 255]), "white around it hides nothing");
        assert_eq!((picture.pixel(10, 15), picture.pixel(11, 15)), (Some([200, 0, 0]), Some([255; 3])));
        put_glass_on(&mut picture, &Picture::filled(2, 2, [255, 255, 0]).unwrap(), 0, 0);
        assert_eq!(picture.pixel(1, 1), Some([0, 255, 0]));
        assert_eq!(trimmed(&Picture::filled(4, 4, [255; 3]).unwrap()).unwrap().width(), 4);
    }

    #[test]
    fn sizes_keep_the_middle() {
        for share in [0.4, 1.0, 1.3] {
            let picture = scaled(&ring(), share).unwrap();
            assert_eq!((picture.width(), picture.height()), (16, 16));
            let red = picture.rgb().as_chunks::<3>().0.iter().filter(|p| p[1] < 128).count() as f64;
            assert!((red - 60.0 * share * share).abs() < 16.0, "{share}: {red}");
        }
        let two = halves(&[(&ring(), [0, 1]), (&ring(), [2, 1])]).unwrap();
        assert!(two.pixel(2, 6).unwrap()[1] < 128 && two.pixel(13, 6).unwrap()[1] < 128);
        assert_eq!(two.pixel(4, 2), Some([255; 3]));
    }
}
