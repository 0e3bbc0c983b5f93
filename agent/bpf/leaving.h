// SPDX-License-Identifier: MIT OR Apache-2.0
// A packet on its way out: from where, and by what its owner is known.
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "view.h"

#define be16(x) __builtin_bswap16(x)
#define FRAGMENT_OFFSET 0x1fff
#define SYN 0x02
#define MAX_TAGS 2
#define MAX_HEADERS 8

enum by {
	BY_PORT,
	BY_PORTLESS,     // protocols without ports
	BY_NOTHING,      // the address is enough: later fragments, neighbour discovery
	UNREADABLE_PORT, // a port protocol, cut before its ports
};

struct leaving {
	union address src;
	union address dst;
	__u32 at; // of what comes next
	__u8 protocol;
	__u8 is_later; // fragment
	__u8 by;
	__u8 flags; // TCP's
	__be16 port; // this server's: the source port, an echo request's identifier, the port that an ICMP error quotes
	__be16 far;
};

static __always_inline int load(struct __sk_buff *skb, __u32 at, void *to, __u32 len)
{
	return bpf_skb_load_bytes(skb, at, to, len);
}

static __always_inline int has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE ||
	       protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP;
}

static __always_inline int is_extension(__u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_DSTOPTS ||
	       protocol == IPPROTO_FRAGMENT;
}

static __always_inline int walk_headers(struct __sk_buff *skb, struct leaving *it)
{
	for (int i = 0; i < MAX_HEADERS; i++) {
		__u8 head[4];

		if (!is_extension(it->protocol) || it->is_later)
			return 0;
		if (load(skb, it->at, head, sizeof(head)))
			return -1;
		if (it->protocol == IPPROTO_FRAGMENT) {
			it->is_later = head[2] || head[3] & 0xf8;
			it->at += 8;
		} else {
			it->at += 8 * (head[1] + 1);
		}
		it->protocol = head[0];
	}
	return 0;
}

static __always_inline int read_ip(struct __sk_buff *skb, __be16 type, struct leaving *it)
{
	if (type == be16(ETH_P_IP)) {
		struct iphdr ip;

		if (load(skb, it->at, &ip, sizeof(ip)) || ip.version != 4)
			return -1;
		map_ipv4(&it->src, ip.saddr);
		map_ipv4(&it->dst, ip.daddr);
		it->protocol = ip.protocol;
		it->is_later = !!(ip.frag_off & be16(FRAGMENT_OFFSET));
		it->at += ip.ihl * 4;
		return 0;
	}
	struct ipv6hdr ip;

	if (type != be16(ETH_P_IPV6) || load(skb, it->at, &ip, sizeof(ip)) || ip.version != 6)
		return -1;
	__builtin_memcpy(&it->src, &ip.saddr, 16);
	__builtin_memcpy(&it->dst, &ip.daddr, 16);
	it->protocol = ip.nexthdr;
	it->at += sizeof(ip);
	return walk_headers(skb, it);
}

// An error that the stack sends belongs to the packet that it quotes: somebody's, to a port of this server.
static __always_inline void read_quote(struct __sk_buff *skb, struct leaving *it)
{
	__be16 type = is_mapped(&it->src) ? be16(ETH_P_IP) : be16(ETH_P_IPV6);
	struct leaving quote = { .at = it->at + 8 };
	__be16 ports[2];

	it->by = BY_PORTLESS;
	if (read_ip(skb, type, &quote) || !has_ports(quote.protocol))
		return;
	it->by = UNREADABLE_PORT;
	if (quote.is_later)
		it->by = BY_NOTHING;
	else if (is_same(&quote.dst, &it->src) && !load(skb, quote.at, ports, sizeof(ports))) {
		it->by = BY_PORT;
		it->port = ports[1];
	}
}

static __always_inline void read_icmp(struct __sk_buff *skb, struct leaving *it)
{
	int v4 = is_mapped(&it->src);
	__be16 id;
	__u8 type;

	it->by = UNREADABLE_PORT;
	if (load(skb, it->at, &type, sizeof(type)))
		return;
	it->by = BY_PORTLESS;
	if (v4 ? type == 3 || type == 11 || type == 12 : type >= 1 && type <= 4)
		read_quote(skb, it);
	else if (!v4 && type >= 130 && type <= 143)
		it->by = BY_NOTHING; // listeners, routers and neighbours, on the link
	else if (type == (v4 ? 8 : 128) && !load(skb, it->at + 4, &id, sizeof(id))) {
		it->by = BY_PORT;
		it->port = id;
	}
}

// Not 0 for what is no IP.
static __always_inline int read_leaving(struct __sk_buff *skb, struct leaving *it)
{
	__be16 type, ports[2];

	if (load(skb, 12, &type, sizeof(type)))
		return -1;
	it->at = ETH_HLEN;
	for (int i = 0; i < MAX_TAGS && (type == be16(ETH_P_8021Q) || type == be16(ETH_P_8021AD)); i++) {
		if (load(skb, it->at + 2, &type, sizeof(type)))
			return -1;
		it->at += 4;
	}
	if (read_ip(skb, type, it))
		return -1;
	if (it->is_later) {
		it->by = BY_NOTHING;
	} else if (has_ports(it->protocol)) {
		it->by = UNREADABLE_PORT;
		if (load(skb, it->at, ports, sizeof(ports)))
			return 0;
		it->by = BY_PORT;
		it->port = ports[0];
		it->far = ports[1];
		if (it->protocol == IPPROTO_TCP && load(skb, it->at + 13, &it->flags, 1))
			it->by = UNREADABLE_PORT;
	} else if (it->protocol == (is_mapped(&it->src) ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
		read_icmp(skb, it);
	} else {
		it->by = BY_PORTLESS;
	}
	return 0;
}
