/* SPDX-License-Identifier: BSD-3-Clause */
/* When the path in use is pinged, and when it is trusted no more. */
#include "punch_test.h"

/* Heartbeats every 3 s as long as something is sent; answered, the path is trusted; unanswered, it is not, and the peer is
 * called again. */
static void
heartbeats(void **state)
{
	(void)state;
	struct fh *h = start_directly();
	for (int beat = 0; beat < 5; beat++) {
		const unsigned before = sent.pings;
		run(h, HEARTBEAT);
		assert_int_equal(sent.pings, before + 1);
		peer_pongs(h, peer4, 41641, PORT);
		pump(h);
		assert_int_equal(in_use(h).flags & TR_ENDPOINT_TWICE, 0);
	}
	assert_int_equal(sent.calls, 1);
	run(h, 7 * SECOND); /* no pong */
	assert_int_not_equal(in_use(h).flags & TR_ENDPOINT_TWICE || in_use(h).gate == TR_KIND_DERP, 0);
	run(h, 3 * SECOND);
	assert_int_equal(in_use(h).gate, TR_KIND_DERP); /* given up */
	assert_true(sent.calls > 1);
	run(h, 30 * SECOND); /* nothing was sent for 45 s */
	const unsigned before = sent.pings + sent.calls;
	run(h, 20 * SECOND);
	assert_int_equal(sent.pings + sent.calls, before);
	fh_free(h);
}

/* A pong that is overdue: DERP has copies from then on, and no longer when one comes. */
static void
overdue(void **state)
{
	(void)state;
	struct fh *h = start_directly();
	run(h, HEARTBEAT + OVERDUE - 100 * MS);
	assert_int_equal(in_use(h).flags & TR_ENDPOINT_TWICE, 0);
	run(h, 200 * MS);
	assert_int_equal(in_use(h).gate, TR_KIND_UDP);
	assert_int_not_equal(in_use(h).flags & TR_ENDPOINT_TWICE, 0);
	assert_int_equal(fh_counter(h, "doubts"), 1);
	peer_pongs(h, peer4, 41641, PORT);
	pump(h);
	assert_int_equal(in_use(h).flags & TR_ENDPOINT_TWICE, 0);
	run(h, HEARTBEAT - OVERDUE); /* the next heartbeat; nothing is overdue */
	assert_int_equal(fh_counter(h, "doubts"), 1);
	fh_free(h);
}

/* The transport has heard the peer: directly, or by DERP. */
static void
learn(struct tr_node *node, uint32_t id, uint64_t directly)
{
	struct tr_endpoint e = tr_endpoint_derp(REGION, peer.node);
	if (directly) {
		e = (struct tr_endpoint){.family = 4, .remote_port = 41641, .local_port = PORT};
		memcpy(e.remote, peer4, 4);
		memcpy(e.local, self4, 4);
	}
	node->host->path_learn(node, id, &e);
}

static void
heard(struct fh *h, bool directly)
{
	struct tr_node *node = fh_node(h, 0, "in");
	assert_int_equal(node->host->post_peer(node->instance, peer.id, learn, directly), 0);
	run(h, 20 * MS);
}

static void
send_for(struct fh *h, uint64_t ns, bool answered)
{
	for (uint64_t t = 0; t < ns; t += 20 * MS) {
		const unsigned before = sent.pings;
		fh_wanted(h, peer.id);
		run(h, 20 * MS);
		if (answered && sent.pings != before)
			peer_pongs(h, peer4, 41641, PORT);
		pump(h);
	}
}

/* Something goes out over the trusted path, and nothing comes back: it is pinged at once, and doubted if that is not answered. */
static void
silent(void **state)
{
	(void)state;
	struct fh *h = start_directly();
	for (int i = 0; i < 5; i++) { /* data both ways */
		run(h, 200 * MS);
		heard(h, true);
		fh_wanted(h, peer.id);
	}
	assert_int_equal(sent.pings, 1);
	send_for(h, QUIET - 40 * MS, false);
	assert_int_equal(sent.pings, 1);
	send_for(h, 100 * MS, false);
	assert_int_equal(sent.pings, 2);
	assert_int_equal(in_use(h).flags & TR_ENDPOINT_TWICE, 0);
	send_for(h, OVERDUE, false);
	assert_int_not_equal(in_use(h).flags & TR_ENDPOINT_TWICE, 0);
	assert_int_equal(sent.pings, 3);
	send_for(h, 2 * SECOND, false);
	assert_in_range(sent.pings, 5, 3 + 2 * SECOND / QUIET + 2); /* a heartbeat, and once more after the call */
	peer_pongs(h, peer4, 41641, PORT);
	pump(h);
	assert_int_equal(in_use(h).flags & TR_ENDPOINT_TWICE, 0);
	fh_free(h);
}

/* Of a flow that goes one way only hardly more is asked than without; as soon as data comes again, it counts again. */
static void
one_way(void **state)
{
	(void)state;
	struct fh *h = start_directly();
	send_for(h, 60 * SECOND, true);
	assert_in_range(sent.pings, 1 + 60 / 3, 1 + 60 / 3 + 5);
	assert_int_equal(sent.calls, 1);
	assert_int_equal(fh_counter(h, "doubts"), 0);
	for (int i = 0; i < 35; i++) {
		heard(h, true);
		send_for(h, 200 * MS, true);
	}
	const unsigned before = sent.pings;
	send_for(h, QUIET, false);
	assert_int_equal(sent.pings, before + 1);
	fh_free(h);
}

/* A call names where we are: the peer is called again at once when that has changed, else not so soon. */
static void
moved(void **state)
{
	const struct tr_own_endpoint own = {.address = {{.family = 4, .ip = {203, 0, 113, 77}}, 6000}, .kind = TR_OWN_STUN};
	(void)state;
	struct fh *h = start("");
	fh_wanted(h, peer.id);
	fh_run_jobs(h);
	pump(h);
	assert_int_equal(sent.calls, 1);
	send_for(h, 2 * SECOND, false);
	assert_int_equal(sent.calls, 1);
	fh_own_endpoints(h, &own, 1);
	send_for(h, 40 * MS, false);
	assert_int_equal(sent.calls, 2);
	send_for(h, CALL_GAP - 100 * MS, false);
	assert_int_equal(sent.calls, 2);
	fh_free(h);
}

/* What the peer sends by DERP says that it does not trust the path. */
static void
peer_doubts(void **state)
{
	(void)state;
	struct fh *h = start_directly();
	run(h, 1100 * MS);
	heard(h, true);
	assert_int_equal(in_use(h).flags & TR_ENDPOINT_TWICE, 0);
	heard(h, false);
	assert_int_not_equal(in_use(h).flags & TR_ENDPOINT_TWICE, 0);
	fh_wanted(h, peer.id);
	pump(h);
	assert_int_equal(sent.pings, 2);
	assert_int_equal(sent.calls, 1); /* nothing else is tried yet */
	peer_pongs(h, peer4, 41641, PORT);
	pump(h);
	assert_int_equal(in_use(h).flags & TR_ENDPOINT_TWICE, 0);
	run(h, 1100 * MS);
	heard(h, false);
	send_for(h, OVERDUE + 100 * MS, false);
	assert_int_not_equal(in_use(h).flags & TR_ENDPOINT_TWICE, 0);
	fh_free(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heartbeats), cmocka_unit_test(overdue),
		cmocka_unit_test(silent), cmocka_unit_test(one_way), cmocka_unit_test(peer_doubts),
		cmocka_unit_test(moved),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
