use super::build::sparse;
use super::{Problem, Variables};
use crate::error::{Error, length, range};
use alloc::vec::Vec;
use yuragi_numeric::{fill, philox};

/// The couplings of a lattice's bonds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bonds<'a> {
    /// The same J everywhere.
    Uniform(f64),
    /// One J a bond: that from site s along axis a stands at s·D + a, D being the number of axes.
    Each(&'a [f64]),
}

impl Problem {
    /// Spins on a periodic lattice of 1, 2 or 3 axes. Site (i₀, i₁, …) has the index
    /// (i₀·side₁ + i₁)·side₂ + …: the last axis varies fastest. Along an axis of side 2 both bonds
    /// join the same two sites and are summed; an axis of side 1 has no bonds.
    ///
    /// # Errors
    /// No axis or more than three, a side of 0, too many sites, a wrong number of bonds or fields, or
    /// numbers that are not finite.
    ///
    /// ```
    /// use yuragi_energy::{Bonds, Problem};
    /// let square = Problem::lattice(&[4, 4], Bonds::Uniform(1.0), &[])?;
    /// assert_eq!(square.energy(&[1; 16])?, -32.0);
    /// # Ok::<(), yuragi_energy::Error>(())
    /// ```
    pub fn lattice(sides: &[usize], bonds: Bonds<'_>, fields: &[f64]) -> Result<Self, Error> {
        let (sites, terms) = bonds_of(sides, bonds)?;
        let table = sparse(sites, terms)?;
        Ok(Self::assemble(Variables::Spin, table, fields.to_vec(), 0.0)?.with_sides(sides))
    }

    /// The ±J glass: spins on a periodic lattice whose bonds are −1 or +1 with equal chance, drawn from the seed apart from
    /// all else.
    ///
    /// # Errors
    /// Those of [`Problem::lattice`].
    ///
    /// ```
    /// use yuragi_energy::Problem;
    /// let glass = Problem::plus_minus(&[8, 8], 7)?;
    /// assert_eq!(glass.len(), 64);
    /// assert_eq!(glass.energy(&[0; 64])?, glass.energy(&[1; 64])?);
    /// # Ok::<(), yuragi_energy::Error>(())
    /// ```
    pub fn plus_minus(sides: &[usize], seed: u64) -> Result<Self, Error> {
        const STREAM: u32 = 0x9a55_b0d5;
        let too_many = Error::Overflow { what: "the number of bonds" };
        let count = sides.iter().try_fold(sides.len(), |product, &side| product.checked_mul(side));
        let count = count.filter(|&count| u32::try_from(count).is_ok()).ok_or(too_many)?;
        let mut draws = alloc::vec![0.0; count];
        fill::uniform(philox::key(seed), STREAM, 0, &mut draws);
        let bonds: Vec<f64> = draws.iter().map(|&u| if u < 0.5 { -1.0 } else { 1.0 }).collect();
        Self::lattice(sides, Bonds::Each(&bonds), &[])
    }

    /// Potts variables of `states` values on a periodic lattice; see [`Problem::lattice`] and
    /// [`Problem::potts`].
    ///
    /// # Errors
    /// Those of [`Problem::lattice`]; `states` below 2.
    pub fn potts_lattice(sides: &[usize], states: u8, bonds: Bonds<'_>, fields: &[f64]) -> Result<Self, Error> {
        range("the number of Potts states", f64::from(states), states >= 2, "from 2 to 255")?;
        let (sites, terms) = bonds_of(sides, bonds)?;
        let table = sparse(sites, terms)?;
        Ok(Self::assemble(Variables::Potts(states), table, fields.to_vec(), 0.0)?.with_sides(sides))
    }
}

type Terms = Vec<(usize, usize, f64)>;

fn bonds_of(sides: &[usize], bonds: Bonds<'_>) -> Result<(usize, Terms), Error> {
    let axes = sides.len();
    range("the number of axes", axes as f64, (1..=3).contains(&axes), "1, 2 or 3")?;
    let mut sites = 1usize;
    for &side in sides {
        range("a side", side as f64, side > 0, "at least 1")?;
        sites = sites
            .checked_mul(side)
            .filter(|&sites| u32::try_from(sites).is_ok())
            .ok_or(Error::Overflow { what: "the number of sites" })?;
    }
    if let Bonds::Each(weights) = bonds {
        length("the bonds", weights.len(), sites * axes)?;
    }
    let mut terms = Vec::with_capacity(sites * axes);
    for site in 0..sites {
        let mut stride = sites;
        for (axis, &side) in sides.iter().enumerate() {
            stride /= side;
            let coordinate = site / stride % side;
            let next = if coordinate + 1 == side { site - coordinate * stride } else { site + stride };
            let weight = match bonds {
                Bonds::Uniform(weight) => weight,
                Bonds::Each(weights) => weights[site * axes + axis],
            };
            if next != site {
                terms.push((site, next, weight));
            }
        }
    }
    Ok((sites, terms))
}
