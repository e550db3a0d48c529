/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * intel-ipsec-mb: its burst interface with one manager per worker. The jobs of its ring keep what isn't rewritten, so
 * all that packets have in common is set once.
 *
 * Its AVX2 code makes 8 blocks of key stream whatever the length, so short packets go to its SSE code. Clocks per packet
 * on AMD EPYC 7003, one hot key, SSE / AVX2: 64 B 445 / 650, 192 B 636 / 820, 256 B 1015 / 896.
 */
#include "aead_engines.h"

#include <intel-ipsec-mb.h>
#include <sodium.h>
#include <stdlib.h>

#define BURST 64
#define LONG_FROM 208

/* The AVX2 code loads 48 bytes from a key of 32, so a key just before a page that may be unmapped is copied first. */
#define KEY_READ 48
#define PAGE 4096

struct worker {
	IMB_MGR *mgr;
	IMB_MGR *sse; /* for packets shorter than long_from */
	uint32_t long_from;
	uint8_t nonce[BURST][16];
	uint8_t tag[BURST][TR_AEAD_TAG]; /* open: what the tag must be */
	uint8_t key[BURST][KEY_READ];    /* copies, wiped after the burst */
	unsigned keys;
};

static bool
usable(void)
{
	return __builtin_cpu_supports("sse4.2");
}

static void
worker_free(void *arg)
{
	struct worker *w = arg;

	if (w && w->mgr)
		free_mb_mgr(w->mgr);
	if (w && w->sse)
		free_mb_mgr(w->sse);
	free(w);
}

static void
preset_jobs(IMB_MGR *mgr)
{
	static const uint8_t no_data[1];

	for (int i = 0; i < IMB_MAX_JOBS; i++) {
		IMB_JOB *job = &mgr->jobs[i];
		job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
		job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
		job->key_len_in_bytes = 32;
		job->iv_len_in_bytes = 12;
		job->auth_tag_output_len_in_bytes = TR_AEAD_TAG;
		job->u.CHACHA20_POLY1305.aad = no_data;
		job->u.CHACHA20_POLY1305.aad_len_in_bytes = 0;
		job->cipher_start_src_offset_in_bytes = 0;
		job->hash_start_src_offset_in_bytes = 0;
	}
}

static void *
worker_new(void)
{
	struct worker *w = calloc(1, sizeof(*w));
	IMB_ARCH arch;

	if (!w || !(w->mgr = alloc_mb_mgr(0)))
		goto fail;
	init_mb_mgr_auto(w->mgr, &arch);
	preset_jobs(w->mgr);
	if (arch == IMB_ARCH_AVX2) {
		if (!(w->sse = alloc_mb_mgr(0)))
			goto fail;
		init_mb_mgr_sse(w->sse);
		preset_jobs(w->sse);
		w->long_from = LONG_FROM;
	}
	return w;
fail:
	worker_free(w);
	return NULL;
}

static const uint8_t *
readable_key(struct worker *w, const uint8_t *key)
{
	if (__builtin_expect(((uintptr_t)key & (PAGE - 1)) <= PAGE - KEY_READ, 1))
		return key;
	return memcpy(w->key[w->keys++], key, 32);
}

static void
fill_job(struct worker *w, IMB_JOB *job, struct tr_aead *p, uint16_t i, IMB_CIPHER_DIRECTION direction)
{
	aead_nonce(w->nonce[i], p->counter);
	job->cipher_direction = direction;
	job->chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job->enc_keys = readable_key(w, p->key);
	job->dec_keys = job->enc_keys;
	job->iv = w->nonce[i];
	job->src = p->data;
	job->dst = p->data;
	job->msg_len_to_cipher_in_bytes = p->len;
	job->msg_len_to_hash_in_bytes = p->len;
	job->auth_tag_output = direction == IMB_DIR_ENCRYPT ? p->data + p->len : w->tag[i];
}

/* Jobs of this kind are done when submitted, so a ring is empty between bursts and always gives what is asked. */
static void
run(struct worker *w, struct tr_aead *p, uint16_t n, IMB_CIPHER_DIRECTION direction)
{
	IMB_JOB *job[BURST];
	uint16_t n_short = 0;

	for (uint16_t i = 0; i < n; i++)
		n_short += p[i].len < w->long_from;
	if (n_short > 0)
		IMB_GET_NEXT_BURST(w->sse, n_short, job);
	if (n_short < n)
		IMB_GET_NEXT_BURST(w->mgr, n - n_short, job + n_short);
	for (uint16_t i = 0, s = 0, l = n_short; i < n; i++)
		fill_job(w, p[i].len < w->long_from ? job[s++] : job[l++], &p[i], i, direction);
	if (n_short > 0)
		IMB_SUBMIT_BURST_NOCHECK(w->sse, n_short, job);
	if (n_short < n)
		IMB_SUBMIT_BURST_NOCHECK(w->mgr, n - n_short, job + n_short);
	if (w->keys > 0) {
		sodium_memzero(w->key, w->keys * sizeof(w->key[0]));
		w->keys = 0;
	}
}

static void
seal_bursts(void *w, struct tr_aead *p, uint16_t n)
{
	for (; n > BURST; p += BURST, n -= BURST)
		run(w, p, BURST, IMB_DIR_ENCRYPT);
	if (n > 0)
		run(w, p, n, IMB_DIR_ENCRYPT);
}

static void
open_burst(struct worker *w, struct tr_aead *p, uint16_t n)
{
	run(w, p, n, IMB_DIR_DECRYPT);
	for (uint16_t i = 0; i < n; i++) {
		uint64_t want[2], got[2];
		memcpy(want, w->tag[i], TR_AEAD_TAG);
		memcpy(got, p[i].data + p[i].len, TR_AEAD_TAG);
		p[i].ok = ((want[0] ^ got[0]) | (want[1] ^ got[1])) == 0;
		if (!p[i].ok)
			memset(p[i].data, 0, p[i].len); /* it was decrypted before the tag was known */
	}
}

static void
open_bursts(void *w, struct tr_aead *p, uint16_t n)
{
	for (; n > BURST; p += BURST, n -= BURST)
		open_burst(w, p, BURST);
	if (n > 0)
		open_burst(w, p, n);
}

const struct aead_engine aead_ipsec_mb = {
	.name = "ipsec-mb",
	.usable = usable,
	.worker_new = worker_new,
	.worker_free = worker_free,
	.seal = seal_bursts,
	.open = open_bursts,
};
