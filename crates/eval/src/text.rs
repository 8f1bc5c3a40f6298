//! Figures as text, with as many digits as their error allows.

/// Magnitudes from here to [`LARGEST_PLAIN`] are written without an exponent.
const SMALLEST_PLAIN: f64 = 1e-4;
/// See [`SMALLEST_PLAIN`].
const LARGEST_PLAIN: f64 = 1e7;

/// `value` with so many significant digits, at least one: `0.8612`, `1.2e-5`, `0` for either zero.
///
/// Digits before the decimal point are all written: `12346` whatever was asked for.
pub fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let after_first = digits.max(1) - 1;
    if is_plain(value) {
        fixed(value, decimals(value, digits))
    } else {
        format!("{value:.after_first$e}")
    }
}

/// `value` and its positive `error`, both to the decimal of the error's second significant digit:
/// `0.861 ± 0.012`, and `(3.10 ± 0.12)e-9` where both are tiny or one is huge.
pub fn with_error(value: f64, error: f64) -> String {
    let (exponent, digits) = layout(value, error);
    let number = |value: f64| fixed(mantissa(value, exponent), digits);
    scaled(format!("{} ± {}", number(value), number(error)), exponent)
}

/// `value` and the ends of its interval, written as [`with_error`] does for half the interval's
/// width: `0.861 [0.852, 0.880]`.
pub fn with_ends(value: f64, low: f64, high: f64) -> String {
    let (exponent, digits) = layout(value, (high - low) / 2.0);
    let number = |value: f64| fixed(mantissa(value, exponent), digits);
    scaled(format!("{} [{}, {}]", number(value), number(low), number(high)), exponent)
}

/// A two-sided p-value: `0.034`, `< 0.001`.
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { fixed(p, 3) }
}

/// The power of ten that is written apart, 0 for none, and the decimals that show two digits of
/// `error`.
fn layout(value: f64, error: f64) -> (i32, usize) {
    let largest = value.abs().max(error);
    let exponent = if is_plain(largest) { 0 } else { leading(largest, 1) };
    // Rounding to two digits first: 0.0999 is 0.10.
    let decimals = 1 + exponent - leading(error, 2);
    (exponent, decimals.max(0) as usize)
}

/// `value` / 10^`exponent`, in two steps: the powers of the smallest numbers are none.
fn mantissa(value: f64, exponent: i32) -> f64 {
    let half = exponent / 2;
    value * 10_f64.powi(-half) * 10_f64.powi(half - exponent)
}

fn scaled(text: String, exponent: i32) -> String {
    if exponent == 0 { text } else { format!("({text})e{exponent}") }
}

fn is_plain(value: f64) -> bool {
    value == 0.0 || (SMALLEST_PLAIN..LARGEST_PLAIN).contains(&value.abs())
}

/// Decimals that show so many digits of `value`.
fn decimals(value: f64, digits: usize) -> usize {
    (digits.max(1) as i32 - 1 - leading(value, digits)).max(0) as usize
}

/// The power of ten of the first digit, once the value is rounded to so many.
fn leading(value: f64, digits: usize) -> i32 {
    let after_first = digits.max(1) - 1;
    let text = format!("{value:.after_first$e}");
    text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
}

/// Without the sign of a zero.
fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| c == '0' || c == '.') => rest.to_owned(),
        _ => text,
    }
}
