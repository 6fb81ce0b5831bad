//! The node: the one place where the leaves, the codec and the contract meet.
//!
//! [`Node`] owns rows and leaves and moves facts between them; every decision is a leaf's. Its
//! methods by kind, and where they are:
//!
//! | kind | file |
//! |---|---|
//! | commands and views of the application | `mod.rs`, `lookups.rs`, `views.rs` |
//! | a datagram comes in | `receive.rs` |
//! | a datagram goes out, time passes | `transmit.rs`; what replies say: `replies.rs` |
//! | items of others are stored and told | `items.rs` |
//! | events, and giving rows free | `report.rs` |
//! | being one of several | `home.rs` |
//! | its state to bytes and back | `save.rs` |
//! | the rows themselves | `search.rs`, `rows.rs` |

mod home;
mod items;
mod lookups;
mod receive;
mod replies;
mod report;
mod rows;
mod save;
mod search;
mod sounding;
mod transmit;
mod views;

use core::net::SocketAddr;
use core::time::Duration;

use rand_core::CryptoRng;

pub use self::lookups::{Announcement, PutError, Sought};
pub use self::rows::{AskRow, Flight, QuestionRow, ReplyRow};
pub use self::save::{RestoreError, SAVE_MAX};
pub use self::search::SearchRow;

pub(crate) use self::home::Standing;
pub(crate) use self::rows::ReplyKind;
use self::rows::{Asker, Told};
use crate::budget::Budget;
use crate::contact::{Family, is_mapped};
use crate::dht::bootstrap::Bootstrap;
use crate::dht::budget::{Destinations, Sources};
use crate::dht::config::{AddressCheck, Config};
use crate::dht::event::{AskId, Event, HomeId, QuestionId};
use crate::dht::external::External;
use crate::dht::lookup::Errand;
use crate::dht::queries::{Patience, Queries};
use crate::dht::shunned::Shunned;
use crate::dht::size::Census;
use crate::dht::soundings::Soundings;
use crate::dht::stats::Stats;
use crate::dht::storage::Storage;
use crate::dht::table::{Routing, TableConfig};
use crate::dht::token::Tokens;
use crate::id::Id;
use crate::limits::NEWCOMERS_MAX;
use crate::list::{List, Spare};
use crate::machine::{Buffer, Ignored, Machine, Transmit, earliest};
use crate::rows::Rows;
use crate::time::Instant;
use crate::wire::krpc::Question;

/// A node of the Mainline DHT, for one address family.
///
/// Implements [`Machine`]; see there for the loop that drives it.
///
/// A simulation may copy one whose randomness can be copied. Both draw the same numbers from then on,
/// tokens and transactions included: a real network must never see more than one of them.
#[derive(Clone)]
pub struct Node<S: Storage, R: CryptoRng> {
    config: Config,
    /// Which of the nodes of a machine it is.
    home: HomeId,
    /// There are others of the same family.
    is_one_of_many: bool,
    id: Id,
    random: R,
    storage: S,
    table: S::Table,
    peers: S::Peers,
    items: S::Items,
    queries: Queries<Asker, S::InFlight>,
    searches: Rows<SearchRow<S>, S::Searches>,
    asks: Rows<AskRow, S::Asks>,
    questions: Rows<QuestionRow, S::Questions>,
    replies: S::Replies,
    tokens: Tokens,
    external: External,
    bootstrap: Bootstrap,
    /// Nodes that never answered, remembered for a while.
    silent: Shunned<S::Shunned>,
    /// Nodes whose datagrams are not looked at.
    blocked: Shunned<S::Shunned>,
    outgoing: Budget,
    /// Items that go out whole to whoever asks.
    whole_items: Budget,
    destinations: Destinations,
    sources: Sources<S::Sources>,
    /// Nodes heard of that wait to be asked whether they are there, in turn.
    newcomers: Spare<SocketAddr, NEWCOMERS_MAX>,
    /// A newcomer is being asked: one at a time.
    verifying: bool,
    /// Which it is, counted around: so that what an earlier one does is not taken for its doing.
    newcomer: u8,
    /// Nodes of the other family that answers told of, for the other node of a pair.
    leaked: Spare<SocketAddr, NEWCOMERS_MAX>,
    /// Ask for nodes of both families (BEP 32), and keep what is told of the other.
    want_both: bool,
    /// Told at the last poll, and given free at the next.
    told: Option<Told>,
    /// News of the node itself that were not told yet.
    news: Spare<Event, 4>,
    /// Whether a search may have something to send: spares a look at each.
    stirred: bool,
    /// Whether a lookup may have something to tell.
    untold: bool,
    /// Which search is served next.
    turn: usize,
    /// The last datagram may have made work, news, or an earlier deadline: most queries make a reply
    /// and nothing else.
    is_woken: bool,
    /// A question waits for the budget until then.
    held: Option<Instant>,
    reachable: bool,
    /// What finished lookups say of the size of the network.
    census: Census,
    /// What others say of it meanwhile.
    soundings: Soundings,
    stats: Stats,
}

