//! The ranks that run this program together, each on its share of the reads, pictures, chains or examples.
//!
//! A launcher starts the program several times, and [`Ranks::join`] finds the others: started by `mpirun` or `srun`, with the
//! feature `mpi`, through the MPI library that is installed; started by `torchrun` or what sets the same variables, with the
//! feature `nccl`, through the NCCL that is installed, each with a GPU of its own. Each read and each picture is a function of
//! its number, so what they make together is, byte for byte, what one process makes: discrete samplers everywhere, networks
//! where all ranks have one kind of processor, or of GPU.

pub(crate) mod launcher;
#[cfg(feature = "mpi")]
mod mpi;
mod rendezvous;

use std::any::Any;
#[cfg(feature = "nccl")]
use std::{cell::OnceCell, env, sync::Arc, time::Duration};

#[cfg(feature = "nccl")]
use yuragi_cuda::{CudaError, Device, Nccl};
use yuragi_graph::{Alone, Collective, Flight, Lost, Swap};

#[cfg(feature = "nccl")]
use crate::machine::{Machine, Store};
use crate::{Failure, machine};
pub use launcher::{Launch, Launcher, launch, launched};
pub use rendezvous::Rendezvous;

/// The ranks of this run; one where no launcher started more.
#[derive(Debug)]
pub struct Ranks {
    engine: Engine,
    /// Their GPUs, where MPI is the engine, since something was asked of them.
    #[cfg(feature = "nccl")]
    gpus: OnceCell<Nccl>,
}

#[derive(Debug)]
enum Engine {
    Alone(Alone),
    #[cfg(feature = "mpi")]
    Mpi(mpi::Mpi),
    #[cfg(feature = "nccl")]
    Nccl(Nccl),
}

/// What ranks wait for each other until they have met.
#[cfg(feature = "nccl")]
const PATIENCE: Duration = Duration::from_secs(120);

impl Ranks {
    /// Joins the ranks that a launcher started; call it once, on the thread that will talk to them. Those whom MPI does not
    /// bring together, or who are to meet at a place of their own, talk by NCCL.
    ///
    /// # Errors
    /// A launcher started several, and this program cannot reach the others, or MPI numbers them otherwise.
    pub fn join(rendezvous: Option<&Rendezvous>) -> Result<Ranks, Failure> {
        let engine = match (launch()?, rendezvous) {
            (None, None) => return Ok(Engine::Alone(Alone).into()),
            (None, Some(_)) => {
                return Err(Failure::new(
                    "`--rendezvous` brings several processes together: RANK and WORLD_SIZE must say which of how many this is",
                ));
            }
            (Some(Launch { launcher: Launcher::Mpi, rank, size, .. }), None) => by_mpi((rank, size))?,
            (Some(launch), rendezvous) => by_nccl(launch, rendezvous)?,
        };
        let ranks = Ranks::from(engine);
        let have = ranks.gather(&[machine::has_gpu().into()])?;
        launcher::all_have_gpus(have.iter().all(|has| *has == [1]));
        Ok(ranks)
    }

    /// Adds up parameters over all ranks where they are, in the memory of each one's GPU: the gradients of their shares of a
    /// batch. All ranks name the same ones. In what order the numbers of an element are added is NCCL's.
    ///
    /// # Errors
    /// Parameters that are not on a GPU or not of single precision, no NCCL, or a rank that is gone.
    #[cfg(feature = "nccl")]
    pub fn sum(&self, machine: &Machine, store: &mut Store, wanted: &dyn Fn(&str) -> bool) -> Result<(), Failure> {
        match (store, machine.cuda()) {
            _ if self.size() == 1 => Ok(()),
            (Store::Cuda(store), Some(cuda)) => Ok(store.sum(self.gpus(cuda.device())?, wanted)?),
            _ => Err(Failure::new("NCCL adds up what is on GPUs, and these parameters are not")),
        }
    }

    /// The GPUs of all ranks; an id goes over MPI when they are needed first.
    #[cfg(feature = "nccl")]
    fn gpus(&self, device: &Arc<Device>) -> Result<&Nccl, Failure> {
        if let Engine::Nccl(nccl) = &self.engine {
            return Ok(nccl);
        }
        if let Some(gpus) = self.gpus.get() {
            return Ok(gpus);
        }
        // All ranks hear of the failure of the first.
        let made = if self.rank() == 0 { Nccl::id() } else { Ok(Vec::new()) };
        let mut id = made.as_ref().map_or_else(|_| Vec::new(), Vec::clone);
        self.broadcast(0, &mut id)?;
        made?;
        if id.is_empty() {
            return Err(Failure::new("rank 0 has no NCCL that can be used"));
        }
        let joined = Nccl::join(device, (self.rank(), self.size()), &id)?;
        Ok(self.gpus.get_or_init(|| joined))
    }

