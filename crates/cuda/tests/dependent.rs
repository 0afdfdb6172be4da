//! Texts whose kernels wait for the launch before theirs.

use std::{collections::BTreeMap, env, fs, path::PathBuf, process::Command};

use yuragi_cuda::{
    dependent,
    kernels::product::Machine,
    lower::{Target, arranged, lower},
};
use yuragi_graph::{Builder, DType, Graph, Init};

const WAIT: &str = "griddepcontrol.wait;";
const NEXT: &str = "griddepcontrol.launch_dependents;";

/// The files of `kernels/ptx`, by their names.
fn shipped() -> BTreeMap<String, String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../kernels/ptx");
    let targets = ["sm_80", "sm_90a"].map(|target| fs::read_dir(folder.join(target)).unwrap());
    let files = targets.into_iter().flatten().map(|entry| entry.unwrap().path());
    files.map(|file| (file.file_stem().unwrap().to_string_lossy().into(), fs::read_to_string(file).unwrap())).collect()
}

/// Loops, copies of shipped kernels with code of their own, and several loops at once.
fn graph() -> Graph {
    let b = Builder::new();
    let x = b.input("x", &[64, 64], DType::F32);
    let half = x.cast(DType::F16);
    let w = b.param("w", &[64, 64], DType::F16, Init::Constant(0.0));
    let product = half.matmul(w).cast(DType::F32).silu() + x;
    b.finish(&[("y", product), ("z", (x * 2.0).exp()), ("s", x.sum(&[0])), ("t", x.tanh().sum(&[1]))]).unwrap()
}

/// The texts of plans for a GPU of compute capability 9.0.
fn written() -> Vec<String> {
    let target = Target::new(Machine { multiprocessors: 132, hopper: true });
    let lowered = lower(&arranged(&graph(), target), target).unwrap();
    assert!(!lowered.spliced.is_empty() && lowered.module.contains(".entry"));
    [vec![lowered.module], lowered.spliced].concat()
}

#[test]
fn a_kernel_waits_first_and_then_lets_the_next_begin() {
    let text = "\
.version 9.0
.target sm_80
.address_size 64
.extern .shared .align 16 .b8 memory[];
.visible .entry one(
\t.param .u64 one_param_0
)
.maxntid 256, 1, 1
{
\t.reg .b64 \t%rd<4>;
\t.shared .align 4 .b8 sums[64];

\tld.param.u64 \t%rd1, [one_param_0];
\tcvta.to.global.u64 \t%rd2, %rd1;
\tmov.u32 \t%r1, %tid.x;
\tld.global.u32 \t%r2, [%rd2];
\tadd.s32 \t%r2, %r2, 1;
\tret;
}
.visible .entry two()
{
\tret;
}
";
    let expected = text
        .replace("sm_80", "sm_90")
        .replace("\tld.param", &format!("\t{WAIT}\n\t{NEXT}\n\tld.param"))
        .replace("()\n{\n", &format!("()\n{{\n\t{WAIT}\n\t{NEXT}\n"));
    assert_eq!(dependent::form(text).unwrap(), expected);
    let own = text.replace("sm_80", "sm_90a");
    assert!(dependent::form(&own).unwrap().contains(".target sm_90a\n"));
}

#[test]
fn only_declarations_stand_before_the_wait() {
    for first in [
        "ld.param.u64 %rd1, [k_param_0];",
        "@%p1 bra $L;",
        "$L:",
        "{",
        "bar.sync 0;",
        "ld.u64 %rd1, [%rd2];",
        ".reg .b32 %x; ld.global.u32 %x, [%rd1];",
        "ret;",
    ] {
        let text = format!(
            ".version 9.0\n.target sm_90a\n.visible .entry k()\n{{\n\t.reg .b32 %r<2>;\n\n\t// a comment;\n\t{first}\n}}\n"
        );
        let place = format!("\t// a comment;\n\t{WAIT}\n\t{NEXT}\n\t{first}\n");
        assert!(dependent::form(&text).unwrap().contains(&place), "{first}");
    }
}

