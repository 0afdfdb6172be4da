use yuragi_io::checkpoint::Archive;

#[cfg(feature = "std")]
use crate::judge::Judge;
use crate::{Failure, decoder::Decoder, model::Model};

static FILE: &[u8] = include_bytes!("../assets/emoji.safetensors");
static DECODER: &[u8] = include_bytes!("../assets/decoder.safetensors");

#[cfg(feature = "std")]
static JUDGE: &[u8] = include_bytes!("../assets/judge.safetensors");

/// The model that is part of the program: emoji of 128×128 pixels, named in English or Japanese.
///
/// The encoder of pictures, which drawing does not need, is left out ([`builtin_whole`] has it).
/// Its large weights stay in the program's file, as codes, until a backend [takes them in](yuragi_graph::Backend::upload),
/// which takes some milliseconds: keep what that returns.
///
/// # Errors
/// None but those of a program file that was damaged.
///
/// ```
/// use yuragi::{cpu::Cpu, graph::Backend, models::generator::{Generator, Request, Sampling}};
///
/// let (cpu, model) = (Cpu::new(), yuragi::builtin()?);
/// let generator = Generator::new(&cpu, cpu.upload(model.params)?, model.settings, model.tokenizer, 1)?;
/// let cat = Request { prompt: "a cat", seed: 7, ..Request::default() };
/// let mut job = generator.start(&[cat], &Sampling { steps: 4, ..Sampling::default() })?;
/// while !job.advance(100)?.is_all() {
///     // a game draws a frame here
/// }
/// assert_eq!(job.rgb8(0).map(|rgb| rgb.len()), Some(128 * 128 * 3));
/// # Ok::<(), yuragi::Failure>(())
/// ```
pub fn builtin() -> Result<Model, Failure> {
    Model::read_to_draw(&Archive::from_static(FILE)?)?.with_decoder(Decoder::read(&Archive::from_static(DECODER)?)?)
}

/// The [built-in model](builtin) with its encoder of pictures.
///
/// # Errors
/// As for [`builtin`].
pub fn builtin_whole() -> Result<Model, Failure> {
    Model::read(&Archive::from_static(FILE)?)?.with_decoder(Decoder::read(&Archive::from_static(DECODER)?)?)
}

/// The file of the [built-in model](builtin), as safetensors: whole by itself, with a decoder to 64×64 pixels.
pub fn builtin_file() -> &'static [u8] {
    FILE
}

/// The file of the built-in model's decoder to 128×128 pixels, as safetensors.
pub fn builtin_decoder() -> &'static [u8] {
    DECODER
}

/// The judge that is part of the program: it names emoji in pictures, which it sees in 64×64 pixels.
///
/// # Errors
/// None but those of a program file that was damaged.
#[cfg(feature = "std")]
pub fn builtin_judge() -> Result<Judge, Failure> {
    Judge::read(&Archive::from_static(JUDGE)?)
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use std::collections::BTreeMap;

    use yuragi_cpu::Cpu;
    use yuragi_io::{CaptionKind, Item, Picture, emoji};
    use yuragi_models::{Settings, tokenizer::normal};

    use super::*;
    use crate::train::compose::canvas::halves;

    #[test]
    fn it_met_the_names_of_all_emoji() {
        let dataset = match emoji::load(&emoji::Options { size: 1, ..emoji::Options::default() }) {
            Ok(dataset) => dataset,
            Err(error) => return eprintln!("SKIPPED: {error}"),
        };
        let Model { tokenizer, settings, .. } = builtin().unwrap();
        let mut read = BTreeMap::new();
        let mut alike = Vec::new();
        for item in &dataset.items {
            for kind in [CaptionKind::NameEn, CaptionKind::NameJa] {
                let Some(name) = item.caption(kind) else { continue };
                assert!(tokenizer.unknown(name).is_empty(), "{name}: {:?}", tokenizer.unknown(name));
                let before = read.insert((kind, tokenizer.ids(name, settings.text.length)), name);
                alike.extend(before.filter(|before| normal(before) != normal(name)).map(|before| [before, name]));
            }
            // Signs that are letters of running text are emoji only where that is asked for.
            let asked = format!("{}\u{fe0f}", item.id);
            let name = item.caption(CaptionKind::NameEn).map(normal);
            assert!(name == Some(normal(&item.id)) || name == Some(normal(&asked)), "{}: {name:?}", item.id);
        }
        assert!(alike.is_empty(), "names that are read alike: {alike:?}");
    }

    #[test]
    fn its_judge_sees_what_true_pictures_show() {
        let dataset = match emoji::load(&emoji::Options::default()) {
            Ok(dataset) => dataset,
            Err(error) => return eprintln!("SKIPPED: {error}"),
        };
        let judge = builtin_judge().unwrap();
        let things: Vec<(usize, &Item)> =
            dataset.items.iter().filter_map(|item| Some((judge.kind_of(item)?, item))).step_by(9).collect();
        let beside = |[(_, a), (_, b)]: [&(usize, &Item); 2]| halves(&[(&a.picture, [0, 1]), (&b.picture, [2, 1])]);
        let pairs: Vec<[&(usize, &Item); 2]> = things.iter().zip(things.iter().rev()).map(|(a, b)| [a, b]).collect();
        let of_two: Vec<Picture> = pairs.iter().map(|pair| beside(*pair).unwrap()).collect();
        let of_one: Vec<Picture> = things.iter().map(|(_, item)| item.picture.clone()).collect();
        let look = |pictures: &[Picture]| judge.look(pictures, &Cpu::new().into()).unwrap();
        let one = look(&of_one).iter().zip(&things).filter(|(seen, (kind, _))| seen.rank(&[*kind]) == 0).count();
        let wanted = pairs.iter().map(|pair| pair.map(|(kind, _)| vec![*kind]));
        let two = look(&of_two).iter().zip(wanted).filter(|(seen, wanted)| seen.behind(wanted) == 0).count();
        let of = things.len();
        assert!(of > 100 && one * 100 >= of * 95 && two * 100 >= of * 85, "{one} and {two} of {of}");
    }

    #[test]
    fn it_loads_and_is_small() {
        assert!(JUDGE.len() <= 300_000, "{} bytes", JUDGE.len());
        assert!(builtin_judge().unwrap().kind("a rocket").is_some());
        assert!(FILE.len() <= 8_000_000 && FILE.len() + DECODER.len() <= 9_500_000, "{} bytes", FILE.len());
        let model = builtin().unwrap();
        assert_eq!(model.settings.size, 128);
        let whole = builtin_whole().unwrap();
        let settings = Settings { weights: model.settings.weights, ..whole.settings };
        assert_eq!((&settings, whole.params.count() > model.params.count()), (&model.settings, true));
        assert_eq!(Model::read(&Archive::from_static(FILE).unwrap()).unwrap().settings.size, 64);
        assert!(!model.settings.latents.deviation.is_empty(), "its latents were measured");
        assert!(model.tokenizer.vocab_size() <= model.settings.text.vocabulary);
        let words = |text| model.tokenizer.encode(text, 24).1;
        assert_eq!(model.tokenizer.reading("The Blue Whales!"), "blue whale");
        assert_eq!(model.tokenizer.reading("らくだ"), "ラクダ");
        assert_eq!(model.tokenizer.unknown("rokcet")[0].nearest, Some("rocket"));
        assert!(words("grinning cat") <= 6 && words("笑う猫") <= 6, "its tokenizer knows both languages");
    }
}
