// SPDX-License-Identifier: MIT OR Apache-2.0
// The egress guard, on the way out of each underlay device: what leaves from egress space leaves from an address and a
// port that this server owns, or that an open connection has had since this server owned them.
#include <linux/pkt_cls.h>

#include "leaving.h"
#include "caught.h"

volatile const __u8 only_counts;

// Sockets that have sent from a port of this server's. They may go on when the port becomes another server's: the table
// has them drain, and what comes back is passed on to here.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64); // cookie
	__type(value, __u8);
} senders SEC(".maps");

// Once for each TCP connection, always for protocols whose packets tell no beginning.
static __always_inline void remember(struct __sk_buff *skb, const struct leaving *it)
{
	__u8 yes = 1;
	__u64 cookie;

	if (it->protocol == IPPROTO_TCP && !(it->flags & SYN))
		return;
	cookie = bpf_get_socket_cookie(skb);
	if (cookie && !bpf_map_lookup_elem(&senders, &cookie))
		bpf_map_update_elem(&senders, &cookie, &yes, BPF_ANY);
}

// TCP has a socket for each open connection, and none comes to be while its SYN is dropped. What the kernel answers with
// where there is no connection ends that of the port's owner.
static __always_inline int has_connection(struct __sk_buff *skb, const struct leaving *it)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	int is_open;

	if (is_mapped(&it->src)) {
		tuple.ipv4.saddr = it->dst.words[3];
		tuple.ipv4.daddr = it->src.words[3];
		tuple.ipv4.sport = it->far;
		tuple.ipv4.dport = it->port;
		sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, &it->dst, 16);
		__builtin_memcpy(tuple.ipv6.daddr, &it->src, 16);
		tuple.ipv6.sport = it->far;
		tuple.ipv6.dport = it->port;
		sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return 0;
	is_open = sk->state != BPF_TCP_LISTEN;
	bpf_sk_release(sk);
	return is_open;
}

static __always_inline int drains(struct __sk_buff *skb, const struct leaving *it)
{
	__u64 cookie;

	if (it->protocol == IPPROTO_TCP && !(it->flags & SYN))
		return has_connection(skb, it);
	cookie = bpf_get_socket_cookie(skb);
	return cookie && bpf_map_lookup_elem(&senders, &cookie);
}

static __always_inline enum verdict judge(struct __sk_buff *skb, struct leaving *it)
{
	struct view_value *held, *owner;
	void *table = view();

	if (!table || !view_address(table, VIEW_EGRESS, &it->src))
		return NOT_EGRESS;
	held = view_address(table, VIEW_HELD, &it->src);
	if (!held)
		return FOREIGN_ADDRESS;
	if (it->by == BY_NOTHING)
		return OWN;
	if (it->by == UNREADABLE_PORT)
		return UNREADABLE;
	owner = it->by == BY_PORTLESS || held->flags & VIEW_WHOLE ? held : view_port(table, held->plan, it->port);
	if (owner && owner->flags & VIEW_OWN && (it->port || it->by == BY_PORTLESS)) {
		if (it->by == BY_PORT && has_ports(it->protocol))
			remember(skb, it);
		return OWN;
	}
	if (it->by == BY_PORTLESS)
		return FOREIGN_PORTLESS;
	return has_ports(it->protocol) && drains(skb, it) ? DRAINING : FOREIGN_PORT;
}

SEC("classifier")
int guard(struct __sk_buff *skb)
{
	struct leaving it = {};
	enum verdict verdict;

	if (read_leaving(skb, &it))
		return TC_ACT_UNSPEC;
	verdict = judge(skb, &it);
	if (verdict == NOT_EGRESS)
		return TC_ACT_UNSPEC;
	count(verdict);
	if (verdict == OWN || verdict == DRAINING)
		return TC_ACT_UNSPEC;
	tell(skb, &it, verdict);
	return only_counts ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

char _license[] SEC("license") = "Dual MIT/GPL";
