//! What others say our address is (BEP 42), by vote.
//!
//! Every network has one vote, its last one, so that a crowd in one place is one voice. An address
//! is agreed on when at least three networks say so and they are more than half of those heard
//! lately; the port is the one that most of them name. Once there is one, another takes its place
//! only by three quarters of the votes: a new address makes a new id, and costs the table that was
//! built around the old one. Knows neither time nor messages.

use core::net::{IpAddr, SocketAddr};

use heapless::Vec;

use crate::contact::{Family, Network};
use crate::limits::VOTES_MAX;

/// The votes on our address.
#[derive(Clone, Debug)]
pub struct External {
    family: Family,
    /// On networks of one's own, local addresses can be voted for.
    local: bool,
    /// Oldest first.
    votes: Vec<(Network, SocketAddr), VOTES_MAX>,
    agreed: Option<Agreed>,
}

/// An address that others agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The address.
    pub addr: SocketAddr,
    /// How many networks name its IP.
    pub votes: u8,
    /// How many networks voted.
    pub of: u8,
}

impl External {
    /// The least number of networks that make an agreement.
    pub const QUORUM: usize = 3;

    /// No votes yet. `local`: addresses of local networks count as well.
    pub fn new(family: Family, local: bool) -> Self {
        Self { family, local, votes: Vec::new(), agreed: None }
    }

    /// Counts a vote. Returns the agreed address if its IP is a new one.
    pub fn vote(&mut self, voter: Network, claimed: SocketAddr) -> Option<SocketAddr> {
        if !self.is_plausible(&claimed) {
            return None;
        }
        if let Some(old) = self.votes.iter().position(|(network, _)| *network == voter) {
            self.votes.remove(old);
        } else if self.votes.is_full() {
            self.votes.remove(0);
        }
        let _ = self.votes.push((voter, claimed));
        let before = self.agreed.map(|agreed| agreed.addr.ip());
        let agreed = self.count()?;
        let changed = before != Some(agreed.addr.ip());
        let Agreed { votes, of, .. } = agreed;
        if changed && before.is_some() && u32::from(votes) * 4 < u32::from(of) * 3 {
            return None;
        }
        self.agreed = Some(agreed);
        changed.then_some(agreed.addr)
    }

    /// The address that is agreed on, as long as no other is.
    pub fn agreed(&self) -> Option<Agreed> {
        self.agreed
    }

    fn is_plausible(&self, claimed: &SocketAddr) -> bool {
        let ip = claimed.ip();
        let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        Family::of(claimed) == self.family
            && claimed.port() != 0
            && !ip.is_unspecified()
            && !ip.is_multicast()
            && !broadcast
            && (self.local || !crate::id::is_local(ip))
    }

    fn count(&self) -> Option<Agreed> {
        let named = |ip: IpAddr| self.votes.iter().filter(move |(_, addr)| addr.ip() == ip);
        let most = self.votes.iter().max_by_key(|(_, addr)| named(addr.ip()).count())?;
        let ip = most.1.ip();
        let votes = named(ip).count();
        if votes < Self::QUORUM || votes * 2 <= self.votes.len() {
            return None;
        }
        let same = |addr: &SocketAddr| named(ip).filter(|(_, other)| other == addr).count();
        let (_, addr) = named(ip).max_by_key(|(_, addr)| same(addr))?;
        Some(Agreed { addr: *addr, votes: votes as u8, of: self.votes.len() as u8 })
    }
}
