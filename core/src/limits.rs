//! Every bound in one place, with where it comes from; their relations are asserted at compile
//! time at the end.

/// The largest datagram we build or read: an Ethernet frame of 1,500 bytes less the IPv4 and UDP
/// headers. Longer ones cannot arrive whole without fragments.
pub const DATAGRAM_MAX: usize = 1_472;

/// The largest reply we send: BEP 32 allows 1,024 bytes of payload.
pub const REPLY_MAX: usize = 1_024;

/// Nodes that an answer lists, contacts that a bucket holds, nodes that an announce goes to: the
/// `K` of BEP 5.
pub const K: usize = 8;

/// The longest transaction id that is echoed, in bytes. BEP 5 says 2; others send up to 20.
pub const TRANSACTION_MAX: usize = 32;

/// The longest token that we keep to give back. Of the implementations seen, the longest is 20
/// bytes; a node with a longer one cannot be announced to.
pub const TOKEN_MAX: usize = 40;

/// How deep bencoding may nest: KRPC needs 4 levels, BEP 44 values are bounded by 1,000 bytes.
pub const DEPTH_MAX: usize = 32;

const _: () = {
    assert!(REPLY_MAX <= DATAGRAM_MAX);
    // The fullest find_node answer of both families fits: 8 × (26 + 38) and the frame around it.
    assert!(K * (26 + 38) + 200 + TRANSACTION_MAX <= REPLY_MAX);
};
