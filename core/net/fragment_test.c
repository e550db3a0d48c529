/* SPDX-License-Identifier: BSD-3-Clause */
/* Datagrams that are split by a route or an interface, and gathered by an interface. */
#include "net/fragment.h"

#include "net/classes.h"
#include "net/interface.h"
#include "net/testpacket.h"
#include "runtime/rcu.h"

#include "net/expect.h" /* after headers whose functions have an `r` of their own */

#define US "02:00:00:00:00:01"
#define PEER "02:00:00:00:00:99"
#define ALL "ff:ff:ff:ff:ff:ff"
#define SECOND UINT64_C(1000000000)

struct parts {
	unsigned n;
	size_t len[64];
	uint8_t data[64][1700];
};

static uint8_t buf[4096];
static struct tr_prefix addresses[2];
static struct tr_addr gateways[2];
static struct interface_options options;

static int
open_interface(void **state)
{
	assert_true(parse_prefix("192.0.2.1/24", &addresses[0], true));
	assert_true(parse_prefix("2001:db8::1/64", &addresses[1], true));
	assert_true(parse_addr("192.0.2.254", &gateways[0]));
	options = (struct interface_options){.address = {2, addresses}, .gateway = {1, gateways}, .mtu = 1280};
	assert_true(rig_open(&r, &class_interface, "wan", &options, NULL));
	rig_poll(&r);
	r.now += SECOND;
	rig_poll(&r);
	drain();
	return 0;
}

static int
done(void **state)
{
	rig_close(&r);
	return 0;
}

static void
fix_header(uint8_t *p)
{
	memset(p + 10, 0, 2);
	uint16_t sum = (uint16_t)~rte_raw_cksum(p, (p[0] & 15) * 4u);
	memcpy(p + 10, &sum, 2);
}

static void
learn(const char *mac, const char *ip)
{
	struct neighbour *e;
	struct tr_addr a;
	uint8_t raw[6];
	struct interface *i = r.self;
	assert_true(parse_addr(ip, &a));
	for (int k = 0; k < 6; k++)
		raw[k] = (uint8_t)strtoul(mac + 3 * k, NULL, 16);
	e = neighbour_get(i->neighbours, i->link_id, &a, r.now);
	assert_non_null(e);
	neighbour_learn(e, raw, r.now);
}

/* Cuts the datagram in buf, `len` bytes, at the places given (bytes of payload); by hand, not by the code under test. */
static void
cut(struct parts *t, size_t len, const unsigned *at, unsigned n)
{
	const bool v4 = buf[0] >> 4 == 4;
	const size_t head = v4 ? (buf[0] & 15) * 4u : 40, out_head = v4 ? head : 48;
	t->n = n;
	for (unsigned k = 0; k < n; k++) {
		size_t from = at[k], to = k + 1 < n ? at[k + 1] : len - head;
		uint8_t *p = t->data[k];
		memcpy(p, buf, head);
		memcpy(p + out_head, buf + head + from, to - from);
		t->len[k] = out_head + to - from;
		if (v4) {
			p[2] = (uint8_t)(t->len[k] >> 8);
			p[3] = (uint8_t)t->len[k];
			p[6] = (uint8_t)((k + 1 < n ? 0x20 : 0) | from / 8 >> 8);
			p[7] = (uint8_t)(from / 8);
			fix_header(p);
		} else {
			p[4] = (uint8_t)((t->len[k] - 40) >> 8);
			p[5] = (uint8_t)(t->len[k] - 40);
			p[6] = 44;
			memset(p + 40, 0, 8);
			p[40] = buf[6];
			p[42] = (uint8_t)(from >> 8);
			p[43] = (uint8_t)((from & 0xf8) | (k + 1 < n));
			p[47] = 9;
		}
	}
}

static void
receive(const uint8_t *packet, size_t len)
{
	uint8_t frame[1800];
	size_t n = tp_eth(frame, US, PEER, packet[0] >> 4 == 4 ? 0x0800 : 0x86dd);
	memcpy(frame + n, packet, len);
	rig_receive(&r, frame, n + len);
}

