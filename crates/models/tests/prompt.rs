//! Prompts as the common web interface reads them: its documented examples, and what else can be written.

use yuragi_models::prompt::{
    Chunk, Insert, Piece, ROOM, at, chunks, networks, scale, schedule, schedule_of, weighted, weighted_by_numbers,
};
use yuragi_models::tokenizer::Clip;

/// Prompts and their pieces; a piece of weight 0 stands for a break. Those marked `*` are the documented ones.
const WEIGHTED: &[(&str, &[(&str, f64)])] = &[
    ("normal text", &[("normal text", 1.0)]), // *
    ("an (important) word", &[("an ", 1.0), ("important", 1.1), (" word", 1.0)]), // *
    ("(unbalanced", &[("unbalanced", 1.1)]),  // *
    ("\\(literal\\]", &[("(literal]", 1.0)]), // *
    ("(unnecessary)(parens)", &[("unnecessaryparens", 1.1)]), // *
    (
        "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).", // *
        &[
            ("a ", 1.0),
            ("house", 1.573),
            (" ", 1.1),
            ("on", 1.0),
            (" a ", 1.1),
            ("hill", 0.55),
            (", sun, ", 1.1),
            ("sky", 1.4641),
            (".", 1.1),
        ],
    ),
    ("", &[("", 1.0)]),
    ("(a)", &[("a", 1.1)]),
    ("((a))", &[("a", 1.21)]),
    ("[a]", &[("a", 1.0 / 1.1)]),
    ("[[a]]", &[("a", 1.0 / 1.21)]),
    ("([a])", &[("a", 1.0)]),
    ("(a:1.3)", &[("a", 1.3)]),
    ("(a: 1.3 )", &[("a", 1.3)]),
    ("(a:.5)", &[("a", 0.5)]),
    ("(a:2)", &[("a", 2.0)]),
    ("(a:-1)", &[("a", -1.0)]),
    ("(a:+1.5)", &[("a", 1.5)]),
    ("(a:0)", &[("a", 0.0)]),
    ("((a:2):2)", &[("a", 4.0)]),
    ("(a (b:2) c:3)", &[("a ", 3.0), ("b", 6.0), (" c", 3.0)]),
    ("[a:1.3]", &[("a:1.3", 1.0 / 1.1)]),
    ("(a:b)", &[("a:b", 1.1)]),
    ("(a:1.2.3)", &[("a:1.2.3", 1.1)]),
    ("(a:.)", &[("a:.", 1.1)]),
    ("(a:)", &[("a:", 1.1)]),
    ("a:1.3)", &[("a:1.3)", 1.0)]),
    ("a)", &[("a)", 1.0)]),
    ("a]", &[("a]", 1.0)]),
    ("[a", &[("a", 1.0 / 1.1)]),
    ("(a]", &[("a]", 1.1)]),
    ("(a[b)c]", &[("a", 1.1), ("b", 1.0), ("c", 1.0 / 1.1)]),
    ("((a)", &[("a", 1.21)]),
    ("()", &[("", 1.0)]),
    ("\\\\", &[("\\", 1.0)]),
    ("a\\b", &[("ab", 1.0)]),
    ("a\\", &[("a", 1.0)]),
    ("\\[a\\)", &[("[a)", 1.0)]),
    ("(\\(a\\):1.5)", &[("(a)", 1.5)]),
    ("time 12:30", &[("time 12:30", 1.0)]),
    ("a BREAK b", &[("a", 1.0), ("", 0.0), ("b", 1.0)]),
    ("a\nBREAK\nb", &[("a", 1.0), ("", 0.0), ("b", 1.0)]),
    ("aBREAK b BREAKs", &[("aBREAK b BREAKs", 1.0)]),
    ("a, BREAK, b", &[("a,", 1.0), ("", 0.0), (", b", 1.0)]),
    ("BREAK BREAK", &[("", 1.0), ("", 0.0), ("", 1.0), ("", 0.0), ("", 1.0)]),
    ("(a BREAK b:1.5)", &[("a", 1.5), ("", 0.0), ("b", 1.5)]),
    ("(猫:1.2)と犬", &[("猫", 1.2), ("と犬", 1.0)]),
    ("(a)(b:1.1)", &[("ab", 1.1)]),
];

