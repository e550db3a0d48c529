/* SPDX-License-Identifier: BSD-3-Clause */
/* The class against a peer, a relay and NATs that the test plays, in simulated time. */
#include "punch_test.h"

#include <math.h>

/* A packet for the peer: we call it; it calls back; pings leave, and the first pong makes the path. */
static void
finds_a_path(void **state)
{
	(void)state;
	struct fh *h = start("");
	fh_wanted(h, peer.id);
	settle(h);
	assert_int_equal(sent.calls, 1);
	assert_int_equal(sent.message.n, 1);
	assert_int_equal(sent.message.address[0].port, 5000);
	assert_int_equal(sent.pings, 0);
	assert_int_equal(in_use(h).gate, TR_KIND_DERP);

	peer_calls(h, peer.node, addresses, 1);
	assert_string_equal(pump(h), "consumed");
	assert_int_equal(sent.pings, 1);
	assert_memory_equal(sent.to.remote, peer4, 4);
	assert_int_equal(sent.to.local_port, PORT);
	peer_pongs(h, peer4, 41641, PORT);
	assert_string_equal(pump(h), "consumed");
	assert_int_equal(in_use(h).gate, TR_KIND_UDP);
	assert_int_equal(in_use(h).flags & TR_ENDPOINT_TWICE, 0);
	fh_free(h);
}

/* One round a minute, over the direct path in use; the next heartbeat tells what it carries. */
static void
round_of(struct fh *h, unsigned answered)
{
	sent.probes = 0;
	for (int i = 0; i < 25 && sent.probes == 0; i++) {
		fh_wanted(h, peer.id);
		run(h, HEARTBEAT);
		peer_pongs(h, peer4, 41641, PORT);
		pump(h);
	}
	assert_int_equal(sent.probes, 6); /* 8,000 and 9,000 bytes have no room in packets of 4,096 */
	for (unsigned i = 0; i < answered; i++)
		peer_pongs_to_probe(h, i);
	pump(h);
	run(h, HEARTBEAT);
	peer_pongs(h, peer4, 41641, PORT);
	pump(h);
}

/* The largest that was answered; less than before only when it is seen twice in a row. */
static void
path_mtu(void **state)
{
	static const uint32_t sizes[] = {1280, 1360, 1400, 1420, 1492, 1500};
	(void)state;
	struct fh *h = start_directly();
	assert_int_equal(in_use(h).mtu, 0);
	round_of(h, 3);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(sent.probe[i].size, sizes[i] - 28);
	assert_int_equal(in_use(h).mtu, 1400 - 28);
	round_of(h, 6);
	assert_int_equal(in_use(h).mtu, 1500 - 28);
	round_of(h, 2); /* lost, perhaps */
	assert_int_equal(in_use(h).mtu, 1500 - 28);
	round_of(h, 6);
	round_of(h, 2);
	round_of(h, 2);
	run(h, HEARTBEAT);
	peer_pongs(h, peer4, 41641, PORT);
	pump(h);
	assert_int_equal(in_use(h).mtu, 1360 - 28);
	peer_pongs_to_probe(h, 5); /* too late */
	assert_string_equal(pump(h), "replayed");
	fh_free(h);
}

static void
answers_pings(void **state)
{
	static const uint8_t a[DISCO_TXID] = {1}, b[DISCO_TXID] = {2};
	(void)state;
	struct fh *h = start("");
	peer_pings(h, other4, 99, PORT, a); /* the first waits for the shared key */
	settle(h);
	assert_int_equal(sent.pongs, 1);
	assert_memory_equal(sent.pong_to.remote, other4, 4);
	assert_int_equal(sent.pong_to.remote_port, 99);
	assert_int_equal(sent.pings, 1); /* and is pinged itself */
	peer_pings(h, other4, 99, PORT, a);
	assert_string_equal(pump(h), "replayed");
	peer_pings(h, other4, 99, PORT, b);
	peer_pings(h, other4, 99, PORT, a);
	pump(h);
	assert_int_equal(sent.pongs, 3);
	assert_int_equal(fh_counter(h, "keys"), 1);
	for (int i = 0; i < 300; i++) {
		const uint8_t txid[DISCO_TXID] = {3, (uint8_t)i, (uint8_t)(i >> 8)};
		peer_pings(h, other4, 99, PORT, txid);
		pump(h);
	}
	assert_in_range(sent.pongs, 100, 140); /* no more than it may have at once */
	fh_free(h);
}

