//! The page's model is the built-in one: packed and without its encoder, it draws the same picture.

use yuragi::{
    cpu::Cpu,
    decoder::Decoder,
    graph::Backend,
    io::checkpoint::Archive,
    model::Model,
    models::generator::{Generator, Request, Sampling},
};
use yuragi_web::{Asked, Studio};

#[test]
fn the_packed_model_draws_the_same_picture() {
    let asset = |name| std::fs::read([env!("CARGO_MANIFEST_DIR"), "/../yuragi/assets/", name].concat()).unwrap();
    let (file, decoder) = (asset("emoji.safetensors"), asset("decoder.safetensors"));
    let packed = yuragi_packed::pack(&file, Some(&decoder)).unwrap();
    assert!(10 * packed.len() < 9 * (file.len() + decoder.len()), "{} of {} bytes", packed.len(), file.len());

    let [file, decoder] = [file, decoder].map(|file| Archive::from_bytes(file).unwrap());
    let model = Model::read_to_draw(&file).unwrap().with_decoder(Decoder::read(&decoder).unwrap());
    let Model { params, settings, tokenizer } = model.unwrap();
    let cpu = Cpu::with_threads(2).winograd(true);
    let generator = Generator::new(&cpu, cpu.upload(params).unwrap(), settings, tokenizer, 1).unwrap();
    let sampling = Sampling { steps: 2, guidance: 1.0, ..Sampling::default() };
    let cat = Request { prompt: "a cat", seed: 7, ..Request::default() };
    let mut job = generator.start(&[cat], &sampling).unwrap();
    while !job.advance(100).unwrap().is_all() {}

    let mut studio = Studio::open(yuragi_packed::unpack(&packed).unwrap(), 2).unwrap();
    let asked = Asked { prompt: "a cat".into(), negative: String::new(), seed: 7, count: 1, steps: 2, guidance: 1.0 };
    studio.start(asked).unwrap();
    while !studio.advance(100).unwrap().is_all() {}
    assert!(studio.pictures() == job.rgb8(0).unwrap());
    assert_eq!(yuragi_packed::unpack(&packed[..packed.len() / 2]), None);
}
