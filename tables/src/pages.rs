// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory for large arrays: straight from the kernel, zero, not there before it is touched, in huge pages where the
//! array is worth them. Lookups at random would else miss in the address translation as often as in the cache.

#![allow(unsafe_code, reason = "what the kernel maps is a raw pointer; nothing else here needs one")]

use std::ffi::c_void;
use std::fmt;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32};

use rustix::mm::{MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// A huge page.
const HUGE: usize = 2 << 20;
/// From this size on an array gets huge pages; below, it would mostly waste them.
const WORTH_HUGE: usize = 1 << 20;

/// The system has no such memory: how much was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoMemory {
    /// Bytes.
    pub(crate) bytes: usize,
}

/// What an array of pages can be made of.
///
/// # Safety
///
/// Zero bytes are a valid value, no destructor is needed, and no page (4 KiB) is too little aligned.
pub(crate) unsafe trait Cell: Send + Sync {}

// SAFETY: an integer may be zero and has no destructor.
unsafe impl Cell for AtomicU16 {}
// SAFETY: as above.
unsafe impl Cell for AtomicU32 {}
// SAFETY: as above.
unsafe impl Cell for u32 {}
// SAFETY: as above.
unsafe impl Cell for u128 {}
// SAFETY: an array is valid, needs a destructor and is aligned as its elements are.
unsafe impl<T: Cell, const N: usize> Cell for [T; N] {}

/// An array of fixed length. Clones are the same array.
pub(crate) struct Pages<T> {
    cells: NonNull<T>,
    count: usize,
    /// None for an empty array.
    mapping: Option<Arc<Mapping>>,
}

/// Mapped memory of this process.
struct Mapping {
    start: NonNull<c_void>,
    bytes: usize,
}

// SAFETY: a mapping is memory of the process, not of a thread, and gives access to none of it by itself.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

// SAFETY: this is a shared reference to cells, or the only one to them, and `Cell` is `Send` and `Sync`.
unsafe impl<T: Cell> Send for Pages<T> {}
// SAFETY: as above.
unsafe impl<T: Cell> Sync for Pages<T> {}

impl<T: Cell> Pages<T> {
    /// An array of `count` zeros. Cells that are never touched take no memory.
    pub(crate) fn zeroed(count: usize) -> Result<Self, NoMemory> {
        let bytes = count.checked_mul(size_of::<T>()).ok_or(NoMemory { bytes: usize::MAX })?;
        if bytes == 0 {
            return Ok(Self::default());
        }
        let huge = bytes >= WORTH_HUGE;
        // Whole huge pages, wherever in the mapping the first one begins.
        let mapped =
            if huge { bytes.checked_next_multiple_of(HUGE).and_then(|it| it.checked_add(HUGE)) } else { Some(bytes) };
        let mapping = mapped.and_then(Mapping::new).ok_or(NoMemory { bytes })?;
        let padding = if huge { mapping.start.as_ptr().cast::<u8>().align_offset(HUGE) } else { 0 };
        // SAFETY: where there is padding, the mapping is longer than it by the rounded length of the array.
        let cells = unsafe { mapping.start.byte_add(padding) }.cast();
        if huge {
            advise_huge(cells.cast(), bytes.next_multiple_of(HUGE));
        }
        Ok(Self { cells, count, mapping: Some(Arc::new(mapping)) })
    }

    /// The cells, as long as this is the only clone.
    pub(crate) fn get_mut(&mut self) -> Option<&mut [T]> {
        self.mapping.as_mut().map_or(Some(()), |mapping| Arc::get_mut(mapping).map(|_| ()))?;
        // SAFETY: as in `deref`, and no other clone could reach the cells.
        Some(unsafe { slice::from_raw_parts_mut(self.cells.as_ptr(), self.count) })
    }
}

impl<T: Cell> Deref for Pages<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `zeroed` has mapped so many cells there, aligned and zero, thus valid; the mapping lives as long as
        // `self`, and only `get_mut`, by a mutable borrow of the only clone, gives them out as other than shared.
        unsafe { slice::from_raw_parts(self.cells.as_ptr(), self.count) }
    }
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { cells: NonNull::dangling(), count: 0, mapping: None }
    }
}

impl<T> Clone for Pages<T> {
    fn clone(&self) -> Self {
        Self { cells: self.cells, count: self.count, mapping: self.mapping.clone() }
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Mapping {
    fn new(bytes: usize) -> Option<Self> {
        // SAFETY: without an address to map at, this touches no memory that is in use.
        let start =
            unsafe { mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) };
        Some(Self { start: NonNull::new(start.ok()?)?, bytes })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `new` has mapped this, and whoever has a pointer into it has also a share of the mapping.
        let unmapped = unsafe { munmap(self.start.as_ptr(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "a mapping is unmapped once");
    }
}

/// Asks for huge pages. Where they are switched off or unknown, small ones do.
fn advise_huge(start: NonNull<c_void>, bytes: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: the range is a part of a mapping, and this advice does not change what it holds.
    let _ = unsafe { madvise(start.as_ptr(), bytes, rustix::mm::Advice::LinuxHugepage) };
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn arrays_of_any_length_are_zero_and_hold_what_is_written() {
        for count in [1, 1023, (1 << 18) - 1, 1 << 18, (1 << 20) + 1] {
            let pages = Pages::<AtomicU32>::zeroed(count).unwrap();
            assert_eq!(pages.len(), count);
            assert!(pages.iter().all(|cell| cell.load(Relaxed) == 0));
            pages[0].store(1, Relaxed);
            let clone = pages.clone();
            clone[count - 1].store(7, Relaxed);
            drop(clone);
            assert_eq!(pages[count - 1].load(Relaxed), 7);
        }
    }

    #[test]
    fn large_arrays_begin_at_a_huge_page() {
        let pages = Pages::<[AtomicU16; 32]>::zeroed(WORTH_HUGE / 64).unwrap();
        assert_eq!(pages.as_ptr().align_offset(HUGE), 0);
    }

    #[test]
    fn an_empty_array_takes_no_mapping() {
        let mut pages = Pages::<u128>::zeroed(0).unwrap();
        assert!(pages.is_empty() && pages.mapping.is_none());
        assert_eq!(pages.get_mut().map(|cells| cells.len()), Some(0));
    }

    #[test]
    fn only_the_only_clone_can_be_changed() {
        let mut pages = Pages::<u128>::zeroed(3).unwrap();
        pages.get_mut().unwrap()[2] = 5;
        let clone = pages.clone();
        assert!(pages.get_mut().is_none());
        drop(pages);
        assert_eq!(*clone, [0, 0, 5]);
    }

    #[test]
    fn memory_that_does_not_exist_is_an_error() {
        assert_eq!(Pages::<u128>::zeroed(usize::MAX).unwrap_err().bytes, usize::MAX);
        assert_eq!(Pages::<u128>::zeroed(1 << 58).unwrap_err().bytes, 1 << 62);
    }
}