/* By a relay a ping is answered by it, and teaches no address. */
static void
pings_by_relay(void **state)
{
	static const uint8_t txid[DISCO_TXID] = {9};
	uint8_t data[DISCO_MAX];
	(void)state;
	struct fh *h = start("");
	relay_bytes(h, peer.node, data, seal(data, disco_ping(data + DISCO_PAYLOAD, txid, peer.node)));
	settle(h);
	assert_int_equal(sent.pongs, 1);
	assert_int_equal(sent.pong_to.gate, TR_KIND_DERP);
	assert_int_equal(sent.message.address[0].port, REGION);
	assert_int_equal(sent.message.address[0].addr.ip[0], 127);
	assert_int_equal(sent.pings, 0);
	fh_free(h);
}

static void
calls_are_checked(void **state)
{
	static const uint8_t stranger[32] = {0x66};
	uint8_t data[DISCO_MAX];
	(void)state;
	struct fh *h = start("");
	fh_wanted(h, peer.id);
	settle(h);
	deliver_bytes(h, peer4, 1, PORT, data, seal(data, disco_call_me_maybe(data + DISCO_PAYLOAD, addresses, 2)));
	assert_string_equal(pump(h), "call_by_udp");
	peer_calls(h, stranger, addresses, 2);
	assert_string_equal(pump(h), "wrong_node");
	assert_int_equal(sent.pings, 0);
	for (int i = 0; i < 20; i++)
		peer_calls(h, peer.node, addresses, 2);
	assert_string_equal(pump(h), "rate");
	assert_int_equal(sent.pings, 8); /* four calls at once, two addresses each */
	run(h, SECOND);
	peer_calls(h, peer.node, addresses + 1, 1); /* the first is left out: not pinged any more */
	const unsigned before = sent.pings;
	pump(h);
	assert_int_equal(sent.pings, before + 1);
	assert_memory_equal(sent.to.remote, other4, 4);
	fh_free(h);
}

/* What nobody with the keys has made changes nothing but a counter. */
static void
forgeries(void **state)
{
	static const uint8_t txid[DISCO_TXID] = {4};
	uint8_t data[DISCO_MAX], copy[DISCO_MAX];
	(void)state;
	struct fh *h = start_directly();
	const struct peer *p = peer_of(fh_self(h), peer.id);
	struct peer *before = malloc(sizeof(*before));
	memcpy(before, p, sizeof(*p));
	memset(&sent, 0, sizeof(sent));
	const size_t len = seal(data, disco_ping(data + DISCO_PAYLOAD, txid, peer.node));
	for (size_t i = 0; i < len; i++) {
		memcpy(copy, data, len);
		copy[i] ^= 0x40;
		deliver_bytes(h, other4, 99, PORT, copy, len);
	}
	assert_string_equal(pump(h), "forged");
	for (size_t n = 0; n < len; n++)
		deliver_bytes(h, other4, 99, PORT, data, n);
	pump(h);
	deliver_bytes(h, other4, 99, PORT, data, len + 1);
	assert_string_equal(pump(h), "forged");
	peer_pongs(h, peer4, 41641, PORT); /* its txid is used up */
	assert_string_equal(pump(h), "replayed");
	data[DISCO_PAYLOAD] = 10;
	data[DISCO_PAYLOAD + 1] = 0;
	deliver_bytes(h, other4, 99, PORT, data, seal(data, 2));
	assert_string_equal(pump(h), "other_type");
	data[DISCO_PAYLOAD] = 1;
	deliver_bytes(h, other4, 99, PORT, data, seal(data, 13));
	assert_string_equal(pump(h), "too_short");
	static uint8_t large[1472]; /* as much as an Ethernet frame holds */
	memcpy(large, data, DISCO_PAYLOAD);
	deliver_bytes(h, other4, 99, PORT, large, sizeof(large));
	assert_string_equal(pump(h), "forged");
	assert_int_equal(sent.pings + sent.pongs + sent.calls + sent.others, 0);
	assert_memory_equal(before, p, sizeof(*p));
	/* One that is what it says, but padded: answered by a pong of the usual size. */
	memset(large, 0, sizeof(large));
	disco_ping(large + DISCO_PAYLOAD, txid, peer.node);
	deliver_bytes(h, peer4, 41641, PORT, large, seal(large, sizeof(large) - DISCO_PAYLOAD));
	assert_string_equal(pump(h), "consumed");
	assert_int_equal(sent.pongs, 1);
	free(before);
	fh_free(h);
}

