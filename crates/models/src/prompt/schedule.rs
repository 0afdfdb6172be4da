use alloc::string::String;
use alloc::vec::Vec;

/// Texts, each with the last step at which it counts; steps are counted from 1.
pub type Schedule = Vec<(usize, String)>;

/// The most brackets within brackets; what lies deeper is text.
const DEEPEST: usize = 100;

/// What a prompt says at each of `steps` steps (a prompt for no steps is for one).
///
/// Numbers with a point are shares of the steps, others are steps; both are rounded down. The colons of `(a:1.3)` are
/// not those of a change. Brackets that do not close, or that hold neither a change nor an alternation, are left as
/// they are, for [`weighted`](super::weighted) to read; `|` outside of them is text.
///
/// ```
/// use yuragi_models::prompt::schedule;
/// assert_eq!(schedule("a [b:.5] c", 10), [(5, "a  c".into()), (10, "a b c".into())]);
/// assert_eq!(schedule("[fe|]male", 2), [(1, "female".into()), (2, "male".into())]);
/// ```
#[must_use]
pub fn schedule(prompt: &str, steps: usize) -> Schedule {
    schedule_of(prompt, steps, None)
}

/// The same of a second pass of so many steps, after `first` steps of a first one: steps are counted on, and shares of
/// the second pass are those above 1.
///
/// ```
/// use yuragi_models::prompt::schedule_of;
/// assert_eq!(schedule_of("a [b:1.5] c", 10, Some(10)), [(5, "a  c".into()), (10, "a b c".into())]);
/// assert_eq!(schedule_of("a [b:.5] c", 10, Some(10)), [(10, "a b c".into())]);
/// ```
#[must_use]
pub fn schedule_of(prompt: &str, steps: usize, first: Option<usize>) -> Schedule {
    let steps = steps.max(1);
    let partners = partners(prompt);
    let parser = Parser { prompt, partners: &partners, steps, first };
    let nodes = parser.nodes(0, prompt.len(), 0);
    let mut ends = Vec::from([steps]);
    nodes.iter().for_each(|node| node.ends(steps, &mut ends));
    ends.sort_unstable();
    ends.dedup();
    let mut schedule: Schedule = Vec::new();
    for end in ends {
        let mut text = String::new();
        nodes.iter().for_each(|node| node.write(end, &mut text));
        match schedule.last_mut() {
            // The same words go on.
            Some((until, before)) if *before == text => *until = end,
            _ => schedule.push((end, text)),
        }
    }
    schedule
}

/// The text at a step, counted from 1.
///
/// ```
/// use yuragi_models::prompt::{at, schedule};
/// assert_eq!(at(&schedule("[a:b:2]", 4), 3), "b");
/// ```
#[must_use]
pub fn at(schedule: &[(usize, String)], step: usize) -> &str {
    let now = schedule.iter().find(|(until, _)| step <= *until).or_else(|| schedule.last());
    now.map_or("", |(_, text)| text.as_str())
}

/// All that a prompt says at one step or another, each text once; steps beyond the hundredth are not looked at.
///
/// ```
/// use yuragi_models::prompt::texts;
/// assert_eq!(texts("a [red|blue] [cat:8]"), ["a red ", "a blue ", "a red cat", "a blue cat"]);
/// ```
#[must_use]
pub fn texts(prompt: &str) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for (_, text) in schedule(prompt, 100) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

/// A piece of a prompt.
enum Node<'a> {
    Text(&'a str),
    /// Before a step's end, and after it.
    Change {
        before: Vec<Node<'a>>,
        after: Vec<Node<'a>>,
        when: i64,
    },
    /// One after another.
    Alternation(Vec<Vec<Node<'a>>>),
}

impl Node<'_> {
    /// The steps at whose end something may change.
    fn ends(&self, steps: usize, ends: &mut Vec<usize>) {
        match self {
            Node::Text(_) => {}
            Node::Change { before, after, when } => {
                if (1..=steps as i64).contains(when) {
                    ends.push(*when as usize);
                }
                before.iter().chain(after).for_each(|node| node.ends(steps, ends));
            }
            // Whatever the options hold changes at one of all steps.
            Node::Alternation(_) => ends.extend(1..=steps),
        }
    }

    fn write(&self, step: usize, out: &mut String) {
        match self {
            Node::Text(text) => out.push_str(text),
            Node::Change { before, after, when } => {
                let now = if step as i64 <= *when { before } else { after };
                now.iter().for_each(|node| node.write(step, out));
            }
            Node::Alternation(options) => {
                options[(step - 1) % options.len()].iter().for_each(|node| node.write(step, out));
            }
        }
    }
}

