/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules of <tailrace/netmap.h> by which a path is chosen. Points: disco's, as measured of stock clients. */
#include "candidate.h"

#include "../config/config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define S 1000000000ull

static const uint8_t key[32] = {1, 2, 3, [31] = 32}, other[32] = {9};
static struct candidates c;
static uint64_t now;

static struct tr_endpoint
at(const char *ip)
{
	struct tr_addr a;
	struct tr_endpoint e = {.remote_port = 41641};
	assert_true(parse_addr(ip, &a));
	e.family = a.family;
	memcpy(e.remote, a.ip, 16);
	return e;
}

static void
begin(const char *configured, uint16_t home)
{
	candidates_init(&c);
	now = 1000 * S;
	if (configured) {
		const struct tr_endpoint e = at(configured);
		candidates_configure(&c, &e, TR_PATH_CONFIGURED, now);
	}
	candidates_home(&c, home, key);
}

static void
heard(const char *ip)
{
	const struct tr_endpoint e = ip ? at(ip) : tr_endpoint_derp(1, key);
	candidates_heard(&c, &e, key, now);
}

static void
tell(const char *ip, enum tr_path_state state, uint32_t ms, uint64_t trust)
{
	const struct tr_path news = {.endpoint = at(ip), .state = (uint8_t)state, .origin = TR_PATH_CALLED, .latency_us = ms * 1000,
		.until = now + trust};
	candidates_tell(&c, &news, now);
}

/* What is used: an address, "derp REGION" or "none"; `twice`: with a copy by the relay. */
static void
expect(const char *what, bool twice)
{
	const struct choice v = candidates_choice(&c, now);
	char text[64] = "none";
	struct tr_addr a = {.family = v.endpoint.family};
	memcpy(a.ip, v.endpoint.remote, 16);
	if (v.endpoint.gate == TR_KIND_DERP)
		snprintf(text, sizeof(text), "derp %u", v.endpoint.remote_port);
	else if (v.endpoint.family)
		format_addr(&a, text);
	assert_string_equal(text, what);
	assert_int_equal(v.relayed && v.until <= now, twice);
}

static void
without_relay(void **state)
{
	begin(NULL, 0);
	expect("none", false);
	begin("192.0.2.1", 0);
	expect("192.0.2.1", false);
	now += 100 * S;
	heard("192.0.2.2");
	expect("192.0.2.2", false); /* roaming */
	now += 100 * S;
	expect("192.0.2.2", false); /* nothing else to send by */
	tell("192.0.2.3", TR_PATH_TRIED, 0, 0);
	expect("192.0.2.2", false);
	heard("192.0.2.4"); /* a path that is not proven: as good as the one before */
	expect("192.0.2.4", false);
	tell("192.0.2.3", TR_PATH_ALIVE, 20, 6 * S);
	expect("192.0.2.3", false);
	heard("192.0.2.4");
	expect("192.0.2.3", false); /* somebody probes: what is heard is no proof */
	tell("192.0.2.3", TR_PATH_DEAD, 0, 0);
	expect("192.0.2.3", false); /* it is trusted yet */
	now += 6 * S;
	tell("192.0.2.3", TR_PATH_DEAD, 0, 0);
	expect("192.0.2.3", false); /* heard last: no other is better */
}

static void
beside_a_relay(void **state)
{
	begin(NULL, 4);
	expect("derp 4", false);
	begin("192.0.2.1", 4);
	expect("192.0.2.1", true); /* upgrade: both, until it is heard from */
	now += S;
	heard("192.0.2.1");
	expect("192.0.2.1", false);
	now += 11 * S - 1;
	expect("192.0.2.1", false);
	now += 1;
	expect("192.0.2.1", true); /* silent for too long */
	for (unsigned i = 0; i < 16; i++) {
		heard("192.0.2.1");
		heard("192.0.2.1"); /* at the same time: says nothing of its silences */
		now += S / 5;
	}
	heard("192.0.2.1"); /* a peer that sends all the time: its silence is told soon */
	now += 599999999;
	expect("192.0.2.1", false);
	now += 1;
	expect("192.0.2.1", true);
	heard("192.0.2.1");
	now += 3 * S;
	heard("192.0.2.1");
	now += 5999999999;
	expect("192.0.2.1", false);
	now += 1;
	expect("192.0.2.1", true);
	/* Fall-back: the peer is heard by the relay alone. */
	heard("192.0.2.1");
	expect("192.0.2.1", false);
	heard(NULL);
	expect("192.0.2.1", true);
	now += 10 * S - 1;
	heard(NULL);
	expect("192.0.2.1", true);
	now += 1;
	heard(NULL);
	expect("derp 4", false);
	candidates_session(&c, now);
	expect("192.0.2.1", true); /* tried again */
	heard("192.0.2.1");
	expect("192.0.2.1", false);
}

