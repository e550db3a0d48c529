/* SPDX-License-Identifier: BSD-3-Clause */
/* The client against a router that the test plays, over hours of simulated time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "message.h"
#include "upnp.h"

#include <rte_ip.h>
#include <rte_udp.h>
#include <tailrace/fakehost.h>

#define SECOND UINT64_C(1000000000)
#define HOUR (3600 * SECOND)

extern const struct tr_plugin tr_plugin;

static const uint8_t router4[4] = {192, 168, 1, 1}, self4[4] = {192, 168, 1, 7};

/* ---- The router ---- */

static struct {
	enum portmap_version speaks;
	bool silent;
	uint8_t result;
	uint32_t granted; /* s */
	uint16_t external_port;
	uint64_t up_since;
	/* what it has seen */
	unsigned maps, releases, others;
	uint8_t nonce[12];
	uint16_t wished;
	/* by UPnP */
	bool upnp, upnp_slow, no_way, forgotten;
	int upnp_result;
	unsigned exchanges;
	struct upnp_exchange *last;
} router;

/* In place of the one that speaks to a router: done at once, or when it is told. */
struct upnp_exchange *
upnp_begin(const struct upnp_exchange *like)
{
	struct upnp_exchange *e = malloc(sizeof(*e));
	assert_non_null(e);
	memcpy(e, like, sizeof(*e));
	router.exchanges++;
	router.last = e;
	e->status = router.no_way ? UPNP_NO_WAY : router.upnp ? UPNP_OK : UPNP_NOBODY;
	e->external = (struct tr_addr){.family = 4, .ip = {203, 0, 113, 9}};
	for (unsigned i = 0; i < e->n; i++) {
		struct upnp_port *p = &e->port[i];
		p->lost = p->wish == UPNP_LOOK && router.forgotten;
		router.maps += router.upnp && (p->wish == UPNP_MAP || p->lost);
		router.releases += router.upnp && p->wish == UPNP_GIVE_UP;
		router.wished = p->external_port;
		p->result = router.upnp_result;
		p->external_port = router.external_port;
		p->lifetime = router.granted;
	}
	router.forgotten = false;
	atomic_store(&e->done, !router.upnp_slow);
	return e;
}

void
upnp_end(struct upnp_exchange *e)
{
	free(e);
	router.last = NULL;
}

static void
from_router(struct fh *h, const uint8_t source[4], uint16_t port, const void *payload, size_t len)
{
	struct rte_mbuf *m = fh_udp4(h, source, port, self4, 5350, payload, len);
	fh_send_mbufs(h, 0, "in", &m, 1);
}

static void
put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t
uptime(struct fh *h)
{
	return (uint32_t)((fh_now(h) - router.up_since) / SECOND);
}

static void
answer_nat_pmp(struct fh *h, const uint8_t *q, size_t len)
{
	uint8_t a[16] = {0, (uint8_t)(0x80 | q[1]), 0, router.result};
	put32(a + 4, uptime(h));
	if (q[0] != 0) { /* not its version */
		a[3] = NAT_PMP_UNSUPP_VERSION;
		from_router(h, router4, 5351, a, 8);
	} else if (q[1] == 0) {
		memcpy(a + 8, (uint8_t[]){203, 0, 113, 9}, 4);
		from_router(h, router4, 5351, a, 12);
	} else {
		assert_int_equal(len, 12);
		bool release = memcmp(q + 8, "\0\0\0\0", 4) == 0;
		release ? router.releases++ : router.maps++;
		router.wished = (uint16_t)(q[6] << 8 | q[7]);
		memcpy(a + 8, q + 4, 2);
		a[10] = (uint8_t)(router.external_port >> 8);
		a[11] = (uint8_t)router.external_port;
		put32(a + 12, release ? 0 : router.granted);
		from_router(h, router4, 5351, a, 16);
	}
}