/// For each byte that is a bracket with a partner, the place behind it and its partner; else 0.
fn partners(prompt: &str) -> Vec<usize> {
    let mut partners = alloc::vec![0; prompt.len()];
    let mut open: Vec<(usize, u8)> = Vec::new();
    let mut bytes = prompt.bytes().enumerate();
    while let Some((place, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'(' | b'[' => open.push((place, byte)),
            b')' | b']' => {
                let fits = if byte == b')' { b'(' } else { b'[' };
                match open.pop() {
                    Some((start, kind)) if kind == fits => partners[start] = place,
                    // What is open now never closes well.
                    _ => open.clear(),
                }
            }
            _ => {}
        }
    }
    partners
}

struct Parser<'a, 'b> {
    prompt: &'a str,
    partners: &'b [usize],
    steps: usize,
    first: Option<usize>,
}

impl<'a> Parser<'a, '_> {
    /// The nodes of a stretch of the prompt.
    fn nodes(&self, start: usize, end: usize, depth: usize) -> Vec<Node<'a>> {
        let mut nodes = Vec::new();
        let (mut text, mut place) = (start, start);
        while place < end {
            let close = self.partners[place];
            match self.prompt.as_bytes()[place] {
                b'\\' => place += 1,
                b'[' if (place + 1..end).contains(&close) && depth < DEEPEST => {
                    if let Some(node) = self.bracket(place + 1, close, depth + 1) {
                        nodes.push(Node::Text(&self.prompt[text..place]));
                        nodes.push(node);
                        (text, place) = (close + 1, close);
                    }
                }
                _ => {}
            }
            place += 1;
        }
        nodes.push(Node::Text(&self.prompt[text.min(end)..end]));
        nodes
    }

    /// What stands between square brackets, if it is a change or an alternation.
    fn bracket(&self, start: usize, end: usize, depth: usize) -> Option<Node<'a>> {
        let colons = self.outer(start, end, b':');
        if let Some(&last) = colons.last()
            && let Some(when) = self.when(&self.prompt[last + 1..end])
            && colons.len() <= 2
        {
            let (before, after) = match colons[..] {
                [first, _] => (self.nodes(start, first, depth), self.nodes(first + 1, last, depth)),
                _ => (Vec::new(), self.nodes(start, last, depth)),
            };
            return Some(Node::Change { before, after, when });
        }
        let bars = self.outer(start, end, b'|');
        if bars.is_empty() || !colons.is_empty() {
            return None;
        }
        let starts = core::iter::once(start).chain(bars.iter().map(|bar| bar + 1));
        let ends = bars.iter().copied().chain([end]);
        Some(Node::Alternation(starts.zip(ends).map(|(start, end)| self.nodes(start, end, depth)).collect()))
    }

    /// The places of a mark outside of inner brackets.
    fn outer(&self, start: usize, end: usize, mark: u8) -> Vec<usize> {
        let mut places = Vec::new();
        let mut place = start;
        while place < end {
            match self.prompt.as_bytes()[place] {
                b'\\' => place += 1,
                b'(' | b'[' if self.partners[place] > place => place = self.partners[place],
                byte if byte == mark => places.push(place),
                _ => {}
            }
            place += 1;
        }
        places
    }

    /// The step that a number means.
    fn when(&self, text: &str) -> Option<i64> {
        let number = text.trim();
        let plain = number.strip_prefix(['+', '-']).unwrap_or(number);
        let legal = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && plain.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
        let value: f64 = number.parse().ok().filter(|_| legal)?;
        let value = match (number.contains('.'), self.first) {
            (true, first) => (value - if first.is_some() { 1.0 } else { 0.0 }) * self.steps as f64,
            (false, first) => value - first.unwrap_or(0) as f64,
        };
        Some((libm::trunc(value) as i64).min(self.steps as i64))
    }
}
