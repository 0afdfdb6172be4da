use yuragi_io::{Caption, CaptionKind, Dataset, DatasetError, Item, Picture, emoji};

use super::*;
use crate::train::order::Draws;

/// Blobs of colour on white, named by number; all five tones of every tenth role, one of them held out.
fn blobs() -> Dataset {
    let item = |id: String, emoji: Option<emoji::Emoji>, picture: Picture, held_out: bool| Item {
        captions: vec![
            Caption { kind: CaptionKind::NameEn, text: format!("blob {id}") },
            Caption { kind: CaptionKind::NameJa, text: format!("玉{id}") },
        ],
        id,
        picture,
        held_out,
        emoji,
    };
    let mut items: Vec<Item> = (0..200).map(|i| item(i.to_string(), None, blob(i, [0; 3]), false)).collect();
    for role in 0..20u32 {
        let person = char::from_u32(0x1f680 + role).unwrap();
        for (tone, shade) in ('🏻'..='🏿').zip([240u8, 200, 160, 120, 60]) {
            let sequence = format!("👩{tone}\u{200d}{person}");
            let picture = blob(1000 + u64::from(role), [shade, shade / 2, shade / 3]);
            items.push(item(sequence.clone(), Some(emoji::Emoji::new(&sequence)), picture, tone == '🏽'));
        }
    }
    Dataset { size: 64, items, skipped: Vec::new(), notes: Vec::new() }
}

/// Six rectangles that the number decides, and one of a given colour.
fn blob(number: u64, face: [u8; 3]) -> Picture {
    let draws = Draws::new(5, number);
    let mut picture = Picture::filled(64, 64, [255; 3]).unwrap();
    for i in 0..6 {
        let at = |k: u32, most: usize| draws.below(10 * i + k, most);
        let colour = [at(0, 256) as u8, at(1, 256) as u8, at(2, 256) as u8];
        let rectangle = Picture::filled(8 + at(3, 24), 8 + at(4, 24), colour).unwrap();
        picture.paste(&rectangle, at(5, 48), at(6, 48));
    }
    picture.paste(&Picture::filled(12, 12, face).unwrap(), 26, 26);
    picture
}

/// A pixel to the right and down, blurred through half the size, with nine tenths of the contrast.
fn worse(picture: &Picture) -> Picture {
    let mut moved = Picture::filled(64, 64, [255; 3]).unwrap();
    moved.paste(picture, 1, 1);
    let mut blurred = moved.resize(32, 32).unwrap().resize(64, 64).unwrap();
    blurred.rgb_mut().iter_mut().for_each(|v| *v = (128.0 + 0.9 * (f32::from(*v) - 128.0)) as u8);
    blurred
}

fn noise(number: u64) -> Picture {
    let rgb = (0..64 * 64 * 3).map(|i| Draws::new(number, i).below(0, 256) as u8).collect();
    Picture::new(64, 64, rgb).unwrap()
}

fn scores(report: &Report, held_out: bool, language: Language) -> Score {
    let of = |g: &&Group| g.held_out == held_out && g.language == language && g.stratum.is_none();
    report.groups.iter().find(of).unwrap().score
}

fn drawn(dataset: &Dataset, trials: &[Trial], how: impl Fn(&Item, &Trial) -> Picture) -> Report {
    let pictures: Vec<Picture> = trials.iter().map(|t| how(&dataset.items[t.item], t)).collect();
    score(dataset, trials, &pictures)
}

#[test]
fn trials_are_stratified_repeat_and_never_mix_what_was_trained() {
    let dataset = blobs();
    let all = trials(&dataset, 40, 3);
    assert_eq!(all, trials(&dataset, 40, 3));
    assert_ne!(all, trials(&dataset, 40, 4));
    assert_eq!(all.len(), 2 * (40 + 20));
    for language in [Language::English, Language::Japanese] {
        let seen: Vec<&Trial> = all.iter().filter(|t| t.language == language && !t.held_out).collect();
        let base = seen.iter().filter(|t| Stratum::of(&dataset.items[t.item]) == Stratum::Base).count();
        assert_eq!((seen.len(), base), (40, 20));
        assert!(seen.iter().all(|t| Some(t.caption.as_str()) == language.caption(&dataset.items[t.item])));
        assert!(seen.iter().all(|t| !dataset.items[t.item].held_out));
    }
    assert_eq!(all.iter().filter(|t| t.held_out).count(), 40);
    assert_eq!(trials(&dataset, 1000, 3).len(), 2 * 300, "no more than there are");
}

