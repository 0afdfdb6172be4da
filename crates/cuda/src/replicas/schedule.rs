use std::collections::BTreeMap;

use yuragi_energy::Problem;

/// The most units about a site that the counters of multi-spin coding hold.
const LARGEST: u64 = 7;

/// A sparse problem as the kernels read it. Sites stand at positions: first those that can be visited at once at the
/// beginning of a sweep, then those that wait for them, and so on. Visiting level by level gives what visiting one site
/// after another gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Schedule {
    /// The site at each position.
    pub sites: Vec<u32>,
    /// The position of each site.
    pub positions: Vec<u32>,
    /// Where each level begins, and the end.
    pub levels: Vec<u32>,
    /// Where each position's neighbours begin, and the end.
    pub rows: Vec<u32>,
    /// Neighbours by position, in the order of the sites.
    pub columns: Vec<u32>,
    pub weights: Vec<f64>,
    /// By position.
    pub fields: Vec<f64>,
}

/// Couplings and fields as whole multiples of a unit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Units {
    pub unit: f32,
    /// Units about each position.
    pub totals: Vec<u32>,
    pub largest: u32,
    /// Units of all couplings, each from both of its ends, and of all fields.
    pub all: [u64; 2],
    /// Whether the numbers in double precision are these very multiples, and all of their sums are whole numbers below 2^53 of
    /// what they are multiples of, so that sums of energies are exact in any order.
    pub exact: bool,
    /// Unit i of position p stands at i·N + p: a neighbour's position, N for the field, plus 2^31 if it is negative.
    pub bonds: Vec<u32>,
}

impl Schedule {
    /// Of sites that are visited in this order; nothing if there are more couplings than 32 bits count.
    pub fn new(problem: &Problem, visits: &[u32]) -> Option<Schedule> {
        let n = problem.len();
        let mut level_of = vec![None::<u32>; n];
        for &site in visits {
            let before = problem.neighbours(site as usize).filter_map(|(other, _)| level_of[other]);
            let level = before.max().map_or(0, |level| level + 1);
            level_of[site as usize] = Some(level);
        }
        let mut by_level: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (site, level) in (0..).zip(&level_of) {
            by_level.entry(level.unwrap_or(0)).or_default().push(site);
        }
        let mut schedule = Schedule {
            sites: Vec::with_capacity(n),
            positions: vec![0; n],
            levels: vec![0],
            rows: vec![0],
            columns: Vec::new(),
            weights: Vec::new(),
            fields: Vec::with_capacity(n),
        };
        for sites in by_level.into_values() {
            schedule.sites.extend(sites);
            schedule.levels.push(schedule.sites.len() as u32);
        }
        for (position, &site) in (0..).zip(&schedule.sites) {
            schedule.positions[site as usize] = position;
        }
        for &site in &schedule.sites {
            for (other, weight) in problem.neighbours(site as usize) {
                schedule.columns.push(schedule.positions[other]);
                schedule.weights.push(weight);
            }
            schedule.rows.push(u32::try_from(schedule.columns.len()).ok()?);
            schedule.fields.push(problem.fields()[site as usize]);
        }
        Some(schedule)
    }

    /// Levels that are visited in turn.
    pub fn depth(&self) -> usize {
        self.levels.len() - 1
    }
}

impl Units {
    /// Nothing if the numbers, as Markov chains see them, are not small multiples of one that has room for their sums.
    pub fn new(schedule: &Schedule) -> Option<Units> {
        let n = schedule.sites.len();
        let numbers = || schedule.weights.iter().chain(&schedule.fields).map(|&x| x as f32).filter(|&x| x != 0.0);
        let exponent = numbers().map(|x| whole(x).1).min().unwrap_or(0);
        let multiple = |x: f32| {
            let (mantissa, own) = whole(x);
            (own - exponent <= 32).then(|| mantissa << (own - exponent))
        };
        let mut common = 0;
        for x in numbers() {
            common = greatest_common_divisor(multiple(x)?, common);
        }
        let common = common.max(1);
        // Every sum of up to seven units must be exact.
        if common >= 1 << 21 {
            return None;
        }
        let unit = (common as f64 * 2.0_f64.powi(exponent)) as f32;
        let units = |x: f64| match x as f32 {
            0.0 => Some((0, 0)),
            x => multiple(x).map(|m| (m / common, if x < 0.0 { 1 << 31 } else { 0 })),
        };
        let (mut totals, mut about, mut all) = (Vec::with_capacity(n), Vec::with_capacity(n), [0; 2]);
        for position in 0..n {
            let row = schedule.rows[position] as usize..schedule.rows[position + 1] as usize;
            let mut own = Vec::new();
            let field = (n as u32, schedule.fields[position]);
            let neighbours = schedule.columns[row.clone()].iter().copied().zip(schedule.weights[row].iter().copied());
            for (other, weight) in neighbours.chain([field]) {
                let (count, sign) = units(weight)?;
                if own.len() as u64 + count > LARGEST {
                    return None;
                }
                all[usize::from(other == n as u32)] += count;
                own.extend(std::iter::repeat_n(other | sign, count as usize));
            }
            totals.push(own.len() as u32);
            about.push(own);
        }
        let largest = totals.iter().copied().max().unwrap_or(0);
        let mut bonds = vec![0; n * largest as usize];
        for (position, own) in about.iter().enumerate() {
            for (i, &bond) in own.iter().enumerate() {
                bonds[i * n + position] = bond;
            }
        }
        let equal = schedule.weights.iter().chain(&schedule.fields).all(|&x| x == f64::from(x as f32));
        let exact = equal && all.iter().all(|&units| is_exact(units, common));
        Some(Units { unit, totals, largest, all, exact, bonds })
    }
}

