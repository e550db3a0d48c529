/* SPDX-License-Identifier: BSD-3-Clause */
#include "lpm.h"

#include "../runtime/rcu.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static uint64_t seed = 88172645463325252ull;

static uint32_t
rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % below;
}

static void
mask(struct tr_prefix *p)
{
	for (unsigned bit = p->len; bit < 128; bit++)
		p->addr.ip[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

static struct tr_prefix
prefix4(uint32_t ip, uint8_t len)
{
	struct tr_prefix p = {.addr = {.family = 4, .ip = {ip >> 24, ip >> 16, ip >> 8, ip}}, .len = len};
	mask(&p);
	return p;
}

static uint32_t
find1(const struct lpm *l, const struct tr_addr *a)
{
	const uint8_t *ip = a->ip;
	uint32_t value = 4711;
	(a->family == 4 ? lpm_find4 : lpm_find6)(l, &ip, 1, &value);
	return value;
}

/* ---- A naive matcher to compare with ---- */

#define RULES 600
static struct {
	struct tr_prefix p;
	uint32_t value; /* 0: not there */
} naive[RULES];
static int naive_n = RULES;

static bool
covers(const struct tr_prefix *p, const struct tr_addr *a)
{
	if (p->addr.family != a->family)
		return false;
	unsigned bytes = p->len / 8, bits = p->len % 8;
	return memcmp(p->addr.ip, a->ip, bytes) == 0 && (!bits || (p->addr.ip[bytes] ^ a->ip[bytes]) >> (8 - bits) == 0);
}

static uint32_t
naive_find(const struct tr_addr *a)
{
	int best = -1;
	for (int i = 0; i < naive_n; i++) {
		if (naive[i].value && covers(&naive[i].p, a) && (best < 0 || naive[i].p.len > naive[best].p.len))
			best = i;
	}
	return best < 0 ? 0 : naive[best].value;
}

/* Addresses from few byte values, so that prefixes nest and share bytes. */
static struct tr_addr
some_addr(bool v6)
{
	static const uint8_t bytes[] = {0, 1, 100, 127, 128, 129, 255};
	struct tr_addr a = {.family = v6 ? 6 : 4};
	unsigned n = v6 ? 16 : 4, same = rnd(n);
	for (unsigned i = 0; i < n; i++)
		a.ip[i] = i < same ? 100 : bytes[rnd(sizeof(bytes))];
	return a;
}

struct seen {
	unsigned n, wrong;
};

static void
check_each(void *arg, const struct tr_prefix *p, uint32_t value)
{
	struct seen *s = arg;
	s->n++;
	for (int i = 0; i < RULES; i++) {
		if (naive[i].value == value && naive[i].p.len == p->len && tr_addr_eq(&naive[i].p.addr, &p->addr))
			return;
	}
	s->wrong++;
}

static void
compare(const struct lpm *l)
{
	const uint8_t *ptr[2][101];
	struct tr_addr a[2][101];
	uint32_t value[101];

	for (int f = 0; f < 2; f++) {
		for (int i = 0; i < 101; i++) {
			a[f][i] = some_addr(f);
			if (i % 3 == 0) {
				const struct tr_prefix *p = &naive[rnd(RULES)].p;
				if (p->addr.family == a[f][i].family)
					a[f][i] = p->addr;
			}
			ptr[f][i] = a[f][i].ip;
		}
		(f ? lpm_find6 : lpm_find4)(l, ptr[f], 101, value);
		for (int i = 0; i < 101; i++)
			assert_int_equal(value[i], naive_find(&a[f][i]));
	}
}

static void
agrees_with_a_naive_matcher(void **state)
{
	struct lpm *l = lpm_new(RULES);
	unsigned count = 0;

	for (int i = 0; i < RULES; i++) {
	again:
		naive[i].p.addr = some_addr(i % 2);
		naive[i].p.len = (uint8_t)rnd(i % 2 ? 129 : 33);
		mask(&naive[i].p);
		for (int j = 0; j < i; j++) {
			if (naive[j].p.len == naive[i].p.len && tr_addr_eq(&naive[j].p.addr, &naive[i].p.addr))
				goto again;
		}
	}
	for (int round = 0; round < 15000; round++) {
		int i = (int)rnd(RULES);
		/* Waves: mostly adding, then mostly removing. */
		if (rnd(100) < (round / 2500 % 2 ? 20u : 80u)) {
			count += !naive[i].value;
			naive[i].value = 1 + rnd(UINT32_MAX - 1);
			assert_int_equal(lpm_set(l, &naive[i].p, naive[i].value), 0);
		} else {
			assert_int_equal(lpm_del(l, &naive[i].p), naive[i].value ? 0 : -ENOENT);
			count -= !!naive[i].value;
			naive[i].value = 0;
		}
		assert_int_equal(lpm_exact(l, &naive[i].p), naive[i].value);
		assert_int_equal(lpm_count(l), count);
		if (round % 50 == 0)
			compare(l);
		if (round % 1000 == 0) {
			struct seen s = {0};
			lpm_each(l, check_each, &s);
			assert_int_equal(s.n, count);
			assert_int_equal(s.wrong, 0);
		}
	}
	for (int i = 0; i < RULES; i++) {
		if (naive[i].value)
			assert_int_equal(lpm_del(l, &naive[i].p), 0);
		naive[i].value = 0;
	}
	compare(l);
	lpm_free(l);
}

static void
edges(void **state)
{
	struct lpm *l = lpm_new(6);
	struct tr_prefix all = prefix4(0, 0), one = prefix4(0x0a000001, 32), last = prefix4(0xffffffff, 32),
			 half = prefix4(0x80000000, 1), all6 = {.addr.family = 6},
			 one6 = {.addr = {.family = 6, .ip = {0xfd, [15] = 1}}, .len = 128};
	struct tr_addr other = one6.addr;
	other.ip[15] = 2;

	assert_int_equal(find1(l, &one.addr), 0);
	assert_int_equal(lpm_del(l, &all), -ENOENT);
	assert_int_equal(lpm_del(l, &one6), -ENOENT);
	assert_int_equal(lpm_set(l, &one, 1), 0);
	assert_int_equal(lpm_set(l, &all, 2), 0);
	assert_int_equal(lpm_set(l, &half, 3), 0);
	assert_int_equal(lpm_set(l, &last, UINT32_MAX), 0);
	assert_int_equal(lpm_set(l, &one6, 5), 0);
	assert_int_equal(find1(l, &other), 0);
	assert_int_equal(lpm_set(l, &all6, 6), 0);
	assert_int_equal(find1(l, &one.addr), 1);
	assert_int_equal(find1(l, &half.addr), 3);
	assert_int_equal(find1(l, &all.addr), 2);
	assert_int_equal(find1(l, &last.addr), UINT32_MAX);
	assert_int_equal(find1(l, &one6.addr), 5);
	assert_int_equal(find1(l, &other), 6);

	struct tr_prefix seventh = prefix4(0x0b000000, 8);
	assert_int_equal(lpm_set(l, &seventh, 7), -ENOSPC);
	assert_int_equal(lpm_set(l, &one, 8), 0); /* replacing is not adding */
	assert_int_equal(find1(l, &one.addr), 8);
	assert_int_equal(lpm_del(l, &all), 0);
	assert_int_equal(lpm_set(l, &seventh, 7), 0);
	assert_int_equal(find1(l, &seventh.addr), 7);
	assert_int_equal(find1(l, &all.addr), 0);
	lpm_free(l);
}

/* Memory comes back: a million updates of a small table must not grow it for ever. */
static void
reuses_nodes(void **state)
{
	struct lpm *l = lpm_new(1000);
	size_t before = 0;

	assert_int_equal(rcu_init(), 0);
	for (int i = 0; i < 200000; i++) {
		struct tr_prefix p = prefix4(0x64400000 + rnd(1000) * 37, 32);
		if (rnd(2))
			assert_int_equal(lpm_set(l, &p, 1 + rnd(1000)), 0);
		else
			lpm_del(l, &p);
		if (i == 100000)
			before = lpm_memory(l);
	}
	assert_true(lpm_memory(l) < before + before / 10);
	lpm_free(l);
	rcu_fini();
}

/*
 * Flaps under a reader. The writer logs, before each update, what each address must find after it; a look-up must
 * return what was right at some moment between its start and its end. Prefixes nest, and each value names its prefix.
 */
#define LOG (1u << 18)
#define ADDRS 8
static struct tr_addr flap_addr[2][ADDRS];
static _Atomic uint32_t expect[LOG][2][ADDRS];
static _Atomic uint64_t done;
static atomic_bool stop;
static atomic_ulong foreign, looked, skipped;

static bool
was_right(int f, int i, uint64_t from, uint64_t to, uint32_t value)
{
	for (uint64_t k = from; k <= to; k++) {
		if (atomic_load_explicit(&expect[k % LOG][f][i], memory_order_relaxed) == value)
			return true;
	}
	return false;
}

static void *
flap_reader(void *arg)
{
	const struct lpm *l = arg;
	const uint8_t *ptr[2][ADDRS];
	uint32_t value[ADDRS];
	int id = rcu_register();

	for (int f = 0; f < 2; f++) {
		for (int i = 0; i < ADDRS; i++)
			ptr[f][i] = flap_addr[f][i].ip;
	}
	rcu_online(id);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		for (int f = 0; f < 2; f++) {
			uint64_t from = atomic_load_explicit(&done, memory_order_acquire);
			(f ? lpm_find6 : lpm_find4)(l, ptr[f], ADDRS, value);
			atomic_thread_fence(memory_order_seq_cst);
			uint64_t to = atomic_load_explicit(&done, memory_order_acquire) + 1;
			if (to - from > LOG / 2) { /* this thread was not running: the log may be overwritten */
				atomic_fetch_add(&skipped, 1);
				continue;
			}
			for (int i = 0; i < ADDRS; i++) {
				if (!was_right(f, i, from, to, value[i]))
					atomic_fetch_add(&foreign, 1);
			}
			atomic_fetch_add(&looked, ADDRS);
		}
		rcu_quiescent(id);
	}
	rcu_offline(id);
	rcu_unregister(id);
	return NULL;
}

static void
flap_write(struct lpm *l, double seconds)
{
	/* Nested around every address: 4 lengths of IPv4, 6 of IPv6, each there or not, with a changing value. */
	static const uint8_t len4[] = {8, 16, 24, 32}, len6[] = {0, 16, 40, 64, 100, 128};
	struct timespec t0, t;
	uint64_t k = 0;

	memset(naive, 0, sizeof(naive));
	naive_n = 2 * ADDRS * 6;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	do {
		for (int turn = 0; turn < 256; turn++) {
			int f = (int)rnd(2), slot = (int)rnd(ADDRS), which = (int)rnd(f ? 6 : 4);
			struct tr_prefix p = {.addr = flap_addr[f][slot], .len = (f ? len6 : len4)[which]};
			mask(&p);
			int n = (f * ADDRS + slot) * 6 + which;
			for (int j = 0; j < naive_n; j++) { /* shared by neighbours: one rule */
				if (naive[j].value && naive[j].p.len == p.len && tr_addr_eq(&naive[j].p.addr, &p.addr))
					n = j;
			}
			naive[n].p = p;
			naive[n].value = rnd(3) ? (uint32_t)(k << 8 | (unsigned)n) | 1u << 31 : 0;
			k++;
			for (int i = 0; i < 2 * ADDRS; i++)
				atomic_store_explicit(&expect[k % LOG][i / ADDRS][i % ADDRS],
					naive_find(&flap_addr[i / ADDRS][i % ADDRS]), memory_order_relaxed);
			atomic_thread_fence(memory_order_release);
			if (naive[n].value)
				assert_int_equal(lpm_set(l, &p, naive[n].value), 0);
			else
				lpm_del(l, &p);
			atomic_store_explicit(&done, k, memory_order_release);
		}
		clock_gettime(CLOCK_MONOTONIC, &t);
	} while ((double)(t.tv_sec - t0.tv_sec) + (double)(t.tv_nsec - t0.tv_nsec) / 1e9 < seconds);
	print_message("%lu updates, %lu look-ups, %lu skipped, foreign %lu\n", (unsigned long)k, atomic_load(&looked),
		atomic_load(&skipped), atomic_load(&foreign));
}

static void
never_a_foreign_value(void **state)
{
	struct lpm *l = lpm_new(1000);
	pthread_t t;

	assert_int_equal(rcu_init(), 0);
	for (int f = 0; f < 2; f++) {
		for (int i = 0; i < ADDRS; i++)
			flap_addr[f][i] = some_addr(f);
	}
	assert_int_equal(pthread_create(&t, NULL, flap_reader, l), 0);
#ifdef __SANITIZE_THREAD__
	flap_write(l, 1);
#else
	flap_write(l, 3);
#endif
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	assert_int_equal(atomic_load(&foreign), 0);
	assert_true(atomic_load(&looked) > 1000);
	lpm_free(l);
	rcu_fini();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_a_naive_matcher),
		cmocka_unit_test(edges),
		cmocka_unit_test(reuses_nodes),
		cmocka_unit_test(never_a_foreign_value),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
