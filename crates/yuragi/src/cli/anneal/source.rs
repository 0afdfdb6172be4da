use std::{convert::Infallible, fmt, path::PathBuf, str::FromStr};

use yuragi::{
    Failure,
    energy::{Bonds, Problem, Vartype},
    io::problem::{self, Asked, Named, Objective, Sense},
    numeric::{fill, philox},
};

/// Where a problem comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// `ising:LxL`
    Ising(Vec<usize>),
    /// `glass:LxL`
    Glass(Vec<usize>),
    /// `potts:Q:LxL`
    Potts(u8, Vec<usize>),
    /// `sk:N`
    AllCoupled(usize),
    /// A file.
    File(PathBuf),
}

impl FromStr for Source {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let sides = |text: &str| text.split('x').map(|side| side.parse().ok()).collect::<Option<Vec<usize>>>();
        let built_in = text.split_once(':').and_then(|(name, rest)| match name {
            "ising" => sides(rest).map(Self::Ising),
            "glass" => sides(rest).map(Self::Glass),
            "sk" => rest.parse().ok().map(Self::AllCoupled),
            "potts" => {
                let (states, rest) = rest.split_once(':')?;
                Some(Self::Potts(states.parse().ok()?, sides(rest)?))
            }
            _ => None,
        });
        Ok(built_in.unwrap_or_else(|| Self::File(text.into())))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |sides: &[usize]| sides.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
        match self {
            Self::Ising(sides) => write!(f, "ising:{}", joined(sides)),
            Self::Glass(sides) => write!(f, "glass:{}", joined(sides)),
            Self::Potts(states, sides) => write!(f, "potts:{states}:{}", joined(sides)),
            Self::AllCoupled(variables) => write!(f, "sk:{variables}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Variables that a built-in problem may have, and couplings of all with all.
const LARGEST: usize = 1 << 26;

/// The couplings of built-in problems are drawn apart from all else.
const STREAM: u32 = 0x9a55_b0d5;

/// The problem; random couplings are those of the seed.
pub fn named(source: &Source, asked: &Asked, seed: u64) -> Result<Named, Failure> {
    let size = |factors: &[usize]| {
        let size = factors.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
        size.filter(|&size| size <= LARGEST)
            .ok_or_else(|| Failure::new(format!("{source} is too large: at most {LARGEST} couplings can be drawn")))
    };
    let lattice = |sides: &[usize]| size(&[sides, &[sides.len()]].concat());
    let is_file = matches!(source, Source::File(_));
    if !is_file && (asked.format.is_some() || asked.sense == Some(Sense::Maximize)) {
        return Err(Failure::new(format!("{source} is built in; `--format` and `--maximize` are for files")));
    }
    let problem = match source {
        Source::File(path) => return Ok(problem::open(path, asked)?),
        Source::Ising(sides) => {
            lattice(sides)?;
            Problem::lattice(sides, Bonds::Uniform(1.0), &[])?
        }
        Source::Potts(states, sides) => {
            lattice(sides)?;
            Problem::potts_lattice(sides, *states, Bonds::Uniform(1.0), &[])?
        }
        Source::Glass(sides) => {
            lattice(sides)?;
            Problem::plus_minus(sides, seed)?
        }
        &Source::AllCoupled(n) => {
            let mut draws = vec![0.0; size(&[n, n])?];
            fill::normal(philox::key(seed), STREAM, 0, &mut draws);
            let scale = 1.0 / (n as f64).sqrt();
            let weight =
                |k: usize, l: usize| if k == l { 0.0 } else { scale * f64::from(draws[k.min(l) * n + k.max(l)]) };
            let matrix: Vec<f64> = (0..n * n).map(|i| weight(i / n, i % n)).collect();
            Problem::dense(n, &matrix, &[])?
        }
    };
    Ok(Named {
        problem,
        names: Vec::new(),
        first: 0,
        vartype: Vartype::Spin,
        format: "built-in",
        objective: Objective::ENERGY,
        notes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_problems_are_told_apart_from_files() {
        for text in ["ising:4x4", "glass:3", "potts:3:2x2x2", "sk:9"] {
            let source: Source = text.parse().unwrap();
            assert!(!matches!(source, Source::File(_)) && source.to_string() == text, "{source:?}");
            assert!(named(&source, &Asked::default(), 1).is_ok());
        }
        for text in ["ising", "ising:", "ising:axb", "potts:3", "sk:-1", "problem.json", "C:problem.json"] {
            assert_eq!(text.parse::<Source>().unwrap(), Source::File(text.into()));
        }
    }

    #[test]
    fn too_large_or_empty_ones_are_refused() {
        for text in
            ["sk:100000", "ising:100000x100000", "glass:99999999999999999999x2", "sk:0", "ising:0x4", "potts:1:4"]
        {
            assert!(named(&text.parse().unwrap(), &Asked::default(), 1).is_err(), "{text}");
        }
    }
}
