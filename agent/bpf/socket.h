// SPDX-License-Identifier: MIT OR Apache-2.0
// Does somebody here wait for this packet?
//
// Redirectors for servers that are called keep every SYN. Here SYN-ACKs answer calls that another owner of the port
// may have made, so they are looked up like the rest: a listener takes what opens a connection, nothing else.
#pragma once

#include "packet.h"

// A socket bound to every address would swallow packets for other owners of its port.
static __always_inline int is_bound(const struct bpf_sock *sk, const struct packet *p)
{
	const volatile struct bpf_sock *to = sk;
	union address bound;
	__be32 ipv4 = to->src_ip4;

	bound.words[0] = to->src_ip6[0];
	bound.words[1] = to->src_ip6[1];
	bound.words[2] = to->src_ip6[2];
	bound.words[3] = to->src_ip6[3];
	return p->version == 4 ? ipv4 == p->dst.words[3] : is_same(&bound, &p->dst);
}

static __always_inline __u32 fill_tuple(struct bpf_sock_tuple *tuple, const struct packet *p)
{
	if (p->version == 4) {
		tuple->ipv4.saddr = p->src.words[3];
		tuple->ipv4.daddr = p->dst.words[3];
		tuple->ipv4.sport = p->sport;
		tuple->ipv4.dport = p->dport;
		return sizeof(tuple->ipv4);
	}
	__builtin_memcpy(tuple->ipv6.saddr, &p->src, sizeof(p->src));
	__builtin_memcpy(tuple->ipv6.daddr, &p->dst, sizeof(p->dst));
	tuple->ipv6.sport = p->sport;
	tuple->ipv6.dport = p->dport;
	return sizeof(tuple->ipv6);
}

// A listener that has run out of room sends cookies and remembers nothing; the ACK that brings one back is its own.
static __always_inline int is_cookie(struct xdp_md *ctx, struct bpf_sock *sk, const struct packet *p)
{
	struct tcphdr tcp;

	if (load(ctx, p->l4_at, &tcp, sizeof(tcp)))
		return 0;
	if (p->version == 4) {
		struct iphdr ip;

		return !load(ctx, p->inner_at, &ip, sizeof(ip)) &&
		       !bpf_tcp_check_syncookie(sk, &ip, sizeof(ip), &tcp, sizeof(tcp));
	}
	struct ipv6hdr ip;

	return !load(ctx, p->inner_at, &ip, sizeof(ip)) &&
	       !bpf_tcp_check_syncookie(sk, &ip, sizeof(ip), &tcp, sizeof(tcp));
}

static __always_inline int does_listener_take(struct xdp_md *ctx, struct bpf_sock *sk, const struct packet *p)
{
	if (p->is_error)
		return 0;
	return p->tcp == SYN || (p->tcp == ACK && is_cookie(ctx, sk, p));
}

// What answers a call says SYN or RST. Anything else is for another owner's connection of the same addresses and ports:
// the socket would refuse it, and so end that connection.
static __always_inline int is_answer_to_call(const struct packet *p)
{
	return p->is_error || p->tcp & (SYN | RST);
}

PART int has_tcp_socket(struct xdp_md *ctx, const struct packet *p, int is_own)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	__u32 size;
	int is_here = 1;

	if (!p)
		return 0;
	size = fill_tuple(&tuple, p);
	// The common lookup finds connections that begin or have just ended as well.
	if (size == sizeof(tuple.ipv4))
		sk = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	if (sk->state == BPF_TCP_LISTEN)
		is_here = (is_own || is_bound(sk, p)) && does_listener_take(ctx, sk, p);
	else if (sk->state == BPF_TCP_SYN_SENT)
		is_here = is_answer_to_call(p);
	bpf_sk_release(sk);
	return is_here;
}

PART int has_udp_socket(struct xdp_md *ctx, const struct packet *p, int is_own)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	__u32 size;
	int is_here;

	if (!p)
		return 0;
	size = fill_tuple(&tuple, p);
	if (size == sizeof(tuple.ipv4))
		sk = bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	is_here = is_own || is_bound(sk, p);
	bpf_sk_release(sk);
	return is_here;
}
