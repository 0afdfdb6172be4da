//! Writes a contact sheet of a sample of the emoji and prints their captions.
//!
//! `cargo run -p yuragi-io --example emoji_sheet -- out.png [every]`

use std::error::Error;

use yuragi_io::picture::contact_sheet;
use yuragi_io::{CaptionKind, emoji, png};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: emoji_sheet out.png [every]")?;
    let every = arguments.next().map_or(Ok(35), |every| every.parse())?;

    let dataset = emoji::load(&emoji::Options { size: 128, ..Default::default() })?;
    println!("{}", emoji::Counts::of(&dataset));
    let mut pictures = Vec::new();
    for item in dataset.items.iter().step_by(every) {
        let caption = |kind| item.caption(kind).unwrap_or("-");
        let held_out = if item.held_out { " [held out]" } else { "" };
        println!(
            "{:>3} {} {} | {} | {} | {}{held_out}",
            pictures.len(),
            item.id,
            caption(CaptionKind::NameEn),
            caption(CaptionKind::NameJa),
            caption(CaptionKind::KeywordsEn),
            caption(CaptionKind::KeywordsJa),
        );
        pictures.push(item.picture.clone());
    }
    png::save(&path, &contact_sheet(&pictures, 12, 8)?, &[])?;
    println!("{path}: {} pictures", pictures.len());
    Ok(())
}
