//! A diffusion model of points on a spiral: a perceptron that tells the flow from data to noise.
//!
//! Its weights are `weights/spiral.bin`, single numbers in the order of the graph's parameters. `cargo run --release
//! --package yuragi-firmware --example weights` learns them.

use alloc::vec::Vec;
use core::f32::consts::PI;

use yuragi_diffusion::{Clip, Error, Kind, Ladder, Prediction, Sampler};
use yuragi_graph::{Builder, DType, Graph, HostTensor, Params, Tensor};
use yuragi_nn::{Scope, mlp, timestep_embedding};
use yuragi_numeric::elementary::{cos, sin};

/// Sinusoids of time beside the two coordinates.
const FEATURES: usize = 16;
/// Widths of the perceptron's layers.
const WIDTHS: [usize; 4] = [64, 64, 64, 2];
/// Evaluations of the network.
pub const STEPS: usize = 24;
/// Points that the shape is measured by.
const MARKS: usize = 200;

static WEIGHTS: &[u8] = include_bytes!("../weights/spiral.bin");

/// ε − x₀ of points `x [N, 2]` at times `t [N]` from 0, data, to 1, noise.
pub fn flow<'g>(b: &'g Builder, x: Tensor<'g>, t: Tensor<'g>) -> Tensor<'g> {
    let s = Scope::new(b);
    let time = timestep_embedding(&s, t * 100.0, FEATURES, 100.0);
    mlp(&s, x.concat(&[time], -1), &WIDTHS, |h| h.silu())
}

/// The graph that a sampler evaluates: inputs `x` and `t`, output `flow`.
pub fn network(points: usize) -> Option<Graph> {
    let b = Builder::new();
    let x = b.input("x", &[points, 2], DType::F32);
    let t = b.input("t", &[points], DType::F32);
    let flow = flow(&b, x, t);
    b.finish(&[("flow", flow)]).ok()
}

/// The learned weights of a graph's parameters; nothing if they are not those of the file.
pub fn weights(graph: &Graph) -> Option<Params> {
    let mut params = Params::new();
    let mut rest = WEIGHTS.chunks_exact(4).filter_map(|bytes| Some(f32::from_le_bytes(*bytes.first_chunk()?)));
    for spec in graph.params() {
        let values: Vec<f32> = rest.by_ref().take(spec.shape.count()).collect();
        params.insert(&spec.name, HostTensor::new(spec.shape, values)?);
    }
    rest.next().is_none().then_some(params)
}

/// The sampler of so many points: Euler's steps along the flow.
///
/// # Errors
/// No points.
pub fn sampler(points: usize) -> Result<Sampler, Error> {
    Sampler::predicting(Kind::Euler, &Ladder::flow(STEPS, 1.0)?, Prediction::Flow, Clip::None, 2 * points)
}

/// The point of the spiral at s from 0, its inner end, to 1.
pub fn point(s: f32) -> [f32; 2] {
    let (radius, angle) = (0.3 + 1.5 * s, 3.5 * PI * s);
    [radius * cos(angle), radius * sin(angle)]
}

/// The distance from a point to the spiral, squared.
pub fn square_distance(at: &[f32; 2]) -> f32 {
    let square = |mark: usize| {
        let [x, y] = point(mark as f32 / MARKS as f32);
        (at[0] - x) * (at[0] - x) + (at[1] - y) * (at[1] - y)
    };
    (0..=MARKS).map(square).fold(f32::INFINITY, f32::min)
}
