/* SPDX-License-Identifier: BSD-3-Clause */
#include "random.h"

#include <errno.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#define KEY crypto_stream_chacha20_ietf_KEYBYTES

/* More threads than a process has. Each takes one and wipes it; a thread beyond them asks the kernel itself. */
#define SEEDS 256

static struct {
	uint8_t seed[SEEDS][KEY];
	atomic_uint next;
	bool ready;
} pool;

/* The first KEY bytes of `block` are the next key; bytes are handed out from the end and wiped. */
static _Thread_local struct {
	uint8_t block[KEY + 480];
	size_t left;
	bool seeded;
} gen;

static int
kernel_random(void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = getrandom((uint8_t *)p + done, n - done, 0);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r > 0)
			done += (size_t)r;
	}
	return 0;
}

int
random_init(void)
{
	if (pool.ready)
		return 0;
	int rc = kernel_random(pool.seed, sizeof(pool.seed));
	pool.ready = rc == 0;
	return rc;
}

static void
seed(void)
{
	unsigned slot = atomic_fetch_add_explicit(&pool.next, 1, memory_order_relaxed);

	if (slot < SEEDS) {
		memcpy(gen.block, pool.seed[slot], KEY);
		sodium_memzero(pool.seed[slot], KEY);
	} else if (kernel_random(gen.block, KEY) != 0) {
		sodium_misuse(); /* no randomness: nothing safe can follow */
	}
	gen.seeded = true;
}

static void
refill(void)
{
	static const uint8_t nonce[crypto_stream_chacha20_ietf_NONCEBYTES];
	uint8_t key[KEY];

	if (!gen.seeded)
		seed();
	memcpy(key, gen.block, KEY);
	crypto_stream_chacha20_ietf(gen.block, sizeof(gen.block), nonce, key);
	sodium_memzero(key, KEY);
	gen.left = sizeof(gen.block) - KEY;
}

void
random_fill(void *p, size_t n)
{
	uint8_t *out = p;

	while (n > 0) {
		if (gen.left == 0)
			refill();
		size_t take = n < gen.left ? n : gen.left;
		uint8_t *from = gen.block + KEY + gen.left - take;
		memcpy(out, from, take);
		sodium_memzero(from, take);
		gen.left -= take;
		out += take;
		n -= take;
	}
}
