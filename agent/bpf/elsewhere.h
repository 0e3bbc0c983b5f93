// SPDX-License-Identifier: MIT OR Apache-2.0
// Conversations of previous owners. What receives writes down those that it passes on something of; what chooses ports
// keeps away from them, since a new owner that talked between the very same addresses and ports would break the old
// one's. Those that say nothing are not known. Each counts for a while only: whoever forges packets of some could else
// keep a destination from the new owner for good.
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#define ELSEWHERE_FOR 120000000000ULL // ns after what was passed on last

// IPv4 addresses mapped into IPv6; all in network byte order.
struct conversation {
	__be32 here[4];
	__be32 there[4];
	__be16 here_port;
	__be16 there_port;
	__u32 protocol;
};

struct conversations {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__uint(key_size, sizeof(struct conversation)); // clang leaves out a type that only an inner map names
	__uint(value_size, sizeof(__u64)); // ns, when something was passed on last
};
