#![forbid(unsafe_code)]
//! Times one of the plans, or writes down what it computes.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
    time::Instant,
};

use clap::{Args, Parser, Subcommand, builder::PossibleValuesParser};
use serde_json::json;
use yuragi_benches::{Session, Values, Work, count, published::Published, settings};
use yuragi_cpu::Cpu;
use yuragi_cuda::{
    kernels::product::Machine,
    launch::Code,
    lower::{Target, arranged, lower},
};
use yuragi_graph::{BuildError, Graph, Params, Precision, op::Fused};
use yuragi_io::{Checkpoint, Tensor};
use yuragi_nn::optim;

/// Times one of the plans, or writes down what it computes.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Chosen {
    /// The plan
    #[arg(value_parser = PossibleValuesParser::new(Work::ALL.map(Work::name)))]
    work: String,
    /// Threads, the main one included
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// 3×3 convolutions by direct sums
    #[arg(long)]
    direct: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Print the times of runs, and the plan's memory, as JSON
    Time {
        #[command(flatten)]
        chosen: Chosen,
        /// How long, in seconds, after two runs to warm up; at least three runs
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// Print in which kernels a training step's time goes, the costliest first
    Profile {
        #[command(flatten)]
        chosen: Chosen,
        /// Steps to add up, after two to warm up
        #[arg(long, default_value_t = 10)]
        steps: usize,
        /// Tell launches of other sizes apart
        #[arg(long)]
        sizes: bool,
    },
    /// Print what each plan is on a GPU: launches of a run, those that are made once for all runs with the same weights,
    /// kernels written for it, bytes of its arena
    Launches {
        /// Only these plans
        #[arg(value_parser = PossibleValuesParser::new(names()))]
        plans: Vec<String>,
        /// Print how many launches there are of each kind, too
        #[arg(long)]
        kinds: bool,
        /// Precision of products
        #[arg(long, default_value_t)]
        precision: Precision,
        /// With the operations of this name replaced by their expansions, such as group_norm_grad
        #[arg(long)]
        expand: Vec<String>,
        /// Without what is kept of weights from run to run
        #[arg(long)]
        low: bool,
        /// Write the PTX of each plan into this folder
        #[arg(long)]
        modules: Option<PathBuf>,
    },
    /// Write weights, inputs, random draws and outputs of a few runs to a safetensors file
    Export {
        #[command(flatten)]
        chosen: Chosen,
        /// The file
        file: PathBuf,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().command {
        Command::Time { chosen, seconds } => time(chosen.session()?, seconds),
        Command::Profile { chosen, steps, sizes } => profile(chosen.session()?, steps.max(1), sizes),
        Command::Launches { plans, kinds, precision, expand, low, modules } => {
            let graphs = graphs(&plans, precision);
            launches(graphs, (kinds, low), precision, &expand, modules.as_deref())
        }
        Command::Export { chosen, file } => export(chosen.session()?, &file),
    }
}

/// The names of all plans: those that are timed, and those of published models.
fn names() -> impl Iterator<Item = &'static str> {
    Work::ALL.map(Work::name).into_iter().chain(Published::ALL.map(Published::name))
}

/// A plan's name, and its graph once it is asked for.
type Named = (&'static str, Box<dyn Fn() -> Result<Graph, BuildError>>);

/// The chosen plans; all if none is named.
fn graphs(chosen: &[String], precision: Precision) -> Vec<Named> {
    let timed =
        Work::ALL.map(|work| -> Named { (work.name(), Box::new(move || Ok(work.graph()?.in_precision(precision)))) });
    let published = Published::ALL.map(|work| -> Named { (work.name(), Box::new(move || work.graph(precision))) });
    let is_chosen = |named: &Named| chosen.is_empty() || chosen.iter().any(|name| *name == named.0);
    timed.into_iter().chain(published).filter(is_chosen).collect()
}

/// No GPU is needed: an H100's number of multiprocessors is taken.
fn launches(
    graphs: Vec<Named>,
    (kinds, low): (bool, bool),
    precision: Precision,
    expand: &[String],
    modules: Option<&Path>,
) -> Result<(), Box<dyn Error>> {
    let machine = Machine { multiprocessors: 132, hopper: true };
    let target = Target { tf32: precision == Precision::Tf32, prepares: !low, ..Target::new(machine) };
    println!(
        "{:<22} {:>8} {:>8} {:>8} {:>8} {:>10} {:>8} {:>8} {:>10} {:>12}",
        "plan", "launches", "once", "written", "entries", "PTX bytes", "spliced", "entries", "PTX bytes", "arena bytes"
    );
    for (name, graph) in graphs {
        let expanded = |op: &Fused| expand.iter().any(|name| op.name() == name);
        let graph = arranged(&graph()?.expanded(|op, _, _| !expanded(op)), target);
        let lowered = lower(&graph, target)?;
        if let Some(folder) = modules {
            std::fs::write(folder.join(name).with_extension("ptx"), &lowered.module)?;
            for (number, text) in lowered.spliced.iter().enumerate() {
                std::fs::write(folder.join(format!("{name}-{number}.ptx")), text)?;
            }
        }
        let (once, always) = lowered.launches.split_at(lowered.prepared);
        let of = |kind: fn(&Code) -> bool| always.iter().filter(|launch| kind(&launch.code)).count();
        let [written, spliced] =
            [of(|code| matches!(code, Code::Emitted | Code::Table)), of(|code| matches!(code, Code::Spliced(_)))];
        let texts = [&lowered.module, &lowered.spliced.concat()];
        let [(entries, bytes), (copies, copied)] = texts.map(|text| (text.matches(".entry ").count(), text.len()));
        let (once, all) = (once.len(), always.len());
        print!(
            "{name:<22} {all:>8} {once:>8} {written:>8} {entries:>8} {bytes:>10} {spliced:>8} {copies:>8} {copied:>10}"
        );
        println!(" {:>12}", lowered.arena);
        if kinds {
            let mut kinds = BTreeMap::<&str, usize>::new();
            always.iter().for_each(|launch| *kinds.entry(launch.name).or_default() += 1);
            let mut kinds: Vec<_> = kinds.into_iter().collect();
            kinds.sort_by_key(|&(_, count)| Reverse(count));
            kinds.iter().for_each(|(kind, count)| println!("  {kind:<28} {count:>6}"));
        }
    }
    Ok(())
}

impl Chosen {
    fn session(&self) -> Result<Session, Box<dyn Error>> {
        let work = Work::ALL.into_iter().find(|work| work.name() == self.work).ok_or("no such plan")?;
        let cpu = Cpu::with_threads(self.threads).winograd(!self.direct);
        Ok(Session::new(work.graph()?, &cpu)?.stepping(work.optimizer()))
    }
}

fn time(mut session: Session, seconds: f64) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::new();
    let mut begin = Instant::now();
    for run in 0.. {
        let inputs = session.inputs();
        let start = Instant::now();
        session.run(&inputs)?;
        match run {
            0 => {}
            1 => begin = Instant::now(),
            _ => times.push(1e3 * start.elapsed().as_secs_f64()),
        }
        if times.len() >= 3 && begin.elapsed().as_secs_f64() >= seconds {
            break;
        }
    }
    let (memory, weights) = (session.memory(), count(session.graph().params()));
    let memory = json!({ "arena": memory.arena, "literals": memory.literals, "params": memory.params });
    println!("{}", json!({ "times_ms": times, "weights": weights, "plan_bytes": memory }));
    Ok(())
}

