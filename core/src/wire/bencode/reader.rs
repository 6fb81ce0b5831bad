//! Bencoding from a slice.

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
/// After an error the reader stands where the fault is; what it gives from there on means nothing,
/// but it never panics.
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
    rest: &'a [u8],
    whole: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the first byte.
    #[inline]
    pub const fn new(whole: &'a [u8]) -> Self {
        Self { rest: whole, whole: whole.len() }
    }

    /// Bytes read so far.
    #[inline]
    pub const fn offset(&self) -> usize {
        self.whole - self.rest.len()
    }

    /// The bytes from here to where `later`, a reader of the same bytes, stands.
    #[inline]
    pub fn until(&self, later: &Reader<'a>) -> &'a [u8] {
        let len = self.rest.len().saturating_sub(later.rest.len());
        self.rest.get(..len).unwrap_or_default()
    }

    #[cold]
    fn fail<T>(&self, reason: Reason) -> Result<T, Error> {
        Err(Error { offset: self.offset(), reason })
    }

    #[inline]
    fn peek(&self) -> Result<u8, Error> {
        match self.rest.first() {
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
    fn step_over(&mut self, byte: u8) -> Result<(), Error> {
        match *self.rest {
            [first, ref rest @ ..] if first == byte => {
                self.rest = rest;
                Ok(())
            }
            [] => self.fail(Reason::Truncated),
            _ => self.fail(Reason::Unexpected),
        }
    }

    /// Steps into a dictionary; read its keys with [`Reader::key`].
    ///
    /// # Errors
    ///
    /// If something else comes next.
    #[inline]
    pub fn enter_dictionary(&mut self) -> Result<(), Error> {
        self.step_over(b'd')
    }

    /// Steps into a list; see with [`Reader::more`] whether an item follows.
    ///
    /// # Errors
    ///
    /// If something else comes next.
    #[inline]
    pub fn enter_list(&mut self) -> Result<(), Error> {
        self.step_over(b'l')
    }

    /// Within a list: whether an item follows. Steps out of the list where none does.
    ///
    /// # Errors
    ///
    /// [`Reason::Truncated`] at the end.
    #[inline]
    pub fn more(&mut self) -> Result<bool, Error> {
        match self.rest {
            [b'e', rest @ ..] => {
                self.rest = rest;
                Ok(false)
            }
            [] => self.fail(Reason::Truncated),
            _ => Ok(true),
        }
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
        // Of lists of nodes the length has three digits.
        match self.short_string() {
            Some(string) => Ok(string),
            None => self.long_string(),
        }
    }

    /// The string that comes next if its length has one digit or two, as nearly all have. Where
    /// there is something else the reader stays.
    #[inline(always)]
    pub(crate) fn short_string(&mut self) -> Option<&'a [u8]> {
        let (len, body) = match *self.rest {
            [a @ b'0'..=b'9', b':', ref body @ ..] => (usize::from(a - b'0'), body),
            [a @ b'1'..=b'9', b @ b'0'..=b'9', b':', ref body @ ..] => {
                (usize::from(a - b'0') * 10 + usize::from(b - b'0'), body)
            }
            _ => return None,
        };
        let (string, rest) = body.split_at_checked(len)?;
        self.rest = rest;
        Some(string)
    }

    #[inline(never)]
    fn long_string(&mut self) -> Result<&'a [u8], Error> {
        let (len, body) = self.long_length()?;
        match body.split_at_checked(len) {
            Some((string, rest)) => {
                self.rest = rest;
                Ok(string)
            }
            None => self.fail(Reason::Length),
        }
    }

    fn long_length(&self) -> Result<(usize, &'a [u8]), Error> {
        let mut rest = self.rest;
        let mut len = 0usize;
        let mut digits = 0usize;
        while let [byte, behind @ ..] = rest {
            match byte {
                b':' if digits > 0 => return Ok((len, behind)),
                // A zero stands alone.
                b'0'..=b'9' if digits == 0 || len > 0 => {
                    let digit = usize::from(byte - b'0');
                    match len.checked_mul(10).and_then(|len| len.checked_add(digit)) {
                        Some(longer) => len = longer,
                        None => return self.fail(Reason::Length),
                    }
                }
                _ if digits == 0 => return self.fail(Reason::Unexpected),
                _ => return self.fail(Reason::Length),
            }
            digits += 1;
            rest = behind;
        }
        self.fail(Reason::Truncated)
    }

    /// The string that comes next if it is of `N` bytes, `head` being how these are announced.
    /// Where there is another the reader stays.
    #[inline(always)]
    pub(crate) fn string_of<const N: usize>(&mut self, head: &[u8]) -> Option<&'a [u8; N]> {
        let (string, rest) = self.rest.strip_prefix(head)?.split_first_chunk()?;
        self.rest = rest;
        Some(string)
    }

    /// The string that comes next if it is of one byte, as most keys of messages are. Where there is
    /// another the reader stays.
    #[inline(always)]
    pub(crate) fn letter(&mut self) -> Option<u8> {
        let [b'1', b':', letter, rest @ ..] = self.rest else { return None };
        self.rest = rest;
        Some(*letter)
    }

    /// The integer that comes next.
    ///
    /// # Errors
    ///
    /// If something else comes next, it has a spelling other than the one, or does not fit.
    #[inline]
    pub fn integer(&mut self) -> Result<i64, Error> {
        match self.digit() {
            Some(digit) => Ok(i64::from(digit)),
            None => self.long_integer(),
        }
    }

    /// The integer that comes next if it has one digit, as all flags have. Where there is something
    /// else the reader stays.
    #[inline(always)]
    pub(crate) fn digit(&mut self) -> Option<u8> {
        let [b'i', digit @ b'0'..=b'9', b'e', rest @ ..] = self.rest else { return None };
        self.rest = rest;
        Some(digit - b'0')
    }

    fn long_integer(&mut self) -> Result<i64, Error> {
        let (digits, behind) = self.digits()?;
        let (negative, digits) = match digits {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let mut value = 0i64;
        for byte in digits {
            let digit = i64::from(byte.wrapping_sub(b'0'));
            let next = value.checked_mul(10).and_then(|value| {
                if negative { value.checked_sub(digit) } else { value.checked_add(digit) }
            });
            match next {
                Some(next) => value = next,
                None => return self.fail(Reason::Integer),
            }
        }
        self.rest = behind;
        Ok(value)
    }

    /// The digits of the integer that comes next, with its sign, and what is behind it.
    fn digits(&self) -> Result<(&'a [u8], &'a [u8]), Error> {
        let body = match self.rest {
            [b'i', body @ ..] => body,
            [] => return self.fail(Reason::Truncated),
            _ => return self.fail(Reason::Unexpected),
        };
        let sign = usize::from(body.first() == Some(&b'-'));
        let unsigned = body.get(sign..).unwrap_or_default();
        let len = unsigned.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, behind) = body.split_at_checked(sign + len).unwrap_or((body, &[]));
        match (digits, behind) {
            // Zero has no sign and nothing else begins with it.
            ([b'0'] | [b'-', b'1'..=b'9', ..] | [b'1'..=b'9', ..], [b'e', behind @ ..]) => {
                Ok((digits, behind))
            }
            (_, []) => self.fail(Reason::Truncated),
            _ => self.fail(Reason::Integer),
        }
    }

    /// The whole of the value that comes next, as it stands. An integer may have any length here:
    /// nothing is made of it.
    ///
    /// # Errors
    ///
    /// If no well-formed value comes next.
    #[inline]
    pub fn raw(&mut self) -> Result<&'a [u8], Error> {
        let before = *self;
        self.skip()?;
        Ok(before.until(self))
    }

    /// Passes over the value that comes next.
    ///
    /// # Errors
    ///
    /// If no well-formed value comes next.
    #[inline]
    pub fn skip(&mut self) -> Result<(), Error> {
        match self.short_string() {
            Some(_) => Ok(()),
            None => self.skip_other(),
        }
    }

    #[inline(never)]
    fn skip_other(&mut self) -> Result<(), Error> {
        match self.peek()? {
            b'0'..=b'9' => self.long_string().map(drop),
            b'l' | b'd' => self.skip_nested(),
            b'i' => {
                self.rest = self.digits()?.1;
                Ok(())
            }
            _ => self.fail(Reason::Unexpected),
        }
    }

    fn skip_nested(&mut self) -> Result<(), Error> {
        // A bit for each level: set for a dictionary, in which a key comes before each value.
        let mut dictionaries = 0u64;
        let mut depth = 0usize;
        const { assert!(DEPTH_MAX <= 64) };
        loop {
            match *self.rest {
                [byte @ (b'l' | b'd'), ref rest @ ..] => {
                    if depth == DEPTH_MAX {
                        return self.fail(Reason::Depth);
                    }
                    dictionaries = dictionaries << 1 | u64::from(byte == b'd');
                    depth += 1;
                    self.rest = rest;
                    if byte == b'l' {
                        self.skip_peers();
                    }
                }
                [b'e', ref rest @ ..] => {
                    dictionaries >>= 1;
                    depth = depth.saturating_sub(1);
                    self.rest = rest;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                [b'i', ..] => self.rest = self.digits()?.1,
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

    /// Passes over strings of 6 bytes: the long lists on the wire are peers.
    #[inline]
    fn skip_peers(&mut self) {
        while let [b'6', b':', _, _, _, _, _, _, rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}

/// Whether the bytes are one well-formed value and nothing else.
pub fn is_one_value(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes);
    reader.skip().is_ok() && reader.rest.is_empty()
}
