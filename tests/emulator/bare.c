/* SPDX-License-Identifier: BSD-3-Clause */
/* The AVX-512 engines on a CPU that nothing else runs on: no operating system, no libc but what the engines call. */
#include "digest.h"

#include <sodium.h>
#include <stddef.h>

extern const struct aead_engine aead_ifma, aead_avx512;

/* ---- What gcc and the engines call ---- */

void *
memcpy(void *restrict to, const void *restrict from, size_t n)
{
	void *d = to;
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
	return to;
}

void *
memset(void *to, int c, size_t n)
{
	void *d = to;
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return to;
}

void
sodium_memzero(void *const p, const size_t n)
{
	memset(p, 0, n);
}

void *
aligned_alloc(size_t alignment, size_t n)
{
	static _Alignas(64) uint8_t heap[1 << 20];
	static size_t used;
	const size_t at = used;
	used += (n + 63) & ~(size_t)63;
	return alignment <= 64 && used <= sizeof(heap) ? heap + at : NULL;
}

void
free(void *p)
{
	(void)p; /* the machine ends before the memory does */
}

/* ---- Output: Bochs writes what comes to this port ---- */

static void
put(char c)
{
	__asm__ volatile("outb %0, %1" : : "a"(c), "Nd"((uint16_t)0xe9));
}

static void
print(const char *text)
{
	while (*text)
		put(*text++);
}

static void
print_hex(uint64_t v)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		put("0123456789abcdef"[v >> shift & 15]);
}

/* ---- Bursts of one or two packets are ipsec-mb's: none is here ---- */

static void *
few_new(void)
{
	static char there;
	return &there;
}

static void
few_free(void *w)
{
	(void)w;
}

static void
few_packets(void *w, struct tr_aead *p, uint16_t n)
{
	(void)w, (void)p, (void)n;
	print("ipsec-mb was asked\n");
}

const struct aead_engine aead_ipsec_mb = {
	.worker_new = few_new, .worker_free = few_free, .seal = few_packets, .open = few_packets};

static void
run(const struct aead_engine *e)
{
	uint64_t digest[DIGESTS];
	print(e->name);
	if (!e->usable()) {
		print(" is not for this CPU\n");
		return;
	}
	void *worker = e->worker_new();
	digest_engine(e, worker, digest);
	for (unsigned i = 0; i < DIGESTS; i++) {
		put(' ');
		print_hex(digest[i]);
	}
	put('\n');
	e->worker_free(worker);
}

void bare_main(void);

void
bare_main(void)
{
	__builtin_cpu_init();
	run(&aead_ifma);
	run(&aead_avx512);
}
