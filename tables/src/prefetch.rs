// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asking the cache for what will be read soon.

#![allow(unsafe_code, reason = "the processor's hint is an intrinsic over a raw pointer")]

/// Asks for the cache line at the start of `place`, if there is one; a hint that changes nothing else. Does nothing on
/// processors for which the stable compiler offers no hint.
#[inline(always)]
pub fn prefetch<T>(place: Option<&T>) {
    if let Some(place) = place {
        prefetch_address(place);
    }
}

/// [`prefetch`] of whatever is at an address, or is not.
#[inline(always)]
pub fn prefetch_address<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch never faults, changes nothing that the program sees, and every x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
