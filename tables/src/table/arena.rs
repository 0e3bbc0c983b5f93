// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the large arrays of a table live.

/// A large array that lookups read at random. One name for all of them, so that how their memory is got is one
/// decision.
pub(super) type Arena<T> = Vec<T>;

/// Bytes that an array holds.
pub(super) fn size<T>(array: &[T]) -> usize {
    size_of_val(array)
}
