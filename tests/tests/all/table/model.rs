//! Whatever happens to the table, in whatever order, what can be seen of it obeys the rules.

use proptest::prelude::*;
use tinybt_core::Network;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    Answered(Contact, bool),
    Asked(Contact),
    Silent(SocketAddr),
    Restore(Contact),
    Remove(SocketAddr),
    Protect(SocketAddr, bool),
    Rebase(usize, u64),
    Advance(u32),
    Back(u32),
    ToDeadline,
}

fn contacts() -> impl Strategy<Value = Contact> {
    // Most are some of a few nodes, which are met again; the others clash with them.
    let known = (0u8..60).prop_map(|n| node(usize::from(n % 7), n));
    let claims = (0u8..60, 0u8..60, 0u8..2, 0u16..2).prop_map(|(who, network, host, port)| {
        let addr = addr(network, 1 + host, 6881 + port);
        Contact { addr, ..node(usize::from(who % 7), who) }
    });
    prop_oneof![4 => known, 1 => claims]
}

fn ops() -> impl Strategy<Value = Op> {
    let addrs = || contacts().prop_map(|contact| contact.addr);
    prop_oneof![
        24 => (contacts(), any::<bool>()).prop_map(|(c, verified)| Op::Answered(c, verified)),
        4 => contacts().prop_map(Op::Asked),
        10 => addrs().prop_map(Op::Silent),
        3 => contacts().prop_map(Op::Restore),
        1 => addrs().prop_map(Op::Remove),
        2 => (addrs(), any::<bool>()).prop_map(|(a, on)| Op::Protect(a, on)),
        1 => (0usize..12, 0u64..4).prop_map(|(shared, seed)| Op::Rebase(shared, seed)),
        4 => (0u32..400_000_000).prop_map(Op::Advance),
        1 => (0u32..400_000_000).prop_map(Op::Back),
        8 => Just(Op::ToDeadline),
    ]
}

struct Model<T> {
    table: T,
    config: TableConfig,
    buckets_max: usize,
    now: Instant,
    random: ChaCha8Rng,
    protected: BTreeSet<SocketAddr>,
}

impl<T: Routing> Model<T> {
    fn new(table: T, config: TableConfig, buckets_max: usize) -> Self {
        Self {
            table,
            config,
            buckets_max,
            now: at(1_000),
            random: ChaCha8Rng::seed_from_u64(7),
            protected: BTreeSet::new(),
        }
    }

    fn live(mut self, ops: &[Op], targets: &[(usize, u64)]) {
        for (index, op) in ops.iter().enumerate() {
            self.apply(*op);
            self.check();
            self.check_upkeep();
            let (shared, seed) = targets[index % targets.len()];
            self.check_closest::<8>(id(shared, seed));
            self.check_closest::<3>(id(shared, seed));
            self.check_closest::<40>(self.table.own());
        }
    }

    fn is_good(&self, entry: &Entry) -> bool {
        entry.answered
            && entry.silences == 0
            && self.now.since(entry.heard) < self.config.questionable_after
    }

    fn apply(&mut self, op: Op) {
        let before = entries(&self.table);
        match op {
            Op::Answered(contact, verified) => {
                let proof = if verified { Proof::Verified } else { Proof::Unverified };
                let inside = self.table.answered(self.now, contact, RTT, proof);
                assert_eq!(inside, has(&self.table, contact), "says whether it is in the table");
                // The old and good stay, whatever is claimed from elsewhere.
                for old in before.iter().filter(|old| self.is_good(old)) {
                    let weaker = self.config.prefer_verified && old.proof < proof;
                    let stays = old.contact.addr != contact.addr && !weaker;
                    assert!(!stays || has(&self.table, old.contact), "{old:?} was displaced");
                }
            }
            Op::Asked(contact) => {
                let len = self.table.len();
                self.table.asked_us(self.now, &contact);
                assert_eq!(self.table.len(), len, "a question proves nothing");
            }
            Op::Silent(addr) => self.table.silent(self.now, &addr),
            Op::Restore(contact) => self.table.restore(self.now, contact),
            Op::Remove(addr) => {
                self.table.remove(&addr);
                self.protected.remove(&addr);
                assert!(entries(&self.table).iter().all(|entry| entry.contact.addr != addr));
            }
            Op::Protect(addr, on) => {
                let known = before.iter().any(|entry| entry.contact.addr == addr);
                if !on {
                    self.table.protect(&addr, false);
                    self.protected.remove(&addr);
                } else if known && self.protected.len() < K {
                    self.table.protect(&addr, true);
                    self.protected.insert(addr);
                }
            }
            Op::Rebase(shared, seed) => self.rebase(id(shared, seed), &before),
            Op::Advance(micros) => self.now = self.now + Duration::from_micros(micros.into()),
            Op::Back(micros) => {
                let micros = self.now.as_micros().saturating_sub(micros.into());
                self.now = Instant::from_micros(micros);
            }
            Op::ToDeadline => {
                if let Some(deadline) = self.table.deadline() {
                    self.now = self.now.max(deadline);
                }
            }
        }
    }

