//! Restricted Boltzmann machines: q(v, h) ∝ exp(vᵀWh + bᵀv + cᵀh).
//!
//! Visible units are ±1, 0/1 or Gaussian, hidden units ±1 or 0/1. Given one layer the units of the other
//! are independent, so that a step of block Gibbs sampling draws a layer at once. Summing the hidden
//! layer out leaves the free energy F(v) = −bᵀv − Σ_j ln 2cosh(c_j + Σ_i W_ij v_i) (softplus in place of ln 2cosh
//! for 0/1 units), with q(v) = e^−F(v)/Z.
//!
//! [`train`] learns them, [`partition`] measures Z, [`raise`](mod@raise) bounds log-probabilities from below.
//! [`plan`] learns and measures on any backend. Small ones also learn by [expectation–maximisation](yuragi_distributions::em).

mod em;
pub(crate) mod layers;
pub mod partition;
pub mod plan;
pub mod raise;
pub(crate) mod slices;
pub mod train;

pub use slices::Slices;

use crate::draw::Draws;
use crate::error::{Error, length, range};
use alloc::vec::Vec;
use layers::{Matrix, Scratch};
use yuragi_numeric::fill;
use yuragi_numeric::special::{log_2cosh, softplus};

/// What a unit of a layer can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// −1 or +1.
    Spin,
    /// 0 or 1.
    Binary,
    /// Any real number, with unit variance given the other layer: the energy has ½|v − b|² in place of −bᵀv.
    /// Visible units only.
    Gaussian,
}

impl Units {
    /// (low value, high value, the factor s such that P(high) = σ(s·field)).
    pub(crate) fn two_state(self) -> (f32, f32, f32) {
        match self {
            Self::Spin => (-1.0, 1.0, 2.0),
            Self::Binary | Self::Gaussian => (0.0, 1.0, 1.0),
        }
    }

    /// ln Σ over the unit's values of e^(x·field).
    fn log_sum(self, field: f64) -> f64 {
        match self {
            Self::Spin => log_2cosh(field),
            Self::Binary => softplus(field),
            Self::Gaussian => 0.5 * field * field + 0.5 * libm::log(2.0 * core::f64::consts::PI),
        }
    }
}

/// A restricted Boltzmann machine, in f32.
///
/// ```
/// use yuragi_energy::rbm::{Rbm, Units, partition};
/// let rbm = Rbm::new(4, 3, Units::Binary, Units::Binary)?;
/// assert!((partition::exact_log_z(&rbm)? - 7.0 * 2f64.ln()).abs() < 1e-12); // all parameters are 0
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rbm {
    visible: usize,
    hidden: usize,
    visible_units: Units,
    hidden_units: Units,
    /// W, row by row: W_ij at i·hidden + j.
    pub weights: Vec<f32>,
    /// b.
    pub visible_bias: Vec<f32>,
    /// c.
    pub hidden_bias: Vec<f32>,
}

impl Rbm {
    /// All parameters 0.
    ///
    /// # Errors
    /// A layer without units or with more than 65535, or Gaussian hidden units.
    pub fn new(visible: usize, hidden: usize, visible_units: Units, hidden_units: Units) -> Result<Self, Error> {
        for (what, count) in [("the number of visible units", visible), ("the number of hidden units", hidden)] {
            range(what, count as f64, (1..1 << 16).contains(&count), "from 1 to 65535")?;
        }
        if hidden_units == Units::Gaussian {
            return Err(Error::Unsupported { what: "a restricted Boltzmann machine", needs: "two-state hidden units" });
        }
        Ok(Self {
            visible,
            hidden,
            visible_units,
            hidden_units,
            weights: alloc::vec![0.0; visible * hidden],
            visible_bias: alloc::vec![0.0; visible],
            hidden_bias: alloc::vec![0.0; hidden],
        })
    }

    /// Weights become normal with standard deviation `scale`, the biases stay.
    pub fn randomize(&mut self, scale: f32, seed: u64) {
        fill::normal(Draws::new(seed).key(), 0x5bb, 0, &mut self.weights);
        self.weights.iter_mut().for_each(|weight| *weight *= scale);
    }

    /// The same machine with its layers exchanged.
    ///
    /// # Errors
    /// Gaussian visible units, or parameters of the wrong lengths.
    pub fn upside_down(&self) -> Result<Self, Error> {
        self.rows(&[])?;
        let mut turned = Self::new(self.hidden, self.visible, self.hidden_units, self.visible_units)?;
        for (i, row) in self.weights.chunks(self.hidden).enumerate() {
            for (j, &weight) in row.iter().enumerate() {
                turned.weights[j * self.visible + i] = weight;
            }
        }
        turned.visible_bias.clone_from(&self.hidden_bias);
        turned.hidden_bias.clone_from(&self.visible_bias);
        Ok(turned)
    }

    /// The number of visible units.
    pub fn visible(&self) -> usize {
        self.visible
    }

