//! Bounded lists: the one shape that every row of state is kept in.
//!
//! A [`List`] has a capacity that never changes. Inline it is a [`heapless::Vec`]; with the
//! feature `alloc` it is a [`Bounded`], allocated whole when it is made. Full is an answer.

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

    /// Removes every item.
    fn clear(&mut self);
}

impl<T, const N: usize> List<T> for heapless::Vec<T, N> {
    fn capacity(&self) -> usize {
        N
    }

    fn push(&mut self, item: T) -> Result<(), T> {
        heapless::Vec::push(self, item)
    }

    fn swap_remove(&mut self, index: usize) -> Option<T> {
        (index < self.len()).then(|| heapless::Vec::swap_remove(self, index))
    }

    fn clear(&mut self) {
        heapless::Vec::clear(self);
    }
}

#[cfg(feature = "alloc")]
pub use on_the_heap::Bounded;

#[cfg(feature = "alloc")]
mod on_the_heap {
    use alloc::vec::Vec;
    use core::ops::{Deref, DerefMut};

    use super::List;

    /// A [`List`] on the heap: allocated whole when made, never again.
    #[derive(Clone, Debug)]
    pub struct Bounded<T> {
        items: Vec<T>,
        capacity: usize,
    }

    impl<T> Bounded<T> {
        /// An empty list for at most `capacity` items.
        pub fn new(capacity: usize) -> Self {
            Self { items: Vec::with_capacity(capacity), capacity }
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
            self.capacity
        }

        fn push(&mut self, item: T) -> Result<(), T> {
            if self.items.len() < self.capacity {
                self.items.push(item);
                Ok(())
            } else {
                Err(item)
            }
        }

        fn swap_remove(&mut self, index: usize) -> Option<T> {
            (index < self.items.len()).then(|| self.items.swap_remove(index))
        }

        fn clear(&mut self) {
            self.items.clear();
        }
    }
}
