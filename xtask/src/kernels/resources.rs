//! What a kernel occupies on a processor, from the words of NVIDIA's assembler.

use crate::shell::Outcome;

/// A kernel on a processor; memory in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub kernel: String,
    pub processor: String,
    pub registers: u32,
    /// The most registers that it may use, if its source says.
    pub budget: Option<u32>,
    /// Shared memory of a block, without what a launch adds.
    pub shared: u32,
    pub stack: u32,
    /// Stored and loaded again for want of registers.
    pub spills: u32,
}

impl Usage {
    /// What must not be committed: a spill, or more registers than the source allows.
    pub fn fault(&self) -> Option<String> {
        let Self { kernel, processor, registers, budget, spills, .. } = self;
        match budget {
            _ if *spills > 0 => Some(format!("{kernel} spills {spills} bytes on {processor}")),
            None => Some(format!("no `// budget: N registers` stands above the name {kernel}")),
            Some(budget) if registers > budget => {
                Some(format!("{kernel} takes {registers} registers on {processor}, its budget is {budget}"))
            }
            Some(_) => None,
        }
    }
}

/// The kernels of a log of `ptxas -v`.
pub fn read_log(log: &str) -> Outcome<Vec<Usage>> {
    let mut usages: Vec<Usage> = Vec::new();
    let mut open = None::<Usage>;
    for line in log.lines() {
        if let Some(rest) = line.split("Compiling entry function '").nth(1) {
            let mut names = rest.split('\'');
            let (kernel, processor) = (names.next().unwrap_or_default(), names.nth(1).unwrap_or_default());
            open = Some(Usage { kernel: kernel.into(), processor: processor.into(), ..Usage::default() });
        } else if let (Some(usage), Some(stack)) = (&mut open, number_before(line, " bytes stack frame")) {
            let spill = |what| number_before(line, what).unwrap_or_default();
            usage.stack += stack;
            usage.spills += spill(" bytes spill stores") + spill(" bytes spill loads");
        } else if let Some(registers) = number_before(line, " registers") {
            let shared = number_before(line, " bytes smem").unwrap_or_default();
            usages.extend(open.take().map(|usage| Usage { registers, shared, ..usage }));
        }
    }
    let expected = log.matches("Compiling entry function").count();
    if usages.len() == expected && expected > 0 {
        Ok(usages)
    } else {
        Err(format!("the assembler's log tells of {} kernels, understood are {}", expected, usages.len()))
    }
}

/// The table of RESOURCES.md.
pub fn table(usages: &[Usage]) -> String {
    let mut usages: Vec<&Usage> = usages.iter().collect();
    usages.sort_by_key(|usage| (&usage.kernel, &usage.processor));
    let mut text = String::from(
        "# What the kernels occupy\n\n\
         Written by `cargo xtask kernels`, from the assembler of CUDA 13.0. Shared memory is what a block holds without \
         the dynamic part; shared memory, stack and spills are in bytes.\n\n\
         | kernel | processor | registers | budget | shared | stack | spills |\n|---|---|---|---|---|---|---|\n",
    );
    for Usage { kernel, processor, registers, budget, shared, stack, spills } in usages {
        let budget = budget.map_or("none".into(), |budget| budget.to_string());
        text += &format!("| `{kernel}` | {processor} | {registers} | {budget} | {shared} | {stack} | {spills} |\n");
    }
    text
}

/// The number that stands right before `what`.
fn number_before(line: &str, what: &str) -> Option<u32> {
    let before = line.split(what).next().filter(|before| before.len() < line.len())?;
    before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'softmax' for 'sm_80'
ptxas info    : Function properties for softmax
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 22 registers, used 1 barriers, 256 bytes smem, 376 bytes cmem[0], 8 bytes cmem[2]
ptxas info    : Compile time = 11.2 ms
ptxas info    : Compiling entry function 'add' for 'sm_90a'
ptxas info    : Function properties for add
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers
";

    fn usage(kernel: &str, processor: &str, numbers: [u32; 4]) -> Usage {
        let [registers, shared, stack, spills] = numbers;
        Usage { kernel: kernel.into(), processor: processor.into(), registers, budget: None, shared, stack, spills }
    }

    #[test]
    fn logs_are_understood() {
        let expected = [usage("softmax", "sm_80", [22, 256, 0, 0]), usage("add", "sm_90a", [255, 0, 16, 20])];
        assert_eq!(read_log(LOG).unwrap(), expected);
    }

    #[test]
    fn a_log_of_another_form_is_an_error() {
        assert!(read_log("").is_err());
        let error = read_log(&LOG.replace("Used 22 registers", "Used some registers")).unwrap_err();
        assert!(error.contains("2 kernels, understood are 1"), "{error}");
    }

    #[test]
    fn spills_and_broken_budgets_are_faults() {
        let fault = |budget, spills| Usage { budget, ..usage("add", "sm_80", [32, 0, 0, spills]) }.fault();
        assert_eq!(fault(Some(32), 0), None);
        assert_eq!(fault(Some(31), 0).unwrap(), "add takes 32 registers on sm_80, its budget is 31");
        assert_eq!(fault(None, 0).unwrap(), "no `// budget: N registers` stands above the name add");
        assert_eq!(fault(Some(32), 8).unwrap(), "add spills 8 bytes on sm_80");
    }

    #[test]
    fn the_table_has_a_row_for_each_kernel_and_processor_in_order() {
        let mut usages = read_log(LOG).unwrap();
        usages[0].budget = Some(32);
        let text = table(&usages);
        let rows: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("|---")).skip(1).collect();
        assert_eq!(
            rows,
            ["| `add` | sm_90a | 255 | none | 0 | 16 | 20 |", "| `softmax` | sm_80 | 22 | 32 | 256 | 0 | 0 |"]
        );
    }
}