static void
answer_pcp(struct fh *h, const uint8_t *q, size_t len)
{
	uint8_t a[60] = {2, (uint8_t)(0x80 | (q[1] & 0x7f)), 0, router.result};
	put32(a + 8, uptime(h));
	if (q[0] != 2) {
		a[3] = PCP_UNSUPP_VERSION;
		from_router(h, router4, 5351, a, 24);
		return;
	}
	if (memcmp(q + 20, self4, 4) != 0)
		a[3] = PCP_ADDRESS_MISMATCH;
	if (q[1] == 1) {
		assert_int_equal(len, 60);
		bool release = memcmp(q + 4, "\0\0\0\0", 4) == 0;
		release ? router.releases++ : router.maps++;
		memcpy(router.nonce, q + 24, 12);
		router.wished = (uint16_t)(q[42] << 8 | q[43]);
		memcpy(a + 24, q + 24, 36);
		put32(a + 4, a[3] ? 60 : release ? 0 : router.granted);
		a[42] = (uint8_t)(router.external_port >> 8);
		a[43] = (uint8_t)router.external_port;
		memcpy(a + 56, (uint8_t[]){203, 0, 113, 9}, 4);
	}
	from_router(h, router4, 5351, a, q[1] == 1 ? 60 : 24);
}

/* Lets time pass; the router answers within a tenth of a second. */
static void
run(struct fh *h, uint64_t ns)
{
	const uint64_t end = fh_now(h) + ns, step = SECOND / 10;
	while (fh_now(h) < end) {
		const struct fh_out *o;
		fh_advance(h, step);
		while ((o = fh_next(h)) != NULL) {
			uint8_t q[64];
			if (o->drop != NULL)
				continue;
			assert_string_equal(o->gate, "out");
			assert_int_equal(o->meta.endpoint.remote_port, 5351);
			assert_int_equal(o->meta.endpoint.local_port, 5350);
			assert_memory_equal(o->meta.endpoint.remote, router4, 4);
			assert_true(o->len <= sizeof(q));
			const size_t len = o->len;
			memcpy(q, o->data, len);
			router.others += q[1] != 1;
			if (!router.silent)
				router.speaks == PCP ? answer_pcp(h, q, len) : answer_nat_pmp(h, q, len);
		}
	}
}

static struct fh *
start(enum portmap_version speaks)
{
	memset(&router, 0, sizeof(router));
	router.speaks = speaks;
	router.granted = 7200;
	router.external_port = 40001;
	struct fh *h = fh_new(&(struct fh_config){.plugin = &tr_plugin, .options = "{router: 192.168.1.1, ports: [51820]}"});
	assert_non_null(h);
	return h;
}

#define SHOWS(h, text) shows(h, text, __LINE__)

static void
shows(struct fh *h, const char *text, int line)
{
	char *json = fh_show_json(h);
	if (strstr(json, text) == NULL) {
		fprintf(stderr, "line %d: no %s in %s\n", line, text, json);
		fail();
	}
	free(json);
}

/* ---- Tests ---- */

static void
pcp(void **state)
{
	(void)state;
	struct fh *h = start(PCP);
	run(h, 2 * SECOND);
	assert_int_equal(router.maps, 1);
	SHOWS(h, "\"PCP\"");
	SHOWS(h, "\"held\"");
	SHOWS(h, "203.0.113.9");
	SHOWS(h, "40001");
	uint8_t nonce[12];
	memcpy(nonce, router.nonce, 12);
	run(h, HOUR); /* renewed at half its life, with the nonce and the port of before */
	assert_int_equal(router.maps, 2);
	assert_memory_equal(router.nonce, nonce, 12);
	assert_int_equal(router.wished, 40001);
	fh_free(h);
}

static void
nat_pmp(void **state)
{
	(void)state;
	struct fh *h = start(NAT_PMP);
	run(h, 2 * SECOND);
	assert_int_equal(router.maps, 1);
	SHOWS(h, "NAT-PMP");
	SHOWS(h, "203.0.113.9");
	run(h, 3 * HOUR);
	assert_true(router.maps >= 3 && router.maps <= 5);
	SHOWS(h, "\"held\"");
	fh_free(h);
}

