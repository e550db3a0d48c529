/* SPDX-License-Identifier: BSD-3-Clause */
/* Handshakes and sessions of two instances; packets in, packets or a drop reason out. */
#include "pair_test.h"

bool room_elsewhere;

static void
test_both_roles(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct network *n = network_new((struct network_config){.v6 = v6});
		say(&n->a, 60, 7);
		assert_int_equal(n->a.wire_n, 0);
		assert_int_equal(fh_held(n->a.h), 1);
		fh_run_jobs(n->a.h);
		side_take(&n->a);
		assert_int_equal(n->a.wire_n, 1);
		assert_int_equal(n->a.wire[0].len, 148);
		assert_int_equal(n->a.wire[0].tos, 0x88);
		assert_int_equal(n->a.wire[0].to.family, v6 ? 6 : 4);
		carry(&n->a, &n->b);
		assert_int_equal(n->b.wire_n, 0);
		fh_run_jobs(n->b.h);
		side_take(&n->b);
		assert_int_equal(n->b.wire_n, 1);
		assert_int_equal(n->b.wire[0].len, 92);
		say(&n->b, 80, 8); /* may not be sent before the initiator has been heard */
		assert_int_equal(n->b.wire_n, 1);
		carry(&n->b, &n->a);
		fh_run_jobs(n->a.h);
		side_take(&n->a);
		assert_int_equal(n->a.wire_n, 1); /* the staged packet confirms */
		assert_int_equal(n->a.wire[0].len, 16 + 64 + 16);
		assert_int_equal(n->a.wire[0].tos, 0);
		settle(n);
		expect(&n->b, 60, 7);
		expect(&n->a, 80, 8);
		assert_int_equal(fh_counter(n->a.h, "sessions"), 1);
		assert_int_equal(fh_counter(n->b.h, "sessions"), 1);
		network_free(n);
	}
}

static void
test_v6_inside(void **state)
{
	struct network *n = network_new((struct network_config){0});
	uint8_t p[50] = {0x60, 0, 0, 0, 0, 10, 59, 64, 0xfd, [23] = 1, [24] = 0xfd, [39] = 2};
	connect_both(n);
	fh_send(n->a.h, "plain", p, sizeof(p));
	settle(n);
	struct datagram d = hear(&n->b);
	assert_int_equal(d.len, 50);
	assert_memory_equal(d.data, p, 50);
	network_free(n);
}

static void
test_psk(void **state)
{
	struct tr_secret psk;
	char good[128], bad[128];
	memset(psk.b, 0x66, 32);
	snprintf(good, sizeof(good), ", preshared_key: %s", fh_secret(psk.b));
	memset(psk.b, 0x67, 32);
	snprintf(bad, sizeof(bad), ", preshared_key: %s", fh_secret(psk.b));

	struct network *n = network_new((struct network_config){.a_peer = good, .b_peer = good});
	connect_both(n);
	network_free(n);

	n = network_new((struct network_config){.a_peer = good, .b_peer = bad});
	say(&n->a, 60, 1);
	settle(n);
	assert_int_equal(fh_drops(n->a.h, "bad_handshake"), 1);
	assert_int_equal(n->b.plain_n, 0);
	network_free(n);
}

static void
test_padding(void **state)
{
	struct network *n = network_new((struct network_config){0});
	connect_both(n);
	static const struct { uint16_t plain, cipher; } sizes[] = {
		{20, 32 + 32}, {32, 32 + 32}, {33, 48 + 32}, {1408, 1408 + 32}, {1409, 1420 + 32}, {1420, 1420 + 32}};
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		say(&n->a, sizes[i].plain, (uint8_t)i);
		assert_int_equal(n->a.wire[0].len, sizes[i].cipher);
		settle(n);
		assert_int_equal(hear(&n->b).len, sizes[i].plain);
	}
	network_free(n);
}

/* The initiator asks for a new session after 120 s of use, and no packet is lost over it. */
static void
test_rekey(void **state)
{
	struct network *n = network_new((struct network_config){0});
	connect_both(n);
	for (int i = 0; i < 400; i++) {
		pass(n, SECONDS(1));
		say(&n->a, 60, 5);
		say(&n->b, 60, 6);
		settle(n);
		expect(&n->a, 60, 6);
		expect(&n->b, 60, 5);
	}
	assert_int_equal(fh_counter(n->a.h, "initiations_sent"), 4); /* at 0, 120, 241 and 362 s or so */
	assert_int_equal(fh_counter(n->b.h, "initiations_sent"), 0);
	assert_int_equal(fh_drops(n->a.h, "replayed"), 0);
	network_free(n);
}

/* Only receiving, the initiator renews the session in its last minute. */
static void
test_last_minute(void **state)
{
	struct network *n = network_new((struct network_config){0});
	connect_both(n);
	for (int i = 0; i < 170; i++) {
		pass(n, SECONDS(1));
		n->a.wire_n = 0;
		if (i == 50 || i == 164) {
			say(&n->b, 60, 1);
			settle(n);
		}
	}
	/* a's passive keepalive at 60 s is no data: after 165 s the next packet received makes it initiate */
	say(&n->b, 60, 1);
	settle(n);
	assert_in_range(fh_counter(n->a.h, "initiations_sent"), 2, 2);
	network_free(n);
}

