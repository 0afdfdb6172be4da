//! Composed pictures as a training of emoji shows them, on a sheet, and their captions, in its order.
//!
//! ```text
//! cargo run --release --example composed_sheet -- sheet.png
//! ```

use yuragi::{
    io::{Picture, emoji, picture::contact_sheet, png},
    train::compose::Composer,
};

const SHOWN: usize = 96;
const COLUMNS: usize = 12;

fn main() -> Result<(), yuragi::Failure> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "sheet.png".into());
    let (dataset, tokenizer) = (emoji::load(&emoji::Options::default())?, yuragi::builtin()?.tokenizer);
    let composer = Composer::new(&dataset.items, 0);
    let mut pictures: Vec<Picture> = Vec::new();
    let mut longest = (0, String::new());
    for number in 0..20 * SHOWN as u64 {
        let Some(item) = composer.item(number).transpose()? else { continue };
        let texts: Vec<&str> = item.captions.iter().map(|caption| caption.text.as_str()).collect();
        for text in &texts {
            longest = longest.max((tokenizer.count(text), (*text).to_owned()));
        }
        if pictures.len() < SHOWN {
            println!("{:2},{:2}  {}", pictures.len() / COLUMNS, pictures.len() % COLUMNS, texts.join(" | "));
            pictures.push(item.picture);
        }
    }
    println!("the longest caption has {} tokens: {}", longest.0, longest.1);
    png::save(&path, &contact_sheet(&pictures, COLUMNS, 2)?, &[])?;
    println!("{path}");
    Ok(())
}