#[test]
fn texts_of_another_form_are_left_as_they_are() {
    let sound = ".version 9.0\n.target sm_80\n.visible .entry k()\n{\n\tret;\n}\n";
    assert!(dependent::form(sound).is_some());
    for (from, to) in [
        (".target sm_80\n", ""),
        ("sm_80", "sm_100a"),
        ("sm_80", "sm_75"),
        ("()\n{\n", "() {\n"),
        ("()\n{\n\tret;\n}", "();"),
        ("\n{\n\tret;\n}\n", ""),
    ] {
        assert_eq!(dependent::form(&sound.replacen(from, to, 1)), None, "{from:?} as {to:?}");
    }
}

#[test]
fn every_kernel_of_a_plan_waits_once_and_is_the_same_else() {
    let mut texts: Vec<String> = shipped().into_values().collect();
    assert!(texts.len() > 30);
    texts.extend(written());
    for text in texts {
        let form = dependent::form(&text).unwrap();
        let count = |what: &str| form.matches(what).count();
        let entries = text.matches(".visible .entry ").count();
        assert_eq!((entries, entries, entries), (text.matches(".entry").count(), count(WAIT), count(NEXT)));
        let left: String = form.split_inclusive('\n').filter(|line| !line.contains("griddepcontrol")).collect();
        let target = if text.contains(".target sm_90a") { ".target sm_90a" } else { ".target sm_90" };
        assert_eq!(
            left.replacen(target, ".target", 1),
            text.replacen(".target sm_80", ".target", 1).replacen(".target sm_90a", ".target", 1)
        );
    }
}

/// The most registers that a kernel may use, by its name.
fn budgets() -> BTreeMap<String, u32> {
    let table = include_str!("../../../kernels/ptx/RESOURCES.md");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        Some((cells.get(1)?.trim_matches('`').to_owned(), cells.get(4)?.parse().ok()?))
    };
    table.lines().filter_map(row).collect()
}

/// NVIDIA's assembler takes what plans launch, within the registers that the sources allow, and without spills. It takes minutes:
/// `PTXAS` names the assembler, that of CUDA 13.0 or newer.
#[test]
fn nvidias_assembler_takes_every_kernel() {
    let Some(assembler) = env::var_os("PTXAS") else {
        println!("skipped: the variable PTXAS names no assembler");
        return;
    };
    let (budgets, mut assembled) = (budgets(), 0);
    let written = written().into_iter().enumerate().map(|(n, text)| (format!("written_{n}"), text));
    for (name, text) in shipped().into_iter().chain(written) {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.ptx"));
        fs::write(&file, dependent::form(&text).unwrap()).unwrap();
        let target = if text.contains(".target sm_90a") { "sm_90a" } else { "sm_90" };
        let mut command = Command::new(&assembler);
        command.args(["-v", "-o", "/dev/null", &format!("-arch={target}")]).arg(&file);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
        let mut kernel = "";
        for line in said.lines() {
            if let Some(rest) = line.split("entry function '").nth(1) {
                kernel = rest.split('\'').next().unwrap();
            }
            assert!(
                !line.contains("spill") || line.contains(" 0 bytes spill stores, 0 bytes spill loads"),
                "{kernel}: {line}"
            );
            if let Some(rest) = line.split("Used ").nth(1) {
                let registers: u32 = rest.split(' ').next().unwrap().parse().unwrap();
                // A copy of a kernel with a plan's own code has its number behind the name.
                let budget = budgets.get(kernel).copied().unwrap_or(255);
                assert!(registers <= budget, "{kernel} takes {registers} registers, its budget is {budget}");
                assembled += 1;
            }
        }
    }
    assert!(assembled > 290, "{assembled}");
}
