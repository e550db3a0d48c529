/* SPDX-License-Identifier: BSD-3-Clause */
#include "hash.h"

#include <rte_prefetch.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>

static char dead; /* what a slot holds after a removal: readers go on past it */

static uint64_t
word(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t
mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/*
 * A folded multiplication for 16 bytes, chained; the last ones overlap those before. Keyed, not cryptographic: strangers
 * ask, but only the operator and who provides the netmap put something in, and nobody is told where it lies.
 */
size_t
hash_start(const struct hash *h, const void *key, size_t len)
{
	const uint8_t *p = key;
	uint64_t x = h->key[0] ^ len, low = 0, high = 0;

	if (len >= 16) {
		for (const uint8_t *end = p + len - 16; p < end; p += 16)
			x = mix(word(p) ^ h->key[1], word(p + 8) ^ x);
		low = word((const uint8_t *)key + len - 16);
		high = word((const uint8_t *)key + len - 8);
	} else if (len >= 8) {
		low = word(p);
		high = word(p + len - 8);
	} else {
		memcpy(&low, p, len);
	}
	x = mix(low ^ h->key[1], high ^ x);
	const size_t at = mix(x, h->key[1]) & h->mask;
	rte_prefetch0((const void *)&h->slot[at]);
	return at;
}

static void *
load(const struct hash *h, size_t i)
{
	return atomic_load_explicit(&h->slot[i & h->mask], memory_order_acquire);
}

bool
hash_init(struct hash *h, size_t max, bool (*same)(const void *item, const void *key, size_t len))
{
	size_t slots = 64;

	while (slots < 2 * max)
		slots *= 2;
	*h = (struct hash){.mask = slots - 1, .max = max, .same = same};
	void *p = mmap(NULL, slots * sizeof(void *), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		-1, 0);
	if (p == MAP_FAILED)
		return false;
	h->slot = p;
	randombytes_buf(h->key, sizeof(h->key));
	return true;
}

void
hash_fini(struct hash *h)
{
	if (h->slot)
		munmap((void *)h->slot, (h->mask + 1) * sizeof(void *));
	h->slot = NULL;
}

bool
hash_add(struct hash *h, void *item, const void *key, size_t len)
{
	size_t i = hash_start(h, key, len);

	if (h->used == h->max)
		return false;
	while (load(h, i) && load(h, i) != &dead)
		i++;
	atomic_store_explicit(&h->slot[i & h->mask], item, memory_order_release);
	h->used++;
	return true;
}

void
hash_del(struct hash *h, const void *item, const void *key, size_t len)
{
	size_t i = hash_start(h, key, len);

	while (load(h, i) != item) {
		if (!load(h, i))
			return;
		i++;
	}
	h->used--;
	if (load(h, i + 1)) {
		atomic_store_explicit(&h->slot[i & h->mask], &dead, memory_order_release);
		return;
	}
	/* Last of its chain: nobody looks beyond it, so it and the dead before it become empty again. */
	do
		atomic_store_explicit(&h->slot[i & h->mask], NULL, memory_order_release);
	while (load(h, --i) == &dead);
}

const void *
hash_peek(const struct hash *h, size_t start)
{
	const void *item = load(h, start);
	return item == &dead ? NULL : item;
}

void *
hash_find_from(const struct hash *h, size_t start, const void *key, size_t len)
{
	for (size_t i = start, end = start + h->mask + 1; i < end; i++) {
		void *item = load(h, i);
		if (!item)
			return NULL;
		if (item != &dead && h->same(item, key, len))
			return item;
	}
	return NULL;
}

void *
hash_find(const struct hash *h, const void *key, size_t len)
{
	return hash_find_from(h, hash_start(h, key, len), key, len);
}