static void
test_passive_keepalive(void **state)
{
	struct network *n = network_new((struct network_config){0});
	connect_both(n); /* a received last */
	pass(n, SECONDS(9));
	assert_int_equal(fh_counter(n->a.h, "keepalives_sent"), 0);
	pass(n, SECONDS(2));
	assert_int_equal(fh_counter(n->a.h, "keepalives_sent"), 1);
	assert_int_equal(fh_drops(n->b.h, "keepalive"), 1);
	pass(n, SECONDS(60));
	assert_int_equal(fh_counter(n->a.h, "keepalives_sent"), 1); /* no ping-pong */
	assert_int_equal(fh_counter(n->b.h, "keepalives_sent"), 0);
	assert_int_equal(fh_counter(n->a.h, "initiations_sent"), 1);
	network_free(n);
}

/* Sent, and nothing heard for 15 s: a new handshake. */
static void
test_dead_peer(void **state)
{
	struct network *n = network_new((struct network_config){0});
	connect_both(n);
	pass(n, SECONDS(20));
	say(&n->a, 60, 1);
	n->a.wire_n = 0; /* lost */
	fh_advance(n->a.h, SECONDS(14));
	side_take(&n->a);
	assert_int_equal(fh_counter(n->a.h, "initiations_sent"), 1);
	fh_advance(n->a.h, SECONDS(2));
	assert_int_equal(fh_counter(n->a.h, "initiations_sent"), 2);
	assert_int_equal(fh_counter(n->a.h, "unanswered"), 0); /* it was heard before */
	settle(n);
	say(&n->a, 60, 1);
	n->a.wire_n = 0; /* the new session's first data is lost, too */
	fh_advance(n->a.h, SECONDS(16));
	assert_int_equal(fh_counter(n->a.h, "initiations_sent"), 3);
	assert_int_equal(fh_counter(n->a.h, "unanswered"), 1);
	network_free(n);
}

static void
test_persistent_keepalive(void **state)
{
	struct network *n = network_new((struct network_config){.a_peer = ", persistent_keepalive: 25s"});
	settle(n); /* at once: handshake, and an empty packet */
	assert_int_equal(fh_counter(n->a.h, "keepalives_sent"), 1);
	pass(n, SECONDS(101));
	assert_int_equal(fh_counter(n->a.h, "keepalives_sent"), 5);
	pass(n, SECONDS(400));
	assert_in_range(fh_counter(n->a.h, "initiations_sent"), 3, 5);
	assert_int_equal(fh_counter(n->b.h, "initiations_sent"), 0);
	network_free(n);
}

static void
test_roaming(void **state)
{
	struct network *n = network_new((struct network_config){.b_peer = ", endpoint: 192.0.2.99:1"});
	struct tr_endpoint e;
	connect_both(n);
	fh_path(n->b.h, 1, &e);
	assert_int_equal(e.remote[3], 1);
	n->a.port = 4444;
	n->a.octet = 77; /* only outside: `say` takes addresses of its own */
	say_from(&n->a, 1, 2, 60, 3);
	settle(n);
	expect(&n->b, 60, 3);
	fh_path(n->b.h, 1, &e);
	assert_int_equal(e.remote[3], 77);
	assert_int_equal(e.remote_port, 4444);
	assert_int_equal(e.local[3], 2); /* answers leave from the address that was spoken to */
	say_from(&n->b, 2, 1, 60, 4);
	assert_int_equal(n->b.wire[0].to.remote_port, 4444);
	settle(n);
	expect(&n->a, 60, 4);

	/* What fails authentication, or is replayed, moves nothing. */
	say_from(&n->a, 1, 2, 60, 3);
	struct datagram good = n->a.wire[0], bad = good;
	carry(&n->a, &n->b);
	n->a.port = 5555;
	side_receive(&n->b, &n->a, &good);
	bad.data[20] ^= 1;
	side_receive(&n->b, &n->a, &bad);
	fh_path(n->b.h, 1, &e);
	assert_int_equal(e.remote_port, 4444);
	assert_int_equal(fh_drops(n->b.h, "replayed"), 1);
	assert_int_equal(fh_drops(n->b.h, "forged"), 1);
	network_free(n);
}