/// All rows of the kind that was asked for are taken: wait for an event, or choose a larger
/// [`Storage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Why a single question was not taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AskError {
    /// All rows are taken.
    Busy,
    /// The address is of the other family, or has port 0.
    Address,
    /// Name and arguments do not fit into a datagram, or the arguments are not a dictionary.
    Arguments,
}

/// The port that an announce names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// The one that the announce is sent from: for peers that share the DHT's socket, or sit
    /// behind a NAT (BEP 5, `implied_port`).
    Implied,
    /// This one, 1 to 65535. 0 is nobody's, and as good as [`Port::Implied`].
    Number(u16),
}

impl core::fmt::Display for Busy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("all rows are taken: wait until a lookup or question ends")
    }
}

impl core::error::Error for Busy {}

impl core::fmt::Display for AskError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            AskError::Busy => "all rows are taken: wait until a question ends",
            AskError::Address => "the address is of another family than the node, or has port 0",
            AskError::Arguments => "the arguments are no bencoded dictionary, or too long",
        })
    }
}

impl core::error::Error for AskError {}

impl<S: Storage, R: CryptoRng> Node<S, R> {
    /// A node that knows nobody yet.
    pub fn new(config: Config, storage: S, mut random: R) -> Self {
        let id = config.id.unwrap_or_else(|| Id::random(&mut random));
        let table = TableConfig {
            diversity: config.diversity,
            prefer_verified: config.address_check != AddressCheck::Off,
            upkeep: config.upkeep.refresh,
            upkeep_spacing: config.upkeep.refresh_spacing,
            ..TableConfig::default()
        };
        Self {
            home: HomeId::new(config.family, 0),
            is_one_of_many: false,
            id,
            table: storage.table(id, table, config.family),
            peers: storage.peers(config.family),
            items: storage.items(),
            queries: Queries::new(
                storage.in_flight(),
                Patience { min: config.timeout_min, max: config.timeout_max },
            ),
            searches: Rows::new(storage.searches()),
            asks: Rows::new(storage.asks()),
            questions: Rows::new(storage.questions()),
            replies: storage.replies(),
            tokens: Tokens::new(&mut random),
            external: External::new(config.family, !config.diversity),
            bootstrap: Bootstrap::new(config.upkeep.bootstrap),
            silent: Shunned::new(storage.shunned()),
            blocked: Shunned::new(storage.shunned()),
            outgoing: Budget::new(config.questions),
            whole_items: Budget::new(config.whole_items),
            destinations: Destinations::new(config.destinations_per_minute),
            sources: Sources::new(storage.sources(), config.answers, &mut random),
            newcomers: Spare::default(),
            verifying: false,
            leaked: Spare::default(),
            newcomer: 0,
            want_both: false,
            told: None,
            news: Spare::default(),
            stirred: false,
            untold: false,
            turn: 0,
            is_woken: false,
            held: None,
            reachable: false,
            census: Census::default(),
            soundings: Soundings::default(),
            stats: Stats::default(),
            config,
            storage,
            random,
        }
    }

    // Commands: whom to know.

    /// Adds an address to begin with: kept, and asked again whenever the network was away. False
    /// if it is of the other family, has port 0, or there is no room.
    pub fn add_source(&mut self, addr: SocketAddr) -> bool {
        self.is_askable(&addr) && self.bootstrap.add_source(addr)
    }

    /// Tells of a node from elsewhere, such as a `PORT` message or the `nodes` of a torrent
    /// (BEP 5). It is asked whether it is there before it is kept. False if all places are taken.
    pub fn add_node(&mut self, addr: SocketAddr) -> bool {
        self.is_askable(&addr) && List::push(&mut self.newcomers, addr).is_ok()
    }

