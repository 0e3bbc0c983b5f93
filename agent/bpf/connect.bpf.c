/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the processes of an exec group send, leaves from an address and a port that this server owns. The kernel's own
 * IP_LOCAL_PORT_RANGE would do that only inside a sysctl's range, and these programs may not set it: so they choose. */
#include "choose.h"

#define ALLOW 1
#define REFUSE 0

char _license[] SEC("license") = "Dual MIT/GPL";

static __always_inline int refuse(__u64 group, long error)
{
	struct tally *tally = bpf_map_lookup_elem(&tallies, &group);

	if (tally && error == -EADDRNOTAVAIL)
		tally->exhausted++;
	else if (tally)
		tally->refused++;
	bpf_set_retval(error);
	return REFUSE;
}

/* Loopback and the link itself need no shared address, and nothing answers to one there. */
static __always_inline bool stays_here4(__u32 address)
{
	__u32 host = bpf_ntohl(address);

	return !host || host >> 24 == 127 || host >> 16 == 0xa9fe;
}

static __always_inline bool stays_here6(const struct address *it)
{
	if (it->word[0] & bpf_htonl(0xffc00000))
		return (it->word[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
	return !(it->word[0] | it->word[1] | it->word[2]) && bpf_ntohl(it->word[3]) <= 1;
}

static __always_inline bool is_mapped(const struct address *it)
{
	return !(it->word[0] | it->word[1]) && it->word[2] == bpf_htonl(0xffff);
}

/* Takes an IPv4 address out of the IPv6 one that stands for it. */
static __always_inline bool unmap(struct address *it)
{
	if (!is_mapped(it))
		return false;
	it->word[0] = it->word[3];
	it->word[2] = it->word[3] = 0;
	return true;
}

static __always_inline bool stays_here(const struct address *it, bool v6)
{
	return v6 ? stays_here6(it) : stays_here4(it->word[0]);
}

/* Only what the pool's ports are for. Others keep their own ways, and the guard looks at what comes of them. */
static __always_inline bool has_ports(struct bpf_sock_addr *ctx)
{
	return ctx->protocol == IPPROTO_TCP || ctx->protocol == IPPROTO_UDP || ctx->protocol == IPPROTO_UDPLITE;
}

/* `choice->address` is what the socket is bound to so far. */
static __always_inline int connects(struct bpf_sock_addr *ctx, struct bpf_sock *sk, struct choice *choice)
{
	struct tally *tally;
	long error;
	int one = 1;

	if (!has_ports(ctx) || stays_here(&choice->remote, choice->v6))
		return ALLOW;
	choice->key.group = current_group();
	if (!choice->key.group)
		return REFUSE;
	if (sk->src_port) {
		/* Bound to no address, it would leave from one that the kernel chooses. */
		if (unspecified(&choice->address) || (choice->mapped && !unmap(&choice->address)) ||
		    !owned(choice->key.group, choice->v6, &choice->address, sk->src_port))
			return refuse(choice->key.group, -EPERM);
		return ALLOW;
	}
	choice->sock = ctx;
	choice->tcp = ctx->protocol == IPPROTO_TCP;
	choice->remote_port = ctx->user_port;
	if (choice->tcp) /* a port serves any number of destinations */
		bpf_setsockopt(ctx, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	error = choose(choice, connect_candidate);
	tally = bpf_map_lookup_elem(&tallies, &choice->key.group);
	if (tally)
		tally->tries += choice->tries;
	if (error)
		return refuse(choice->key.group, error);
	if (tally)
		tally->connects[choice->v6 & 1]++;
	return ALLOW;
}

/* What a program binds to is what it sends from: `choice->address` and `choice->port` become what it may have. */
static __always_inline bool binds(struct bpf_sock_addr *ctx, struct choice *choice)
{
	struct tally *tally;
	long error = 0;
	int one = 1;

	if (!has_ports(ctx))
		return true;
	choice->key.group = current_group();
	if (!choice->key.group)
		return false;
	choice->sock = ctx;
	choice->binding = 1;
	choice->tcp = ctx->protocol == IPPROTO_TCP;
	choice->port = bpf_ntohs(ctx->user_port);
	if (choice->port) {
		if (!owned(choice->key.group, choice->v6, &choice->address, choice->port))
			error = -EPERM;
	} else {
		if (choice->tcp)
			bpf_setsockopt(ctx, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		choice->within = choice->address;
		error = choose(choice, bind_candidate);
	}
	tally = bpf_map_lookup_elem(&tallies, &choice->key.group);
	if (tally)
		tally->tries += choice->tries;
	if (error) {
		refuse(choice->key.group, error);
		return false;
	}
	if (tally)
		tally->binds++;
	return true;
}

/* A datagram of a socket that is not connected: its port is what it is, so that decides. */
static __always_inline bool sends(struct bpf_sock *sk, bool v6, struct address *source)
{
	__u64 group = current_group();

	if (!group)
		return false;
	if (owned(group, v6, source, sk->src_port))
		return true;
	refuse(group, -EPERM);
	return false;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct choice choice = {};

	if (!sk)
		return REFUSE;
	choice.address.word[0] = sk->src_ip4;
	choice.remote.word[0] = ctx->user_ip4;
	return connects(ctx, sk, &choice);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct choice choice = {};

	if (!sk)
		return REFUSE;
	choice.address.word[0] = sk->src_ip6[0];
	choice.address.word[1] = sk->src_ip6[1];
	choice.address.word[2] = sk->src_ip6[2];
	choice.address.word[3] = sk->src_ip6[3];
	choice.remote.word[0] = ctx->user_ip6[0];
	choice.remote.word[1] = ctx->user_ip6[1];
	choice.remote.word[2] = ctx->user_ip6[2];
	choice.remote.word[3] = ctx->user_ip6[3];
	choice.mapped = unmap(&choice.remote);
	choice.v6 = !choice.mapped;
	return connects(ctx, sk, &choice);
}

SEC("cgroup/bind4")
int bind4(struct bpf_sock_addr *ctx)
{
	struct choice choice = {};

	choice.address.word[0] = ctx->user_ip4;
	if (choice.address.word[0] && stays_here4(choice.address.word[0]))
		return ALLOW;
	if (!binds(ctx, &choice))
		return REFUSE;
	ctx->user_ip4 = choice.address.word[0];
	ctx->user_port = bpf_htons(choice.port);
	return ALLOW;
}

SEC("cgroup/bind6")
int bind6(struct bpf_sock_addr *ctx)
{
	struct choice choice = {};

	choice.address.word[0] = ctx->user_ip6[0];
	choice.address.word[1] = ctx->user_ip6[1];
	choice.address.word[2] = ctx->user_ip6[2];
	choice.address.word[3] = ctx->user_ip6[3];
	choice.mapped = unmap(&choice.address);
	choice.v6 = !choice.mapped;
	if (!unspecified(&choice.address) && stays_here(&choice.address, choice.v6))
		return ALLOW;
	if (!binds(ctx, &choice))
		return REFUSE;
	if (choice.mapped) {
		ctx->user_ip6[3] = choice.address.word[0];
	} else {
		ctx->user_ip6[0] = choice.address.word[0];
		ctx->user_ip6[1] = choice.address.word[1];
		ctx->user_ip6[2] = choice.address.word[2];
		ctx->user_ip6[3] = choice.address.word[3];
	}
	ctx->user_port = bpf_htons(choice.port);
	return ALLOW;
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct address source = {};
	__u32 remote = ctx->user_ip4;

	if (!sk)
		return REFUSE;
	source.word[0] = ctx->msg_src_ip4;
	if (!source.word[0])
		source.word[0] = sk->src_ip4;
	/* Connected, and asked all the same for what comes beside the datagram: that may be another source. */
	if (!remote && sk->dst_ip4 && source.word[0] != sk->src_ip4)
		remote = sk->dst_ip4;
	if (stays_here4(remote))
		return ALLOW;
	if (!sends(sk, false, &source))
		return REFUSE;
	ctx->msg_src_ip4 = source.word[0];
	return ALLOW;
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct address remote = {}, source = {};

	remote.word[0] = ctx->user_ip6[0];
	remote.word[1] = ctx->user_ip6[1];
	remote.word[2] = ctx->user_ip6[2];
	remote.word[3] = ctx->user_ip6[3];
	if (is_mapped(&remote)) /* sendmsg4 is asked too */
		return ALLOW;
	if (!sk)
		return REFUSE;
	source.word[0] = ctx->msg_src_ip6[0];
	source.word[1] = ctx->msg_src_ip6[1];
	source.word[2] = ctx->msg_src_ip6[2];
	source.word[3] = ctx->msg_src_ip6[3];
	if (unspecified(&source)) {
		source.word[0] = sk->src_ip6[0];
		source.word[1] = sk->src_ip6[1];
		source.word[2] = sk->src_ip6[2];
		source.word[3] = sk->src_ip6[3];
	}
	if (unspecified(&remote) && (source.word[0] != sk->src_ip6[0] || source.word[1] != sk->src_ip6[1] ||
				     source.word[2] != sk->src_ip6[2] || source.word[3] != sk->src_ip6[3])) {
		remote.word[0] = sk->dst_ip6[0]; /* as with IPv4 */
		remote.word[1] = sk->dst_ip6[1];
		remote.word[2] = sk->dst_ip6[2];
		remote.word[3] = sk->dst_ip6[3];
	}
	if (stays_here6(&remote))
		return ALLOW;
	if (!sends(sk, true, &source))
		return REFUSE;
	ctx->msg_src_ip6[0] = source.word[0];
	ctx->msg_src_ip6[1] = source.word[1];
	ctx->msg_src_ip6[2] = source.word[2];
	ctx->msg_src_ip6[3] = source.word[3];
	return ALLOW;
}