/* Nothing answers: requests become rare, and the operator is told why. */
static void
nobody(void **state)
{
	(void)state;
	struct fh *h = start(PCP);
	router.silent = true;
	run(h, 60 * SECOND);
	assert_true(router.others >= 6 && router.others <= 12);
	assert_int_equal(router.maps, 0);
	SHOWS(h, "does not answer on port 5351");
	router.silent = false;
	run(h, 600 * SECOND);
	SHOWS(h, "\"held\"");
	fh_free(h);
}

/* A router that speaks neither: UPnP, when both have been asked in vain; renewed, looked after, given up. */
static void
upnp(void **state)
{
	(void)state;
	struct fh *h = start(PCP);
	router.silent = router.upnp = true;
	run(h, SECOND);
	assert_int_equal(router.exchanges, 0);
	run(h, 5 * SECOND);
	assert_int_equal(router.maps, 1);
	SHOWS(h, "\"UPnP\"");
	SHOWS(h, "\"held\"");
	SHOWS(h, "203.0.113.9");
	SHOWS(h, "40001");
	run(h, HOUR);
	assert_int_equal(router.maps, 2);
	assert_int_equal(router.wished, 40001);
	assert_true(router.exchanges >= 55 && router.exchanges <= 65);
	router.forgotten = true;
	run(h, 65 * SECOND);
	assert_int_equal(router.maps, 3);
	assert_int_equal(fh_counter(h, "state_lost"), 1);
	assert_int_equal(fh_reconfigure(h, "{router: 192.168.1.1, ports: [3478]}"), 0);
	run(h, 2 * SECOND);
	assert_int_equal(router.releases, 1);
	SHOWS(h, "3478");
	router.upnp = false; /* gone: what was granted lasts, then is no longer said to be there */
	run(h, HOUR);
	SHOWS(h, "\"held\"");
	run(h, 2 * HOUR);
	SHOWS(h, "\"asked\"");
	fh_free(h);
}

/* An exchange that hangs holds up nothing, and its end finds an instance that has moved on. */
static void
upnp_hangs(void **state)
{
	(void)state;
	struct fh *h = start(PCP);
	router.silent = router.upnp = router.upnp_slow = true;
	run(h, 10 * SECOND);
	assert_int_equal(router.exchanges, 1);
	router.silent = false; /* PCP after all */
	run(h, 30 * SECOND);
	SHOWS(h, "\"PCP\"");
	atomic_store(&router.last->done, true);
	run(h, SECOND);
	assert_null(router.last);
	SHOWS(h, "\"PCP\"");
	fh_free(h);
}

static void
upnp_refuses(void **state)
{
	(void)state;
	struct fh *h = start(PCP);
	router.silent = router.upnp = true;
	router.upnp_result = 718;
	run(h, 10 * SECOND);
	SHOWS(h, "refuses it (UPnP result 718)");
	assert_int_equal(router.maps, 1);
	router.upnp_result = -3; /* no answer: once more, ever less often */
	run(h, 40 * SECOND);
	router.upnp_result = 0;
	run(h, 70 * SECOND);
	SHOWS(h, "\"held\"");
	fh_free(h);
	h = start(PCP);
	router.silent = router.no_way = true;
	run(h, 10 * SECOND);
	SHOWS(h, "the kernel has no way to it (UPnP)");
	fh_free(h);
}

static void
refusal(void **state)
{
	(void)state;
	struct fh *h = start(PCP);
	router.result = 2; /* not authorised */
	run(h, 50 * SECOND);
	SHOWS(h, "refuses it (PCP result 2)");
	assert_true(router.maps >= 1 && router.maps <= 2);
	router.result = 0;
	run(h, 120 * SECOND);
	SHOWS(h, "\"held\"");
	fh_free(h);
}

