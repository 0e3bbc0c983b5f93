// SPDX-License-Identifier: MIT OR Apache-2.0
// On to the other owner: new outer addresses, and everything from UDP on as it came.
#pragma once

#include "checksum.h"
#include "count.h"

#ifndef AF_INET
#define AF_INET 2
#define AF_INET6 10
#endif

// Routes as the host's own packets have them: what is looked up for "lo" is what the kernel looks up for itself. Its
// `forwarding` must be on, which user space sees to; nothing is forwarded by it.
#define LOOPBACK 1

#define TTL 64

// This host's address of each IP version, for what goes to a target of the other version than it came by.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2); // IPv4, IPv6
	__type(key, __u32);
	__type(value, union address);
} own_addresses SEC(".maps");

static __always_inline const union address *own_address(const struct packet *p, int is_ipv4)
{
	__u32 key = !is_ipv4;
	const union address *own = bpf_map_lookup_elem(&own_addresses, &key);

	// As the table has it: it is what the packet was sent to.
	if (is_mapped(&p->to) == is_ipv4)
		return &p->to;
	return own && !is_none(own) ? own : 0;
}

static __always_inline int next_hop(struct xdp_md *ctx, const struct packet *p, const union address *own,
			       struct bpf_fib_lookup *fib)
{
	fib->l4_protocol = IPPROTO_UDP;
	fib->dport = gue_port;
	fib->ifindex = LOOPBACK;
	if (is_mapped(&p->target)) {
		fib->family = AF_INET;
		fib->tot_len = sizeof(struct iphdr) + p->udp_len;
		fib->ipv4_src = own->words[3];
		fib->ipv4_dst = p->target.words[3];
	} else {
		fib->family = AF_INET6;
		fib->tot_len = sizeof(struct ipv6hdr) + p->udp_len;
		__builtin_memcpy(fib->ipv6_src, own, sizeof(*own));
		__builtin_memcpy(fib->ipv6_dst, &p->target, sizeof(p->target));
	}
	return bpf_fib_lookup(ctx, fib, sizeof(*fib), 0);
}

static __always_inline int write_ipv4(struct xdp_md *ctx, const struct packet *p, const union address *own)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tos = p->tos,
		.tot_len = be16(sizeof(ip) + p->udp_len),
		.frag_off = be16(0x4000), // don't
		.ttl = TTL,
		.protocol = IPPROTO_UDP,
		.saddr = own->words[3],
		.daddr = p->target.words[3],
	};

	ip.check = ~fold(bpf_csum_diff(0, 0, (__be32 *)&ip, sizeof(ip), 0));
	return bpf_xdp_store_bytes(ctx, ETH_HLEN, &ip, sizeof(ip));
}

static __always_inline int write_ipv6(struct xdp_md *ctx, const struct packet *p, const union address *own)
{
	struct ipv6hdr ip = {
		.version = 6,
		.priority = p->tos >> 4,
		.flow_lbl = { p->tos << 4 },
		.payload_len = be16(p->udp_len),
		.nexthdr = IPPROTO_UDP,
		.hop_limit = TTL,
	};

	__builtin_memcpy(&ip.saddr, own, sizeof(*own));
	__builtin_memcpy(&ip.daddr, &p->target, sizeof(p->target));
	return bpf_xdp_store_bytes(ctx, ETH_HLEN, &ip, sizeof(ip));
}

// The index of the next hop counts on, and the checksum would have to follow: none is as good, the inner packet has
// its own. Before the head moves, since the offsets are of the frame as it came.
static __always_inline int mark_passed_on(struct xdp_md *ctx, const struct packet *p)
{
	__be16 none = 0;
	__u8 index;

	if (bpf_xdp_store_bytes(ctx, p->udp_at + __builtin_offsetof(struct udphdr, check), &none, sizeof(none)))
		return -1;
	if (!p->has_hop)
		return 0;
	if (load(ctx, p->hop_at, &index, sizeof(index)))
		return -1;
	index++;
	return bpf_xdp_store_bytes(ctx, p->hop_at, &index, sizeof(index));
}

static __always_inline int rewrite(struct xdp_md *ctx, const struct packet *p, const union address *own,
			      const struct bpf_fib_lookup *fib)
{
	int is_ipv4 = is_mapped(&p->target);
	int head = ETH_HLEN + (is_ipv4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	struct ethhdr eth = { .h_proto = is_ipv4 ? be16(ETH_P_IP) : be16(ETH_P_IPV6) };

	__builtin_memcpy(eth.h_dest, fib->dmac, ETH_ALEN);
	__builtin_memcpy(eth.h_source, fib->smac, ETH_ALEN);
	// Longer than IP says, it might be longer than the device takes.
	if (mark_passed_on(ctx, p) || cut(ctx, p->udp_at + p->udp_len))
		return -1;
	if ((int)p->udp_at != head && bpf_xdp_adjust_head(ctx, (int)p->udp_at - head))
		return -1;
	if (is_ipv4 ? write_ipv4(ctx, p, own) : write_ipv6(ctx, p, own))
		return -1;
	return bpf_xdp_store_bytes(ctx, 0, &eth, sizeof(eth));
}

// FATES: it goes, and `action` says how.
PART int send_on(struct xdp_md *ctx, struct packet *p, int *action)
{
	struct bpf_fib_lookup fib = {};
	const union address *own;
	int result;

	if (!p || !action)
		return NOT_REWRITTEN;
	own = own_address(p, is_mapped(&p->target));
	if (!own)
		return NEXT_HOP_UNRESOLVED;
	result = next_hop(ctx, p, own, &fib);
	if (result == BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return TOO_BIG;
	if (result != BPF_FIB_LKUP_RET_SUCCESS)
		return NEXT_HOP_UNRESOLVED;
	if (rewrite(ctx, p, own, &fib))
		return NOT_REWRITTEN;
	*action = fib.ifindex == ctx->ingress_ifindex ? XDP_TX : bpf_redirect(fib.ifindex, 0);
	return FATES;
}