/* A trial ends by the clock, also when nothing comes any more. */
static void
trial_ends(void **state)
{
	struct tr_path list[2];
	(void)state;
	begin("192.0.2.1", 4);
	now += 10 * S - 1;
	expect("192.0.2.1", true);
	assert_int_equal(candidates_list(&c, now, list, 2), 2);
	assert_int_equal(list[0].state, TR_PATH_TRIED);
	assert_int_equal(list[1].use, TR_PATH_COPIES);
	now += 1;
	expect("derp 4", false);
	assert_int_equal(candidates_list(&c, now, list, 2), 2);
	assert_int_equal(list[0].endpoint.gate, TR_KIND_DERP);
	assert_int_equal(list[0].why, TR_PATH_NO_DIRECT);
	assert_int_equal(list[1].state, TR_PATH_DEAD);
	assert_int_equal(list[1].use, TR_PATH_UNUSED);
	candidates_session(&c, now);
	expect("192.0.2.1", true); /* tried again */
	now += 10 * S;
	heard("192.0.2.1"); /* late, but it works */
	expect("192.0.2.1", false);
	begin("192.0.2.1", 0);
	now += 100 * S;
	expect("192.0.2.1", false); /* without a relay there is nothing else */
}

static void
asks_to_hear(void **state)
{
	begin("192.0.2.1", 4);
	heard("192.0.2.1");
	assert_int_equal(candidates_choice(&c, now).renew, now + S / 5);
	tell("192.0.2.1", TR_PATH_ALIVE, 20, 6 * S);
	now += S;
	heard("192.0.2.1");
	assert_int_equal(candidates_choice(&c, now).renew, now + 15 * S / 100); /* it is the prober's to ask */
	tell("192.0.2.1", TR_PATH_ALIVE, 200, 6 * S);
	assert_int_equal(candidates_choice(&c, now).renew, now + 3 * S / 10);
	now += 20 * S;
	assert_int_equal(candidates_choice(&c, now).renew, UINT64_MAX);
	begin("192.0.2.1", 0);
	heard("192.0.2.1");
	assert_int_equal(candidates_choice(&c, now).renew, UINT64_MAX);
}

static void
probed(void **state)
{
	begin(NULL, 4);
	tell("192.0.2.1", TR_PATH_UNTRIED, 0, 0);
	assert_false(c.probed);
	tell("192.0.2.1", TR_PATH_TRIED, 0, 0);
	expect("derp 4", false);
	tell("192.0.2.1", TR_PATH_ALIVE, 30, 6 * S);
	expect("192.0.2.1", false);
	assert_int_equal(c.why, TR_PATH_FIRST);
	now += 6 * S;
	expect("192.0.2.1", true);
	tell("192.0.2.2", TR_PATH_ALIVE, 300, 6 * S); /* slower, but there is no trusted one */
	expect("192.0.2.2", false);
	tell("192.0.2.1", TR_PATH_ALIVE, 30, 6 * S);
	expect("192.0.2.1", false);
	assert_int_equal(c.why, TR_PATH_BETTER);
	tell("192.0.2.1", TR_PATH_GONE, 0, 0);
	expect("192.0.2.2", false); /* trusted still */
	now += 6 * S;
	tell("192.0.2.2", TR_PATH_DEAD, 0, 0);
	expect("derp 4", false);
}

