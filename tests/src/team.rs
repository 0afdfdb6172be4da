//! Ranks that are threads of one process: for tests of what runs on several.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Barrier, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use yuragi_graph::{Collective, Flight, Lost, Rooms, Swap};

/// What ranks lay out for each other.
struct Table {
    barrier: Barrier,
    /// From whom, to whom.
    parcels: Vec<Mutex<Vec<Vec<u8>>>>,
    link: Link,
    mail: Mutex<Mail>,
    posted: Condvar,
}

/// What goes from a rank to another in swaps of a number, and when it arrives.
type Mail = BTreeMap<(usize, usize, u32), VecDeque<(Instant, Vec<u8>)>>;

/// What numbers take that are [swapped](Collective::begin): as a network would that moves them by itself. Everything else is
/// there at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Until the first byte is there.
    pub latency: Duration,
    /// Bytes a second that leave a rank.
    pub rate: f64,
}

impl Link {
    /// Nothing takes any time.
    pub const NONE: Link = Link { latency: Duration::ZERO, rate: f64::INFINITY };
}

/// One rank of a team.
pub struct Member<'a> {
    rank: usize,
    table: &'a Table,
    sent: Mutex<usize>,
    /// When all that it sent has left.
    free: Mutex<Instant>,
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
    run_over(Link::NONE, size, main)
}

/// The same over links that take their time.
///
/// # Panics
/// As [`run`].
pub fn run_over<T: Send>(link: Link, size: usize, main: impl Fn(&Member<'_>) -> T + Sync) -> Vec<T> {
    let table = Table {
        barrier: Barrier::new(size),
        parcels: (0..size).map(|_| Mutex::new(vec![Vec::new(); size])).collect(),
        link,
        mail: Mutex::default(),
        posted: Condvar::new(),
    };
    let member = |rank| Member { rank, table: &table, sent: Mutex::new(0), free: Mutex::new(Instant::now()) };
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
        *locked(&self.sent)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A swap under way: what has come of each rank, and from whom it is still to come.
struct Flying<'a> {
    table: &'a Table,
    rank: usize,
    swap: Swap,
    found: Vec<Vec<u8>>,
    missing: Vec<usize>,
}

impl Flying<'_> {
    /// Takes what has arrived.
    fn take(&mut self, mail: &mut Mail) {
        let now = Instant::now();
        let (rank, number, found) = (self.rank, self.swap.number, &mut self.found);
        self.missing.retain(|&from| {
            let come = mail.get_mut(&(from, rank, number)).and_then(|mail| mail.pop_front_if(|(at, _)| *at <= now));
            come.map(|(_, parcel)| found[from] = parcel).is_none()
        });
    }
}

impl Flight for Flying<'_> {
    fn advance(&mut self) -> Result<bool, Lost> {
        let table = self.table;
        self.take(&mut locked(&table.mail));
        Ok(self.missing.is_empty())
    }

    fn land(mut self: Box<Self>) -> Result<Rooms, Lost> {
        let table = self.table;
        let mut mail = locked(&table.mail);
        loop {
            self.take(&mut mail);
            if self.missing.is_empty() {
                break;
            }
            let pause = Duration::from_micros(50);
            mail = table.posted.wait_timeout(mail, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(mail);
        self.swap.landed(&self.found)
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
        *locked(&self.sent) += others.map(|(_, parcel)| parcel.len()).sum::<usize>();
        let of = |rank: usize| locked(&self.table.parcels[rank]);
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

    fn begin(&self, swap: Swap) -> Result<Box<dyn Flight + '_>, Lost> {
        let (rank, size, table) = (self.rank, self.size(), self.table);
        swap.check(rank, size)?;
        *locked(&self.sent) += swap.bytes();
        for (to, parcel) in swap.parcels(size).into_iter().enumerate().filter(|(_, parcel)| !parcel.is_empty()) {
            let mut free = locked(&self.free);
            let takes = Duration::from_secs_f64(parcel.len() as f64 / table.link.rate);
            *free = (*free).max(Instant::now()) + takes;
            let letter = (*free + table.link.latency, parcel);
            locked(&table.mail).entry((rank, to, swap.number)).or_default().push_back(letter);
        }
        table.posted.notify_all();
        let comes = |from: &usize| swap.coming.iter().any(|run| run.rank == *from && !run.range.is_empty());
        let missing = (0..size).filter(comes).collect();
        Ok(Box::new(Flying { table, rank, swap, found: vec![Vec::new(); size], missing }))
    }

    fn barrier(&self) -> Result<(), Lost> {
        self.table.barrier.wait();
        Ok(())
    }

    fn abort(&self, _: u8) {}
}
