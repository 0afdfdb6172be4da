//! The generator on the reference: slices, batches, guidance, and what it refuses.

mod small;

use small::{params, settings};
use yuragi_diffusion::Kind;
use yuragi_graph::{Backend, Graph, Params, Plan, Slice, SliceMut};
use yuragi_models::{
    Generator,
    generator::{Begin, Error, Request, Sampling},
    latent_diffusion as graphs,
    tokenizer::Tokenizer,
};
use yuragi_numeric::fill;
use yuragi_reference::Reference;

type Backing = Reference<f64>;
const BACKEND: Backing = Reference::truth();

fn tokenizer() -> Tokenizer {
    Tokenizer::train(["red cat", "blue fish", "a red fish"], 290).unwrap()
}

fn generator(params: &Params, count: usize) -> Generator<Backing, &Params> {
    let mut settings = settings();
    settings.latents.mean = vec![0.5, -0.25];
    settings.latents.deviation = vec![0.5, 2.0];
    settings.latents.colour = vec![0.3, 0.1, -0.2, 0.05, 0.2, 0.1, 0.0, 0.1, 0.2];
    Generator::new(&BACKEND, params, settings, tokenizer(), count).unwrap()
}

const RED: Request<'_> = Request { prompt: "red cat", seed: 7, negative: "", begin: Begin::Noise };
const BLUE: Request<'_> = Request { prompt: "blue fish", negative: "red", seed: (3 << 32) + 1, begin: Begin::Noise };

fn sampling(steps: usize, guidance: f32) -> Sampling {
    Sampling { sampler: Kind::EulerAncestral, steps, guidance, ..Sampling::default() }
}

