//! Pictures in the terminal.
//!
//! Terminals that speak a graphics protocol get the pixels; others with 24-bit colour get half-block characters, two
//! pixels a cell; the rest get nothing.

use std::io::{self, IsTerminal, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::picture::Picture;
use crate::png;

/// The longer side of a picture shown with half blocks, in blocks, at most.
const MAX_BLOCKS: usize = 64;
/// The longer side of a picture shown with pixels: larger ones are shrunk to it, and the pixels of smaller ones are
/// repeated as often as fits in a quarter of it.
const MAX_SIDE: usize = 1024;
/// The longest piece of base64 that the kitty protocol takes at once.
const CHUNK: usize = 4096;

/// A way to show pictures in a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The graphics protocol of [kitty](https://sw.kovidgoyal.net/kitty/graphics-protocol/) (also Ghostty, Konsole).
    Kitty,
    /// [Inline images](https://iterm2.com/documentation-images.html) of iTerm2 (also WezTerm, mintty).
    Iterm,
    /// Half-block characters in 24-bit colour.
    HalfBlocks,
}

impl Protocol {
    /// What standard output can show, from the environment; `None` if it is no terminal or shows no pictures.
    #[must_use]
    pub fn detect() -> Option<Self> {
        if io::stdout().is_terminal() { Self::of(|key| std::env::var(key).ok()) } else { None }
    }

    /// What a terminal with these environment variables can show.
    ///
    /// ```
    /// use yuragi_io::terminal::Protocol;
    /// let foot = |key: &str| (key == "COLORTERM").then(|| "truecolor".to_owned());
    /// assert_eq!(Protocol::of(foot), Some(Protocol::HalfBlocks));
    /// assert_eq!(Protocol::of(|_| None), None);
    /// ```
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let get = |key: &str| variable(key).unwrap_or_default();
        let (term, program) = (get("TERM"), get("TERM_PROGRAM"));
        let set = |key: &str| !get(key).is_empty();
        // A multiplexer keeps the variables of the terminal around it but passes no graphics on.
        let multiplexed = set("TMUX") || set("STY") || term.starts_with("tmux") || term.starts_with("screen");
        let full_colour = matches!(get("COLORTERM").as_str(), "truecolor" | "24bit") || term.ends_with("-direct");
        if term == "dumb" {
            None
        } else if multiplexed {
            full_colour.then_some(Self::HalfBlocks)
        } else if term == "xterm-kitty"
            || term == "xterm-ghostty"
            || set("KITTY_WINDOW_ID")
            || set("KONSOLE_VERSION")
            || program == "ghostty"
        {
            Some(Self::Kitty)
        } else if ["iTerm.app", "WezTerm", "mintty"].contains(&program.as_str()) || get("LC_TERMINAL") == "iTerm2" {
            Some(Self::Iterm)
        } else {
            (full_colour || set("WT_SESSION")).then_some(Self::HalfBlocks)
        }
    }
}

/// Shows a picture on standard output if that is a terminal which can; says whether it did. Half blocks keep to its
/// `columns`, where they are known.
///
/// # Errors
/// Those of writing to standard output.
pub fn show(picture: &Picture, columns: Option<usize>) -> io::Result<bool> {
    match Protocol::detect() {
        Some(protocol) => write(&mut io::stdout().lock(), picture, protocol, columns).map(|()| true),
        None => Ok(false),
    }
}

/// Writes a picture and a line end, in the way of `protocol`.
///
/// # Errors
/// Those of `to`.
pub fn write(to: &mut impl Write, picture: &Picture, protocol: Protocol, columns: Option<usize>) -> io::Result<()> {
    match protocol {
        Protocol::Kitty => kitty(to, picture)?,
        Protocol::Iterm => iterm(to, picture)?,
        Protocol::HalfBlocks => half_blocks(to, picture, columns)?,
    }
    to.flush()
}

/// The picture shrunk so that its longer side is at most `side`.
fn shrunk(picture: &Picture, side: usize) -> io::Result<Picture> {
    let long = picture.width().max(picture.height()).max(side);
    let scaled = |edge: usize| (edge * side / long).max(1);
    picture.resize(scaled(picture.width()), scaled(picture.height())).map_err(io::Error::other)
}

fn encoded(picture: &Picture) -> io::Result<(usize, String)> {
    let mut shown = shrunk(picture, MAX_SIDE)?;
    let times = MAX_SIDE / 4 / shown.width().max(shown.height());
    if times > 1 {
        let row = |row: &[u8]| row.chunks_exact(3).flat_map(|pixel| pixel.repeat(times)).collect::<Vec<u8>>();
        let rgb = shown.rgb().chunks_exact(shown.width() * 3).flat_map(|pixels| row(pixels).repeat(times)).collect();
        shown = Picture::new(shown.width() * times, shown.height() * times, rgb).map_err(io::Error::other)?;
    }
    let bytes = png::encode(&shown, &[]).map_err(io::Error::other)?;
    Ok((bytes.len(), STANDARD.encode(bytes)))
}

fn kitty(to: &mut impl Write, picture: &Picture) -> io::Result<()> {
    let (_, data) = encoded(picture)?;
    let mut chunks = data.as_bytes().chunks(CHUNK).peekable();
    // Transmit and display (a=T) a PNG (f=100) without asking for replies (q=2).
    let mut control = "a=T,f=100,q=2,";
    while let Some(chunk) = chunks.next() {
        write!(to, "\x1b_G{control}m={};", u8::from(chunks.peek().is_some()))?;
        to.write_all(chunk)?;
        write!(to, "\x1b\\")?;
        control = "";
    }
    writeln!(to)
}

