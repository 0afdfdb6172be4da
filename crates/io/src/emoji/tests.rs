use std::collections::BTreeSet;

use super::*;
use crate::picture::Picture;

/// The installed data set; `None`, said plainly, where the font or CLDR is absent.
fn installed(options: &Options) -> Option<Dataset> {
    match load(options) {
        Ok(dataset) => Some(dataset),
        Err(error @ (DatasetError::NoFont { .. } | DatasetError::Read { .. })) => {
            eprintln!("SKIPPED: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn item(sequence: &str) -> Item {
    Item {
        id: sequence.to_owned(),
        picture: Picture::filled(1, 1, [0; 3]).unwrap(),
        captions: Vec::new(),
        held_out: false,
        emoji: Some(Emoji::new(sequence)),
    }
}

#[test]
fn sequences_are_taken_apart() {
    use Tone::{Dark, Light, Medium};
    for (sequence, base, tones, combination, toned_role) in [
        ("😀", "😀", &[][..], false, false),
        ("👍🏿", "👍", &[Dark], true, false),
        ("👩🏻‍🚀", "👩‍🚀", &[Light], true, true),
        ("🏃‍♀️", "🏃‍♀", &[], true, false),
        ("👩🏻‍🤝‍👨🏿", "👩‍🤝‍👨", &[Light, Dark], true, true),
        ("🫱🏻‍🫲🏿", "🫱‍🫲", &[Light, Dark], true, false),
        ("👨‍👩‍👧", "👨‍👩‍👧", &[], true, false),
        ("🏽", "", &[Medium], false, false),
        ("#️⃣", "#⃣", &[], false, false),
        ("🐻‍❄️", "🐻‍❄", &[], false, false),
    ] {
        let emoji = Emoji::new(sequence);
        assert_eq!((emoji.base.as_str(), &emoji.tones[..]), (base, tones), "{sequence}");
        assert_eq!((emoji.is_combination(), emoji.is_toned_role()), (combination, toned_role), "{sequence}");
        assert_eq!(emoji.tone().is_some(), tones.len() == 1, "{sequence}");
    }
    for flag in ["🇯🇵", "🏴‍☠", "🏳‍🌈", "🏁", "🚩", "🎌", "🏴\u{e0067}\u{e007f}"] {
        assert!(Emoji::new(flag).is_flag(), "{flag}");
    }
    for component in ["🏻", "🏿", "🦰", "🦳"] {
        assert!(Emoji::new(component).is_component(), "{component}");
    }
    assert!(!Emoji::new("👩‍🦰").is_component() && !Emoji::new("🏠").is_flag());
}

#[test]
fn every_held_out_emoji_keeps_a_sibling() {
    let roles = ["🚒", "🚀", "🎨", "🍳"];
    let mut items: Vec<Item> = ('🏻'..='🏿')
        .flat_map(|tone| roles.map(|role| item(&format!("👩{tone}\u{200d}{role}"))))
        .chain([item("🙋🏻\u{200d}♀"), item("😀"), item("👍🏻")])
        .collect();
    for seed in 0..200 {
        items.iter_mut().for_each(|item| item.held_out = false);
        hold_out(&mut items, seed);
        let held: Vec<_> = items.iter().filter(|item| item.held_out).collect();
        assert_eq!(held.len(), 2, "21 candidates");
        for held in held {
            let emoji = held.emoji.as_ref().unwrap();
            assert!(emoji.is_toned_role());
            let sibling = |other: &&Item| !other.held_out && other.emoji.as_ref().unwrap().base == emoji.base;
            assert!(items.iter().any(|other| sibling(&other)), "{}", held.id);
        }
    }
}

#[test]
fn missing_pieces_name_their_package() {
    let scratch = crate::testing::Scratch::new();
    let options = Options { cldr: scratch.to_owned(), ..Options::default() };
    let error = load(&options).unwrap_err().to_string();
    assert!(error.contains("unicode-cldr-core"), "{error}");

    for part in ["annotations", "annotationsDerived"] {
        std::fs::create_dir(scratch.join(part)).unwrap();
        for language in ["en.xml", "ja.xml"] {
            std::fs::write(scratch.join(part).join(language), "<ldml/>").unwrap();
        }
    }
    let with_font = |font: PathBuf| load(&Options { font: Some(font), ..options.clone() }).unwrap_err();
    let error = with_font(scratch.join("annotations"));
    assert!(matches!(error, DatasetError::NoFont { .. }), "{error}");
    assert!(error.to_string().contains("fonts-noto-color-emoji"), "{error}");
    let error = with_font(scratch.join("none.ttf"));
    assert!(matches!(error, DatasetError::Read { .. }), "{error}");
    std::fs::write(scratch.join("text.ttf"), "not a font").unwrap();
    let error = with_font(scratch.join("text.ttf"));
    assert!(matches!(error, DatasetError::Format { .. }), "{error}");
    std::fs::write(scratch.join("plain.ttf"), plain_font()).unwrap();
    let error = with_font(scratch.join("plain.ttf"));
    assert!(matches!(error, DatasetError::NoColour { .. }), "{error}");
    assert!(matches!(load(&Options { size: 0, ..options.clone() }), Err(DatasetError::Size(0))));
    assert!(matches!(load(&Options { size: usize::MAX, ..options }), Err(DatasetError::Size(_))));
}

/// A TrueType file of these tables.
fn font_file(tables: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut font = vec![0, 1, 0, 0, 0, tables.len() as u8, 0, 0, 0, 0, 0, 0];
    let mut offset = font.len() + 16 * tables.len();
    for (tag, table) in tables {
        font.extend_from_slice(*tag);
        font.extend([0, offset as u32, table.len() as u32].map(u32::to_be_bytes).as_flattened());
        offset += table.len().next_multiple_of(4);
    }
    for (_, table) in tables {
        font.extend_from_slice(table);
        font.resize(font.len().next_multiple_of(4), 0);
    }
    font
}

/// The tables that every font has, for `glyphs` glyphs.
fn plain_tables(glyphs: u8) -> Vec<(&'static [u8; 4], Vec<u8>)> {
    let mut head = vec![0u8; 54];
    head[..4].copy_from_slice(&[0, 1, 0, 0]);
    head[12..16].copy_from_slice(&0x5f0f_3cf5u32.to_be_bytes());
    head[18..20].copy_from_slice(&1000u16.to_be_bytes());
    vec![(b"head", head), (b"maxp", vec![0, 0, 0x50, 0, 0, glyphs])]
}

fn plain_font() -> Vec<u8> {
    font_file(&plain_tables(1))
}

/// A font that draws each character as one glyph with a PNG picture (a table of sbix with one strike).
fn colour_font(pictures: &[(char, Vec<u8>)]) -> Vec<u8> {
    let glyphs = pictures.len() as u32 + 1;
    let be = |words: &[u32]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();

    // One subtable of format 12 for platform 3, encoding 10.
    let mut cmap = vec![0, 0, 0, 1, 0, 3, 0, 10, 0, 0, 0, 12, 0, 12, 0, 0];
    cmap.extend(be(&[16 + 12 * (glyphs - 1), 0, glyphs - 1]));
    for (&(c, _), glyph) in pictures.iter().zip(1..) {
        cmap.extend(be(&[u32::from(c), u32::from(c), glyph]));
    }

    // The strike: 100 pixels per em, 72 per inch, offsets of all glyphs (the first is empty) and of the end.
    let mut strike = vec![0, 100, 0, 72];
    let mut offset = 4 + 4 * (glyphs + 1);
    strike.extend(be(&[offset, offset]));
    for (_, png) in pictures {
        offset += 8 + png.len() as u32;
        strike.extend(be(&[offset]));
    }
    for (_, png) in pictures {
        strike.extend_from_slice(b"\0\0\0\0png ");
        strike.extend_from_slice(png);
    }
    let mut sbix = vec![0, 1, 0, 1];
    sbix.extend(be(&[1, 12]));
    sbix.extend(strike);

    let mut tables = plain_tables(glyphs as u8);
    tables.push((b"cmap", cmap));
    tables.push((b"sbix", sbix));
    tables.sort_by_key(|(tag, _)| *tag);
    font_file(&tables)
}

#[test]
fn a_small_font_gives_what_it_draws_as_one_glyph() {
    let scratch = crate::testing::Scratch::new();
    for part in ["annotations", "annotationsDerived"] {
        std::fs::create_dir(scratch.join(part)).unwrap();
    }
    let xml = |names: &[(&str, &str)]| {
        let line = |(cp, name): &(&str, &str)| {
            format!(
                "<annotation cp='{cp}'>{name} | thing</annotation><annotation cp='{cp}' type='tts'>{name}</annotation>"
            )
        };
        format!("<ldml><annotations>{}</annotations></ldml>", names.iter().map(line).collect::<String>())
    };
    let english =
        [("🐱", "cat"), ("🐶", "dog"), ("🐱\u{200d}🐶", "friends"), ("🦊", "fox"), ("#", "hash"), ("🏻", "tone")];
    std::fs::write(scratch.join("annotations/en.xml"), xml(&english)).unwrap();
    std::fs::write(scratch.join("annotations/ja.xml"), xml(&[("🐱", "猫")])).unwrap();
    for language in ["en", "ja"] {
        std::fs::write(scratch.join("annotationsDerived").join(language).with_extension("xml"), "<ldml/>").unwrap();
    }
    let png = |colour| crate::png::encode(&Picture::filled(20, 10, colour).unwrap(), &[]).unwrap();
    let glyphs =
        [('#', png([9; 3])), ('🏻', png([9; 3])), ('🐱', png([255, 160, 0])), ('🐶', png([1; 3])[..40].to_vec())];
    std::fs::write(scratch.join("NotoColorEmoji.ttf"), colour_font(&glyphs)).unwrap();

    let options = Options { font: Some(scratch.to_owned()), cldr: scratch.to_owned(), size: 4, ..Options::default() };
    let dataset = load(&options).unwrap();
    let ids: Vec<_> = dataset.items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["🐱"]);
    let cat = &dataset.items[0];
    let captions: Vec<_> = cat.captions.iter().map(|c| (c.kind, c.text.as_str())).collect();
    let names = [(CaptionKind::NameEn, "cat"), (CaptionKind::NameJa, "猫")];
    let keywords = [(CaptionKind::KeywordsEn, "cat, thing"), (CaptionKind::KeywordsJa, "猫、thing")];
    assert_eq!(captions, [names, keywords].concat());
    assert_eq!(cat.title(), "cat");
    assert_eq!((cat.picture.pixel(0, 0), cat.picture.pixel(0, 1)), (Some([255; 3]), Some([255, 160, 0])));
    assert_eq!(dataset.skipped.len(), 1);
    assert!(dataset.skipped[0].reason.starts_with("🐶: "), "{:?}", dataset.skipped);
}

#[test]
fn the_installed_font_gives_the_whole_set() {
    let Some(dataset) = installed(&Options { size: 32, ..Options::default() }) else { return };
    let counts = Counts::of(&dataset);
    eprintln!("{counts}");
    assert!(dataset.skipped.is_empty(), "{:?}", dataset.skipped);
    assert!(counts.pictures > 3000 && counts.japanese * 100 >= counts.pictures * 99, "{counts}");
    assert_eq!(counts.base + counts.combinations, counts.pictures);
    assert_eq!(counts.held_out, counts.toned_roles.div_ceil(20));

    let ids: BTreeSet<_> = dataset.items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids.len(), dataset.items.len());
    for id in ["😀", "👍🏽", "👩🏾‍🚒", "👨‍👩‍👧‍👦", "👁‍🗨", "❤‍🔥", "#⃣", "9⃣", "🐻‍❄", "🧑🏻‍🤝‍🧑🏿"]
    {
        assert!(ids.contains(id), "{id}");
    }
    for id in ["🇯🇵", "🏳‍🌈", "🏻", "🦰", "#", "*", "{", "1"] {
        assert!(!ids.contains(id), "{id}");
    }
    let cat = dataset.items.iter().find(|item| item.id == "🐱").unwrap();
    assert_eq!(cat.caption(CaptionKind::NameEn), Some("cat face"));
    assert_eq!(cat.caption(CaptionKind::NameJa), Some("ネコの顔"));
    assert!(cat.caption(CaptionKind::KeywordsEn).unwrap().contains("pet"));
    for item in &dataset.items {
        assert_eq!((item.picture.width(), item.picture.height()), (32, 32));
        assert!(item.caption(CaptionKind::NameEn).is_some());
        assert!(item.picture.rgb().iter().any(|&v| v < 250), "{} is blank", item.id);
        if item.held_out {
            let emoji = item.emoji.as_ref().unwrap();
            let sibling =
                |other: &&Item| other.emoji.as_ref().is_some_and(|o| o.base == emoji.base && o.tones != emoji.tones);
            assert!(dataset.trained().any(|other| sibling(&other)), "{}", item.id);
        }
    }
}

#[test]
fn the_set_is_the_same_every_time_and_another_seed_holds_out_others() {
    let options = Options { size: 8, ..Options::default() };
    let Some(dataset) = installed(&options) else { return };
    assert_eq!(installed(&options), Some(dataset.clone()));
    let held = |dataset: &Dataset| dataset.held_out().map(|item| item.id.clone()).collect::<BTreeSet<_>>();
    let other = installed(&Options { seed: 1, ..options.clone() }).unwrap();
    assert_ne!(held(&other), held(&dataset));
    let everything = installed(&Options { flags: true, components: true, ..options }).unwrap();
    eprintln!("with flags and components: {}", Counts::of(&everything));
    assert!(everything.items.iter().any(|item| item.id == "🇯🇵"));
    assert!(everything.items.iter().any(|item| item.id == "🏻"));
}
