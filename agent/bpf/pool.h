/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Which addresses and ports a group of processes may use, as user space writes it (src/exec/pool.rs). */
#ifndef SLUICE_POOL_H
#define SLUICE_POOL_H

#include <stdbool.h>

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define GROUPS 256
#define CANDIDATES 65536

/* An address as a socket has it: IPv4 in the first word, all in network byte order. */
struct address {
	__u32 word[4];
};

/* A group is a cgroup right below the one that the programs hang on. A new pool is written beside the old one, under the
 * next epoch; this word then turns to it, so that a connect sees one or the other. */
struct group {
	__u32 epoch;
	__u32 count[2]; /* of candidates: IPv4, IPv6 */
};

struct candidate_key {
	__u64 group;
	__u32 index;
	__u16 epoch;
	__u16 v6;
};

struct candidate {
	struct address address;
	struct address host; /* the bits that may be anything: none for one address */
	__u16 first; /* inclusive, host byte order */
	__u16 last;
};

struct tally {
	__u64 connects[2]; /* IPv4, IPv6 */
	__u64 binds;
	__u64 tries; /* ports looked at for the connects and binds */
	__u64 exhausted;
	__u64 refused;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GROUPS);
	__type(key, __u64); /* the cgroup's number */
	__type(value, struct group);
} groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CANDIDATES);
	__type(key, struct candidate_key);
	__type(value, struct candidate);
} candidates SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, GROUPS);
	__type(key, __u64);
	__type(value, struct tally);
} tallies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GROUPS);
	__type(key, __u64);
	__type(value, __u32);
} cursors SEC(".maps");

/* The group of the process that asks, whatever it has made below. 0: none, and nothing is allowed. A socket's own cgroup
 * counts for whether the programs run at all, so a socket that is handed to a process outside can't be used there. */
static __always_inline __u64 current_group(void)
{
	for (int level = 1; level < 16; level++) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(level);

		if (!id)
			break;
		if (bpf_map_lookup_elem(&groups, &id))
			return id;
	}
	return 0;
}

static __always_inline bool within(const struct candidate *it, const struct address *address)
{
	__u32 differs = 0;

	for (int i = 0; i < 4; i++)
		differs |= (it->address.word[i] ^ address->word[i]) & ~it->host.word[i];
	return !differs;
}

static __always_inline void any_address(const struct candidate *it, struct address *address)
{
	for (int i = 0; i < 4; i++)
		address->word[i] = it->address.word[i] | (it->host.word[i] & bpf_get_prandom_u32());
}

/* One that the kernel knows as its own: in a wider IPv6 prefix it lets nobody bind to another than the first, unless
 * net.ipv6.ip_nonlocal_bind is set. */
static __always_inline void first_address(struct candidate *it)
{
	if (it->host.word[3])
		it->address.word[3] |= bpf_htonl(1);
	it->host = (struct address){};
}

static __always_inline bool unspecified(const struct address *address)
{
	return !(address->word[0] | address->word[1] | address->word[2] | address->word[3]);
}

struct search {
	struct candidate_key key;
	struct address address;
	__u32 port;
	__u32 count;
	__u32 found;
};

static long matches(__u32 index, struct search *search)
{
	struct candidate *it;

	search->key.index = index;
	it = bpf_map_lookup_elem(&candidates, &search->key);
	if (!it || search->port < it->first || search->port > it->last)
		return 0;
	if (unspecified(&search->address)) {
		struct candidate copy = *it;

		if (search->key.v6)
			first_address(&copy);
		any_address(&copy, &search->address);
	} else if (!within(it, &search->address)) {
		return 0;
	}
	search->found = 1;
	return 1;
}

/* Whether the group owns the port (host byte order) at the address. An unspecified address becomes one where it does. */
static __always_inline bool owned(__u64 id, bool v6, struct address *address, __u32 port)
{
	struct group *group = bpf_map_lookup_elem(&groups, &id);
	struct search search = {};

	if (!group)
		return false;
	search.key.group = id;
	search.key.epoch = group->epoch;
	search.key.v6 = v6;
	search.address = *address;
	search.port = port;
	bpf_loop(group->count[v6 & 1], matches, &search, 0);
	*address = search.address;
	return search.found;
}

#endif
