// SPDX-License-Identifier: MIT OR Apache-2.0
// Takes in the GUE that this server gets: from whom it may, what somebody here waits for, the rest goes to whoever
// else it may belong to. docs/agent-receive.md says what happens to which packet.
#include "outer.h"

#include "inner.h"

#include "decide.h"
#include "deliver.h"
#include "pass_on.h"

static __always_inline enum fate fate_of(struct xdp_md *ctx, struct packet *p)
{
	void *view_now = view();
	enum fate fate;

	if (!view_now)
		return NOT_FOR_US;
	fate = parse_outer(ctx, view_now, p);
	if (fate == FATES)
		fate = parse_inner(ctx, p);
	if (fate != FATES)
		return fate;
	fate = decide(ctx, view_now, p);
	// Whoever out there sends a tunnel to a shared address would have fou's devices open it.
	return p->is_guarded && fate == KEPT_PORTLESS && is_tunnel(p->protocol) ? GUE_NOT_OURS : fate;
}

SEC("xdp.frags")
int receive(struct xdp_md *ctx)
{
	struct packet p = {};
	__u64 len = bpf_xdp_get_buff_len(ctx);
	enum fate fate = fate_of(ctx, &p);
	int action = XDP_DROP;

	if (fate == NOT_FOR_US)
		return XDP_PASS;
	if (fate >= KEPT_SOCKET && fate <= KEPT_FRAGMENT) {
		if (p.is_for_fou || !deliver(ctx, &p))
			action = XDP_PASS;
		else
			fate = NOT_REWRITTEN;
	} else if (fate == PASSED_ON_PREVIOUS || fate == PASSED_ON_OWNER) {
		enum fate failed = send_on(ctx, &p, &action);

		if (failed != FATES)
			fate = failed;
	}
	count(fate, len);
	return action;
}

char _license[] SEC("license") = "Dual MIT/GPL";
