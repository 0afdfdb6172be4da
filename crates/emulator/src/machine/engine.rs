//! A launch: blocks spread over the host's threads.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use super::{
    block::{Block, Progress},
    program::Program,
};
use crate::{
    counters::{Conflict, Counters},
    device::{Properties, Report},
    finding::{Access, Finding, Kind, Site},
    memory::{
        global::{Allocation, Global},
        shadow::Record,
    },
};

/// Instructions of a warp after which another block may run.
const SLICE: u64 = 1 << 20;

/// The most bytes that blocks which run by turns take, where one does not take more.
const MOST_RESIDENT_BYTES: u64 = 2 << 30;

/// Everything that the blocks of a launch share.
pub(crate) struct Engine<'a> {
    pub program: &'a Program,
    pub global: &'a Global,
    /// Live allocations in the order of their addresses.
    pub allocations: Vec<Arc<Allocation>>,
    pub params: &'a [u8],
    pub grid: [u32; 3],
    pub threads: [u32; 3],
    pub cluster: [u32; 3],
    pub dynamic_shared: u32,
    pub launch: u64,
    pub check: bool,
    pub properties: &'a Properties,
    findings: Mutex<Findings>,
    /// What warps published by atomics on global memory, by address.
    published: Mutex<HashMap<u64, Vec<Known>>>,
    any_published: AtomicBool,
    instructions: AtomicU64,
    stopped: AtomicBool,
}

/// A block, and the time of each of its warps up to which its accesses are over.
type Known = (u32, Arc<[u32]>);

#[derive(Default)]
struct Findings {
    seen: HashSet<(Kind, usize)>,
    list: Vec<Finding>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes over the banks of shared memory, and the least possible, by instruction.
pub(crate) type Conflicts = HashMap<usize, [u64; 2]>;

fn join(sums: &mut Conflicts, other: &Conflicts) {
    for (&at, [passes, least]) in other {
        let sum = sums.entry(at).or_default();
        *sum = [sum[0] + passes, sum[1] + least];
    }
}

fn add(sums: &mut (Counters, Conflicts), block: &Block) {
    sums.0.add(&block.counters);
    join(&mut sums.1, &block.memory.conflicts);
}

/// What a launch is given.
pub(crate) struct Order<'a> {
    pub program: &'a Program,
    pub global: &'a Global,
    pub params: &'a [u8],
    pub grid: [u32; 3],
    pub threads: [u32; 3],
    pub cluster: [u32; 3],
    pub dynamic_shared: u32,
    pub launch: u64,
    pub check: bool,
    pub properties: &'a Properties,
}

