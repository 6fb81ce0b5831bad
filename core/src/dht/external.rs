//! What others say our address is (BEP 42), by vote.
//!
//! Every network has one vote, its last one, so that a crowd in one place is one voice. An address
//! is agreed on when at least three networks say so and they are more than half of those heard
//! lately; the port is the one that most of them name. Once there is one, another takes its place
//! only by three quarters of the votes: a new address makes a new id, and costs the table that was
//! built around the old one. Knows neither time nor messages.

use core::net::{IpAddr, SocketAddr};

use crate::contact::{Family, Network};
use crate::limits::VOTES_MAX;
use crate::list::{List, Spare};

/// The votes on our address.
#[derive(Clone, Debug)]
pub struct External {
    family: Family,
    /// On networks of one's own, local addresses can be voted for.
    local: bool,
    /// Oldest first.
    votes: Spare<Vote, VOTES_MAX>,
    /// Who is voted for, mostly one alone; in the order of the first votes.
    claims: Spare<Claim, VOTES_MAX>,
    agreed: Option<Agreed>,
}

/// What a network said last, in nine bytes.
#[derive(Clone, Copy, Debug)]
struct Vote {
    voter: [u8; 8],
    /// The place of what it claims.
    claim: u8,
}

/// An address that somebody claims to be ours.
#[derive(Clone, Copy, Debug)]
struct Claim {
    addr: SocketAddr,
    votes: u8,
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
        Self { family, local, votes: Spare::default(), claims: Spare::default(), agreed: None }
    }

    /// Counts a vote. Returns the agreed address if its IP is a new one.
    pub fn vote(&mut self, voter: Network, claimed: SocketAddr) -> Option<SocketAddr> {
        if !self.is_plausible(&claimed) {
            return None;
        }
        let known = voter.to_bytes();
        match self.votes.iter().position(|vote| vote.voter == known) {
            Some(old) => self.withdraw(old),
            None if self.votes.is_full() => self.withdraw(0),
            None => {}
        }
        self.cast(voter, claimed);
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

    fn cast(&mut self, voter: Network, claimed: SocketAddr) {
        let known = self.claims.iter().position(|claim| claim.addr == claimed);
        let claim = known.unwrap_or(self.claims.len());
        if let Some(claim) = self.claims.get_mut(claim) {
            claim.votes += 1;
        } else if List::push(&mut self.claims, Claim { addr: claimed, votes: 1 }).is_err() {
            return;
        }
        let _ = List::push(&mut self.votes, Vote { voter: voter.to_bytes(), claim: claim as u8 });
    }

    /// Takes a vote back, and a claim that was its last.
    fn withdraw(&mut self, vote: usize) {
        let Some(Vote { claim, .. }) = List::remove(&mut self.votes, vote) else { return };
        let Some(claimed) = self.claims.get_mut(usize::from(claim)) else { return };
        claimed.votes = claimed.votes.saturating_sub(1);
        if claimed.votes == 0 {
            List::remove(&mut self.claims, claim.into());
            let behind = self.votes.iter_mut().filter(|vote| vote.claim > claim);
            behind.for_each(|vote| vote.claim -= 1);
        }
    }

    /// The address that most votes agree on, if they are more than half and enough.
    fn count(&self) -> Option<Agreed> {
        let votes_on = |ip: IpAddr| -> u8 {
            let same = self.claims.iter().filter(|claim| claim.addr.ip() == ip);
            same.map(|claim| claim.votes).sum()
        };
        let of = self.votes.len() as u8;
        // More than half can be for one IP alone; of its ports, the one that most name.
        let claims = self.claims.iter().filter(|claim| votes_on(claim.addr.ip()) * 2 > of);
        let best = claims.max_by_key(|claim| claim.votes)?;
        let votes = votes_on(best.addr.ip());
        let agreed = Agreed { addr: best.addr, votes, of };
        (usize::from(votes) >= Self::QUORUM).then_some(agreed)
    }
}
