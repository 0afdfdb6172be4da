//! The classifier learns which of three colours a picture shows, in one spot or in two, and how many spots there are.

use yuragi_cpu::Cpu;
use yuragi_graph::{Backend, Params, Plan, Slice, SliceMut};
use yuragi_models::classifier::{Classifier, MOST, OPTIMIZER};
use yuragi_nn::{optim, rate};
use yuragi_numeric::philox;

const SIDE: usize = 32;
const COLOURS: [[f32; 3]; 3] = [[0.9, -0.8, -0.8], [-0.8, 0.9, -0.8], [-0.8, -0.8, 0.9]];
const BATCH: usize = 24;
const STEPS: u64 = 250;

/// A white picture with one spot at the left, or two, and the colours of the spots.
fn picture(number: u32) -> (Vec<f32>, Vec<usize>) {
    let draws = philox::block([number, 0, 0, 0], [7, 7]);
    let colours: Vec<usize> = draws[..1 + (draws[2] % 2) as usize].iter().map(|draw| *draw as usize % 3).collect();
    let mut pixels = vec![1.0; SIDE * SIDE * 3];
    for (place, &colour) in colours.iter().enumerate() {
        let (left, top) = (16 * place + 1 + (draws[3] % 5) as usize, 3 + (draws[3] / 8 % 16) as usize);
        for (y, x) in (top..top + 10).flat_map(|y| (left..left + 10).map(move |x| (y, x))) {
            pixels[(y * SIDE + x) * 3..][..3].copy_from_slice(&COLOURS[colour]);
        }
    }
    (pixels, colours)
}

#[test]
fn a_classifier_learns_what_is_there_and_how_many() {
    let network = Classifier { size: SIDE, channels: [24, 48, 48, 48], width: 32, classes: 3 };
    let cpu = Cpu::new();
    let graph = network.training(BATCH).unwrap();
    let mut params = Params::new();
    params.initialise(graph.params(), 3);
    let plan = cpu.compile(&graph).unwrap();
    let mut store = cpu.upload(params).unwrap();
    let mut state = plan.state(&store).unwrap();
    for step in 0..STEPS {
        let (mut pixels, mut shares, mut counts) = (Vec::new(), vec![0.0; BATCH * 3], vec![0.0; BATCH * MOST]);
        for place in 0..BATCH {
            let (picture, colours) = picture(step as u32 * BATCH as u32 + place as u32);
            pixels.extend(picture);
            colours.iter().for_each(|colour| shares[3 * place + colour] += 1.0 / colours.len() as f32);
            counts[MOST * place + colours.len() - 1] = 1.0;
        }
        let hyper = OPTIMIZER.hyper(step, 4e-3 * rate::one_cycle(step, STEPS, 0.2), 0.9);
        let inputs = [&pixels, &shares, &counts].map(|values| Slice::F32(values));
        let (mut loss, mut norm) = ([0.0], [0.0]);
        let outputs = &mut [SliceMut::F32(&mut loss), SliceMut::F32(&mut norm)];
        plan.update(&mut state, &mut store, &[inputs[0], inputs[1], inputs[2], Slice::F32(&hyper)], outputs).unwrap();
        assert!(loss[0].is_finite() && norm[0] > 0.0);
    }
    let look = cpu.compile(&network.look(1).unwrap()).unwrap();
    let store = cpu.upload(optim::averaged(&cpu.download(&store).unwrap())).unwrap();
    let mut state = look.state(&store).unwrap();
    let (mut right, mut counted) = (0, 0);
    for number in 1_000_000..1_000_100 {
        let (pixels, colours) = picture(number);
        let (mut things, mut counts) = ([0.0f32; 3], [0.0f32; MOST]);
        let outputs = &mut [SliceMut::F32(&mut things), SliceMut::F32(&mut counts)];
        look.run(&mut state, &store, &[Slice::F32(&pixels)], outputs).unwrap();
        let sum: f32 = things.iter().map(|log| log.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "probabilities add up to {sum}");
        let absent = |colour: &usize| !colours.contains(colour);
        let least = colours.iter().map(|&colour| things[colour]).fold(f32::INFINITY, f32::min);
        right += usize::from((0..3).filter(absent).all(|colour| things[colour] < least));
        counted += usize::from((0..MOST).all(|other| counts[other] <= counts[colours.len() - 1]));
    }
    assert!(right >= 95 && counted >= 95, "{right} and {counted} of 100");
}

#[test]
fn extents_that_cannot_be_are_refused() {
    let network = Classifier { size: 64, channels: [8; 4], width: 8, classes: 5 };
    assert_eq!(network.check(), Ok(()));
    for (wrong, says) in [
        (Classifier { size: 60, ..network }, "multiple of 16"),
        (Classifier { channels: [8, 8, 8, 12], ..network }, "multiples of 8"),
        (Classifier { classes: 0, ..network }, "from 1 to 65536"),
    ] {
        assert!(wrong.check().unwrap_err().contains(says));
        assert!(wrong.look(1).is_err() && wrong.training(1).is_err());
    }
}