fn iterm(to: &mut impl Write, picture: &Picture) -> io::Result<()> {
    let (size, data) = encoded(picture)?;
    writeln!(to, "\x1b]1337;File=inline=1;size={size}:{data}\x07")
}

fn half_blocks(to: &mut impl Write, picture: &Picture, columns: Option<usize>) -> io::Result<()> {
    let most = columns.filter(|&columns| columns > 0).map_or(MAX_BLOCKS, |columns| columns.min(MAX_BLOCKS));
    // The longer side decides; a picture that is higher than wide may be as high as the rest of it allows.
    let side = (most * picture.height().max(picture.width()) / picture.width()).min(MAX_BLOCKS);
    let small = shrunk(picture, side)?;
    let (columns, rows) = (small.width(), small.height());
    for y in (0..rows).step_by(2) {
        for x in 0..columns {
            if let Some([r, g, b]) = small.pixel(x, y) {
                write!(to, "\x1b[38;2;{r};{g};{b}m")?;
            }
            match small.pixel(x, y + 1) {
                Some([r, g, b]) => write!(to, "\x1b[48;2;{r};{g};{b}m▀")?,
                None => write!(to, "\x1b[49m▀")?,
            }
        }
        writeln!(to, "\x1b[0m")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<Protocol> {
        Protocol::of(|key| variables.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned()))
    }

    fn noise(width: usize, height: usize) -> Picture {
        let mut state = 1u32;
        let mut next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let rgb = (0..width * height * 3).map(&mut next).collect();
        Picture::new(width, height, rgb).unwrap()
    }

    fn written(picture: &Picture, protocol: Protocol) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes, picture, protocol, None).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn terminals_are_told_apart() {
        use Protocol::{HalfBlocks, Iterm, Kitty};
        for (variables, protocol) in [
            (&[("TERM", "xterm-kitty"), ("COLORTERM", "truecolor")][..], Some(Kitty)),
            (&[("TERM_PROGRAM", "ghostty")], Some(Kitty)),
            (&[("KONSOLE_VERSION", "230804"), ("COLORTERM", "truecolor")], Some(Kitty)),
            (&[("TERM_PROGRAM", "iTerm.app")], Some(Iterm)),
            (&[("TERM_PROGRAM", "WezTerm")], Some(Iterm)),
            (&[("TERM", "xterm-256color"), ("COLORTERM", "24bit")], Some(HalfBlocks)),
            (&[("WT_SESSION", "1")], Some(HalfBlocks)),
            (&[("TERM", "tmux-256color"), ("KITTY_WINDOW_ID", "1"), ("COLORTERM", "truecolor")], Some(HalfBlocks)),
            (&[("TERM", "screen"), ("TERM_PROGRAM", "iTerm.app")], None),
            (&[("TERM", "dumb"), ("COLORTERM", "truecolor")], None),
            (&[("TERM", "xterm-256color")], None),
            (&[], None),
        ] {
            assert_eq!(of(variables), protocol, "{variables:?}");
        }
    }

    #[test]
    fn kitty_gets_the_png_in_pieces() {
        let picture = noise(400, 300);
        let text = written(&picture, Protocol::Kitty);
        let pieces: Vec<_> = text.trim_end().split_terminator("\x1b\\").collect();
        assert!(pieces.len() > 2);
        assert!(pieces[0].starts_with("\x1b_Ga=T,f=100,q=2,m=1;"));
        let mut data = String::new();
        for (i, piece) in pieces.iter().enumerate() {
            let (control, payload) = piece.split_once(';').unwrap();
            assert!(control.ends_with(if i + 1 < pieces.len() { "m=1" } else { "m=0" }));
            assert!(payload.len() <= CHUNK);
            data.push_str(payload);
        }
        assert_eq!(Picture::decode(&STANDARD.decode(data).unwrap()).unwrap(), picture);
    }

    #[test]
    fn iterm_gets_the_png_with_its_size() {
        let picture = noise(5, 3);
        let text = written(&picture, Protocol::Iterm);
        let (header, data) = text.split_once(':').unwrap();
        let bytes = STANDARD.decode(data.trim_end().trim_end_matches('\x07')).unwrap();
        assert_eq!(header, format!("\x1b]1337;File=inline=1;size={}", bytes.len()));
        let shown = Picture::decode(&bytes).unwrap();
        assert_eq!((shown.width(), shown.height()), (5 * 51, 3 * 51), "each pixel is a square");
        assert!((0..5).all(|x| (0..3).all(|y| shown.pixel(x * 51 + 50, y * 51) == picture.pixel(x, y))));
    }

    #[test]
    fn half_blocks_hold_two_pixels_a_cell() {
        let picture = Picture::new(1, 3, vec![1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
        let text = written(&picture, Protocol::HalfBlocks);
        assert_eq!(text, "\x1b[38;2;1;2;3m\x1b[48;2;4;5;6m▀\x1b[0m\n\x1b[38;2;7;8;9m\x1b[49m▀\x1b[0m\n");
        let wide = written(&noise(256, 128), Protocol::HalfBlocks);
        assert_eq!(wide.lines().count(), 16);
        assert!(wide.lines().all(|line| line.matches('▀').count() == MAX_BLOCKS));
        let mut narrow = Vec::new();
        write(&mut narrow, &noise(64, 64), Protocol::HalfBlocks, Some(30)).unwrap();
        let narrow = String::from_utf8(narrow).unwrap();
        assert_eq!(narrow.lines().count(), 15);
        assert!(narrow.lines().all(|line| line.matches('▀').count() == 30));
        let thin = written(&noise(1, 10_000), Protocol::HalfBlocks);
        assert_eq!(thin.lines().count(), 32);
    }
}