    /// The number of hidden units.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// What the visible units are.
    pub fn visible_units(&self) -> Units {
        self.visible_units
    }

    /// What the hidden units are.
    pub fn hidden_units(&self) -> Units {
        self.hidden_units
    }

    /// `Ok` if the public parameters still have their lengths; the number of rows of `visible` values.
    pub(crate) fn rows(&self, values: &[f32]) -> Result<usize, Error> {
        length("the weights", self.weights.len(), self.visible * self.hidden)?;
        length("the visible biases", self.visible_bias.len(), self.visible)?;
        length("the hidden biases", self.hidden_bias.len(), self.hidden)?;
        let rows = values.len() / self.visible;
        length("the visible values", values.len(), rows * self.visible)?;
        crate::error::counter("the number of rows", rows)?;
        Ok(rows)
    }

    /// E(v, h).
    ///
    /// # Errors
    /// Layers of the wrong length.
    pub fn energy(&self, v: &[f32], h: &[f32]) -> Result<f64, Error> {
        self.rows(v)?;
        length("the visible values", v.len(), self.visible)?;
        length("the hidden values", h.len(), self.hidden)?;
        let mut energy = 0.0;
        for (i, &v) in v.iter().enumerate() {
            let field: f64 =
                self.weights[i * self.hidden..].iter().zip(h).map(|(&w, &h)| f64::from(w) * f64::from(h)).sum();
            energy -= f64::from(v) * field + self.visible_term(i, v);
        }
        Ok(energy - self.hidden_bias.iter().zip(h).map(|(&c, &h)| f64::from(c) * f64::from(h)).sum::<f64>())
    }

    /// b_i v_i, or −½(v_i − b_i)².
    fn visible_term(&self, i: usize, v: f32) -> f64 {
        let (b, v) = (f64::from(self.visible_bias[i]), f64::from(v));
        if self.visible_units == Units::Gaussian { -0.5 * (v - b) * (v - b) } else { b * v }
    }

    /// F(v) = −ln Σ_h exp(−E(v, h)) of each row.
    ///
    /// # Errors
    /// Values that are not whole rows.
    pub fn free_energies(&self, v: &[f32]) -> Result<Vec<f64>, Error> {
        self.rows(v)?;
        let mut fields = alloc::vec![0.0f64; self.hidden];
        let row = |v: &[f32]| {
            fields.iter_mut().zip(&self.hidden_bias).for_each(|(field, &c)| *field = c.into());
            let mut energy = 0.0;
            for (i, &v) in v.iter().enumerate() {
                energy -= self.visible_term(i, v);
                if v != 0.0 {
                    let row = &self.weights[i * self.hidden..][..self.hidden];
                    fields.iter_mut().zip(row).for_each(|(field, &w)| *field += f64::from(w) * f64::from(v));
                }
            }
            energy - fields.iter().map(|&field| self.hidden_units.log_sum(field)).sum::<f64>()
        };
        Ok(v.chunks(self.visible).map(row).collect())
    }

    /// The fields c + vᵀW of the hidden units, row by row.
    ///
    /// # Errors
    /// Values that are not whole rows.
    pub fn hidden_fields(&self, v: &[f32]) -> Result<Vec<f32>, Error> {
        self.rows(v)?;
        let mut fields = Vec::new();
        self.hidden_fields_to(&mut fields, v, &mut Scratch::default());
        Ok(fields)
    }

    /// The fields b + Wh of the visible units, row by row: for Gaussian units their means.
    ///
    /// # Errors
    /// Values that are not whole rows of hidden units.
    pub fn visible_fields(&self, h: &[f32]) -> Result<Vec<f32>, Error> {
        self.hidden_rows(h)?;
        let mut fields = Vec::new();
        self.visible_fields_to(&mut fields, h, &mut Scratch::default());
        Ok(fields)
    }

    /// As [`rows`](Self::rows), of hidden values.
    pub(crate) fn hidden_rows(&self, h: &[f32]) -> Result<usize, Error> {
        self.rows(&[])?;
        let rows = h.len() / self.hidden;
        length("the hidden values", h.len(), rows * self.hidden)?;
        crate::error::counter("the number of rows", rows)?;
        Ok(rows)
    }

    /// [`hidden_fields`](Self::hidden_fields) of whole rows.
    pub(crate) fn hidden_fields_to(&self, fields: &mut Vec<f32>, v: &[f32], scratch: &mut Scratch) {
        scratch.product_of(self.visible_units, v, Matrix::new(&self.weights, self.hidden), &self.hidden_bias, fields);
    }

    /// [`visible_fields`](Self::visible_fields) of whole rows.
    pub(crate) fn visible_fields_to(&self, fields: &mut Vec<f32>, h: &[f32], scratch: &mut Scratch) {
        let turned = Matrix::new(&self.weights, self.hidden).turned();
        scratch.product_of(self.hidden_units, h, turned, &self.visible_bias, fields);
    }

