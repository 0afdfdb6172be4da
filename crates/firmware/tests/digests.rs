//! This processor draws what every platform must.

use yuragi_firmware::digests::{all, digest};

#[test]
fn every_draw_is_the_one_that_was_written_down() {
    let lines = all().map(|(name, draw)| format!("{name} {:016x}\n", digest(draw).unwrap()));
    let drawn: String = lines.collect();
    let expected = include_str!("../digests.txt");
    for (drawn, expected) in drawn.lines().zip(expected.lines()) {
        assert_eq!(drawn, expected);
    }
    assert_eq!(drawn.lines().count(), expected.lines().count());
}
