//! Every bound in one place, with where it comes from; their relations are asserted at compile
//! time at the end.

use core::time::Duration;

/// The largest datagram we build or read: an Ethernet frame of 1,500 bytes. What the DHT sends stays
/// well below; a scrape of 74 swarms (BEP 15) is 1,496 bytes, and the IP layer cuts it in two where
/// the path is narrower.
pub const DATAGRAM_MAX: usize = 1_500;

/// Swarms that one scrape over UDP asks for at most (BEP 15).
pub const SCRAPE_MAX: usize = 74;

/// Bytes of path and query of a UDP tracker's address that are sent to it (BEP 41): what is left of
/// a datagram, each run of 255 with two bytes before it.
pub const URL_DATA_MAX: usize = DATAGRAM_MAX - 98 - 2 * 6;

/// The largest reply we send, but for those with an item: BEP 32 allows 1,024 bytes of payload.
pub const REPLY_MAX: usize = 1_024;

/// The largest reply to `get` (BEP 44): an Ethernet frame of 1,500 bytes without the headers of IPv6
/// and UDP, so that no value is cut in two on the way.
pub const ITEM_REPLY_MAX: usize = 1_500 - 40 - 8;

/// Nodes that an answer lists, contacts that a bucket holds, nodes that an announce goes to: the
/// `K` of BEP 5.
pub const K: usize = 8;

/// The longest transaction id that is echoed, in bytes. BEP 5 says 2; others send up to 20.
pub const TRANSACTION_MAX: usize = 32;

/// The longest token that we keep to give back. Of the implementations seen, the longest is 20
/// bytes; a node with a longer one cannot be announced to.
pub const TOKEN_MAX: usize = 40;

/// Nodes that a lookup keeps in sight: the `K` closest, as many again that may turn out dead, and
/// the way there. A few more would change nothing, and cost each lookup a hundred bytes each.
pub const SHORTLIST_MAX: usize = 3 * K + K / 2;

/// Disjoint paths of one lookup: the shortlist has room for seven candidates of each of four. One
/// without an allocator, where code is short as well.
pub const PATHS_MAX: u8 = if cfg!(feature = "alloc") { 4 } else { 1 };

/// Addresses of unknown id that one lookup begins with.
pub const SEEDS_MAX: usize = 8;

/// Addresses to begin with that a node keeps.
pub const SOURCES_MAX: usize = 16;

/// Local addresses of one family that a machine has at most, a node each: BEP 45 tells of 256. One
/// without an allocator.
pub const HOMES_MAX: usize = 256;

/// Bits of a prefix that ids of two of them must not share. Random ids do once in 65,536 pairs, and
/// a byte less could not be demanded of 256 of them.
pub const HOMES_PREFIX_MAX: u32 = 16;

/// Nodes heard of that wait to be asked whether they are there.
pub const NEWCOMERS_MAX: usize = 8;

/// Nodes of one answer that are taken in: `K` are asked for, and who sends more has something else
/// in mind.
pub const NODES_TAKEN_MAX: usize = K;

/// Peers of one answer that are taken in: more than fit into any datagram that arrives whole.
pub const VALUES_TAKEN_MAX: usize = 250;

/// Questions of one lookup at most, repeats included. Fifty do in a healthy network; whoever invents
/// ever closer nodes keeps nobody busy for ever.
pub const QUESTIONS_MAX: u16 = 400;

/// Peers of one address that are kept of one swarm: one host cannot push out the others. Local
/// addresses are exempt.
pub const HOST_PEERS_MAX: usize = 16;

/// Nodes that a saved state holds: more are not needed to find the network again.
pub const SAVED_NODES_MAX: usize = 200;

/// Bytes of the text of an error reply.
pub const ERROR_TEXT_MAX: usize = 100;

/// Nodes that one announce goes to at most: `K`, and two in place of those that refuse.
pub const ANNOUNCES_MAX: usize = K + 2;

/// Nodes that a full bucket keeps in reserve.
pub const RESERVES_MAX: usize = 4;

/// Finished lookups that the size of the network is judged by: 64 make an interval of a tenth of it
/// to each side, 8 bytes each.
pub const SPANS_MAX: usize = 64;
/// Finished lookups, for distinct targets, before they say how dense the network is: the distance of
/// a single `K`th node is off by a third.
pub const DENSITY_LOOKUPS: usize = 4;
/// Nodes that are asked for their own neighbours while nothing else says how dense the network is: three
/// at once, two more where some are silent. Nobody where there is no allocator: there is no room for it.
pub const SOUNDINGS_MAX: usize = if cfg!(feature = "alloc") { 5 } else { 0 };
/// Whoever shares more bits than these with the target of a lookup may be of a crowd around it, and is
/// not asked.
pub const SOUNDING_SHARES_MAX: u32 = 8;

