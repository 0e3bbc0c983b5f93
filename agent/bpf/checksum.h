// SPDX-License-Identifier: MIT OR Apache-2.0
// Internet checksums over what lies in the frame.
#pragma once

#include "packet.h"

#define CHUNK 128

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

// Adds `len` bytes from `at` to `sum`. A length that the frame does not have adds rubbish: check it before.
PART __u32 add_bytes(struct xdp_md *ctx, __u32 at, __u32 len, __u32 sum)
{
	__u8 bytes[CHUNK] = {};

	for (int i = 0; i < (1 << 16) / CHUNK && len >= CHUNK; i++) {
		if (load(ctx, at, bytes, CHUNK))
			return 0;
		sum = bpf_csum_diff(0, 0, (__be32 *)bytes, CHUNK, sum);
		at += CHUNK;
		len -= CHUNK;
	}
	__builtin_memset(bytes, 0, sizeof(bytes));
	if (!len)
		return sum;
	// Linux 6.1's verifier does not see from the comparison that there is something left, but from this.
	asm volatile("" : "+r"(len));
	if (load(ctx, at, bytes, ((len - 1) & (CHUNK - 1)) + 1))
		return 0;
	return bpf_csum_diff(0, 0, (__be32 *)bytes, CHUNK, sum);
}

static __always_inline int is_ipv4_header_sound(struct xdp_md *ctx, __u32 at, __u32 len)
{
	return fold(add_bytes(ctx, at, len, 0)) == 0xffff;
}

// Mapped IPv4 addresses add 0xffff each to the pseudo header, which is nothing in one's complement.
static __always_inline int is_udp_sound(struct xdp_md *ctx, struct packet *p)
{
	__u32 sum = bpf_csum_diff(0, 0, p->from.words, sizeof(p->from), be32(p->udp_len + IPPROTO_UDP));

	sum = bpf_csum_diff(0, 0, p->to.words, sizeof(p->to), sum);
	return fold(add_bytes(ctx, p->udp_at, p->udp_len, sum)) == 0xffff;
}
