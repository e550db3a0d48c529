/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What only time shows: a day of two instances that renew their session, roam and are replaced by new builds, and a peer
 * that comes and goes ten thousand times. The clock is simulated, the cryptography is not.
 */
#include "pair_test.h"

#include <malloc.h>

bool room_elsewhere;

enum { HOUR = 3600, DAY = 24 * HOUR, STEP = 5 }; /* seconds */

/* Of a side, over all builds that ran. */
struct tally {
	uint64_t initiations, sessions, replayed;
};

static void
count(struct tally *t, struct side *s)
{
	t->initiations += fh_counter(s->h, "initiations_sent");
	t->sessions += fh_counter(s->h, "sessions");
	t->replayed += fh_drops(s->h, "replayed");
}

/* Bytes that are allocated now; 0 under sanitizers, whose allocators find leaks in their own way. */
static size_t
heap(void)
{
	return mallinfo2().uordblks;
}

/* As an apply with a new build does: created beside the one that runs, which then ends. */
static void
replace(struct side *s, struct tally *t, uint8_t secret, const char *name)
{
	struct tr_secret key;
	char options[256];
	static char paths[2][200]; /* one file for each key is enough for a day */
	char *path = paths[secret == 0x22];
	memset(key.b, secret, sizeof(key.b));
	if (!*path)
		snprintf(path, sizeof(paths[0]), "%s", fh_secret(key.b));
	snprintf(options, sizeof(options), "private_key: %s", path);
	struct fh *next = fh_new(&(struct fh_config){.plugin = &tr_plugin, .name = name, .options = options, .blocks_of = s->h});
	assert_non_null(next);
	count(t, s);
	fh_free(s->h);
	s->h = next;
}

static void
exchange(struct network *n, uint8_t number)
{
	say_from(&n->a, 1, 2, 60, number);
	settle(n); /* or both would initiate */
	say_from(&n->b, 2, 1, 80, number);
	settle(n);
	expect(&n->b, 60, number);
	expect(&n->a, 80, number);
}

/* What is sent meanwhile arrives at the end. */
static void
step(struct network *n, unsigned seconds)
{
	fh_advance(n->a.h, SECONDS(seconds));
	fh_advance(n->b.h, SECONDS(seconds));
	settle(n);
}

static void
test_day(void **state)
{
	struct network *n = network_new((struct network_config){0});
	struct tally a = {0}, b = {0};
	size_t after_an_hour = 0;
	struct tr_endpoint e;

	connect_both(n);
	for (int s = STEP; s <= DAY; s += STEP) {
		int hour = s / HOUR;
		step(n, STEP);
		if (hour >= 3 && hour < 6) /* nobody speaks */
			continue;
		if (s % 420 == 0)
			replace(&n->a, &a, 0x11, "wga");
		if (s % 660 == 0)
			replace(&n->b, &b, 0x22, "wgb");
		if (s % HOUR == 0) { /* `a` has another address and port from now on */
			n->a.octet = (uint8_t)(100 + hour);
			n->a.port = (uint16_t)(10000 + hour);
		}
		exchange(n, (uint8_t)(s / STEP));
		if (s % HOUR == 0) {
			fh_path(n->b.h, 1, &e);
			assert_int_equal(e.remote[3], n->a.octet);
			assert_int_equal(e.remote_port, n->a.port);
		}
		if (s == HOUR)
			after_an_hour = heap();
	}
	count(&a, &n->a);
	count(&b, &n->b);
	assert_in_range(a.sessions, 21 * HOUR / (120 + 2 * STEP), 21 * HOUR / 120 + 2); /* two first ones, none at night */
	assert_int_equal(b.sessions, a.sessions);
	assert_int_equal(a.initiations + b.initiations, a.sessions);
	assert_int_equal(a.replayed + b.replayed, 0);
	assert_int_equal(fh_held(n->a.h) + fh_held(n->b.h), 0);
	assert_in_range(heap(), 0, after_an_hour + 4096);
	network_free(n);
}

static void
test_ten_thousand_times(void **state)
{
	struct network *n = network_new((struct network_config){0});
	size_t after_a_thousand = 0;
	uint32_t of_a = 1, of_b = 1;

	for (int i = 1; i <= 10000; i++) {
		step(n, 1); /* an initiation is not taken twice in the same 20 ms */
		exchange(n, (uint8_t)i);
		fh_peer_remove(n->a.h, of_a);
		fh_peer_remove(n->b.h, of_b);
		settle(n);
		of_a = fh_peer_add(n->a.h, "{public_key: " KEY_B ", allowed_ips: [10.0.0.2/32], endpoint: 192.0.2.2:51820}");
		of_b = fh_peer_add(n->b.h, "{public_key: " KEY_A ", allowed_ips: [10.0.0.1/32], endpoint: 192.0.2.1:51820}");
		if (i == 1000)
			after_a_thousand = heap();
	}
	assert_int_equal(fh_counter(n->a.h, "sessions"), 10000);
	assert_in_range(heap(), 0, after_a_thousand + after_a_thousand / 50);
	network_free(n);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_day),
		cmocka_unit_test(test_ten_thousand_times),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
