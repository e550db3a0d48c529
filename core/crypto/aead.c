/* SPDX-License-Identifier: BSD-3-Clause */
#include "aead_engines.h"

#include <stdlib.h>
#include <string.h>

#define PACKETS 24
#define ROOM 1536

const struct aead_engine *const aead_engines[] = {
	&aead_ifma, &aead_avx512, &aead_avx2, &aead_ipsec_mb, &aead_sodium, NULL};

struct proof {
	struct tr_aead p[PACKETS];
	uint8_t key[PACKETS][32], data[PACKETS][ROOM];
};

static void
prepare(struct proof *t)
{
	for (uint32_t i = 0; i < PACKETS; i++) {
		memset(t->key[i], (int)(i + 1), 32);
		memset(t->data[i], (int)i, ROOM);
		t->p[i] = (struct tr_aead){.key = t->key[i], .counter = (uint64_t)i << 31, .data = t->data[i] + i % 16,
			.len = i * i * 523 % (ROOM - 32)};
	}
}

/* Seals like libsodium, opens what that has sealed, and refuses a changed bit. */
static bool
proved(const struct aead_engine *e, void *worker, struct proof *t, struct proof *reference)
{
	bool good = true;

	prepare(t);
	prepare(reference);
	e->seal(worker, t->p, PACKETS);
	aead_sodium.seal(NULL, reference->p, PACKETS);
	good &= memcmp(t->data, reference->data, sizeof(t->data)) == 0;
	for (uint32_t i = 0; i < PACKETS; i += 5)
		t->p[i].data[t->p[i].len + i % 16] ^= 1;
	e->open(worker, t->p, PACKETS);
	prepare(reference);
	for (uint32_t i = 0; i < PACKETS; i++) {
		good &= t->p[i].ok == (i % 5 != 0);
		if (i % 5 != 0)
			good &= memcmp(t->p[i].data, reference->p[i].data, t->p[i].len) == 0;
	}
	return good;
}

bool
aead_proved(const struct aead_engine *e)
{
	struct proof *t = calloc(2, sizeof(*t));
	void *worker = e->worker_new();
	bool good = t && worker && proved(e, worker, &t[0], &t[1]);

	if (worker)
		e->worker_free(worker);
	free(t);
	return good;
}

/* No test saw this very CPU, compiler and library: an engine that is wrong here is passed over. */
const struct aead_engine *
aead_choose(const char *name)
{
	for (const struct aead_engine *const *e = aead_engines; *e; e++) {
		if (name && strcmp((*e)->name, name) == 0)
			return (*e)->usable() ? *e : NULL;
		if (!name && (*e)->usable() && aead_proved(*e))
			return *e;
	}
	return NULL;
}
