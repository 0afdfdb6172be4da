use std::{
    env,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::Failure;

/// What a launcher says of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Its number.
    pub rank: usize,
    /// How many there are.
    pub size: usize,
    /// Its number on this machine, by which it takes a GPU.
    pub local: usize,
    /// Who started it.
    pub launcher: Launcher,
}

/// Who starts ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launcher {
    /// `mpirun`, or `srun`, by which MPI finds the others.
    Mpi,
    /// `torchrun`, or whatever sets the same variables.
    Environment,
}

/// The variables of the number of ranks, of the rank and of the rank on its machine.
type Names = [&'static str; 3];

const TORCHRUN: Names = ["WORLD_SIZE", "RANK", "LOCAL_RANK"];
/// What `torchrun` sets, and nobody passes on to other launchers.
const TORCHRUN_SAYS: &str = "TORCHELASTIC_RUN_ID";
/// Open MPI; MPICH and its kin; MVAPICH.
const MPI: [Names; 3] = [
    ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"],
    ["PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID"],
    ["MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_LOCAL_RANK"],
];
const SLURM: Names = ["SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID"];

/// What the launcher says; `None` without one, or if it started one process.
///
/// The innermost one counts: `torchrun` before `mpirun`, and both before the `srun` that may have started them. `RANK` and
/// `WORLD_SIZE` under `srun` alone are taken as they are for PyTorch.
///
/// # Errors
/// `RANK` and `WORLD_SIZE` that are no rank of so many.
pub fn launch() -> Result<Option<Launch>, Failure> {
    launch_of(&|name| env::var(name).ok())
}

fn launch_of(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Launch>, Failure> {
    let number = |name: &str| variable(name)?.trim().parse::<usize>().ok();
    let of = |names: Names, launcher| {
        let [size, rank, local] = names.map(number);
        let (size, rank) = (size?, rank?);
        // Under `srun`, launchers of MPI may leave it to Slurm to say.
        let local = local.or_else(|| number(SLURM[2])).unwrap_or(rank);
        Some(Launch { rank, size, local, launcher }).filter(|launch| launch.rank < launch.size)
    };
    let torchrun = || -> Result<Option<Launch>, Failure> {
        let [Some(size), Some(rank)] = ["WORLD_SIZE", "RANK"].map(variable) else { return Ok(None) };
        let wrong = || {
            Failure::new(format!(
                "RANK is `{rank}` and WORLD_SIZE `{size}`: it must be a rank from 0 on, below WORLD_SIZE"
            ))
        };
        of(TORCHRUN, Launcher::Environment).ok_or_else(wrong).map(Some)
    };
    let found = if variable(TORCHRUN_SAYS).is_some() { torchrun()? } else { None };
    let found = found.or_else(|| MPI.into_iter().find_map(|names| of(names, Launcher::Mpi)));
    let found = match found {
        None => torchrun()?.or_else(|| of(SLURM, Launcher::Mpi)),
        found => found,
    };
    Ok(found.filter(|launch| launch.size > 1))
}

/// The rank and the number of ranks, as the launcher says them; `None` without one, or if it started one process.
#[must_use]
pub fn launched() -> Option<(usize, usize)> {
    launch().ok().flatten().map(|launch| (launch.rank, launch.size))
}

/// The number of this rank among those of its machine.
#[cfg(feature = "cuda")]
pub(crate) fn local() -> usize {
    launch().ok().flatten().map_or(0, |launch| launch.local)
}

/// Whether each of several ranks has a GPU.
static GPUS: AtomicBool = AtomicBool::new(false);

/// Remembers whether each of several ranks has a GPU.
pub(super) fn all_have_gpus(they_have: bool) {
    GPUS.store(they_have, Ordering::Relaxed);
}

/// Whether a GPU may be taken without being asked for: always by one process, by ranks if each has one.
pub(crate) fn may_take_gpus() -> bool {
    launched().is_none() || GPUS.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<Launch>, Failure> {
        launch_of(&|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_innermost_launcher_counts() {
        let mpi = [("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "3"), ("OMPI_COMM_WORLD_LOCAL_RANK", "1")];
        let slurm = [("SLURM_STEP_NUM_TASKS", "2"), ("SLURM_PROCID", "1"), ("SLURM_LOCALID", "0")];
        let torch = [("WORLD_SIZE", "16"), ("RANK", "9"), ("LOCAL_RANK", "1")];
        let run = [("TORCHELASTIC_RUN_ID", "x")];
        let launch = |rank, size, local, launcher| Ok(Some(Launch { rank, size, local, launcher }));
        let same = |variables: &[&[(&str, &str)]], expected: Result<Option<Launch>, Failure>| {
            assert_eq!(of(&variables.concat()).map_err(|e| e.to_string()), expected.map_err(|e| e.to_string()));
        };
        same(&[], Ok(None));
        same(&[&mpi, &slurm], launch(3, 4, 1, Launcher::Mpi));
        same(&[&slurm], launch(1, 2, 0, Launcher::Mpi));
        same(&[&torch], launch(9, 16, 1, Launcher::Environment));
        same(&[&torch, &slurm], launch(9, 16, 1, Launcher::Environment));
        same(&[&torch, &mpi], launch(3, 4, 1, Launcher::Mpi));
        same(&[&torch, &run, &mpi, &slurm], launch(9, 16, 1, Launcher::Environment));
        // No rank on the machine is said.
        same(&[&torch[..2]], launch(9, 16, 9, Launcher::Environment));
        same(&[&[("PMI_SIZE", "1"), ("PMI_RANK", "0")]], Ok(None));
        same(&[&[("WORLD_SIZE", "1"), ("RANK", "0")]], Ok(None));
    }

    #[test]
    fn ranks_that_are_none_are_refused() {
        for (size, rank) in [("4", "4"), ("0", "0"), ("four", "0"), ("2", "-1")] {
            let told = of(&[("WORLD_SIZE", size), ("RANK", rank)]).unwrap_err().to_string();
            assert!(told.contains(&format!("RANK is `{rank}` and WORLD_SIZE `{size}`")), "{told}");
        }
        assert!(of(&[("RANK", "7")]).unwrap().is_none());
    }
}
