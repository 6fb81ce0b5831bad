//! Items that own what they are made of (BEP 44).

use tinybt_core::dht::item::{Item, Mutable, PublicKey, SignError, Signature, Signer, sign};
use tinybt_core::{Id, InfoHash, follow};

/// An item of either kind, as it was found or as it is to be stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnedItem {
    value: Vec<u8>,
    signed: Option<Signed>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Signed {
    key: PublicKey,
    salt: Vec<u8>,
    seq: i64,
    signature: Signature,
}

impl OwnedItem {
    /// An immutable one. Its value is one bencoded value of 1,000 bytes at most.
    pub fn immutable(value: impl Into<Vec<u8>>) -> Self {
        Self { value: value.into(), signed: None }
    }

    /// Signs a mutable one.
    ///
    /// # Errors
    ///
    /// [`SignError::Item`] if nobody would store it, [`SignError::Key`] if the key does not sign.
    pub fn sign(
        signer: &(impl Signer + ?Sized),
        salt: &[u8],
        seq: i64,
        value: impl Into<Vec<u8>>,
    ) -> Result<Self, SignError> {
        let value = value.into();
        let signature = sign(signer, salt, seq, &value)?;
        let (key, salt) = (PublicKey(signer.key()), salt.to_vec());
        Ok(Self { value, signed: Some(Signed { key, salt, seq, signature }) })
    }

    /// A copy.
    pub fn of(item: &Item<'_>) -> Self {
        let signed = match item {
            Item::Immutable(_) => None,
            Item::Mutable(item) => Some(Signed {
                key: PublicKey(*item.key),
                salt: item.salt.to_vec(),
                seq: item.seq,
                signature: *item.signature,
            }),
        };
        Self { value: item.value().to_vec(), signed }
    }

    /// As the core knows it.
    pub fn item(&self) -> Item<'_> {
        match &self.signed {
            None => Item::Immutable(&self.value),
            Some(signed) => Item::Mutable(Mutable {
                key: &signed.key.0,
                salt: &signed.salt,
                seq: signed.seq,
                value: &self.value,
                signature: &signed.signature,
            }),
        }
    }

    /// Where it is kept.
    pub fn target(&self) -> Id {
        self.item().target()
    }

    /// The value, bencoded.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// The sequence number of a mutable one.
    pub fn seq(&self) -> Option<i64> {
        self.signed.as_ref().map(|signed| signed.seq)
    }

    /// The public key of a mutable one.
    pub fn key(&self) -> Option<PublicKey> {
        self.signed.as_ref().map(|signed| signed.key)
    }

    /// The salt of a mutable one.
    pub fn salt(&self) -> &[u8] {
        self.signed.as_ref().map_or(&[], |signed| &signed.salt)
    }

    /// Whether it takes the other's place, which is of the same target: by its sequence number, and
    /// of one number by its value, so that all agree. An immutable one never does.
    pub fn is_newer(&self, than: &Self) -> bool {
        self.rank() > than.rank()
    }

    pub(crate) fn rank(&self) -> Option<(i64, &[u8])> {
        Some((self.seq()?, self.value()))
    }

    /// The signature of a mutable one.
    pub fn signature(&self) -> Option<&Signature> {
        self.signed.as_ref().map(|signed| &signed.signature)
    }

    /// The torrent that it names (BEP 46).
    pub fn torrent(&self) -> Option<InfoHash> {
        follow::torrent_of(&self.value)
    }
}
