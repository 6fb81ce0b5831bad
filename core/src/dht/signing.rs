//! Keys of mutable items (BEP 44): who signs, and whether a signature is good.
//!
//! [`Signer`] is the seam: a key in memory ([`SecretKey`], feature `ed25519`), in a piece of
//! hardware, in another process. [`verify`] is strict: it refuses public keys and signatures with a
//! part of small order, for which one signature would be good for many messages. No key that was
//! made as keys are made has such a part, so whatever others sign is good here as well.

use core::fmt;
use core::str::FromStr;

use crate::dht::item::ItemError;

/// The signature of a mutable item.
pub type Signature = [u8; 64];

/// Signs items.
///
/// ```
/// use tinybt_core::dht::item::{SignError, Signature, Signer};
///
/// /// A key that somebody else keeps.
/// struct Card;
///
/// impl Signer for Card {
///     fn key(&self) -> [u8; 32] {
///         [7; 32]
///     }
///     fn sign(&self, _message: &[u8]) -> Result<Signature, SignError> {
///         // Nobody typed the number.
///         Err(SignError::Key)
///     }
/// }
/// # assert_eq!(Card.sign(b"3:seqi1e1:v0:"), Err(SignError::Key));
/// ```
pub trait Signer {
    /// The public key.
    fn key(&self) -> [u8; 32];

    /// The Ed25519 signature of a message, up to [`SIGNED_MAX`](crate::limits::SIGNED_MAX) bytes.
    ///
    /// # Errors
    ///
    /// [`SignError::Key`] if the key is out of reach, or does not want to.
    fn sign(&self, message: &[u8]) -> Result<Signature, SignError>;
}

/// A public key as people write it: 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Reads 64 hexadecimal digits. Whether these are a key is seen when a signature is checked.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let count = text.chars().count();
        if count != 64 {
            return Err(KeyError::Length(count));
        }
        let mut bytes = [0; 32];
        let mut digits = text.chars();
        for byte in &mut bytes {
            for digit in digits.by_ref().take(2) {
                let value = digit.to_digit(16).ok_or(KeyError::Digit(digit))?;
                *byte = *byte << 4 | value as u8;
            }
        }
        Ok(Self(bytes))
    }
}

/// Why a text is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// So many characters, and not 64.
    Length(usize),
    /// This is not a hexadecimal digit.
    Digit(char),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Length(count) => {
                write!(f, "expected 64 hexadecimal digits, found {count} characters")
            }
            KeyError::Digit(digit) => write!(f, "{digit:?} is not a hexadecimal digit"),
        }
    }
}

impl core::error::Error for KeyError {}

/// Why something was not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignError {
    /// The key did not sign.
    Key,
    /// Nobody would store this.
    Item(ItemError),
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignError::Key => f.write_str("the key did not sign"),
            SignError::Item(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SignError {}

/// Whether signatures can be checked: the feature `ed25519`. Where they cannot, no mutable item is
/// believed.
pub const CAN_VERIFY: bool = cfg!(feature = "ed25519");

/// Whether a signature of a message is the key's. Without the feature `ed25519` none is.
pub fn verify(key: &[u8; 32], message: &[u8], signature: &Signature) -> bool {
    #[cfg(feature = "ed25519")]
    {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        ed25519_dalek::VerifyingKey::from_bytes(key)
            .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }
    #[cfg(not(feature = "ed25519"))]
    {
        let _ = (key, message, signature);
        false
    }
}

#[cfg(feature = "ed25519")]
pub use in_memory::SecretKey;

#[cfg(feature = "ed25519")]
mod in_memory {
    use core::fmt;

    use ed25519_dalek::Signer as _;

    use super::{SignError, Signature, Signer};

    /// A key in memory.
    ///
    /// ```
    /// use tinybt_core::dht::item::{SecretKey, Signer, verify};
    ///
    /// let key = SecretKey::from_seed([7; 32]);
    /// let signature = key.sign(b"3:seqi1e1:v0:")?;
    /// assert!(verify(&key.key(), b"3:seqi1e1:v0:", &signature));
    /// # Ok::<(), tinybt_core::dht::item::SignError>(())
    /// ```
    #[derive(Clone)]
    pub struct SecretKey(ed25519_dalek::SigningKey);

    impl SecretKey {
        /// The key that 32 random bytes stand for (RFC 8032): these are what to keep.
        pub fn from_seed(seed: [u8; 32]) -> Self {
            Self(ed25519_dalek::SigningKey::from_bytes(&seed))
        }
    }

    impl Signer for SecretKey {
        fn key(&self) -> [u8; 32] {
            self.0.verifying_key().to_bytes()
        }

        fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
            self.0
                .try_sign(message)
                .map(|signature| signature.to_bytes())
                .map_err(|_| SignError::Key)
        }
    }

    impl fmt::Debug for SecretKey {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("SecretKey { .. }")
        }
    }
}
