//! `malloc` and `free` of kernels.

use super::{
    block::Block,
    engine::{Engine, Problem},
    lanes::each,
};
use crate::{
    finding::{Access, Kind},
    memory::{Memory, global::Allocation},
};

/// The heap of a launch, if its kernel has one.
fn heap<'a>(engine: &'a Engine<'_>) -> Option<&'a Allocation> {
    engine.allocations.iter().find(|allocation| allocation.heap.is_some()).map(|allocation| &**allocation)
}

impl Block {
    /// Allocates for each lane, from where in local memory its number of bytes lies; 0 where there is no room.
    pub(super) fn allocate(&mut self, engine: &Engine<'_>, number: usize, active: u32, bytes: u32, result: u32) {
        self.events += 1;
        let given = heap(engine);
        each(active, |lane| {
            let Some(local) = self.warps[number].local.get_mut(lane) else { return };
            let wanted = local.read(bytes as usize, 8);
            let address = given.and_then(|heap| heap.allocate_part(wanted));
            local.write(result as usize, 8, address.unwrap_or(0));
        });
    }

    /// Frees what lanes name; null is nothing.
    pub(super) fn free(&mut self, engine: &Engine<'_>, number: usize, active: u32, at: usize, place: u32) {
        self.events += 1;
        let given = heap(engine);
        each(active, |lane| {
            let Some(local) = self.warps[number].local.get(lane) else { return };
            let address = local.read(place as usize, 8);
            let taken = given.and_then(|heap| Some(heap.heap.as_ref()?.free(address.checked_sub(heap.base)?)));
            if address != 0 && taken != Some(true) {
                let access = Some(Access { memory: Memory::Global, address, bytes: 0, write: true });
                let note = "malloc of a kernel gave nothing that begins here".to_owned();
                let thread = (number * 32 + lane) as u32;
                let (kind, block, other) = (Kind::OutOfBounds, self.number, None);
                engine.report(Problem { kind, at, block, thread, access, other, note });
            }
        });
    }
}
