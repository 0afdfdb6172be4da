//! Ranks that are threads of one process: for tests of what runs on several.

use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;

use yuragi_graph::{Collective, Lost};

/// What ranks lay out for each other.
struct Table {
    barrier: Barrier,
    /// From whom, to whom.
    parcels: Vec<Mutex<Vec<Vec<u8>>>>,
}

/// One rank of a team.
pub struct Member<'a> {
    rank: usize,
    table: &'a Table,
    sent: Mutex<usize>,
}

/// Runs a function as so many ranks at once; gives what each returned.
///
/// ```
/// use yuragi_graph::Collective;
/// let sums = yuragi_tests::team::run(3, |rank| rank.gather_numbers(&[rank.rank() as f64]).unwrap());
/// assert_eq!(sums, vec![vec![0.0, 1.0, 2.0]; 3]);
/// ```
///
/// # Panics
/// If a rank does; the others must not be waiting for it then.
pub fn run<T: Send>(size: usize, main: impl Fn(&Member<'_>) -> T + Sync) -> Vec<T> {
    let table =
        Table { barrier: Barrier::new(size), parcels: (0..size).map(|_| Mutex::new(vec![Vec::new(); size])).collect() };
    let member = |rank| Member { rank, table: &table, sent: Mutex::new(0) };
    thread::scope(|scope| {
        let ranks: Vec<_> = (0..size)
            .map(|rank| {
                let (member, main) = (member(rank), &main);
                scope.spawn(move || main(&member))
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

impl Member<'_> {
    /// Bytes that went to other ranks.
    pub fn sent(&self) -> usize {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collective for Member<'_> {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.table.parcels.len()
    }

    fn exchange(&self, parcels: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Lost> {
        if parcels.len() != self.size() {
            return Err(Lost::new("not as many parcels as ranks"));
        }
        let others = parcels.iter().enumerate().filter(|(to, _)| *to != self.rank);
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) +=
            others.map(|(_, parcel)| parcel.len()).sum::<usize>();
        let of = |rank: usize| self.table.parcels[rank].lock().unwrap_or_else(PoisonError::into_inner);
        of(self.rank).clone_from_slice(parcels);
        self.table.barrier.wait();
        let found = (0..self.size()).map(|from| of(from)[self.rank].clone()).collect();
        self.table.barrier.wait();
        Ok(found)
    }

    fn gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, Lost> {
        self.exchange(&vec![own.to_vec(); self.size()])
    }

    fn broadcast(&self, from: usize, bytes: &mut Vec<u8>) -> Result<(), Lost> {
        let own = if from == self.rank { bytes.as_slice() } else { &[] };
        let mut found = self.exchange(&vec![own.to_vec(); self.size()])?;
        if from >= found.len() {
            return Err(Lost::new("there is no such rank"));
        }
        *bytes = found.swap_remove(from);
        Ok(())
    }

    fn barrier(&self) -> Result<(), Lost> {
        self.table.barrier.wait();
        Ok(())
    }

    fn abort(&self, _: u8) {}
}
