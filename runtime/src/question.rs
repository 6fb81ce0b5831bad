//! A question that can go to where the machine is.

use tinybt_core::Id;
use tinybt_core::wire::bencode::Reader;
use tinybt_core::wire::krpc::{self, Body, Question};

/// A question that owns what it asks.
pub(crate) struct OwnedQuestion {
    name: Vec<u8>,
    arguments: Vec<u8>,
}

impl OwnedQuestion {
    pub(crate) fn of(question: Question<'_>) -> Option<Self> {
        if let Question::Method { name, arguments } = question {
            return Some(Self { name: name.to_vec(), arguments: arguments.to_vec() });
        }
        // Written and read again: name and arguments are all there is to any question.
        let mut bytes = [0; tinybt_core::limits::DATAGRAM_MAX];
        let envelope =
            krpc::Envelope { transaction: b"", version: None, read_only: false, external: None };
        let len = krpc::encode_query(&mut bytes, &envelope, Id::default(), &question).ok()?;
        let message = krpc::decode(bytes.get(..len)?).ok()?;
        let Body::Query(query) = message.body else { return None };
        let arguments = without_id(query.raw)?;
        Some(Self { name: query.method.to_vec(), arguments })
    }

    pub(crate) fn question(&self) -> Question<'_> {
        Question::Method { name: &self.name, arguments: &self.arguments }
    }
}

/// The dictionary without `id`, which the node adds.
fn without_id(dictionary: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(dictionary);
    reader.enter_dictionary().ok()?;
    let mut bytes = b"d".to_vec();
    loop {
        let before = reader;
        let Some(key) = reader.key().ok()? else { break };
        reader.skip().ok()?;
        if key != b"id" {
            bytes.extend_from_slice(before.until(&reader));
        }
    }
    bytes.push(b'e');
    Some(bytes)
}
