/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What Rust can't take from DPDK's headers by itself: static inlines, thread-local variables, macros that bindgen does
 * not evaluate, and structures whose generated names differ between LTS releases. One call or one constant each, no logic.
 * bindgen reads this file; everything it includes is thereby in reach of the allowlist in build.rs.
 */
#ifndef DPDK_SYS_SHIM_H
#define DPDK_SYS_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_version.h>

/*
 * Where the fields of struct rte_mbuf lie. The structure is nested anonymous unions, and those were rearranged in 23.11
 * and 24.03: offsets survive that, bindgen's names do not. Constants let Rust inline the access; a call for each would
 * cost more than the access.
 */
static const size_t SHIM_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr); /* void * */
static const size_t SHIM_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off); /* uint16_t */
static const size_t SHIM_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs);   /* uint16_t */
static const size_t SHIM_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len);   /* uint32_t */
static const size_t SHIM_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len); /* uint16_t */

static const size_t SHIM_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags);     /* uint64_t */
static const size_t SHIM_MBUF_VLAN_TCI = offsetof(struct rte_mbuf, vlan_tci);     /* uint16_t */
static const size_t SHIM_MBUF_TX_OFFLOAD = offsetof(struct rte_mbuf, tx_offload); /* uint64_t */

/* What ol_flags asks of a device, and all that it can ask. Macros with ULL, which bindgen does not evaluate either. */
static const uint64_t SHIM_MBUF_TX_IP_CKSUM = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
static const uint64_t SHIM_MBUF_TX_VLAN = RTE_MBUF_F_TX_VLAN;
static const uint64_t SHIM_MBUF_TX_ALL = RTE_MBUF_F_TX_OFFLOAD_MASK;

/* Where in tx_offload its bit-fields lie: that depends on the order of bytes. */
static const uint32_t SHIM_MBUF_L2_LEN_OFS = RTE_MBUF_L2_LEN_OFS;
static const uint32_t SHIM_MBUF_L2_LEN_BITS = RTE_MBUF_L2_LEN_BITS;
static const uint32_t SHIM_MBUF_L3_LEN_OFS = RTE_MBUF_L3_LEN_OFS;

/* RTE_BIT64() macros, which bindgen does not evaluate. */
static const uint64_t SHIM_ETH_TX_IPV4_CKSUM = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
static const uint64_t SHIM_ETH_TX_VLAN_INSERT = RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
static const uint64_t SHIM_ETH_RSS_IP = RTE_ETH_RSS_IP;
static const uint64_t SHIM_ETH_RSS_TCP = RTE_ETH_RSS_TCP;
static const uint64_t SHIM_ETH_RSS_UDP = RTE_ETH_RSS_UDP;
static const uint64_t SHIM_ETH_RSS_SCTP = RTE_ETH_RSS_SCTP;

/* A macro with a cast, likewise. */
static const int SHIM_SOCKET_ID_ANY = SOCKET_ID_ANY;

/* rte_errno is thread-local; bindgen would make it a plain static, another variable. */
int shim_errno(void);

/* Whether the calling thread has an lcore id, so that mempools give it a cache. rte_lcore_id() reads a thread-local. */
bool shim_thread_has_lcore(void);

/* Static inlines. */
uint16_t shim_eth_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t max);
uint16_t shim_eth_tx_prepare(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t count);
uint16_t shim_eth_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t count);
struct rte_mbuf *shim_pktmbuf_alloc(struct rte_mempool *pool);
void shim_pktmbuf_free(struct rte_mbuf *frame);

/* Whether the link is up. struct rte_eth_link became a union with an anonymous bit-field structure in 24.11. */
bool shim_eth_link_up(uint16_t port);

/* Writes out what C has buffered for standard output: EAL prints its usage there, and stdout is a macro. */
void shim_flush_stdout(void);

#endif
