// SPDX-License-Identifier: MIT OR Apache-2.0
//! What our command lines have in common: the near end of a control socket, output for people and for programs, failures in
//! a line.

pub mod client;
pub mod failure;
pub mod output;
pub mod preview;
