/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Poly1305 of a group of packets in GROUP lanes: two vectors side by side, since one chain of them would wait for the
 * multiplier. A lane takes one packet, or every k-th block of it when there are fewer packets or one is much longer:
 *
 *     m[1] r^T + m[2] r^(T-1) + ... + m[T] r,   k = 2, T = 5:
 *     lane 0:  ((0     r^2 + m[2]) r^2 + m[4]) r^2     last factor r^2
 *     lane 1:  ((m[1]  r^2 + m[3]) r^2 + m[5]) r       last factor r^1
 *
 * Lane j's last factor is r^(k-j), all others are r^k, and the packet's value is the sum of its lanes. All lanes end
 * with the same step, so a shorter packet starts later, with zeros until then.
 */
#pragma once

#include "aead_lanes.h"
#include "poly1305_lanes.h"

#define GROUP (2 * LANES64)

struct group {
	const uint8_t *at[GROUP];
	uint32_t first[GROUP];  /* the lane's first block */
	uint32_t start[GROUP];  /* its step */
	uint16_t slot[GROUP];   /* its packet; idle lanes: 0 */
	uint64_t mask[GROUP] __attribute__((aligned(64))); /* all ones once it has started */
	uint64_t step_factor[3][GROUP] __attribute__((aligned(64)));
	uint64_t last_factor[3][GROUP] __attribute__((aligned(64)));
	uint64_t sum[3][GROUP] __attribute__((aligned(64)));
	uint8_t tail[GROUP][32]; /* of a packet: its last bytes padded, the lengths; only the latter at a whole block */
	uint32_t steps, k, packets;
	uint32_t tails; /* of the last steps, in how many blocks may lie in a tail: 1 or 2 */
	vec h[2][3];
};

/* 16-byte blocks of Poly1305, the lengths included. */
static inline uint32_t
terms_of(const struct tr_aead *p)
{
	return (p->len + 15) / 16 + 1;
}

static inline const uint8_t *
block_at(const struct group *g, const struct tr_aead *p, unsigned lane, uint32_t block)
{
	const struct tr_aead *a = &p[g->slot[lane]];
	uint32_t whole = a->len / 16;

	return block < whole ? a->data + 16 * (size_t)block : g->tail[g->slot[lane]] + 16 * (block - whole);
}

static inline void
group_tail(uint8_t tail[32], const struct tr_aead *p)
{
	uint64_t in[4] = {0, p->len};

	if (p->len % 16 > 0) {
		poly1305_partial(in, p->data + p->len / 16 * 16, p->len % 16);
		in[2] = 0, in[3] = p->len;
	}
	memcpy(tail, in, 32);
}

static void
group_factors(struct group *g, unsigned slot, const uint8_t once[32])
{
	struct poly1305 m;
	unsigned lane = slot * g->k;

	poly1305_start(&m, once);
	m.h[0] = m.r[0], m.h[1] = m.r[1];
	for (unsigned e = 1;; e++) {
		for (int i = 0; i < 3; i++)
			g->last_factor[i][lane + g->k - e] = m.h[i];
		if (e == g->k)
			break;
		poly1305_multiply(&m);
	}
	for (unsigned j = 0; j < g->k; j++)
		for (int i = 0; i < 3; i++)
			g->step_factor[i][lane + j] = m.h[i];
}

/* p: the group's packets, the longest first. */
static void
group_start(struct group *g, const struct tr_aead *p, const uint8_t (*once)[32], uint32_t packets, uint32_t k)
{
	g->k = k;
	g->packets = packets;
	g->steps = (terms_of(&p[0]) + k - 1) / k;
	for (unsigned lane = 0; lane < GROUP; lane++) {
		unsigned slot = lane / k;
		if (slot >= packets) {
			g->start[lane] = UINT32_MAX;
			g->slot[lane] = 0;
			for (int i = 0; i < 3; i++)
				g->step_factor[i][lane] = g->last_factor[i][lane] = 0;
			continue;
		}
		uint32_t terms = terms_of(&p[slot]), steps = (terms + k - 1) / k, zeros = steps * k - terms, j = lane % k;
		g->slot[lane] = (uint16_t)slot;
		g->start[lane] = g->steps - steps + (j < zeros);
		g->first[lane] = j < zeros ? j + k - zeros : j - zeros;
	}
	g->tails = 1;
	for (unsigned slot = 0; slot < packets; slot++) {
		if (k == 1 && p[slot].len % 16 > 0)
			g->tails = 2;
		group_tail(g->tail[slot], &p[slot]);
		group_factors(g, slot, once[slot]);
	}
	for (int i = 0; i < 6; i++)
		g->h[i / 3][i % 3] = vec_set64(0);
}