    /// Leaves an address alone for a while: its datagrams are ignored, and it is not asked.
    pub fn block(&mut self, now: Instant, addr: SocketAddr, how_long: Duration) {
        self.blocked.shun(now, addr, how_long);
        self.table.remove(&addr);
        List::retain(&mut self.newcomers, |newcomer| *newcomer != addr);
        if Self::CAN_SOUND {
            self.soundings.forget(&addr);
        }
        for (_, search) in self.searches.iter_mut() {
            search.lookup.refused(&addr, Errand::Search);
        }
        self.stirred = true;
    }

    /// Takes a block back.
    pub fn forgive(&mut self, addr: &SocketAddr) {
        self.blocked.forgive(addr);
    }

    /// Keeps a node in the routing table whatever happens, or no longer.
    pub fn protect(&mut self, addr: &SocketAddr, protected: bool) {
        self.table.protect(addr, protected);
    }

    /// Ask for nodes of both families (BEP 32), and offer those of the other by
    /// [`Node::poll_leaked`]. For pairs of nodes that bootstrap each other.
    pub fn set_want_both(&mut self, both: bool) {
        self.want_both = both;
    }

    /// An address of the other family that an answer told of, while both are wanted.
    pub fn poll_leaked(&mut self) -> Option<SocketAddr> {
        List::remove(&mut self.leaked, 0)
    }

    // Commands: single questions.

    /// Asks one address one question. Ends in [`Event::Answered`], [`Event::Refused`] or
    /// [`Event::Silent`].
    ///
    /// # Errors
    ///
    /// [`AskError`] says why the question was not taken on.
    pub fn ask(&mut self, to: SocketAddr, question: &Question<'_>) -> Result<AskId, AskError> {
        if !self.is_askable(&to) {
            return Err(AskError::Address);
        }
        let ask = AskRow::new(to, self.id, question).ok_or(AskError::Arguments)?;
        let row = self.asks.insert(ask).map_err(|_| AskError::Busy)?;
        Ok(AskId { home: self.home, row })
    }

    /// Gives up on a single question; no event follows.
    pub fn withdraw(&mut self, ask: AskId) {
        if self.is_mine(ask.home) {
            self.asks.remove(ask.row);
        }
    }

    // Commands: answering foreign methods.

    /// Answers a query that [`Event::Asked`] told of with a bencoded dictionary; `id` is added
    /// where it is missing.
    ///
    /// # Errors
    ///
    /// [`AskError::Arguments`] if it is not a dictionary or too long, [`AskError::Busy`] if the
    /// question is no longer open.
    pub fn reply(&mut self, question: QuestionId, dictionary: &[u8]) -> Result<(), AskError> {
        let (id, version) = (self.id, self.config.version);
        self.settle(question, |row| row.reply(dictionary, id, version))
    }

    /// Answers a query that [`Event::Asked`] told of with an error; the text is cut at 100 bytes.
    ///
    /// # Errors
    ///
    /// [`AskError::Busy`] if the question is no longer open.
    pub fn refuse(&mut self, question: QuestionId, code: i64, text: &str) -> Result<(), AskError> {
        self.settle(question, |row| row.refuse(code, text))
    }

    fn settle(
        &mut self,
        question: QuestionId,
        verdict: impl FnOnce(&mut QuestionRow) -> bool,
    ) -> Result<(), AskError> {
        if !self.is_mine(question.home) {
            return Err(AskError::Address);
        }
        let row = self.questions.get_mut(question.row).ok_or(AskError::Busy)?;
        if verdict(row) { Ok(()) } else { Err(AskError::Arguments) }
    }

    // Shared by the files of this module.

    fn is_mine(&self, home: HomeId) -> bool {
        home == self.home
    }

    fn is_askable(&self, addr: &SocketAddr) -> bool {
        Family::of(addr) == self.config.family && addr.port() != 0 && !is_mapped(addr)
    }

    fn tell(&mut self, event: Event) {
        // Four kinds of news: when nobody polls, the oldest is the one to lose.
        if self.news.is_full() {
            List::remove(&mut self.news, 0);
        }
        let _ = List::push(&mut self.news, event);
    }
}

impl<S: Storage, R: CryptoRng> Machine for Node<S, R> {
    type Event = Event;

    fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += datagram.len() as u64;
        let taken = self.receive(now, from, datagram);
        if let Err(reason) = taken {
            self.stats.ignore(reason);
        }
        taken
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        self.transmit(now, buffer, None)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.report()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let upkeep = if self.upkeep_waits() { None } else { self.table.deadline() };
        let work = earliest(self.queries.deadline(), self.bootstrap.deadline());
        earliest(earliest(work, upkeep), self.held)
    }
}
