use crate::error::{Error, range};
use core::f64::consts::{LN_2, PI};
use yuragi_numeric::special::log_2cosh;

/// β_c = ½ ln(1 + √2), where the infinite square lattice with J = 1 orders (Kramers and Wannier 1941).
pub const CRITICAL_BETA: f64 = 0.440_686_793_509_771_5;

/// ln Z of the periodic `rows` × `columns` Ising model with J = 1 and no field, at β ≥ 0: Kaufman,
/// *Phys. Rev.* 76, 1232 (1949).
///
/// With cosh γ_l = cosh 2β coth 2β − cos(π l/n), n rows of m columns,
///
/// > Z = ½ (2 sinh 2β)^{nm/2} (Π 2cosh ½mγ₂ᵣ₊₁ + Π 2sinh ½mγ₂ᵣ₊₁ + Π 2cosh ½mγ₂ᵣ + Π 2sinh ½mγ₂ᵣ).
///
/// # Errors
/// A side of 0, or β that is negative or not finite.
///
/// ```
/// use yuragi_energy::exact::finite_square_log_z;
/// assert!((finite_square_log_z(4, 4, 0.4)? - 14.561093023844).abs() < 1e-11);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub fn finite_square_log_z(rows: usize, columns: usize, beta: f64) -> Result<f64, Error> {
    Ok(kaufman(rows, columns, beta)?.0)
}

/// ⟨E⟩ = −∂ ln Z/∂β of the same lattice, for the whole of it. The absolute error is about 10⁻¹⁶/β a site.
///
/// # Errors
/// A side of 0, or β that is negative or not finite.
pub fn finite_square_energy(rows: usize, columns: usize, beta: f64) -> Result<f64, Error> {
    Ok(-kaufman(rows, columns, beta)?.1)
}

/// ln Z and its derivative in β.
fn kaufman(rows: usize, columns: usize, beta: f64) -> Result<(f64, f64), Error> {
    for side in [rows, columns] {
        range("a side", side as f64, side > 0, "at least 1")?;
    }
    range("beta", beta, beta >= 0.0 && beta.is_finite(), "finite and at least 0")?;
    let (n, m) = (rows as f64, columns as f64);
    if beta == 0.0 {
        return Ok((n * m * LN_2, 0.0));
    }
    // ln(2 sinh 2β) and coth 2β without overflow.
    let shrunk = libm::exp(-4.0 * beta);
    let log_2sinh = 2.0 * beta + libm::log(-libm::expm1(-4.0 * beta));
    let coth = (1.0 + shrunk) / -libm::expm1(-4.0 * beta);
    let mut products = [Product::default(); 4];
    for l in 0..2 * rows {
        let (gamma, slope) = gamma(beta, l as f64 * PI / n);
        let [cosh, sinh] = if l % 2 == 1 { [0, 1] } else { [2, 3] };
        products[cosh].multiply_cosh(0.5 * m * gamma, 0.5 * m * slope);
        products[sinh].multiply_sinh(0.5 * m * gamma, 0.5 * m * slope);
    }
    let largest = products.iter().fold(f64::NEG_INFINITY, |largest, product| largest.max(product.log));
    let scaled = |product: &Product| libm::exp(product.log - largest);
    let sum: f64 = products.iter().map(|p| p.value * scaled(p)).sum();
    let slope: f64 = products.iter().map(|p| p.slope * scaled(p)).sum();
    Ok((-LN_2 + 0.5 * n * m * log_2sinh + largest + libm::log(sum), n * m * coth + slope / sum))
}

