//! What errors say: every one something of its own, and nothing of what they came from is lost.

use std::collections::BTreeSet;
use std::error::Error;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::Ignored;
use tinybt_core::dht::item::ItemError;
use tinybt_core::dht::token::Tokens;
use tinybt_core::dht::{AskError, Busy, HomeError, PutError, RestoreError};
use tinybt_core::magnet::MagnetError;
use tinybt_core::tracker::UrlError;
use tinybt_core::tracker::http::RequestError;
use tinybt_core::tracker::udp::TrackerError;
use tinybt_core::wire::bencode::{self, NoRoom, Reason, Writer};
use tinybt_core::wire::krpc::{DecodeError, EncodeError, Fault};

fn all_of(errors: &[&dyn Error]) -> BTreeSet<String> {
    let texts: BTreeSet<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), errors.len(), "two say the same: {texts:?}");
    for text in &texts {
        assert!(text.len() > 3 && text.trim() == text && !text.ends_with('.'), "{text:?}");
    }
    texts
}

#[test]
fn every_error_says_something_of_its_own() {
    let reasons =
        [Reason::Truncated, Reason::Unexpected, Reason::Integer, Reason::Length, Reason::Depth];
    let reasons = reasons.map(|reason| bencode::Error { offset: 17, reason });
    let texts = all_of(&reasons.each_ref().map(|error| error as &dyn Error));
    assert!(texts.iter().all(|text| text.ends_with("at byte 17")), "{texts:?}");
    use DecodeError::{Kind, NotKrpc, Response, Transaction};
    all_of(&[&NotKrpc, &Transaction, &Kind, &Response, &DecodeError::Error]);
    all_of(&[&EncodeError::NoRoom, &EncodeError::Value]);
    all_of(&[&Fault::Missing("id"), &Fault::Wrong("id"), &Fault::Wrong("target")]);
    all_of(&Ignored::ALL.each_ref().map(|reason| reason as &dyn Error));
    all_of(&[&AskError::Busy, &AskError::Address, &AskError::Arguments]);
    all_of(&[&RestoreError::Malformed, &RestoreError::Version, &RestoreError::Family]);
    all_of(&[&HomeError::Taken, &HomeError::Family, &HomeError::Full]);
    all_of(&[&RequestError::Path, &RequestError::Key("port"), &RequestError::Key("left")]);
    all_of(&[&MagnetError::Scheme, &MagnetError::NoTorrent]);
    all_of(&[&UrlError::Scheme, &UrlError::Host, &UrlError::Port, &UrlError::Character]);
    use TrackerError::{Address, Swarms, Unknown, Url};
    all_of(&[&TrackerError::Busy, &Address, &Url, &Unknown, &Swarms]);
}

#[test]
fn an_error_within_another_is_told_as_it_is() {
    let inner = bencode::Error { offset: 3, reason: Reason::Integer };
    assert_eq!(DecodeError::from(inner).to_string(), inner.to_string());
    assert_eq!(EncodeError::from(NoRoom).to_string(), NoRoom.to_string());
    assert_eq!(PutError::from(Busy).to_string(), Busy.to_string());
    assert_eq!(PutError::from(ItemError::Old).to_string(), ItemError::Old.to_string());
    let mut nothing = Writer::new(&mut []);
    nothing.integer(1);
    assert_eq!(nothing.written().map_err(|error| error.to_string()), Err(NoRoom.to_string()));
    assert!(!NoRoom.to_string().is_empty() && !Busy.to_string().is_empty());
}

#[test]
fn secrets_are_not_in_what_is_printed_of_tokens() {
    let tokens = |seed| Tokens::new(&mut ChaCha8Rng::seed_from_u64(seed));
    let text = format!("{:?}", tokens(1));
    assert_eq!(text, format!("{:?}", tokens(2)));
    assert!(text.contains("Tokens"), "{text}");
}
