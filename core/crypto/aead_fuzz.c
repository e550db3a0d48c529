/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All engines give the same bytes and the same verdicts for any burst. Input: packets of {length 2, flags 1, data}; a
 * flag says whether the tag is broken before opening.
 */
#include "aead.h"

#include <assert.h>
#include <stdlib.h>
#include <tailrace/reader.h>

#define PACKETS 64
#define MAX_LEN 2048
#define SIDES 8

static struct {
	const struct aead_engine *engine;
	void *worker;
	uint8_t data[PACKETS][MAX_LEN + 16];
} side[SIDES];
static unsigned sides;

static void
add(const struct aead_engine *e)
{
	if (!e->usable())
		return;
	assert(sides < SIDES);
	side[sides].engine = e;
	side[sides++].worker = e->worker_new();
}

static void
setup(void)
{
	if (crypto_init() != 0)
		abort();
	for (const struct aead_engine *const *e = aead_engines; *e; e++)
		add(*e);
#if __has_include(<simde/x86/avx512.h>)
	extern const struct aead_engine aead_emulated_avx512, aead_emulated_ifma;
	add(&aead_emulated_avx512);
	add(&aead_emulated_ifma);
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tr_aead p[SIDES][PACKETS];
	uint8_t key[PACKETS][32] = {0}, flags[PACKETS];
	struct tr_reader r = tr_reader(data, size);
	uint16_t n = 0;

	if (sides == 0)
		setup();
	while (n < PACKETS && tr_left(&r) >= 3) {
		uint32_t len = tr_be16(&r) % (MAX_LEN + 1);
		flags[n] = tr_u8(&r);
		if (len > tr_left(&r))
			len = (uint32_t)tr_left(&r);
		const uint8_t *in = tr_take(&r, len);
		memcpy(key[n], in, len < 32 ? len : 32);
		for (unsigned s = 0; s < sides; s++) {
			memcpy(side[s].data[n], in, len);
			p[s][n] = (struct tr_aead){.key = key[n], .counter = flags[n], .data = side[s].data[n], .len = len};
		}
		n++;
	}
	for (unsigned s = 0; s < sides; s++) {
		side[s].engine->seal(side[s].worker, p[s], n);
		for (uint16_t i = 0; i < n; i++) {
			assert(memcmp(p[s][i].data, p[0][i].data, p[0][i].len + 16) == 0 || s == 0);
		}
	}
	for (unsigned s = 0; s < sides; s++) {
		for (uint16_t i = 0; i < n; i++)
			if (flags[i] & 1)
				p[s][i].data[p[s][i].len + (flags[i] >> 4)] ^= 1;
		side[s].engine->open(side[s].worker, p[s], n);
		for (uint16_t i = 0; i < n; i++) {
			assert(p[s][i].ok == !(flags[i] & 1));
			assert(!p[s][i].ok || memcmp(p[s][i].data, p[0][i].data, p[0][i].len) == 0);
		}
	}
	return 0;
}
