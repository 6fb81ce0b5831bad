//! Conversations of BEP 5, as they stand there, in virtual time.

use tinybt_core::dht::Config;
use tinybt_core::{Family, Id};
use tinybt_tests::nodes::{TestNode, addr, node};
use tinybt_tests::script::play;

/// The node of BEP 5's examples, which adds `ip` (BEP 42) to what it answers and no `v`.
fn responder() -> TestNode {
    let mut config = Config::endpoint(Family::V4);
    config.id = Some(Id(*b"mnopqrstuvwxyz123456"));
    config.version = None;
    node(1, config)
}

#[test]
fn the_four_queries_of_bep_5() {
    play(
        &mut responder(),
        "
0.0 < 49.50.51.52:13622 d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe
0.0 > 49.50.51.52:13622 d2:ip6:1234561:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re
0.1 < 49.50.51.52:13622 d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe
0.1 > 49.50.51.52:13622 d2:ip6:1234561:rd2:id20:mnopqrstuvwxyz1234565:nodes0:e1:t2:aa1:y1:re
0.2 < 49.50.51.52:13622 d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe
0.2 > 49.50.51.52:13622 d2:ip6:1234561:rd2:id20:mnopqrstuvwxyz1234565:nodes0:5:token8:~~~~~~~~e1:t2:aa1:y1:re
0.3 < 49.50.51.52:13622 d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe
0.3 > 49.50.51.52:13622 d1:eli203e9:bad~tokene2:ip6:1234561:t2:aa1:y1:ee
0.4 < 49.50.51.52:13622 d1:ad2:id20:abcdefghij0123456789e1:q4:vote1:t2:aa1:y1:qe
0.4 > 49.50.51.52:13622 d1:eli204e14:method~unknowne2:ip6:1234561:t2:aa1:y1:ee
9.9 -
",
    );
}

#[test]
fn a_single_question_is_repeated_once() {
    let mut node = responder();
    node.ask(addr(1), &tinybt_core::dht::Question::Ping).unwrap();
    // Slow after what 86 % of the answers of the internet need, then once more, then no more.
    play(
        &mut node,
        "
0.0 > 20.2.0.7:6881 d1:ad2:id20:mnopqrstuvwxyz123456e1:q4:ping1:t4:~~~~1:y1:qe
0.3 -
0.9 > 20.2.0.7:6881 d1:ad2:id20:mnopqrstuvwxyz123456e1:q4:ping1:t4:~~~~1:y1:qe
60 -
",
    );
}