static size_t
datagram(bool v6, size_t len)
{
	return tp_udp(buf, v6 ? "2001:db8::9" : "192.0.2.9", 1000, v6 ? "2001:db8::1" : "192.0.2.1", 53, len);
}

static const unsigned places[] = {0, 504, 512, 1200};
#define PARTS 4

static void
gathered_in_any_order(void **state)
{
	static struct parts t;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		size_t len = datagram(v6, 1601);
		cut(&t, len, places, PARTS);
		for (unsigned order = 0; order < 256; order++) {
			unsigned used = 0, p[PARTS];
			for (unsigned k = 0; k < PARTS; k++) {
				p[k] = order >> 2 * k & 3;
				used |= 1u << p[k];
			}
			if (used != 15) /* not a permutation */
				continue;
			for (unsigned k = 0; k + 1 < PARTS; k++) {
				receive(t.data[p[k]], t.len[p[k]]);
				expect("drop fragment");
			}
			receive(t.data[p[3]], t.len[p[3]]);
			const struct rig_out *o = expect("gate 1");
			assert_int_equal(o->len, len);
			buf[6] = v6 ? 17 : 0; /* an IPv4 datagram is whole again: no flags */
			if (!v6)
				fix_header(buf);
			assert_memory_equal(o->data, buf, len);
			assert_int_equal(o->meta.endpoint.local_port, 53);
			expect("drop fragment");
		}
		drain();
	}
	assert_int_equal(r.held, 0);
}

static void
repeated_parts_are_harmless(void **state)
{
	static struct parts t;
	size_t len = datagram(false, 1601);
	cut(&t, len, places, PARTS);
	for (unsigned k = 0; k + 1 < PARTS; k++)
		for (unsigned twice = 0; twice < 2; twice++) {
			receive(t.data[k], t.len[k]);
			expect("drop fragment");
		}
	receive(t.data[3], t.len[3]);
	assert_memory_equal(expect("gate 1")->data + 28, buf + 28, len - 28);
	expect("drop fragment");
}

/* RFC 5722 §4, and for IPv4 alike: nothing of a datagram with overlapping parts is used, later parts included. */
static void
overlaps_are_refused(void **state)
{
	static struct parts t;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		size_t len = datagram(v6, 1601);
		cut(&t, len, places, PARTS);
		receive(t.data[0], t.len[0]);
		expect("drop fragment");
		receive(t.data[2], t.len[2]);
		expect("drop fragment");
		t.data[2][t.len[2] - 1] ^= 1; /* the same place, other bytes */
		receive(t.data[2], t.len[2]);
		expect("drop fragment_overlap");
		t.data[2][t.len[2] - 1] ^= 1;
		receive(t.data[1], t.len[1]);
		expect("drop fragment_overlap");
		receive(t.data[3], t.len[3]);
		expect("drop fragment_overlap");
		assert_null(rig_next(&r));
		r.now += 61 * SECOND;
		rig_poll(&r);
		expect("drop fragment_lost"); /* and no error: RFC 5722 says silently */
		assert_null(rig_next(&r));
	}
}

static void
impossible_parts(void **state)
{
	static struct parts t;
	cut(&t, datagram(false, 1601), (unsigned[]){0, 500}, 2); /* 500 is no multiple of 8 */
	receive(t.data[0], t.len[0]);
	expect("drop fragment_bad");
	cut(&t, datagram(true, 1601), (unsigned[]){0, 500}, 2);
	learn(PEER, "2001:db8::9");
	receive(t.data[0], t.len[0]);
	const struct rig_out *o = expect("sent"); /* RFC 8200 §4.5: parameter problem, at the payload length */
	assert_int_equal(o->data[14 + 40], 4);
	assert_int_equal(o->data[14 + 40 + 1], 0);
	assert_int_equal(o->data[14 + 40 + 7], 4);
	assert_true(tp_good(o->data + 14, o->len - 14u));
	expect("drop fragment_bad");
	cut(&t, datagram(true, 1601), (unsigned[]){0, 504}, 2);
	t.data[1][42] = 0xff; /* beyond 64 KiB */
	t.data[1][43] = 0xf8;
	receive(t.data[1], t.len[1]);
	o = expect("sent");
	assert_int_equal(o->data[14 + 40 + 7], 42);
	expect("drop fragment_bad");
	cut(&t, datagram(false, 1601), (unsigned[]){0, 504}, 2);
	t.data[1][6] = 0x20; /* more to come, ends at no multiple of 8 */
	fix_header(t.data[1]);
	receive(t.data[1], t.len[1]);
	expect("drop fragment_bad");
	cut(&t, datagram(false, 1601), (unsigned[]){0, 504}, 2);
	t.data[1][6] = 0x1f;
	t.data[1][7] = 0xff;
	fix_header(t.data[1]);
	receive(t.data[1], t.len[1]);
	expect("drop fragment_bad"); /* beyond 64 KiB */
	t.data[1][6] = 0x01;
	fix_header(t.data[1]);
	receive(t.data[1], t.len[1]);
	expect("drop fragment_lost"); /* beyond a packet buffer: the slot is given up at once */
	expect("drop fragment_room");
	assert_null(rig_next(&r));
}

