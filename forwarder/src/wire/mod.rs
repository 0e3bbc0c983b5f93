// SPDX-License-Identifier: MIT OR Apache-2.0
//! Header layouts, one a file: views over byte arrays whose length was checked once, so accessors can't fail.
//!
//! A view is made by its `split`, which takes the header off the front of some bytes and gives back what follows.
//! A view says what the bytes hold; whether that makes sense is for the pipeline to judge.

pub mod checksum;
pub mod ethernet;
pub mod fragment;
pub mod gue;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
mod mac;
pub mod outer;
pub mod protocol;
pub mod siphash;
pub mod udp;

pub use mac::MacAddr;
