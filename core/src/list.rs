//! Bounded lists: the one shape that every row of state is kept in.
//!
//! A [`List`] has a capacity that never changes. Inline it is a [`heapless::Vec`]; with the
//! feature `alloc` it is a [`Bounded`], allocated whole when it is made or as it fills, or a [`Few`],
//! whose capacity is part of its type. Full is an answer.

use core::ops::DerefMut;

/// A sequence with a capacity that never changes.
pub trait List<T>: DerefMut<Target = [T]> {
    /// How many items it can hold.
    fn capacity(&self) -> usize;

    /// Appends an item.
    ///
    /// # Errors
    ///
    /// Gives the item back when the list is full.
    fn push(&mut self, item: T) -> Result<(), T>;

    /// Takes the item at `index` out, the last one takes its place; `None` past the end.
    fn swap_remove(&mut self, index: usize) -> Option<T>;

    /// Takes the last item out.
    fn pop(&mut self) -> Option<T>;

    /// Takes the item at `index` out, those behind it close up; `None` past the end.
    fn remove(&mut self, index: usize) -> Option<T> {
        let last = self.len().checked_sub(1).filter(|last| index <= *last)?;
        self.get_mut(index..)?.rotate_left(1);
        self.swap_remove(last)
    }

    /// Keeps the items that `keep` says so of, in order.
    fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let mut index = 0;
        while let Some(item) = self.get(index) {
            match keep(item) {
                true => index += 1,
                false => drop(self.remove(index)),
            }
        }
    }

    /// Removes every item.
    fn clear(&mut self);

    /// Whether there is no room for another.
    fn is_full(&self) -> bool {
        self.len() >= self.capacity()
    }

    /// Allocates what `more` items need, where it is allocated as it fills: so that pushing them
    /// does not.
    fn make_room(&mut self, more: usize) {
        let _ = more;
    }

    /// Removes free items from the end and gives memory back, where it is allocated as it fills.
    fn trim(&mut self, is_free: impl Fn(&T) -> bool) {
        let _ = is_free;
    }
}

impl<T, L: heapless::LenType, const N: usize> List<T> for heapless::Vec<T, N, L> {
    fn capacity(&self) -> usize {
        N
    }

    fn push(&mut self, item: T) -> Result<(), T> {
        heapless::Vec::push(self, item)
    }

    fn swap_remove(&mut self, index: usize) -> Option<T> {
        (index < self.len()).then(|| heapless::Vec::swap_remove(self, index))
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        heapless::Vec::pop(self)
    }

    fn remove(&mut self, index: usize) -> Option<T> {
        (index < self.len()).then(|| heapless::Vec::remove(self, index))
    }

    fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        heapless::Vec::retain(self, keep);
    }

    fn clear(&mut self) {
        heapless::Vec::clear(self);
    }
}

#[cfg(feature = "alloc")]
pub use on_the_heap::{Bounded, Few};

/// A short list that is mostly empty: allocated as it fills where there is an allocator, else inline.
#[cfg(feature = "alloc")]
pub(crate) type Spare<T, const N: usize> = Few<T, N>;
#[cfg(not(feature = "alloc"))]
pub(crate) type Spare<T, const N: usize> = heapless::Vec<T, N>;

#[cfg(feature = "alloc")]
mod on_the_heap {
    use alloc::vec::Vec;
    use core::ops::{Deref, DerefMut};

    use super::List;

    /// A [`List`] on the heap.
    ///
    /// ```
    /// use tinybt_core::list::{Bounded, List};
    ///
    /// let mut list = Bounded::by_need(2);
    /// assert_eq!((list.push('a'), list.push('b'), list.push('c')), (Ok(()), Ok(()), Err('c')));
    /// assert_eq!(list.swap_remove(0), Some('a'));
    /// ```
    #[derive(Clone, Debug)]
    pub struct Bounded<T> {
        items: Vec<T>,
        capacity: u32,
        whole: bool,
    }

    impl<T> Bounded<T> {
        /// An empty list for at most `capacity` items (no more than 2³² - 1), allocated whole: never
        /// again.
        pub fn new(capacity: usize) -> Self {
            let items = Vec::with_capacity(capacity);
            Self { items, whole: true, ..Self::by_need(capacity) }
        }

