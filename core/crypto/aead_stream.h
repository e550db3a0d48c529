/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine for CPUs without 52-bit vector multiplication: ChaCha20 of all packets' blocks as one stream through the
 * lanes of a vector, and Poly1305 in 64-bit words beside it, instruction by instruction. Zen 3 issues 2.5 vector
 * operations a clock of a ChaCha20 round, whatever else it does, so three 16-byte blocks a double round are free, and
 * eight lanes need 3.2 (64 bytes each). A burst's packets follow each other without a gap, whatever their lengths and
 * keys; only the last vector of a burst has idle lanes.
 *
 * Sealing, Poly1305 is a vector behind ChaCha20. Opening, key stream goes to a ring of rows until Poly1305 has seen the
 * packet through: only a packet whose tag is right is decrypted.
 *
 * Included once by each file that includes a lanes_*.h before; it gives stream_few(): is the burst ipsec-mb's?
 */
#pragma once

#include "aead_lanes.h"

#define CHUNK 256
#define ROWS 128 /* of 64 bytes; 1,500-byte packets need 24 and what Poly1305 lags behind */
_Static_assert(ROWS % LANES == 0, "vectors don't wrap around in the ring");

/* Poly1305's way through the burst. */
struct mac {
	struct poly1305 poly;
	const uint8_t *at;
	uint32_t left;       /* whole blocks at `at` that can be done now */
	uint32_t packet;     /* the one that is worked on */
	uint32_t started;    /* its key is loaded */
	uint32_t keyed;      /* packets before this have their one-time key */
	uint32_t complete;   /* of packets before this, all ciphertext is there */
	uint32_t blocks;     /* of packet `complete`, so many blocks are there */
	struct tr_aead *p;
	const uint8_t (*once)[32];
	bool open;
};

static bool stream_few(const struct tr_aead *p, unsigned n);

struct worker {
	uint8_t row[ROWS][64] __attribute__((aligned(64)));
	uint8_t once[CHUNK][32] __attribute__((aligned(64))); /* Poly1305's key of each packet: r, s */
	void *few; /* ipsec-mb's worker: for bursts that would leave most lanes idle */
};

/* When no whole block is left: ends the packet, if it is complete, and begins the next, if its key is known. */
static inline __attribute__((always_inline)) void
mac_next(struct mac *m)
{
	if (m->started) {
		struct tr_aead *p = &m->p[m->packet];
		uint64_t tag[2];

		if (m->packet >= m->complete)
			return;
		poly1305_end(&m->poly, m->at, p->len);
		poly1305_tag(&m->poly, m->once[m->packet], tag);
		if (m->open)
			p->ok = tag_equal(p, tag);
		else
			memcpy(p->data + p->len, tag, TR_AEAD_TAG);
		m->packet++;
	}
	m->started = m->packet < m->keyed;
	if (m->started) {
		poly1305_start(&m->poly, m->once[m->packet]);
		m->at = m->p[m->packet].data;
		m->left = m->packet < m->complete ? m->p[m->packet].len / 16 : m->blocks;
	}
}

static inline __attribute__((always_inline)) void
mac_step(struct mac *m)
{
	uint64_t in[2];

	if (__builtin_expect(m->left == 0, 0))
		mac_next(m);
	if (__builtin_expect(m->left > 0, 1)) {
		memcpy(in, m->at, 16);
		poly1305_block(&m->poly, in[0], in[1]);
		m->at += 16;
		m->left--;
	}
}

/* A quarter of a double round's share; 40 a vector of 8 lanes, and 32 would be enough for long packets. */
static inline __attribute__((always_inline)) void
mac_steps(struct mac *m)
{
	mac_step(m);
	if (LANES > 8)
		mac_step(m);
}

/* All that can be done, up to packet `until`. */
static void
mac_drain(struct mac *m, uint32_t until)
{
	struct mac local = *m; /* in registers */

	while (local.packet < until && (local.left > 0 || !local.started || local.packet < local.complete))
		mac_step(&local);
	*m = local;
}

/* Tells Poly1305 how far the lanes have come. */
static void
mac_allow(struct mac *m, const struct cursor *c)
{
	m->keyed = c->packet + (c->block > 0);
	m->complete = m->open ? m->keyed : c->packet;
	m->blocks = c->block > 0 ? (c->block - 1) * 4 : 0;
	if (m->started) {
		uint32_t ready = m->packet < m->complete ? m->p[m->packet].len / 16 : m->blocks;
		m->left = ready - (uint32_t)((size_t)(m->at - m->p[m->packet].data) / 16);
	}
}

