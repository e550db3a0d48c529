/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AVX-512 with 52-bit multiplication: ChaCha20 of all packets' blocks as one stream through 16 lanes, Poly1305 of 16
 * packets, or parts of packets, at a time. Packets are taken in the order of their length, so that those of a group end
 * together. Sealing, a group follows as soon as its packets are encrypted and still in the first cache; opening, all
 * tags are checked before the first packet is decrypted.
 */
#include "lanes_avx512.h"

#include "aead_groups.h"

#define CHUNK 64

struct worker {
	uint8_t row[LANES][64] __attribute__((aligned(64)));
	uint8_t once[CHUNK][32] __attribute__((aligned(64))); /* Poly1305's key of each packet: r, s */
	struct group group;
	void *few; /* ipsec-mb's worker: for bursts that would leave most lanes idle */
};

static void
make_rows(uint8_t *row, const struct lanes *l)
{
	vec start[16], s[16];

	chacha_start(start, l);
	memcpy(s, start, sizeof(s));
	CHACHA_ROUNDS(s, (void)0);
	chacha_finish(row, s, start);
}

/* The tags of the next group; the number of packets in it. */
static uint32_t
authenticate(struct worker *w, struct tr_aead *p, uint32_t from, uint32_t n, bool open)
{
	struct group *g = &w->group;
	uint32_t k, packets = group_choose(p + from, n - from, &k);

	group_start(g, p + from, (const uint8_t(*)[32])w->once + from, packets, k);
	group_sum(g, p + from);
	for (uint32_t i = 0; i < packets; i++) {
		struct tr_aead *a = &p[from + i];
		struct poly1305 m;
		uint64_t tag[2];
		group_value(g, i, &m);
		poly1305_tag(&m, w->once[from + i], tag);
		if (open)
			a->ok = tag_equal(a, tag);
		else
			memcpy(a->data + a->len, tag, TR_AEAD_TAG);
	}
	return packets;
}

static void
use_rows(struct worker *w, const struct lanes *l, const struct tr_aead *p, unsigned from, bool open)
{
	for (unsigned i = from; i < l->n; i++) {
		if (l->block[i] == 0)
			memcpy(w->once[l->packet[i]], w->row[i], 32);
		else if (!open || p[l->packet[i]].ok)
			apply_row(&p[l->packet[i]], l->block[i], w->row[i]);
	}
}

static void
seal_chunk(struct worker *w, struct tr_aead *p, uint32_t n)
{
	struct cursor c = {0};
	struct lanes l[2];
	uint32_t tagged = 0;

	cursor_fill(&c, &l[0], p, n);
	for (unsigned v = 0; l[v & 1].n > 0; v++) {
		uint32_t encrypted = c.packet;
		cursor_fill(&c, &l[~v & 1], p, n);
		make_rows(w->row[0], &l[v & 1]);
		use_rows(w, &l[v & 1], p, 0, false);
		while (encrypted - tagged >= GROUP)
			tagged += authenticate(w, p, tagged, encrypted, false);
	}
	while (tagged < n)
		tagged += authenticate(w, p, tagged, n, false);
}

/* The blocks after the one-time keys, of packets that are `ok`. */
static void
fill_data(struct cursor *c, struct lanes *l, const struct tr_aead *p, uint32_t n)
{
	while (l->n < LANES && c->packet < n) {
		if (c->block < blocks_of(&p[c->packet]) && p[c->packet].ok)
			lanes_add(l, p, c->packet, ++c->block);
		else
			c->packet++, c->block = 0;
	}
	lanes_end(l);
}

