// SPDX-License-Identifier: MIT OR Apache-2.0
// The view of the table that every program of the agent reads (maps.rs writes it).
//
// A view is one trie, and the outer map names the one that counts: a program takes it once a packet with view() and
// so decides by one whole view, and the kernel lets a replaced trie go only when no program reads it any more.
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

// What a key is about: its first byte, always matched.
enum view_kind {
	VIEW_HELD = 1,   // an address: the prefix that this server has to do with
	VIEW_PORT = 2,   // plan and port: whose it is
	VIEW_PEER = 3,   // an underlay address: who it is
	VIEW_EGRESS = 4, // an address: in the table's egress space
};

// flags of a value
#define VIEW_OWN 1       // this server owns it
#define VIEW_WHOLE 2     // HELD: all ports have the same keeper, which `flags` and `other` name
#define VIEW_FORWARDER 4 // PEER
#define VIEW_SERVER 8    // PEER
#define VIEW_NETWORK 16  // PEER: where servers send from, which one is not known

// An address as IPv6 has it, IPv4 mapped (::ffff:a.b.c.d), in network byte order.
union address {
	__u8 bytes[16];
	__be32 words[4];
};

struct view_key {
	__u32 bits; // that count of what follows
	__u8 kind;
	__u8 zero[3];
	union {
		union address address;
		struct {
			__be32 plan;
			__be16 port;
			__u8 rest[10];
		};
	};
};

// Who keeps it. Of a HELD prefix: who gets protocols without ports.
struct view_value {
	__u32 plan; // HELD: where its ports are found
	__u32 flags;
	union address other; // the underlay address of the other server that it may belong to; all zero: none
};

struct view_trie {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1); // each view brings as many as it needs
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, sizeof(struct view_key)); // clang leaves out a type that only an inner map names
	__uint(value_size, sizeof(struct view_value));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct view_trie);
} view_current SEC(".maps");

static __always_inline void *view(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&view_current, &only);
}

static __always_inline struct view_value *view_address(void *view, enum view_kind kind, const union address *address)
{
	struct view_key key = { .bits = 32 + 128, .kind = kind, .address = *address };

	return bpf_map_lookup_elem(view, &key);
}

// port: network byte order. None: nobody's that this server knows.
static __always_inline struct view_value *view_port(void *view, __u32 plan, __be16 port)
{
	struct view_key key = { .bits = 32 + 32 + 16, .kind = VIEW_PORT, .plan = __builtin_bswap32(plan), .port = port };

	return bpf_map_lookup_elem(view, &key);
}

static __always_inline int is_mapped(const union address *address)
{
	return !address->words[0] && !address->words[1] && address->words[2] == __builtin_bswap32(0xffff);
}

static __always_inline int is_none(const union address *address)
{
	return !(address->words[0] | address->words[1] | address->words[2] | address->words[3]);
}

static __always_inline int is_same(const union address *a, const union address *b)
{
	return a->words[0] == b->words[0] && a->words[1] == b->words[1] && a->words[2] == b->words[2] &&
	       a->words[3] == b->words[3];
}

static __always_inline void map_ipv4(union address *address, __be32 ipv4)
{
	address->words[0] = 0;
	address->words[1] = 0;
	address->words[2] = __builtin_bswap32(0xffff);
	address->words[3] = ipv4;
}