/// Whether sums of so many units, each of so many powers of two, have at most 53 digits.
const fn is_exact(units: u64, unit: u64) -> bool {
    units.saturating_mul(unit) < 1 << 53
}

/// |x| = m·2^e with m odd, of a finite number that is not 0.
fn whole(x: f32) -> (u64, i32) {
    let (exponent, fraction) = ((x.to_bits() >> 23 & 0xff) as i32, x.to_bits() & 0x007f_ffff);
    let (exponent, mantissa) = if exponent == 0 { (1, fraction) } else { (exponent, fraction | 0x0080_0000) };
    let zeros = mantissa.trailing_zeros();
    (u64::from(mantissa >> zeros), exponent - 150 + zeros as i32)
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use yuragi_energy::{Bonds, dynamics::Order};

    fn schedule(problem: &Problem, order: Order) -> Schedule {
        Schedule::new(problem, &order.visits(problem)).unwrap()
    }

    #[test]
    fn levels_keep_the_order_of_coupled_sites() {
        let square = Problem::lattice(&[6, 6], Bonds::Uniform(1.0), &[]).unwrap();
        let checkerboard = schedule(&square, Order::Checkerboard);
        assert_eq!(checkerboard.levels, [0, 18, 36]);
        let diagonal = schedule(&square, Order::Sequential);
        assert_eq!(diagonal.depth(), 11);
        for (problem, order) in [(&square, Order::Sequential), (&square, Order::Checkerboard)] {
            let schedule = schedule(problem, order);
            let level = |site: usize| schedule.levels.partition_point(|&start| start <= schedule.positions[site]);
            let visits = order.visits(problem);
            let when = |site: usize| visits.iter().position(|&visit| visit as usize == site);
            for (k, l, _) in problem.couplings() {
                assert!(level(k) != level(l) && (when(k) < when(l)) == (level(k) < level(l)));
            }
        }
    }

    #[test]
    fn units_are_found() {
        let units = |couplings: &[(usize, usize, f64)], fields: &[f64]| {
            let problem = Problem::ising(3, couplings.iter().copied(), fields).unwrap();
            Units::new(&schedule(&problem, Order::Sequential)).map(|units| (units.unit, units.totals))
        };
        assert_eq!(units(&[(0, 1, 1.5), (1, 2, -0.5)], &[0.0, 1.0, 0.0]), Some((0.5, vec![3, 6, 1])));
        assert_eq!(units(&[(0, 1, 10.0), (1, 2, -15.0)], &[]), Some((5.0, vec![2, 5, 3])));
        assert_eq!(units(&[(0, 1, 1e10), (1, 2, 1.0)], &[]), None);
        assert_eq!(units(&[(0, 1, 0.1), (1, 2, 0.1)], &[]), None, "three times 0.1 is rounded");
        assert_eq!(units(&[(0, 1, 4.0), (1, 2, 4.0)], &[1.0, 0.0, 0.0]), None, "eight units about site 1");
        assert_eq!(units(&[], &[]), Some((1.0, vec![0, 0, 0])));
    }

    #[test]
    fn energies_are_exact_below_53_digits() {
        let exact = |weight: f64| {
            let problem = Problem::ising(2, [(0, 1, weight)], &[]).unwrap();
            Units::new(&schedule(&problem, Order::Sequential)).map(|units| units.exact)
        };
        assert_eq!(exact(1.5), Some(true));
        assert_eq!(exact(1.5 + 2.0_f64.powi(-40)), Some(false), "a chain takes it for 1.5");
        // Seven units of 21 digits about each of so many sites.
        let unit = (1 << 21) - 1;
        assert!(is_exact(7 << 29, unit) && !is_exact(7 << 30, unit) && !is_exact(u64::MAX, 2));
    }
}
