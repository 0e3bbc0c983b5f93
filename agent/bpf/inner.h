// SPDX-License-Identifier: MIT OR Apache-2.0
// The inner packet: whose is it, and how is that found?
#pragma once

#include "count.h"
#include "walk.h"

// An IP header within the frame: the inner one, or one that an ICMP error quotes.
struct ip {
	union address src;
	union address dst;
	__u32 len; // as the header says; of IPv6 at least the header
	__u8 ecn;
	struct walk then;
};

// Not 0 when it is no sound header of that version that ends before `end`, extension headers included. An IPv4 address in
// IPv6 is none that comes by a wire, and would pass for IPv4's here.
static __always_inline int read_ip(struct xdp_md *ctx, __u8 version, __u32 at, __u32 end, struct ip *ip)
{
	if (version == 4) {
		struct iphdr v4;

		if (at + sizeof(v4) > end || load(ctx, at, &v4, sizeof(v4)) || v4.version != 4 || v4.ihl < 5)
			return -1;
		map_ipv4(&ip->src, v4.saddr);
		map_ipv4(&ip->dst, v4.daddr);
		ip->len = be16(v4.tot_len);
		ip->ecn = v4.tos & CE;
		ip->then.at = at + v4.ihl * 4;
		ip->then.end = end;
		ip->then.protocol = v4.protocol;
		ip->then.id = v4.id;
		ip->then.is_later = !!(v4.frag_off & be16(FRAGMENT_OFFSET));
		ip->then.is_first = !ip->then.is_later && v4.frag_off & be16(MORE_FRAGMENTS);
		return ip->then.at > end;
	}
	struct ipv6hdr v6;

	if (at + sizeof(v6) > end || load(ctx, at, &v6, sizeof(v6)) || v6.version != 6)
		return -1;
	map_ipv6(&ip->src, &v6.saddr);
	map_ipv6(&ip->dst, &v6.daddr);
	ip->len = sizeof(v6) + be16(v6.payload_len);
	ip->ecn = traffic_class(&v6) & CE;
	ip->then.at = at + sizeof(v6);
	ip->then.end = end;
	ip->then.protocol = v6.nexthdr;
	return is_mapped(&ip->src) || is_mapped(&ip->dst) || walk(ctx, &ip->then) || ip->then.at > end;
}