/* Both ends speak through a relay, a second kind of endpoint; then over UDP again. */
static void
test_relay(void **state)
{
	struct network *n = network_new((struct network_config){0});
	struct tr_endpoint e;
	connect_both(n);
	n->a.gate = n->b.gate = 3;
	for (int i = 0; i <= 11; i++) { /* the direct path is given up once nothing came by it for 10 s */
		fh_path(n->a.h, 1, &e);
		assert_int_equal(e.gate, i < 10 ? 0 : 3);
		assert_int_equal(e.flags, i == 0 || i >= 10 ? 0 : TR_ENDPOINT_TWICE | TR_ENDPOINT_ASK);
		for (int k = 0; k < 2; k++) {
			struct side *from = k ? &n->b : &n->a, *to = k ? &n->a : &n->b;
			say(from, 60, 1);
			if (i == 0)
				from->wire[0].to = (struct tr_endpoint){.family = 4, .gate = 3, .remote = {to->octet}};
			carry(from, to);
			expect(to, 60, 1);
		}
		fh_advance(n->a.h, SECONDS(1));
		fh_advance(n->b.h, SECONDS(1));
	}
	for (int i = 0; i < 130; i++) { /* a session is renewed there, too; then the direct path is tried again */
		pass(n, SECONDS(1));
		say(&n->b, 60, 2);
		if (n->b.wire[0].to.gate == 3)
			assert_int_equal(n->b.wire[0].to.local_port, 7); /* not ours to write */
		else
			assert_in_range(i, 105, 129);
		settle(n);
		expect(&n->a, 60, 2);
		say(&n->a, 60, 3);
		settle(n);
		expect(&n->b, 60, 3);
	}
	assert_int_equal(fh_counter(n->a.h, "sessions"), 2);
	n->a.gate = n->b.gate = 0;
	say(&n->a, 60, 4);
	n->a.wire[0].to = (struct tr_endpoint){.family = 4, .remote_port = 51820};
	settle(n);
	expect(&n->b, 60, 4);
	fh_path(n->b.h, 1, &e);
	assert_int_equal(e.gate, 0);
	network_free(n);
}

/* 8,128 packets may overtake each other. */
static void
test_reordering(void **state)
{
	struct network *n = network_new((struct network_config){0});
	connect_both(n);
	say(&n->a, 60, 1);
	struct datagram first = n->a.wire[0];
	n->a.wire_n = 0;
	for (int i = 0; i < 8127; i++) {
		say(&n->a, 60, 2);
		n->a.wire_n = 0;
	}
	say(&n->a, 60, 3);
	settle(n);
	expect(&n->b, 60, 3);
	side_receive(&n->b, &n->a, &first); /* exactly 8,128 behind */
	expect(&n->b, 60, 1);
	side_receive(&n->b, &n->a, &first);
	assert_int_equal(n->b.plain_n, 0);
	assert_int_equal(fh_drops(n->b.h, "replayed"), 1);
	network_free(n);
}

