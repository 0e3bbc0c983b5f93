// SPDX-License-Identifier: MIT OR Apache-2.0
// Up to the stack: the outer headers off, their congestion mark kept (RFC 6040).
#pragma once

#include "checksum.h"

#define ECT1 1
#define ECT0 2

static __always_inline __u8 merged_ecn(__u8 outer, __u8 inner)
{
	if (outer == CE)
		return CE;
	return outer == ECT1 && inner == ECT0 ? ECT1 : inner;
}

// Not 0 when the frame does not let it.
static __always_inline int merge_ecn(struct xdp_md *ctx, struct packet *p)
{
	__u8 change = p->inner_ecn ^ merged_ecn(p->tos & CE, p->inner_ecn);
	__u8 head[12];
	__u16 before, after, check;

	if (!change)
		return 0;
	if (load(ctx, p->inner_at, head, sizeof(head)))
		return -1;
	if (p->version == 6) {
		head[1] ^= change << 4;
		return bpf_xdp_store_bytes(ctx, p->inner_at, head, 2);
	}
	// RFC 1624: the checksum goes on being as right or wrong as it was.
	before = head[0] << 8 | head[1];
	head[1] ^= change;
	after = head[0] << 8 | head[1];
	check = head[10] << 8 | head[11];
	check = ~fold((__u16)~check + (__u16)~before + after);
	head[10] = check >> 8;
	head[11] = check;
	return bpf_xdp_store_bytes(ctx, p->inner_at, head, sizeof(head));
}

// Not 0 when the frame does not let it.
PART int deliver(struct xdp_md *ctx, struct packet *p)
{
	struct ethhdr eth;

	if (!p || merge_ecn(ctx, p) || load(ctx, 0, &eth, sizeof(eth)))
		return -1;
	eth.h_proto = p->version == 4 ? be16(ETH_P_IP) : be16(ETH_P_IPV6);
	if (cut(ctx, p->inner_at + p->inner_len))
		return -1;
	if (bpf_xdp_adjust_head(ctx, p->inner_at - sizeof(eth)))
		return -1;
	return bpf_xdp_store_bytes(ctx, 0, &eth, sizeof(eth));
}
