//! The known word that is nearest to one that is not.

use alloc::vec::Vec;

use super::variants::spelling_key;

/// The fewest characters of a word that is looked for inside another.
const PART: usize = 4;

/// The known word that is the fewest slips of the pen away: at most one in three characters, and at least one. Else the longest one that the word
/// begins or ends with.
pub fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let typed: Vec<char> = spelling_key(word).chars().collect();
    let most = (typed.len() / 3).max(1);
    let mut slipped: Option<((usize, bool, bool), &str)> = None;
    let mut inside: Option<(usize, &str)> = None;
    for other in known {
        let chars: Vec<char> = spelling_key(other).chars().collect();
        if chars.len() >= PART && (typed.starts_with(&chars) || typed.ends_with(&chars)) {
            inside = inside.filter(|(longest, _)| *longest >= chars.len()).or(Some((chars.len(), other)));
        }
        // One slip in a word of one or two letters is another word.
        if chars.len().abs_diff(typed.len()) > most || chars.len().min(typed.len()) < 3 {
            continue;
        }
        let rank = (slips(&typed, &chars), chars.first() != typed.first(), chars.last() != typed.last());
        if rank.0 <= most && slipped.is_none_or(|(least, _)| rank < least) {
            slipped = Some((rank, other));
        }
    }
    slipped.map(|(_, other)| other).or(inside.map(|(_, other)| other))
}

/// Letters changed, left out, added, or swapped with their neighbour (optimal string alignment).
fn slips(a: &[char], b: &[char]) -> usize {
    let mut rows: [Vec<usize>; 3] = [(0..=b.len()).collect(), (0..=b.len()).collect(), (0..=b.len()).collect()];
    for (i, x) in a.iter().enumerate() {
        rows.rotate_left(1);
        let [before, last, row] = &mut rows;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = last[j] + usize::from(x != y);
            row[j + 1] = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
    }
    rows[2][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (a, b, count) in
            [("", "", 0), ("", "abc", 3), ("rocket", "rokcet", 1), ("rocket", "rockets", 1), ("kitten", "sitting", 3)]
        {
            let [a, b] = [a, b].map(|word| word.chars().collect::<Vec<_>>());
            assert_eq!((slips(&a, &b), slips(&b, &a)), (count, count), "{a:?} {b:?}");
        }
    }

    #[test]
    fn near_words_are_offered_and_far_ones_are_not() {
        let known = ["zebra", "rocket", "socket", "fish", "キリン", "a", "at"];
        let near = |word| nearest(word, known.into_iter());
        assert_eq!(near("zbera"), Some("zebra"));
        assert_eq!(near("rockat"), Some("rocket"));
        assert_eq!(nearest("lampt", ["lamp", "lamped", "lampet"].into_iter()), Some("lampet"));
        assert_eq!(near("zebrafish"), Some("zebra"));
        assert_eq!(near("sunfish"), Some("fish"));
        assert_eq!(near("きりん"), Some("キリン"));
        assert_eq!(near("volcano"), None);
        assert_eq!(near("ab"), None);
    }
}
