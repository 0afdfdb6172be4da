//! The one device: initialisation, versions and attributes.

use super::allocation;
use super::error::Code;
use super::machine::{SHARED_PER_BLOCK, SHARED_RESERVED, VERSION, device, initialise, machine};
use super::pointer::{Buffer, Out, Text};
use crate::properties::Properties;

/// Registers of a multiprocessor.
const REGISTERS: i32 = 65_536;

/// The device's UUID and its place on the bus.
pub const UUID: [u8; 16] = *b"yuragi-emulator\0";
const BUS: &str = "0000:00:00.0";

/// The value of a `CUdevice_attribute`.
pub fn attribute(p: &Properties, attribute: i32) -> Option<i32> {
    let (major, minor) = p.capability;
    Some(match attribute {
        // Threads of a block, and its extents; blocks of a grid; a warp.
        1..=3 => 1024,
        4 => 64,
        5 => i32::MAX,
        6 | 7 => 65_535,
        10 => 32,
        // Shared memory: of a block, opted in, of a multiprocessor, and kept by CUDA.
        8 => SHARED_PER_BLOCK as i32,
        97 => p.shared_per_block as i32,
        81 => p.shared_per_multiprocessor as i32,
        111 => SHARED_RESERVED as i32,
        9 => 65_536,
        11 => i32::MAX,
        12 | 82 => REGISTERS,
        13 => p.clock as i32,
        36 => p.memory_clock as i32,
        37 => p.memory_bus as i32,
        38 => p.cache as i32,
        39 => p.threads_per_multiprocessor as i32,
        106 => p.blocks_per_multiprocessor as i32,
        16 => p.multiprocessors as i32,
        75 => major as i32,
        76 => minor as i32,
        // Alignments of textures and surfaces, and the most texels of each kind.
        14 | 30 => 512,
        21 | 22 | 56 => 131_072,
        23 | 57 => 65_536,
        24..=26 | 58..=60 => 16_384,
        55 => 32_768,
        69 => 1 << 28,
        70 | 71 => 131_072,
        72 => 2_097_120,
        51 => 32,
        87 => 2,
        // Overlap, mapped host memory, concurrent kernels, one copy engine, one address space.
        15 | 19 | 31 | 40 | 41 => 1,
        // Stream priorities, caches of global and local memory.
        78..=80 => 1,
        // Managed memory, also concurrently; preemption; pinned memory under its own address.
        83 | 89 | 90 | 91 => 1,
        // Cooperative launches, registration of host memory, memory pools.
        95 | 99 | 115 => 1,
        // Clusters and tensor maps.
        120 | 127 => i32::from(major >= 9),
        // Domains of memory order.
        126 => 1,
        // No node of memory: neither of the device nor of the host.
        131 | 134 => -1,
        17..=147 => 0,
        _ => return None,
    })
}

super::boundary::exported! {
    fn cuInit(flags: u32) {
        if flags != 0 {
            return Err(Code::INVALID_VALUE.into());
        }
        initialise();
        allocation::report_leaks_at_exit();
        machine().map(|_| ())
    }

    fn cuDriverGetVersion(version: Out<i32>) {
        version.place()?.put(VERSION);
        Ok(())
    }

    fn cuDeviceGetCount(count: Out<i32>) {
        machine()?;
        count.place()?.put(1);
        Ok(())
    }

    fn cuDeviceGet(device_out: Out<i32>, ordinal: i32) {
        let place = device_out.place()?;
        device(ordinal)?;
        place.put(ordinal);
        Ok(())
    }

    fn cuDeviceGetName(name: Buffer, len: i32, ordinal: i32) {
        let device = device(ordinal)?;
        let room = usize::try_from(len).map_err(|_| Code::INVALID_VALUE)?;
        match name.put_text(&device.properties().name, room) {
            0 => Err(Code::INVALID_VALUE.into()),
            _ => Ok(()),
        }
    }

    fn cuDeviceGetUuid(uuid: Out<[u8; 16]>, ordinal: i32) {
        let place = uuid.place()?;
        device(ordinal)?;
        place.put(UUID);
        Ok(())
    }

    fn cuDeviceGetUuid_v2(uuid: Out<[u8; 16]>, ordinal: i32) {
        let place = uuid.place()?;
        device(ordinal)?;
        place.put(UUID);
        Ok(())
    }

    fn cuDeviceTotalMem_v2(bytes: Out<usize>, ordinal: i32) {
        let place = bytes.place()?;
        place.put(device(ordinal)?.total() as usize);
        Ok(())
    }

    fn cuDeviceGetAttribute(value: Out<i32>, kind: i32, ordinal: i32) {
        let place = value.place()?;
        let properties = device(ordinal)?.properties();
        place.put(attribute(properties, kind).ok_or(Code::INVALID_VALUE)?);
        Ok(())
    }

    fn cuDeviceComputeCapability(major: Out<i32>, minor: Out<i32>, ordinal: i32) {
        let (major, minor) = (major.place()?, minor.place()?);
        let (high, low) = device(ordinal)?.properties().capability;
        major.put(high as i32);
        minor.put(low as i32);
        Ok(())
    }

    fn cuDeviceGetPCIBusId(id: Buffer, len: i32, ordinal: i32) {
        device(ordinal)?;
        let room = usize::try_from(len).map_err(|_| Code::INVALID_VALUE)?;
        match id.put_text(BUS, room) {
            0 => Err(Code::INVALID_VALUE.into()),
            _ => Ok(()),
        }
    }

    fn cuDeviceGetByPCIBusId(device_out: Out<i32>, id: Text) {
        let place = device_out.place()?;
        machine()?;
        if id.read()? != BUS {
            return Err(Code::INVALID_DEVICE.into());
        }
        place.put(0);
        Ok(())
    }

    fn cuDeviceCanAccessPeer(can: Out<i32>, ordinal: i32, peer: i32) {
        let place = can.place()?;
        device(ordinal)?;
        device(peer)?;
        place.put(0);
        Ok(())
    }

    fn cuDeviceGetExecAffinitySupport(supported: Out<i32>, _kind: i32, ordinal: i32) {
        let place = supported.place()?;
        device(ordinal)?;
        place.put(0);
        Ok(())
    }

    fn cuProfilerStart() {
        machine().map(|_| ())
    }

    fn cuProfilerStop() {
        machine().map(|_| ())
    }
}
