//! Line charts, such as the loss over training steps.
//!
//! plotters lays the chart out; the letters are a bitmap font in the program, so that a chart looks the same on every
//! machine and needs no installed font.

use std::convert::Infallible;
use std::ops::Range;

use embedded_graphics::geometry::Point;
use embedded_graphics::image::GetPixel;
use embedded_graphics::mono_font::MonoFont;
use embedded_graphics::mono_font::iso_8859_1::FONT_9X15;
use embedded_graphics::pixelcolor::BinaryColor;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendTextStyle, DrawingBackend, DrawingErrorKind};

use crate::picture::{Picture, PictureError};

const FONT: MonoFont<'_> = FONT_9X15;
/// The size at which plotters, which guesses where it has no font, takes a letter for 9 pixels wide.
const FONT_SIZE: u32 = 20;
/// Colours that the colour-blind tell apart (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
/// Points beyond this are left out: the width of an axis must stay finite.
const LARGEST: f64 = 1e100;

/// A chart could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// No series has a point that can be drawn.
    #[error("nothing to plot: no finite{} points", if *log_y { ", positive" } else { "" })]
    Empty {
        /// Whether the vertical axis is logarithmic.
        log_y: bool,
    },
    /// The chart is too small or too large.
    #[error("a chart of {width}×{height} pixels: it must be 320×200 to 8192×8192")]
    Size {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// The picture could not be made.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The layout failed.
    #[error("cannot lay out the chart: {0}")]
    Layout(String),
}

/// A line of a chart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Its name in the legend; an empty one is not shown.
    pub label: String,
    /// Its points (x, y) by increasing x. Those that are not finite, or not positive on a logarithmic axis, are left
    /// out.
    pub points: Vec<(f64, f64)>,
    /// Error bars, each a point and how far it may be off, up and down.
    pub bars: Vec<((f64, f64), f64)>,
}

/// How a chart looks.
///
/// ```
/// use yuragi_io::plot::{Chart, Series};
/// let points = (1..100).map(|i| (i as f64, 1.0 / i as f64)).collect();
/// let loss = Series { label: "loss".into(), points, ..Series::default() };
/// let picture = Chart { log_y: true, ..Chart::default() }.draw(&[loss])?;
/// assert_eq!((picture.width(), picture.height()), (960, 540));
/// # Ok::<(), yuragi_io::plot::PlotError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// Stands above; empty for none. Letters outside Latin-1 become `?`, here and in all texts.
    pub title: String,
    /// Names the horizontal axis.
    pub x_label: String,
    /// Names the vertical axis.
    pub y_label: String,
    /// Whether the vertical axis is logarithmic.
    pub log_y: bool,
    /// Width in pixels, 320 to 8192.
    pub width: usize,
    /// Height in pixels, 200 to 8192.
    pub height: usize,
}

impl Default for Chart {
    /// Loss over steps, 960×540 pixels, linear.
    fn default() -> Self {
        Self {
            title: String::new(),
            x_label: "step".to_owned(),
            y_label: "loss".to_owned(),
            log_y: false,
            width: 960,
            height: 540,
        }
    }
}

impl Chart {
    /// Draws the series.
    ///
    /// # Errors
    /// [`PlotError::Empty`] without a point that can be drawn, [`PlotError::Size`].
    pub fn draw(&self, series: &[Series]) -> Result<Picture, PlotError> {
        let Self { width, height, log_y, .. } = *self;
        if !(320..=8192).contains(&width) || !(200..=8192).contains(&height) {
            return Err(PlotError::Size { width, height });
        }
        let drawable =
            |&(x, y): &(f64, f64)| x.abs() <= LARGEST && y.abs() <= LARGEST && (!log_y || y >= 1.0 / LARGEST);
        let scaled = |(x, y): (f64, f64)| (x, if log_y { y.log10() } else { y });
        let lines: Vec<(&str, Vec<(f64, f64)>)> = series
            .iter()
            .map(|s| (s.label.as_str(), s.points.iter().copied().filter(drawable).map(scaled).collect()))
            .map(|(label, points)| (label, thin(points, width)))
            .collect();
        let ends = |&((x, y), error): &((f64, f64), f64)| [(x, y - error), (x, y + error)];
        let bars: Vec<Vec<[(f64, f64); 2]>> = series
            .iter()
            .map(|s| {
                s.bars.iter().map(ends).filter(|bar| bar.iter().all(drawable)).map(|bar| bar.map(scaled)).collect()
            })
            .collect();
        let all = || lines.iter().flat_map(|(_, points)| points).chain(bars.iter().flatten().flatten());
        let (Some(x), Some(y)) = (range(all().map(|p| p.0)), range(all().map(|p| p.1))) else {
            return Err(PlotError::Empty { log_y });
        };
        let mut picture = Picture::filled(width, height, [255; 3])?;
        let ticks = if log_y { log_ticks(&y) } else { None };
        let drawn = self.lines(&mut picture, x, Axis { scale: y.into(), ticks }, &lines, &bars);
        drawn.map_err(|error| PlotError::Layout(error.to_string()))?;
        Ok(picture)
    }

