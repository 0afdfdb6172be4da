//! Formats of `printf`, as a GPU's driver prints them.

/// What stands between a `%` and its conversion.
#[derive(Default)]
struct Form {
    left: bool,
    plus: bool,
    blank: bool,
    other: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
    /// Bytes of an integer.
    bytes: usize,
}

/// The most characters that a number fills.
const MOST_WIDTH: usize = 4096;

/// A text with values in it: `value` gives the next one of so many bytes, `text` what lies at an address; and how many
/// values it took.
pub(super) fn format(
    form: &[u8],
    mut value: impl FnMut(usize) -> u64,
    text: impl Fn(u64) -> Vec<u8>,
) -> (Vec<u8>, u32) {
    let (mut out, mut count) = (Vec::new(), 0);
    let mut left = form;
    while let Some((&byte, rest)) = left.split_first() {
        left = rest;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut f = Form { bytes: 4, ..Form::default() };
        let next = |left: &mut &[u8]| {
            let (&byte, rest) = left.split_first()?;
            *left = rest;
            Some(byte)
        };
        let flags: usize = left.iter().take_while(|byte| b"-+ #0".contains(byte)).count();
        for flag in &left[..flags] {
            match flag {
                b'-' => f.left = true,
                b'+' => f.plus = true,
                b' ' => f.blank = true,
                b'#' => f.other = true,
                _ => f.zeros = true,
            }
        }
        left = &left[flags..];
        let mut number = |left: &mut &[u8]| -> Option<i64> {
            if left.first() == Some(&b'*') {
                *left = &left[1..];
                count += 1;
                return Some(i64::from(value(4) as i32));
            }
            let digits = left.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (number, rest) = left.split_at(digits);
            *left = rest;
            (digits > 0).then(|| number.iter().fold(0, |all, d| (10 * all + i64::from(d - b'0')).min(1 << 30)))
        };
        let width = number(&mut left).unwrap_or(0);
        (f.left, f.width) = (f.left || width < 0, (width.unsigned_abs() as usize).min(MOST_WIDTH));
        if left.first() == Some(&b'.') {
            left = &left[1..];
            f.precision = usize::try_from(number(&mut left).unwrap_or(0)).ok().map(|most| most.min(MOST_WIDTH));
        }
        let sizes = left.iter().take_while(|byte| b"hlLqjzt".contains(byte)).count();
        f.bytes = match &left[..sizes] {
            b"hh" => 1,
            b"h" => 2,
            b"" => 4,
            _ => 8,
        };
        left = &left[sizes..];
        let Some(kind) = next(&mut left) else { break };
        count += u32::from(kind != b'%');
        match kind {
            b'%' => out.push(b'%'),
            b'd' | b'i' | b'u' | b'x' | b'X' | b'o' => {
                let bits = value(f.bytes.max(4));
                out.extend(f.integer(kind, bits));
            }
            b'p' => {
                let bits = value(8);
                out.extend(Form { other: true, bytes: 8, ..f }.integer(b'x', bits));
            }
            b'c' => {
                let byte = value(4) as u8;
                out.extend(f.filled(String::new(), vec![byte], false));
            }
            b's' => {
                let mut said = text(value(8));
                said.truncate(f.precision.unwrap_or(usize::MAX));
                out.extend(f.filled(String::new(), said, false));
            }
            b'f' | b'F' | b'e' | b'E' | b'g' | b'G' | b'a' | b'A' => {
                let number = f64::from_bits(value(8));
                out.extend(f.real(kind, number));
            }
            other => out.extend([b'%', other]),
        }
    }
    (out, count)
}

impl Form {
    /// A sign or prefix and what follows it, as wide as is wanted.
    fn filled(&self, sign: String, digits: Vec<u8>, number: bool) -> Vec<u8> {
        let fill = self.width.saturating_sub(sign.len() + digits.len());
        let (blanks, zeros) = if number && self.zeros && !self.left { (0, fill) } else { (fill, 0) };
        let (before, after) = if self.left { (0, blanks) } else { (blanks, 0) };
        let parts = [vec![b' '; before], sign.into_bytes(), vec![b'0'; zeros], digits, vec![b' '; after]];
        parts.concat()
    }

    fn sign(&self, negative: bool) -> String {
        match negative {
            true => "-",
            false if self.plus => "+",
            false if self.blank => " ",
            false => "",
        }
        .into()
    }

    fn integer(&self, kind: u8, bits: u64) -> Vec<u8> {
        let unused = 64 - 8 * self.bytes as u32;
        let (signed, bits) = (((bits << unused) as i64) >> unused, bits << unused >> unused);
        let (sign, mut digits) = match kind {
            b'd' | b'i' => (self.sign(signed < 0), signed.unsigned_abs().to_string()),
            b'x' => (if self.other && bits != 0 { "0x" } else { "" }.into(), format!("{bits:x}")),
            b'X' => (if self.other && bits != 0 { "0X" } else { "" }.into(), format!("{bits:X}")),
            b'o' => (if self.other { "0" } else { "" }.into(), format!("{bits:o}")),
            _ => (String::new(), bits.to_string()),
        };
        if let Some(least) = self.precision {
            digits = if least == 0 && bits == 0 { String::new() } else { format!("{digits:0>least$}") };
        }
        self.filled(sign, digits.into_bytes(), self.precision.is_none())
    }