static void
test_ecn(void **state)
{
	struct network *n = network_new((struct network_config){0});
	static const struct { uint8_t inner, outer, out; bool drop; } cases[] = {{0, 0, 0, false}, {1, 0, 1, false},
		{2, 0, 2, false}, {3, 0, 3, false}, {0, 1, 0, false}, {1, 1, 1, false}, {2, 1, 1, false}, {3, 1, 3, false},
		{0, 2, 0, false}, {1, 2, 1, false}, {2, 2, 2, false}, {3, 2, 3, false}, {0, 3, 0, true}, {1, 3, 3, false},
		{2, 3, 3, false}, {3, 3, 3, false}};
	connect_both(n);
	for (unsigned i = 0; i < 16; i++) {
		uint8_t p[40] = {0x45, (uint8_t)(0xb8 | cases[i].inner), 0, 40, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
		uint32_t sum = 0;
		for (int k = 0; k < 20; k += 2)
			sum += (uint32_t)(p[k] << 8 | p[k + 1]);
		sum = ~((sum & 0xffff) + (sum >> 16));
		p[10] = (uint8_t)(sum >> 8), p[11] = (uint8_t)sum;
		fh_send(n->a.h, "plain", p, sizeof(p));
		side_take(&n->a);
		assert_int_equal(n->a.wire[0].tos, cases[i].inner); /* DSCP 0, ECN of the inner header */
		n->b.tos = (uint8_t)(0x40 | cases[i].outer);
		carry(&n->a, &n->b);
		if (cases[i].drop) {
			assert_int_equal(n->b.plain_n, 0);
			continue;
		}
		struct datagram d = hear(&n->b);
		assert_int_equal(d.data[1], 0xb8 | cases[i].out);
		sum = 0;
		for (int k = 0; k < 20; k += 2)
			sum += (uint32_t)(d.data[k] << 8 | d.data[k + 1]);
		assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
	}
	assert_int_equal(fh_drops(n->b.h, "bad_ecn"), 1);
	network_free(n);
}

static void
test_inner_checks(void **state)
{
	struct network *n = network_new((struct network_config){0});
	connect_both(n);
	say_from(&n->a, 9, 2, 60, 1); /* not a's address */
	settle(n);
	assert_int_equal(fh_drops(n->b.h, "wrong_source"), 1);
	say_from(&n->a, 1, 9, 60, 1); /* no peer's address */
	assert_int_equal(fh_drops(n->a.h, "no_peer"), 1);
	fh_send(n->a.h, "plain", FH_BYTES("45"));
	fh_send(n->a.h, "plain", FH_BYTES("00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"));
	fh_send(n->a.h, "plain", FH_BYTES("45 00 00 15 00 00 00 00 40 11 00 00 0a 00 00 01 0a 00 00 02"));
	side_take(&n->a);
	assert_int_equal(fh_drops(n->a.h, "bad_ip"), 3);
	assert_int_equal(n->a.wire_n, 0);
	network_free(n);
}

/* The bytes after the packet's own length, padding or not, don't come out. */
static void
test_trimming(void **state)
{
	struct network *n = network_new((struct network_config){0});
	uint8_t p[90] = {0x45, 0, 0, 25, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 42};
	connect_both(n);
	fh_send(n->a.h, "plain", p, sizeof(p));
	settle(n);
	expect(&n->b, 25, 42);
	network_free(n);
}

static void
test_expiry_and_erasure(void **state)
{
	struct network *n = network_new((struct network_config){0});
	connect_both(n);
	say(&n->a, 60, 1);
	struct datagram old = n->a.wire[0];
	n->a.wire_n = 0;
	fh_advance(n->b.h, SECONDS(179));
	side_take(&n->b);
	n->b.wire_n = 0;
	side_receive(&n->b, &n->a, &old);
	expect(&n->b, 60, 1);
	say(&n->a, 60, 2);
	old = n->a.wire[0];
	n->a.wire_n = 0;
	fh_advance(n->b.h, SECONDS(2));
	side_receive(&n->b, &n->a, &old);
	assert_int_equal(fh_drops(n->b.h, "expired"), 1);
	fh_advance(n->b.h, SECONDS(540));
	side_receive(&n->b, &n->a, &old);
	assert_int_equal(fh_drops(n->b.h, "unknown_index"), 1); /* the keys are gone */
	network_free(n);
}

/* Nobody answers: 20 initiations, 5 s apart and a little more; then the packets are given up. */
static void
test_giving_up(void **state)
{
	struct network *n = network_new((struct network_config){0});
	say(&n->a, 60, 1);
	for (int i = 0; i < 130; i++) {
		fh_advance(n->a.h, SECONDS(1));
		side_take(&n->a);
	}
	assert_int_equal(n->a.wire_n, 20);
	assert_int_equal(fh_counter(n->a.h, "handshakes_given_up"), 1);
	assert_int_equal(fh_drops(n->a.h, "no_answer"), 1);
	assert_int_equal(fh_held(n->a.h), 0);
	say(&n->a, 60, 1); /* and a new packet starts anew */
	fh_run_jobs(n->a.h);
	side_take(&n->a);
	assert_int_equal(n->a.wire_n, 21);
	network_free(n);
}

static void
test_staged_in_order(void **state)
{
	struct network *n = network_new((struct network_config){0});
	for (unsigned i = 0; i < 140; i++)
		say(&n->a, 60, (uint8_t)i);
	assert_int_equal(fh_held(n->a.h), 128);
	assert_int_equal(fh_drops(n->a.h, "staged_full"), 12); /* the oldest */
	settle(n);
	for (unsigned i = 12; i < 140; i++)
		expect(&n->b, 60, (uint8_t)i);
	network_free(n);
}

static void
test_no_endpoint(void **state)
{
	struct network *n = network_new((struct network_config){.b_peer = ", endpoint: 192.0.2.1:51820"});
	uint32_t id = fh_peer_add(n->a.h, "{public_key: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=, allowed_ips: [10.0.0.9/32]}");
	assert_int_equal(id, 2);
	say_from(&n->a, 1, 9, 60, 1);
	assert_int_equal(fh_drops(n->a.h, "no_endpoint"), 1);
	assert_int_equal(fh_held(n->a.h), 0);
	network_free(n);
}

/* As the kernel's WireGuard does it: host unreachable for an address of no peer, and of a peer without an endpoint. */
static void
test_unreachable(void **state)
{
	struct network *n = network_new((struct network_config){.b_peer = ", endpoint: 192.0.2.1:51820"});
	fh_peer_add(n->a.h, "{public_key: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=, allowed_ips: [10.0.0.9/32, \"fd00::9/128\"]}");
	static const struct {
		const char *packet;
		uint8_t at, type, code;
	} row[] = {
		{"4500001c 00000000 401166c9 0a000001 0a000008 00010002 00080000", 20, 3, 1}, /* nobody's */
		{"4500001c 00000000 401166c8 0a000001 0a000009 00010002 00080000", 20, 3, 1},
		{"60000000 00083a40 fd000000 00000000 00000000 00000001 fd000000 00000000 00000000 00000008 80000000 00000000", 40, 1, 3},
		{"60000000 00083a40 fd000000 00000000 00000000 00000001 fd000000 00000000 00000000 00000009 80000000 00000000", 40, 1, 3},
	};
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct fh_bytes b = fh_hex(row[i].packet);
		fh_send(n->a.h, "plain", b.data, b.len);
		const struct fh_out *o = fh_next(n->a.h);
		assert_string_equal(o->gate, "icmp");
		assert_int_equal(o->data[row[i].at], row[i].type);
		assert_int_equal(o->data[row[i].at + 1], row[i].code);
		assert_memory_equal(o->data + row[i].at + 8, b.data, b.len);
		assert_string_equal(fh_next(n->a.h)->drop, i % 2 ? "no_endpoint" : "no_peer");
	}
	network_free(n);
}

static void
header_checksum(uint8_t *p)
{
	uint32_t sum = 0;
	p[10] = p[11] = 0;
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	p[10] = (uint8_t)(~sum >> 8);
	p[11] = (uint8_t)~sum;
}

