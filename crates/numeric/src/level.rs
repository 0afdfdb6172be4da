/// A share, 0 to 1, as one of a byte's 256 levels: the nearest one, 0 or 255 beyond them, and 0 for NaN.
///
/// ```
/// use yuragi_numeric::level;
/// assert_eq!([0.0, 0.5, 1.0, -2.0, 7.0, f32::NAN].map(level), [0, 128, 255, 0, 255, 0]);
/// ```
#[must_use]
pub fn level(share: f32) -> u8 {
    libm::roundf(share * 255.0) as u8
}
