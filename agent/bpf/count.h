// SPDX-License-Identifier: MIT OR Apache-2.0
// What became of each GUE packet, and the figures of it (receive/counters.rs names them in the same order).
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

enum fate {
	NOT_FOR_US, // not GUE, or not to an address of this host: untouched and not counted
	KEPT_SOCKET,
	KEPT_OWN,
	KEPT_PORTLESS,
	KEPT_FRAGMENT,
	PASSED_ON_PREVIOUS,
	PASSED_ON_OWNER,
	GUE_UNTRUSTED,
	GUE_MALFORMED,
	GUE_NOT_OURS,
	INNER_MALFORMED,
	FRAGMENT_UNMATCHED,
	NOT_OWNED,
	PASSED_ON_WITHOUT_SOCKET,
	NEXT_HOP_UNRESOLVED,
	TOO_BIG,
	NOT_REWRITTEN,
	FATES,
};

struct figures {
	__u64 packets;
	__u64 bytes; // of whole frames, as they came
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FATES);
	__type(key, __u32);
	__type(value, struct figures);
} figures SEC(".maps");

static __always_inline void count(enum fate fate, __u64 bytes)
{
	__u32 key = fate;
	struct figures *of = bpf_map_lookup_elem(&figures, &key);

	if (of) {
		of->packets++;
		of->bytes += bytes;
	}
}
