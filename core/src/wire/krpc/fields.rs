//! The members of `a` and `r`, found in one pass and read when they are asked for.

use crate::id::Id;
use crate::wire::bencode::{Error, Reader};
use crate::wire::krpc::query::Fault;

/// Where a member's value stands within its dictionary; nowhere by default. Two bytes for each
/// end are enough for a datagram, and keep a message small enough to be handed around.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

/// The members that BEP 5 and BEP 32 know, each as it stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields<'a> {
    /// The whole dictionary; empty if it was something else.
    pub(super) raw: &'a [u8],
    pub(super) id: Span,
    pub(super) target: Span,
    pub(super) info_hash: Span,
    pub(super) port: Span,
    pub(super) implied_port: Span,
    pub(super) token: Span,
    pub(super) want: Span,
    pub(super) nodes: Span,
    pub(super) nodes6: Span,
    pub(super) values: Span,
    /// How many more there are: those that most messages do not have are looked for when they are
    /// asked for.
    others: u16,
}

impl<'a> Fields<'a> {
    /// Reads the value that comes next, which must lie within the first 65,535 bytes.
    #[inline(always)]
    pub(super) fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), Error> {
        let before = *reader;
        let start = reader.offset();
        if reader.enter_dictionary().is_err() {
            return reader.skip();
        }
        // So do nearly all begin, and what is found here is where it always is.
        if reader.string_of::<20>(b"2:id20:").is_some() {
            self.id = Span { start: 5, end: 28 };
            if reader.string_of::<20>(b"6:target20:").is_some() {
                self.target = Span { start: 36, end: 59 };
            } else if reader.string_of::<20>(b"9:info_hash20:").is_some() {
                self.info_hash = Span { start: 39, end: 62 };
            }
        }
        while let Some(key) = reader.key()? {
            let field = match key {
                b"id" => &mut self.id,
                b"target" => &mut self.target,
                b"info_hash" => &mut self.info_hash,
                b"port" => &mut self.port,
                b"implied_port" => &mut self.implied_port,
                b"token" => &mut self.token,
                b"want" => &mut self.want,
                b"nodes" => &mut self.nodes,
                b"nodes6" => &mut self.nodes6,
                b"values" => &mut self.values,
                _ => {
                    self.others = self.others.saturating_add(1);
                    reader.skip()?;
                    continue;
                }
            };
            let value_start = (reader.offset() - start) as u16;
            reader.skip()?;
            if field.end == 0 {
                *field = Span { start: value_start, end: (reader.offset() - start) as u16 };
            }
        }
        self.raw = before.until(reader);
        Ok(())
    }

    /// A member, as it stands.
    #[inline]
    pub(super) fn get(&self, span: Span) -> Option<&'a [u8]> {
        let value = self.raw.get(usize::from(span.start)..usize::from(span.end));
        value.filter(|value| !value.is_empty())
    }

    /// Any member, as it stands.
    pub(super) fn find(&self, name: &[u8]) -> Option<&'a [u8]> {
        let mut reader = Reader::new(self.raw);
        reader.enter_dictionary().ok()?;
        while let Some(key) = reader.key().ok()? {
            let raw = reader.raw().ok()?;
            if key == name {
                return Some(raw);
            }
        }
        None
    }

    pub(super) fn rare(&self, name: &[u8]) -> Option<&'a [u8]> {
        if self.others > 0 { self.find(name) } else { None }
    }

    pub(super) fn rare_string(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.rare(name).and_then(as_string)
    }

    pub(super) fn rare_integer(&self, name: &[u8]) -> Option<i64> {
        self.rare(name).and_then(as_integer)
    }

    pub(super) fn rare_array<const N: usize>(&self, name: &[u8]) -> Option<&'a [u8; N]> {
        self.rare_string(name)?.try_into().ok()
    }
}

#[inline]
pub(super) fn as_string(raw: &[u8]) -> Option<&[u8]> {
    Reader::new(raw).string().ok()
}

pub(super) fn as_integer(raw: &[u8]) -> Option<i64> {
    Reader::new(raw).integer().ok()
}

#[inline]
pub(super) fn as_id(raw: Option<&[u8]>, name: &'static str) -> Result<Id, Fault> {
    let string = raw.ok_or(Fault::Missing(name))?.strip_prefix(b"20:");
    let id = string.and_then(|string| string.try_into().ok());
    id.map(Id).ok_or(Fault::Wrong(name))
}

/// Whether a value is an integer other than zero.
pub(super) fn is_true(raw: &[u8]) -> bool {
    matches!(Reader::new(raw).integer(), Ok(value) if value != 0)
}
