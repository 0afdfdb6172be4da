//! A launch: what its blocks share.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use super::layout::Layout;
use crate::{
    finding::{Access, Finding, Kind, Site},
    memory::{
        Memory,
        global::{Allocation, Global},
        shadow::{Clocks, Record},
    },
    program::Program,
    properties::Properties,
    texture::Texture,
};

/// Everything that the blocks of a launch share.
pub(crate) struct Engine<'a> {
    pub program: &'a Program,
    pub global: &'a Global,
    /// Live allocations in the order of their addresses.
    pub allocations: Arc<[Arc<Allocation>]>,
    pub params: &'a [u8],
    pub grid: [u32; 3],
    pub threads: [u32; 3],
    pub cluster: [u32; 3],
    pub dynamic_shared: u32,
    pub launch: u64,
    pub check: bool,
    /// The address of what the blocks of a cooperative launch meet in, or 0.
    pub workspace: u64,
    /// Whether the launch before it may not be over, and whether a thread has waited for that.
    pub dependent: bool,
    pub(super) awaited: AtomicBool,
    pub properties: &'a Properties,
    /// Textures and surfaces by their objects.
    pub textures: &'a BTreeMap<u64, Texture>,
    /// How the blocks of a cluster lie in the one that stands for them.
    pub(super) layout: Layout,
    pub(super) findings: Mutex<Findings>,
    /// What threads printed.
    pub(super) printed: Mutex<Vec<u8>>,
    /// What warps published by atomics on global memory, by address.
    published: Mutex<HashMap<u64, Vec<Known>>>,
    any_published: AtomicBool,
    pub(super) instructions: AtomicU64,
    pub(super) stopped: AtomicBool,
}

/// A block, and the time of each of its warps up to which its accesses are over.
type Known = (u32, Arc<[u32]>);

#[derive(Default)]
pub(super) struct Findings {
    /// Their places in the list, by kind and instruction.
    seen: HashMap<(Kind, usize), usize>,
    pub list: Vec<Finding>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a launch stands to others, and its blocks to each other.
#[derive(Clone, Copy)]
pub(crate) enum LaunchKind {
    /// It begins when those before it are over.
    Plain,
    /// That before it may not be over.
    Dependent,
    /// Its blocks meet, in memory at this address.
    Cooperative { workspace: u64 },
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
    pub kind: LaunchKind,
    pub properties: &'a Properties,
    /// Textures and surfaces by their objects.
    pub textures: &'a BTreeMap<u64, Texture>,
}

impl<'a> Engine<'a> {
    pub fn new(order: Order<'a>) -> Engine<'a> {
        let Order {
            program,
            global,
            params,
            grid,
            threads,
            cluster,
            dynamic_shared,
            launch,
            check,
            kind,
            properties,
            textures,
        } = order;
        let (shared, _) = program.all_shared_bytes(dynamic_shared);
        Engine {
            layout: Layout::new(cluster.iter().product(), threads.iter().product(), shared),
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
            workspace: if let LaunchKind::Cooperative { workspace } = kind { workspace } else { 0 },
            dependent: matches!(kind, LaunchKind::Dependent),
            awaited: AtomicBool::new(false),
            properties,
            textures,
            findings: Mutex::default(),
            printed: Mutex::default(),
            published: Mutex::default(),
            any_published: AtomicBool::new(false),
            instructions: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
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

    /// Where a block of a cluster lies in the grid.
    pub fn block_place(&self, number: u32, rank: u32) -> [u32; 3] {
        let [x, y, _] = self.cluster;
        let inner = [rank % x, rank / x % y, rank / x / y];
        let [x, y] = [0, 1].map(|axis| self.grid[axis] / self.cluster[axis]);
        let outer = [number % x, number / x % y, number / x / y];
        std::array::from_fn(|axis| outer[axis] * self.cluster[axis] + inner[axis])
    }

    /// A thread of a block, or of those of a cluster: its block and its place there.
    fn thread_place(&self, block: u32, thread: u32) -> ([u32; 3], [u32; 3]) {
        let [x, y, _] = self.threads;
        let all = 32 * self.layout.warps as u32;
        let (rank, thread) = (thread / all, thread % all);
        (self.block_place(block, rank), [thread % x, thread / x % y, thread / x / y])
    }

    /// A thread in words, with its block where there are several.
    pub fn named(&self, block: u32, thread: u32) -> String {
        let ([bx, by, bz], [x, y, z]) = self.thread_place(block, thread);
        match self.layout.blocks {
            1 => format!("({x},{y},{z})"),
            _ => format!("block ({bx},{by},{bz}) thread ({x},{y},{z})"),
        }
    }

    /// An access as its thread addresses it.
    pub fn shown(&self, access: Access) -> Access {
        match access.memory {
            Memory::Shared => Access { address: self.layout.address(access.address), ..access },
            _ => access,
        }
    }

    /// A thread at an instruction.
    pub fn site(&self, at: usize, block: u32, thread: u32) -> Site {
        let (instruction, line, source) = match self.program.code.get(at) {
            Some(inst) => (inst.text.to_string(), inst.line, inst.source.as_deref().map(str::to_owned)),
            None => (String::new(), 0, None),
        };
        let (block, thread) = self.thread_place(block, thread);
        Site { instruction, line, source, block, thread }
    }

    /// Notes what is wrong, once for each kind and instruction.
    pub fn report(&self, problem: Problem) {
        let Problem { kind, at, block, thread, access, other, note } = problem;
        let mut findings = lock(&self.findings);
        if let Some(&place) = findings.seen.get(&(kind, at)) {
            findings.list[place].times += 1;
            return;
        }
        if findings.seen.len() >= self.properties.most_findings {
            return;
        }
        let place = findings.list.len();
        findings.seen.insert((kind, at), place);
        let other = other.map(|o| self.site(o.instruction(), o.block, u32::from(o.thread)));
        let site = self.site(at, block, thread);
        findings.list.push(Finding {
            kind,
            kernel: self.program.name.clone(),
            at: site,
            access,
            other,
            note,
            times: 1,
        });
    }

    /// Adds how often a block found again what it had reported.
    pub fn count_again(&self, found: &HashMap<(Kind, usize), u64>) {
        if found.is_empty() {
            return;
        }
        let findings = &mut *lock(&self.findings);
        for (what, times) in found {
            if let Some(&place) = findings.seen.get(what) {
                findings.list[place].times += times;
            }
        }
    }

    /// Makes what a warp knows known to those that later read an address atomically.
    pub fn publish(&self, address: u64, block: u32, clocks: &Clocks) {
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
    pub fn acquire(&self, address: u64, block: u32, clocks: &mut Clocks) {
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