    fn lines(
        &self,
        picture: &mut Picture,
        x: Range<f64>,
        y: Axis,
        lines: &[(&str, Vec<(f64, f64)>)],
        bars: &[Vec<[(f64, f64); 2]>],
    ) -> Result<(), DrawingAreaErrorKind<Infallible>> {
        let font = ("monospace", FONT_SIZE);
        let area = Canvas(picture).into_drawing_area();
        let mut builder = ChartBuilder::on(&area);
        builder.margin(12).margin_right(24).x_label_area_size(48).y_label_area_size(100);
        if !self.title.is_empty() {
            builder.caption(&self.title, font);
        }
        let mut chart = builder.build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(225, 225, 225))
            .label_style(font)
            .axis_desc_style(font)
            .x_desc(&self.x_label)
            .y_desc(&self.y_label)
            .x_labels(8)
            .y_labels(8)
            .x_label_formatter(&|&v| short(v))
            .y_label_formatter(&|&v| short(if self.log_y { 10f64.powf(v) } else { v }))
            .draw()?;
        for (((label, points), bars), colour) in lines.iter().zip(bars).zip(COLOURS.into_iter().cycle()) {
            chart.draw_series(bars.iter().map(|&ends| PathElement::new(ends, colour.stroke_width(1))))?;
            let line = chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
            if !label.is_empty() {
                line.label(*label).legend(move |(x, y)| Rectangle::new([(x, y - 2), (x + 16, y + 1)], colour.filled()));
            }
        }
        if lines.iter().any(|(label, _)| !label.is_empty()) {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperRight)
                .background_style(WHITE.mix(0.8))
                .border_style(RGBColor(180, 180, 180))
                .label_font(font)
                .draw()?;
        }
        drop(chart);
        area.present()
    }
}

/// A linear axis, with labels where `ticks` says.
struct Axis {
    scale: RangedCoordf64,
    ticks: Option<Vec<f64>>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.scale.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        self.ticks.clone().unwrap_or_else(|| self.scale.key_points(hint))
    }

    fn range(&self) -> Range<f64> {
        self.scale.range()
    }
}

/// The range of the values with a margin; `None` if there are none.
fn range(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return None;
    }
    // An axis needs a width that its numbers can resolve.
    let least = (low.abs().max(high.abs()) * 1e-6).max(1e-9);
    let margin = ((high - low) * 0.02).max(least);
    Some(low - margin..high + margin)
}

/// The logarithms of round numbers in a range of logarithms; `None` if fewer than two are inside.
fn log_ticks(range: &Range<f64>) -> Option<Vec<f64>> {
    let decades = range.end - range.start;
    let digits: &[f64] = if decades < 4.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let step = (decades / 8.0).ceil().max(1.0);
    let first = (range.start / step).floor() * step;
    let ticks: Vec<f64> = (0..=10)
        .map(|i| first + step * f64::from(i))
        .flat_map(|power| digits.iter().map(move |digit| power + digit.log10()))
        .filter(|tick| range.contains(tick))
        .collect();
    (ticks.len() > 1).then_some(ticks)
}

/// At most four points a column of pixels: of more, the lowest and the highest of each run are kept.
fn thin(points: Vec<(f64, f64)>, width: usize) -> Vec<(f64, f64)> {
    if points.len() <= 4 * width {
        return points;
    }
    let run = points.len().div_ceil(2 * width);
    let extremes = |run: &[(f64, f64)]| {
        let low = run.iter().min_by(|a, b| a.1.total_cmp(&b.1)).copied();
        let high = run.iter().max_by(|a, b| a.1.total_cmp(&b.1)).copied();
        let mut both: Vec<_> = low.into_iter().chain(high).collect();
        both.sort_by(|a, b| a.0.total_cmp(&b.0));
        both
    };
    points.chunks(run).flat_map(extremes).collect()
}