static void
stream_vector(uint8_t *row, const struct lanes *l, struct mac *m)
{
	vec start[16], s[16];
	struct mac local = *m;

	chacha_start(start, l);
	for (int i = 0; i < 16; i++)
		s[i] = start[i];
	CHACHA_ROUNDS(s, mac_steps(&local));
	chacha_finish(row, s, start);
	*m = local;
}

static void
seal_chunk(struct worker *w, struct tr_aead *p, uint32_t n)
{
	struct mac m = {.p = p, .once = (const uint8_t(*)[32])w->once};
	struct cursor c = {0};
	struct lanes l[2];

	cursor_fill(&c, &l[0], p, n);
	for (unsigned v = 0; l[v & 1].n > 0; v++) {
		struct cursor made = c;
		const struct lanes *now = &l[v & 1];
		cursor_fill(&c, &l[~v & 1], p, n);
		stream_vector(w->row[0], now, &m);
		for (unsigned i = 0; i < now->n; i++) {
			if (now->block[i] == 0)
				memcpy(w->once[now->packet[i]], w->row[i], 32);
			else
				apply_row(&p[now->packet[i]], now->block[i], w->row[i]);
		}
		mac_allow(&m, &made);
	}
	mac_drain(&m, n);
	sodium_memzero(w->once, n * sizeof(w->once[0]));
	sodium_memzero(w->row, LANES * sizeof(w->row[0]));
}

/* Decrypts what is verified and generated; gives back rows. */
static uint32_t
open_verified(struct worker *w, const struct tr_aead *p, struct cursor *done, const struct mac *m, uint32_t from, uint32_t to)
{
	for (; from != to && done->packet < m->packet; from++) {
		const struct tr_aead *a = &p[done->packet];
		if (done->block > 0 && a->ok)
			apply_row(a, done->block, w->row[from % ROWS]);
		if (done->block++ == blocks_of(a))
			done->packet++, done->block = 0;
	}
	return from;
}

static void
open_chunk(struct worker *w, struct tr_aead *p, uint32_t n)
{
	struct mac m = {.p = p, .once = (const uint8_t(*)[32])w->once, .open = true};
	struct cursor c = {0}, done = {0};
	uint32_t made = 0, used = 0; /* rows */
	struct lanes l;

	while (c.packet < n) {
		if (made - used > ROWS - LANES) {
			mac_drain(&m, done.packet + 1);
			used = open_verified(w, p, &done, &m, used, made);
		}
		cursor_fill(&c, &l, p, n);
		stream_vector(w->row[made % ROWS], &l, &m);
		for (unsigned i = 0; i < l.n; i++)
			if (l.block[i] == 0)
				memcpy(w->once[l.packet[i]], w->row[(made + i) % ROWS], 32);
		made += l.n;
		mac_allow(&m, &c);
		used = open_verified(w, p, &done, &m, used, made);
	}
	mac_drain(&m, n);
	open_verified(w, p, &done, &m, used, made);
	sodium_memzero(w->once, n * sizeof(w->once[0]));
	sodium_memzero(w->row, (made < ROWS ? made : ROWS) * sizeof(w->row[0]));
}

static void
stream_seal(void *arg, struct tr_aead *p, uint16_t n)
{
	struct worker *w = arg;

	if (stream_few(p, n)) {
		aead_ipsec_mb.seal(w->few, p, n);
		return;
	}
	for (; n > CHUNK; p += CHUNK, n -= CHUNK)
		seal_chunk(w, p, CHUNK);
	seal_chunk(w, p, n);
}

static void
stream_open(void *arg, struct tr_aead *p, uint16_t n)
{
	struct worker *w = arg;

	if (stream_few(p, n)) {
		aead_ipsec_mb.open(w->few, p, n);
		return;
	}
	for (; n > CHUNK; p += CHUNK, n -= CHUNK)
		open_chunk(w, p, CHUNK);
	open_chunk(w, p, n);
}

static void
stream_worker_free(void *arg)
{
	struct worker *w = arg;

	if (w && w->few)
		aead_ipsec_mb.worker_free(w->few);
	free(w);
}

static void *
stream_worker_new(void)
{
	struct worker *w = aligned_alloc(64, sizeof(*w));

	if (w && !(w->few = aead_ipsec_mb.worker_new())) {
		free(w);
		w = NULL;
	}
	return w;
}