/* A path that carries 1,300 bytes of UDP payload: 1,268 inside. RFC 1191, RFC 8201; padding keeps to it as well. */
static void
test_path_mtu(void **state)
{
	struct network *n = network_new((struct network_config){0});
	n->b.mtu = 1300;
	connect_both(n);
	for (uint16_t len = 1268; len <= 1269; len++) {
		uint8_t p[1300] = {0x45, 0, (uint8_t)(len >> 8), (uint8_t)len, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
		header_checksum(p);
		fh_send(n->a.h, "plain", p, len);
		fh_spread_back(n->a.h);
		const struct fh_out *o = fh_next(n->a.h);
		if (len == 1268) {
			assert_string_equal(o->gate, "cipher");
			assert_int_equal(o->len, 1300);
			continue;
		}
		assert_string_equal(o->gate, "icmp");
		assert_int_equal(o->data[20] << 8 | o->data[21], 0x0304);
		assert_int_equal(o->data[26] << 8 | o->data[27], 1268);
		assert_string_equal(fh_next(n->a.h)->drop, "too_big");
		p[6] = 0; /* may be split: outside, as the tunnel is one hop */
		header_checksum(p);
		fh_send(n->a.h, "plain", p, len);
		fh_spread_back(n->a.h);
		o = fh_next(n->a.h);
		assert_string_equal(o->gate, "cipher");
		assert_true(o->len > 1300);
		memset(p, 0, 40);
		p[0] = 0x60;
		p[4] = (1300 - 40) >> 8;
		p[5] = (uint8_t)(1300 - 40);
		p[6] = 59;
		p[8] = p[24] = 0xfd;
		p[23] = 1;
		p[39] = 2;
		fh_send(n->a.h, "plain", p, 1300);
		o = fh_next(n->a.h);
		assert_string_equal(o->gate, "icmp");
		assert_int_equal(o->data[40], 2);
		assert_int_equal(o->data[46] << 8 | o->data[47], 1280); /* no less in IPv6 */
		assert_string_equal(fh_next(n->a.h)->drop, "too_big");
	}
	network_free(n);
}

/* Both begin at the same moment. */
static void
test_crossing(void **state)
{
	struct network *n = network_new((struct network_config){0});
	say(&n->a, 60, 1);
	say(&n->b, 60, 2);
	fh_run_jobs(n->a.h);
	fh_run_jobs(n->b.h);
	side_take(&n->a);
	side_take(&n->b);
	assert_int_equal(wire_type(&n->a, 0), MESSAGE_INITIATION);
	assert_int_equal(wire_type(&n->b, 0), MESSAGE_INITIATION);
	settle(n);
	expect(&n->b, 60, 1);
	expect(&n->a, 60, 2);
	for (int i = 0; i < 300; i++) {
		pass(n, SECONDS(1));
		say(&n->a, 60, 3);
		say(&n->b, 60, 4);
		settle(n);
		expect(&n->b, 60, 3);
		expect(&n->a, 60, 4);
	}
	network_free(n);
}

/* ---- What must not get in ---- */

static void
test_malformed(void **state)
{
	struct network *n = network_new((struct network_config){0});
	say(&n->a, 60, 1);
	fh_run_jobs(n->a.h);
	side_take(&n->a);
	struct datagram good = n->a.wire[0], d;
	n->a.wire_n = 0;
	unsigned bad = 0;
	for (uint32_t len = 1; len < 200; len++) {
		if (len == 148)
			continue;
		d = good;
		d.len = len;
		side_receive(&n->b, &n->a, &d);
		bad++;
	}
	assert_int_equal(fh_drops(n->b.h, "malformed"), bad);
	for (unsigned type = 0; type < 256; type++) {
		if (type >= 1 && type <= 4)
			continue;
		d = good;
		d.data[0] = (uint8_t)type;
		side_receive(&n->b, &n->a, &d);
		bad++;
	}
	for (unsigned at = 1; at < 4; at++) {
		d = good;
		d.data[at] = 1; /* reserved bytes */
		side_receive(&n->b, &n->a, &d);
		bad++;
	}
	assert_int_equal(fh_drops(n->b.h, "malformed"), bad);
	d = good;
	d.data[0] = 4;
	side_receive(&n->b, &n->a, &d);
	assert_int_equal(fh_drops(n->b.h, "unknown_index"), 1);
	d = good;
	d.data[40] ^= 1;
	side_receive(&n->b, &n->a, &d);
	assert_int_equal(fh_drops(n->b.h, "bad_mac1"), 1);
	assert_int_equal(fh_run_jobs(n->b.h), 0); /* nothing of it cost a multiplication */
	side_receive(&n->b, &n->a, &good);
	settle(n);
	expect(&n->b, 60, 1);
	network_free(n);
}

static void
test_stale_timestamp(void **state)
{
	struct network *n = network_new((struct network_config){0});
	say(&n->a, 60, 1);
	fh_run_jobs(n->a.h);
	side_take(&n->a);
	struct datagram first = n->a.wire[0];
	settle(n);
	expect(&n->b, 60, 1);
	pass(n, SECONDS(1));
	side_receive(&n->b, &n->a, &first);
	fh_run_jobs(n->b.h);
	assert_int_equal(fh_drops(n->b.h, "stale_timestamp"), 1);
	assert_int_equal(fh_counter(n->b.h, "responses_sent"), 1);
	network_free(n);
}

static void
test_unknown_peer(void **state)
{
	struct network *n = network_new((struct network_config){0});
	fh_peer_remove(n->b.h, 1);
	fh_advance(n->b.h, 1);
	say(&n->a, 60, 1);
	settle(n);
	assert_int_equal(fh_drops(n->b.h, "unknown_peer"), 1);
	network_free(n);
}

/* A recorded response, or one to another initiation, changes nothing. */
static void
test_unexpected_response(void **state)
{
	struct network *n = network_new((struct network_config){0});
	say(&n->a, 60, 1);
	fh_run_jobs(n->a.h);
	carry(&n->a, &n->b);
	fh_run_jobs(n->b.h);
	side_take(&n->b);
	struct datagram response = n->b.wire[0], forged = response;
	forged.data[50] ^= 1; /* mac1 no longer fits */
	side_receive(&n->a, &n->b, &forged);
	assert_int_equal(fh_drops(n->a.h, "bad_mac1"), 1);
	settle(n);
	expect(&n->b, 60, 1);
	side_receive(&n->a, &n->b, &response);
	assert_int_equal(fh_drops(n->a.h, "unexpected_response"), 1);
	network_free(n);
}

static void
test_cookies_under_load(void **state)
{
	struct network *n = network_new((struct network_config){0});
	fh_backlog(n->b.h, 32);
	say(&n->a, 60, 1);
	fh_run_jobs(n->a.h);
	carry(&n->a, &n->b);
	assert_int_equal(n->b.wire_n, 1);
	assert_int_equal(n->b.wire[0].len, 64);
	assert_int_equal(fh_run_jobs(n->b.h), 0);
	settle(n);
	assert_int_equal(fh_counter(n->b.h, "cookies_sent"), 1);
	assert_int_equal(fh_counter(n->a.h, "cookies_taken"), 1);
	assert_int_equal(n->b.plain_n, 0);
	pass(n, SECONDS(6)); /* the next try carries mac2 */
	expect(&n->b, 60, 1);
	assert_int_equal(fh_counter(n->b.h, "cookies_sent"), 1);

	/* Load over: for one more second cookies are asked for. */
	fh_backlog(n->b.h, 0);
	network_free(n);
}

static void
test_rate_limit(void **state)
{
	struct network *n = network_new((struct network_config){0});
	fh_backlog(n->b.h, 32);
	say(&n->a, 60, 1);
	fh_run_jobs(n->a.h);
	settle(n);
	fh_advance(n->a.h, SECONDS(6));
	side_take(&n->a);
	struct datagram again = n->a.wire[0];
	for (int i = 0; i < 10; i++)
		side_receive(&n->b, &n->a, &again);
	assert_int_equal(fh_drops(n->b.h, "rate_limited"), 5);
	fh_run_jobs(n->b.h);
	assert_int_equal(fh_counter(n->b.h, "responses_sent"), 1);
	assert_int_equal(fh_drops(n->b.h, "stale_timestamp"), 4);
	network_free(n);
}

static void
test_jobs_full(void **state)
{
	struct network *n = network_new((struct network_config){0});
	fh_jobs_full(n->a.h, true);
	say(&n->a, 60, 1);
	pass(n, SECONDS(1));
	assert_int_equal(fh_held(n->a.h), 1);
	fh_jobs_full(n->a.h, false);
	pass(n, 100000000);
	expect(&n->b, 60, 1);
	network_free(n);
}

/* ---- Peers, keys, generations, workers ---- */

static void
test_peer_changes_keep_sessions(void **state)
{
	struct network *n = network_new((struct network_config){0});
	struct tr_secret psk;
	char yaml[256];
	connect_both(n);
	memset(psk.b, 9, 32);
	snprintf(yaml, sizeof(yaml), "{public_key: " KEY_B ", allowed_ips: [10.0.0.2/32, 10.1.0.0/16], endpoint: 192.0.2.2:51820, "
		"preshared_key: %s}", fh_secret(psk.b));
	assert_int_equal(fh_peer_add(n->a.h, yaml), 1);
	say(&n->a, 60, 1);
	settle(n);
	expect(&n->b, 60, 1);
	assert_int_equal(fh_counter(n->a.h, "initiations_sent"), 1);
	network_free(n);
}

static void
test_peer_removed(void **state)
{
	struct network *n = network_new((struct network_config){0});
	connect_both(n);
	say(&n->b, 60, 1);
	struct datagram late = n->b.wire[0];
	n->b.wire_n = 0;
	fh_peer_remove(n->a.h, 1);
	fh_advance(n->a.h, SECONDS(1));
	side_receive(&n->a, &n->b, &late);
	assert_int_equal(fh_drops(n->a.h, "unknown_index"), 1);
	assert_int_equal(fh_peer_add(n->a.h, "{public_key: " KEY_B ", allowed_ips: [10.0.0.2/32], endpoint: 192.0.2.2:51820}"), 1);
	fh_advance(n->b.h, SECONDS(1));
	say(&n->a, 60, 5);
	settle(n);
	expect(&n->b, 60, 5);
	network_free(n);
}

/* What was on its way to the owner, from a thread that still found the peer, comes when the owner has been told. */
static void
test_packet_of_removed_peer(void **state)
{
	struct network *n = network_new((struct network_config){0});
	uint8_t ip[60] = {0x45, 0, 0, 60, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
	connect_both(n);
	fh_peer_remove(n->a.h, 1);
	struct rte_mbuf *late = fh_packet(n->a.h, ip, sizeof(ip));
	tr_meta(late)->peer = 1;
	fh_send_mbufs(n->a.h, 0, "seal", &late, 1);
	assert_int_equal(fh_held(n->a.h), 0);
	assert_int_equal(fh_drops(n->a.h, "peer_gone"), 1);
	network_free(n);
}

/* Removed while its initiation is being made, and while packets wait for it. */
static void
test_peer_removed_in_handshake(void **state)
{
	struct network *n = network_new((struct network_config){0});
	say(&n->a, 60, 1);
	fh_peer_remove(n->a.h, 1);
	fh_run_jobs(n->a.h);
	fh_advance(n->a.h, SECONDS(10));
	side_take(&n->a);
	assert_int_equal(n->a.wire_n, 0);
	assert_int_equal(fh_drops(n->a.h, "peer_gone"), 1);
	network_free(n);
}

static void
test_new_private_key(void **state)
{
	struct network *n = network_new((struct network_config){0});
	struct tr_secret s;
	char yaml[256];
	connect_both(n);
	say(&n->b, 60, 1);
	memset(s.b, 0x33, 32);
	snprintf(yaml, sizeof(yaml), "private_key: %s", fh_secret(s.b));
	assert_int_equal(fh_reconfigure(n->a.h, yaml), 0);
	fh_advance(n->a.h, 20000000);
	settle(n);
	assert_int_equal(fh_drops(n->a.h, "unknown_index"), 1); /* the old session is gone at once */
	say(&n->a, 60, 2);
	pass(n, SECONDS(6)); /* the last handshake was less than 5 s ago */
	assert_int_equal(fh_drops(n->b.h, "unknown_peer"), 1);
	memset(s.b, 0x11, 32);
	snprintf(yaml, sizeof(yaml), "private_key: %s", fh_secret(s.b));
	assert_int_equal(fh_reconfigure(n->a.h, yaml), 0);
	pass(n, SECONDS(6));
	expect(&n->b, 60, 2); /* staged all the while */
	network_free(n);
}

static void
test_no_private_key(void **state)
{
	struct network *n = network_new((struct network_config){0});
	assert_int_equal(fh_reconfigure(n->b.h, "{}"), 0);
	say(&n->a, 60, 1);
	settle(n);
	assert_int_equal(fh_drops(n->b.h, "no_private_key"), 1);
	say(&n->b, 60, 1);
	fh_run_jobs(n->b.h);
	side_take(&n->b);
	assert_int_equal(n->b.wire_n, 0);
	network_free(n);
}

static void
test_resume(void **state)
{
	struct network *n = network_new((struct network_config){0});
	fh_resume(n->a.h, 1);
	settle(n);
	assert_int_equal(fh_counter(n->a.h, "sessions"), 1);
	assert_int_equal(fh_drops(n->b.h, "keepalive"), 1);
	network_free(n);
}

/* New code takes over in the middle of everything. */
static void
test_generations(void **state)
{
	struct network *n = network_new((struct network_config){.a_peer = ", persistent_keepalive: 30s"});
	struct tr_secret s;
	char yaml[256];
	memset(s.b, 0x11, 32);
	snprintf(yaml, sizeof(yaml), "private_key: %s", fh_secret(s.b));
	settle(n);
	connect_both(n);
	for (int i = 0; i < 40; i++) {
		struct fh *next = fh_new(&(struct fh_config){.plugin = &tr_plugin, .name = "wga", .blocks_of = n->a.h,
			.options = yaml});
		assert_non_null(next);
		fh_free(n->a.h);
		n->a.h = next;
		pass(n, SECONDS(9));
		say(&n->a, 60, (uint8_t)i);
		say(&n->b, 60, (uint8_t)i);
		settle(n);
		expect(&n->b, 60, (uint8_t)i);
		expect(&n->a, 60, (uint8_t)i);
	}
	assert_int_equal(fh_drops(n->b.h, "replayed"), 0);
	network_free(n);
}

/* Packets come in on any worker; state changes on the owner's. The fake host refuses anything else. */
static void
test_workers(void **state)
{
	struct network *n = network_new((struct network_config){.workers = 4});
	for (uint16_t w = 0; w < 4; w++) {
		n->a.worker = w;
		n->b.worker = (uint16_t)(3 - w);
		connect_both(n);
	}
	for (int i = 0; i < 130; i++) {
		pass(n, SECONDS(1));
		n->a.worker = (uint16_t)(i % 4);
		n->b.worker = (uint16_t)(i / 4 % 4);
		connect_both(n);
	}
	assert_int_equal(fh_counter(n->a.h, "initiations_sent"), 2);
	network_free(n);
}

static void
test_show(void **state)
{
	struct network *n = network_new((struct network_config){0});
	char *json = fh_show_json(n->a.h);
	assert_non_null(strstr(json, "\"state\":\"idle\""));
	free(json);
	connect_both(n);
	pass(n, SECONDS(3));
	json = fh_show_json(n->a.h);
	assert_non_null(strstr(json, "\"state\":\"up\""));
	assert_non_null(strstr(json, "\"public_key\":\"" KEY_B "\""));
	assert_non_null(strstr(json, "\"handshake_age_s\":3"));
	assert_non_null(strstr(json, "\"tx_bytes\":244")); /* initiation, and 60 bytes padded to 64 */
	assert_non_null(strstr(json, "\"rx_bytes\":188"));
	assert_null(strstr(json, "private"));
	free(json);
	char *json2 = NULL, *argv[] = {"other"};
	pass(n, SECONDS(3));
	assert_int_equal(fh_command(n->a.h, "handshake", 1, argv, &json2), 0);
	free(json2);
	pass(n, SECONDS(1));
	assert_int_equal(fh_counter(n->a.h, "sessions"), 2);
	network_free(n);
}

/* ---- Ordered spread ---- */

/* What is out when a new session begins comes back before what is sealed with the new keys. */
static void
test_spread_across_sessions(void **state)
{
	struct network *n = network_new((struct network_config){0});
	char *json = NULL, *argv[] = {"other"};
	connect_both(n);
	pass(n, SECONDS(6));
	fh_spread(n->a.h, true);
	for (uint8_t i = 0; i < 5; i++)
		say(&n->a, 60, i);
	assert_int_equal(fh_held(n->a.h), 5);
	assert_int_equal(fh_command(n->a.h, "handshake", 1, argv, &json), 0);
	free(json);
	fh_advance(n->a.h, 0);
	fh_run_jobs(n->a.h);
	for (uint8_t i = 5; i < 9; i++)
		say(&n->a, 60, i);
	settle(n);
	assert_int_equal(fh_counter(n->a.h, "sessions"), 2);
	for (uint8_t i = 9; i < 12; i++)
		say(&n->a, 60, i);
	assert_true(fh_spread_back(n->a.h) >= 7);
	settle(n);
	for (uint8_t i = 0; i < 12; i++)
		expect(&n->b, 60, i);
	network_free(n);
}

/* Replays among packets that are out, and a peer that goes away meanwhile. */
static void
test_spread_state_is_judged_on_return(void **state)
{
	struct network *n = network_new((struct network_config){0});
	connect_both(n);
	fh_spread(n->b.h, true);
	say(&n->a, 60, 3);
	say(&n->a, 60, 4);
	struct datagram first = n->a.wire[0], forged = n->a.wire[1];
	forged.data[30] ^= 1;
	side_receive(&n->b, &n->a, &first);
	side_receive(&n->b, &n->a, &first);
	side_receive(&n->b, &n->a, &forged);
	carry(&n->a, &n->b);
	assert_int_equal(n->b.plain_n, 0);
	assert_int_equal(fh_spread_back(n->b.h), 5);
	side_take(&n->b);
	expect(&n->b, 60, 3);
	expect(&n->b, 60, 4);
	assert_int_equal(n->b.plain_n, 0);
	assert_int_equal(fh_drops(n->b.h, "replayed"), 2);
	assert_int_equal(fh_drops(n->b.h, "forged"), 1);

	say(&n->a, 60, 5);
	carry(&n->a, &n->b);
	fh_peer_remove(n->b.h, 1);
	fh_advance(n->b.h, 0);
	fh_spread_back(n->b.h);
	side_take(&n->b);
	assert_int_equal(n->b.plain_n, 0);
	assert_int_equal(fh_held(n->b.h), 0);
	network_free(n);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_roles),
		cmocka_unit_test(test_v6_inside),
		cmocka_unit_test(test_psk),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_rekey),
		cmocka_unit_test(test_last_minute),
		cmocka_unit_test(test_passive_keepalive),
		cmocka_unit_test(test_dead_peer),
		cmocka_unit_test(test_persistent_keepalive),
		cmocka_unit_test(test_roaming),
		cmocka_unit_test(test_relay),
		cmocka_unit_test(test_reordering),
		cmocka_unit_test(test_ecn),
		cmocka_unit_test(test_inner_checks),
		cmocka_unit_test(test_trimming),
		cmocka_unit_test(test_expiry_and_erasure),
		cmocka_unit_test(test_giving_up),
		cmocka_unit_test(test_staged_in_order),
		cmocka_unit_test(test_no_endpoint),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_path_mtu),
		cmocka_unit_test(test_crossing),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_stale_timestamp),
		cmocka_unit_test(test_unknown_peer),
		cmocka_unit_test(test_unexpected_response),
		cmocka_unit_test(test_cookies_under_load),
		cmocka_unit_test(test_rate_limit),
		cmocka_unit_test(test_jobs_full),
		cmocka_unit_test(test_peer_changes_keep_sessions),
		cmocka_unit_test(test_peer_removed), cmocka_unit_test(test_packet_of_removed_peer),
		cmocka_unit_test(test_peer_removed_in_handshake),
		cmocka_unit_test(test_new_private_key),
		cmocka_unit_test(test_no_private_key),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_workers),
		cmocka_unit_test(test_show),
	};
	const struct CMUnitTest spread[] = {
		cmocka_unit_test(test_spread_across_sessions),
		cmocka_unit_test(test_spread_state_is_judged_on_return),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL) + cmocka_run_group_tests(spread, NULL, NULL);
	room_elsewhere = true; /* and all of it over again */
	return failed + cmocka_run_group_tests_name("with room elsewhere", tests, NULL, NULL);
}