#[test]
fn a_folder_has_one_language_and_one_stratum() {
    let mut dataset = blobs();
    dataset.items.truncate(30);
    for (i, item) in dataset.items.iter_mut().enumerate() {
        item.captions = vec![Caption { kind: CaptionKind::Plain, text: i.to_string() }];
    }
    dataset.items[7].captions.clear();
    let all = trials(&dataset, 200, 0);
    assert_eq!(all.len(), 29);
    let report = drawn(&dataset, &all, |item, _| item.picture.clone());
    assert_eq!((report.groups.len(), &report.composition), (1, &None));
    assert_eq!(report.groups[0].score, Score { count: 29, top1: 1.0, top5: 1.0 });
    assert!(!report.to_string().contains("held-out"), "{report}");
}

#[test]
fn perfect_pictures_score_everything() {
    let dataset = blobs();
    let all = trials(&dataset, 100, 0);
    let report = drawn(&dataset, &all, |item, _| item.picture.clone());
    assert_eq!(report.gallery, 300);
    assert!(report.groups.iter().all(|g| g.score.top1 == 1.0), "{report}");
    let composition = report.composition.unwrap();
    assert!(composition.tone.iter().all(|t| t.count == 20 && t.accuracy == 1.0));
    assert_eq!(composition.to_truth, 0.0);
    assert!((composition.to_trained - composition.truth_to_trained).abs() < 1e-9);
    assert!(composition.to_trained > 0.0, "perfection is no copy");
}

#[test]
fn worse_pictures_are_still_recognised_and_noise_is_not() {
    let dataset = blobs();
    let all = trials(&dataset, 200, 0);
    let report = drawn(&dataset, &all, |item, _| worse(&item.picture));
    assert!(scores(&report, false, Language::English).top1 >= 0.9, "{report}");
    let report = drawn(&dataset, &all, |_, trial| noise(trial.seed));
    let score = scores(&report, false, Language::English);
    // Noise has the same box means everywhere: one or two pictures are nearest to all of it.
    assert!(score.top1 <= 0.02 && score.top5 <= 0.06, "{report}");
}

#[test]
fn copying_a_sibling_shows() {
    let dataset = blobs();
    let all = trials(&dataset, 10, 0);
    let copy = |item: &Item, trial: &Trial| {
        if !trial.held_out {
            return item.picture.clone();
        }
        let base = &item.emoji.as_ref().unwrap().base;
        let sibling = |other: &&Item| !other.held_out && other.emoji.as_ref().is_some_and(|e| e.base == *base);
        dataset.items.iter().find(sibling).unwrap().picture.clone()
    };
    let report = drawn(&dataset, &all, copy);
    assert_eq!(scores(&report, true, Language::English).top1, 0.0);
    let composition = report.composition.as_ref().unwrap();
    assert_eq!(composition.to_trained, 0.0);
    assert!(composition.tone.iter().all(|t| t.accuracy == 0.0));
    let control = composition.sibling_copy.unwrap();
    assert_eq!((control.count, control.top1), (20, 0.0));
    // Of the four other tones of a grey scale, the neighbours have the true one among their five nearest.
    assert!(control.top5 > 0.9, "{report}");
    assert!(composition.truth_to_siblings > composition.truth_to_trained);
}

#[test]
fn real_emoji_are_told_apart_when_worse() {
    let dataset = match emoji::load(&emoji::Options::default()) {
        Ok(dataset) => dataset,
        Err(error @ (DatasetError::NoFont { .. } | DatasetError::Read { .. })) => return eprintln!("SKIPPED: {error}"),
        Err(error) => panic!("{error}"),
    };
    let all = trials(&dataset, 200, 0);
    let report = drawn(&dataset, &all, |item, _| worse(&item.picture));
    assert!(scores(&report, false, Language::English).top1 >= 0.9, "{report}");
    let control = report.composition.unwrap().sibling_copy.unwrap();
    assert!((0.3..0.7).contains(&control.top5), "{control:?}");
}

#[test]
fn a_sheet_pairs_drawn_and_true() {
    let dataset = blobs();
    let all = trials(&dataset, 20, 0);
    let pictures: Vec<Picture> = all.iter().map(|_| Picture::filled(64, 64, [9; 3]).unwrap()).collect();
    let sheet = sheet(&dataset, &all, &pictures).unwrap();
    // 20 seen and 20 held out: two rows of pairs each.
    assert_eq!((sheet.width(), sheet.height()), (16 * 66 + 2, 8 * 66 + 2));
    assert_eq!(sheet.pixel(2, 2), Some([9; 3]));
    let first = &dataset.items[all[0].item].picture;
    assert_eq!(sheet.pixel(2 + 30, 2 + 66 + 30), first.pixel(30, 30));
}
