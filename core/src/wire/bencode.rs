//! Bencoding (BEP 3) over slices: a pull reader that copies nothing, and a writer that never
//! leaves half a value behind.
//!
//! The reader is strict where two readings would be possible (integers and lengths have one
//! spelling) and lenient where there is no doubt: keys of a dictionary may come in any order. It
//! does not recurse, so nesting costs no stack; deeper than
//! [`DEPTH_MAX`](crate::limits::DEPTH_MAX) is an error. Knows nothing of messages.

use core::fmt;

use crate::limits::DEPTH_MAX;

/// What is wrong with the bytes, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// Bytes before the fault.
    pub offset: usize,
    /// The fault.
    pub reason: Reason,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The bytes end within a value.
    Truncated,
    /// No value begins with this byte, or not here.
    Unexpected,
    /// An integer that is empty, padded, signed twice, or beyond 64 bits.
    Integer,
    /// A length that is padded, or longer than what follows.
    Length,
    /// Nested deeper than anything sensible.
    Depth,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            Reason::Truncated => "the input ends within a value",
            Reason::Unexpected => "unexpected byte",
            Reason::Integer => "not an integer",
            Reason::Length => "not a length, or longer than the input",
            Reason::Depth => "nested too deeply",
        };
        write!(f, "{reason} at byte {}", self.offset)
    }
}

impl core::error::Error for Error {}

/// What kind of value begins here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `i…e`
    Integer,
    /// `n:…`
    String,
    /// `l…e`
    List,
    /// `d…e`
    Dictionary,
}

