//! Allocations of device memory: made, given back, and reported when they are forgotten.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::sync::{Arc, Mutex, Once, TryLockError};

use super::context::Context;
use super::error::{Code, Outcome};
use super::handle::Handle;
use super::lock::lock;
use super::machine::{machine, refusal};
use super::region::{self, Region};
use super::{pool, report};

/// An allocation that its program must give back.
#[derive(Clone)]
pub struct Allocation {
    pub bytes: u64,
    pub context: Handle,
    /// The function that made it.
    by: &'static str,
    /// The pool that counts it.
    pub pool: Option<Handle>,
    /// The graph's hold on it, if a graph owns it.
    pub graph: Option<Arc<GraphMemory>>,
}

static LIVE: Mutex<BTreeMap<u64, Allocation>> = Mutex::new(BTreeMap::new());

/// Memory that a graph allocates: it has one address for all replays, and goes with the last node that names it.
pub struct GraphMemory {
    pub address: u64,
    pub bytes: u64,
    pub context: Handle,
    pub by: &'static str,
}

impl GraphMemory {
    /// The graph has come to the allocation.
    pub fn hold(self: &Arc<Self>) {
        let (bytes, context, by) = (self.bytes, self.context, self.by);
        lock(&LIVE).insert(self.address, Allocation { bytes, context, by, pool: None, graph: Some(self.clone()) });
    }

    /// The graph has come to the end of its use.
    pub fn release(&self) {
        lock(&LIVE).remove(&self.address);
    }
}

impl Drop for GraphMemory {
    fn drop(&mut self) {
        if let Ok(machine) = machine() {
            // An address that is unknown to the machine has gone already.
            let _ = machine.free(self.address);
        }
    }
}

/// Makes an allocation.
pub fn allocate(context: &Context, bytes: usize, by: &'static str, pool: Option<Handle>) -> Outcome<u64> {
    let bytes = bytes as u64;
    let address = machine()?.allocate(bytes).map_err(|error| refusal(&error))?;
    lock(&LIVE).insert(address, Allocation { bytes, context: context.handle, by, pool, graph: None });
    if let Some(pool) = pool {
        pool::grow(pool, bytes);
    }
    Ok(address)
}

/// What is known of the allocation that begins at an address.
pub fn find(address: u64) -> Option<Allocation> {
    lock(&LIVE).get(&address).cloned()
}

/// Gives an allocation back; null is one that nobody made.
pub fn free(address: u64) -> Outcome {
    if address == 0 {
        return Ok(());
    }
    let removed = lock(&LIVE).remove(&address);
    let Some(allocation) = removed else {
        if region::free_managed(address) {
            return Ok(());
        }
        return Err(Code::INVALID_VALUE.because(format_args!("no live allocation begins at {address:#x}")));
    };
    if let Some(pool) = allocation.pool {
        pool::shrink(pool, allocation.bytes);
    }
    match allocation.graph {
        // The graph keeps the address for its next replay.
        Some(_) => Ok(()),
        None => machine()?.free(address).map_err(|error| refusal(&error)),
    }
}

/// Frees what a context's program forgot, and says so.
pub fn release_of(context: &Context) {
    let forgotten: Vec<(u64, Allocation)> = {
        let mut live = lock(&LIVE);
        let addresses: Vec<u64> = live.iter().filter(|(_, a)| a.context == context.handle).map(|(&a, _)| a).collect();
        addresses.into_iter().filter_map(|address| Some((address, live.remove(&address)?))).collect()
    };
    let regions = region::release_of(context.handle);
    if !context.is_spoiled() {
        report_leaks(&forgotten, &regions, "were not freed before their context ended");
    }
    for (address, allocation) in forgotten {
        if let Some(pool) = allocation.pool {
            pool::shrink(pool, allocation.bytes);
        }
        if let (None, Ok(machine)) = (allocation.graph, machine()) {
            // It is in no table any more, so there is nobody to tell of an error.
            let _ = machine.free(address);
        }
    }
}

/// At most this many allocations are listed.
const LISTED: usize = 10;

fn report_leaks(forgotten: &[(u64, Allocation)], regions: &[Region], what: &str) {
    let lines: Vec<String> = (forgotten.iter().filter(|(_, allocation)| allocation.graph.is_none()))
        .map(|(address, a)| format!("  {} bytes at {address:#x}, from {}", a.bytes, a.by))
        .chain(
            regions
                .iter()
                .map(|region| format!("  {} bytes at {:#x}, from {}", region.bytes, region.address, region.by)),
        )
        .collect();
    if lines.is_empty() || report::settings().check == report::Check::Off {
        return;
    }
    let more = lines.len().saturating_sub(LISTED);
    let mut text = format!("leak: {} allocations {what}\n", lines.len());
    text.extend(lines.iter().take(LISTED).map(|line| format!("{line}\n")));
    if more > 0 {
        text.push_str(&format!("  and {more} more\n"));
    }
    report::say(&text);
}

unsafe extern "C" {
    /// Of the C library: calls a function when the process exits.
    fn atexit(function: extern "C" fn()) -> c_int;
}

/// Sees to it that what is never freed is reported when the process exits.
pub fn report_leaks_at_exit() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // SAFETY: `atexit` takes any function that may be called once at exit or when this library is unloaded, and
        // the one given does not unwind. If it has no room, only the report is lost.
        let _ = unsafe { atexit(report_at_exit) };
    });
}

extern "C" fn report_at_exit() {
    let _ = std::panic::catch_unwind(|| {
        report::say_found();
        report::write_report();
        // Another thread that is still at work may hold the lock for ever.
        let live = match LIVE.try_lock() {
            Ok(live) => live,
            Err(TryLockError::Poisoned(live)) => live.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let forgotten: Vec<_> = live.iter().filter(|(_, a)| !Context::is_spoiled_handle(a.context)).collect();
        let forgotten: Vec<_> = forgotten.into_iter().map(|(&address, a)| (address, a.clone())).collect();
        drop(live);
        report_leaks(&forgotten, &region::forgotten(), "were not freed before the process ended");
    });
}
