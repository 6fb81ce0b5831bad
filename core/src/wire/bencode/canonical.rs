//! Whether a value has the one spelling that bencoding allows: BEP 44 signs and hashes values as
//! they stand, so a value with two spellings would be two items.

use crate::limits::DEPTH_MAX;
use crate::wire::bencode::{Error, Kind, Reader};

/// A value that is not closed yet.
enum Open<'a> {
    List,
    /// With the key read last.
    Dictionary(Option<&'a [u8]>),
}

/// Whether the bytes are one value and nothing else, spelt as it must be: integers and lengths
/// without padding, the keys of every dictionary in order and each but once.
///
/// ```
/// use tinybt_core::wire::bencode::is_canonical;
///
/// assert!(is_canonical(b"d1:ai1e1:bi2ee"));
/// assert!(!is_canonical(b"d1:bi2e1:ai1ee"));
/// ```
pub fn is_canonical(bytes: &[u8]) -> bool {
    check(bytes).unwrap_or(false)
}

fn check(bytes: &[u8]) -> Result<bool, Error> {
    let mut reader = Reader::new(bytes);
    let mut open = heapless::Vec::<Open<'_>, DEPTH_MAX>::new();
    loop {
        let opened = match reader.kind()? {
            Kind::List => {
                reader.enter_list()?;
                open.push(Open::List)
            }
            Kind::Dictionary => {
                reader.enter_dictionary()?;
                open.push(Open::Dictionary(None))
            }
            Kind::Integer | Kind::String => {
                reader.skip()?;
                Ok(())
            }
        };
        if opened.is_err() {
            return Ok(false);
        }
        // What ends here, up to the next value.
        loop {
            match open.last_mut() {
                None => return Ok(reader.offset() == bytes.len()),
                Some(Open::List) => {
                    if reader.more()? {
                        break;
                    }
                }
                Some(Open::Dictionary(last)) => {
                    if let Some(key) = reader.key()? {
                        if last.is_some_and(|last| last >= key) {
                            return Ok(false);
                        }
                        *last = Some(key);
                        break;
                    }
                }
            }
            open.pop();
        }
    }
}
