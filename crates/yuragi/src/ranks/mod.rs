//! The ranks that run this program together, each on its share of the reads, pictures, chains or examples.
//!
//! A launcher (`mpirun`, `srun`) starts the program several times; with the feature `mpi`, [`Ranks::join`] finds the others
//! through the MPI library that is installed. Each read and each picture is a function of its number, so what they make
//! together is, byte for byte, what one process makes: discrete samplers everywhere, networks where all ranks have one kind of
//! processor, or of GPU.

#[cfg(feature = "mpi")]
mod mpi;

use std::env;

use yuragi_graph::{Alone, Collective, Lost};

use crate::Failure;

/// What launchers say of the number of ranks and of which one this is: Open MPI, MPICH and its kin, MVAPICH, `srun`.
const LAUNCHERS: [[&str; 2]; 4] = [
    ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"],
    ["PMI_SIZE", "PMI_RANK"],
    ["MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"],
    ["SLURM_STEP_NUM_TASKS", "SLURM_PROCID"],
];

/// The ranks of this run; one where no launcher started more.
#[derive(Debug)]
pub struct Ranks {
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Alone(Alone),
    #[cfg(feature = "mpi")]
    Mpi(mpi::Mpi),
}

/// The rank and the number of ranks, as the launcher says them; `None` without one, or if it started one process.
#[must_use]
pub fn launched() -> Option<(usize, usize)> {
    let number = |name: &str| env::var(name).ok()?.parse::<usize>().ok();
    let found = LAUNCHERS.iter().find_map(|[size, rank]| Some((number(rank)?, number(size)?)));
    found.filter(|&(rank, size)| size > 1 && rank < size)
}

impl Ranks {
    /// Joins the ranks that a launcher started; call it once, on the thread that will talk to them.
    ///
    /// # Errors
    /// A launcher started several, and this program cannot reach the others, or MPI numbers them otherwise.
    pub fn join() -> Result<Ranks, Failure> {
        let engine = match launched() {
            None => Engine::Alone(Alone),
            #[cfg(feature = "mpi")]
            Some(launched) => Engine::Mpi(mpi::Mpi::join(launched)?),
            #[cfg(not(feature = "mpi"))]
            Some((_, size)) => {
                return Err(Failure::new(format!(
                    "a launcher started {size} of this program, which was built without MPI: build it with `--features mpi`"
                )));
            }
        };
        Ok(Ranks { engine })
    }

    fn engine(&self) -> &dyn Collective {
        match &self.engine {
            Engine::Alone(alone) => alone,
            #[cfg(feature = "mpi")]
            Engine::Mpi(mpi) => mpi,
        }
    }
}

impl Collective for Ranks {
    fn rank(&self) -> usize {
        self.engine().rank()
    }

    fn size(&self) -> usize {
        self.engine().size()
    }

    fn exchange(&self, parcels: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Lost> {
        self.engine().exchange(parcels)
    }

    fn gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, Lost> {
        self.engine().gather(own)
    }

    fn broadcast(&self, from: usize, bytes: &mut Vec<u8>) -> Result<(), Lost> {
        self.engine().broadcast(from, bytes)
    }

    fn barrier(&self) -> Result<(), Lost> {
        self.engine().barrier()
    }

    fn abort(&self, status: u8) {
        self.engine().abort(status);
    }
}