/* The router starts again: seen within a minute by its clock, and asked anew. */
static void
restart(void **state)
{
	(void)state;
	struct fh *h = start(PCP);
	run(h, 300 * SECOND);
	assert_int_equal(router.maps, 1);
	router.up_since = fh_now(h);
	router.external_port = 40002;
	run(h, 90 * SECOND);
	assert_int_equal(router.maps, 2);
	assert_int_equal(fh_counter(h, "state_lost"), 1);
	SHOWS(h, "40002");
	fh_free(h);
}

/* It goes away for good: the mapping lasts as long as was granted, then is no longer said to be there. */
static void
gone(void **state)
{
	(void)state;
	struct fh *h = start(NAT_PMP);
	run(h, 2 * SECOND);
	router.silent = true;
	run(h, HOUR);
	SHOWS(h, "\"held\"");
	run(h, HOUR + 600 * SECOND);
	SHOWS(h, "\"asked\"");
	fh_free(h);
}

static void
ports_change(void **state)
{
	(void)state;
	struct fh *h = start(PCP);
	run(h, 2 * SECOND);
	assert_int_equal(fh_reconfigure(h, "{router: 192.168.1.1, ports: [51821, 3478]}"), 0);
	run(h, 2 * SECOND);
	assert_int_equal(router.releases, 1);
	assert_int_equal(router.maps, 3);
	char *json = fh_show_json(h);
	assert_null(strstr(json, "51820"));
	free(json);
	fh_free(h);
}

/* A successor goes on with the nonce: to the router it is the same client. */
static void
swap(void **state)
{
	(void)state;
	struct fh *h = start(PCP);
	run(h, 2 * SECOND);
	uint8_t nonce[12];
	memcpy(nonce, router.nonce, 12);
	struct fh *next = fh_new(&(struct fh_config){.plugin = &tr_plugin, .options = "{router: 192.168.1.1, ports: [51820]}",
		.blocks_of = h});
	assert_non_null(next);
	run(next, 2 * SECOND);
	assert_int_equal(router.maps, 2);
	assert_memory_equal(router.nonce, nonce, 12);
	assert_int_equal(router.wished, 40001);
	fh_free(next);
	fh_free(h);
}

static void
forgeries(void **state)
{
	(void)state;
	struct fh *h = start(PCP);
	run(h, 2 * SECOND);
	static const uint8_t other[4] = {192, 168, 1, 2};
	uint8_t forged[60] = {2, 0x81, 0, 0, 0, 0, 0, 9, [36] = 17, [40] = 0xca, 0x6c, 1, 1};
	from_router(h, other, 5351, forged, sizeof(forged));
	fh_expect_drop(h, "foreign");
	from_router(h, router4, 5352, forged, sizeof(forged));
	fh_expect_drop(h, "foreign");
	put32(forged + 8, uptime(h));
	from_router(h, router4, 5351, forged, sizeof(forged)); /* the nonce is not known to whoever made this */
	fh_expect_drop(h, "unexpected");
	from_router(h, router4, 5351, forged, 30);
	fh_expect_drop(h, "malformed");
	SHOWS(h, "40001");
	fh_free(h);
}

static void
options(void **state)
{
	(void)state;
	static const char *const wrong[] = {"{router: 192.168.1.1, ports: [0]}", "{router: 192.168.1.1, ports: [70000]}",
		"{router: 192.168.1.1, ports: [5, 5]}", "{router: 192.168.1.1, ports: []}", "{ports: [5]}"};
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_null(fh_new(&(struct fh_config){.plugin = &tr_plugin, .options = wrong[i]}));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pcp),
		cmocka_unit_test(nat_pmp),
		cmocka_unit_test(nobody),
		cmocka_unit_test(upnp),
		cmocka_unit_test(upnp_hangs),
		cmocka_unit_test(upnp_refuses),
		cmocka_unit_test(refusal),
		cmocka_unit_test(restart),
		cmocka_unit_test(gone),
		cmocka_unit_test(ports_change),
		cmocka_unit_test(swap),
		cmocka_unit_test(forgeries),
		cmocka_unit_test(options),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
