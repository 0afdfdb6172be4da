//! What the ranks of a population tell each other between two temperatures: sums and counts, of no single member.

use crate::error::Error;
use alloc::vec::Vec;
use core::ops::Range;
use yuragi_graph::Collective;
use yuragi_numeric::tree::{Nodes, whole_nodes};

/// A sum of the numbers at neighbouring places, a whole node of the tree over all of them.
type Node = (Range<usize>, f64);

/// Where the level of a node stands beside its number in a word.
const LEVEL: u32 = 58;

fn to_words((places, sum): &Node) -> [u64; 2] {
    let level = places.len().trailing_zeros();
    [u64::from(level) << LEVEL | (places.start as u64) >> level, sum.to_bits()]
}

fn of_words([place, sum]: [u64; 2]) -> Node {
    let (level, number) = ((place >> LEVEL) as u32, (place & ((1 << LEVEL) - 1)) as usize);
    let start = number.checked_shl(level).unwrap_or(0);
    (start..start.saturating_add(1usize.checked_shl(level).unwrap_or(1)), f64::from_bits(sum))
}

/// The sum of nodes that follow one another; of none, 0.
fn total(nodes: Vec<Node>) -> f64 {
    let run = nodes.first().map_or(0, |first| first.0.start)..nodes.last().map_or(0, |last| last.0.end);
    let mut tree = Nodes::new(run);
    nodes.into_iter().for_each(|(places, sum)| tree.add(places, sum, |left, right| left + right));
    tree.into_vec().into_iter().map(|(_, sum)| sum).sum()
}

/// What every rank has to say, on all of them.
fn gather(collective: &dyn Collective, words: &[u64]) -> Result<Vec<Vec<u64>>, Error> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let words = |part: Vec<u8>| part.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    Ok(collective.gather(&bytes)?.into_iter().map(words).collect())
}

/// The same of two whole numbers.
pub(super) fn gather_pair(collective: &dyn Collective, pair: [u128; 2]) -> Result<Vec<[u128; 2]>, Error> {
    let said = gather(collective, &pair.map(split).concat())?;
    said.iter().map(|words| Reader(words).pair().and_then(|first| Ok([first, Reader(&words[2..]).pair()?]))).collect()
}

fn split(number: u128) -> [u64; 2] {
    [number as u64, (number >> 64) as u64]
}

/// Reads what a rank said.
struct Reader<'a>(&'a [u64]);

impl Reader<'_> {
    fn word(&mut self) -> Result<u64, Error> {
        let (word, rest) = self.0.split_first().ok_or_else(|| Error::Device("a rank said too little".into()))?;
        self.0 = rest;
        Ok(*word)
    }

    fn pair(&mut self) -> Result<u128, Error> {
        Ok(u128::from(self.word()?) | u128::from(self.word()?) << 64)
    }

    fn number(&mut self) -> Result<f64, Error> {
        self.word().map(f64::from_bits)
    }

    fn nodes(&mut self) -> Result<Vec<Node>, Error> {
        (0..self.word()?).map(|_| Ok(of_words([self.word()?, self.word()?]))).collect()
    }
}

fn say(words: &mut Vec<u64>, nodes: &[Node]) {
    words.push(nodes.len() as u64);
    words.extend(nodes.iter().flat_map(to_words));
}

/// A population: its energies and its families.
pub(super) struct Census {
    pub lowest: f64,
    pub highest: f64,
    /// ΣE.
    pub energy: f64,
    /// The families of descendants of one founder, and Σn² of their members.
    pub families: u32,
    pub squares: u128,
}