fn profile(mut session: Session, steps: usize, sizes: bool) -> Result<(), Box<dyn Error>> {
    for _ in 0..2 {
        let inputs = session.inputs();
        session.run(&inputs)?;
    }
    let details = session.launches();
    let (mut kernels, mut all) = (BTreeMap::<&str, (usize, f64)>::new(), 0.0);
    for _ in 0..steps {
        let inputs = session.inputs();
        for ((name, seconds), detail) in session.run_timed(&inputs)?.into_iter().zip(&details) {
            let name = if sizes { detail } else { name };
            let (launches, sum) = kernels.entry(name).or_default();
            *launches += 1;
            *sum += seconds;
            all += seconds;
        }
    }
    let mut kernels: Vec<_> = kernels.into_iter().collect();
    kernels.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
    let width = kernels.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    println!("{:width$} {:>8} {:>10} {:>7}", "kernel", "launches", "ms a step", "share");
    for (name, (launches, seconds)) in kernels {
        let (ms, share) = (1e3 * seconds / steps as f64, 100.0 * seconds / all);
        println!("{name:width$} {:8} {ms:10.2} {share:6.1}%", launches / steps);
    }
    Ok(())
}

fn export(mut session: Session, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut file = Checkpoint::default();
    let steps = if session.graph().updates().is_empty() { 1 } else { 3 };
    let settings = settings();
    let channels = settings.autoencoder.latent;
    let colour = settings.latents.colour.get(..3 * channels).unwrap_or_default();
    file.insert("constant.colour", Tensor::from_values(&[channels, 3], colour)?.into_owned());
    insert_params(&mut file, "before", session.params())?;
    for step in 0..steps {
        for (stream, shape, values) in session.draws() {
            file.insert(format!("random.{stream}.{step}"), Tensor::from_values(&shape, &values)?.into_owned());
        }
        let inputs = session.inputs();
        for (spec, values) in session.graph().inputs().iter().zip(&inputs) {
            let tensor = match values {
                Values::F32(v) => Tensor::from_values(&spec.shape, v)?,
                Values::I32(v) => Tensor::from_values(&spec.shape, v)?,
                Values::U32(_) => continue,
            };
            file.insert(format!("input.{}.{step}", spec.name), tensor.into_owned());
        }
        session.run(&inputs)?;
        for (output, values) in session.graph().outputs().iter().zip(session.outputs()) {
            let shape = session.graph().node(output.node).shape;
            file.insert(format!("output.{}.{step}", output.name), Tensor::from_values(&shape, values)?.into_owned());
        }
    }
    insert_params(&mut file, "after", session.params())?;
    Ok(file.save(path)?)
}

/// Weights, and the averaged weights under their own names.
fn insert_params(file: &mut Checkpoint<'_>, prefix: &str, params: &Params) -> Result<(), Box<dyn Error>> {
    let kept = params.iter().filter(|(name, _)| !optim::is_state(name) || name.starts_with(optim::AVERAGE));
    for (name, tensor) in kept {
        let values = Tensor::from_values(&tensor.shape(), &tensor.to_f32())?.into_owned();
        file.insert(format!("{prefix}.{name}"), values);
    }
    Ok(())
}
