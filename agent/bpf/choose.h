/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Looks for a free port in a group's pool. */
#ifndef SLUICE_CHOOSE_H
#define SLUICE_CHOOSE_H

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/socket.h>
#include <asm-generic/errno.h>
#include <asm-generic/errno-base.h>

#include "elsewhere.h"
#include "pool.h"

#ifndef AF_INET
#define AF_INET 2
#define AF_INET6 10
#endif
#define SOL_SOCKET 1
#define SO_REUSEADDR 2

/* As many as the largest slice has, so that a pool of one slice is tried to its last port. */
#define MAX_TRIES 65536
#define FIRST_UNPRIVILEGED 1024

struct choice {
	struct bpf_sock_addr *sock; /* also says which of the two kinds of sockets it is */
	struct candidate_key key;
	struct candidate from;
	struct address address; /* chosen */
	struct address within; /* the only one that will do, where the program named one */
	struct address remote; /* network byte order */
	__u32 remote_port; /* network byte order */
	__u32 count; /* of candidates */
	__u32 first; /* candidate */
	__u32 cursor;
	__u32 size; /* of the candidate */
	__u32 start; /* port within the candidate */
	__u32 port; /* chosen, host byte order */
	__u32 tries;
	__s32 error;
	__u8 v6;
	__u8 tcp;
	__u8 binding; /* the program binds; otherwise it connects */
	__u8 mapped; /* an IPv6 socket that speaks IPv4 */
};

/* Connects begin in the upper half of a slice and binds in the lower: a bind can't see the ports of UDP sockets that are
 * connected, so it keeps away from where they are. Nobody outside can guess the port that a datagram leaves from; for
 * TCP, a bind takes the one that was used longest ago, since its old connections may still hold addresses.
 *
 * What counts here is counted by bpf_loop: numbers that grow in memory the verifier would follow one by one. */
static __always_inline bool take_candidate(__u32 index, struct choice *choice)
{
	struct candidate *it;
	__u32 half, start;

	choice->key.index = (choice->first + index) % choice->count;
	it = bpf_map_lookup_elem(&candidates, &choice->key);
	if (!it || it->last < FIRST_UNPRIVILEGED)
		return false;
	if (!unspecified(&choice->within) && !within(it, &choice->within))
		return false;
	choice->from = *it;
	if (choice->binding && choice->v6)
		first_address(&choice->from);
	if (choice->from.first < FIRST_UNPRIVILEGED)
		choice->from.first = FIRST_UNPRIVILEGED;
	choice->size = (__u32)choice->from.last - choice->from.first + 1;
	half = choice->size / 2;
	start = choice->binding && choice->tcp ? choice->cursor : bpf_get_prandom_u32();
	choice->start = choice->binding && half ? start % half : half + start % (choice->size - half);
	return true;
}

/* The map of what receives, which user space puts in; without one nothing is known. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct conversations);
} elsewhere SEC(".maps");

static __always_inline void map_address(__be32 *to, const struct address *from, bool v6)
{
	to[0] = v6 ? from->word[0] : 0;
	to[1] = v6 ? from->word[1] : 0;
	to[2] = v6 ? from->word[2] : bpf_htonl(0xffff);
	to[3] = from->word[v6 ? 3 : 0];
}

/* Whether a previous owner of the port talks to the same other end. */
static __always_inline bool is_elsewhere(const struct choice *choice)
{
	__u32 only = 0;
	void *conversations = bpf_map_lookup_elem(&elsewhere, &only);
	struct conversation it = {
		.here_port = bpf_htons(choice->port),
		.there_port = choice->remote_port,
		.protocol = choice->tcp ? IPPROTO_TCP : IPPROTO_UDP,
	};

	__u64 *seen;

	if (!conversations)
		return false;
	map_address(it.here, &choice->address, choice->v6);
	map_address(it.there, &choice->remote, choice->v6);
	seen = bpf_map_lookup_elem(conversations, &it);
	return seen && bpf_ktime_get_ns() - *seen < ELSEWHERE_FOR;
}

/* Whether a socket would get what the other end sends to the port: the same connection, a listener, or a UDP socket that
 * takes whatever comes. */
