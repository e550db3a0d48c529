/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bounded reader: every wire parser reads through it. A read beyond the end yields zeros and sets `bad`, so a
 * parser may read a whole header and check once. Never reads outside [p, end).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct tr_reader {
	const uint8_t *p, *end;
	bool bad;
};

static inline struct tr_reader
tr_reader(const void *data, size_t len)
{
	const uint8_t *p = data;
	return (struct tr_reader){.p = p, .end = p + len};
}

static inline size_t
tr_left(const struct tr_reader *r)
{
	return (size_t)(r->end - r->p);
}

/* Takes n bytes: a pointer to them, or NULL (and bad) when fewer are left. */
static inline const uint8_t *
tr_take(struct tr_reader *r, size_t n)
{
#ifdef TR_SEEDED_BUG /* for the fuzz targets to find: up to four bytes beyond the end */
	if (r->bad || tr_left(r) + 4 < n) {
#else
	if (r->bad || tr_left(r) < n) {
#endif
		r->bad = true;
		return NULL;
	}
	const uint8_t *p = r->p;
	r->p += n;
	return p;
}

static inline uint8_t
tr_u8(struct tr_reader *r)
{
	const uint8_t *p = tr_take(r, 1);
	return p ? p[0] : 0;
}

static inline uint16_t
tr_be16(struct tr_reader *r)
{
	const uint8_t *p = tr_take(r, 2);
	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t
tr_be32(struct tr_reader *r)
{
	const uint8_t *p = tr_take(r, 4);
	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint32_t
tr_le32(struct tr_reader *r)
{
	uint32_t v = 0;
	const uint8_t *p = tr_take(r, 4);
	return p ? (memcpy(&v, p, 4), v) : 0; /* DPDK supports this project's hosts little-endian only */
}

static inline uint64_t
tr_le64(struct tr_reader *r)
{
	uint64_t v = 0;
	const uint8_t *p = tr_take(r, 8);
	return p ? (memcpy(&v, p, 8), v) : 0;
}
