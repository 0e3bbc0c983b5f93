// SPDX-License-Identifier: MIT OR Apache-2.0
// Keep it, pass it on, or drop it?
#pragma once

#include "count.h"
#include "elsewhere.h"
#include "socket.h"

#define FORGOTTEN_AFTER 10000000000ULL // ns without a fragment: the identifier may be another datagram's then

// What became of the first fragment becomes of the later ones.
struct remembered {
	__u64 seen; // ns, when the last one came
	__u32 fate;
	__u32 zero;
	union address target;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct datagram);
	__type(value, struct remembered);
} datagrams SEC(".maps");

struct conversations elsewhere SEC(".maps");

static __always_inline void remember_conversation(const struct packet *p)
{
	struct conversation it = { .here_port = p->dport, .there_port = p->sport, .protocol = p->protocol };
	__u64 *seen, now = bpf_ktime_get_ns();

	__builtin_memcpy(it.here, &p->dst, sizeof(it.here));
	__builtin_memcpy(it.there, &p->src, sizeof(it.there));
	seen = bpf_map_lookup_elem(&elsewhere, &it);
	if (seen)
		*seen = now;
	else
		bpf_map_update_elem(&elsewhere, &it, &now, BPF_ANY);
}

static __always_inline enum fate pass_on(struct packet *p, const union address *target, enum fate as)
{
	p->target = *target;
	return as;
}

// Whoever can send as a forwarder shall not say where this server sends to. It is none of the others itself.
static __always_inline int is_other_server(void *view, const union address *address)
{
	const struct view_value *peer = view_address(view, VIEW_PEER, address);

	return peer && peer->flags & VIEW_SERVER;
}

// Nobody here waits for it.
static __always_inline enum fate without_socket(void *view, struct packet *p, const struct view_value *keeper)
{
	int is_own = keeper && keeper->flags & VIEW_OWN;

	// Once is enough: two hosts that both know better would play ping-pong.
	if (p->is_passed_on)
		return PASSED_ON_WITHOUT_SOCKET;
	if (p->has_hop && is_other_server(view, &p->hop))
		return pass_on(p, &p->hop, PASSED_ON_PREVIOUS);
	if (keeper && !is_none(&keeper->other))
		return pass_on(p, &keeper->other, is_own ? PASSED_ON_PREVIOUS : PASSED_ON_OWNER);
	return is_own ? KEPT_OWN : NOT_OWNED;
}

// No socket can tell, so the owner counts.
static __always_inline enum fate by_owner(struct packet *p, const struct view_value *keeper, enum fate kept)
{
	if (keeper && keeper->flags & VIEW_OWN)
		return kept;
	if (p->is_passed_on)
		return PASSED_ON_WITHOUT_SOCKET;
	return keeper && !is_none(&keeper->other) ? pass_on(p, &keeper->other, PASSED_ON_OWNER) : NOT_OWNED;
}

static __always_inline enum fate decide_first(struct xdp_md *ctx, void *view, struct packet *p,
					 const struct view_value *held)
{
	const struct view_value *keeper = held;
	enum fate fate;
	int is_own;

	if (!(held->flags & VIEW_WHOLE) && p->by != BY_ADDRESS)
		keeper = view_port(view, held->plan, p->dport);
	is_own = keeper && keeper->flags & VIEW_OWN;
	if (p->by == BY_ADDRESS)
		return by_owner(p, keeper, KEPT_PORTLESS);
	if (p->by == BY_PORT)
		return by_owner(p, keeper, KEPT_OWN);
	if (p->protocol == IPPROTO_TCP ? has_tcp_socket(ctx, p, is_own) : has_udp_socket(ctx, p, is_own))
		return KEPT_SOCKET;
	fate = without_socket(view, p, keeper);
	if (fate == PASSED_ON_PREVIOUS && !p->is_error)
		remember_conversation(p);
	return fate;
}

static __always_inline enum fate decide_later(struct packet *p)
{
	struct remembered *first = bpf_map_lookup_elem(&datagrams, &p->datagram);
	__u64 now = bpf_ktime_get_ns();
	enum fate fate;

	if (!first || now - first->seen > FORGOTTEN_AFTER)
		return FRAGMENT_UNMATCHED;
	first->seen = now;
	fate = first->fate;
	p->target = first->target;
	if (p->is_passed_on && (fate == PASSED_ON_PREVIOUS || fate == PASSED_ON_OWNER))
		return PASSED_ON_WITHOUT_SOCKET;
	return fate >= KEPT_SOCKET && fate <= KEPT_FRAGMENT ? KEPT_FRAGMENT : fate;
}

static __always_inline enum fate decide(struct xdp_md *ctx, void *view, struct packet *p)
{
	struct view_value *held = view_address(view, VIEW_HELD, &p->dst);
	struct remembered first = {};

	if (!held)
		return GUE_NOT_OURS;
	if (p->by == BY_FRAGMENT)
		return decide_later(p);
	first.fate = decide_first(ctx, view, p, held);
	first.target = p->target;
	if (p->is_first) {
		first.seen = bpf_ktime_get_ns();
		bpf_map_update_elem(&datagrams, &p->datagram, &first, BPF_ANY);
	}
	return first.fate;
}