        /// An empty list for at most `capacity` items (no more than 2³² - 1), allocated as it fills.
        /// What it has is kept, so a list that was as full before allocates nothing, until
        /// [`List::trim`] gives back what is not in use.
        pub fn by_need(capacity: usize) -> Self {
            let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
            Self { items: Vec::new(), capacity, whole: false }
        }
    }

    impl<T> Deref for Bounded<T> {
        type Target = [T];

        fn deref(&self) -> &[T] {
            &self.items
        }
    }

    impl<T> DerefMut for Bounded<T> {
        fn deref_mut(&mut self) -> &mut [T] {
            &mut self.items
        }
    }

    impl<T> List<T> for Bounded<T> {
        fn capacity(&self) -> usize {
            self.capacity as usize
        }

        #[inline]
        fn push(&mut self, item: T) -> Result<(), T> {
            push(&mut self.items, self.capacity as usize, item)
        }

        fn swap_remove(&mut self, index: usize) -> Option<T> {
            (index < self.items.len()).then(|| self.items.swap_remove(index))
        }

        #[inline]
        fn pop(&mut self) -> Option<T> {
            self.items.pop()
        }

        fn remove(&mut self, index: usize) -> Option<T> {
            (index < self.items.len()).then(|| self.items.remove(index))
        }

        fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
            self.items.retain(keep);
        }

        fn clear(&mut self) {
            self.items.clear();
        }

        fn make_room(&mut self, more: usize) {
            let room = List::capacity(self).saturating_sub(self.items.len());
            self.items.reserve_exact(more.min(room));
        }

        fn trim(&mut self, is_free: impl Fn(&T) -> bool) {
            if !self.whole {
                trim(&mut self.items, is_free);
            }
        }
    }

    /// A [`List`] on the heap of at most `N` items, allocated as it fills: for many lists of few.
    #[derive(Clone, Debug)]
    pub struct Few<T, const N: usize>(Vec<T>);

    impl<T, const N: usize> Default for Few<T, N> {
        fn default() -> Self {
            Self(Vec::new())
        }
    }

    impl<T, const N: usize> Deref for Few<T, N> {
        type Target = [T];

        fn deref(&self) -> &[T] {
            &self.0
        }
    }

    impl<T, const N: usize> DerefMut for Few<T, N> {
        fn deref_mut(&mut self) -> &mut [T] {
            &mut self.0
        }
    }

    impl<T, const N: usize> List<T> for Few<T, N> {
        fn capacity(&self) -> usize {
            N
        }

        fn push(&mut self, item: T) -> Result<(), T> {
            push(&mut self.0, N, item)
        }

        fn swap_remove(&mut self, index: usize) -> Option<T> {
            (index < self.0.len()).then(|| self.0.swap_remove(index))
        }

        fn pop(&mut self) -> Option<T> {
            self.0.pop()
        }

        fn remove(&mut self, index: usize) -> Option<T> {
            (index < self.0.len()).then(|| self.0.remove(index))
        }

        fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
            self.0.retain(keep);
        }

        fn clear(&mut self) {
            self.0.clear();
        }

        fn make_room(&mut self, more: usize) {
            self.0.reserve_exact(more.min(N.saturating_sub(self.0.len())));
        }

        fn trim(&mut self, is_free: impl Fn(&T) -> bool) {
            trim(&mut self.0, is_free);
        }
    }

    fn trim<T>(items: &mut Vec<T>, is_free: impl Fn(&T) -> bool) {
        while items.last().is_some_and(&is_free) {
            items.pop();
        }
        if items.len() <= items.capacity() / 2 {
            items.shrink_to_fit();
        }
    }

    /// A quarter more room when there is none, at least for one, and never more than may be used.
    #[inline]
    fn push<T>(items: &mut Vec<T>, capacity: usize, item: T) -> Result<(), T> {
        let len = items.len();
        if len >= capacity {
            return Err(item);
        }
        if len == items.capacity() {
            items.reserve_exact((len / 4).max(1).min(capacity - len));
        }
        items.push(item);
        Ok(())
    }
}