/* What the keys leave of their last vector is for data, put by until the tags are known. */
static void
open_chunk(struct worker *w, struct tr_aead *p, uint32_t n)
{
	struct cursor c = {0};
	struct lanes l;
	unsigned keys = 0;

	for (uint32_t i = 0; i < n; i++)
		p[i].ok = 1;
	for (uint32_t made = 0; made < n; made += keys) {
		keys = n - made < LANES ? n - made : LANES;
		for (l.n = 0; l.n < keys;) {
			for (uint32_t i = 64; i < p[made + l.n].len; i += 64)
				__builtin_prefetch(p[made + l.n].data + i, 1);
			lanes_add(&l, p, made + l.n, 0);
		}
		fill_data(&c, &l, p, n);
		make_rows(w->row[0], &l);
		for (unsigned i = 0; i < keys; i++)
			memcpy(w->once[made + i], w->row[i], 32);
	}
	for (uint32_t tagged = 0; tagged < n;)
		tagged += authenticate(w, p, tagged, n, true);
	use_rows(w, &l, p, keys, true);
	for (l.n = 0, fill_data(&c, &l, p, n); l.n > 0; l.n = 0, fill_data(&c, &l, p, n)) {
		make_rows(w->row[0], &l);
		use_rows(w, &l, p, 0, true);
	}
}

/* Longest first, in `sorted` and with the places they came from; false: they are in that order already. */
static bool
sort(struct tr_aead *sorted, uint16_t *from, const struct tr_aead *p, uint32_t n)
{
	uint32_t i = 1;

	while (i < n && p[i].len <= p[i - 1].len)
		i++;
	if (i >= n)
		return false;
	for (i = 0; i < n; i++) {
		uint32_t to = i;
		for (; to > 0 && p[from[to - 1]].len < p[i].len; to--)
			from[to] = from[to - 1];
		from[to] = (uint16_t)i;
	}
	for (i = 0; i < n; i++)
		sorted[i] = p[from[i]];
	return true;
}

static void
run(struct worker *w, struct tr_aead *p, uint32_t n, void (*chunk)(struct worker *, struct tr_aead *, uint32_t))
{
	struct tr_aead sorted[CHUNK];
	uint16_t from[CHUNK];

	if (sort(sorted, from, p, n)) {
		chunk(w, sorted, n);
		for (uint32_t i = 0; i < n; i++)
			p[from[i]].ok = sorted[i].ok;
	} else {
		chunk(w, p, n);
	}
	sodium_memzero(w, offsetof(struct worker, few));
}

/* A vector of 16 blocks is about as dear as two short packets of ipsec-mb's. */
static bool
few(const struct tr_aead *p, uint32_t n)
{
	return n == 0 || (n < 3 && p[0].len <= 2048 && p[n - 1].len <= 2048);
}

static void
seal(void *arg, struct tr_aead *p, uint16_t n)
{
	struct worker *w = arg;

	if (few(p, n)) {
		aead_ipsec_mb.seal(w->few, p, n);
		return;
	}
	for (; n > CHUNK; p += CHUNK, n -= CHUNK)
		run(w, p, CHUNK, seal_chunk);
	run(w, p, n, seal_chunk);
}

static void
open_(void *arg, struct tr_aead *p, uint16_t n)
{
	struct worker *w = arg;

	if (few(p, n)) {
		aead_ipsec_mb.open(w->few, p, n);
		return;
	}
	for (; n > CHUNK; p += CHUNK, n -= CHUNK)
		run(w, p, CHUNK, open_chunk);
	run(w, p, n, open_chunk);
}

static void
worker_free(void *arg)
{
	struct worker *w = arg;

	if (w && w->few)
		aead_ipsec_mb.worker_free(w->few);
	free(w);
}

static void *
worker_new(void)
{
	struct worker *w = aligned_alloc(64, sizeof(*w));

	if (w && !(w->few = aead_ipsec_mb.worker_new())) {
		free(w);
		w = NULL;
	}
	return w;
}

#ifdef LANES_EMULATED
static bool
usable(void)
{
	return __builtin_cpu_supports("bmi2");
}

const struct aead_engine aead_emulated_ifma = {
	.name = "ifma, emulated",
#else
static bool
usable(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("bmi2");
}

const struct aead_engine aead_ifma = {
	.name = "ifma",
#endif
	.usable = usable,
	.worker_new = worker_new,
	.worker_free = worker_free,
	.seal = seal,
	.open = open_,
};
