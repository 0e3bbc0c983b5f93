// SPDX-License-Identifier: MIT OR Apache-2.0
// What the guard counts and tells (guard/mod.rs and guard/event.rs have the same).
#pragma once

#include "leaving.h"

enum verdict {
	NOT_EGRESS,
	OWN,
	DRAINING,
	FOREIGN_ADDRESS,
	FOREIGN_PORT,
	FOREIGN_PORTLESS,
	UNREADABLE,
	UNTOLD, // no verdict: packets that were caught, and of which nothing was told
	VERDICTS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICTS);
	__type(key, __u32);
	__type(value, __u64);
} verdicts SEC(".maps");

struct event {
	union address src;
	union address dst;
	__u64 cookie; // 0: no socket
	__u64 cgroup;
	__u32 uid;
	__be16 port;
	__be16 far;
	__u8 protocol;
	__u8 verdict;
	__u8 zero[6];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} events SEC(".maps");

// When it was last told of, by who sends from where.
struct culprit {
	__u64 cookie;
	union address src;
	__u32 port;
	__u32 verdict;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct culprit);
	__type(value, __u64); // ns
} told SEC(".maps");

#define AGAIN 1000000000ull // ns

static __always_inline void count(enum verdict verdict)
{
	__u32 key = verdict;
	__u64 *packets = bpf_map_lookup_elem(&verdicts, &key);

	if (packets)
		(*packets)++;
}

// Once a second for each socket and port: user space looks for the process, and a flood must not keep it busy. Where
// each has another port the ring is the limit.
static __always_inline void tell(struct __sk_buff *skb, const struct leaving *it, enum verdict verdict)
{
	struct culprit who = { .src = it->src, .port = it->port, .verdict = verdict };
	__u64 now = bpf_ktime_get_ns(), *before;
	struct event *event;

	who.cookie = bpf_get_socket_cookie(skb);
	before = bpf_map_lookup_elem(&told, &who);
	if (before && now - *before < AGAIN)
		return count(UNTOLD);
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return count(UNTOLD);
	bpf_map_update_elem(&told, &who, &now, BPF_ANY);
	event->src = it->src;
	event->dst = it->dst;
	event->cookie = who.cookie;
	event->cgroup = bpf_skb_cgroup_id(skb);
	event->uid = bpf_get_socket_uid(skb);
	event->port = it->port;
	event->far = it->far;
	event->protocol = it->protocol;
	event->verdict = verdict;
	__builtin_memset(event->zero, 0, sizeof(event->zero));
	bpf_ringbuf_submit(event, 0);
}
