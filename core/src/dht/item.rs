//! Items: values of up to 1,000 bytes that the DHT keeps (BEP 44).
//!
//! An *immutable* item is known by the SHA-1 of its value. A *mutable* one is known by the SHA-1 of
//! a public key and a salt; it has a sequence number, and a signature over salt, number and value,
//! so whoever has the key can put another value in its place, and nobody else. Values are bencoded
//! in the one spelling that bencoding allows, and are never decoded here: what is hashed and signed
//! are the bytes.
//!
//! Knows no time and no messages.

use core::fmt;

use sha1_smol::Sha1;

use crate::id::Id;
use crate::limits::{SALT_MAX, SIGNED_MAX, VALUE_MAX};
use crate::wire::bencode::{Writer, is_canonical};

#[cfg(feature = "ed25519")]
pub use crate::dht::signing::SecretKey;
pub use crate::dht::signing::{KeyError, PublicKey, SignError, Signature, Signer, verify};

/// Where an immutable item is kept: the SHA-1 of its value.
///
/// ```
/// use tinybt_core::dht::item::immutable_target;
///
/// let target = immutable_target(b"12:Hello World!");
/// assert_eq!(target, "e5f96f6f38320f0f33959cb4d3d656452117aadb".parse()?);
/// # Ok::<(), tinybt_core::ParseError>(())
/// ```
pub fn immutable_target(value: &[u8]) -> Id {
    Id(Sha1::from(value).digest().bytes())
}

/// Where a mutable item is kept: the SHA-1 of its public key and its salt, which may be empty.
pub fn mutable_target(key: &[u8; 32], salt: &[u8]) -> Id {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(salt);
    Id(hash.digest().bytes())
}

/// Whether this can be an item's value.
///
/// # Errors
///
/// [`ItemError::TooBig`] beyond [`VALUE_MAX`] bytes, [`ItemError::Bencoding`] if it is not one
/// bencoded value in its only spelling.
pub fn check_value(value: &[u8]) -> Result<(), ItemError> {
    if value.len() > VALUE_MAX {
        return Err(ItemError::TooBig);
    }
    if is_canonical(value) { Ok(()) } else { Err(ItemError::Bencoding) }
}

/// What the signature of a mutable item is made over; empty if salt or value are too long for any.
///
/// ```
/// use tinybt_core::dht::item::signed;
/// use tinybt_core::limits::SIGNED_MAX;
///
/// let mut buffer = [0; SIGNED_MAX];
/// let bytes = signed(b"foobar", 1, b"12:Hello World!", &mut buffer);
/// assert_eq!(bytes, b"4:salt6:foobar3:seqi1e1:v12:Hello World!");
/// ```
pub fn signed<'a>(
    salt: &[u8],
    seq: i64,
    value: &[u8],
    buffer: &'a mut [u8; SIGNED_MAX],
) -> &'a [u8] {
    let mut writer = Writer::new(buffer);
    if !salt.is_empty() {
        writer.raw(b"4:salt");
        writer.string(salt);
    }
    writer.raw(b"3:seq");
    writer.integer(seq);
    writer.raw(b"1:v");
    writer.raw(value);
    let len = writer.written().unwrap_or(0);
    buffer.get(..len).unwrap_or_default()
}

/// Signs a value that others will take for what it is.
///
/// # Errors
///
/// [`SignError::Item`] if nobody would store it, [`SignError::Key`] if the key does not sign.
pub fn sign(
    signer: &(impl Signer + ?Sized),
    salt: &[u8],
    seq: i64,
    value: &[u8],
) -> Result<Signature, SignError> {
    check_fields(salt, seq, value).map_err(SignError::Item)?;
    signer.sign(signed(salt, seq, value, &mut [0; SIGNED_MAX]))
}

/// A mutable item as it came, or as it is to be sent: [`Mutable::check`] says whether it is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mutable<'a> {
    /// The public key.
    pub key: &'a [u8; 32],
    /// Which of the key's items this is; empty for the one. Not longer than [`SALT_MAX`].
    pub salt: &'a [u8],
    /// How new it is, from 0 on.
    pub seq: i64,
    /// The value, bencoded.
    pub value: &'a [u8],
    /// The key's, over all of these.
    pub signature: &'a Signature,
}

