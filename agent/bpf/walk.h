// SPDX-License-Identifier: MIT OR Apache-2.0
// IPv6 extension headers.
#pragma once

#include "packet.h"

#define HEADERS 8

struct walk {
	__u32 at;       // in: behind the IPv6 header; out: where the protocol begins
	__u32 end;      // of the packet
	__be32 id;      // of a fragment
	__u8 protocol;  // in: the first next header; out: the last, NONE after more headers than are walked
	__u8 is_first;  // of several fragments
	__u8 is_later;  // what follows is not the beginning
	__u8 has_headers;
};

static __always_inline int is_extension(__u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_DSTOPTS ||
	       protocol == IPPROTO_FRAGMENT;
}

// What a tunnel device would open. After more headers than are walked here the kernel may find one.
static __always_inline int is_tunnel(__u8 protocol)
{
	return protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6 || protocol == IPPROTO_NONE;
}

// Not 0 when a header is cut.
PART int walk(struct xdp_md *ctx, struct walk *w)
{
	if (!w)
		return -1;
	for (int i = 0; i < HEADERS; i++) {
		__u8 head[8];

		if (!is_extension(w->protocol) || w->is_later)
			return 0;
		w->has_headers = 1;
		if (w->at + sizeof(head) > w->end || load(ctx, w->at, head, sizeof(head)))
			return -1;
		if (w->protocol == IPPROTO_FRAGMENT) {
			w->is_later = head[2] || head[3] & 0xf8;
			w->is_first = !w->is_later && head[3] & 1;
			__builtin_memcpy(&w->id, head + 4, 4);
			w->at += sizeof(head);
		} else {
			w->at += 8 * (head[1] + 1);
		}
		w->protocol = head[0];
	}
	if (is_extension(w->protocol))
		w->protocol = IPPROTO_NONE;
	return 0;
}