static void
sender_is_told_of_what_did_not_come(void **state)
{
	static struct parts t;
	learn(PEER, "192.0.2.9");
	learn(PEER, "2001:db8::9");
	for (unsigned v6 = 0; v6 < 2; v6++) {
		const size_t l3 = v6 ? 40 : 20;
		cut(&t, datagram(v6, 1601), places, PARTS);
		receive(t.data[1], t.len[1]); /* not the first: nobody is told */
		expect("drop fragment");
		r.now += (v6 ? 60 : 30) * SECOND;
		rig_poll(&r);
		expect("drop fragment_lost");
		receive(t.data[0], t.len[0]);
		expect("drop fragment");
		r.now += (v6 ? 60 : 30) * SECOND - 1;
		rig_poll(&r);
		assert_null(rig_next(&r));
		r.now += SECOND;
		rig_poll(&r);
		const struct rig_out *o = rig_next(&r);
		while (o != NULL && o->data[14 + l3] == (v6 ? 135 : 0)) /* solicitations */
			o = rig_next(&r);
		assert_string_equal(rig_verdict(&r, o), "sent");
		assert_int_equal(o->data[14 + l3], v6 ? 3 : 11);
		assert_int_equal(o->data[14 + l3 + 1], 1);
		assert_memory_equal(o->data + 14 + l3 + 8, t.data[0], v6 ? t.len[0] : 500);
		assert_true(tp_good(o->data + 14, o->len - 14u));
		drain();
	}
}

static void
memory_is_bounded(void **state)
{
	static struct parts t;
	cut(&t, datagram(false, 1601), places, PARTS);
	for (unsigned k = 0; k < 10 * GATHER_SLOTS; k++) {
		t.data[0][4] = (uint8_t)(k >> 8);
		t.data[0][5] = (uint8_t)k;
		fix_header(t.data[0]);
		receive(t.data[0], t.len[0]);
		r.now++;
		if (k >= GATHER_SLOTS)
			expect("drop fragment_lost"); /* the oldest */
		expect("drop fragment");
		r.n_out = r.taken = 0;
		assert_true(r.held <= GATHER_SLOTS);
	}
	for (unsigned part = 1; part < PARTS; part++) { /* the newest are complete again */
		t.data[part][4] = (uint8_t)((10 * GATHER_SLOTS - 1) >> 8);
		t.data[part][5] = (uint8_t)(10 * GATHER_SLOTS - 1);
		fix_header(t.data[part]);
		receive(t.data[part], t.len[part]);
	}
	expect("drop fragment");
	expect("drop fragment");
	expect("gate 1");
}

