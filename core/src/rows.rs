//! Rows of state behind handles: a fixed number of places, each with a generation, so that a
//! stale handle never names a stranger's work.

use core::marker::PhantomData;

use crate::list::List;

/// Names a row: its place, and which tenant of the place is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle {
    index: u16,
    generation: u32,
}

/// One place of [`Rows`].
#[derive(Clone, Debug)]
pub struct Row<T> {
    generation: u32,
    value: Option<T>,
}

/// A fixed number of rows in a [`List`].
#[derive(Debug)]
pub struct Rows<T, L: List<Row<T>>> {
    list: L,
    len: usize,
    /// Of the next tenant, whatever its place.
    generation: u32,
    kind: PhantomData<T>,
}

impl<T, L: List<Row<T>> + Clone> Clone for Rows<T, L> {
    fn clone(&self) -> Self {
        Self { list: self.list.clone(), ..*self }
    }
}

impl<T, L: List<Row<T>>> Rows<T, L> {
    /// No rows yet, as many places as the empty `list` has (at most 65,536).
    pub fn new(list: L) -> Self {
        Self { list, len: 0, generation: 0, kind: PhantomData }
    }

    /// How many places are taken.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no place is taken.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether every place is taken.
    pub fn is_full(&self) -> bool {
        self.len >= self.list.capacity().min(usize::from(u16::MAX) + 1)
    }

    /// Takes a place.
    ///
    /// # Errors
    ///
    /// Gives the value back when there is none.
    pub fn insert(&mut self, value: T) -> Result<Handle, T> {
        if self.is_full() {
            return Err(value);
        }
        let generation = self.generation;
        self.generation = generation.wrapping_add(1);
        if let Some((index, row)) =
            self.list.iter_mut().enumerate().find(|(_, row)| row.value.is_none())
        {
            *row = Row { generation, value: Some(value) };
            self.len += 1;
            return Ok(Handle { index: index as u16, generation });
        }
        let index = self.list.len() as u16;
        match self.list.push(Row { generation, value: Some(value) }) {
            Ok(()) => {
                self.len += 1;
                Ok(Handle { index, generation })
            }
            Err(Row { value: Some(value), .. }) => Err(value),
            // A row made two lines above has its value.
            Err(Row { value: None, .. }) => Ok(Handle { index, generation }),
        }
    }

    /// The row a handle names, if its tenant is still the one meant.
    pub fn get(&self, handle: Handle) -> Option<&T> {
        let row = self.list.get(usize::from(handle.index))?;
        if row.generation == handle.generation { row.value.as_ref() } else { None }
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        let row = self.list.get_mut(usize::from(handle.index))?;
        if row.generation == handle.generation { row.value.as_mut() } else { None }
    }

    /// Gives the place free.
    pub fn remove(&mut self, handle: Handle) -> Option<T> {
        let row = self.list.get_mut(usize::from(handle.index))?;
        if row.generation != handle.generation {
            return None;
        }
        let value = row.value.take()?;
        self.len -= 1;
        self.list.trim(|row| row.value.is_none());
        Some(value)
    }

    /// Every row with its handle, in order of place.
    pub fn iter(&self) -> impl Iterator<Item = (Handle, &T)> {
        self.list.iter().enumerate().filter_map(|(index, row)| {
            let handle = Handle { index: index as u16, generation: row.generation };
            row.value.as_ref().map(|value| (handle, value))
        })
    }

    /// The same, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Handle, &mut T)> {
        self.list.iter_mut().enumerate().filter_map(|(index, row)| {
            let handle = Handle { index: index as u16, generation: row.generation };
            row.value.as_mut().map(|value| (handle, value))
        })
    }

    /// The first row at or after place `from`, going round once, that `pick` says something of.
    ///
    /// Returns what it said and the place after that row, from which to go on the next time: so
    /// that no row is served twice before every other was looked at.
    pub fn round<A>(
        &mut self,
        from: usize,
        mut pick: impl FnMut(Handle, &mut T) -> Option<A>,
    ) -> Option<(A, usize)> {
        let places = self.list.len();
        let from = if from < places { from } else { 0 };
        for index in (from..places).chain(0..from) {
            let Some(row) = self.list.get_mut(index) else { continue };
            let handle = Handle { index: index as u16, generation: row.generation };
            let Some(value) = row.value.as_mut() else { continue };
            if let Some(said) = pick(handle, value) {
                return Some((said, index + 1));
            }
        }
        None
    }
}