/// A number of at most four digits, without trailing zeros.
fn short(value: f64) -> String {
    let size = value.abs();
    if size < 1e-12 {
        "0".to_owned()
    } else if (1e-3..1e6).contains(&size) {
        let digits = (3 - size.log10().floor() as i32).max(0) as usize;
        let text = format!("{value:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        let text = format!("{value:.2e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A picture that plotters draws on.
struct Canvas<'a>(&'a mut Picture);

impl DrawingBackend for Canvas<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.0.width() as u32, self.0.height() as u32)
    }

    fn ensure_prepared(&mut self) -> Result<(), DrawingErrorKind<Infallible>> {
        Ok(())
    }

    fn present(&mut self) -> Result<(), DrawingErrorKind<Infallible>> {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Result<(), DrawingErrorKind<Infallible>> {
        let (width, height) = (self.0.width(), self.0.height());
        if let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y))
            && x < width
            && y < height
        {
            let (r, g, b) = colour.rgb;
            for (under, over) in self.0.rgb_mut()[(y * width + x) * 3..].iter_mut().zip([r, g, b]) {
                let mixed = f64::from(*under) * (1.0 - colour.alpha) + f64::from(over) * colour.alpha;
                *under = mixed.round() as u8;
            }
        }
        Ok(())
    }

    /// Every segment by itself: the default joins them into one outline, whose corners shoot out of a noisy line.
    fn draw_path<S: plotters_backend::BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let points: Vec<_> = path.into_iter().collect();
        points.windows(2).try_for_each(|pair| self.draw_line(pair[0], pair[1], style))
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        (left, top): BackendCoord,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let (width, height) = extent(text);
        let dx = match style.anchor().h_pos {
            HPos::Left => 0,
            HPos::Center => -width / 2,
            HPos::Right => -width,
        };
        let dy = match style.anchor().v_pos {
            VPos::Top => 0,
            VPos::Center => -height / 2,
            VPos::Bottom => -height,
        };
        for (x, y) in ink(text) {
            let (x, y) = style.transform().transform(x + dx, y + dy);
            self.draw_pixel((left + x, top + y), style.color())?;
        }
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        _: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let (width, height) = extent(text);
        Ok((width.unsigned_abs(), height.unsigned_abs()))
    }
}

/// The width and height of a text in pixels.
fn extent(text: &str) -> (i32, i32) {
    let letter = FONT.character_size;
    (text.chars().count() as i32 * letter.width as i32, letter.height as i32)
}

