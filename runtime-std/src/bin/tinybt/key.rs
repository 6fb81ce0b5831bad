//! A secret key in a file: 64 hexadecimal digits, made if there is none, for nobody else to read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use tinybt_std::core::dht::item::SecretKey;

use crate::exit::Failure;

/// Reads the key, or makes one. Says whether it is new.
pub(crate) fn read_or_make(path: &Path) -> Result<(SecretKey, bool), Failure> {
    let fail = |what: &str, error: io::Error| {
        Failure::Usage(format!("cannot {what} the key {}: {error}", path.display()))
    };
    match fs::read_to_string(path) {
        Ok(text) => {
            let seed = seed(text.trim()).ok_or_else(|| {
                Failure::Usage(format!(
                    "{} is no key: expected 64 hexadecimal digits and nothing else",
                    path.display()
                ))
            })?;
            Ok((SecretKey::from_seed(seed), false))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed)
                .map_err(|error| Failure::Network(format!("no random numbers: {error}")))?;
            make(path, &seed).map_err(|error| fail("write", error))?;
            Ok((SecretKey::from_seed(seed), true))
        }
        Err(error) => Err(fail("read", error)),
    }
}

fn make(path: &Path, seed: &[u8; 32]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let digits: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = options.open(path)?;
    let written = writeln!(file, "{digits}").and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a key is worse than none.
        let _ = fs::remove_file(path);
    }
    written
}

fn seed(text: &str) -> Option<[u8; 32]> {
    let mut seed = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in seed.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(seed)
}

#[cfg(test)]
mod tests {
    use super::seed;

    #[test]
    fn a_key_is_64_digits() {
        assert_eq!(seed(&"0a".repeat(32)), Some([10; 32]));
        for text in ["", "0a", &"0a".repeat(31), &"0a".repeat(33), &"+a".repeat(32)] {
            assert_eq!(seed(text), None, "{text}");
        }
    }
}
