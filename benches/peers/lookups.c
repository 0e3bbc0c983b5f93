/* SPDX-License-Identifier: MIT OR Apache-2.0
 * DPDK's own lookups, to hold ours against: rte_fib (DIR24-8) and rte_hash, in bursts of 64, address only: neither knows ports.
 * The addresses and their order of visit are as in the benchmarks beside: consecutive ones from 100.64.0.0, at random.
 *
 *     lookups ADDRESSES SECONDS [EAL OPTIONS]        prints JSON
 */
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_fib.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>

#define FIRST 0x64400000u
#define BURST 64
#define KEYS (1u << 20)
#define WINDOW (256 * BURST) /* keys between two looks at the clock */
#define MAX_WINDOWS (1u << 20)

static uint32_t *keys;
static double windows[MAX_WINDOWS];
static volatile uint64_t sink; /* keeps the lookups from being left out */

static uint64_t next_random(uint64_t *state)
{
	uint64_t mixed = (*state += 0x9e3779b97f4a7c15);
	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
	return mixed ^ (mixed >> 31);
}

static int fail(const char *what)
{
	fprintf(stderr, "lookups: %s: %s\n", what, rte_strerror(rte_errno));
	return EXIT_FAILURE;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Windows for so many seconds; prints what they say. */
static void measure(const char *name, double seconds, void (*burst)(void *, const uint32_t *), void *table)
{
	const double ns = 1e9 / rte_get_tsc_hz();
	const uint64_t end = rte_rdtsc() + (uint64_t)(seconds * rte_get_tsc_hz());
	uint32_t count = 0;
	for (uint32_t key = 0; count < MAX_WINDOWS; key = (key + WINDOW) % KEYS) {
		uint64_t start = rte_rdtsc();
		for (uint32_t i = key; i < key + WINDOW; i += BURST)
			burst(table, keys + i);
		windows[count++] = (rte_rdtsc() - start) * ns / WINDOW;
		if (rte_rdtsc() >= end)
			break;
	}
	qsort(windows, count, sizeof(windows[0]), by_size);
	printf("\"%s\":{\"min\":%.2f,\"p5\":%.2f,\"p50\":%.2f}", name, windows[0], windows[count / 20], windows[count / 2]);
}

static void fib_burst(void *table, const uint32_t *addresses)
{
	uint64_t hops[BURST];
	uint32_t copy[BURST];
	for (int i = 0; i < BURST; i++)
		copy[i] = addresses[i];
	rte_fib_lookup_bulk(table, copy, hops, BURST);
	for (int i = 0; i < BURST; i++)
		sink += hops[i];
}

static void hash_burst(void *table, const uint32_t *addresses)
{
	const void *pointers[BURST];
	int32_t positions[BURST];
	for (int i = 0; i < BURST; i++)
		pointers[i] = addresses + i;
	rte_hash_lookup_bulk(table, pointers, BURST, positions);
	for (int i = 0; i < BURST; i++)
		sink += positions[i];
}

static int fib(uint32_t addresses, double seconds)
{
	struct rte_fib_conf conf = {
		.type = RTE_FIB_DIR24_8,
		.max_routes = addresses + 1,
		.dir24_8 = { .nh_sz = RTE_FIB_DIR24_8_4B, .num_tbl8 = addresses / 256 + 2 },
	};
	struct rte_fib *table = rte_fib_create("fib", SOCKET_ID_ANY, &conf);
	if (table == NULL)
		return fail("rte_fib_create");
	for (uint32_t i = 0; i < addresses; i++)
		if (rte_fib_add(table, FIRST + i, 32, i % 1000 + 1) < 0)
			return fail("rte_fib_add");
	measure("rte_fib", seconds, fib_burst, table);
	rte_fib_free(table);
	return EXIT_SUCCESS;
}

static int hash(uint32_t addresses, double seconds)
{
	struct rte_hash_parameters parameters = {
		.name = "hash",
		.entries = addresses + addresses / 4 + 64,
		.key_len = sizeof(uint32_t),
		.hash_func = rte_hash_crc,
		.socket_id = SOCKET_ID_ANY,
	};
	struct rte_hash *table = rte_hash_create(&parameters);
	if (table == NULL)
		return fail("rte_hash_create");
	for (uint32_t i = 0; i < addresses; i++) {
		uint32_t address = FIRST + i;
		if (rte_hash_add_key(table, &address) < 0)
			return fail("rte_hash_add_key");
	}
	measure("rte_hash", seconds, hash_burst, table);
	rte_hash_free(table);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return fprintf(stderr, "usage: lookups ADDRESSES SECONDS [EAL OPTIONS]\n"), 2;
	const uint32_t addresses = strtoul(argv[1], NULL, 10);
	const double seconds = atof(argv[2]);
	argv[2] = argv[0];
	if (addresses == 0 || rte_eal_init(argc - 2, argv + 2) < 0)
		return fail("rte_eal_init");
	keys = malloc(KEYS * sizeof(keys[0]));
	if (keys == NULL)
		return fail("malloc");
	uint64_t state = 1;
	for (uint32_t i = 0; i < KEYS; i++)
		keys[i] = FIRST + next_random(&state) % addresses;
	printf("{\"program\":\"lookups\",\"addresses\":%u,", addresses);
	int code = fib(addresses, seconds);
	printf(",");
	code |= hash(addresses, seconds);
	printf("}\n");
	rte_eal_cleanup();
	return code;
}
