//! Items of others (BEP 44): stored if they may be, told to who asks.
//!
//! What is cheap to see is looked at first, the signature last: an item that breaks a rule, or is
//! the one that is stored already, costs no arithmetic on curves.
//!
//! A reply with a value may be longer than others. Who has proven nothing is told more than
//! amplification allows only so often, all such askers together; beyond that a value that does not
//! fit stays here, and its sequence number says that there is one. Proof is to give back in `get` the
//! token of an earlier answer: nobody has to know that, but it costs who does one question.

use core::net::{IpAddr, SocketAddr};

use rand_core::CryptoRng;

use crate::dht::item::{Item, ItemError};
use crate::dht::items::{Change, ItemStore, Stored, weigh};
use crate::dht::node::Node;
use crate::dht::node::replies::{ClosestNodes, around, spare};
use crate::dht::node::rows::ReplyKind;
use crate::dht::signing::CAN_VERIFY;
use crate::dht::storage::Storage;
use crate::id::{Id, InfoHash};
use crate::limits::ITEM_REPLY_MAX;
use crate::time::Instant;
use crate::wire::krpc::{self, Answer, EncodeError, Query, Want};

/// What stands around nodes and item in a message: ids, token, address, keys.
const FRAME: usize = 160;

impl<S: Storage, R: CryptoRng> Node<S, R> {
    /// Stores what somebody put, or says why not.
    pub(super) fn take(
        &mut self,
        now: Instant,
        from: IpAddr,
        item: &Item<'_>,
        cas: Option<i64>,
        token: &[u8],
    ) -> ReplyKind {
        let refused = |error: ItemError| {
            let (code, text) = (error.code(), error.text());
            ReplyKind::Error { code, text }
        };
        if let Err(error) = item.check_form() {
            return refused(error);
        }
        if !CAN_VERIFY && matches!(item, Item::Mutable(_)) {
            return ReplyKind::Error { code: 204, text: "mutable items are not kept" };
        }
        let target = item.target();
        if !self.tokens.check(now, from, &InfoHash(target.0), token) {
            return ReplyKind::Error { code: 203, text: "bad token" };
        }
        match self.keep(now, from, target, item, cas) {
            Ok(()) => ReplyKind::Id,
            Err(error) => refused(error),
        }
    }

    fn keep(
        &mut self,
        now: Instant,
        from: IpAddr,
        target: Id,
        item: &Item<'_>,
        cas: Option<i64>,
    ) -> Result<(), ItemError> {
        let change = weigh(self.items.get(now, target).as_ref(), item, cas)?;
        if let Item::Mutable(item) = item
            && change != Change::Refresh
        {
            item.check_signature()?;
        }
        self.items.put(now, target, item, from, self.id)?;
        self.stats.items_stored += 1;
        Ok(())
    }

    /// Whether a `get` gives back a token of ours.
    pub(super) fn has_token(
        &self,
        now: Instant,
        from: IpAddr,
        target: Id,
        query: &Query<'_>,
    ) -> bool {
        let token = query.token();
        token.is_ok_and(|token| self.tokens.check(now, from, &InfoHash(target.0), token))
    }

    /// The longest that the answer to a `get` may be, which has `room` by the asker's question and
    /// proof.
    pub(super) fn room_for_item(
        &mut self,
        now: Instant,
        target: Id,
        seq: Option<i64>,
        room: u16,
    ) -> u16 {
        let Some(stored) = self.items.get(now, target) else { return room };
        let whole = FRAME + len_of(&told(&stored, seq, usize::MAX));
        if whole <= usize::from(room) || !self.whole_items.has(now) {
            return room;
        }
        self.whole_items.take(now);
        whole.min(ITEM_REPLY_MAX) as u16
    }

    /// Writes the answer to `get`: the value comes before the nodes where there is not room for all.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn write_item(
        &mut self,
        now: Instant,
        bytes: &mut [u8],
        to: SocketAddr,
        target: Id,
        want: Want,
        seq: Option<i64>,
        other: Option<&S::Table>,
    ) -> Result<usize, EncodeError> {
        let token = self.tokens.make(now, to.ip(), &InfoHash(target.0));
        let envelope = around(&self.config, &self.replies);
        let spare = spare(&envelope, want);
        let room = (bytes.len() + spare).saturating_sub(FRAME);
        let stored = self.items.get(now, target);
        let item_len = stored.map_or(0, |stored| len_of(&told(&stored, seq, room)));

        let left = (bytes.len() + spare).saturating_sub(item_len);
        let mut closest = ClosestNodes::default();
        self.closest_to(now, target, want, left, other, &mut closest);
        let (nodes, nodes6) = closest.by_family(self.config.family, want);

        let item = self.items.get(now, target).map(|stored| told(&stored, seq, room));
        self.stats.items_told += u64::from(item.is_some_and(|item| item.value.is_some()));
        let token = Some(&token[..]);
        let answer = Answer { id: self.id, nodes, nodes6, token, item, ..Answer::default() };
        krpc::encode_response(bytes, &envelope, &answer)
    }
}

/// What is told of an item to somebody who has that of the number `seq`.
fn told<'a>(stored: &Stored<'a>, seq: Option<i64>, room: usize) -> krpc::Item<'a> {
    let whole = krpc::Item {
        value: Some(stored.value),
        key: stored.signed.map(|signed| signed.key),
        signature: stored.signed.map(|signed| signed.signature),
        sequence: stored.signed.map(|signed| signed.seq),
    };
    let has_it = stored.signed.is_some_and(|signed| seq.is_some_and(|seq| seq >= signed.seq));
    if has_it || len_of(&whole) > room {
        return krpc::Item { sequence: whole.sequence, ..krpc::Item::default() };
    }
    whole
}

/// How many bytes an item takes in a message at most.
fn len_of(item: &krpc::Item<'_>) -> usize {
    item.value.map_or(0, |value| 3 + value.len())
        + item.key.map_or(0, |_| 38)
        + item.signature.map_or(0, |_| 72)
        + item.sequence.map_or(0, |_| 27)
}
