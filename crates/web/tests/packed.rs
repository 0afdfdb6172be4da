//! The page's model is the built-in one: packed and without its encoder, it draws the same picture.

use yuragi_web::{Asked, Studio};

#[test]
fn the_packed_model_draws_the_same_picture() {
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../yuragi/assets/emoji.safetensors")).unwrap();
    let packed = yuragi_packed::pack(&file).unwrap();
    assert!(10 * packed.len() < 9 * file.len(), "{} of {} bytes", packed.len(), file.len());
    let [whole, small] = [file, yuragi_packed::unpack(&packed).unwrap()].map(|file| {
        let mut studio = Studio::open(file, 2).unwrap();
        let asked =
            Asked { prompt: "a cat".into(), negative: String::new(), seed: 7, count: 1, steps: 2, guidance: 1.0 };
        studio.start(asked).unwrap();
        while !studio.advance(100).unwrap().is_all() {}
        studio.pictures()
    });
    assert!(whole == small);
    assert_eq!(yuragi_packed::unpack(&packed[..packed.len() / 2]), None);
}