/// Networks whose vote on our address is remembered.
pub const VOTES_MAX: usize = 16;

/// Peers that are kept of one swarm: a few replies full.
pub const SWARM_PEERS_MAX: usize = 500;

/// Seeds or downloaders of one swarm up to which filters can count them (BEP 33). Nobody else is
/// given a token then.
pub const FILTERED_MAX: usize = 6_000;

/// Info-hashes of one sample (BEP 51): what a reply has room for if it lists no nodes.
pub const SAMPLES_MAX: usize = (REPLY_MAX - 160) / 20;

/// The longest interval between two samples (BEP 51).
pub const SAMPLE_INTERVAL_MAX: Duration = Duration::from_secs(21_600);

/// Bytes of an HTTP tracker's answer: room for 50,000 compact peers.
pub const BODY_MAX: usize = 1 << 20;

/// Peers of one answer of an HTTP tracker that are taken in; most send 50 to 200.
pub const HTTP_PEERS_MAX: usize = 2_000;

/// Bytes of a stored value, bencoded: more is not safe to rely on (BEP 44).
pub const VALUE_MAX: usize = 1_000;

/// Bytes of the salt that tells the items of one key apart (BEP 44).
pub const SALT_MAX: usize = 64;

/// Bytes of a lookup that counts a swarm: two filters of 256, and two counts of two bytes of each of
/// sixteen nodes.
pub const SCRAPE_GATHERED: usize = 2 * 256 + 16 * 4;

/// Bytes of a lookup that gathers an item: its key, signature, salt and value.
pub const ITEM_GATHERED: usize = 32 + 64 + SALT_MAX + VALUE_MAX;

/// Items that are kept of what one network put: nobody pushes out everybody. Local addresses are
/// exempt.
pub const HOST_ITEMS_MAX: usize = 16;

/// Bytes that the signature of a mutable item is made over at most (BEP 44): `4:salt64:` and the
/// salt, `3:seqi`, 20 digits, `e1:v` and the value.
pub const SIGNED_MAX: usize = 9 + SALT_MAX + 6 + 20 + 4 + VALUE_MAX;

/// How deep bencoding may nest: KRPC needs 4 levels, BEP 44 values are bounded by 1,000 bytes.
pub const DEPTH_MAX: usize = 32;

/// Info-hashes of one answer that are taken in: as many as fit into any datagram.
pub const SAMPLES_TAKEN_MAX: usize = DATAGRAM_MAX / 20;

/// Nodes of one network (a /24, a /64) that a crawl keeps: more than others have on the internet, so
/// few that addresses of one's own fill nobody's memory. Local networks are exempt.
pub const CRAWL_NETWORK_NODES_MAX: u16 = 64;

/// Nodes of one site of IPv6 (a /48, which is given to anybody who asks: 65,536 networks) that a crawl
/// keeps. Whoever has a provider's /32 can still fill it.
pub const CRAWL_SITE_NODES_MAX: u16 = 256;

/// Info-hashes that a crawl takes from one node: some implementations store no more than 2,000, the
/// largest that were seen some thousands. Whoever invents hashes ends here.
pub const CRAWL_NODE_HASHES_MAX: u32 = 20_000;

/// Visits in a row without anything new after which a node is taken to have told everything.
pub const CRAWL_BARREN_MAX: u8 = 2;

/// Info-hashes that a node is believed to store.
pub const CRAWL_STORED_MAX: u32 = 1 << 24;

/// Nodes outside of a part of the key space that a crawl asks about it, before it goes on without an
/// answer: more than one liar invents.
pub const CRAWL_TRIES_MAX: u8 = 64;

const _: () = {
    assert!(SHORTLIST_MAX >= 2 * K && ANNOUNCES_MAX >= K);
    assert!(REPLY_MAX <= ITEM_REPLY_MAX && ITEM_REPLY_MAX <= DATAGRAM_MAX);
    // The longest item with its key, signature and number, three nodes, and the frame around it.
    assert!(3 + VALUE_MAX + 38 + 72 + 27 + 3 * 38 + 160 <= ITEM_REPLY_MAX);
    assert!(16 + 20 * SCRAPE_MAX <= DATAGRAM_MAX && 8 + 12 * SCRAPE_MAX <= DATAGRAM_MAX);
    assert!(URL_DATA_MAX.div_ceil(255) <= 6);
    // The fullest find_node answer of both families fits: 8 × (26 + 38) and the frame around it.
    assert!(K * (26 + 38) + 200 + TRANSACTION_MAX <= REPLY_MAX);
};
