//! Loops that write where they read.

use alloc::vec::Vec;

use super::{Buffer, Chain, End, Home, Instruction, Step, Store};

/// Lets a loop's result take the place of an operand that nobody needs after it, where the loop reads of that only the
/// element at hand: the two are one buffer from there on. `buffers` have their lives; returns what each is called now.
pub(super) fn merge(steps: &mut [Step], buffers: &mut [Buffer]) -> Vec<usize> {
    let mut names: Vec<usize> = (0..buffers.len()).collect();
    for (number, step) in steps.iter_mut().enumerate() {
        let now = |home: &mut Home| {
            if let Home::Buffer(buffer) = home {
                *buffer = names[*buffer];
            }
        };
        step.homes_mut(now);
        let Step::Chain(chain) = step else { continue };
        for output in 0..chain.outputs.len() {
            let Some((new, old)) = replaced(chain, output, number, buffers) else { continue };
            buffers[old].last = buffers[new].last;
            (buffers[new].count, buffers[new].last) = (0, number);
            names[new] = old;
            chain.outputs[output].home = Home::Buffer(old);
        }
    }
    names
}

/// The buffer of an output, and that of the operand whose place it can take.
fn replaced(chain: &Chain, output: usize, number: usize, buffers: &[Buffer]) -> Option<(usize, usize)> {
    let End::Stores(stores) = &chain.end else { return None };
    let mut written = stores.iter().filter(|store| store.output == output);
    let (Some(store), None) = (written.next(), written.next()) else { return None };
    let whole = store.view.is_contiguous() && store.view.offset == 0 && store.view.count() == chain.count;
    let Home::Buffer(new) = chain.outputs[output].home else { return None };
    let fits = |buffer: &Buffer| buffer.count == chain.count && buffer.dtype == buffers[new].dtype;
    let old = chain.inputs.iter().enumerate().find_map(|(input, source)| {
        let Home::Buffer(old) = source.home else { return None };
        let only = chain.inputs.iter().filter(|other| other.home == source.home).count() == 1;
        // What is stored as it was read may be read after another store.
        let kept =
            |store: &Store| !matches!(chain.code[store.value.0], Instruction::Load { input: i, .. } if i == input);
        let free = stores.iter().all(kept)
            && buffers[old].last == number
            && chain.outputs.iter().all(|output| output.home != source.home);
        (only && free && fits(&buffers[old]) && !chain.walks(input)).then_some(old)
    })?;
    (whole && buffers[new].first == number && fits(&buffers[new])).then_some((new, old))
}