/// Reads values one after the other.
///
/// ```
/// use tinybt_core::wire::bencode::Reader;
///
/// let mut reader = Reader::new(b"d3:cati7e3:dogl4:spamee");
/// reader.enter_dictionary()?;
/// assert_eq!(reader.key()?, Some(&b"cat"[..]));
/// assert_eq!(reader.integer()?, 7);
/// assert_eq!(reader.key()?, Some(&b"dog"[..]));
/// assert_eq!(reader.raw()?, b"l4:spame");
/// assert_eq!(reader.key()?, None);
/// # Ok::<(), tinybt_core::wire::bencode::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    whole: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the first byte.
    #[inline]
    pub const fn new(whole: &'a [u8]) -> Self {
        Self { whole, offset: 0 }
    }

    /// Bytes read so far.
    #[inline]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The bytes from here to where `later`, a reader of the same bytes, stands.
    #[inline]
    pub fn until(&self, later: &Reader<'a>) -> &'a [u8] {
        self.whole.get(self.offset..later.offset).unwrap_or_default()
    }

    #[inline]
    fn fail<T>(&self, reason: Reason) -> Result<T, Error> {
        Err(Error { offset: self.offset, reason })
    }

    #[inline]
    fn peek(&self) -> Result<u8, Error> {
        match self.whole.get(self.offset) {
            Some(byte) => Ok(*byte),
            None => self.fail(Reason::Truncated),
        }
    }

    /// The kind of the value that comes next.
    ///
    /// # Errors
    ///
    /// [`Reason::Truncated`] at the end, [`Reason::Unexpected`] if none begins here.
    #[inline]
    pub fn kind(&self) -> Result<Kind, Error> {
        match self.peek()? {
            b'i' => Ok(Kind::Integer),
            b'0'..=b'9' => Ok(Kind::String),
            b'l' => Ok(Kind::List),
            b'd' => Ok(Kind::Dictionary),
            _ => self.fail(Reason::Unexpected),
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.peek()? != byte {
            return self.fail(Reason::Unexpected);
        }
        self.offset += 1;
        Ok(())
    }

    /// Steps into a dictionary; read its keys with [`Reader::key`].
    ///
    /// # Errors
    ///
    /// If something else comes next.
    #[inline]
    pub fn enter_dictionary(&mut self) -> Result<(), Error> {
        self.expect(b'd')
    }

    /// Steps into a list; see with [`Reader::more`] whether an item follows.
    ///
    /// # Errors
    ///
    /// If something else comes next.
    #[inline]
    pub fn enter_list(&mut self) -> Result<(), Error> {
        self.expect(b'l')
    }

    /// Within a list: whether an item follows. Steps out of the list where none does.
    ///
    /// # Errors
    ///
    /// [`Reason::Truncated`] at the end.
    #[inline]
    pub fn more(&mut self) -> Result<bool, Error> {
        if self.peek()? == b'e' {
            self.offset += 1;
            return Ok(false);
        }
        Ok(true)
    }

    /// Within a dictionary: the next key, with its value to be read next. Steps out of the
    /// dictionary where none follows.
    ///
    /// # Errors
    ///
    /// If the key is no string.
    #[inline]
    pub fn key(&mut self) -> Result<Option<&'a [u8]>, Error> {
        if self.more()? { self.string().map(Some) } else { Ok(None) }
    }

    /// The string that comes next.
    ///
    /// # Errors
    ///
    /// If something else comes next, its length is misspelt or longer than what follows.
    #[inline]
    pub fn string(&mut self) -> Result<&'a [u8], Error> {
        let rest = self.whole.get(self.offset..).unwrap_or_default();
        // Nearly every length has one digit or two.
        let (len, head) = match *rest {
            [d @ b'0'..=b'9', b':', ..] => (usize::from(d - b'0'), 2),
            [d @ b'1'..=b'9', e @ b'0'..=b'9', b':', ..] => {
                (usize::from(d - b'0') * 10 + usize::from(e - b'0'), 3)
            }
            _ => self.long_length(rest)?,
        };
        match rest.get(head..).and_then(|body| body.get(..len)) {
            Some(string) => {
                self.offset += head + len;
                Ok(string)
            }
            None => self.fail(Reason::Length),
        }
    }

    fn long_length(&self, rest: &[u8]) -> Result<(usize, usize), Error> {
        match rest.first() {
            None => return self.fail(Reason::Truncated),
            Some(b'0'..=b'9') => {}
            Some(_) => return self.fail(Reason::Unexpected),
        }
        let mut len = 0usize;
        for (index, byte) in rest.iter().enumerate() {
            match byte {
                b':' => return Ok((len, index + 1)),
                b'0'..=b'9' if index == 0 || rest.first() != Some(&b'0') => {
                    let digit = usize::from(byte - b'0');
                    match len.checked_mul(10).and_then(|len| len.checked_add(digit)) {
                        Some(longer) => len = longer,
                        None => return self.fail(Reason::Length),
                    }
                }
                _ => return self.fail(Reason::Length),
            }
        }
        self.fail(Reason::Truncated)
    }

    /// The integer that comes next.
    ///
    /// # Errors
    ///
    /// If something else comes next, it has a spelling other than the one, or does not fit.
    #[inline]
    pub fn integer(&mut self) -> Result<i64, Error> {
        let rest = self.whole.get(self.offset..).unwrap_or_default();
        if let [b'i', digit @ b'0'..=b'9', b'e', ..] = *rest {
            self.offset += 3;
            return Ok(i64::from(digit - b'0'));
        }
        let (digits, after) = self.digits()?;
        let (negative, digits) = match digits {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let mut value = 0i64;
        for byte in digits {
            let digit = i64::from(byte - b'0');
            let next = value.checked_mul(10).and_then(|value| {
                if negative { value.checked_sub(digit) } else { value.checked_add(digit) }
            });
            match next {
                Some(next) => value = next,
                None => return self.fail(Reason::Integer),
            }
        }
        self.offset = after;
        Ok(value)
    }

    /// The digits of the integer that comes next, with its sign, and the offset behind it.
    fn digits(&self) -> Result<(&'a [u8], usize), Error> {
        if self.peek()? != b'i' {
            return self.fail(Reason::Unexpected);
        }
        let body = self.whole.get(self.offset + 1..).unwrap_or_default();
        let Some(len) = body.iter().position(|byte| *byte == b'e') else {
            return self.fail(if body.iter().all(|b| b.is_ascii_digit() || *b == b'-') {
                Reason::Truncated
            } else {
                Reason::Integer
            });
        };
        let digits = body.get(..len).unwrap_or_default();
        let well_spelt = match digits {
            [b'0'] => true,
            [b'-', b'1'..=b'9', rest @ ..] | [b'1'..=b'9', rest @ ..] => {
                rest.iter().all(u8::is_ascii_digit)
            }
            _ => false,
        };
        if well_spelt { Ok((digits, self.offset + len + 2)) } else { self.fail(Reason::Integer) }
    }

    /// The whole of the value that comes next, as it stands. An integer may have any length here:
    /// nothing is made of it.
    ///
    /// # Errors
    ///
    /// If no well-formed value comes next.
    #[inline]
    pub fn raw(&mut self) -> Result<&'a [u8], Error> {
        let start = self.offset;
        self.skip()?;
        Ok(self.whole.get(start..self.offset).unwrap_or_default())
    }

    /// Passes over the value that comes next.
    ///
    /// # Errors
    ///
    /// If no well-formed value comes next.
    #[inline]
    pub fn skip(&mut self) -> Result<(), Error> {
        match self.peek()? {
            b'0'..=b'9' => self.string().map(drop),
            b'i' => {
                let (_, after) = self.digits()?;
                self.offset = after;
                Ok(())
            }
            b'l' | b'd' => self.skip_nested(),
            _ => self.fail(Reason::Unexpected),
        }
    }

    fn skip_nested(&mut self) -> Result<(), Error> {
        // A bit for each level: set for a dictionary, in which a key comes before each value.
        let mut dictionaries = 0u64;
        let mut depth = 0usize;
        const { assert!(DEPTH_MAX <= 64) };
        loop {
            match self.peek()? {
                byte @ (b'l' | b'd') => {
                    if depth == DEPTH_MAX {
                        return self.fail(Reason::Depth);
                    }
                    dictionaries = dictionaries << 1 | u64::from(byte == b'd');
                    depth += 1;
                    self.offset += 1;
                }
                b'e' => {
                    dictionaries >>= 1;
                    depth -= 1;
                    self.offset += 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                b'i' => self.offset = self.digits()?.1,
                _ => self.string().map(drop)?,
            }
            if dictionaries & 1 == 1 && self.peek()? != b'e' {
                self.string()?;
                if self.peek()? == b'e' {
                    return self.fail(Reason::Unexpected);
                }
            }
        }
    }
}