impl<'a> Engine<'a> {
    pub fn new(order: Order<'a>) -> Engine<'a> {
        let Order { program, global, params, grid, threads, cluster, dynamic_shared, launch, check, properties } =
            order;
        Engine {
            program,
            global,
            allocations: global.live(),
            params,
            grid,
            threads,
            cluster,
            dynamic_shared,
            launch,
            check,
            properties,
            findings: Mutex::default(),
            published: Mutex::default(),
            any_published: AtomicBool::new(false),
            instructions: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// Runs all blocks.
    pub fn run(self) -> Report {
        let count: u64 = self.grid.iter().map(|&n| u64::from(n)).product();
        let next = AtomicU64::new(0);
        let paused: Mutex<VecDeque<Block>> = Mutex::default();
        let total: Mutex<(Counters, Conflicts)> = Mutex::default();
        let threads = self.properties.host_threads.max(1).min(usize::try_from(count).unwrap_or(usize::MAX));
        let block_threads = self.threads.iter().product();
        let block_bytes =
            self.program.block_bytes(block_threads, u64::from(self.program.shared) + u64::from(self.dynamic_shared));
        let room = (MOST_RESIDENT_BYTES / block_bytes.max(1)).max(1);
        let resident = u64::from(self.properties.resident_blocks.max(1)).min(room);
        let finished = AtomicU64::new(0);
        let work = || {
            let mut sums = <(Counters, Conflicts)>::default();
            loop {
                if self.stopped.load(Relaxed) || finished.load(Relaxed) == count {
                    break;
                }
                // New blocks first, as far as they may be resident; then those that wait for others.
                let begun = next.load(Relaxed);
                let may_begin = begun < count && begun - finished.load(Relaxed).min(begun) < resident;
                let fresh = may_begin.then(|| next.fetch_add(1, Relaxed)).filter(|&number| number < count);
                let block = match fresh {
                    Some(number) => Some(Block::new(&self, number as u32)),
                    None => lock(&paused).pop_front(),
                };
                let Some(mut block) = block else {
                    thread::yield_now();
                    continue;
                };
                match block.run(&self, SLICE) {
                    Progress::Done => {
                        add(&mut sums, &block);
                        finished.fetch_add(1, Relaxed);
                    }
                    Progress::Paused => lock(&paused).push_back(block),
                }
            }
            let mut total = lock(&total);
            total.0.add(&sums.0);
            join(&mut total.1, &sums.1);
        };
        if threads == 1 {
            work();
        } else {
            thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(work);
                }
            });
        }
        for block in lock(&paused).iter() {
            add(&mut lock(&total), block);
        }
        let mut findings = lock(&self.findings).list.split_off(0);
        findings.sort_by_key(|f| (f.at.line, f.kind));
        let (counters, by_instruction) = std::mem::take(&mut *lock(&total));
        let conflict = |(&at, &[passes, least]): (&usize, &[u64; 2])| {
            let inst = &self.program.code[at];
            Conflict { instruction: inst.text.to_string(), line: inst.line, passes, least }
        };
        let mut conflicts: Vec<Conflict> =
            by_instruction.iter().filter(|(_, [passes, least])| passes > least).map(conflict).collect();
        conflicts.sort_by_key(|c| (std::cmp::Reverse(c.passes - c.least), c.line));
        Report { findings, counters, conflicts }
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    /// Ends the launch: what follows would mean nothing.
    pub fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Counts instructions of a warp; whether there may be more.
    pub fn may_go_on(&self, more: u64) -> bool {
        self.instructions.fetch_add(more, Relaxed) + more <= self.properties.step_limit
    }

    pub fn block_place(&self, number: u32) -> [u32; 3] {
        let [x, y, _] = self.grid;
        [number % x, number / x % y, number / x / y]
    }

    /// A thread at an instruction.
    pub fn site(&self, at: usize, block: u32, thread: u32) -> Site {
        let [x, y, _] = self.threads;
        let (instruction, line) = match self.program.code.get(at) {
            Some(inst) => (inst.text.to_string(), inst.line),
            None => (String::new(), 0),
        };
        Site { instruction, line, block: self.block_place(block), thread: [thread % x, thread / x % y, thread / x / y] }
    }

    /// Notes what is wrong, once for each kind and instruction.
    pub fn report(&self, problem: Problem) {
        let Problem { kind, at, block, thread, access, other, note } = problem;
        let mut findings = lock(&self.findings);
        if findings.seen.len() >= self.properties.most_findings || !findings.seen.insert((kind, at)) {
            return;
        }
        let other = other.map(|o| self.site(o.instruction as usize, o.block, u32::from(o.thread)));
        let site = self.site(at, block, thread);
        findings.list.push(Finding { kind, kernel: self.program.name.clone(), at: site, access, other, note });
    }

    /// Makes what a warp knows known to those that later read an address atomically.
    pub fn publish(&self, address: u64, block: u32, clocks: &crate::memory::shadow::Clocks) {
        let mut published = lock(&self.published);
        let known = published.entry(address).or_default();
        let own = (block, Arc::from(clocks.warps.as_slice()));
        let others = clocks.blocks.iter().map(|(&block, clocks)| (block, clocks.clone()));
        for (block, clocks) in std::iter::once(own).chain(others) {
            match known.iter_mut().find(|(b, _)| *b == block) {
                Some((_, old)) => *old = old.iter().zip(clocks.iter()).map(|(a, b)| *a.max(b)).collect(),
                None => known.push((block, clocks)),
            }
        }
        self.any_published.store(true, Relaxed);
    }

    /// Learns what was published at an address.
    pub fn acquire(&self, address: u64, block: u32, clocks: &mut crate::memory::shadow::Clocks) {
        if !self.any_published.load(Relaxed) {
            return;
        }
        for (other, known) in lock(&self.published).get(&address).into_iter().flatten() {
            if *other == block {
                clocks.warps.iter_mut().zip(known.iter()).for_each(|(mine, &theirs)| *mine = theirs.max(*mine));
            } else {
                clocks.learn(*other, known);
            }
        }
    }
}

/// A finding before it has words.
pub(crate) struct Problem {
    pub kind: Kind,
    /// The instruction.
    pub at: usize,
    pub block: u32,
    pub thread: u32,
    pub access: Option<Access>,
    pub other: Option<Record>,
    pub note: String,
}
