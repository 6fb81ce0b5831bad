//! Bencoded values, as people and programs read them.

use std::fmt::Write;

use tinybt_std::Error;
use tinybt_std::core::dht::item::ItemError;
use tinybt_std::core::limits::SALT_MAX;
use tinybt_std::core::wire::bencode::{Kind, Reader};

use crate::exit::Failure;

/// The bytes of a string; nothing of other kinds.
pub(crate) fn string(value: &[u8]) -> Option<&[u8]> {
    Reader::new(value).string().ok()
}

/// A string as a value.
pub(crate) fn of(bytes: &[u8]) -> Vec<u8> {
    let mut value = format!("{}:", bytes.len()).into_bytes();
    value.extend_from_slice(bytes);
    value
}

/// What is to be known before anything begins: a salt, and numbers of versions with their options.
pub(crate) fn check_name(salt: &[u8], numbers: &[(&str, Option<i64>)]) -> Result<(), Failure> {
    if salt.len() > SALT_MAX {
        return Err(Failure::Usage(Error::Item(ItemError::SaltTooBig).to_string()));
    }
    match numbers.iter().find(|(_, number)| number.is_some_and(|number| number < 0)) {
        Some((option, _)) => Err(Failure::Usage(format!("{option}: no version is below 0"))),
        None => Ok(()),
    }
}

/// A text, if the value is one.
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(string(value)?).ok()
}

/// For people: a text as it is, anything else in the notation of JSON, with what is no text as
/// hexadecimal digits.
pub(crate) fn show(value: &[u8]) -> String {
    if let Some(text) = text(value) {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut reader = Reader::new(value);
    match write(&mut reader, &mut shown) {
        Some(()) => shown,
        None => hex(value),
    }
}

fn write(reader: &mut Reader<'_>, shown: &mut String) -> Option<()> {
    match reader.kind().ok()? {
        Kind::Integer => write!(shown, "{}", reader.integer().ok()?).ok()?,
        Kind::String => quoted(reader.string().ok()?, shown),
        Kind::List => {
            reader.enter_list().ok()?;
            shown.push('[');
            let mut is_first = true;
            while reader.more().ok()? {
                if !std::mem::take(&mut is_first) {
                    shown.push_str(", ");
                }
                write(reader, shown)?;
            }
            shown.push(']');
        }
        Kind::Dictionary => {
            reader.enter_dictionary().ok()?;
            shown.push('{');
            let mut is_first = true;
            while let Some(key) = reader.key().ok()? {
                if !std::mem::take(&mut is_first) {
                    shown.push_str(", ");
                }
                quoted(key, shown);
                shown.push_str(": ");
                write(reader, shown)?;
            }
            shown.push('}');
        }
    }
    Some(())
}

fn quoted(bytes: &[u8], shown: &mut String) {
    match std::str::from_utf8(bytes) {
        Ok(text) => *shown += &serde_json::Value::from(text).to_string(),
        Err(_) => *shown += &hex(bytes),
    }
}

/// Hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{of, show};

    #[test]
    fn values_are_shown_as_people_write_them() {
        for (value, shown) in [
            (&b"5:Hello"[..], "Hello"),
            (b"i-3e", "-3"),
            (b"le", "[]"),
            (b"d1:ali1e1:be2:ih2:\xff\x00e", "{\"a\": [1, \"b\"], \"ih\": ff00}"),
            (b"2:\xff\x00", "ff00"),
            (b"rubbish", "72756262697368"),
        ] {
            assert_eq!(show(value), shown);
        }
        assert_eq!(of(b"spam"), b"4:spam");
    }
}
