//! The `grpc-timeout` header: at most eight digits and a unit.

use std::time::Duration;

/// The header's name.
pub(crate) const HEADER: &str = "grpc-timeout";

/// A `grpc-timeout` that says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("grpc-timeout is {0:?}; it takes at most eight digits and one of H, M, S, m, u, n")]
pub struct TimeoutError(String);

/// Reads the header's value.
pub(crate) fn parse(value: &[u8]) -> Result<Duration, TimeoutError> {
    let wrong = || TimeoutError(String::from_utf8_lossy(&value[..value.len().min(20)]).into_owned());
    let (&unit, digits) = value.split_last().ok_or_else(wrong)?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    let number = digits.iter().fold(0u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Ok(Duration::from_secs(number * 3600)),
        b'M' => Ok(Duration::from_secs(number * 60)),
        b'S' => Ok(Duration::from_secs(number)),
        b'm' => Ok(Duration::from_millis(number)),
        b'u' => Ok(Duration::from_micros(number)),
        b'n' => Ok(Duration::from_nanos(number)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_and_nothing_else() {
        for (text, time) in [
            ("1H", Duration::from_secs(3600)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
            ("2M", Duration::from_secs(120)),
            ("15S", Duration::from_secs(15)),
            ("250m", Duration::from_millis(250)),
            ("0u", Duration::ZERO),
            ("7n", Duration::from_nanos(7)),
        ] {
            assert_eq!(parse(text.as_bytes()), Ok(time), "{text}");
        }
        for text in ["", "S", "5", "123456789S", "-1S", "1s", "1 S", "٣S", "\u{0}"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