    fn real(&self, kind: u8, x: f64) -> Vec<u8> {
        let sign = self.sign(x.is_sign_negative());
        let upper = kind.is_ascii_uppercase();
        let cased = |text: String| if upper { text.to_uppercase() } else { text }.into_bytes();
        if !x.is_finite() {
            let name = if x.is_nan() { "nan" } else { "inf" };
            return self.filled(sign, cased(name.into()), false);
        }
        let (x, digits) = (x.abs(), self.precision.unwrap_or(6));
        let text = match kind.to_ascii_lowercase() {
            b'f' => format!("{x:.digits$}{}", if self.other && digits == 0 { "." } else { "" }),
            b'e' => exponential(x, digits),
            b'a' => hexadecimal(x),
            // The shorter form: as many digits in all, and none behind the last that is not 0.
            _ => {
                let digits = digits.max(1);
                let (_, power) = parts(x, digits - 1);
                let text = match power {
                    -4.. if power < digits as i32 => format!("{x:.*}", (digits as i32 - 1 - power) as usize),
                    _ => exponential(x, digits - 1),
                };
                if self.other { text } else { trimmed(text) }
            }
        };
        self.filled(sign, cased(text), true)
    }
}

/// The digits of a number in scientific form, so many behind the point, and its power of ten.
fn parts(x: f64, digits: usize) -> (String, i32) {
    let text = format!("{x:.digits$e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    (digits.into(), power.parse().unwrap_or(0))
}

fn exponential(x: f64, digits: usize) -> String {
    let (digits, power) = parts(x, digits);
    format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}

/// Without zeros behind the last digit after the point that is none.
fn trimmed(text: String) -> String {
    let (digits, power) = text.split_at(text.find('e').unwrap_or(text.len()));
    match digits.contains('.') {
        true => format!("{}{power}", digits.trim_end_matches('0').trim_end_matches('.')),
        false => text,
    }
}

fn hexadecimal(x: f64) -> String {
    let (field, fraction) = (x.to_bits() >> 52 & 0x7ff, x.to_bits() & ((1 << 52) - 1));
    let power = if x == 0.0 { 0 } else { field.max(1) as i32 - 1023 };
    let digits = format!("{fraction:013x}");
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    format!("0x{}{point}{digits}p{power:+}", u32::from(field > 0))
}

#[cfg(test)]
mod tests {
    use super::format;

    fn said(form: &str, values: &[u64]) -> (String, u32) {
        let mut values = values.iter();
        let (out, count) = format(form.as_bytes(), |_| *values.next().unwrap(), |at| vec![b'a' + at as u8; 3]);
        (String::from_utf8(out).unwrap(), count)
    }

    #[test]
    fn integers_and_texts_are_filled_as_c_fills_them() {
        let minus = u64::from(-7_i32 as u32);
        for (form, values, want) in [
            ("%d|%5d|%-5d|%05d|%+d", vec![minus, 42, 42, minus, 3], "-7|   42|42   |-0007|+3"),
            ("%u %x %#x %X %o", vec![minus, 255, 255, 0xabc, 8], "4294967289 ff 0xff ABC 10"),
            ("%lld %llu %hhu %hd", vec![minus, u64::MAX, 0x1ff, 0xffff], "4294967289 18446744073709551615 255 -1"),
            ("%.3d %5.2d|%.0d|", vec![7, 7, 0], "007    07||"),
            ("%s|%5s|%-5s|%.2s|%c%%", vec![0, 1, 2, 3, 65], "aaa|  bbb|ccc  |dd|A%"),
            ("%*d|%p|%k", vec![4, 7, 0x1234], "   7|0x1234|%k"),
        ] {
            assert_eq!(said(form, &values).0, want);
        }
        assert_eq!(said("%d and %s%%\n", &[1, 2]).1, 2);
    }

    #[test]
    fn numbers_are_written_as_c_writes_them() {
        for (form, x, want) in [
            ("%f", 1.5, "1.500000"),
            ("%.2f", 2.005, "2.00"),
            ("%8.3f|", -1.0 / 3.0, "  -0.333|"),
            ("%08.2f", -1.5, "-0001.50"),
            ("%e", 12345.678, "1.234568e+04"),
            ("%.0e", 0.0, "0e+00"),
            ("%g", 0.0001, "0.0001"),
            ("%g", 1e-5, "1e-05"),
            ("%g", 100000.0, "100000"),
            ("%g", 1e6, "1e+06"),
            ("%g", 999999.5, "1e+06"),
            ("%.3g", 0.000123456, "0.000123"),
            ("%#g", 1.0, "1.00000"),
            ("%G", f64::INFINITY, "INF"),
            ("%f", f64::NAN, "nan"),
            ("%a", 1.5, "0x1.8p+0"),
            ("%+.1f", 0.25, "+0.2"),
        ] {
            assert_eq!(said(form, &[x.to_bits()]).0, want, "{form}");
        }
    }
}