    /// ⟨h⟩ given v: tanh of the field of spins, σ of that of 0/1 units.
    ///
    /// # Errors
    /// Values that are not whole rows.
    pub fn hidden_means(&self, v: &[f32]) -> Result<Vec<f32>, Error> {
        let mut fields = self.hidden_fields(v)?;
        layers::means(self.hidden_units, &mut fields);
        Ok(fields)
    }

    /// ⟨v⟩ given h.
    ///
    /// # Errors
    /// Values that are not whole rows of hidden units.
    pub fn visible_means(&self, h: &[f32]) -> Result<Vec<f32>, Error> {
        let mut fields = self.visible_fields(h)?;
        layers::means(self.visible_units, &mut fields);
        Ok(fields)
    }

    /// Draws h given v: row r as read r, hidden unit j as site `visible` + j of sweep `step`.
    ///
    /// # Errors
    /// Values that are not whole rows.
    pub fn sample_hidden(&self, v: &[f32], draws: Draws, step: u32) -> Result<Vec<f32>, Error> {
        let mut fields = self.hidden_fields(v)?;
        self.draw_hidden(&mut fields, draws, (step, 0));
        Ok(fields)
    }

    /// Draws v given h: row r as read r, visible unit i as site i of sweep `step`.
    ///
    /// # Errors
    /// Values that are not whole rows of hidden units.
    pub fn sample_visible(&self, h: &[f32], draws: Draws, step: u32) -> Result<Vec<f32>, Error> {
        let mut fields = self.visible_fields(h)?;
        self.draw_visible(&mut fields, draws, (step, 0));
        Ok(fields)
    }

    /// `steps` steps of block Gibbs sampling from `v`, drawn as sweeps `first`, `first + 1`, …: h given v, then v
    /// given h.
    ///
    /// # Errors
    /// Values that are not whole rows.
    pub fn gibbs(&self, v: &[f32], steps: u32, draws: Draws, first: u32) -> Result<Vec<f32>, Error> {
        self.rows(v)?;
        let mut v = v.to_vec();
        self.gibbs_to(&mut v, &mut Vec::new(), steps, (draws, first), &mut Scratch::default(), &mut || true)?;
        Ok(v)
    }

    /// [`gibbs`](Self::gibbs) of whole rows; leaves the last hidden values in `h`. Before each step `going` tells whether
    /// to go on.
    pub(crate) fn gibbs_to(
        &self,
        v: &mut Vec<f32>,
        h: &mut Vec<f32>,
        steps: u32,
        (draws, first): (Draws, u32),
        scratch: &mut Scratch,
        going: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        for step in 0..steps {
            if !going() {
                return Err(Error::Cancelled);
            }
            let step = first.wrapping_add(step);
            self.hidden_fields_to(h, v, scratch);
            self.draw_hidden(h, draws, (step, 0));
            self.visible_fields_to(v, h, scratch);
            self.draw_visible(v, draws, (step, 0));
        }
        Ok(())
    }

    /// Hidden fields become draws of a step: row r as read `read` + r, unit j as site `visible` + j.
    pub(crate) fn draw_hidden(&self, fields: &mut [f32], draws: Draws, (step, read): (u32, u32)) {
        sample(self.hidden_units, fields, self.hidden, draws, (step, self.visible as u32, read));
    }

    /// Visible fields become draws of a step: row r as read `read` + r, unit i as site i.
    pub(crate) fn draw_visible(&self, fields: &mut [f32], draws: Draws, (step, read): (u32, u32)) {
        sample(self.visible_units, fields, self.visible, draws, (step, 0, read));
    }

    /// Rows of a uniform (two-state units) or standard normal start.
    pub(crate) fn start(&self, rows: u32, draws: Draws) -> Vec<f32> {
        // Fields of 0.
        let mut v = alloc::vec![0.0; rows as usize * self.visible];
        self.draw_visible(&mut v, draws, (u32::MAX, 0));
        v
    }
}

/// Replaces the fields of rows of `columns` units by draws: row r as read `first` + r, unit i as site `site` + i.
pub(crate) fn sample(
    units: Units,
    fields: &mut [f32],
    columns: usize,
    draws: Draws,
    (step, site, first): (u32, u32, u32),
) {
    if units != Units::Gaussian {
        return layers::draw(units, fields, columns, draws, (step, site, first));
    }
    let mut noise = alloc::vec![0.0; columns];
    for (read, row) in (first..).zip(fields.chunks_mut(columns)) {
        // A stream of its own for each read, a part of it for each step.
        let [low, high]: [u32; 2] = draws.key();
        fill::normal([low ^ 0x9a55, high ^ read], 0x6a55, u64::from(step) << 24, &mut noise);
        row.iter_mut().zip(&noise).for_each(|(x, noise)| *x += noise);
    }
}