/// The pixels that a text colours, from its upper left corner.
fn ink(text: &str) -> impl Iterator<Item = (i32, i32)> {
    let (width, height) = (FONT.character_size.width as i32, FONT.character_size.height as i32);
    let columns = embedded_graphics::geometry::OriginDimensions::size(&FONT.image).width as i32 / width;
    text.chars().zip(0..).flat_map(move |(c, place)| {
        let index = FONT.glyph_mapping.index(c) as i32;
        let corner = (index % columns * width, index / columns * height);
        (0..height).flat_map(move |y| (0..width).map(move |x| (x, y))).filter_map(move |(x, y)| {
            let inked = FONT.image.pixel(Point::new(corner.0 + x, corner.1 + y)) == Some(BinaryColor::On);
            inked.then_some((place * width + x, y))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(f64, f64)]) -> Series {
        Series { label: "a".to_owned(), points: points.to_vec(), ..Series::default() }
    }

    fn coloured(picture: &Picture, RGBColor(r, g, b): RGBColor) -> usize {
        picture.rgb().chunks(3).filter(|p| *p == [r, g, b]).count()
    }

    #[test]
    fn lines_rise_where_the_values_rise() {
        let chart = Chart::default();
        let picture = chart.draw(&[Series { points: vec![(0.0, 0.0), (1.0, 1.0)], ..Series::default() }]).unwrap();
        let RGBColor(r, g, b) = COLOURS[0];
        let height_at = |x: usize| (0..picture.height()).find(|&y| picture.pixel(x, y) == Some([r, g, b]));
        let (left, right) = (height_at(250).unwrap(), height_at(850).unwrap());
        assert!(left > right + 200, "{left} {right}");
    }

    #[test]
    fn every_series_is_drawn_and_named() {
        let all: Vec<_> = (0..3).map(|i| series(&[(0.0, f64::from(i)), (9.0, f64::from(i) + 0.5)])).collect();
        let picture = Chart { title: "three lines".to_owned(), ..Chart::default() }.draw(&all).unwrap();
        assert!(COLOURS[..3].iter().all(|&colour| coloured(&picture, colour) > 300));
        assert_eq!(coloured(&picture, COLOURS[3]), 0);
        assert!(coloured(&picture, BLACK) > 500, "text and axes");
    }

    #[test]
    fn odd_values_are_left_out_and_nothing_is_an_error() {
        let odd = [(0.0, f64::NAN), (1.0, f64::INFINITY), (f64::NAN, 1.0), (2.0, 1e300), (3.0, -1e300)];
        let chart = Chart::default();
        assert!(matches!(chart.draw(&[series(&odd)]), Err(PlotError::Empty { log_y: false })));
        assert!(matches!(chart.draw(&[]), Err(PlotError::Empty { .. })));
        let log = Chart { log_y: true, ..Chart::default() };
        let error = log.draw(&[series(&[(0.0, 0.0), (1.0, -1.0)])]).unwrap_err();
        assert_eq!(error.to_string(), "nothing to plot: no finite, positive points");
        let mut some = odd.to_vec();
        some.extend([(4.0, 0.5), (5.0, 0.25)]);
        assert_eq!(chart.draw(&[series(&some)]).unwrap(), chart.draw(&[series(&some[5..])]).unwrap());
        assert!(matches!(Chart { width: 3, ..chart }.draw(&[series(&some)]), Err(PlotError::Size { .. })));
    }

    #[test]
    fn error_bars_reach_as_far_as_they_say() {
        let points = vec![(0.0, 1.0), (1.0, 1.0), (2.0, 1.0)];
        let bars = vec![((1.0, 1.0), 0.5), ((1.5, 1.0), f64::INFINITY)];
        let picture = Chart::default().draw(&[Series { points, bars, ..Series::default() }]).unwrap();
        let RGBColor(r, g, b) = COLOURS[0];
        let inked = |x: usize| (0..540).filter(|&y| picture.pixel(x, y) == Some([r, g, b])).count();
        let longest = (0..960).map(inked).max().unwrap();
        assert!(longest > 400, "the bar fills the chart: {longest}");
        assert_eq!((0..960).filter(|&x| inked(x) > 100).count(), 1, "and is alone");
    }

    #[test]
    fn every_range_can_be_drawn() {
        let values = [1e-100, 1e-12, 0.3, 1.0, 1.0 + 1e-15, 123_456.0, 1e12, 1e100];
        for log_y in [false, true] {
            let chart = Chart { log_y, width: 320, height: 200, ..Chart::default() };
            for a in values {
                for b in values {
                    let picture = chart.draw(&[series(&[(a, b), (b, a)])]).unwrap();
                    assert!(coloured(&picture, COLOURS[0]) > 0, "{a} {b} {log_y}");
                }
            }
        }
    }

    #[test]
    fn logarithmic_ticks_are_round() {
        let ticks = |low: f64, high: f64| {
            log_ticks(&(low.log10()..high.log10())).map(|t| t.iter().map(|t| short(10f64.powf(*t))).collect::<Vec<_>>())
        };
        assert_eq!(ticks(0.015, 0.9).unwrap(), ["0.02", "0.05", "0.1", "0.2", "0.5"]);
        assert_eq!(ticks(0.5e-6, 2.0).unwrap(), ["1e-6", "1e-5", "1e-4", "0.001", "0.01", "0.1", "1"]);
        assert_eq!(ticks(1.1, 1.9), None);
        assert!(ticks(1e-100, 1e100).unwrap().len() <= 9);
    }

    #[test]
    fn a_noisy_line_stays_in_its_box() {
        let points: Vec<_> = (0..2000).map(|i| (f64::from(i), f64::from(i * 7919 % 100))).collect();
        let picture = Chart::default().draw(&[Series { points, ..Series::default() }]).unwrap();
        for margin in [picture.crop(0, 0, 960, 11), picture.crop(0, 485, 960, 55), picture.crop(0, 0, 110, 540)] {
            assert_eq!(coloured(&margin.unwrap(), COLOURS[0]), 0);
        }
    }

    #[test]
    fn many_points_keep_their_extremes() {
        let mut points: Vec<_> = (0..100_000).map(|i| (f64::from(i), f64::from(i % 7))).collect();
        points[54_321].1 = 99.0;
        let thinned = thin(points.clone(), 320);
        assert!(thinned.len() <= 4 * 320 && thinned.contains(&(54_321.0, 99.0)));
        assert!(thinned.is_sorted_by(|a, b| a.0 <= b.0));
        Chart::default().draw(&[series(&points)]).unwrap();
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1e-17, "0"),
            (0.25, "0.25"),
            (-1.5, "-1.5"),
            (1000.0, "1000"),
            (250_000.0, "250000"),
            (2e6, "2e6"),
            (0.001, "0.001"),
            (1e-5, "1e-5"),
            (1.25e-7, "1.25e-7"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn letters_have_ink() {
        assert_eq!(ink(" ").count(), 0);
        assert!(ink("A").count() > 10);
        assert_ne!(ink("A").collect::<Vec<_>>(), ink("B").collect::<Vec<_>>());
        assert!(ink("Aé").all(|(x, y)| (0..18).contains(&x) && (0..15).contains(&y)));
        assert!(ink("猫").count() > 0);
    }
}
