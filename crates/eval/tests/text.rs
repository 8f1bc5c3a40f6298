//! Laws of figures as text.

use foretaste_eval::text::{p_value, significant, with_ends, with_error};
use proptest::prelude::*;

/// Numbers of every magnitude and sign.
fn any_size() -> impl Strategy<Value = f64> {
    (-9.99_f64..9.99, -290..290).prop_map(|(mantissa, exponent)| mantissa * 10_f64.powi(exponent))
}

/// Errors from a thousandth of a billionth of the value to a million times it.
fn value_and_error() -> impl Strategy<Value = (f64, f64)> {
    (any_size(), 1.0_f64..9.99, -12..6).prop_map(|(value, mantissa, exponent)| {
        let scale = if value == 0.0 { 1.0 } else { value.abs() };
        (value, scale * mantissa * 10_f64.powi(exponent))
    })
}

/// The numbers of a text as written, without the power of ten behind them, and that power.
fn numbers(text: &str) -> (Vec<String>, f64) {
    let (body, power) = match text.strip_prefix('(') {
        Some(rest) => rest
            .split_once(")e")
            .map(|(body, power)| (body, format!("1e{power}").parse().unwrap()))
            .unwrap(),
        None => (text, 1.0),
    };
    let part = |c: char| !(c.is_ascii_digit() || "-.".contains(c));
    (body.split(part).filter(|part| !part.is_empty()).map(str::to_owned).collect(), power)
}

fn decimals(number: &str) -> usize {
    number.split_once('.').map_or(0, |(_, behind)| behind.len())
}

proptest! {
    #[test]
    fn a_value_with_its_error_reads_back_to_two_digits_of_the_error((value, error) in value_and_error()) {
        let text = with_error(value, error);
        let (parts, power) = numbers(&text);
        prop_assert_eq!(parts.len(), 2, "{}", text);
        let [shown, spread] = [0, 1].map(|at| parts[at].parse::<f64>().unwrap() * power);
        // Half a unit of the second digit is at most 5% of the number; the value is rounded to the
        // same decimal.
        prop_assert!((spread - error).abs() <= 0.0501 * error, "{text}: {error}");
        prop_assert!((shown - value).abs() <= 0.0501 * error, "{text}: {value}");
        prop_assert_eq!(decimals(&parts[0]), decimals(&parts[1]), "{}", text);
        prop_assert!(spread > 0.0);
        prop_assert!(shown != 0.0 || !parts[0].starts_with('-'), "{text}");
        // No more digits than two, but for those before the decimal point.
        let digits = parts[1].trim_start_matches(['0', '.']).chars().filter(|c| c.is_ascii_digit()).count();
        prop_assert!(digits == 2 || (digits > 2 && decimals(&parts[1]) == 0), "{text}");
    }

    #[test]
    fn an_interval_reads_back_to_two_digits_of_half_its_width(
        (low, error) in value_and_error(), share in 0.0_f64..1.0,
    ) {
        let high = low + 2.0 * error;
        prop_assume!((high - low) / 2.0 > 0.5 * error);
        let value = low + share * (high - low);
        let text = with_ends(value, low, high);
        let (parts, power) = numbers(&text);
        for (part, number) in parts.iter().zip([value, low, high]) {
            let shown = part.parse::<f64>().unwrap() * power;
            prop_assert!((shown - number).abs() <= 0.06 * error, "{text}: {number}");
        }
        prop_assert_eq!(parts.len(), 3);
    }

    #[test]
    fn a_number_reads_back_to_its_significant_digits(value in any_size(), digits in 1_usize..10) {
        let text = significant(value, digits);
        let shown: f64 = text.parse().unwrap();
        prop_assert!((shown - value).abs() <= 0.501 * 10_f64.powi(1 - digits as i32) * value.abs(), "{text}: {value}");
        prop_assert!(text.len() <= digits.max(8) + 7, "{text}");
    }
}

#[test]
fn zeros_have_no_sign_and_no_digits_behind() {
    assert_eq!([significant(0.0, 4), significant(-0.0, 4)], ["0", "0"]);
    assert_eq!(
        [with_error(0.0, 0.5), with_error(-0.0, 0.5), with_error(-0.004, 0.5)],
        ["0.00 ± 0.50"; 3]
    );
    assert_eq!(with_error(0.0, 2e-10), "(0.0 ± 2.0)e-10");
}

#[test]
fn numbers_are_plain_from_a_ten_thousandth_to_ten_millions() {
    let shown = [1e-4, 9.9e-5, 9_999_999.0, 1e7, -0.5, 9.9996].map(|value| significant(value, 4));
    assert_eq!(shown, ["0.0001000", "9.900e-5", "9999999", "1.000e7", "-0.5000", "10.00"]);
    assert_eq!(with_error(12_345.6, 250.0), "12346 ± 250");
    assert_eq!(with_error(9_999_999.0, 99.0), "9999999 ± 99");
    assert_eq!(with_error(1.5e7, 2e5), "(1.500 ± 0.020)e7");
    assert_eq!(with_error(1e-4, 1e-6), "0.0001000 ± 0.0000010");
    assert_eq!(with_error(1e-5, 1e-7), "(1.000 ± 0.010)e-5");
    assert_eq!(with_ends(3e-6, 2e-6, 5e-6), "(3.0 [2.0, 5.0])e-6");
    assert_eq!(significant(f64::from_bits(1), 2), "4.9e-324");
    assert_eq!(with_error(f64::from_bits(1), 1e-320), "(0.0 ± 1.0)e-320");
}

#[test]
fn a_p_value_below_a_thousandth_is_not_zero() {
    assert_eq!(
        [0.0, 0.000_99, 0.001, 0.0344, 1.0].map(p_value),
        ["< 0.001", "< 0.001", "0.001", "0.034", "1.000"]
    );
}
