//! Bencoding into a slice.

use core::fmt;

/// There was no room for what was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the buffer is too short for this message")
    }
}

impl core::error::Error for NoRoom {}

/// Writes values one after the other into a slice. Once something did not fit nothing more is
/// written, and [`Writer::written`] says so.
///
/// ```
/// use tinybt_core::wire::bencode::{NoRoom, Writer};
///
/// let mut buffer = [0; 32];
/// let mut writer = Writer::new(&mut buffer);
/// writer.dictionary();
/// writer.string(b"cat");
/// writer.integer(-7);
/// writer.end();
/// let len = writer.written()?;
/// assert_eq!(&buffer[..len], b"d3:cati-7ee");
/// # Ok::<(), NoRoom>(())
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    /// What is left; empty once something did not fit, so that nothing fits behind it.
    rest: &'a mut [u8],
    whole: usize,
    full: bool,
}

impl<'a> Writer<'a> {
    /// Writes from the first byte.
    #[inline]
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        let whole = buffer.len();
        Self { rest: buffer, whole, full: false }
    }

    /// Bytes written.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] if anything did not fit.
    #[inline]
    pub const fn written(&self) -> Result<usize, NoRoom> {
        if self.full { Err(NoRoom) } else { Ok(self.whole - self.rest.len()) }
    }

    /// Bytes left.
    #[inline]
    pub const fn room(&self) -> usize {
        self.rest.len()
    }

    /// Writes bytes that are bencoding already.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        if let Some(place) = self.reserve(bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// The same for few bytes whose number is known to the compiler, which makes them a store.
    #[inline(always)]
    pub(crate) fn array<const N: usize>(&mut self, bytes: &[u8; N]) {
        match core::mem::take(&mut self.rest).split_first_chunk_mut() {
            Some((place, rest)) => {
                *place = *bytes;
                self.rest = rest;
            }
            None => self.full = true,
        }
    }

    /// The same for several values that have `N` bytes together, with one look at the room that is
    /// left: the others are the compiler's.
    #[inline(always)]
    pub(crate) fn arrays<const N: usize>(&mut self, write: impl FnOnce(&mut Writer<'_>)) {
        match core::mem::take(&mut self.rest).split_first_chunk_mut::<N>() {
            Some((place, rest)) => {
                let mut within = Writer::new(place);
                write(&mut within);
                self.full |= within.full || !within.rest.is_empty();
                self.rest = rest;
            }
            None => self.full = true,
        }
    }

    /// Takes the next `len` bytes, to be filled in place; `None` if there are not so many.
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Option<&'a mut [u8]> {
        match core::mem::take(&mut self.rest).split_at_mut_checked(len) {
            Some((place, rest)) if !self.full => {
                self.rest = rest;
                Some(place)
            }
            _ => {
                self.full = true;
                None
            }
        }
    }

    /// Begins a dictionary: then its keys, sorted, each followed by its value; then
    /// [`Writer::end`].
    #[inline]
    pub fn dictionary(&mut self) {
        self.array(b"d");
    }

    /// Begins a list: then its items; then [`Writer::end`].
    #[inline]
    pub fn list(&mut self) {
        self.array(b"l");
    }

    /// Ends a dictionary or a list.
    #[inline]
    pub fn end(&mut self) {
        self.array(b"e");
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
        match len {
            0..=9 => self.array(&[digit(len), b':']),
            10..=99 => self.array(&[digit(len / 10), digit(len % 10), b':']),
            100..=999 => {
                self.array(&[digit(len / 100), digit(len / 10 % 10), digit(len % 10), b':']);
            }
            _ => self.number(len as u64, b':'),
        }
    }

    /// Writes an integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        if let 0..=9 = value {
            self.array(&[b'i', digit(value as usize), b'e']);
            return;
        }
        if value < 0 {
            self.array(b"i-");
        } else {
            self.array(b"i");
        }
        self.number(value.unsigned_abs(), b'e');
    }

    fn number(&mut self, mut value: u64, last: u8) {
        // The largest has 20 digits.
        let mut digits = [last; 21];
        let mut start = 20;
        for place in digits.iter_mut().take(20).rev() {
            *place = digit((value % 10) as usize);
            value /= 10;
            start -= 1;
            if value == 0 {
                break;
            }
        }
        self.raw(digits.get(start..).unwrap_or_default());
    }
}

#[inline(always)]
const fn digit(value: usize) -> u8 {
    b'0'.wrapping_add(value as u8)
}
