//! What the all-knowing know: who is there, in order of id.

use tinybt_core::Id;

/// A node's id, and its number.
pub type Numbered = (Id, u32);

/// Nodes by id.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    sorted: Vec<Numbered>,
}

impl Truth {
    /// Of these nodes, each with its number.
    pub fn new(nodes: impl Iterator<Item = Numbered>) -> Self {
        let mut sorted: Vec<_> = nodes.collect();
        sorted.sort_unstable_by_key(|(id, _)| id.0);
        Self { sorted }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The `count` closest to a target, closest first.
    pub fn closest(&self, target: Id, count: usize) -> Vec<Numbered> {
        let mut found = Vec::with_capacity(count);
        visit(&self.sorted, target, 0, &mut |node| {
            found.push(node);
            found.len() < count
        });
        found
    }

    /// For each number of leading bits that one may share with `own`, those that share exactly so
    /// many; the last ones that are left, once they are no more than `few`, come together.
    pub fn by_prefix(&self, own: Id, few: usize) -> Vec<&[Numbered]> {
        let mut parts = Vec::new();
        let mut rest = &self.sorted[..];
        let mut bit = 0;
        while rest.len() > few && bit < 160 {
            let (zeros, ones) = split(rest, bit);
            let (near, far) = if has(own, bit) { (ones, zeros) } else { (zeros, ones) };
            parts.push(far);
            rest = near;
            bit += 1;
        }
        parts.push(rest);
        parts
    }
}

fn has(id: Id, bit: usize) -> bool {
    id.0[bit / 8] & (0x80 >> (bit % 8)) != 0
}

/// Those without and those with a bit; all that share the bits before it.
fn split(nodes: &[Numbered], bit: usize) -> (&[Numbered], &[Numbered]) {
    nodes.split_at(nodes.partition_point(|(id, _)| !has(*id, bit)))
}

/// Nodes in order of distance, as long as `more` says so. Returns whether it still does.
fn visit(
    nodes: &[Numbered],
    target: Id,
    bit: usize,
    more: &mut impl FnMut(Numbered) -> bool,
) -> bool {
    match nodes {
        [] => true,
        [only] => more(*only),
        _ if bit == 160 => nodes.iter().all(|node| more(*node)),
        _ => {
            let (zeros, ones) = split(nodes, bit);
            let (near, far) = if has(target, bit) { (ones, zeros) } else { (zeros, ones) };
            visit(near, target, bit + 1, more) && visit(far, target, bit + 1, more)
        }
    }
}