    fn engine(&self) -> &dyn Collective {
        match &self.engine {
            Engine::Alone(alone) => alone,
            #[cfg(feature = "mpi")]
            Engine::Mpi(mpi) => mpi,
            #[cfg(feature = "nccl")]
            Engine::Nccl(nccl) => nccl,
        }
    }
}

impl From<Engine> for Ranks {
    fn from(engine: Engine) -> Ranks {
        Ranks {
            engine,
            #[cfg(feature = "nccl")]
            gpus: OnceCell::new(),
        }
    }
}

#[cfg(feature = "mpi")]
fn by_mpi(launched: (usize, usize)) -> Result<Engine, Failure> {
    mpi::Mpi::join(launched).map(Engine::Mpi)
}

#[cfg(not(feature = "mpi"))]
fn by_mpi((_, size): (usize, usize)) -> Result<Engine, Failure> {
    Err(Failure::new(format!(
        "a launcher started {size} of this program, which was built without MPI: build it with `--features mpi`"
    )))
}

/// Each rank with the GPU of its number on its machine, found by a rendezvous.
#[cfg(feature = "nccl")]
fn by_nccl(Launch { rank, size, .. }: Launch, rendezvous: Option<&Rendezvous>) -> Result<Engine, Failure> {
    let cannot = |error: CudaError| {
        Failure::new(format!(
            "{size} of this program were started without MPI, and would talk by NCCL between GPUs: {error}. On processors, \
             start them by `mpirun` or `srun`"
        ))
    };
    let device = machine::own_gpu().and_then(Device::open).map_err(cannot)?;
    Nccl::check().map_err(cannot)?;
    let place = rendezvous.cloned().map_or_else(master, Ok)?;
    let id = place.meet((rank, size), || Ok(Nccl::id()?), PATIENCE)?;
    Ok(Engine::Nccl(Nccl::join(&device, (rank, size), &id)?))
}

/// Where `torchrun` and its like say that ranks meet.
#[cfg(feature = "nccl")]
fn master() -> Result<Rendezvous, Failure> {
    let variable = |name: &str| env::var(name).ok();
    let host = variable("MASTER_ADDR").ok_or_else(|| {
        Failure::new(
            "where ranks meet is not said: set MASTER_ADDR and MASTER_PORT, or give `--rendezvous FILE|HOST:PORT`",
        )
    })?;
    let port = variable("MASTER_PORT").unwrap_or_else(|| "29500".into());
    let place: Rendezvous =
        format!("{host}:{port}").parse().map_err(|why| Failure::new(format!("MASTER_PORT: {why}")))?;
    // An agent of torchrun listens at that port itself: the next one is for those whom it started.
    let agent = variable("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|said| said.eq_ignore_ascii_case("true"));
    Ok(match place {
        Rendezvous::Host(host, port) if agent => Rendezvous::Host(host, port.checked_add(1).unwrap_or(port - 1)),
        place => place,
    })
}

#[cfg(not(feature = "nccl"))]
fn by_nccl(Launch { size, .. }: Launch, _: Option<&Rendezvous>) -> Result<Engine, Failure> {
    Err(Failure::new(format!(
        "{size} of this program were started without MPI, and it was built without NCCL (`--features nccl`): on processors, start \
         them by `mpirun` or `srun`"
    )))
}

/// Whether all ranks were started alike: with what makes the same digest.
///
/// # Errors
/// One was not, by number, or a rank that is gone.
pub fn agree(ranks: &dyn Collective, digest: u64) -> Result<(), Failure> {
    let found = ranks.gather(&digest.to_le_bytes())?;
    match found.iter().position(|other| *other != found[0]) {
        Some(other) => Err(Failure::new(format!(
            "rank {other} was started with other settings, data or weights than rank 0: start all alike"
        ))),
        None => Ok(()),
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

    fn begin(&self, swap: Swap) -> Result<Box<dyn Flight + '_>, Lost> {
        self.engine().begin(swap)
    }

    fn barrier(&self) -> Result<(), Lost> {
        self.engine().barrier()
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }

    fn abort(&self, status: u8) {
        self.engine().abort(status);
    }
}
