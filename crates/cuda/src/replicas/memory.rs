use yuragi_energy::Error;

use super::executor::Executor;

/// Sweeps with their numbers and temperatures, all of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    pub numbers: Vec<u32>,
    /// One β a sweep, or one a sweep and read.
    pub betas: Vec<f32>,
    pub each: bool,
}

/// Memory with these numbers in it.
pub(super) fn upload<E: Executor, T: Copy, const BYTES: usize>(
    executor: &E,
    values: &[T],
    bytes: impl Fn(T) -> [u8; BYTES],
) -> Result<E::Memory, Error> {
    let all: Vec<u8> = values.iter().flat_map(|&value| bytes(value)).collect();
    let mut memory = room(executor, all.len())?;
    executor.write(&mut memory, 0, &all).map_err(Error::Device)?;
    Ok(memory)
}

pub(super) fn room<E: Executor>(executor: &E, bytes: usize) -> Result<E::Memory, Error> {
    executor.allocate(bytes.max(1)).map_err(Error::Device)
}

/// Replaces the numbers in memory, which grows where it must.
fn refill<E: Executor>(executor: &E, memory: &mut E::Memory, held: &mut usize, bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > *held {
        *memory = room(executor, bytes.len())?;
        *held = bytes.len();
    }
    executor.write(memory, 0, bytes).map_err(Error::Device)
}

/// Numbers and temperatures of sweeps, on the device.
pub(super) struct Orders<E: Executor> {
    pub sweeps: E::Memory,
    pub betas: E::Memory,
    held: [usize; 2],
}

impl<E: Executor> Orders<E> {
    pub fn new(executor: &E) -> Result<Self, Error> {
        Ok(Self { sweeps: room(executor, 0)?, betas: room(executor, 0)?, held: [1, 1] })
    }

    pub fn write(&mut self, executor: &E, numbers: &[u32], betas: &[f32]) -> Result<(), Error> {
        let numbers: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let betas: Vec<u8> = betas.iter().flat_map(|x| x.to_le_bytes()).collect();
        refill(executor, &mut self.sweeps, &mut self.held[0], &numbers)?;
        refill(executor, &mut self.betas, &mut self.held[1], &betas)
    }
}

pub(super) fn read_energies<E: Executor>(executor: &E, memory: &E::Memory, count: usize) -> Result<Vec<f64>, Error> {
    let mut bytes = vec![0; 8 * count];
    executor.read(memory, &mut bytes).map_err(Error::Device)?;
    Ok(bytes.as_chunks::<8>().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect())
}
