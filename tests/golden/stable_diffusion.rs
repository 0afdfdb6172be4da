//! The numbers of `stable_diffusion.py`, which follow from names.

/// Numbers in −1..1: the script's `uniform`.
pub fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let seed = name.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    (0..count as u32).map(move |i| {
        let mut x = i.wrapping_mul(0x9e37_79b9).wrapping_add(seed);
        for (shift, factor) in [(16, 0x85eb_ca6b), (13, 0xc2b2_ae35), (16, 1)] {
            x = (x ^ (x >> shift)).wrapping_mul(factor);
        }
        f64::from(x) / f64::from(1_u32 << 31) - 1.0
    })
}

/// Those of a parameter: the script's `weights`.
pub fn formula(name: &str, shape: &[usize]) -> Vec<f32> {
    let fan: usize = shape[1..].iter().product();
    let value = |u: f64| match shape.len() {
        1 if name.ends_with("bias") => u * 0.1,
        1 => 1.0 + 0.2 * u,
        _ => u * (3.0 / fan as f64).sqrt(),
    };
    uniform(name, shape.iter().product()).map(|u| value(u) as f32).collect()
}