#[test]
fn t33_weights_are_the_web_interfaces() {
    for (prompt, want) in WEIGHTED {
        let have = weighted(prompt);
        assert_eq!(have.len(), want.len(), "{prompt}: {have:?}");
        for (have, (text, weight)) in have.iter().zip(*want) {
            match have {
                Piece::Break => assert_eq!((*text, *weight), ("", 0.0), "{prompt}"),
                Piece::Text(words, factor) => {
                    assert!(words == text && (factor - weight).abs() < 1e-9, "{prompt}: {words} {factor}");
                }
            }
        }
    }
}

/// Prompts at ten steps: each text with the last step at which it counts. Those marked `*` are the documented ones.
const SCHEDULED: &[(&str, &[(usize, &str)])] = &[
    ("test", &[(10, "test")]),                                      // *
    ("a [b:3]", &[(3, "a "), (10, "a b")]),                         // *
    ("a [b: 3]", &[(3, "a "), (10, "a b")]),                        // *
    ("a [[[b]]:2]", &[(2, "a "), (10, "a [[b]]")]),                 // *
    ("[(a:2):3]", &[(3, ""), (10, "(a:2)")]),                       // *
    ("a [b : c : 1] d", &[(1, "a b  d"), (10, "a  c  d")]),         // *
    ("a[b:[c:d:2]:1]e", &[(1, "abe"), (2, "ace"), (10, "ade")]),    // *
    ("a [unbalanced", &[(10, "a [unbalanced")]),                    // *
    ("a [b:.5] c", &[(5, "a  c"), (10, "a b c")]),                  // *
    ("a [{b|d{:.5] c", &[(5, "a  c"), (10, "a {b|d{ c")]),          // *
    ("((a][:b:c [d:3]", &[(3, "((a][:b:c "), (10, "((a][:b:c d")]), // *
    (
        "[a|(b:1.1)]", // *
        &[
            (1, "a"),
            (2, "(b:1.1)"),
            (3, "a"),
            (4, "(b:1.1)"),
            (5, "a"),
            (6, "(b:1.1)"),
            (7, "a"),
            (8, "(b:1.1)"),
            (9, "a"),
            (10, "(b:1.1)"),
        ],
    ),
    (
        "[fe|]male", // *
        &[
            (1, "female"),
            (2, "male"),
            (3, "female"),
            (4, "male"),
            (5, "female"),
            (6, "male"),
            (7, "female"),
            (8, "male"),
            (9, "female"),
            (10, "male"),
        ],
    ),
    (
        "[fe|||]male", // *
        &[(1, "female"), (4, "male"), (5, "female"), (8, "male"), (9, "female"), (10, "male")],
    ),
    ("", &[(10, "")]),
    ("[a:b:0.5]", &[(5, "a"), (10, "b")]),
    ("[a:0.3]", &[(3, ""), (10, "a")]),
    ("[a::0.3]", &[(3, "a"), (10, "")]),
    ("[a::3]", &[(3, "a"), (10, "")]),
    ("[a:b:0.35]", &[(3, "a"), (10, "b")]),
    ("[a:b:20]", &[(10, "a")]),
    ("[a:b:0]", &[(10, "b")]),
    ("[a:b:-1]", &[(10, "b")]),
    ("[a:b:1.0]", &[(10, "a")]),
    ("[a:b:1]", &[(1, "a"), (10, "b")]),
    ("[a]", &[(10, "[a]")]),
    ("(a:1.3)", &[(10, "(a:1.3)")]),
    ("[a:b:c:3]", &[(10, "[a:b:c:3]")]),
    ("[a:b]", &[(10, "[a:b]")]),
    ("[a:b:c]", &[(10, "[a:b:c]")]),
    ("\\[a:b:3\\]", &[(10, "\\[a:b:3\\]")]),
    ("[a\\:b:c:3]", &[(3, "a\\:b"), (10, "c")]),
    ("[(a:0.5]", &[(10, "[(a:0.5]")]),
    ("a | b", &[(10, "a | b")]),
    ("([a:b:3]:1.2)", &[(3, "(a:1.2)"), (10, "(b:1.2)")]),
    ("[[a:b:3]:c:6]", &[(3, "a"), (6, "b"), (10, "c")]),
    ("[猫:犬:4]", &[(4, "猫"), (10, "犬")]),
    ("x [a:b:2] [c:d:4]", &[(2, "x a c"), (4, "x b c"), (10, "x b d")]),
];