fn picture(
    generator: &Generator<Backing, &Params>,
    requests: &[Request<'_>],
    place: usize,
    how: &Sampling,
) -> Vec<f32> {
    let mut job = generator.start(requests, how).unwrap();
    assert!(job.picture(place).is_none());
    assert!(job.advance(usize::MAX).unwrap().is_all());
    job.picture(place).unwrap().to_vec()
}

#[test]
fn slices_of_any_size_draw_the_same_picture() {
    let params = params(&settings());
    let generator = generator(&params, 1);
    let how = sampling(3, 2.0);
    let whole = picture(&generator, &[RED], 0, &how);
    assert!(whole.iter().all(|x| (0.0..=1.0).contains(x)));
    assert!(whole.iter().any(|x| *x > 0.0 && *x < 1.0));
    for slice in [1, 7, 1000] {
        let mut job = generator.start(&[RED], &how).unwrap();
        let mut before = job.progress().done;
        assert_eq!(before, 0);
        assert_eq!(job.advance(0).unwrap().done, 0);
        while !job.progress().is_all() {
            let progress = job.advance(slice).unwrap();
            assert!(progress.done > before && progress.done <= before + slice && progress.done <= progress.total);
            before = progress.done;
        }
        assert_eq!(job.picture(0).unwrap(), whole);
        assert!(job.picture(1).is_none());
        assert_eq!(job.rgb8(0).unwrap().len(), whole.len());
    }
}

#[test]
fn a_job_that_begins_again_draws_what_a_new_one_does() {
    let params = params(&settings());
    let generator = generator(&params, 2);
    let mut job = generator.start(&[RED], &sampling(2, 2.0)).unwrap();
    for (launches, guidance) in [(3, 2.0), (usize::MAX, 1.0), (0, 1.0), (40, 2.0)] {
        let how = sampling(2, guidance);
        let before = job.advance(launches).unwrap();
        assert!(job.restart(&[], &how).is_err() && job.restart(&[BLUE], &sampling(0, 2.0)).is_err());
        assert_eq!(job.progress(), before, "what is refused changes nothing");
        job.restart(&[BLUE, RED], &how).unwrap();
        assert_eq!((job.progress().done, job.requests()), (0, 2));
        assert!(job.picture(0).is_none() && job.preview(0).is_none());
        job.advance(usize::MAX).unwrap();
        assert_eq!(job.picture(1).unwrap(), picture(&generator, &[BLUE, RED], 1, &how));
        job.restart(&[RED], &how).unwrap();
    }
}

#[test]
fn a_picture_does_not_depend_on_its_neighbours() {
    let params = params(&settings());
    let (one, three) = (generator(&params, 1), generator(&params, 3));
    for guidance in [1.0, 2.0] {
        let how = sampling(2, guidance);
        let alone = [picture(&one, &[RED], 0, &how), picture(&one, &[BLUE], 0, &how)];
        let together = [picture(&three, &[RED, BLUE], 0, &how), picture(&three, &[RED, BLUE], 1, &how)];
        assert_eq!(alone, together);
        assert_ne!(alone[0], alone[1]);
    }
}

/// One graph, run whole.
fn run(graph: Graph, params: &Params, inputs: &[Slice<'_>]) -> Vec<Vec<f32>> {
    let plan = BACKEND.compile(&graph).unwrap();
    let mut state = plan.state(params).unwrap();
    let mut values: Vec<Vec<f32>> =
        graph.outputs().iter().map(|o| vec![0.0; graph.node(o.node).shape.count()]).collect();
    let mut outputs: Vec<SliceMut<'_>> = values.iter_mut().map(|v| SliceMut::F32(v)).collect();
    plan.run(&mut state, params, inputs, &mut outputs).unwrap();
    values
}

#[test]
fn two_guided_euler_steps_by_hand() {
    let params = params(&settings());
    let generator = generator(&params, 1);
    let how = Sampling { sampler: Kind::Euler, steps: 2, guidance: 3.0, ..Sampling::default() };
    let drawn = picture(&generator, &[BLUE], 0, &how);

    let settings = generator.settings();
    let features = |text: &str| {
        let caption = tokenizer().ids(text, settings.text.length);
        run(graphs::encode_text(settings, 1).unwrap(), &params, &[Slice::I32(&caption)])
    };
    let (negative, prompt) = (features("red"), features("blue fish"));
    let mut x = vec![0.0; settings.latent_len()];
    fill::normal([1, 3], 0, 0, &mut x);
    for t in [1.0, 0.5] {
        let estimate = |text: &[Vec<f32>]| {
            let (x, t) = (&x[..], [t]);
            let inputs = [x, &t, &text[0], &text[1], &text[2]].map(Slice::F32);
            run(graphs::denoise(settings, 1).unwrap(), &params, &inputs).remove(0)
        };
        let (away, towards) = (estimate(&negative), estimate(&prompt));
        for ((x, away), towards) in x.iter_mut().zip(away).zip(towards) {
            let x0 = away + 3.0 * (towards - away);
            *x += 0.5 * (x0 - *x) / t;
        }
    }
    let decoded = run(graphs::decode(settings, 1).unwrap(), &params, &[Slice::F32(&x)]).remove(0);
    for (have, want) in drawn.iter().zip(decoded) {
        assert!((have - (want * 0.5 + 0.5).clamp(0.0, 1.0)).abs() < 1e-4, "{have} against {want}");
    }
}

#[test]
fn prompts_negative_prompts_seeds_and_guidance_matter() {
    let params = params(&settings());
    let generator = generator(&params, 1);
    let how = sampling(2, 2.0);
    let base = picture(&generator, &[RED], 0, &how);
    assert_ne!(base, picture(&generator, &[Request { prompt: "blue fish", ..RED }], 0, &how));
    assert_ne!(base, picture(&generator, &[Request { negative: "fish", ..RED }], 0, &how));
    assert_ne!(base, picture(&generator, &[Request { seed: 8, ..RED }], 0, &how));
    assert_ne!(base, picture(&generator, &[RED], 0, &sampling(2, 1.0)));
    let unguided = picture(&generator, &[RED], 0, &sampling(2, 1.0));
    assert_eq!(unguided, picture(&generator, &[Request { negative: "fish", ..RED }], 0, &sampling(2, 1.0)));
}

#[test]
fn previews_appear_after_the_first_step() {
    let params = params(&settings());
    let generator = generator(&params, 2);
    let mut job = generator.start(&[RED], &sampling(2, 2.0)).unwrap();
    assert!(job.preview(0).is_none());
    job.advance(usize::MAX).unwrap();
    let preview = job.preview(0).unwrap();
    assert_eq!(preview.len(), 4 * 4 * 3);
    assert!(preview.iter().all(|x| (0.0..=1.0).contains(x)));
    // The last estimate of the clean latent is the latent itself.
    let latent = &job.latents()[..generator.settings().latent_len()];
    let expected = generator.settings().latents.colours(latent).unwrap();
    assert!(preview.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5));
    assert!(job.preview(1).is_none());
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let params = params(&settings());
    let generator = generator(&params, 1);
    let refused = |requests: &[Request<'_>], how: Sampling| match generator.start(requests, &how) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    };
    assert_eq!(refused(&[], sampling(2, 1.0)), "0 pictures were asked for; legal is 1 to 1");
    assert_eq!(refused(&[RED; 2], sampling(2, 1.0)), "2 pictures were asked for; legal is 1 to 1");
    assert_eq!(refused(&[RED], sampling(0, 1.0)), "the number of steps is 0; it must be from 1 to 10000");
    assert_eq!(refused(&[RED], sampling(1, f32::NAN)), "the guidance is NaN; it must be finite");
    let shift = refused(&[RED], Sampling { shift: 0.0, ..sampling(1, 1.0) });
    assert_eq!(shift, "the shift is 0; it must be positive and finite");
    let seeds: [u64; 0] = [];
    assert!(matches!(generator.start_ids(&[[&[], &[]]], &seeds, &sampling(1, 1.0)), Err(Error::Count { .. })));

    let empty = Params::new();
    let unfurnished = Generator::<Backing, _>::new(&BACKEND, empty, settings(), tokenizer(), 1).unwrap();
    let error = unfurnished.start(&[RED], &sampling(1, 1.0)).err().unwrap();
    assert!(error.to_string().ends_with("is missing"), "{error}");

    let mut narrow = settings();
    narrow.text.vocabulary = 200;
    let error = Generator::<Backing, _>::new(&BACKEND, &params, narrow, tokenizer(), 1).err().unwrap();
    assert!(matches!(error, Error::Vocabulary { known: 200, .. }), "{error}");
    for count in [0, usize::MAX] {
        let error = Generator::<Backing, _>::new(&BACKEND, &params, settings(), tokenizer(), count).err().unwrap();
        assert_eq!(error.to_string(), format!("{count} pictures were asked for; legal is 1 to 1024"));
    }
}

#[test]
fn t33_prompts_change_on_the_way() {
    let params = params(&settings());
    let generator = generator(&params, 2);
    let how = sampling(4, 2.0);
    let drawn = |prompt, negative| {
        let request = Request { prompt, negative, seed: 5, ..Request::default() };
        let mut job = generator.start(&[request, BLUE], &how).unwrap();
        let total = job.progress().total;
        while !job.advance(3).unwrap().is_all() {}
        assert_eq!(job.progress().done, total, "{prompt}");
        job.picture(0).unwrap().to_vec()
    };
    let (red, blue) = (drawn("red cat", ""), drawn("blue fish", ""));
    // A change after the last step, or before the first, is none.
    assert_eq!(drawn("[red cat:blue fish:4]", ""), red);
    assert_eq!(drawn("[red cat:blue fish:0]", ""), blue);
    let (early, late) = (drawn("[red cat:blue fish:1]", ""), drawn("[red cat:blue fish:0.75]", ""));
    assert!(early != red && early != blue && late != red && late != blue && early != late);
    assert_eq!(drawn("[red cat:blue fish:1] ", ""), early);
    assert_ne!(drawn("[red cat|blue fish]", ""), early);
    assert_ne!(drawn("red cat", "[:blue:2]"), red);
}

#[test]
fn t33_weights_count_in_cross_attention() {
    let params = params(&settings());
    let generator = generator(&params, 1);
    let drawn =
        |prompt| picture(&generator, &[Request { prompt, seed: 5, ..Request::default() }], 0, &sampling(2, 2.0));
    let plain = drawn("red cat");
    assert_eq!(drawn("(red cat:1)"), plain);
    assert_eq!(drawn("(red:1) cat"), plain);
    let distance = |prompt| drawn(prompt).iter().zip(&plain).map(|(a, b)| (a - b).abs()).sum::<f32>();
    let (little, much) = (distance("(red:1.1) cat"), distance("(red:3) cat"));
    assert!(0.0 < little && little < much, "{little} {much}");
    assert!(distance("(red:0) cat").is_finite() && distance("(red:-1) cat") > 0.0);
}