impl Census {
    /// Of the members of all ranks, whose founders rise; those here are from `first` on.
    pub fn take(collective: &dyn Collective, first: usize, energies: &[f64], founders: &[u32]) -> Result<Self, Error> {
        let fold = |from: f64, of: fn(f64, f64) -> f64| energies.iter().copied().fold(from, of).to_bits();
        let mut words = alloc::vec![fold(f64::INFINITY, f64::min), fold(f64::NEG_INFINITY, f64::max)];
        // The families at both ends may go on elsewhere.
        let runs: Vec<(u32, u64)> = founders.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u64)).collect();
        let inner = runs.get(1..runs.len().saturating_sub(1)).unwrap_or(&[]);
        let squares = inner.iter().map(|&(_, size)| u128::from(size) * u128::from(size)).sum::<u128>();
        words.push(inner.len() as u64);
        words.extend(split(squares));
        let ends = runs.first().into_iter().chain(runs.last().filter(|_| runs.len() > 1));
        words.push(runs.len().min(2) as u64);
        words.extend(ends.flat_map(|&(founder, size)| [u64::from(founder), size]));
        say(&mut words, &whole_nodes(energies, first));

        let mut all = Self { lowest: f64::INFINITY, highest: f64::NEG_INFINITY, energy: 0.0, families: 0, squares: 0 };
        let (mut parts, mut ends) = (Vec::new(), Vec::<(u64, u64)>::new());
        for said in gather(collective, &words)? {
            let mut said = Reader(&said);
            all.lowest = all.lowest.min(said.number()?);
            all.highest = all.highest.max(said.number()?);
            all.families += said.word()? as u32;
            all.squares += said.pair()?;
            for _ in 0..said.word()? {
                let (founder, size) = (said.word()?, said.word()?);
                match ends.last_mut().filter(|last| last.0 == founder) {
                    Some(last) => last.1 += size,
                    None => ends.push((founder, size)),
                }
            }
            parts.extend(said.nodes()?);
        }
        all.families += ends.len() as u32;
        all.squares += ends.iter().map(|&(_, size)| u128::from(size) * u128::from(size)).sum::<u128>();
        all.energy = total(parts);
        Ok(all)
    }
}

/// The weights of a population.
pub(super) struct Weights {
    /// Σw.
    pub total: f64,
    /// The same of each division of the founders into blocks: Σw and the members of each block.
    pub blocks: [Vec<(f64, usize)>; 2],
}

impl Weights {
    /// Of the members of all ranks, whose founders rise; those here are from `first` on. A division is into so many blocks
    /// of `members` founders.
    pub fn take(
        collective: &dyn Collective,
        first: usize,
        weights: &[f64],
        founders: &[u32],
        (members, divisions): (usize, [usize; 2]),
    ) -> Result<Self, Error> {
        let mut words = Vec::new();
        say(&mut words, &whole_nodes(weights, first));
        for count in divisions {
            let block = |founder: u32| u64::from(founder) * count as u64 / members as u64; // more than 32 bits on the way
            let runs: Vec<&[u32]> = founders.chunk_by(|&a, &b| block(a) == block(b)).collect();
            words.push(runs.len() as u64);
            let (mut at, last) = (0, runs.len().saturating_sub(1));
            for (number, run) in runs.into_iter().enumerate() {
                words.extend([block(run[0]), run.len() as u64]);
                let own = whole_nodes(&weights[at..at + run.len()], first + at);
                // Those at both ends may go on elsewhere.
                let whole = number > 0 && number < last;
                say(&mut words, &if whole { alloc::vec![(0..1, total(own))] } else { own });
                at += run.len();
            }
        }
        let mut parts = Vec::new();
        let mut found = divisions.map(|count| alloc::vec![(Vec::new(), 0); count]);
        for said in gather(collective, &words)? {
            let mut said = Reader(&said);
            parts.extend(said.nodes()?);
            for blocks in &mut found {
                for _ in 0..said.word()? {
                    let (block, members) = (said.word()? as usize, said.word()? as usize);
                    let nodes = said.nodes()?;
                    if let Some(block) = blocks.get_mut(block) {
                        block.0.extend(nodes);
                        block.1 += members;
                    }
                }
            }
        }
        let blocks = found.map(|blocks| blocks.into_iter().map(|(nodes, members)| (total(nodes), members)).collect());
        Ok(Self { total: total(parts), blocks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_travel_as_two_words() {
        for sent in whole_nodes(&[0.5; 77], 3) {
            assert_eq!(of_words(to_words(&sent)), sent);
        }
        assert_eq!(total(Vec::new()), 0.0);
        assert_eq!(total(whole_nodes(&[0.5; 77], 3)), 38.5);
    }
}