/* An interface splits IPv4 with DF clear, and IPv6 only of this box; what comes out is gathered again. */
static void
split_and_gathered(void **state)
{
	static struct parts t;
	learn(PEER, "192.0.2.9");
	learn(PEER, "2001:db8::9");
	for (unsigned v6 = 0; v6 < 2; v6++) {
		size_t len = tp_udp(buf, v6 ? "2001:db8::1" : "192.0.2.1", 53, v6 ? "2001:db8::9" : "192.0.2.9", 1000, 1601);
		rig_send(&r, "ip", buf, len, &(struct tr_meta){.flags = TR_META_OWN, .l3_len = v6 ? 40 : 20, .l4 = 17});
		t.n = 0;
		for (const struct rig_out *o; (o = rig_next(&r)) != NULL; t.n++) {
			assert_string_equal(rig_verdict(&r, o), "sent");
			assert_true(o->len <= 1280 + 14);
			t.len[t.n] = o->len - 14u;
			memcpy(t.data[t.n], o->data + 14, t.len[t.n]);
			if (!v6)
				assert_int_equal((uint16_t)~rte_raw_cksum(t.data[t.n], 20), 0);
		}
		assert_int_equal(t.n, 2);
		uint8_t swapped[16];
		size_t size = v6 ? 16 : 4, src = v6 ? 8 : 12;
		for (unsigned k = 0; k < t.n; k++) { /* sent back to us: addresses exchanged, checksums stay */
			memcpy(swapped, t.data[k] + src, size);
			memmove(t.data[k] + src, t.data[k] + src + size, size);
			memcpy(t.data[k] + src + size, swapped, size);
			receive(t.data[k], t.len[k]);
		}
		expect("drop fragment");
		const struct rig_out *o = expect("gate 1");
		assert_int_equal(o->len, len);
		assert_memory_equal(o->data + (v6 ? 40 : 20), buf + (v6 ? 40 : 20), len - (v6 ? 40 : 20));
		expect("drop fragment");
	}
	size_t len = tp_udp(buf, "2001:db8:5::1", 53, "2001:db8::9", 1000, 1400);
	rig_send(&r, "ip", buf, len, NULL);
	const struct rig_out *o = expect("gate 2"); /* icmp: packet too big */
	assert_int_equal(o->data[40], 2);
	assert_int_equal(o->data[46] << 8 | o->data[47], 1280);
	expect("drop too_big");
}

/* RFC 791: only options with the copied bit go into every fragment; a fragment is split further in its own place. */
static void
options_and_fragments_of_fragments(void **state)
{
	learn(PEER, "192.0.2.9");
	size_t len = datagram(false, 1500);
	memmove(buf + 32, buf + 20, len - 20);
	static const uint8_t opts[12] = {0x07, 3, 4, 0x94, 4, 0, 0, 1, 1, 1, 1, 0}; /* record route (not copied), router alert */
	memcpy(buf + 20, opts, 12);
	len += 12;
	buf[0] = 0x48;
	buf[2] = (uint8_t)(len >> 8);
	buf[3] = (uint8_t)len;
	buf[6] = 0x20; /* itself the part at 800 */
	buf[7] = 100;
	inet_pton(AF_INET, "192.0.2.9", buf + 16);
	inet_pton(AF_INET, "198.51.100.1", buf + 12);
	fix_header(buf);
	rig_send(&r, "ip", buf, len, NULL);
	const struct rig_out *a = expect("sent"), *b = expect("sent");
	assert_int_equal(a->data[14] & 15, 8);
	assert_int_equal(b->data[14] & 15, 6);
	assert_memory_equal(b->data + 34, opts + 3, 4);
	assert_int_equal(a->data[20] << 8 | a->data[21], 0x2000 | 100);
	unsigned first = (a->len - 14u - 32) / 8;
	assert_int_equal(b->data[20] << 8 | b->data[21], 0x2000 | (100 + first)); /* more to come: it was not the last */
	assert_memory_equal(b->data + 38, buf + 32 + first * 8, b->len - 38u);
	assert_int_equal((uint16_t)~rte_raw_cksum(b->data + 14, 24), 0);
	assert_int_equal(a->len - 46u + b->len - 38u, len - 32);
}

#define INTERFACE(f) cmocka_unit_test_setup_teardown(f, open_interface, done)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		INTERFACE(gathered_in_any_order),
		INTERFACE(repeated_parts_are_harmless),
		INTERFACE(overlaps_are_refused),
		INTERFACE(impossible_parts),
		INTERFACE(sender_is_told_of_what_did_not_come),
		INTERFACE(memory_is_bounded),
		INTERFACE(split_and_gathered),
		INTERFACE(options_and_fragments_of_fragments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
