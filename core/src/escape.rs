//! Percent-escapes (RFC 3986): any bytes in a query, and back.

use core::fmt;

/// Shows bytes so that they can stand in a query: everything but letters, digits and `-._~` is
/// escaped.
///
/// ```
/// use tinybt_core::escape::Escaped;
///
/// assert_eq!(Escaped(b"a b\xff").to_string(), "a%20b%FF");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                fmt::Write::write_char(f, char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

/// The bytes that an escaped text stands for. `+` is a space, as forms write it; a `%` without two
/// digits stands for itself.
pub fn unescape(text: &str) -> impl Iterator<Item = u8> + Clone + '_ {
    let mut rest = text.as_bytes();
    core::iter::from_fn(move || {
        let (&first, tail) = rest.split_first()?;
        rest = tail;
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        match (first, tail) {
            (b'+', _) => Some(b' '),
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    Some(high << 4 | low)
                }
                _ => Some(b'%'),
            },
            _ => Some(first),
        }
    })
}

/// The keys and values of a query, still escaped, in order. A key without `=` has an empty value.
pub fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> + Clone {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').unwrap_or((part, "")))
}
