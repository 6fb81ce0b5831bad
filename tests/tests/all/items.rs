//! Items (BEP 44) as such: where they are kept, what is signed, what can be a value. Vectors of the
//! BEP, and properties.

use proptest::prelude::*;
use tinybt_core::Id;
use tinybt_core::dht::item::{
    ItemError, Mutable, SecretKey, SignError, Signature, Signer, check_value, immutable_target,
    mutable_target, sign, signed, verify,
};
use tinybt_core::limits::{DEPTH_MAX, SALT_MAX, SIGNED_MAX, VALUE_MAX};
use tinybt_core::wire::bencode::{is_canonical, is_one_value};

const VALUE: &[u8] = b"12:Hello World!";

pub(crate) fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    let hex: String = hex.split_whitespace().collect();
    assert_eq!(hex.len(), 2 * N);
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

fn key() -> [u8; 32] {
    bytes("77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548")
}

/// Salt, what is signed, target, signature.
fn vectors() -> [(&'static [u8], &'static [u8], Id, Signature); 2] {
    [
        (
            b"",
            b"3:seqi1e1:v12:Hello World!",
            "4a533d47ec9c7d95b1ad75f576cffc641853b750".parse().unwrap(),
            bytes(
                "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff
                 1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01",
            ),
        ),
        (
            b"foobar",
            b"4:salt6:foobar3:seqi1e1:v12:Hello World!",
            "411eba73b6f087ca51a3795d9c8c938d365e32c1".parse().unwrap(),
            bytes(
                "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d
                 df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08",
            ),
        ),
    ]
}

#[test]
fn the_vectors_of_bep_44() {
    let target = "e5f96f6f38320f0f33959cb4d3d656452117aadb".parse().unwrap();
    assert_eq!(immutable_target(VALUE), target);
    let key = key();
    for (salt, message, target, signature) in vectors() {
        assert_eq!(signed(salt, 1, VALUE, &mut [0; SIGNED_MAX]), message);
        assert!(verify(&key, message, &signature));
        let item = Mutable { key: &key, salt, seq: 1, value: VALUE, signature: &signature };
        assert_eq!(item.target(), target);
        assert_eq!(mutable_target(&key, salt), target);
        assert_eq!(item.check(), Ok(()));
    }
}

#[test]
fn whatever_is_changed_breaks_the_signature() {
    let key = key();
    for (salt, _, _, signature) in vectors() {
        let item = Mutable { key: &key, salt, seq: 1, value: VALUE, signature: &signature };
        let wrong = Err(ItemError::Signature);
        assert_eq!(Mutable { seq: 2, ..item }.check(), wrong);
        assert_eq!(Mutable { salt: b"other", ..item }.check(), wrong);
        assert_eq!(Mutable { value: b"12:Hello world!", ..item }.check(), wrong);
        assert_eq!(Mutable { value: b"11:ello World!", ..item }.check(), wrong);
        for bit in 0..64 * 8 {
            let mut signature = signature;
            signature[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Mutable { signature: &signature, ..item }.check(), wrong, "bit {bit}");
        }
        for bit in 0..32 * 8 {
            let mut key = key;
            key[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Mutable { key: &key, ..item }.check(), wrong, "bit {bit}");
        }
    }
}

