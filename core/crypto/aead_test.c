/* SPDX-License-Identifier: BSD-3-Clause */
/* Every engine against vectors, against libsodium's one-shot interface, and at the edges of its memory. */
#include "aead.h"
#include "aead_vectors.h"
#include "hex_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#define MAX_LEN 2048
#define ROOM 32 /* canaries before and behind */
#define ALIGNMENTS 64

static const struct tr_crypto *const c = &core_crypto;

struct use {
	const struct aead_engine *engine;
	void *worker;
	bool emulated; /* slow */
};

static void
use(struct use *u, unsigned *n, const struct aead_engine *e, bool emulated)
{
	if (!e->usable())
		return;
	u[*n] = (struct use){.engine = e, .worker = e->worker_new(), .emulated = emulated};
	assert_non_null(u[(*n)++].worker);
}

static unsigned
uses(struct use *u)
{
	unsigned n = 0;

	for (const struct aead_engine *const *e = aead_engines; *e; e++)
		use(u, &n, *e, false);
	assert_true(n > 0);
#if __has_include(<simde/x86/avx512.h>)
	extern const struct aead_engine aead_emulated_avx512, aead_emulated_ifma;
	use(u, &n, &aead_emulated_avx512, true);
	use(u, &n, &aead_emulated_ifma, true);
#endif
	return n;
}

static void
each_engine(void (*test)(const struct use *u))
{
	struct use u[8];
	unsigned n = uses(u);

	for (unsigned i = 0; i < n; i++) {
		test(&u[i]);
		u[i].engine->worker_free(u[i].worker);
	}
}

