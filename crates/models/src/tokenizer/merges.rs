//! Pairs of ids that merge, the earliest first.

use alloc::collections::{BTreeMap, btree_map::Entry};

/// Two ids side by side.
pub type Pair = (u32, u32);

/// No merge.
const NONE: u32 = u32::MAX;

/// What pairs merge into, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merges(BTreeMap<Pair, Merge>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Merge {
    rank: u32,
    id: u32,
}

impl Merges {
    /// Adds a pair that merges after all before it; false if it is there already.
    pub fn push(&mut self, pair: Pair, id: u32) -> bool {
        let rank = self.0.len() as u32;
        match self.0.entry(pair) {
            Entry::Vacant(entry) => {
                entry.insert(Merge { rank, id });
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// Merges `symbols` in place, the earliest pair first and of equal ones the left; gives the new length. `ranks` is
    /// scratch, at least as long.
    pub fn apply(&self, symbols: &mut [u32], ranks: &mut [u32]) -> usize {
        let rank = |pair| self.0.get(&pair).map_or(NONE, |merge| merge.rank);
        let mut length = symbols.len();
        for i in 1..length {
            ranks[i - 1] = rank((symbols[i - 1], symbols[i]));
        }
        // ranks[i] is that of symbols i and i + 1.
        while let Some((place, _)) = ranks[..length.saturating_sub(1)].iter().enumerate().min_by_key(|(_, rank)| **rank)
            && let Some(merge) = self.0.get(&(symbols[place], symbols[place + 1]))
        {
            symbols[place] = merge.id;
            symbols.copy_within(place + 2..length, place + 1);
            ranks.copy_within((place + 1).min(length - 1)..length - 1, place);
            length -= 1;
            if place > 0 {
                ranks[place - 1] = rank((symbols[place - 1], symbols[place]));
            }
            if place + 1 < length {
                ranks[place] = rank((symbols[place], symbols[place + 1]));
            }
        }
        length
    }
}