/* The one adopted first, and one that is answered on later: which is used? In the last column the second's turn. */
static void
points(void **state)
{
	static const struct {
		const char *first, *second;
		uint32_t first_ms, second_ms;
		bool moves;
	} row[] = {
		{"192.0.2.1", "2001:db8::1", 200, 207, true},
		{"192.0.2.1", "2001:db8::1", 200, 215, true},
		{"192.0.2.1", "2001:db8::1", 200, 223, false},
		{"192.0.2.1", "2001:db8::1", 200, 230, false},
		{"192.0.2.1", "10.0.0.1", 200, 220, true},
		{"192.0.2.1", "10.0.0.1", 200, 240, true},
		{"192.0.2.1", "10.0.0.1", 200, 262, false},
		{"192.0.2.1", "172.31.0.1", 200, 240, true},
		{"192.0.2.1", "172.32.0.1", 200, 240, false},
		{"192.0.2.1", "192.168.0.1", 200, 240, true},
		{"192.0.2.1", "169.254.0.1", 200, 280, true},
		{"192.0.2.1", "127.0.0.1", 200, 390, true},
		{"2001:db8::1", "10.0.0.1", 200, 215, true},
		{"2001:db8::1", "10.0.0.1", 200, 240, false},
		{"192.0.2.1", "192.0.2.2", 100, 99, false}, /* hysteresis */
		{"192.0.2.1", "192.0.2.2", 100, 97, true},
		{"192.0.2.1", "fd00::1", 200, 270, true},
		{"192.0.2.1", "fe80::1", 200, 320, true},
	};
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		begin(NULL, 4);
		tell(row[i].first, TR_PATH_ALIVE, row[i].first_ms, 6 * S);
		tell(row[i].second, TR_PATH_ALIVE, row[i].second_ms, 6 * S);
		expect(row[i].moves ? row[i].second : row[i].first, false);
	}
}

static void
relays(void **state)
{
	struct tr_endpoint e = tr_endpoint_derp(7, key);
	begin(NULL, 4);
	candidates_heard(&c, &e, key, now);
	expect("derp 4", false); /* its home */
	candidates_home(&c, 0, key);
	expect("derp 7", false); /* without one: where it was heard */
	candidates_home(&c, 5, key);
	expect("derp 5", false);
	const struct tr_endpoint foreign = tr_endpoint_derp(8, other);
	candidates_heard(&c, &foreign, key, now);
	assert_int_equal(c.n, 3); /* somebody else's: nothing is learned */
}

static void
full(void **state)
{
	struct tr_path list[TR_PATHS + 1];
	char ip[20];
	begin("192.0.2.1", 4);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(ip, sizeof(ip), "198.51.100.%u", i);
		tell(ip, TR_PATH_UNTRIED, 0, 0);
	}
	assert_int_equal(c.n, TR_PATHS);
	expect("192.0.2.1", true); /* the one in use and the relay stay */
	tell("198.51.100.200", TR_PATH_ALIVE, 20, S);
	expect("198.51.100.200", false);
	assert_int_equal(candidates_list(&c, now, list, TR_PATHS + 1), TR_PATHS);
	assert_int_equal(list[0].use, TR_PATH_IN_USE);
	assert_int_equal(list[0].why, TR_PATH_FIRST);
	for (unsigned i = 1; i < TR_PATHS; i++)
		assert_int_equal(list[i].use, TR_PATH_UNUSED);
	now += S;
	candidates_list(&c, now, list, TR_PATHS);
	for (unsigned i = 1; i < TR_PATHS; i++)
		assert_int_equal(list[i].use, list[i].endpoint.gate == TR_KIND_DERP ? TR_PATH_COPIES : TR_PATH_UNUSED);
	for (unsigned i = 0; i < 100; i++) { /* also the one that was moved into a gap */
		snprintf(ip, sizeof(ip), "198.51.100.%u", i);
		tell(ip, TR_PATH_GONE, 0, 0);
	}
	tell("198.51.100.200", TR_PATH_GONE, 0, 0);
	assert_int_equal(c.path[c.relay].endpoint.gate, TR_KIND_DERP);
}

static void
tell_relay(uint32_t vni, enum tr_path_state state, uint32_t ms, uint64_t trust)
{
	struct tr_path news = {.endpoint = at("192.0.2.99"), .state = (uint8_t)state, .origin = TR_PATH_PROBED, .latency_us = ms * 1000,
		.until = now + trust};
	news.endpoint.gate = TR_KIND_RELAY;
	memcpy(news.endpoint.local, &vni, sizeof(vni));
	candidates_tell(&c, &news, now);
}

