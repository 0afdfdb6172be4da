//! Kernels that may begin while the one before them ends (programmatic dependent launch; PTX ISA 9.0, `griddepcontrol`).
//!
//! The first thing that a thread of the dependent form does is to wait until the grid before its own is over and all that it
//! wrote can be seen; then it lets the next grid's blocks take what room there is. (Waiting later would change nothing: what
//! touches only registers, NVIDIA's assembler puts behind the wait.) Three things follow:
//!
//! - A grid is over only when its threads are, all of which have waited: so whoever has waited for one grid has waited for
//!   all before it, and may overwrite what any of them read.
//! - Blocks are placed only when all of the grid before have begun and passed their wait: no block waits for one that it
//!   keeps out of a multiprocessor, and at most two grids share the device.
//! - Launched without the attribute, a kernel finds nothing to wait for, and is what it was.

/// Waits for the grid before, then lets the one after begin.
pub(crate) const WAIT: &str = "\tgriddepcontrol.wait;\n\tgriddepcontrol.launch_dependents;\n";

/// The text with kernels that wait; `None` where it is not as NVRTC and this crate write texts: a target of sm_80 (which
/// becomes sm_90, the first to know these instructions) or of the family sm_90, the brace of a kernel
/// on a line of its own, and each statement.
pub fn form(ptx: &str) -> Option<String> {
    let mut text = String::with_capacity(ptx.len() + WAIT.len() * ptx.matches(".entry").count());
    let (mut targeted, mut place) = (false, Place::Outside);
    for line in ptx.split_inclusive('\n') {
        let words = line.trim();
        if let Some(target) = words.strip_prefix(".target ") {
            targeted = matches!(target, "sm_80" | "sm_90" | "sm_90a");
            text += &line.replace("sm_80", "sm_90");
            continue;
        }
        place = match place {
            Place::Outside if words.starts_with(".visible .entry ") => Place::Head,
            Place::Head if words == "{" => Place::Body,
            // Another form of a head, or a kernel that is only declared.
            Place::Head if words.contains(['{', ';']) => return None,
            Place::Body if !is_declaration(words) => {
                text += WAIT;
                Place::Outside
            }
            same => same,
        };
        text += line;
    }
    (targeted && matches!(place, Place::Outside)).then_some(text)
}

/// A place in a text.
#[derive(Clone, Copy)]
enum Place {
    /// Where nothing is looked for: outside of kernels, or behind a wait.
    Outside,
    /// Between a kernel's name and its brace.
    Head,
    /// Before its first statement.
    Body,
}

/// Whether a line of a kernel's body is no statement: nothing, a comment, or one declaration.
fn is_declaration(words: &str) -> bool {
    let alone = words.find(';').is_none_or(|end| end + 1 == words.len());
    words.is_empty() || words.starts_with("//") || words.starts_with('.') && alone
}