/* A peer that goes, and another that gets its id. */
static void
peers_come_and_go(void **state)
{
	static const uint8_t txid[DISCO_TXID] = {4};
	(void)state;
	struct fh *h = start("");
	fh_wanted(h, peer.id);
	settle(h);
	fh_peer_remove(h, peer.id);
	run(h, 10 * SECOND);
	peer_pings(h, peer4, 1, PORT, txid);
	assert_string_equal(pump(h), "unknown_sender");
	fh_free(h);
}

/* ---- The search ---- */

static void
formula(void **state)
{
	(void)state;
	/* nat.md's table: N = 64512 and 28232 */
	assert_true(fabs(search_chance(64512, 256, 175) - 0.50) < 0.005);
	assert_true(fabs(search_chance(64512, 256, 577) - 0.90) < 0.005);
	assert_true(fabs(search_chance(64512, 256, 1148) - 0.99) < 0.001);
	assert_true(fabs(search_chance(64512, 64, 64) - 0.062) < 0.002);
	assert_true(fabs(search_chance(28232, 128, 256) - 0.689) < 0.002);
}

/* Our NAT gives each local port another one outside; the peer pings what it is called with. How many calls until a hit? 0:
 * none. *pings: packets of ours. */
static unsigned
search(struct fh *h, unsigned seed, unsigned *pings)
{
	static uint16_t open_ports[65536]; /* local port - PROBE + 1 */
	static uint16_t guessed[65536];
	unsigned n_guessed = 0, rounds = 0, repeats = 0;
	memset(open_ports, 0, sizeof(open_ports));
	memset(guessed, 0, sizeof(guessed));
	srand(seed);
	*pings = 0;
	for (uint64_t t = 0; t < 20 * SECOND; t += 20 * MS) {
		const struct fh_out *o;
		fh_advance(h, 20 * MS);
		while ((o = fh_next(h)) != NULL) {
			if (o->drop != NULL)
				continue;
			note(o);
			if (sent.message.type == DISCO_PING && o->meta.endpoint.local_port != PORT) {
				unsigned outside;
				do
					outside = 1024 + (unsigned)rand() % 64512;
				while (open_ports[outside] != 0);
				open_ports[outside] = (uint16_t)(o->meta.endpoint.local_port - PROBE + 1);
				++*pings;
			}
			if (sent.message.type != DISCO_CALL_ME_MAYBE || sent.message.n < 10)
				continue;
			rounds++;
			for (unsigned i = 1; i < sent.message.n; i++) {
				const uint16_t port = sent.message.address[i].port;
				repeats += guessed[port]++ != 0;
				n_guessed++;
				if (open_ports[port] == 0)
					continue;
				const uint16_t local = (uint16_t)(PROBE + open_ports[port] - 1);
				const uint8_t txid[DISCO_TXID] = {(uint8_t)seed, 1};
				peer_pings(h, peer4, 41641, local, txid);
				pump(h);
				assert_int_equal(sent.pong_to.local_port, local);
				assert_int_equal(sent.to.local_port, local);
				peer_pongs(h, peer4, 41641, local);
				pump(h);
				assert_int_equal(in_use(h).local_port, local);
				assert_int_equal(repeats, 0);
				return rounds;
			}
		}
	}
	assert_int_equal(repeats, 0);
	return 0;
}

