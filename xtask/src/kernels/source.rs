//! A source and what it asks for.

use super::files::Texts;
use crate::shell::Outcome;

/// What every source is compiled with: IEEE arithmetic, functions without a word are the device's.
pub const OPTIONS: [&str; 5] =
    ["--std=c++17", "--device-as-default-execution-space", "--ftz=false", "--prec-div=true", "--prec-sqrt=true"];

/// A set of PTX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// For sm_80 (Ampere) and everything newer.
    Sm80,
    /// For sm_90 alone, with the instructions that only it has.
    Sm90a,
}

impl Target {
    pub const ALL: [Self; 2] = [Self::Sm80, Self::Sm90a];

    /// Its folder, and the processor that its PTX names.
    pub fn processor(self) -> &'static str {
        match self {
            Self::Sm80 => "sm_80",
            Self::Sm90a => "sm_90a",
        }
    }

    /// The processors that it is assembled for.
    pub fn processors(self) -> &'static [&'static str] {
        match self {
            Self::Sm80 => &["sm_80", "sm_90"],
            Self::Sm90a => &["sm_90a"],
        }
    }
}

/// A file `kernels/NAME.cu`.
#[derive(Debug)]
pub struct Source {
    /// With its extension.
    pub name: String,
    pub text: String,
    pub targets: Vec<Target>,
    /// Name and text of every header that it includes, at whatever depth; sorted.
    headers: Texts,
    options: Vec<String>,
}

impl Source {
    pub fn parse(name: &str, text: &str, headers: &Texts) -> Outcome<Self> {
        let mut included = Texts::new();
        collect_headers(name, text, headers, &mut included)?;
        for (index, line) in text.lines().enumerate() {
            if line.starts_with("// budget:") && budget(line).is_none() {
                return Err(format!("kernels/{name}:{}: a budget reads `// budget: 32 registers`", index + 1));
            }
        }
        let targets =
            directive(text, "targets").map(|names| names.split(',').map(|n| target(name, n.trim())).collect());
        let options = directive(text, "options").unwrap_or_default().split_whitespace().map(str::to_owned);
        Ok(Self {
            name: name.into(),
            text: text.into(),
            targets: targets.unwrap_or_else(|| Ok(vec![Target::Sm80]))?,
            headers: included,
            options: options.collect(),
        })
    }

    /// Where the PTX goes.
    pub fn ptx_path(&self, target: Target) -> String {
        format!("ptx/{}/{}.ptx", target.processor(), self.name.trim_end_matches(".cu"))
    }

    /// What NVRTC is told, but for the folders of headers.
    pub fn options(&self, processor: &str) -> Vec<String> {
        let common = OPTIONS.iter().map(|&option| option.to_owned());
        [format!("--gpu-architecture={processor}")].into_iter().chain(common).chain(self.options.clone()).collect()
    }

    /// Name and text of the source and of every header that it includes.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.headers.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        [(self.name.as_str(), self.text.as_str())].into_iter().chain(headers)
    }

    /// The most registers that a kernel may use: the last budget above the line of code that first names it.
    pub fn budget(&self, kernel: &str) -> Option<u32> {
        let mut last = None;
        for line in self.text.lines() {
            if line.starts_with("//") {
                last = budget(line).or(last);
            } else if line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == kernel) {
                return last;
            }
        }
        None
    }
}

/// The rest of the line `// name: ..`.
fn directive<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix("// ")?.strip_prefix(name)?.strip_prefix(": ")).map(str::trim)
}

fn budget(line: &str) -> Option<u32> {
    line.strip_prefix("// budget: ")?.strip_suffix(" registers")?.parse().ok()
}

fn target(source: &str, name: &str) -> Outcome<Target> {
    let known = Target::ALL.into_iter().find(|target| target.processor() == name);
    known.ok_or_else(|| format!("kernels/{source}: unknown target `{name}`; there are sm_80 and sm_90a"))
}

fn collect_headers(name: &str, text: &str, headers: &Texts, included: &mut Texts) -> Outcome {
    for line in text.lines() {
        let Some(header) = line.strip_prefix("#include \"").and_then(|rest| rest.strip_suffix('"')) else { continue };
        let Some(text) = headers.get(header) else {
            return Err(format!("kernels/{name}: kernels/{header}, which it includes, does not exist"));
        };
        if included.insert(header.into(), text.clone()).is_none() {
            collect_headers(header, text, headers, included)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers() -> Texts {
        let texts = [("a.cuh", "#include \"b.cuh\"\n"), ("b.cuh", "#include <cuda_fp16.h>\n"), ("c.cuh", "")];
        texts.map(|(name, text)| (name.to_owned(), text.to_owned())).into()
    }

    fn parse(text: &str) -> Outcome<Source> {
        Source::parse("k.cu", text, &headers())
    }

    #[test]
    fn headers_are_followed_to_any_depth() {
        let source = parse("#include \"a.cuh\"\nint x;").unwrap();
        assert_eq!(source.texts().map(|(name, _)| name).collect::<Vec<_>>(), ["k.cu", "a.cuh", "b.cuh"]);
        let error = parse("#include \"d.cuh\"").unwrap_err();
        assert!(error.contains("kernels/k.cu") && error.contains("kernels/d.cuh"), "{error}");
    }

    #[test]
    fn headers_that_include_each_other_end() {
        let headers: Texts = [("a.cuh".to_owned(), "#include \"a.cuh\"".to_owned())].into();
        assert_eq!(Source::parse("k.cu", "#include \"a.cuh\"", &headers).unwrap().texts().count(), 2);
    }

    #[test]
    fn options_and_targets_are_read() {
        let plain = parse("int x; // options: --no").unwrap();
        assert_eq!(plain.targets, [Target::Sm80]);
        assert_eq!(plain.options("sm_90").len(), 1 + OPTIONS.len());
        let asking = parse("// options: --fmad=false --x\n// targets: sm_80, sm_90a").unwrap();
        assert_eq!(asking.targets, Target::ALL);
        assert_eq!(asking.ptx_path(Target::Sm90a), "ptx/sm_90a/k.ptx");
        let options = asking.options("sm_90a");
        assert_eq!(options[0], "--gpu-architecture=sm_90a");
        assert_eq!(options[options.len() - 2..], ["--fmad=false", "--x"]);
        let error = parse("// targets: sm_12").unwrap_err();
        assert!(error.contains("kernels/k.cu") && error.contains("`sm_12`"), "{error}");
    }

    #[test]
    fn a_budget_holds_for_the_kernels_below_it() {
        let text =
            "// budget: 32 registers\nK(add_f32)\nK(add)\n// mul\n// budget: 40 registers\n// doc\nK(mul) // add";
        let source = parse(text).unwrap();
        let budgets = ["add_f32", "add", "mul", "f32"].map(|kernel| source.budget(kernel));
        assert_eq!(budgets, [Some(32), Some(32), Some(40), None]);
        assert_eq!(parse("K(add)\n// budget: 32 registers").unwrap().budget("add"), None);
        let error = parse("\n// budget: many registers").unwrap_err();
        assert!(error.contains("kernels/k.cu:2:"), "{error}");
    }
}