/// γ(θ) and dγ/dβ where cosh γ = cosh 2β coth 2β − cos θ; at θ = 0, γ = 2β + ln tanh β with its sign.
fn gamma(beta: f64, theta: f64) -> (f64, f64) {
    let sinh = libm::sinh(2.0 * beta);
    if theta == 0.0 {
        return (2.0 * beta + libm::log(libm::tanh(beta)), 2.0 + 2.0 / sinh);
    }
    if beta > 150.0 {
        return (2.0 * beta, 2.0); // to within e^−600
    }
    // With s = sinh 2β, cosh 2β coth 2β = s + 1/s = 2 + (s − 1)²/s: free of cancellation at β_c.
    let half = libm::sin(0.5 * theta);
    let above_one = (sinh - 1.0) * ((sinh - 1.0) / sinh) + 2.0 * half * half;
    // γ = arcosh c = ln(c + √(c² − 1)) with c = 1 + above_one
    let root = if above_one > 1e100 { above_one } else { libm::sqrt(above_one * (above_one + 2.0)) };
    let gamma = libm::log1p(above_one + root);
    let slope = 2.0 * libm::cosh(2.0 * beta) * ((sinh * sinh - 1.0) / sinh) / (sinh * root);
    (gamma, slope)
}

/// e^log · value, and its derivative e^log · slope.
#[derive(Clone, Copy)]
struct Product {
    log: f64,
    value: f64,
    slope: f64,
}

impl Default for Product {
    fn default() -> Self {
        Self { log: 0.0, value: 1.0, slope: 0.0 }
    }
}

impl Product {
    fn multiply_cosh(&mut self, x: f64, dx: f64) {
        self.log += log_2cosh(x);
        self.slope += self.value * libm::tanh(x) * dx;
    }

    /// Factor 2 sinh x = e^|x| · (±(1 − e^−2|x|)), which may be 0.
    fn multiply_sinh(&mut self, x: f64, dx: f64) {
        let size = x.abs();
        let sinh = -libm::expm1(-2.0 * size) * if x < 0.0 { -1.0 } else { 1.0 };
        let cosh = 1.0 + libm::exp(-2.0 * size);
        self.log += size;
        self.slope = self.slope * sinh + self.value * cosh * dx;
        self.value *= sinh;
    }
}

/// The energy of one site of the infinite square lattice with J = 1, at β > 0: Onsager, *Phys. Rev.* 65,
/// 117 (1944),
///
/// > e = −coth 2β (1 + (2/π)(2 tanh² 2β − 1) K(k)), k = 2 sinh 2β / cosh² 2β,
///
/// K being the complete elliptic integral of the first kind.
///
/// # Errors
/// β that is not positive and finite.
///
/// ```
/// use yuragi_energy::exact::infinite_square_energy;
/// assert!((infinite_square_energy(0.4)? + 1.10607920375).abs() < 1e-11);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub fn infinite_square_energy(beta: f64) -> Result<f64, Error> {
    range("beta", beta, beta > 0.0 && beta.is_finite(), "positive and finite")?;
    let tanh = libm::tanh(2.0 * beta);
    let factor = 2.0 * tanh * tanh - 1.0;
    // K(k) = π / (2 agm(1, k')) with k'² = 1 − k² = factor².
    let complementary = factor.abs();
    let term = if complementary == 0.0 { 0.0 } else { factor / arithmetic_geometric_mean(1.0, complementary) };
    Ok(-(1.0 + term) / tanh)
}

/// The common limit of the arithmetic and the geometric means of positive numbers.
fn arithmetic_geometric_mean(mut a: f64, mut b: f64) -> f64 {
    // Converges quadratically from any ratio of f64 numbers.
    for _ in 0..40 {
        (a, b) = (0.5 * (a + b), libm::sqrt(a * b));
    }
    a
}

/// The spontaneous magnetisation of a site of the infinite square lattice with J = 1, at β ≥ 0: Yang,
/// *Phys. Rev.* 85, 808 (1952), m = (1 − sinh⁻⁴ 2β)^{1/8} above β_c, else 0.
///
/// # Errors
/// β that is negative or not finite.
///
/// ```
/// use yuragi_energy::exact::infinite_square_magnetization;
/// assert!((infinite_square_magnetization(0.5)? - 0.911319377877).abs() < 1e-12);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub fn infinite_square_magnetization(beta: f64) -> Result<f64, Error> {
    range("beta", beta, beta >= 0.0 && beta.is_finite(), "finite and at least 0")?;
    let sinh = libm::sinh(2.0 * beta);
    Ok(if sinh <= 1.0 { 0.0 } else { libm::pow(1.0 - libm::pow(sinh, -4.0), 0.125) })
}
