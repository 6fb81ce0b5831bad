//! The kit of tinybt.
