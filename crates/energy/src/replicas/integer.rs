use crate::problem::Problem;
use alloc::vec::Vec;

/// The largest sum of couplings and field about one site, in units: eight planes count to it.
pub(super) const LARGEST: u32 = 255;

/// The couplings of a problem as whole multiples of a power of two.
#[derive(Clone, Debug)]
pub(super) struct Integers {
    /// The power of two.
    pub unit: f32,
    starts: Vec<usize>,
    bonds: Vec<Bond>,
    sites: Vec<Site>,
    /// The largest M.
    pub largest: u32,
    /// Every coupling and field is 0 or one unit.
    pub single: bool,
    /// Every 2S − M that occurs about a site, ascending.
    pub sums: Vec<i32>,
    /// The place of 2S − M in there, by its sum with the largest M.
    pub places: Vec<u16>,
    /// The couplings and fields of energies are these very multiples, whose sums are exact.
    pub exact: bool,
}

/// A neighbour with its coupling.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bond {
    pub neighbour: u32,
    pub weight: u8,
    /// All ones if J > 0: (x XOR neighbour) XOR this is 1 where the bond is satisfied.
    pub positive: u64,
}

/// What a site has of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    pub field: u8,
    /// All ones if h > 0.
    pub positive: u64,
    /// M = Σ|J| + |h|.
    pub total: u8,
}

/// The exponent of the lowest bit of a finite number that is not 0.
fn lowest_bit(x: f32) -> i32 {
    let (exponent, fraction) = ((x.to_bits() >> 23 & 0xff) as i32, x.to_bits() & 0x007f_ffff);
    let (exponent, mantissa) = if exponent == 0 { (1, fraction) } else { (exponent, fraction | 0x0080_0000) };
    exponent - 150 + mantissa.trailing_zeros() as i32
}

impl Integers {
    /// Nothing if the couplings are not small multiples of one power of two, or if all of them are stored.
    pub fn new(problem: &Problem) -> Option<Self> {
        let table = problem.table();
        if table.is_dense() {
            return None;
        }
        let n = problem.len();
        let rows = (0..n).flat_map(|k| table.row(k)).map(|(_, weight)| weight as f32);
        let numbers = rows.chain(problem.rounded_fields().iter().copied()).filter(|&x| x != 0.0);
        let exponent = numbers.map(lowest_bit).min().unwrap_or(0);
        let unit = libm::ldexp(1.0, exponent);
        let whole = |x: f32| -> Option<(u8, u64)> {
            let units = f64::from(x).abs() / unit;
            let positive = if x > 0.0 { !0 } else { 0 };
            (units <= f64::from(LARGEST)).then_some((units as u8, positive))
        };
        let (mut starts, mut bonds, mut sites) = (alloc::vec![0], Vec::new(), Vec::with_capacity(n));
        for k in 0..n {
            let (field, positive) = whole(problem.rounded_fields()[k])?;
            let mut total = u32::from(field);
            for (l, weight) in table.row(k) {
                let (weight, positive) = whole(weight as f32)?;
                total += u32::from(weight);
                if weight > 0 {
                    bonds.push(Bond { neighbour: l as u32, weight, positive });
                }
            }
            if total > LARGEST {
                return None;
            }
            starts.push(bonds.len());
            sites.push(Site { field, positive, total: total as u8 });
        }
        let largest = sites.iter().map(|site| site.total.into()).max().unwrap_or(0);
        let single = bonds.iter().all(|bond: &Bond| bond.weight == 1) && sites.iter().all(|site| site.field <= 1);
        let (mut sums, mut places) = (Vec::new(), alloc::vec![0; 2 * largest as usize + 1]);
        let mut totals = [false; LARGEST as usize + 1];
        sites.iter().for_each(|site| totals[usize::from(site.total)] = true);
        let occurs = |sum: u32| {
            (0..=largest).any(|total| {
                let near = sum.abs_diff(largest) <= total && (sum + total + largest).is_multiple_of(2);
                near && totals[total as usize]
            })
        };
        for sum in (0..=2 * largest).filter(|&sum| occurs(sum)) {
            places[sum as usize] = sums.len() as u16;
            sums.push(sum as i32 - largest as i32);
        }
        let rows = (0..n).flat_map(|k| table.row(k)).map(|(_, weight)| weight);
        let exact = rows.chain(problem.fields().iter().copied()).all(|x| x == f64::from(x as f32))
            && problem.offset().to_bits() != (-0.0f64).to_bits();
        Some(Self { unit: unit as f32, starts, bonds, sites, largest, single, sums, places, exact })
    }

    #[inline(always)]
    pub fn bonds(&self, k: usize) -> &[Bond] {
        &self.bonds[self.starts[k]..self.starts[k + 1]]
    }

    #[inline(always)]
    pub fn site(&self, k: usize) -> Site {
        self.sites[k]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_found() {
        assert_eq!([1.0, 3.0, 0.5, 12.0, 0.1, f32::from_bits(1)].map(lowest_bit), [0, 0, -1, 2, -27, -149]);
        let of = |couplings: &[(usize, usize, f64)], fields: &[f64]| {
            Integers::new(&Problem::ising(3, couplings.iter().copied(), fields).ok()?)
        };
        let found = of(&[(0, 1, 1.5), (1, 2, -0.5)], &[0.0, 1.0, 0.0]);
        let found = found.map(|i| (i.unit, i.largest, [0, 1, 2].map(|k| i.site(k).total), i.bonds(1).len()));
        assert_eq!(found, Some((0.5, 6, [3, 6, 1], 2)));
        assert!(of(&[(0, 1, 0.1)], &[]).is_none(), "0.1 has no short multiple that is exact");
        assert!(of(&[(0, 1, 128.0), (1, 2, 128.0)], &[1.0, 0.0, 0.0]).is_none(), "the sum about site 1 is 256");
        assert!(of(&[(0, 1, 128.0), (1, 2, 127.0)], &[1.0, 0.0, 0.0]).is_some());
        assert!(of(&[], &[]).is_some());
    }
}