/// Whether the bytes are one well-formed value and nothing else.
pub fn is_one_value(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes);
    reader.skip().is_ok() && reader.offset() == bytes.len()
}

/// There was no room for what was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the buffer is too short for this message")
    }
}

impl core::error::Error for NoRoom {}

/// Writes values one after the other into a slice. What did not fit was not written at all, and
/// [`Writer::written`] says so.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    len: usize,
    full: bool,
}

impl<'a> Writer<'a> {
    /// Writes from the first byte.
    #[inline]
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0, full: false }
    }

    /// Bytes written.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] if anything did not fit.
    #[inline]
    pub fn written(&self) -> Result<usize, NoRoom> {
        if self.full { Err(NoRoom) } else { Ok(self.len) }
    }

    /// Bytes left.
    #[inline]
    pub fn room(&self) -> usize {
        self.buffer.len() - self.len
    }

    /// Writes bytes that are bencoding already.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        match self.buffer.get_mut(self.len..).and_then(|rest| rest.get_mut(..bytes.len())) {
            Some(place) if !self.full => {
                place.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            _ => self.full = true,
        }
    }

    /// Reserves the next `len` bytes, to be filled in place.
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Option<&mut [u8]> {
        let place = self.buffer.get_mut(self.len..).and_then(|rest| rest.get_mut(..len));
        if place.is_none() || self.full {
            self.full = true;
            return None;
        }
        self.len += len;
        place
    }

    /// Begins a dictionary: then its keys, sorted, each followed by its value; then
    /// [`Writer::end`].
    #[inline]
    pub fn dictionary(&mut self) {
        self.raw(b"d");
    }

    /// Begins a list: then its items; then [`Writer::end`].
    #[inline]
    pub fn list(&mut self) {
        self.raw(b"l");
    }

    /// Ends a dictionary or a list.
    #[inline]
    pub fn end(&mut self) {
        self.raw(b"e");
    }

    /// Writes a string.
    #[inline]
    pub fn string(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.raw(bytes);
    }

    /// Writes the head of a string of `len` bytes; these come next.
    #[inline]
    pub fn length(&mut self, len: usize) {
        if let Ok(digit @ 0..=9) = u8::try_from(len) {
            self.raw(&[b'0' + digit, b':']);
        } else {
            self.number(len as u64, b':');
        }
    }

    /// Writes an integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.raw(if value < 0 { b"i-" } else { b"i" });
        self.number(value.unsigned_abs(), b'e');
    }

    fn number(&mut self, mut value: u64, last: u8) {
        let mut digits = [last; 21];
        let mut start = 20;
        for place in digits.iter_mut().take(20).rev() {
            *place = b'0' + (value % 10) as u8;
            value /= 10;
            start -= 1;
            if value == 0 {
                break;
            }
        }
        self.raw(digits.get(start..).unwrap_or_default());
    }
}