static __always_inline bool taken(struct choice *choice)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *other;
	__u32 size;

	if (choice->v6) {
		__builtin_memcpy(tuple.ipv6.saddr, &choice->remote, 16);
		__builtin_memcpy(tuple.ipv6.daddr, &choice->address, 16);
		tuple.ipv6.sport = choice->remote_port;
		tuple.ipv6.dport = bpf_htons(choice->port);
		size = sizeof(tuple.ipv6);
	} else {
		tuple.ipv4.saddr = choice->remote.word[0];
		tuple.ipv4.daddr = choice->address.word[0];
		tuple.ipv4.sport = choice->remote_port;
		tuple.ipv4.dport = bpf_htons(choice->port);
		size = sizeof(tuple.ipv4);
	}
	if (choice->tcp)
		other = bpf_skc_lookup_tcp(choice->sock, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	else
		other = bpf_sk_lookup_udp(choice->sock, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!other)
		return false;
	bpf_sk_release(other);
	return true;
}

static __always_inline long bind_socket(struct choice *choice)
{
	if (choice->v6 || choice->mapped) {
		struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = bpf_htons(choice->port) };

		if (choice->mapped) {
			to.sin6_addr.s6_addr32[2] = bpf_htonl(0xffff);
			to.sin6_addr.s6_addr32[3] = choice->address.word[0];
		} else {
			__builtin_memcpy(&to.sin6_addr, &choice->address, 16);
		}
		return bpf_bind(choice->sock, (struct sockaddr *)&to, sizeof(to));
	} else {
		struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = bpf_htons(choice->port) };

		to.sin_addr.s_addr = choice->address.word[0];
		return bpf_bind(choice->sock, (struct sockaddr *)&to, sizeof(to));
	}
}

static __always_inline bool is_free(__u32 index, struct choice *choice)
{
	choice->port = choice->from.first + (choice->start + index) % choice->size;
	if (unspecified(&choice->within))
		any_address(&choice->from, &choice->address);
	choice->error = taken(choice) || is_elsewhere(choice) ? -EADDRINUSE : 0;
	return !choice->error;
}

static long connect_port(__u32 index, struct choice *choice)
{
	if (!is_free(index, choice))
		return 0;
	choice->error = bind_socket(choice);
	if (choice->error == -EADDRNOTAVAIL && choice->v6 && choice->from.host.word[3]) {
		first_address(&choice->from);
		return 0;
	}
	/* Other errors, such as an address that is not put up, are the candidate's. */
	return choice->error != -EADDRINUSE;
}

/* A bind's program may not bind by itself, so nothing but looking tells whether the port is free. */
static long bind_port(__u32 index, struct choice *choice)
{
	return is_free(index, choice);
}

static long connect_candidate(__u32 index, struct choice *choice)
{
	if (take_candidate(index, choice))
		choice->tries += bpf_loop(choice->size, connect_port, choice, 0);
	return !choice->error || choice->tries > MAX_TRIES;
}

static long bind_candidate(__u32 index, struct choice *choice)
{
	if (take_candidate(index, choice))
		choice->tries += bpf_loop(choice->size, bind_port, choice, 0);
	return !choice->error || choice->tries > MAX_TRIES;
}

/* Finds an address and a port, and binds the socket to them where the program connects. Returns 0 or what connect and bind
 * fail with: nothing to choose from, or no port free. */
static __always_inline long choose(struct choice *choice, long (*candidate)(__u32, struct choice *))
{
	struct group *group = bpf_map_lookup_elem(&groups, &choice->key.group);
	__u32 *cursor = bpf_map_lookup_elem(&cursors, &choice->key.group);
	__u32 count, v6 = choice->v6;

	if (!group || !cursor)
		return -EPERM;
	count = group->count[v6 & 1];
	if (!count)
		return -EPERM;
	choice->count = count;
	choice->key.epoch = group->epoch;
	choice->key.v6 = v6;
	choice->first = bpf_get_prandom_u32() % count;
	choice->cursor = *cursor;
	choice->error = unspecified(&choice->within) ? -EADDRNOTAVAIL : -EPERM;
	bpf_loop(count, candidate, choice, 0);
	if (choice->binding && choice->tcp)
		*cursor = choice->port - choice->from.first + 1;
	return choice->error == -EADDRINUSE ? -EADDRNOTAVAIL : choice->error;
}

#endif
