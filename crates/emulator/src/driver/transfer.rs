//! Copies and fills as work.

use std::sync::Arc;

use super::error::{Code, Outcome};
use super::machine::{machine, refusal};
use super::region;

/// One end of a copy.
#[derive(Clone)]
pub enum End {
    Device(u64),
    Host(usize),
    /// A host's bytes that were read early, since the caller only lent them.
    Kept(Arc<[u8]>),
}

/// Slices of rows of bytes, at one distance here and at another there.
#[derive(Clone)]
pub struct Copy {
    pub to: End,
    pub to_pitch: usize,
    pub from: End,
    pub from_pitch: usize,
    pub width: usize,
    pub rows: usize,
    pub slices: usize,
    pub to_slice: usize,
    pub from_slice: usize,
}

/// What an address is said to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Host,
    Device,
    /// As the address itself tells.
    Either,
}

/// What an address is. Managed and pinned memory is the host's; device memory is known to the machine; and anything
/// else is the host's where a host's address is legal. Device memory must hold all `span` bytes.
pub fn end(address: u64, span: usize, side: Side) -> Outcome<End> {
    let outside = |what: &str| Code::INVALID_VALUE.because(format_args!("{span} bytes at {address:#x} {what}"));
    let host = usize::try_from(address).map_err(|_| Code::INVALID_VALUE)?;
    if let Some(region) = region::find(address) {
        let fits = span <= region.bytes - (host - region.address);
        return if fits { Ok(End::Host(host)) } else { Err(outside("go past the end of their allocation")) };
    }
    if let Some((base, bytes)) = machine()?.allocation(address) {
        let fits = span as u64 <= bytes - (address - base);
        return if fits { Ok(End::Device(address)) } else { Err(outside("go past the end of their allocation")) };
    }
    match side {
        Side::Device => Err(outside("lie in no live allocation of the device")),
        Side::Host | Side::Either if address == 0 => Err(Code::INVALID_VALUE.into()),
        Side::Host | Side::Either => Ok(End::Host(host)),
    }
}

/// The bytes from the first to the last of some rows.
pub fn span(pitch: usize, width: usize, rows: usize) -> Outcome<usize> {
    let before = rows.saturating_sub(1).checked_mul(pitch);
    before.and_then(|bytes| bytes.checked_add(width)).ok_or(Code::INVALID_VALUE.into())
}

impl Copy {
    pub fn new(to: (u64, Side), from: (u64, Side), bytes: usize) -> Outcome<Copy> {
        let (to, from) = (end(to.0, bytes, to.1)?, end(from.0, bytes, from.1)?);
        let (rows, slices) = (1, 1);
        Ok(Copy {
            to,
            to_pitch: bytes,
            from,
            from_pitch: bytes,
            width: bytes,
            rows,
            slices,
            to_slice: 0,
            from_slice: 0,
        })
    }

    /// The same copy, with a source that its caller only lends until the call returns read now.
    pub fn detached(self) -> Copy {
        let lent = match &self.from {
            End::Host(address) if region::find(*address as u64).is_none() => *address,
            _ => return self,
        };
        let slice = span(self.from_pitch, self.width, self.rows).unwrap_or(0);
        let bytes = span(self.from_slice, slice, self.slices).unwrap_or(0);
        // SAFETY: this runs inside the call that was given the source, which its caller lets be read until then.
        let kept: Arc<[u8]> = unsafe { region::with_bytes(lent, bytes, |bytes| bytes.into()) };
        Copy { from: End::Kept(kept), ..self }
    }

    /// Whether the result is wanted in memory that is only lent until the call returns.
    pub fn returns_to_lent_memory(&self) -> bool {
        matches!(self.to, End::Host(address) if region::find(address as u64).is_none())
    }

    pub fn run(&self) -> Outcome {
        (0..self.slices).try_for_each(|slice| (0..self.rows).try_for_each(|row| self.run_row(slice, row)))
    }

    fn run_row(&self, slice: usize, row: usize) -> Outcome {
        let (machine, width) = (machine()?, self.width);
        let to = slice * self.to_slice + row * self.to_pitch;
        let from = slice * self.from_slice + row * self.from_pitch;
        let result = match (&self.to, &self.from) {
            (End::Device(target), End::Device(source)) => {
                machine.copy(target + to as u64, source + from as u64, width as u64)
            }
            // SAFETY: the program gave these bytes of its memory to be read when the stream comes to the copy.
            (End::Device(target), End::Host(source)) => unsafe {
                region::with_bytes(source + from, width, |bytes| machine.write(target + to as u64, bytes))
            },
            (End::Device(target), End::Kept(bytes)) => {
                machine.write(target + to as u64, bytes.get(from..from + width).unwrap_or_default())
            }
            // SAFETY: the program gave these bytes of its memory to be written when the stream comes to the copy.
            (End::Host(target), End::Device(source)) => unsafe {
                region::with_bytes_mut(target + to, width, |bytes| machine.read(source + from as u64, bytes))
            },
            (End::Host(target), End::Host(source)) => {
                let (target, source) = (target + to, source + from);
                // SAFETY: as above for both; the ranges may overlap, as for `memmove`.
                unsafe {
                    let source: *const u8 = std::ptr::with_exposed_provenance(source);
                    source.copy_to(std::ptr::with_exposed_provenance_mut(target), width);
                }
                Ok(())
            }
            (End::Host(target), End::Kept(bytes)) => {
                let kept = bytes.get(from..from + width).unwrap_or_default();
                // SAFETY: as above.
                unsafe { region::with_bytes_mut(target + to, kept.len(), |bytes| bytes.copy_from_slice(kept)) };
                Ok(())
            }
            (End::Kept(_), _) => Ok(()),
        };
        result.map_err(|error| refusal(&error))
    }
}

/// Rows of a repeated pattern of 1, 2 or 4 bytes.
#[derive(Clone)]
pub struct Fill {
    pub to: End,
    pub pitch: usize,
    pub pattern: [u8; 4],
    pub size: usize,
    pub columns: usize,
    pub rows: usize,
}

impl Fill {
    pub fn run(&self) -> Outcome {
        let pattern = &self.pattern[..self.size];
        for row in 0..self.rows {
            let offset = row * self.pitch;
            match &self.to {
                End::Device(address) => {
                    let filled = machine()?.fill(address + offset as u64, pattern, self.columns as u64);
                    filled.map_err(|error| refusal(&error))?;
                }
                // SAFETY: `end` found the address in a region of pinned or managed memory that holds all rows.
                End::Host(address) => unsafe {
                    region::with_bytes_mut(address + offset, self.columns * self.size, |bytes| {
                        bytes.chunks_exact_mut(self.size).for_each(|unit| unit.copy_from_slice(pattern));
                    });
                },
                End::Kept(_) => {}
            }
        }
        Ok(())
    }
}
