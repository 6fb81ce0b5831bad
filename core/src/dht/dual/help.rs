//! How the homes of a machine help each other into the network: families what they hear of the
//! other's nodes (BEP 32), homes of one family a few contacts to begin with (BEP 45).

use heapless::Vec;
use rand_core::CryptoRng;

use super::home::{Home, Homes};
use crate::contact::Contact;
use crate::dht::node::Node;
use crate::dht::storage::Storage;
use crate::dht::table::{Quality, Routing};
use crate::limits::K;
use crate::time::Instant;

/// Nodes of one family ask for those of both while the other knows too few (BEP 32).
pub(super) fn exchange<S: Storage, R: CryptoRng>(
    from: &mut Homes<S, R>,
    to: &mut Homes<S, R>,
) -> bool {
    let is_poor = !to.is_empty() && to.iter().all(|home| home.node().is_poor());
    let mut is_new = false;
    for home in from.iter_mut() {
        home.set_want_both(is_poor);
        while let Some(addr) = home.poll_leaked() {
            is_new |= poorest(to).is_some_and(|node| node.add_node(addr));
        }
    }
    is_new
}

/// Homes that look for their place begin with contacts of the one that knows most.
pub(super) fn lend<S: Storage, R: CryptoRng>(now: Instant, homes: &mut Homes<S, R>) -> bool {
    let mut is_new = false;
    if homes.len() < 2 {
        return is_new;
    }
    for place in 0..homes.len() {
        let is_in_need = homes.get(place).filter(|home| home.node().is_in_need(now));
        let Some((id, known)) =
            is_in_need.map(|home| (home.node().id(), home.node().table().len()))
        else {
            continue;
        };
        let Some(rich) = homes.iter().max_by_key(|home| home.node().table().len()) else {
            continue;
        };
        if rich.node().table().len() <= known {
            continue;
        }
        let mut contacts = Vec::<Contact, { 2 * K }>::new();
        rich.node().table().closest(now, id, Quality::Good, &mut contacts);
        let Some(home) = homes.get_mut(place) else { continue };
        contacts.retain(|contact| home.node().may_borrow(now, contact));
        // Nobody is woken for nothing: who is awake would do at any time what is to be done later.
        if !contacts.is_empty() {
            is_new |= home.node_mut().borrow_contacts(now, &contacts);
        }
    }
    is_new
}

pub(super) fn poorest<S: Storage, R: CryptoRng>(
    homes: &mut Homes<S, R>,
) -> Option<&mut Node<S, R>> {
    homes.iter_mut().min_by_key(|home| home.node().table().len()).map(Home::node_mut)
}
