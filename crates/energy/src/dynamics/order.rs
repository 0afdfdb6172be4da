use crate::problem::Problem;
use alloc::vec::Vec;

/// The order in which a sweep visits the sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// 0, 1, …, N−1.
    #[default]
    Sequential,
    /// All sites of one colour, then those of the next, no two of a colour being coupled: two colours
    /// on a lattice of even sides, otherwise those of a greedy colouring. Sites of one colour could
    /// be visited at once.
    Checkerboard,
    /// N sites drawn with replacement.
    Random,
}

impl Order {
    /// The fixed order of a problem's sites; for [`Order::Random`] nothing.
    pub fn visits(self, problem: &Problem) -> Vec<u32> {
        match self {
            Self::Sequential => (0..problem.len() as u32).collect(),
            Self::Checkerboard => {
                let colours = colours(problem);
                let mut visits: Vec<u32> = (0..problem.len() as u32).collect();
                visits.sort_by_key(|&k| colours[k as usize]);
                visits
            }
            Self::Random => Vec::new(),
        }
    }
}

/// Each site gets the first colour that none of its neighbours has, the sites taken breadth-first from
/// each component's lowest, which finds two colours where two suffice.
fn colours(problem: &Problem) -> Vec<u32> {
    const NONE: u32 = u32::MAX;
    let n = problem.len();
    let mut colours = alloc::vec![NONE; n];
    let mut queue = Vec::with_capacity(n);
    let mut queued = alloc::vec![false; n];
    let mut taken: Vec<usize> = Vec::new(); // by colour: the last site that found it taken, plus 1
    for root in 0..n {
        if queued[root] {
            continue;
        }
        queued[root] = true;
        queue.clear();
        queue.push(root);
        let mut next = 0;
        while let Some(&site) = queue.get(next) {
            next += 1;
            for (neighbour, _) in problem.neighbours(site) {
                if colours[neighbour] != NONE {
                    let colour = colours[neighbour] as usize;
                    if taken.len() <= colour {
                        taken.resize(colour + 1, 0);
                    }
                    taken[colour] = site + 1;
                }
                if !queued[neighbour] {
                    queued[neighbour] = true;
                    queue.push(neighbour);
                }
            }
            let free = taken.iter().position(|&by| by != site + 1).unwrap_or(taken.len());
            colours[site] = free as u32;
        }
    }
    colours
}