static inline void
factor_load(struct factor *f, const uint64_t words[3][GROUP], unsigned half)
{
	unsigned lane = half * LANES64;

	factor_set(f, vec_load(words[0] + lane), vec_load(words[1] + lane), vec_load(words[2] + lane));
}

/* `steps` steps over blocks that lie `stride` apart, from g->at on; lanes that have not started read what others do. */
static inline __attribute__((always_inline)) void
group_run(struct group *g, const struct factor f[2], uint32_t steps, uint64_t stride)
{
	vec mask[2] = {vec_load(g->mask), vec_load(g->mask + LANES64)}, h[2][3];
	const vec one = vec_set64(1);

	memcpy(h, g->h, sizeof(h));
	for (uint64_t offset = 0, end = steps * stride; offset != end; offset += stride) {
		for (int half = 0; half < 2; half++) {
			vec lo, hi;
			vec_blocks(&lo, &hi, g->at + half * LANES64, offset);
			lanes_block(h[half], &f[half], vec_and(lo, mask[half]), vec_and(hi, mask[half]), vec_and(one, mask[half]));
		}
	}
	memcpy(g->h, h, sizeof(h));
}

/* Where lanes are at this step; the next step at which one starts, `until` at most. */
static uint32_t
group_aim(struct group *g, const struct tr_aead *p, uint32_t step, uint32_t until)
{
	const uint8_t *anywhere = block_at(g, p, g->k - 1, g->first[g->k - 1] + step * g->k);

	for (unsigned lane = 0; lane < GROUP; lane++) {
		bool on = g->start[lane] <= step;
		g->mask[lane] = on ? UINT64_MAX : 0;
		g->at[lane] = on ? block_at(g, p, lane, g->first[lane] + (step - g->start[lane]) * g->k) : anywhere;
		if (!on && g->start[lane] < until)
			until = g->start[lane];
	}
	return until;
}

static void
group_sum(struct group *g, const struct tr_aead *p)
{
	struct factor f[2];
	uint32_t step = 0, next;

	factor_load(&f[0], g->step_factor, 0);
	factor_load(&f[1], g->step_factor, 1);
	for (; step + g->tails < g->steps; step = next) {
		next = group_aim(g, p, step, g->steps - g->tails);
		group_run(g, f, next - step, 16 * (uint64_t)g->k);
	}
	for (; step + 1 < g->steps; step++) {
		group_aim(g, p, step, 0);
		group_run(g, f, 1, 16);
	}
	factor_load(&f[0], g->last_factor, 0);
	factor_load(&f[1], g->last_factor, 1);
	group_aim(g, p, step, 0);
	group_run(g, f, 1, 16);
	for (int i = 0; i < 6; i++)
		vec_store(g->sum[i % 3] + i / 3 * LANES64, g->h[i / 3][i % 3]);
}

/* The value of a packet: its lanes' limbs, carried into words. */
static void
group_value(const struct group *g, unsigned slot, struct poly1305 *m)
{
	uint64_t limb[3] = {0}, fold;
	u128 low, high;

	for (unsigned lane = slot * g->k; lane < (slot + 1) * g->k; lane++)
		for (int i = 0; i < 3; i++)
			limb[i] += g->sum[i][lane];
	low = limb[0] + ((u128)limb[1] << 44);
	high = (u128)(uint64_t)(low >> 64) + ((u128)limb[2] << 24);
	m->h[0] = (uint64_t)low, m->h[1] = (uint64_t)high, m->h[2] = (uint64_t)(high >> 64) & 3;
	fold = (uint64_t)(high >> 66) * 5;
	ADD3(m->h[0], m->h[1], m->h[2], fold, 0, 0);
}

/*
 * How many packets a group takes and in how many lanes each, for the least time a block: clocks estimated from the
 * operations in a step (about 100, on two ports), in a power of r, and around them.
 */
#define STEP_COST 50
#define POWER_COST 14
#define GROUP_COST 250

static uint32_t
group_choose(const struct tr_aead *p, uint32_t n, uint32_t *lanes_each)
{
	uint64_t best_cost = UINT64_MAX, best_terms = 1;
	uint32_t best = 1;

	for (uint32_t k = 1; k <= GROUP; k *= 2) {
		uint32_t packets = n < GROUP / k ? n : GROUP / k;
		uint64_t terms = 0, cost;
		for (uint32_t i = 0; i < packets; i++)
			terms += terms_of(&p[i]);
		cost = (terms_of(&p[0]) + k - 1) / k * STEP_COST + packets * (k - 1) * POWER_COST + GROUP_COST;
		if (k == 1 || cost * best_terms < best_cost * terms)
			best_cost = cost, best_terms = terms, best = packets, *lanes_each = k;
	}
	return best;
}
