//! From `kernels/*.cu` to the PTX that the CUDA backend ships.
//!
//! NVRTC compiles each source for the architectures that it asks for, and assembles it for the processors that the
//! PTX will run on. `kernels/ptx` holds what came of it:
//!
//! | file | what it holds |
//! |---|---|
//! | `sm_80/NAME.ptx` | runs on sm_80 and everything newer |
//! | `sm_90a/NAME.ptx` | runs on Hopper alone; only of a source that has a reason for it |
//! | `RESOURCES.md` | registers, shared memory, stack and spills of each kernel |
//! | `manifest.txt` | the hash of each of these files and of all that it was made from |
//!
//! The head of a source states formula, parameters, launch and numerical contract of its kernels. Lines of this form
//! in a source are read by this task:
//!
//! | line | meaning |
//! |---|---|
//! | `// options: --fmad=false` | given to NVRTC besides [`source::OPTIONS`] |
//! | `// targets: sm_80, sm_90a` | sets of PTX to make; by default `sm_80` alone |
//! | `// budget: 32 registers` | the most that the kernels named below it may use |
//!
//! With 32 registers a multiprocessor holds its 2,048 threads, with 128 a quarter of them.
//!
//! Headers (`*.cuh`): `storage` is the element types; above it stand `reduce` (warps and blocks), `cluster` (blocks that run
//! together), `row` (rows held by teams of threads) and `layer_norm` (their moments), `picture` (pictures shared by blocks),
//! `group` (their groups of channels), `activation`, `mma` (matrix instructions, asynchronous copies), `hopper` and `ring`
//! (what sm_90a has of these, and who waits for whom), `attention` and its kin (operands, steps along the keys), `place` and
//! `window` (where the elements of a product lie; convolutions as products), `epilogue` (places for a plan's own code),
//! `product` and its kin (main loops and results of products),
//! `philox` (random words) and `elementary` (functions that give the
//! same bits as on a CPU), `ising` (spins and their rules), `multi_spin` (reads as bits of words), `spin_counts` (energies by
//! counting) and `spin_tiles` (spins that are all coupled).

mod files;
mod manifest;
mod nvrtc;
mod resources;
mod source;
mod toolchain;

use std::path::PathBuf;

use crate::shell::{self, Outcome};
use files::{Hash, Texts};
use manifest::Manifest;
use nvrtc::Nvrtc;
use resources::Usage;
use source::{Source, Target};
use toolchain::REQUIREMENTS;

const MANIFEST: &str = "ptx/manifest.txt";
const RESOURCES: &str = "ptx/RESOURCES.md";

/// Compiles every kernel, prints what each occupies, and writes `kernels/ptx`; nothing, if anything is wrong.
pub fn build() -> Outcome {
    let kernels = Kernels::read()?;
    let made = kernels.compile(&kernels.compiler()?)?;
    print!("{}", made.files.get(RESOURCES).map_or("", String::as_str));
    report(made.errors)?;
    for path in kernels.on_disk.keys().filter(|path| path.ends_with(".ptx") && !made.files.contains_key(*path)) {
        files::remove(&kernels.folder.join(path))?;
    }
    for (path, text) in &made.files {
        files::write(&kernels.folder.join(path), text)?;
    }
    println!("kernels: {} sources, {} files in kernels/ptx", kernels.sources.len(), made.files.len());
    Ok(())
}

/// Fails, with one line for each file, unless `kernels/ptx` is what [`build`] would write. Where NVRTC cannot be had,
/// says why and goes by the hashes alone.
pub fn check() -> Outcome {
    let kernels = Kernels::read()?;
    report(kernels.stale_by_hash())?;
    match kernels.compiler() {
        Ok(nvrtc) => {
            let made = kernels.compile(&nvrtc)?;
            report(made.errors)?;
            report(kernels.differences(&made.files))?;
            println!("kernels: {} files in kernels/ptx are current, as rebuilding shows", made.files.len());
        }
        Err(reason) => println!("kernels: kernels/ptx is current by its hashes; not rebuilt: {reason}"),
    }
    Ok(())
}

/// The same, without NVRTC: a change of a source, of an option or of a committed file cannot go unseen.
pub fn check_hashes() -> Outcome {
    let kernels = Kernels::read()?;
    report(kernels.stale_by_hash())?;
    println!("kernels: kernels/ptx is current by its hashes");
    Ok(())
}

fn report(errors: Vec<String>) -> Outcome {
    errors.iter().for_each(|error| println!("error: {error}"));
    match errors.len() {
        0 => Ok(()),
        1 => Err("1 fault in kernels".into()),
        n => Err(format!("{n} faults in kernels")),
    }
}

/// What `kernels` holds. Paths are relative to it.
struct Kernels {
    folder: PathBuf,
    requirements: String,
    sources: Vec<Source>,
    /// The files in `ptx`.
    on_disk: Texts,
}

/// What compiling gives.
struct Made {
    files: Texts,
    errors: Vec<String>,
}

