//! What threads print: `vprintf`, and failed assertions.

use super::{
    block::Block,
    engine::{Engine, lock},
    lanes::each,
    printf::format,
    warp::Warp,
};
use crate::{
    memory::{self, Memory},
    ptx::Space,
};

/// The most bytes that a launch prints.
pub const MOST_PRINTED: usize = 16 << 20;
/// The most bytes that are shown of a text in a kernel's memory.
const MOST_TEXT: u64 = 4096;

/// The memories that a thread's generic addresses reach, as far as a text or a printed value may lie there.
struct View<'a> {
    engine: &'a Engine<'a>,
    shared: &'a memory::bytes::Bytes,
    warp: &'a Warp,
    lane: usize,
}

impl View<'_> {
    /// The little-endian number in 1 to 8 bytes at an offset in the thread's local memory; 0 where there are none.
    fn local(&self, offset: u64, bytes: usize) -> u64 {
        match self.warp.local.get(self.lane) {
            Some(local) if local.holds(offset, bytes) => local.read(offset as usize, bytes),
            _ => 0,
        }
    }

    /// The same at a generic address.
    fn number(&self, address: u64, bytes: usize) -> Option<u64> {
        let (memory, offset) = memory::resolve(address);
        let mut found = [0; 8];
        match memory {
            Memory::Global => self.engine.global.read(offset, &mut found[..bytes]).ok()?,
            Memory::Local => return Some(self.local(offset, bytes)),
            Memory::Shared => {
                let place = self.warp.layout.place(self.warp.rank, Space::Generic, offset);
                return self.shared.holds(place, bytes).then(|| self.shared.read(place as usize, bytes));
            }
            Memory::Param => {
                let from = offset as usize;
                found[..bytes].copy_from_slice(self.engine.params.get(from..from.checked_add(bytes)?)?);
            }
        }
        Some(u64::from_le_bytes(found))
    }

    /// The text at a generic address, up to its 0.
    fn text(&self, address: u64) -> Vec<u8> {
        let byte = |i: u64| self.number(address.wrapping_add(i), 1).map(|byte| byte as u8).filter(|&byte| byte != 0);
        (0..MOST_TEXT).map_while(byte).collect()
    }
}

impl Block {
    fn view<'a>(&'a self, engine: &'a Engine<'_>, number: usize, lane: usize) -> View<'a> {
        View { engine, shared: &self.memory.bytes, warp: &self.warps[number], lane }
    }

    /// Prints for each lane, from the addresses of a format and of its values in local memory.
    pub(super) fn print(
        &mut self,
        engine: &Engine<'_>,
        number: usize,
        active: u32,
        [text, values]: [u32; 2],
        result: Option<u32>,
    ) {
        self.events += 1;
        each(active, |lane| {
            let view = self.view(engine, number, lane);
            let (said, mut at) = (view.text(view.local(text.into(), 8)), view.local(values.into(), 8));
            let value = |bytes: usize| {
                let from = at.checked_next_multiple_of(bytes as u64).unwrap_or(at);
                at = from.wrapping_add(bytes as u64);
                view.number(from, bytes).unwrap_or(0)
            };
            let (line, count) = format(&said, value, |address| view.text(address));
            let mut printed = lock(&engine.printed);
            let room = MOST_PRINTED - printed.len();
            printed.extend_from_slice(&line[..line.len().min(room)]);
            drop(printed);
            if let (Some(result), Some(local)) = (result, self.warps[number].local.get_mut(lane)) {
                local.write(result as usize, 4, count.into());
            }
        });
    }

    /// What a failed assertion says, from where in local memory the addresses of its texts lie.
    pub(super) fn assertion(&self, engine: &Engine<'_>, number: usize, active: u32, arguments: &[u32; 5]) -> String {
        let view = self.view(engine, number, active.trailing_zeros() as usize & 31);
        let [text, file, line, function, _] = arguments.map(u64::from);
        let said = |offset: u64| String::from_utf8_lossy(&view.text(view.local(offset, 8))).into_owned();
        format!("{}:{}: {}: assertion `{}`", said(file), view.local(line, 4), said(function), said(text))
    }
}
