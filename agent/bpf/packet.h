// SPDX-License-Identifier: MIT OR Apache-2.0
// What the parsers find out about a packet, and how they read it.
//
// Headers are copied by bpf_xdp_load_bytes, which checks the bounds itself and reads frames of several buffers too: so
// no offset has to be proved to the verifier.
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "view.h"

#define be16(x) __builtin_bswap16(x)
#define be32(x) __builtin_bswap32(x)
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "be16 and be32 swap");

// A function that the verifier looks at once by itself and not anew for each way that leads to it: without, they are too
// many. What it is given may be null as far as the verifier knows.
#define PART __attribute__((noinline))

#define GUE_LEN 4
#define CE 3
#define FRAGMENT_OFFSET 0x1fff // IPv4, beside it:
#define MORE_FRAGMENTS 0x2000

// How a packet's owner is found.
enum by {
	BY_SOCKET,   // TCP, UDP, and errors about them
	BY_PORT,     // other protocols with ports, echo replies: no socket can be looked up
	BY_ADDRESS,  // protocols without ports, echo requests, and what cannot be read
	BY_FRAGMENT, // a later fragment: as the first
};

// Its first fragment is the one with the ports. IPv6 has no protocol of all of a datagram.
struct datagram {
	union address src;
	union address dst;
	__be32 id;
	__u32 protocol;
};

struct packet {
	// outer
	union address from;
	union address to;
	__u32 udp_at; // all offsets count from the Ethernet header
	__u32 udp_len;
	__u8 tos;
	__u8 is_for_fou; // which takes the outer headers off
	__u8 is_guarded; // its tunnel devices are up
	__u8 is_passed_on;
	__u8 has_hop;
	union address hop; // the previous owner, where the header names one
	__u32 hop_at;      // its index, one byte
	// inner
	__u32 inner_at;
	__u32 inner_len;
	__u8 version;
	__u8 inner_ecn;
	struct datagram datagram; // that it is a fragment of
	// the flow as it would come from the other end
	__u8 protocol;
	__u8 by;
	__u8 is_error;
	__u8 is_first; // of several fragments
	__u8 is_later;
	__u8 tcp;      // SYN, RST and ACK, as in its header
	__u32 l4_at;
	union address src;
	union address dst;
	__be16 sport;
	__be16 dport;
	// fate
	union address target; // who it is passed on to
};
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

static __always_inline int load(struct xdp_md *ctx, __u32 at, void *to, __u32 len)
{
	return bpf_xdp_load_bytes(ctx, at, to, len);
}

// Takes off what is behind `end`. Not 0 when the frame does not let it.
static __always_inline int cut(struct xdp_md *ctx, __u32 end)
{
	__u32 behind = bpf_xdp_get_buff_len(ctx) - end;

	return behind && bpf_xdp_adjust_tail(ctx, -(int)behind);
}

static __always_inline void map_ipv6(union address *address, const struct in6_addr *ipv6)
{
	__builtin_memcpy(address, ipv6, sizeof(*address));
}

static __always_inline __u8 traffic_class(const struct ipv6hdr *ip)
{
	return ip->priority << 4 | ip->flow_lbl[0] >> 4;
}

static __always_inline int has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE ||
	       protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP;
}