/* A heartbeat, whose pong shows us at that port outside. Was the core told? */
static bool
beat_told(struct fh *h, uint16_t outside)
{
	const uint64_t before = fh_counter(h, "seen_elsewhere");
	fh_wanted(h, peer.id);
	run(h, HEARTBEAT);
	peer_sees(h, peer4, 41641, PORT, outside);
	pump(h);
	run(h, 20 * MS); /* control */
	return fh_counter(h, "seen_elsewhere") > before;
}

/* The core is told when a pong shows us where nobody has: not too often, of each such place once a minute, and not behind a NAT
 * that shows each peer another. */
static void
seen_elsewhere(void **state)
{
	struct tr_own_endpoint own = {.address = {{.family = 4, .ip = {203, 0, 113, 10}}, 6000}, .kind = TR_OWN_STUN};
	(void)state;
	struct fh *h = start_directly();
	assert_false(beat_told(h, 5000));
	assert_true(beat_told(h, 6000));
	assert_false(beat_told(h, 7000)); /* 10 s have not passed */
	run(h, 10 * SECOND);
	assert_false(beat_told(h, 6000)); /* nor a minute */
	assert_true(beat_told(h, 7000));
	run(h, 60 * SECOND);
	assert_true(beat_told(h, 6000));
	run(h, 60 * SECOND);
	fh_own_endpoints(h, &own, 1); /* a server was asked */
	assert_false(beat_told(h, 6000));
	own.varies = true;
	fh_own_endpoints(h, &own, 1);
	assert_false(beat_told(h, 8000));
	fh_free(h);
}

static struct fh *
hard(const char *more)
{
	struct fh *h = start(more);
	const struct tr_own_endpoint own = {.address = {{.family = 4, .ip = {203, 0, 113, 10}}, 5000}, .kind = TR_OWN_STUN, .varies = true};
	fh_own_endpoints(h, &own, 1);
	fh_wanted(h, peer.id);
	settle(h);
	return h;
}

/* As often as the formula says, within four standard deviations. */
static void
searches(void **state)
{
	enum { TRIALS = 150 };
	const unsigned guesses = DISCO_ADDRESSES - 1; /* one place is our own address's */
	unsigned hit[16] = {0}, pings;
	(void)state;
	for (unsigned seed = 0; seed < TRIALS; seed++) {
		struct fh *h = hard(", probe_ports: 20000");
		peer_calls(h, peer.node, addresses, 1);
		const unsigned round = search(h, seed, &pings);
		assert_int_equal(pings, SEARCH_PORTS);
		for (unsigned r = round; round != 0 && r < 16; r++)
			hit[r]++;
		assert_int_equal(fh_counter(h, "search_hits"), round != 0);
		fh_free(h);
	}
	for (unsigned r = 1; r <= 14; r += r < 2 ? 1 : 4) {
		const double p = search_chance(64512, SEARCH_PORTS, guesses * r), measured = (double)hit[r] / TRIALS;
		print_message("%2u calls: %.3f of %d searches, formula %.3f\n", r, measured, TRIALS, p);
		assert_true(fabs(measured - p) < 4 * sqrt(p * (1 - p) / TRIALS) + 1.0 / TRIALS);
	}
}