/* A path by a peer relay: better than DERP, worse than any direct one; doubled while it is not trusted. */
static void
peer_relays(void **state)
{
	(void)state;
	begin(NULL, 4);
	tell_relay(1, TR_PATH_ALIVE, 20, 6 * S);
	expect("192.0.2.99", false);
	tell_relay(2, TR_PATH_ALIVE, 5, 6 * S); /* another path of the same relay is another one */
	assert_int_equal(c.n, 3);
	tell("192.0.2.1", TR_PATH_ALIVE, 200, 6 * S); /* slower, but direct */
	expect("192.0.2.1", false);
	now += 2 * S;
	tell_relay(1, TR_PATH_ALIVE, 1, 6 * S);
	expect("192.0.2.1", false);
	now += 5 * S; /* the direct one has not been answered on: a relay's answer takes over */
	expect("192.0.2.1", true);
	tell_relay(1, TR_PATH_ALIVE, 1, 6 * S);
	expect("192.0.2.99", false);
	now += 7 * S;
	expect("192.0.2.99", true);
	heard(NULL); /* by DERP: nothing is concluded from it while somebody probes */
	expect("192.0.2.99", true);
	tell_relay(1, TR_PATH_DEAD, 0, 0);
	expect("derp 4", false);
	tell_relay(1, TR_PATH_ALIVE, 1, 6 * S);
	tell_relay(1, TR_PATH_GONE, 0, 0);
	expect("derp 4", false);
}

/* Whoever probes a path that is trusted has begun to doubt it: it goes on, with a copy by the relay. */
static void
doubted(void **state)
{
	(void)state;
	begin("192.0.2.1", 4);
	tell("192.0.2.1", TR_PATH_ALIVE, 10, 6 * S);
	expect("192.0.2.1", false);
	tell("192.0.2.1", TR_PATH_TRIED, 0, 0);
	expect("192.0.2.1", true);
	tell("192.0.2.1", TR_PATH_ALIVE, 10, 6 * S);
	expect("192.0.2.1", false);
}

/* The peer sends by the relay what it would send directly: until an answer comes both have it. Not at once after an answer, and
 * less and less often when all is well. */
static void
doubted_by_the_peer(void **state)
{
	(void)state;
	begin("192.0.2.1", 4);
	tell("192.0.2.1", TR_PATH_ALIVE, 10, 6 * S);
	now += S - 1;
	heard(NULL); /* may have been on its way */
	expect("192.0.2.1", false);
	for (uint64_t hold = S; hold <= 8 * S; hold *= 2) {
		now += 1;
		tell("192.0.2.1", TR_PATH_ALIVE, 10, 6 * S);
		heard(NULL);
		expect("192.0.2.1", true);
		heard("192.0.2.1"); /* no answer: it may be older */
		expect("192.0.2.1", true);
		tell("192.0.2.1", TR_PATH_ALIVE, 10, 6 * S);
		heard(NULL);
		expect("192.0.2.1", false);
		now += (hold < 4 * S ? hold : 4 * S) - 1;
		heard(NULL);
		expect("192.0.2.1", false);
	}
	now += 20 * S;
	tell("192.0.2.1", TR_PATH_ALIVE, 10, 6 * S);
	now += 5 * S;
	heard(NULL);
	expect("192.0.2.1", true);
	tell("192.0.2.1", TR_PATH_ALIVE, 10, 6 * S);
	now += S; /* that was long ago */
	heard(NULL);
	expect("192.0.2.1", true);
}

/* A packet by a relay that nobody has bound to teaches nothing. */
static void
unknown_peer_relay(void **state)
{
	struct tr_endpoint e = at("192.0.2.99");
	(void)state;
	begin(NULL, 4);
	e.gate = TR_KIND_RELAY;
	candidates_heard(&c, &e, key, now);
	assert_int_equal(c.n, 1);
	expect("derp 4", false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_relay), cmocka_unit_test(beside_a_relay), cmocka_unit_test(asks_to_hear),
		cmocka_unit_test(probed), cmocka_unit_test(points), cmocka_unit_test(relays), cmocka_unit_test(full),
		cmocka_unit_test(trial_ends),
		cmocka_unit_test(doubted),
		cmocka_unit_test(doubted_by_the_peer),
		cmocka_unit_test(peer_relays),
		cmocka_unit_test(unknown_peer_relay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