static __always_inline int is_icmp(__u8 version, __u8 protocol)
{
	return protocol == (version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

static __always_inline int is_icmp_error(__u8 version, __u8 type)
{
	return version == 4 ? type == 3 || type == 11 || type == 12 : type >= 1 && type <= 4;
}

// An error belongs to the flow that it quotes, turned round. What is no sound quote goes by the address.
static __always_inline void classify_quote(struct xdp_md *ctx, struct packet *p, __u32 at, __u32 end)
{
	struct ip quote = {};
	__be16 ports[4] = {};

	if (read_ip(ctx, p->version, at, end, &quote) || quote.then.is_later || !is_same(&quote.src, &p->dst))
		return;
	at = quote.then.at;
	if (has_ports(quote.then.protocol)) {
		if (at + 4 > end || load(ctx, at, ports, 4))
			return;
		p->by = quote.then.protocol == IPPROTO_TCP || quote.then.protocol == IPPROTO_UDP ? BY_SOCKET : BY_PORT;
	} else if (is_icmp(p->version, quote.then.protocol)) {
		if (at + sizeof(ports) > end || load(ctx, at, ports, sizeof(ports)))
			return;
		if ((ports[0] & 0xff) != (p->version == 4 ? 8 : 128))
			return;
		p->by = BY_PORT;
		ports[0] = ports[2]; // the identifier
	} else {
		return;
	}
	p->is_error = 1;
	p->protocol = quote.then.protocol;
	p->src = quote.dst;
	p->sport = ports[1];
	p->dport = ports[0];
}

// FATES: its owner is to be found; of classify_ports as well.
PART int classify_icmp(struct xdp_md *ctx, struct packet *p)
{
	__be16 head[4];
	__u32 end;
	__u8 type;

	if (!p)
		return INNER_MALFORMED;
	end = p->inner_at + p->inner_len;
	if (p->l4_at + sizeof(head) > end || load(ctx, p->l4_at, head, sizeof(head)))
		return INNER_MALFORMED;
	type = head[0] & 0xff;
	// Neighbours are found on the link, not in a tunnel.
	if (p->version == 6 && type >= 133 && type <= 137)
		return GUE_NOT_OURS;
	if (type == (p->version == 4 ? 0 : 129)) {
		p->by = BY_PORT;
		p->dport = head[2];
	} else if (is_icmp_error(p->version, type)) {
		classify_quote(ctx, p, p->l4_at + sizeof(head), end);
	}
	return FATES;
}

// Eight bytes of a first fragment are enough, TCP's flags are behind them.
static __always_inline enum fate classify_ports(struct xdp_md *ctx, struct packet *p)
{
	__u32 end = p->inner_at + p->inner_len;
	__be16 ports[2];
	__u32 least = p->protocol == IPPROTO_TCP && !p->is_first ? sizeof(struct tcphdr) : 8;
	__u8 flags;

	if (p->l4_at + least > end || load(ctx, p->l4_at, ports, sizeof(ports)))
		return INNER_MALFORMED;
	p->sport = ports[0];
	p->dport = ports[1];
	p->by = BY_PORT;
	if (p->protocol == IPPROTO_UDP)
		p->by = BY_SOCKET;
	if (p->protocol == IPPROTO_TCP) {
		p->by = BY_SOCKET;
		if (p->l4_at + 14 <= end && !load(ctx, p->l4_at + 13, &flags, sizeof(flags)))
			p->tcp = flags & (SYN | RST | ACK);
	}
	return FATES;
}

PART int read_inner(struct xdp_md *ctx, struct packet *p)
{
	struct ip ip = {};
	__u32 rest;
	int is_cut;

	if (!p)
		return GUE_MALFORMED;
	rest = p->udp_at + p->udp_len - p->inner_at;
	is_cut = read_ip(ctx, p->version, p->inner_at, p->inner_at + rest, &ip);
	// Lengths that contradict GUE's are GUE's fault.
	if (!ip.len || ip.len > rest || ((p->tos & CE) == CE && !ip.ecn))
		return GUE_MALFORMED;
	p->inner_len = ip.len;
	p->inner_ecn = ip.ecn;
	p->src = ip.src;
	p->dst = ip.dst;
	p->protocol = ip.then.protocol;
	p->l4_at = ip.then.at;
	p->is_first = ip.then.is_first;
	p->is_later = ip.then.is_later;
	// The flow of an ICMP error is another's; this stays.
	p->datagram.src = ip.src;
	p->datagram.dst = ip.dst;
	p->datagram.id = ip.then.id;
	p->datagram.protocol = p->version == 4 ? ip.then.protocol : 0;
	return is_cut || p->l4_at > p->inner_at + ip.len ? INNER_MALFORMED : FATES;
}

// FATES: its owner is to be found.
static __always_inline enum fate parse_inner(struct xdp_md *ctx, struct packet *p)
{
	enum fate fate = read_inner(ctx, p);
	int is_about_ports = has_ports(p->protocol);
	int is_about_icmp = is_icmp(p->version, p->protocol);

	p->by = BY_ADDRESS;
	if (fate != FATES)
		return fate;
	if (p->is_later) {
		// Behind an extension header that was cut along, only the first knows what.
		if (is_about_ports || is_about_icmp || is_extension(p->protocol))
			p->by = BY_FRAGMENT;
		return FATES;
	}
	if (is_about_ports)
		return classify_ports(ctx, p);
	return is_about_icmp ? classify_icmp(ctx, p) : FATES;
}