static void
fill(uint8_t *p, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

static bool
all(const uint8_t *p, size_t n, uint8_t value)
{
	while (n-- > 0)
		if (p[n] != value)
			return false;
	return true;
}

/* ---- Poly1305's carries ---- */

/* `n` times the same packet: engines give short bursts to each other, and longer ones other lanes. */
static void
carry(const struct use *u, size_t v, uint16_t n)
{
	static uint8_t data[20][2048];
	struct tr_aead p[20];
	uint8_t key[32], tag[16];

	for (uint8_t i = 0; i < 32; i++)
		key[i] = i;
	unhex(tag, 16, carry_vectors[v].tag);
	for (uint16_t i = 0; i < n; i++) {
		p[i] = (struct tr_aead){.key = key, .counter = carry_vectors[v].counter, .data = data[i],
			.len = carry_vectors[v].prefix + 16};
		memset(data[i], 0xff, p[i].len);
		unhex(data[i] + p[i].len - 16, 16, carry_vectors[v].last);
		memcpy(data[i] + p[i].len, tag, 16);
	}
	u->engine->open(u->worker, p, n);
	for (uint16_t i = 0; i < n; i++) {
		assert_int_equal(p[i].ok, 1);
		memset(data[i] + p[i].len, 0, 16);
	}
	u->engine->seal(u->worker, p, n); /* back to the ciphertext */
	for (uint16_t i = 0; i < n; i++) {
		assert_true(all(data[i], carry_vectors[v].prefix, 0xff));
		assert_memory_equal(data[i] + p[i].len, tag, 16);
	}
}

static void
carries_of(const struct use *u)
{
	static const uint16_t bursts[] = {1, 3, 5, 8, 20};

	for (size_t v = 0; v < sizeof(carry_vectors) / sizeof(*carry_vectors); v++)
		for (size_t i = 0; i < sizeof(bursts) / sizeof(*bursts); i++)
			carry(u, v, bursts[i]);
}

static void
carries(void **state)
{
	each_engine(carries_of);
}

/* ---- All lengths and alignments, in bursts of mixed lengths, each packet with its own key ---- */

struct packet {
	uint8_t key[32], *memory, *data;
	uint8_t plain[MAX_LEN], sealed[MAX_LEN + 16];
};

static void
prepare(struct packet *p, struct tr_aead *a, uint32_t len, uint32_t align, uint32_t seed)
{
	fill(p->key, 32, seed + 1);
	fill(p->plain, len, seed + 2);
	memset(p->memory, 0x5a, MAX_LEN + 2 * ROOM + 16 + 64);
	p->data = p->memory + ROOM + align;
	memcpy(p->data, p->plain, len);
	*a = (struct tr_aead){.key = p->key, .counter = seed * 0x9e3779b97f4a7c15u, .data = p->data, .len = len, .ok = 7};
	c->seal(p->sealed, p->key, a->counter, p->plain, len, NULL, 0);
}

static void
check_burst(const struct use *u, struct packet *p, struct tr_aead *a, uint16_t n)
{
	u->engine->seal(u->worker, a, n);
	for (uint16_t i = 0; i < n; i++)
		assert_memory_equal(p[i].data, p[i].sealed, a[i].len + 16);
	u->engine->open(u->worker, a, n);
	for (uint16_t i = 0; i < n; i++) {
		assert_int_equal(a[i].ok, 1);
		assert_memory_equal(p[i].data, p[i].plain, a[i].len);
		assert_true(all(p[i].memory, (size_t)(p[i].data - p[i].memory), 0x5a));
		assert_true(all(p[i].data + a[i].len + 16, ROOM, 0x5a));
	}
}

static void
lengths_of(const struct use *u)
{
	enum { N = 64 };
	static struct packet p[N];
	struct tr_aead a[N];
	uint16_t n = 0, burst = 1;

	for (int i = 0; i < N; i++)
		assert_non_null(p[i].memory = aligned_alloc(64, MAX_LEN + 2 * ROOM + 16 + 64 + 48));
	/* 1031 is prime to 2049, so a burst holds lengths from everywhere. */
	for (uint32_t i = 0; i < (u->emulated ? 4 : ALIGNMENTS) * (MAX_LEN + 1); i++) {
		prepare(&p[n], &a[n], i * 1031 % (MAX_LEN + 1), i / (MAX_LEN + 1), i);
		if (++n == burst) {
			check_burst(u, p, a, n);
			n = 0;
			burst = (uint16_t)(burst % N + 1);
		}
	}
	check_burst(u, p, a, n);
	for (int i = 0; i < N; i++)
		free(p[i].memory);
}

static void
lengths(void **state)
{
	each_engine(lengths_of);
}

/* More than an engine takes at once, all with one key. */
static void
long_burst_of(const struct use *u)
{
	enum { N = 300 };
	static uint8_t data[N][96], plain[80];
	uint8_t key[32], sealed[96];
	struct tr_aead a[N];

	fill(key, 32, 5);
	fill(plain, sizeof(plain), 6);
	for (uint16_t i = 0; i < N; i++) {
		memcpy(data[i], plain, 80);
		a[i] = (struct tr_aead){.key = key, .counter = i, .data = data[i], .len = 80};
	}
	u->engine->seal(u->worker, a, 0);
	u->engine->open(u->worker, a, 0);
	u->engine->seal(u->worker, a, N);
	for (uint16_t i = 0; i < N; i++) {
		c->seal(sealed, key, i, plain, 80, NULL, 0);
		assert_memory_equal(data[i], sealed, 96);
	}
	u->engine->open(u->worker, a, N);
	for (uint16_t i = 0; i < N; i++) {
		assert_int_equal(a[i].ok, 1);
		assert_memory_equal(data[i], plain, 80);
	}
}

static void
long_burst(void **state)
{
	each_engine(long_burst_of);
}

/* ---- Bursts of any size, of packets from empty to jumbo, some of them forged ---- */

enum { MIXED = 300, JUMBO = 9000 };

static uint32_t
next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static uint32_t
mixed_length(uint32_t *seed)
{
	static const uint32_t range[] = {1, 32, 130, 600, 1500, JUMBO + 1};
	return next(seed) % range[next(seed) % (sizeof(range) / sizeof(*range))];
}

static void
mixed_burst(const struct use *u, uint32_t n, uint32_t *seed)
{
	static uint8_t data[MIXED][JUMBO + 80], sealed[MIXED][JUMBO + 16], plain[JUMBO];
	static uint8_t key[MIXED][32];
	struct tr_aead a[MIXED];
	bool forged[MIXED];

	for (uint32_t i = 0; i < n; i++) {
		fill(key[i], 32, next(seed));
		a[i] = (struct tr_aead){.key = key[i], .counter = next(seed) * 0x9e3779b97f4a7c15u,
			.data = data[i] + next(seed) % 64, .len = mixed_length(seed)};
		fill(a[i].data, a[i].len, i);
		c->seal(sealed[i], key[i], a[i].counter, a[i].data, a[i].len, NULL, 0);
	}
	u->engine->seal(u->worker, a, (uint16_t)n);
	for (uint32_t i = 0; i < n; i++) {
		assert_memory_equal(a[i].data, sealed[i], a[i].len + 16);
		forged[i] = next(seed) % 4 == 0;
		if (forged[i])
			a[i].data[next(seed) % (a[i].len + 16)] ^= (uint8_t)(1 << next(seed) % 8);
	}
	u->engine->open(u->worker, a, (uint16_t)n);
	for (uint32_t i = 0; i < n; i++) {
		fill(plain, a[i].len, i);
		assert_int_equal(a[i].ok, !forged[i]);
		if (!forged[i])
			assert_memory_equal(a[i].data, plain, a[i].len);
		for (uint32_t j = 0; forged[i] && j + 8 <= a[i].len; j += 8)
			assert_memory_not_equal(a[i].data + j, plain + j, 8);
	}
}

static void
mixed_of(const struct use *u)
{
	uint32_t seed = 1;

	for (uint32_t n = 1; n <= 40; n++)
		mixed_burst(u, n, &seed);
	for (int i = 0; i < 6; i++)
		mixed_burst(u, 1 + next(&seed) % MIXED, &seed);
	mixed_burst(u, MIXED, &seed);
}

static void
mixed(void **state)
{
	each_engine(mixed_of);
}

/* ---- Forgeries ---- */

/* No 8 bytes of plaintext may be left anywhere in a packet that is refused. */
static void
assert_no_plaintext(const uint8_t *data, const uint8_t *plain, size_t len)
{
	for (size_t i = 0; i + 8 <= len; i++)
		assert_memory_not_equal(data + i, plain + i, 8);
}

static void
forgeries_of(const struct use *u)
{
	static const uint32_t size[] = {0, 1, 15, 16, 17, 63, 64, 65, 255, 256, 257, 1420, 2048};
	enum { N = sizeof(size) / sizeof(*size) };
	static struct packet p[N];
	struct tr_aead a[N];

	for (unsigned i = 0; i < N; i++)
		assert_non_null(p[i].memory = malloc(MAX_LEN + 2 * ROOM + 16 + 64));
	for (unsigned victim = 0; victim < N; victim++) {
		/* Any byte of the tag, of the ciphertext, the counter, the key, or a length that is off by one. */
		for (unsigned how = 0; how < 16 + 5; how++) {
			for (unsigned i = 0; i < N; i++)
				prepare(&p[i], &a[i], size[i], 3, i);
			u->engine->seal(u->worker, a, N);
			if (how < 16)
				p[victim].data[size[victim] + how] ^= (uint8_t)(1 << how % 8);
			else if (how == 16)
				a[victim].counter ^= (uint64_t)1 << 63;
			else if (how == 17)
				p[victim].key[31] ^= 0x80;
			else if (size[victim] == 0)
				continue;
			else if (how == 18)
				p[victim].data[size[victim] - 1] ^= 1;
			else if (how == 19)
				p[victim].data[0] ^= 0x80;
			else
				a[victim].len--;
			u->engine->open(u->worker, a, N);
			for (unsigned i = 0; i < N; i++) {
				assert_int_equal(a[i].ok, i != victim);
				if (i == victim)
					assert_no_plaintext(p[i].data, p[i].plain, a[i].len);
				else
					assert_memory_equal(p[i].data, p[i].plain, a[i].len);
			}
		}
	}
	for (unsigned i = 0; i < N; i++)
		free(p[i].memory);
}

static void
forgeries(void **state)
{
	each_engine(forgeries_of);
}

/* ---- Memory: assembly isn't instrumented, so unmapped pages stand on both sides ---- */

/* A burst of n whose first packet is `first`, the others short ones elsewhere; each opens or is refused as it should. */
static void
guarded_burst(const struct use *u, const struct tr_aead *first, uint16_t n)
{
	static uint8_t other[4][80], key[32];
	struct tr_aead a[5] = {*first};

	for (uint16_t i = 1; i < n; i++)
		a[i] = (struct tr_aead){.key = key, .counter = i, .data = other[i - 1], .len = 60u + i};
	u->engine->seal(u->worker, a, n);
	u->engine->open(u->worker, a, n);
	for (uint16_t i = 0; i < n; i++)
		assert_int_equal(a[i].ok, 1);
	a->data[a->len] ^= a->data[a->len] + 1u;
	u->engine->open(u->worker, a, n);
	assert_int_equal(a->ok, 0);
}

static void
guarded_of(const struct use *u)
{
	const size_t page = 4096;
	uint8_t *map = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *mid = map + page;
	uint8_t key[32];

	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(mid, page, PROT_READ | PROT_WRITE), 0);
	memset(key, 0x42, 32);
	for (uint32_t len = 0; len <= MAX_LEN; len += u->emulated ? 7 : 1) {
		for (int at_end = 0; at_end < 2; at_end++) {
			struct tr_aead a = {.key = key, .counter = len, .len = len};
			a.data = at_end ? mid + page - len - 16 : mid;
			fill(a.data, len, len);
			for (uint16_t n = 1; n <= 5; n += 2)
				guarded_burst(u, &a, n);
		}
	}
	/* The key as well. */
	memset(mid, 0x42, page);
	for (int at_end = 0; at_end < 2; at_end++) {
		uint8_t data[80] = {0};
		struct tr_aead a = {.key = at_end ? mid + page - 32 : mid, .data = data, .len = 64};
		for (uint16_t n = 1; n <= 5; n += 2)
			guarded_burst(u, &a, n);
	}
	munmap(map, 3 * page);
}