#[test]
fn t33_schedules_are_the_web_interfaces() {
    for (prompt, want) in SCHEDULED {
        let want: Vec<(usize, String)> = want.iter().map(|(end, text)| (*end, (*text).to_owned())).collect();
        assert_eq!(schedule(prompt, 10), want, "{prompt}");
    }
    assert!(WEIGHTED.len() + SCHEDULED.len() >= 80);
}

#[test]
fn t33_a_second_pass_counts_on() {
    let of = |prompt| schedule_of(prompt, 10, Some(10));
    assert_eq!(of("a [b:.5] c"), [(10, "a b c".into())]);
    assert_eq!(of("a [b:1.5] c"), [(5, "a  c".into()), (10, "a b c".into())]);
    assert_eq!(of("[a:b:13]"), [(3, "a".into()), (10, "b".into())]);
}

#[test]
fn t33_a_step_has_its_text() {
    let steps = schedule("[a:b:2]", 4);
    assert_eq!([1, 2, 3, 4, 9].map(|step| at(&steps, step)), ["a", "a", "b", "b", "b"]);
    assert_eq!(at(&[], 1), "");
    assert_eq!(schedule("[a|b]", 0), [(1, "a".into())]);
}

#[test]
fn t33_networks_are_taken_out() {
    let (text, found) = networks("<lora:a b:0.5> cat <hypernet:x>, 1 < 2 <b> <:> <lora:>");
    assert_eq!(text, " cat , 1 < 2 <b> <:> <lora:>");
    let told: Vec<_> = found.iter().map(|n| (n.kind.as_str(), n.name(), n.weight())).collect();
    assert_eq!(told, [("lora", "a b", Some(0.5)), ("hypernet", "x", Some(1.0))]);
    assert_eq!(networks("<lora:a:much>").1[0].weight(), None);
    assert_eq!(networks("a <lora:unclosed"), ("a <lora:unclosed".into(), Vec::new()));
}

fn rows(prompt: &str) -> Vec<Chunk> {
    chunks(&Clip::builtin(), &weighted(prompt), &[])
}

/// The tokens of each row, without begin, end and padding.
fn lengths(rows: &[Chunk]) -> Vec<usize> {
    rows.iter().map(|row| row.ids.iter().skip(1).take_while(|id| **id != 49_407).count()).collect()
}

#[test]
fn t33_long_prompts_are_cut_as_the_web_interface_cuts_them() {
    let words = |n: usize| vec!["cat"; n].join(" ");
    assert_eq!(lengths(&rows("")), [0]);
    assert_eq!(lengths(&rows(&words(75))), [75]);
    assert_eq!(lengths(&rows(&words(76))), [75, 1]);
    assert_eq!(lengths(&rows(&words(151))), [75, 75, 1]);
    // A comma 11 tokens back: what follows it moves on.
    assert_eq!(lengths(&rows(&format!("{}, {}", words(63), words(20)))), [64, 20]);
    // The 20th token back still counts, the 21st does not.
    assert_eq!(lengths(&rows(&format!("{}, {}", words(55), words(25)))), [56, 25]);
    assert_eq!(lengths(&rows(&format!("{}, {}", words(54), words(25)))), [75, 5]);
    // A comma that is the 76th token begins the next row.
    assert_eq!(lengths(&rows(&format!("{}, {}", words(75), words(3)))), [75, 4]);
    assert_eq!(lengths(&rows("a BREAK b b")), [1, 2]);
    assert_eq!(lengths(&rows("a BREAK")), [1]);
    assert_eq!(lengths(&rows("BREAK a")), [0, 1]);
    for row in rows(&words(100)) {
        assert_eq!((row.ids.len(), row.ids[0], row.ids[76], row.weights.len()), (77, 49_406, 49_407, 77));
    }
}