    fn rebase(&mut self, own: Id, before: &[Entry]) {
        self.table.rebase(self.now, own);
        let last = self.table.counts(self.now).buckets - 1;
        let home = |entry: &Entry| shared_bits(entry.contact.id, own).min(last);
        for bucket in 0..=last {
            let fits = before.iter().filter(|e| e.contact.id != own && home(e) == bucket).count();
            let kept = entries(&self.table).iter().filter(|e| home(e) == bucket).count();
            assert!(
                kept >= fits.min(K),
                "bucket {bucket}: {fits} would fit up to {K}, kept {kept}"
            );
        }
        // What has our own id is not kept, protected or not.
        let own_id = before.iter().find(|entry| entry.contact.id == own);
        if let Some(entry) = own_id {
            self.protected.remove(&entry.contact.addr);
        }
    }

    fn check(&mut self) {
        let all = entries(&self.table);
        let counts = self.table.counts(self.now);
        assert_eq!(all.len(), self.table.len());
        assert_eq!(counts.good + counts.questionable + counts.bad, all.len());
        assert_eq!(counts.good, all.iter().filter(|entry| self.is_good(entry)).count());
        assert!((1..=self.buckets_max).contains(&counts.buckets));
        assert!(counts.reserves <= counts.buckets * RESERVES_MAX);

        let ids: BTreeSet<_> = all.iter().map(|entry| entry.contact.id).collect();
        let addrs: BTreeSet<_> = all.iter().map(|entry| entry.contact.addr).collect();
        let networks: BTreeSet<_> =
            all.iter().map(|entry| Network::of(entry.contact.addr.ip())).collect();
        assert_eq!((ids.len(), addrs.len()), (all.len(), all.len()), "an id or address twice");
        assert!(!self.config.diversity || networks.len() == all.len(), "a network twice");
        assert!(!ids.contains(&self.table.own()), "our own id");
        let marked = all.iter().filter(|entry| entry.protected).map(|entry| entry.contact.addr);
        assert_eq!(
            marked.collect::<BTreeSet<_>>(),
            self.protected,
            "not those that were protected"
        );

        let homes: Vec<_> = all.iter().map(|entry| self.home(entry.contact.id)).collect();
        assert!(homes.is_sorted_by(|a, b| a >= b), "out of order, so in the wrong bucket");
        let fullest = (0..counts.buckets).map(|b| homes.iter().filter(|h| **h == b).count()).max();
        assert!(fullest.unwrap_or(0) <= K);
        assert!(counts.reserves == 0 || fullest == Some(K), "in reserve, though there is room");
    }

    fn home(&self, id: Id) -> usize {
        shared_bits(id, self.table.own()).min(self.table.counts(self.now).buckets - 1)
    }

    fn check_closest<const N: usize>(&self, target: Id) {
        let by_distance = |mut all: Vec<Entry>| {
            all.sort_by_key(|entry| entry.contact.id.distance(target));
            all
        };
        let usable: Vec<_> =
            entries(&self.table).into_iter().filter(|entry| !entry.is_bad()).collect();
        let (good, doubtful): (Vec<_>, Vec<_>) =
            usable.iter().copied().partition(|entry| self.is_good(entry));
        let mut best = by_distance(good);
        best.extend(by_distance(doubtful));
        best.truncate(N);
        let cases = [(Quality::Usable, by_distance(usable)), (Quality::Good, by_distance(best))];
        for (quality, expected) in cases {
            let mut found = heapless::Vec::<Contact, N>::new();
            self.table.closest(self.now, target, quality, &mut found);
            let expected: Vec<_> = expected.iter().take(N).map(|entry| entry.contact).collect();
            assert_eq!(found.as_slice(), expected, "{quality:?} to {target:?}");
        }
    }

    /// Progress, patience and punctuality of the one deadline, and sensible questions.
    fn check_upkeep(&mut self) {
        let before = self.table.deadline();
        let asked = self.table.upkeep(self.now, &mut self.random);
        let due = before.is_some_and(|deadline| deadline <= self.now);
        assert!(due || asked.is_none(), "asked before the deadline");
        assert!(!due || self.table.deadline() != before, "the deadline stayed");
        assert_eq!(self.table.upkeep(self.now, &mut self.random), None, "asked twice at once");
        if let Some(question) = asked {
            self.check_question(question);
        }
        let Some(deadline) = self.table.deadline() else {
            assert!(self.table.is_empty(), "nobody will ever be asked");
            return;
        };
        assert!(deadline > self.now);
        let just_before = Instant::from_micros(deadline.as_micros() - 1);
        assert_eq!(self.table.upkeep(just_before, &mut self.random), None);
        assert_eq!(self.table.deadline(), Some(deadline), "looking moved the deadline");
    }

    fn check_question(&self, question: Upkeep) {
        let all = entries(&self.table);
        let in_bucket = |home| all.iter().filter(|e| self.home(e.contact.id) == home).count();
        match question {
            Upkeep::Ping(contact) => {
                assert!(has(&self.table, contact));
                assert_eq!(in_bucket(self.home(contact.id)), K, "this bucket has need of nodes");
            }
            Upkeep::FindNode { via, target } => {
                assert!(has(&self.table, via));
                assert!(in_bucket(self.home(target)) < K, "this bucket has no need of nodes");
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_table_obeys_its_rules(
        ops in prop::collection::vec(ops(), 1..250),
        targets in prop::collection::vec((0usize..12, any::<u64>()), 4),
        buckets_max in 1usize..8,
        diversity: bool,
        prefer_verified: bool,
    ) {
        let config = TableConfig { diversity, prefer_verified, ..TableConfig::default() };
        Model::new(table(buckets_max, config), config, buckets_max).live(&ops, &targets);
        Model::new(inline(buckets_max, config), config, buckets_max).live(&ops, &targets);
    }
}
