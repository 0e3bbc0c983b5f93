// SPDX-License-Identifier: MIT OR Apache-2.0
// The outer headers: is it GUE to this host, does it come from whom it may, and is it as it should be?
//
//   Ethernet | IPv4 or IPv6 | UDP | 0 0 hlen | protocol | flags 0 | hlen words | inner packet
//
// The words that count, others are skipped as Linux skips them: 16 bits zero | next hop | hops | IPv4 addresses.
#pragma once

#include "checksum.h"
#include "count.h"
#include "walk.h"

volatile const __be16 gue_port;

// Of a local address. While fou runs its tunnel devices take what is in any tunnel, not only in GUE.
#define LOCAL_FOU 2   // fou listens on it
#define LOCAL_LATER 3 // it does not, but on others

// Addresses of the underlay devices. Others may be routed through this host, and are not its business.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, union address);
	__type(value, __u8);
} local_addresses SEC(".maps");

#define PRIORITY_TAGS 2 // more are no frame that anybody sends

enum outer_kind {
	OUTER_OTHER,
	OUTER_GUE,    // UDP to its port
	OUTER_TUNNEL, // IP in IP without GUE, or what may be
	OUTER_ODD,
};

struct outer {
	__u32 frame_len;
	__u32 ip_at;
	__u32 payload_len; // of IP
	__u32 header_len;  // of IPv4
	__u8 is_odd;       // fragment, extension headers, IPv4 addresses in IPv6: no forwarder sends such
};

