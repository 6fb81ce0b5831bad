//! What the table tells of one node.

use super::Proof;
use crate::contact::Contact;
use crate::time::Instant;

/// A node in the table, as it is told of. Times are of whole seconds.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Who and where.
    pub contact: Contact,
    /// When it last answered or asked; [`Instant::EPOCH`] if never in this run. Of one that was not
    /// heard of for more than 18 hours before it was asked last, 18 hours before that.
    pub heard: Instant,
    /// When upkeep last asked it, or when it last failed to answer; if it was heard of since, when.
    pub asked: Instant,
    /// Failures to answer in a row; 31 are that many or more.
    pub silences: u8,
    /// Whether its id fits its address.
    pub proof: Proof,
    /// Whether it has answered us in this run.
    pub answered: bool,
    /// Whether it may never be dropped.
    pub protected: bool,
}

impl Entry {
    /// Failures in a row that make a node bad.
    pub(super) const SILENCES_MAX: u8 = 2;

    /// Whether it is no longer to be relied on.
    #[inline]
    pub fn is_bad(&self) -> bool {
        self.silences >= Self::SILENCES_MAX
    }
}