static void
guarded(void **state)
{
	each_engine(guarded_of);
}

static void
choice(void **state)
{
	assert_string_equal(aead_choose("libsodium")->name, "libsodium");
	assert_null(aead_choose("rot13"));
	assert_non_null(aead_choose(NULL));
	assert_true(aead_choose(NULL)->usable());
	for (const struct aead_engine *const *e = aead_engines; *e; e++)
		if ((*e)->usable())
			assert_true(aead_proved(*e));
}

/* An engine that is wrong on some CPU is found out when it is to be chosen. */
static bool wrong_in_sealing;

static void
wrong_seal(void *w, struct tr_aead *p, uint16_t n)
{
	aead_choose("libsodium")->seal(w, p, n);
	if (wrong_in_sealing)
		p[n - 1].data[p[n - 1].len] ^= 1;
}

static void
wrong_open(void *w, struct tr_aead *p, uint16_t n)
{
	aead_choose("libsodium")->open(w, p, n);
	if (!wrong_in_sealing)
		p[0].ok = 1;
}

static void
proof(void **state)
{
	struct aead_engine wrong = *aead_choose("libsodium");

	assert_true(aead_proved(&wrong));
	wrong.seal = wrong_seal;
	wrong.open = wrong_open;
	assert_false(aead_proved(&wrong));
	wrong_in_sealing = true;
	assert_false(aead_proved(&wrong));
}

/* Says which engines this run is about. */
static int
setup(void **state)
{
	struct use u[8];
	int rc = crypto_init();
	unsigned n = rc == 0 ? uses(u) : 0;

	for (const struct aead_engine *const *e = aead_engines; *e; e++)
		print_message("%s: %s\n", (*e)->name, (*e)->usable() ? "TESTED on this CPU" : "NOT TESTED here: this CPU lacks it");
	for (unsigned i = 0; i < n; i++) {
		if (u[i].emulated)
			print_message("%s: TESTED, but not on a CPU that has it\n", u[i].engine->name);
		u[i].engine->worker_free(u[i].worker);
	}
	return rc;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries), cmocka_unit_test(lengths), cmocka_unit_test(long_burst), cmocka_unit_test(mixed),
		cmocka_unit_test(forgeries), cmocka_unit_test(guarded), cmocka_unit_test(choice), cmocka_unit_test(proof),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