impl Kernels {
    fn read() -> Outcome<Self> {
        let folder = shell::root().join("kernels");
        let headers = files::read_all(&folder, "cuh")?;
        let sources = files::read_all(&folder, "cu")?;
        let mut on_disk = files::read_all(&folder, "ptx")?;
        for path in [MANIFEST, RESOURCES] {
            if folder.join(path).exists() {
                on_disk.insert(path.into(), files::read(&folder.join(path))?);
            }
        }
        Ok(Self {
            requirements: files::read(&folder.join(REQUIREMENTS))?,
            sources: sources.iter().map(|(name, text)| Source::parse(name, text, &headers)).collect::<Outcome<_>>()?,
            on_disk,
            folder,
        })
    }

    fn sources_and_targets(&self) -> impl Iterator<Item = (&Source, Target)> {
        self.sources.iter().flat_map(|source| source.targets.iter().map(move |&target| (source, target)))
    }

    /// What each file is made from: the compiler, its options, the source and its headers.
    fn inputs(&self) -> Vec<(String, Hash)> {
        let of_ptx = |(source, target): (&Source, Target)| {
            let options = source.options(target.processor()).join(" ");
            let compiler = [("options", options.as_str()), (REQUIREMENTS, &self.requirements)];
            (source.ptx_path(target), Hash::of(compiler.into_iter().chain(source.texts())))
        };
        let mut inputs: Vec<_> = self.sources_and_targets().map(of_ptx).collect();
        let all: Vec<String> = inputs.iter().map(|(_, hash)| hash.to_string()).collect();
        let processors = Target::ALL.map(|target| target.processors().join(" "));
        inputs.push((RESOURCES.into(), Hash::of(all.iter().chain(&processors).map(|text| ("", text.as_str())))));
        inputs
    }

    fn stale_by_hash(&self) -> Vec<String> {
        let Some(text) = self.on_disk.get(MANIFEST) else {
            return vec![format!("kernels/{MANIFEST}: missing; run `cargo xtask kernels`")];
        };
        match Manifest::parse(text) {
            Ok(manifest) => manifest.stale(&self.inputs(), &self.on_disk),
            Err(error) => vec![format!("kernels/{MANIFEST}: {error}")],
        }
    }

    fn compiler(&self) -> Outcome<Nvrtc> {
        Nvrtc::load(&toolchain::install(&self.requirements)?)
    }

    fn compile(&self, nvrtc: &Nvrtc) -> Outcome<Made> {
        let (mut files, mut usages, mut errors) = (Texts::new(), Vec::new(), Vec::new());
        for (source, target) in self.sources_and_targets() {
            for &processor in target.processors() {
                let compiled = nvrtc.compile(&source.name, &source.text, &source.options(processor), &self.folder)?;
                let mut found: Vec<String> = compiled.warnings().map(str::to_owned).collect();
                for usage in resources::read_log(&compiled.log)? {
                    let usage = Usage { budget: source.budget(&usage.kernel), ..usage };
                    found.extend(usage.fault());
                    usages.push(usage);
                }
                errors.extend(found.iter().map(|fault| format!("kernels/{}: {fault}", source.name)));
                if processor == target.processor() {
                    files.insert(source.ptx_path(target), compiled.ptx);
                }
            }
        }
        errors.sort();
        errors.dedup();
        files.insert(RESOURCES.into(), resources::table(&usages));
        let manifest = Manifest::new(&self.inputs(), &files);
        files.insert(MANIFEST.into(), manifest.to_string());
        Ok(Made { files, errors })
    }

    /// The files that are not the bytes that were made.
    fn differences(&self, made: &Texts) -> Vec<String> {
        let changed = made.iter().filter(|(path, text)| self.on_disk.get(*path) != Some(*text));
        changed.map(|(path, _)| format!("kernels/{path}: rebuilding gives other bytes")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_ptx_is_current() {
        assert_eq!(Kernels::read().unwrap().stale_by_hash(), [""; 0]);
    }

    /// Fuses products by name, which are exact: of 2 or 1 and a number.
    const FUSES: &str = "spin_tiles.cuh";

    /// A driver may contract a product and a sum unless they say `.rn`.
    #[test]
    fn kernels_of_fixed_bits_leave_nothing_to_be_contracted() {
        let kernels = Kernels::read().unwrap();
        let (mut rounded, mut without_fused) = (0, 0);
        for source in &kernels.sources {
            let fixed = source.options("").iter().any(|option| option == "--fmad=false");
            let elementary = source.texts().any(|(name, _)| name == "elementary.cuh");
            let exact = source.texts().any(|(name, _)| name == FUSES);
            assert!(fixed || !elementary, "kernels/{}: elementary.cuh needs --fmad=false", source.name);
            let texts = source.targets.iter().map(|&target| &kernels.on_disk[&source.ptx_path(target)]);
            let by_name = source.texts().all(|(name, text)| name == FUSES || !text.contains("fmaf"));
            assert!(!elementary || by_name, "kernels/{}: only {FUSES} may fuse", source.name);
            for line in texts.flat_map(|text| text.lines()).map(str::trim).filter(|_| fixed) {
                if ["add.", "sub.", "mul."].iter().any(|name| line.starts_with(name)) && line.contains("f32 ") {
                    assert!(line.contains(".rn.f32"), "kernels/{}: {line}", source.name);
                    rounded += 1;
                }
                assert!(!elementary || exact || !line.starts_with("fma."), "kernels/{}: {line}", source.name);
                without_fused += usize::from(elementary && !exact);
            }
        }
        assert!(rounded > 0 && without_fused > 0);
    }
}