impl Mutable<'_> {
    /// Where it is kept.
    pub fn target(&self) -> Id {
        mutable_target(self.key, self.salt)
    }

    /// Whether it is what it must be. What costs most, the signature, is looked at last.
    ///
    /// # Errors
    ///
    /// [`ItemError`], with the code that BEP 44 has for it.
    pub fn check(&self) -> Result<(), ItemError> {
        check_fields(self.salt, self.seq, self.value)?;
        self.check_signature()
    }

    /// Whether the signature is the key's.
    ///
    /// # Errors
    ///
    /// [`ItemError::Signature`].
    pub fn check_signature(&self) -> Result<(), ItemError> {
        let mut buffer = [0; SIGNED_MAX];
        let message = signed(self.salt, self.seq, self.value, &mut buffer);
        if verify(self.key, message, self.signature) { Ok(()) } else { Err(ItemError::Signature) }
    }
}

/// An item of either kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A bencoded value.
    Immutable(&'a [u8]),
    /// A signed one.
    Mutable(Mutable<'a>),
}

impl<'a> Item<'a> {
    /// Where it is kept.
    pub fn target(&self) -> Id {
        match self {
            Item::Immutable(value) => immutable_target(value),
            Item::Mutable(item) => item.target(),
        }
    }

    /// The value, bencoded.
    pub fn value(&self) -> &'a [u8] {
        match self {
            Item::Immutable(value) => value,
            Item::Mutable(item) => item.value,
        }
    }

    /// The sequence number of a mutable one.
    pub fn seq(&self) -> Option<i64> {
        match self {
            Item::Immutable(_) => None,
            Item::Mutable(item) => Some(item.seq),
        }
    }

    /// Whether it is what it must be, as far as can be seen without looking at the signature.
    ///
    /// # Errors
    ///
    /// [`ItemError`], with the code that BEP 44 has for it.
    pub fn check_form(&self) -> Result<(), ItemError> {
        match self {
            Item::Immutable(value) => check_value(value),
            Item::Mutable(item) => check_fields(item.salt, item.seq, item.value),
        }
    }

    /// Whether it is what it must be.
    ///
    /// # Errors
    ///
    /// [`ItemError`], with the code that BEP 44 has for it.
    pub fn check(&self) -> Result<(), ItemError> {
        match self {
            Item::Immutable(value) => check_value(value),
            Item::Mutable(item) => item.check(),
        }
    }
}

/// All that needs no key.
fn check_fields(salt: &[u8], seq: i64, value: &[u8]) -> Result<(), ItemError> {
    if salt.len() > SALT_MAX {
        return Err(ItemError::SaltTooBig);
    }
    // Others refuse negative numbers, as they may: such an item would be kept by few.
    if seq < 0 {
        return Err(ItemError::Sequence);
    }
    check_value(value)
}

/// Why an item is not stored, or not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemError {
    /// There is no room for it (202).
    Full,
    /// The value is not one bencoded value with integers, lengths and keys as they must be (203).
    Bencoding,
    /// The sequence number is negative (203).
    Sequence,
    /// The value is longer than 1,000 bytes (205).
    TooBig,
    /// The signature is not the key's (206).
    Signature,
    /// The salt is longer than 64 bytes (207).
    SaltTooBig,
    /// What is stored has another sequence number than the one to be replaced (301).
    Cas,
    /// What is stored is newer, or as new with another value (302).
    Old,
}

impl ItemError {
    /// The code of the error reply (BEP 5, BEP 44).
    pub const fn code(self) -> i64 {
        match self {
            ItemError::Full => 202,
            ItemError::Bencoding | ItemError::Sequence => 203,
            ItemError::TooBig => 205,
            ItemError::Signature => 206,
            ItemError::SaltTooBig => 207,
            ItemError::Cas => 301,
            ItemError::Old => 302,
        }
    }

    /// The text of the error reply.
    pub const fn text(self) -> &'static str {
        match self {
            ItemError::Full => "no room",
            ItemError::Bencoding => "v is not bencoded as it must be",
            ItemError::Sequence => "seq is below 0",
            ItemError::TooBig => "v is longer than 1000 bytes",
            ItemError::Signature => "sig is not the signature of k",
            ItemError::SaltTooBig => "salt is longer than 64 bytes",
            ItemError::Cas => "cas is not the stored seq",
            ItemError::Old => "seq is not above the stored one",
        }
    }
}

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for ItemError {}