#[test]
fn t33_weights_move_with_their_tokens_and_padding_is_the_tokenizers() {
    let clip = Clip::builtin().padded_with(0);
    let row = &chunks(&clip, &weighted("a (red cat:1.5), [dog]"), &[])[0];
    assert_eq!(row.ids[..8], [49_406, 320, 736, 2368, 267, 1929, 49_407, 0]);
    let want = [1.0, 1.0, 1.5, 1.5, 1.0, (1.0 / 1.1) as f32, 1.0, 1.0];
    assert_eq!(row.weights[..8], want);
    assert_eq!(Chunk::empty(&clip).ids[..3], [49_406, 49_407, 0]);
}

#[test]
fn t33_learnt_vectors_stand_for_their_words() {
    let clip = Clip::builtin();
    let insert = |words: &str, ids: core::ops::Range<u32>| Insert { tokens: clip.tokens(words), ids: ids.collect() };
    let inserts = [insert("mycat", 49_408..49_410), insert("mycat deluxe", 49_410..49_411), insert("", 1..2)];
    let rows = chunks(&clip, &weighted("(mycat:1.2), mycat deluxe"), &inserts);
    assert_eq!(rows[0].ids[..6], [49_406, 49_408, 49_409, 267, 49_410, 49_407]);
    assert_eq!(rows[0].weights[..4], [1.0, 1.2, 1.2, 1.0]);
    // They are not torn apart.
    let long = format!("{} mycat", vec!["dog"; 74].join(" "));
    let rows = chunks(&clip, &weighted(&long), &inserts);
    assert_eq!(rows[1].ids[..4], [49_406, 49_408, 49_409, 49_407]);
    let vast = [Insert { tokens: clip.tokens("cat"), ids: vec![1; ROOM + 1] }];
    assert_eq!(chunks(&clip, &weighted("cat"), &vast)[0].ids[1], 2368);
}

#[test]
fn t33_weights_scale_features() {
    let features = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
    let (mut restored, mut same) = (features, features);
    scale(&mut restored, &[1.0, 2.0, 0.5]);
    let factor = 21.0f32 / 22.5;
    assert_eq!(restored, [1.0, 2.0, 6.0, 8.0, 2.5, 3.0].map(|x| x * factor));
    scale(&mut same, &[1.0; 3]);
    assert_eq!(same, features);
    // A mean of 0 cannot be restored.
    let mut nought = [1.0, -1.0, 1.0, -1.0];
    scale(&mut nought, &[2.0, 1.0]);
    assert_eq!(nought, [2.0, -2.0, 1.0, -1.0]);
}

#[test]
fn t33_models_with_brackets_of_their_own_take_numbers_only() {
    for (prompt, want) in [
        ("A button (blood type)", &[("A button (blood type)", 1.0)][..]),
        ("(a:1.5) [b]", &[("a", 1.5), (" [b]", 1.0)]),
        ("((a:2) b:0.5)", &[("a", 1.0), (" b", 0.5)]),
        ("(a (b) c:2)", &[("a (b) c", 2.0)]),
        ("\\(a:2\\) (b", &[("(a:2) (b", 1.0)]),
        ("a:2) BREAK", &[("a:2) BREAK", 1.0)]),
        ("", &[("", 1.0)]),
    ] {
        let want: Vec<Piece> = want.iter().map(|(text, weight)| Piece::Text((*text).into(), *weight)).collect();
        assert_eq!(weighted_by_numbers(prompt), want, "{prompt}");
    }
}