static __always_inline int outer_ipv4(struct xdp_md *ctx, struct packet *p, struct outer *o)
{
	struct iphdr ip;
	__u32 len;

	if (load(ctx, o->ip_at, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return -1;
	if (ip.frag_off & be16(FRAGMENT_OFFSET))
		return -1;
	len = be16(ip.tot_len);
	o->header_len = ip.ihl * 4;
	if (len < o->header_len)
		return -1;
	o->payload_len = len - o->header_len;
	o->is_odd = !!(ip.frag_off & be16(MORE_FRAGMENTS));
	p->udp_at = o->ip_at + o->header_len;
	p->protocol = ip.protocol;
	p->tos = ip.tos;
	map_ipv4(&p->from, ip.saddr);
	map_ipv4(&p->to, ip.daddr);
	return 0;
}

static __always_inline int outer_ipv6(struct xdp_md *ctx, struct packet *p, struct outer *o)
{
	struct ipv6hdr ip;
	struct walk w = {};

	if (load(ctx, o->ip_at, &ip, sizeof(ip)) || ip.version != 6)
		return -1;
	w.at = o->ip_at + sizeof(ip);
	w.end = w.at + be16(ip.payload_len);
	w.protocol = ip.nexthdr;
	if (walk(ctx, &w) || w.is_later)
		return -1;
	p->protocol = w.protocol;
	o->payload_len = be16(ip.payload_len);
	p->udp_at = w.at;
	p->tos = traffic_class(&ip);
	map_ipv6(&p->from, &ip.saddr);
	map_ipv6(&p->to, &ip.daddr);
	o->is_odd = w.has_headers || is_mapped(&p->from) || is_mapped(&p->to);
	return 0;
}

// Not 0 when it makes no sense.
static __always_inline int read_hops(struct xdp_md *ctx, struct packet *p, __u32 words)
{
	__u32 at = p->udp_at + sizeof(struct udphdr) + GUE_LEN;
	__u8 head[4];
	__be32 hop;

	if (!words)
		return 0;
	if (load(ctx, at, head, sizeof(head)))
		return -1;
	if (head[0] || head[1])
		return 0;
	if (head[3] + 1 != words || head[2] > head[3])
		return -1;
	if (head[2] == head[3]) {
		p->is_passed_on |= head[3] > 0;
		return 0;
	}
	if (load(ctx, at + 4 + head[2] * 4, &hop, sizeof(hop)))
		return -1;
	map_ipv4(&p->hop, hop);
	p->has_hop = 1;
	p->hop_at = at + 2;
	return 0;
}

PART int is_gue_sound(struct xdp_md *ctx, struct packet *p, struct outer *o)
{
	struct udphdr udp;
	__u8 gue[GUE_LEN];
	__u32 words;

	if (!p || !o || o->is_odd || p->udp_at + o->payload_len > o->frame_len)
		return 0;
	if (load(ctx, p->udp_at, &udp, sizeof(udp)) || be16(udp.len) != o->payload_len)
		return 0;
	p->udp_len = o->payload_len;
	if (p->udp_len < sizeof(udp) + GUE_LEN || load(ctx, p->udp_at + sizeof(udp), gue, sizeof(gue)))
		return 0;
	if (o->header_len && !is_ipv4_header_sound(ctx, o->ip_at, o->header_len))
		return 0;
	if (udp.check && !is_udp_sound(ctx, p))
		return 0;
	words = gue[0] & 0x1f;
	if (gue[0] != words || gue[2] || gue[3])
		return 0;
	p->version = gue[1] == IPPROTO_IPIP ? 4 : gue[1] == IPPROTO_IPV6 ? 6 : 0;
	p->inner_at = p->udp_at + sizeof(udp) + GUE_LEN + words * 4;
	return p->version && p->inner_at <= p->udp_at + p->udp_len && !read_hops(ctx, p, words);
}

// Tags that name no VLAN, only a priority: the kernel takes what is behind them as if they were not there.
static __always_inline int is_priority_tag(const __be16 *tag)
{
	return (tag[0] == be16(ETH_P_8021Q) || tag[0] == be16(ETH_P_8021AD)) && !(tag[1] & be16(0x0fff));
}

// An enum outer_kind, whoever's address it is for.
PART int parse_around(struct xdp_md *ctx, struct packet *p, struct outer *o)
{
	__be16 tag[2], port;

	if (!p || !o || load(ctx, 2 * ETH_ALEN, tag, sizeof(tag)))
		return OUTER_OTHER;
	o->ip_at = ETH_HLEN;
	for (int i = 0; i < PRIORITY_TAGS && is_priority_tag(tag); i++) {
		if (load(ctx, o->ip_at + 2, tag, sizeof(tag)))
			return OUTER_OTHER;
		o->ip_at += sizeof(tag);
	}
	if (is_priority_tag(tag))
		return OUTER_ODD;
	if (tag[0] == be16(ETH_P_IP) ? outer_ipv4(ctx, p, o) : tag[0] == be16(ETH_P_IPV6) ? outer_ipv6(ctx, p, o) : -1)
		return OUTER_OTHER;
	if (is_tunnel(p->protocol))
		return OUTER_TUNNEL;
	if (p->protocol != IPPROTO_UDP || load(ctx, p->udp_at + 2, &port, sizeof(port)))
		return OUTER_OTHER;
	return port == gue_port ? OUTER_GUE : OUTER_OTHER;
}

// FATES: it goes on with the inner packet.
static __always_inline enum fate parse_outer(struct xdp_md *ctx, void *view, struct packet *p)
{
	struct outer o = { .frame_len = bpf_xdp_get_buff_len(ctx) };
	struct view_value *peer;
	const __u8 *local;
	int kind = parse_around(ctx, p, &o);

	if (kind == OUTER_ODD)
		return GUE_MALFORMED;
	if (kind != OUTER_GUE && kind != OUTER_TUNNEL)
		return NOT_FOR_US;
	local = bpf_map_lookup_elem(&local_addresses, &p->to);
	if (!local)
		return NOT_FOR_US;
	p->is_guarded = *local == LOCAL_FOU || *local == LOCAL_LATER;
	if (kind == OUTER_TUNNEL)
		return p->is_guarded ? GUE_UNTRUSTED : NOT_FOR_US;
	peer = view_address(view, VIEW_PEER, &p->from);
	if (!peer)
		return GUE_UNTRUSTED;
	p->is_passed_on = !!(peer->flags & (VIEW_SERVER | VIEW_NETWORK));
	if (!is_gue_sound(ctx, p, &o))
		return GUE_MALFORMED;
	// The tunnel device that takes IPv6 from whomever takes no IPv4 in it.
	p->is_for_fou = *local == LOCAL_FOU && (is_mapped(&p->to) || p->version == 6);
	return FATES;
}