/// Public keys of small order, each with the signature that is good for every message where these
/// are not refused.
#[test]
fn keys_that_anybody_could_sign_for_are_refused() {
    let mut one = [0; 32];
    one[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    for key in [
        one,
        [0; 32],
        bytes("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        bytes("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    ] {
        for message in [&b"3:seqi1e1:v0:"[..], b"3:seqi2e1:v0:", b"3:seqi3e1:v0:", b"anything"] {
            assert!(!verify(&key, message, &signature));
        }
    }
}

#[test]
fn sizes_are_checked_at_their_bounds() {
    let key = SecretKey::from_seed([3; 32]);
    // A string of three digits of length, so four bytes of head; and its colon.
    let value = |len: usize| format!("{}:{}", len - 4, "x".repeat(len - 4)).into_bytes();
    assert_eq!(value(VALUE_MAX).len(), VALUE_MAX);
    let longest = [7; SALT_MAX];
    let check = |salt: &[u8], seq, value: &[u8]| {
        let by = key.key();
        let signature = sign(&key, salt, seq, value).map_err(|error| match error {
            SignError::Item(error) => error,
            SignError::Key => panic!("it is in memory"),
        });
        let item = Mutable { key: &by, salt, seq, value, signature: &signature.unwrap_or([0; 64]) };
        assert_eq!(item.check(), signature.map(drop), "the same is said of both");
        item.check()
    };
    assert_eq!(check(&longest, i64::MAX, &value(VALUE_MAX)), Ok(()));
    assert_eq!(check(&longest, 0, &value(VALUE_MAX)), Ok(()));
    assert_eq!(check(&[7; SALT_MAX + 1], 0, b"0:"), Err(ItemError::SaltTooBig));
    assert_eq!(check(&longest, 1, &value(VALUE_MAX + 1)), Err(ItemError::TooBig));
    assert_eq!(check(b"", -1, b"0:"), Err(ItemError::Sequence));
    assert_eq!(check(b"", 1, b""), Err(ItemError::Bencoding));
    let longest_signed = signed(&longest, i64::MIN, &value(VALUE_MAX), &mut [0; SIGNED_MAX]).len();
    assert_eq!(longest_signed, SIGNED_MAX);
    assert_eq!(signed(b"", 1, &[0; SIGNED_MAX], &mut [0; SIGNED_MAX]), b"", "nothing to sign");
}

#[test]
fn a_value_has_one_spelling() {
    let deepest = |depth| ["l".repeat(depth), "e".repeat(depth)].concat();
    for good in [
        "i0e",
        "i-1e",
        "i123456789012345678901234567890e",
        "0:",
        "4:spam",
        "le",
        "de",
        "l4:spami1elee",
        "d0:0:e",
        "d1:a0:2:aa0:1:b0:e",
        "d1:ald1:xi1e1:yi2eed1:ai1eeee",
        &deepest(DEPTH_MAX),
    ] {
        assert_eq!(check_value(good.as_bytes()), Ok(()), "{good}");
        for end in 0..good.len() {
            assert!(check_value(&good.as_bytes()[..end]).is_err(), "{good} cut at {end}");
        }
        assert!(check_value(format!("{good}e").as_bytes()).is_err(), "{good} and more");
        assert!(check_value(format!("{good}0:").as_bytes()).is_err(), "{good} and another");
    }
    for bad in [
        "",
        "e",
        "x",
        "i-0e",
        "i01e",
        "ie",
        "i1",
        "i+1e",
        "01:a",
        "-1:a",
        "d1:a0:1:a0:e",
        "d1:b0:1:a0:e",
        "d2:aa0:1:a0:e",
        "d1:ae",
        "di1e0:e",
        "ld1:b0:1:a0:ee",
        "d1:ad1:b0:1:a0:e1:b0:e",
        &deepest(DEPTH_MAX + 1),
    ] {
        assert_eq!(check_value(bad.as_bytes()), Err(ItemError::Bencoding), "{bad}");
    }
}

fn bencoding() -> impl Strategy<Value = Vec<u8>> {
    let scalar = prop_oneof![
        any::<i64>().prop_map(|number| format!("i{number}e").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(|bytes| string(&bytes)),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        let key = prop::collection::vec(b'a'..=b'c', 0..3);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| [
                b"l",
                &items.concat()[..],
                b"e"
            ]
            .concat()),
            // In any order, and often twice.
            prop::collection::vec((key, inner), 0..4).prop_map(|pairs| {
                let pairs = pairs.iter().map(|(key, value)| [string(key), value.clone()].concat());
                [b"d", &pairs.collect::<Vec<_>>().concat()[..], b"e"].concat()
            }),
        ]
    })
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [format!("{}:", bytes.len()).as_bytes(), bytes].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    /// Canonical is what a library that sorts gives back as it was.
    #[test]
    fn canonical_is_what_is_written_as_it_was_read(value in bencoding()) {
        let read: Result<bt_bencode::Value, _> = bt_bencode::from_slice(&value);
        let same = read.is_ok_and(|read| bt_bencode::to_vec(&read).is_ok_and(|back| back == value));
        prop_assert_eq!(is_canonical(&value), same, "{}", String::from_utf8_lossy(&value));
    }

    #[test]
    fn no_bytes_upset_the_check(value in prop::collection::vec(
        prop_oneof![
            any::<u8>(),
            prop::sample::select(b"dleei0123:-".to_vec()),
        ], 0..64)) {
        prop_assert!(!is_canonical(&value) || is_one_value(&value));
    }

    #[test]
    fn what_is_signed_is_believed(
        seed in any::<[u8; 32]>(),
        salt in prop::collection::vec(any::<u8>(), 0..=SALT_MAX),
        seq in 0..=i64::MAX,
        text in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let secret = SecretKey::from_seed(seed);
        let value = string(&text);
        let signature = sign(&secret, &salt, seq, &value).unwrap();
        let key = secret.key();
        let item =
            Mutable { key: &key, salt: &salt, seq, value: &value, signature: &signature };
        prop_assert_eq!(item.check(), Ok(()));
        prop_assert_eq!(item.target(), mutable_target(&key, &salt));
    }
}