/* Not when the peer's NAT is hard, too; not without ports; and after a failure not for a minute. */
static void
searches_not(void **state)
{
	const struct tr_sockaddr two[] = {{{.family = 4, .ip = {203, 0, 113, 11}}, 100}, {{.family = 4, .ip = {203, 0, 113, 11}}, 200}};
	(void)state;
	struct fh *h = hard(", probe_ports: 20000");
	peer_calls(h, peer.node, two, 2);
	run(h, 30 * SECOND);
	assert_true(sent.pings < 60);
	fh_free(h);
	h = hard("");
	peer_calls(h, peer.node, addresses, 1);
	run(h, 30 * SECOND);
	assert_int_equal(fh_counter(h, "searches"), 0);
	fh_free(h);
	h = hard(", probe_ports: 20000");
	peer_calls(h, peer.node, addresses, 1);
	for (int i = 0; i < 70; i++) {
		fh_wanted(h, peer.id);
		run(h, SECOND);
	}
	assert_int_equal(fh_counter(h, "searches"), 1);
	for (int i = 0; i < 20; i++) {
		fh_wanted(h, peer.id);
		run(h, SECOND);
	}
	assert_int_equal(fh_counter(h, "searches"), 2);
	fh_free(h);
}

/* What three servers saw one after the other, and the ports that come next. */
static void
predictions(void **state)
{
	static const struct {
		uint16_t seen[3], next, n;
		bool same_address;
	} v[] = {
		{{2000, 2001, 2002}, 2003, 20, true},
		{{2000, 2002, 2004}, 2006, 20, true},
		{{5000, 4999, 4998}, 4997, 20, true},
		{{2000, 2001}, 2002, 20, true},            /* two servers */
		{{65530, 65532, 65534}, 0, 0, true},       /* nothing follows */
		{{65500, 65510, 65520}, 65530, 1, true},
		{{2000, 2001, 2003}, 0, 0, true},
		{{2000, 2000, 2000}, 0, 0, true},
		{{2000, 40000, 12345}, 0, 0, true},
		{{2000, 2017, 2034}, 0, 0, true},          /* further apart than is believed */
		{{2000, 2001, 2002}, 0, 0, false},         /* of different addresses outside */
		{{2000}, 0, 0, true},
	};
	(void)state;
	for (unsigned i = 0; i < sizeof(v) / sizeof(*v); i++) {
		struct tr_own_endpoint own[4] = {{.address = {{.family = 4, .ip = {10, 1, 0, 10}}, 41641}, .kind = TR_OWN_LOCAL}};
		struct tr_sockaddr guess[DISCO_ADDRESSES];
		unsigned n = 1;
		for (unsigned k = 0; k < 3 && v[i].seen[k] != 0; k++)
			own[n++] = (struct tr_own_endpoint){.kind = TR_OWN_STUN, .varies = true,
				.address = {{.family = 4, .ip = {203, 0, 113, v[i].same_address ? 10 : (uint8_t)k}}, v[i].seen[k]}};
		assert_int_equal(search_predict(own, n, guess, DISCO_ADDRESSES), v[i].n);
		if (v[i].n == 0)
			continue;
		assert_int_equal(guess[0].port, v[i].next);
		assert_int_equal(guess[0].addr.ip[3], 10);
		assert_int_equal(search_predict(own, n, guess, 1), 1);
		own[1].varies = false; /* seen alike by all */
		own[2].varies = own[3].varies = false;
		assert_int_equal(search_predict(own, n, guess, DISCO_ADDRESSES), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_a_path),
		cmocka_unit_test(answers_pings),
		cmocka_unit_test(pings_by_relay),
		cmocka_unit_test(calls_are_checked),
		cmocka_unit_test(forgeries),
		cmocka_unit_test(peers_come_and_go),
		cmocka_unit_test(formula),
		cmocka_unit_test(path_mtu),
		cmocka_unit_test(seen_elsewhere),
		cmocka_unit_test(searches),
		cmocka_unit_test(searches_not),
		cmocka_unit_test(predictions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
