/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/interface.h"

#include <errno.h>

#include "net/classes.h"
#include "net/testpacket.h"
#include "telemetry/json_show.h"

#include "net/expect.h" /* after headers whose functions have an `r` of their own */

#define US "02:00:00:00:00:01"
#define PEER "02:00:00:00:00:99"
#define ALL "ff:ff:ff:ff:ff:ff"
#define SECOND UINT64_C(1000000000)

static uint8_t buf[2048];

static struct tr_prefix addresses[3];
static struct tr_addr gateways[2];
static struct interface_options options;

static void
set_options(uint16_t vlan)
{
	assert_true(parse_prefix("192.0.2.1/24", &addresses[0], true));
	assert_true(parse_prefix("2001:db8::1/64", &addresses[1], true));
	assert_true(parse_prefix("10.9.0.1/16", &addresses[2], true));
	assert_true(parse_addr("192.0.2.254", &gateways[0]));
	assert_true(parse_addr("2001:db8::ff", &gateways[1]));
	options = (struct interface_options){.address = {3, addresses}, .gateway = {2, gateways}, .vlan = vlan, .mtu = 1500};
}

static int
open_quiet(void **state)
{
	set_options(0);
	assert_true(rig_open(&r, &class_interface, "wan", &options, NULL));
	rig_poll(&r); /* announcements */
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

static size_t
frame(const char *dst, const char *src, uint16_t type)
{
	return tp_eth(buf, dst, src, type);
}

/* An ARP message as a frame; checked against RFC 826's field order by hand. */
static size_t
arp(uint8_t op, const char *dst, const char *sha, const char *spa, const char *tpa)
{
	static const uint8_t head[] = {0, 1, 8, 0, 6, 4, 0};
	size_t n = frame(dst, sha, 0x0806);
	memcpy(buf + n, head, 7);
	buf[n + 7] = op;
	memcpy(buf + n + 8, buf + 6, 6);
	inet_pton(AF_INET, spa, buf + n + 14);
	memset(buf + n + 18, 0, 6);
	inet_pton(AF_INET, tpa, buf + n + 24);
	memset(buf + n + 28, 0, 18);
	return 60;
}

static void
know_peer(void)
{
	rig_receive(&r, buf, arp(1, ALL, PEER, "192.0.2.9", "192.0.2.1"));
	expect("sent");
}

static size_t
nd(uint8_t type, const char *src, const char *dst, const char *target, uint8_t option, uint8_t hops)
{
	size_t n = frame("33:33:ff:00:00:01", PEER, 0x86dd), l3;
	uint8_t *p = buf + n;
	l3 = tp_ip(p, src, dst, 58, hops, option ? 32 : 24);
	memset(p + l3, 0, 32);
	p[l3] = type;
	p[l3 + 4] = type == 136 ? 0x60 : 0;
	inet_pton(AF_INET6, target, p + l3 + 8);
	if (option) {
		p[l3 + 24] = option;
		p[l3 + 25] = 1;
		memcpy(p + l3 + 26, buf + 6, 6);
	}
	uint16_t sum = tp_l4sum(p, p + l3);
	memcpy(p + l3 + 2, &sum, 2);
	return n + l3 + (option ? 32 : 24);
}

/* What the command `status` says under a key begins so; NULL: nothing. */
static void
assert_told(const char *key, const char *text)
{
	struct json_show *j;
	char why[64];
	struct tr_show *out = json_show_begin(&j);
	assert_int_equal(class_interface.commands[0].run(r.self, 0, NULL, out), 0);
	json_t *v = json_show_end(j, why, sizeof(why));
	const char *said = json_string_value(json_object_get(v, key));
	if (text == NULL)
		assert_null(said);
	else
		assert_non_null(said);
	if (text != NULL && strncmp(said, text, strlen(text)) != 0)
		assert_string_equal(said, text);
	json_decref(v);
}

static void
announces_its_addresses_twice(void **state)
{
	set_options(0);
	assert_true(rig_open(&r, &class_interface, "wan", &options, NULL));
	for (unsigned round = 0; round < 3; round++) {
		unsigned n_arp = 0, n_na = 0;
		const struct rig_out *o;
		rig_poll(&r);
		while ((o = rig_next(&r)) != NULL) {
			assert_string_equal(rig_verdict(&r, o), "sent");
			if (o->data[13] == 0x06 && memcmp(o->data + 28, o->data + 38, 4) == 0)
				n_arp++;
			if (o->data[12] == 0x86 && o->data[54] == 136 && tp_good(o->data + 14, o->len - 14u))
				n_na++;
		}
		assert_int_equal(n_arp, round < 2 ? 2 : 0);
		assert_int_equal(n_na, round < 2 ? 2 : 0); /* configured and link-local */
		r.now += SECOND;
	}
}

static void
arp_request_is_answered(void **state)
{
	static const char reply[] = "020000000099 020000000001 0806 0001 0800 06 04 0002 020000000001 c0000201 020000000099 c0000209";
	uint8_t want[64];
	rig_receive(&r, buf, arp(1, ALL, PEER, "192.0.2.9", "192.0.2.1"));
	const struct rig_out *o = expect("sent");
	assert_int_equal(o->len, rig_hex(reply, want, sizeof(want)));
	assert_memory_equal(o->data, want, o->len);
	rig_receive(&r, buf, arp(1, ALL, PEER, "192.0.2.9", "192.0.2.7"));
	expect("drop consumed");
	rig_receive(&r, buf, arp(1, ALL, PEER, "0.0.0.0", "192.0.2.1")); /* a probe (RFC 5227) is answered, not learned */
	expect("sent");
}

static void
malformed_arp_is_refused(void **state)
{
	for (unsigned at = 0; at < 8; at++) {
		size_t n = arp(1, ALL, PEER, "192.0.2.9", "192.0.2.1");
		buf[14 + at] ^= 0x40;
		rig_receive(&r, buf, n);
		expect("drop arp");
	}
	arp(1, ALL, PEER, "192.0.2.9", "192.0.2.1");
	rig_receive(&r, buf, 14 + 27);
	expect("drop arp");
}

static void
neighbour_solicitation_is_answered(void **state)
{
	rig_receive(&r, buf, nd(135, "2001:db8::9", "ff02::1:ff00:1", "2001:db8::1", 1, 255));
	const struct rig_out *o = expect("sent");
	const uint8_t *p = o->data + 14;
	assert_memory_equal(o->data, ((uint8_t[]){2, 0, 0, 0, 0, 0x99, 2, 0, 0, 0, 0, 1, 0x86, 0xdd}), 14);
	assert_true(tp_good(p, o->len - 14u));
	assert_int_equal(p[7], 255);
	assert_int_equal(p[40], 136);
	assert_int_equal(p[44], 0x60); /* solicited, override */
	assert_memory_equal(p + 48, addresses[1].addr.ip, 16);
	assert_memory_equal(p + 64, ((uint8_t[]){2, 1, 2, 0, 0, 0, 0, 1}), 8);
	/* Duplicate address detection: to all nodes, not solicited. */
	rig_receive(&r, buf, nd(135, "::", "ff02::1:ff00:1", "2001:db8::1", 0, 255));
	o = expect("sent");
	assert_memory_equal(o->data, ((uint8_t[]){0x33, 0x33, 0, 0, 0, 1}), 6);
	assert_int_equal(o->data[14 + 44], 0x20);
}

static void
invalid_nd_is_refused(void **state)
{
	rig_receive(&r, buf, nd(135, "2001:db8::9", "ff02::1:ff00:1", "2001:db8::1", 1, 254));
	expect("drop nd");
	rig_receive(&r, buf, nd(135, "::", "ff02::1:ff00:1", "2001:db8::1", 1, 255)); /* source option without a source */
	expect("drop nd");
	size_t n = nd(135, "::", "2001:db8::1", "2001:db8::1", 0, 255); /* not to the solicited-node group */
	memcpy(buf, (const uint8_t[]){2, 0, 0, 0, 0, 1}, 6);
	rig_receive(&r, buf, n);
	expect("drop nd");
	rig_receive(&r, buf, nd(135, "2001:db8::9", "ff02::1:ff00:1", "ff02::1", 1, 255));
	expect("drop nd");
	n = nd(135, "2001:db8::9", "ff02::1:ff00:1", "2001:db8::1", 1, 255);
	buf[14 + 65] = 0; /* option of length 0 */
	uint16_t sum = 0;
	memcpy(buf + 14 + 42, &sum, 2);
	sum = tp_l4sum(buf + 14, buf + 54);
	memcpy(buf + 14 + 42, &sum, 2);
	rig_receive(&r, buf, n);
	expect("drop nd");
	n = nd(135, "2001:db8::9", "ff02::1:ff00:1", "2001:db8::1", 1, 255);
	buf[14 + 50] ^= 1;
	rig_receive(&r, buf, n);
	expect("drop icmp_checksum");
}

static void
echo_is_answered(void **state)
{
	static const char *const pair[2][2] = {{"192.0.2.9", "192.0.2.1"}, {"2001:db8::9", "2001:db8::1"}};
	know_peer();
	rig_receive(&r, buf, nd(135, "2001:db8::9", "ff02::1:ff00:1", "2001:db8::1", 1, 255));
	drain();
	for (unsigned i = 0; i < 2; i++) {
		size_t n = frame(US, PEER, i ? 0x86dd : 0x0800);
		n += tp_icmp(buf + n, pair[i][0], pair[i][1], i ? 128 : 8, 7, 57);
		rig_receive(&r, buf, n);
		const struct rig_out *o = expect("sent");
		const uint8_t *p = o->data + 14;
		assert_int_equal(o->len, n);
		assert_memory_equal(o->data, ((uint8_t[]){2, 0, 0, 0, 0, 0x99}), 6);
		assert_true(tp_good(p, n - 14));
		assert_int_equal(p[i ? 40 : 20], i ? 129 : 0);
		assert_int_equal(p[i ? 7 : 8], 64);
		assert_memory_equal(p + (i ? 48 : 28), buf + 14 + (i ? 48 : 28), n - 14 - (i ? 48 : 28));
	}
}

static void
datagram_for_us(void **state)
{
	static const char *const pair[2][2] = {{"198.51.100.7", "10.9.0.1"}, {"2001:db8:1::9", "2001:db8::1"}};
	for (unsigned i = 0; i < 2; i++) {
		size_t l2 = frame(US, PEER, i ? 0x86dd : 0x0800), l3 = i ? 40 : 20;
		size_t n = l2 + tp_udp(buf + l2, pair[i][0], 5000, pair[i][1], 3478, 20);
		buf[l2 + 1] |= i ? 0x30 : 0x03; /* ECN CE */
		if (i == 0) {
			uint16_t sum = 0;
			memcpy(buf + l2 + 10, &sum, 2);
			sum = rte_ipv4_cksum((void *)(buf + l2));
			memcpy(buf + l2 + 10, &sum, 2);
		}
		rig_receive(&r, buf, n + (i ? 0 : 2)); /* with link-layer padding */
		const struct rig_out *o = expect("gate 1");
		assert_int_equal(o->len, n - 14);
		assert_int_equal(o->meta.l3_len, l3);
		assert_int_equal(o->meta.tos, 3);
		assert_int_equal(o->meta.endpoint.family, i ? 6 : 4);
		assert_int_equal(o->meta.endpoint.remote_port, 5000);
		assert_int_equal(o->meta.endpoint.local_port, 3478);
		assert_memory_equal(o->meta.endpoint.local, i ? addresses[1].addr.ip : addresses[2].addr.ip, i ? 16 : 4);
		buf[n - 1] ^= 1;
		rig_receive(&r, buf, n);
		expect("drop udp_checksum");
		buf[n - 1] ^= 1;
		memset(buf + l2 + l3 + 6, 0, 2); /* no checksum: IPv4 only */
		rig_receive(&r, buf, n);
		expect(i ? "drop udp_checksum" : "gate 1");
		buf[l2 + l3 + 5]++;
		rig_receive(&r, buf, n);
		expect("drop udp_length");
	}
}

/* One header byte changed each: what the packet is then dropped as. */
static void
bad_headers(void **state)
{
	static const struct {
		int v, at; /* at: into the IP header; or -1: frame of `value` bytes */
		uint8_t value;
		bool fix; /* correct the header checksum */
		const char *verdict;
	} row[] = {
		{4, 0, 0x44, true, "drop ip_header_length"}, {4, 0, 0x4f, false, "drop ip_checksum"},
		{4, 0, 0x55, false, "drop ip_version"}, {4, 8, 1, false, "drop ip_checksum"},
		{4, 3, 0x13, true, "drop ip_length"}, {4, 2, 0x10, true, "drop ip_length"},
		{4, 12, 0, true, "drop ip_source"}, {4, 12, 127, true, "drop ip_source"}, {4, 12, 224, true, "drop ip_source"},
		{4, 12, 255, true, "drop ip_source"}, {4, 16, 0, true, "drop ip_destination"},
		{4, 16, 127, true, "drop ip_destination"}, {4, 16, 224, true, "drop multicast"}, {4, 9, 6, true, "drop protocol"},
		{4, 6, 0x20, true, "drop fragment"}, {4, 17, 1, true, "gate 0"},
		{6, 5, 200, false, "drop ip_length"}, {6, 8, 0xff, false, "drop ip_source"}, {6, 24, 0xff, false, "drop multicast"},
		{6, 6, 6, false, "drop protocol"}, {6, 6, 0, false, "drop ip_extension"}, {6, 25, 2, false, "gate 0"},
	};
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		bool v6 = row[i].v == 6;
		size_t l2 = frame(US, PEER, v6 ? 0x86dd : 0x0800);
		size_t n = l2 + tp_udp(buf + l2, v6 ? "2001:db8::9" : "192.0.2.9", 9, v6 ? "2001:db8::1" : "192.0.2.1", 9, 40);
		buf[l2 + row[i].at] = row[i].value;
		if (row[i].fix) {
			memset(buf + l2 + 10, 0, 2);
			uint16_t sum = (uint16_t)~rte_raw_cksum(buf + l2, 20);
			memcpy(buf + l2 + 10, &sum, 2);
		}
		rig_receive(&r, buf, n);
		const struct rig_out *o = rig_next(&r);
		if (strcmp(rig_verdict(&r, o), "sent") == 0) /* asks for the neighbour that is to be told */
			o = rig_next(&r);
		if (strcmp(rig_verdict(&r, o), row[i].verdict) != 0)
			fail_msg("row %u: %s, not %s", i, rig_verdict(&r, o), row[i].verdict);
	}
}

/* What is neither a datagram nor an echo request is the kernel's, where it is linked. */
static void
the_kernel_gets_the_rest(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		const char *from = i ? "2001:db8::9" : "192.0.2.9", *to = i ? "2001:db8::1" : "192.0.2.1";
		const size_t l2 = frame(US, PEER, i ? 0x86dd : 0x0800);
		r.linked[INTERFACE_HOST] = true;
		rig_receive(&r, buf, l2 + tp_syn(buf + l2, from, to, 2, NULL, 0));
		assert_int_equal(expect("gate 3")->meta.l4, 6);
		rig_receive(&r, buf, l2 + tp_icmp(buf + l2, from, to, i ? 129 : 0, 64, 40)); /* an answer to its own */
		expect("gate 3");
		rig_receive(&r, buf, l2 + tp_udp(buf + l2, from, 5000, to, 3478, 20));
		expect("gate 1");
		r.linked[INTERFACE_HOST] = false;
		rig_receive(&r, buf, l2 + tp_icmp(buf + l2, from, to, i ? 129 : 0, 64, 40));
		expect("drop icmp");
	}
}

/* What only the addressee can say is said by it: RFC 1122 §3.2.2.1, RFC 8200 §4, RFC 4291 §2.5.6. */
static void
errors_about_packets_for_us(void **state)
{
	static const struct {
		const char *src, *dst, *from;
		uint8_t next, type, code, arg;
	} row[] = {
		{"192.0.2.9", "192.0.2.1", "192.0.2.1", 47, 3, 2, 0},
		{"2001:db8::9", "2001:db8::1", "2001:db8::1", 47, 4, 1, 6},
		{"fe80::9", "2001:db8:5::1", "fe80::ff:fe00:1", 17, 1, 2, 0},
	};
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const bool v6 = strchr(row[i].src, ':') != NULL;
		const size_t l3 = v6 ? 40 : 20;
		struct tr_addr from, peer;
		struct interface *in = r.self;
		assert_true(parse_addr(row[i].src, &peer));
		assert_true(parse_addr(row[i].from, &from));
		size_t l2 = frame(US, PEER, v6 ? 0x86dd : 0x0800);
		neighbour_learn(neighbour_get(in->neighbours, in->link_id, &peer, r.now), buf + 6, r.now);
		size_t n = tp_ip(buf + l2, row[i].src, row[i].dst, row[i].next, 64, 20);
		rig_receive(&r, buf, l2 + n + 20);
		const struct rig_out *o = expect("sent");
		assert_memory_equal(o->data + 14 + (v6 ? 8 : 12), from.ip, v6 ? 16 : 4);
		assert_int_equal(o->data[14 + l3], row[i].type);
		assert_int_equal(o->data[14 + l3 + 1], row[i].code);
		assert_int_equal(o->data[14 + l3 + 7], row[i].arg);
		assert_true(tp_good(o->data + 14, o->len - 14u));
		assert_non_null(rig_next(&r));
	}
}

static void
frames_for_others(void **state)
{
	size_t l2 = frame("02:00:00:00:00:02", PEER, 0x0800), n = l2 + tp_udp(buf + l2, "192.0.2.9", 1, "192.0.2.1", 2, 30);
	rig_receive(&r, buf, n);
	expect("drop not_for_us");
	frame(ALL, PEER, 0x0800);
	rig_receive(&r, buf, n);
	expect("drop link_multicast");
	frame(US, PEER, 0x88cc);
	rig_receive(&r, buf, n);
	expect("drop ethertype");
	frame(US, PEER, 0x8100);
	rig_receive(&r, buf, n);
	expect("drop vlan");
	rig_receive(&r, buf, 20);
	expect("drop frame_short");
	n = l2 + tp_udp(buf + l2, "192.0.2.9", 1, "192.0.2.255", 2, 30);
	frame(ALL, PEER, 0x0800);
	rig_receive(&r, buf, n);
	expect("drop multicast");
}

static void
waits_for_the_neighbour(void **state)
{
	size_t n = tp_udp(buf, "192.0.2.1", 1, "192.0.2.9", 2, 30);
	rig_send(&r, "ip", buf, n, NULL);
	const struct rig_out *o = expect("sent"); /* who has 192.0.2.9? */
	assert_memory_equal(o->data, ((uint8_t[]){0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), 6);
	assert_memory_equal(o->data + 38, ((uint8_t[]){192, 0, 2, 9}), 4);
	for (unsigned i = 0; i < PENDING_PACKETS; i++) /* the last replaces the oldest */
		rig_send(&r, "ip", buf, n, NULL);
	expect("drop neighbour_queue");
	assert_null(rig_next(&r));
	assert_int_equal(r.held, PENDING_PACKETS);
	rig_receive(&r, buf, arp(2, US, PEER, "192.0.2.9", "192.0.2.1"));
	expect("drop consumed");
	for (unsigned i = 0; i < PENDING_PACKETS; i++) {
		o = expect("sent");
		assert_memory_equal(o->data, ((uint8_t[]){2, 0, 0, 0, 0, 0x99, 2, 0, 0, 0, 0, 1, 8, 0}), 14);
		assert_int_equal(o->len, n + 14);
	}
	assert_int_equal(r.held, 0);
}

static void
packets_that_wait_are_bounded_in_sum(void **state)
{
	char to[16];
	const unsigned each = 16;
	for (unsigned a = 0; a < 40; a++) {
		snprintf(to, sizeof(to), "192.0.2.%u", 100 + a);
		size_t n = tp_udp(buf, "192.0.2.1", 1, to, 2, 30);
		for (unsigned i = 0; i < each; i++)
			rig_send(&r, "ip", buf, n, NULL);
		while (rig_next(&r))
			;
	}
	assert_int_equal(r.held, PENDING_ALL + 40 - PENDING_ALL / each); /* one each of those that came too late */
}

static void
gives_up_after_three_solicitations(void **state)
{
	size_t n = tp_udp(buf, "2001:db8:7::1", 1, "2001:db8::9", 2, 30);
	for (unsigned attempt = 0; attempt < 2; attempt++) {
		rig_send(&r, "ip", buf, n, NULL);
		for (unsigned i = 0; i < 3; i++) {
			const struct rig_out *o = expect("sent");
			assert_int_equal(o->data[14 + 40], 135);
			assert_true(tp_good(o->data + 14, o->len - 14u));
			assert_memory_equal(o->data, ((uint8_t[]){0x33, 0x33, 0xff, 0, 0, 9}), 6);
			rig_poll(&r);
			assert_null(rig_next(&r));
			r.now += SECOND;
			rig_poll(&r);
		}
		const struct rig_out *o = expect("gate 2"); /* address unreachable: RFC 4861 §7.2.2 */
		assert_int_equal(o->data[40], 1);
		assert_int_equal(o->data[41], 3);
		expect("drop neighbour");
	}
}

static void
stale_neighbour_is_asked_and_used_meanwhile(void **state)
{
	size_t n = tp_udp(buf, "192.0.2.1", 1, "192.0.2.9", 2, 30);
	uint8_t packet[128];
	memcpy(packet, buf, n);
	know_peer();
	r.now += 29 * SECOND;
	rig_send(&r, "ip", packet, n, NULL);
	expect("sent");
	for (unsigned i = 0; i < 3; i++) {
		r.now += 2 * SECOND;
		rig_send(&r, "ip", packet, n, NULL);
		const struct rig_out *o = expect("sent"); /* unicast */
		assert_int_equal(o->data[13], 6);
		assert_memory_equal(o->data, ((uint8_t[]){2, 0, 0, 0, 0, 0x99}), 6);
		expect("sent");
	}
	/* An answer makes it fresh again. */
	rig_receive(&r, buf, arp(2, US, PEER, "192.0.2.9", "192.0.2.1"));
	expect("drop consumed");
	rig_send(&r, "ip", packet, n, NULL);
	expect("sent");
	assert_null(rig_next(&r));
	/* Silence: forgotten, everyone is asked. */
	for (unsigned i = 0; i < 4; i++) {
		r.now += 31 * SECOND;
		rig_send(&r, "ip", packet, n, NULL);
	}
	drain();
	rig_send(&r, "ip", packet, n, NULL);
	assert_memory_equal(expect("sent")->data, ((uint8_t[]){0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), 6);
	assert_int_equal(r.held, 1);
}

static void
foreign_messages_teach_nothing(void **state)
{
	size_t n;
	rig_receive(&r, buf, arp(2, US, PEER, "192.0.2.9", "192.0.2.1")); /* not asked for */
	expect("drop consumed");
	rig_receive(&r, buf, arp(1, ALL, PEER, "203.0.113.5", "192.0.2.1")); /* not on this link: answered only */
	expect("sent");
	n = tp_udp(buf, "192.0.2.1", 1, "192.0.2.9", 2, 30);
	rig_send(&r, "ip", buf, n, NULL);
	assert_int_equal(expect("sent")->data[13], 6);
	assert_int_equal(r.held, 1);
}

static const char *
neighbour_text(const char *address)
{
	static char text[40];
	const struct interface *i = r.self;
	struct tr_addr a;
	assert_true(parse_addr(address, &a));
	const struct neighbour *e = neighbour_find(i->neighbours, i->link_id, &a);
	if (e == NULL)
		return "unknown";
	uint64_t link = atomic_load(&e->link), heard = atomic_load(&e->confirmed);
	snprintf(text, sizeof(text), "%02x %s", (unsigned)(link >> 40 & 0xff), neighbour_state(link) == NEIGHBOUR_INCOMPLETE ? "incomplete"
		: heard == NEIGHBOUR_STATIC ? "static" : r.now <= heard + NEIGHBOUR_REACHABLE_NS ? "reachable" : "stale");
	return text;
}

/* RFC 4861 §7.2.5, each line of it. */
static void
advertisements_change_what_they_may(void **state)
{
	static const struct {
		uint8_t before, mac; /* last bytes; before 0: incomplete; mac 0: no option */
		bool stale, solicited, override;
		const char *after;
	} row[] = {
		{0, 9, false, true, false, "09 reachable"}, {0, 9, false, false, false, "09 stale"}, {0, 0, false, true, true, "00 incomplete"},
		{9, 9, true, true, false, "09 reachable"}, {9, 9, true, false, true, "09 stale"}, {9, 9, false, false, true, "09 reachable"},
		{9, 8, false, true, false, "09 stale"}, {9, 8, true, true, false, "09 stale"}, {9, 8, false, true, true, "08 reachable"},
		{9, 8, false, false, true, "08 stale"}, {9, 0, true, true, false, "09 reachable"}, {9, 0, true, false, false, "09 stale"},
	};
	const char *address = "2001:db8::77";
	struct interface *i = r.self;
	struct tr_addr a;
	assert_true(parse_addr(address, &a));
	r.now += 1000 * SECOND;
	for (unsigned k = 0; k < sizeof(row) / sizeof(*row); k++) {
		struct neighbour *e = neighbour_get(i->neighbours, i->link_id, &a, r.now);
		uint8_t mac[6] = {2, [5] = row[k].before};
		if (row[k].before != 0)
			neighbour_learn(e, mac, row[k].stale ? r.now - 100 * SECOND : r.now);
		mac[5] = row[k].mac;
		neighbour_advertised(e, row[k].mac != 0 ? mac : NULL, row[k].solicited, row[k].override, r.now);
		if (strcmp(neighbour_text(address), row[k].after) != 0)
			fail_msg("row %u: %s, not %s", k, neighbour_text(address), row[k].after);
		neighbour_kill(e, r.node[0].host, &r.instance);
	}
}

static void
configured_neighbours(void **state)
{
	static const char *list[] = {"192.0.2.9 02:00:00:00:00:55", "2001:db8::9 02:00:00:00:00:56"};
	size_t n = tp_udp(buf, "192.0.2.1", 1, "192.0.2.9", 2, 30);
	uint8_t packet[128];
	memcpy(packet, buf, n);
	options.neighbours = (struct tr_list){2, list};
	assert_int_equal(class_interface.start(r.self), 0);
	assert_string_equal(neighbour_text("192.0.2.9"), "55 static");
	assert_string_equal(neighbour_text("2001:db8::9"), "56 static");
	know_peer(); /* ARP says otherwise */
	for (unsigned k = 0; k < 5; k++) {
		r.now += 1000 * SECOND;
		rig_poll(&r);
		rig_send(&r, "ip", packet, n, NULL);
		assert_int_equal(expect("sent")->data[5], 0x55); /* never asked for, never old */
		assert_null(rig_next(&r));
	}
	options.neighbours.n = 1;
	assert_int_equal(class_interface.start(r.self), 0); /* as at the next apply */
	assert_string_equal(neighbour_text("192.0.2.9"), "55 static");
	assert_string_equal(neighbour_text("2001:db8::9"), "unknown");
	static const char *const bad[] = {"192.0.2.9", "192.0.2.9 02:00:00:00:00", "192.0.2.9 01:00:00:00:00:01", "x 02:00:00:00:00:01",
		"192.0.2.9 02:00:00:00:00:01:02", "198.18.0.1 02:00:00:00:00:01"};
	for (unsigned k = 0; k < sizeof(bad) / sizeof(*bad); k++) {
		options.neighbours = (struct tr_list){1, (void *)(uintptr_t)&bad[k]};
		assert_int_equal(class_interface.start(r.self), -EINVAL);
		assert_non_null(strstr(r.failure, bad[k]));
	}
	options.neighbours.n = 0;
	assert_int_equal(class_interface.start(r.self), 0);
	assert_string_equal(neighbour_text("192.0.2.9"), "unknown");
}

static void
conflicts_are_counted(void **state)
{
	rig_receive(&r, buf, arp(1, ALL, PEER, "192.0.2.1", "192.0.2.7")); /* another has our address */
	rig_receive(&r, buf, nd(136, "2001:db8::1", "ff02::1", "2001:db8::1", 2, 255)); /* solicited, to all: not valid */
	assert_int_equal(r.count[INTERFACE_CONFLICT], 1);
	size_t n = nd(136, "2001:db8::1", "ff02::1", "2001:db8::1", 2, 255);
	buf[14 + 40 + 4] = 0x20;
	memset(buf + 14 + 42, 0, 2);
	uint16_t sum = tp_l4sum(buf + 14, buf + 14 + 40);
	memcpy(buf + 14 + 42, &sum, 2);
	rig_receive(&r, buf, n);
	assert_int_equal(r.count[INTERFACE_CONFLICT], 2);
	assert_told("note", "02:00:00:00:00:99 says that it has our address 2001:db8::1 (last 0 s ago)");
	rig_receive(&r, buf, arp(1, ALL, PEER, "192.0.2.1", "192.0.2.7"));
	r.now += 599 * SECOND;
	assert_told("note", "02:00:00:00:00:99 says that it has our address 192.0.2.1 (last 599 s ago)");
	r.now += 2 * SECOND;
	assert_told("note", NULL);
}

static void
a_silent_gateway_is_told(void **state)
{
	size_t n = tp_udp(buf, "192.0.2.1", 1, "203.0.113.1", 2, 30);
	uint8_t packet[128];
	memcpy(packet, buf, n);
	assert_told("state", "gateway 192.0.2.254, whose MAC is not known");
	assert_told("note", NULL);
	rig_send(&r, "ip", packet, n, NULL);
	for (unsigned i = 0; i < 3; i++) {
		assert_told("note", NULL);
		r.now += SECOND;
		rig_poll(&r);
	}
	assert_told("note", "the gateway 192.0.2.254 does not answer ARP: nothing beyond this link is reached");
	assert_told("silent", "192.0.2.254");
	drain();
	rig_send(&r, "ip", packet, n, NULL); /* asked again, and this time it answers */
	rig_receive(&r, buf, arp(1, ALL, PEER, "192.0.2.254", "192.0.2.1"));
	assert_told("state", "gateway 192.0.2.254 at 02:00:00:00:00:99");
	assert_told("note", NULL);
	assert_told("silent", NULL);
	drain();
	rig_poll(&r);
	drain();
}

static void
next_hops(void **state)
{
	static const struct {
		const char *src, *dst, *via, *asks;
	} row[] = {
		{"192.0.2.1", "192.0.2.77", NULL, "192.0.2.77"},
		{"192.0.2.1", "10.9.44.1", NULL, "10.9.44.1"},
		{"192.0.2.1", "203.0.113.1", NULL, "192.0.2.254"},
		{"192.0.2.1", "203.0.113.1", "192.0.2.33", "192.0.2.33"},
		{"192.0.2.1", "203.0.113.1", "2001:db8::33", "2001:db8::33"},
		{"2001:db8::1", "2001:db8:9::1", NULL, "2001:db8::ff"},
	};
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct tr_meta meta = {0};
		struct tr_addr asked;
		size_t n = tp_udp(buf, row[i].src, 1, row[i].dst, 2, 30);
		memset(&meta.endpoint, 6, sizeof(meta.endpoint)); /* what a plugin left there does not matter */
		if (row[i].via != NULL) {
			meta.flags = TR_META_VIA;
			assert_true(parse_addr(row[i].via, &meta.next_hop));
		}
		assert_true(parse_addr(row[i].asks, &asked));
		rig_send(&r, "ip", buf, n, &meta);
		const struct rig_out *o = expect("sent");
		assert_memory_equal(o->data + (asked.family == 4 ? 38 : 62), asked.ip, asked.family == 4 ? 4 : 16);
	}
	size_t n = tp_udp(buf, "203.0.113.1", 1, "192.0.2.1", 2, 30);
	rig_send(&r, "ip", buf, n, NULL);
	expect("gate 1"); /* routed to us: received */
	rig_send(&r, "ip", buf, tp_icmp(buf, "203.0.113.1", "10.9.0.1", 8, 64, 30), NULL);
	expect("gate 2"); /* and answered by way of the router */
	n = tp_udp(buf, "192.0.2.1", 1, "192.0.2.9", 2, 1473);
	buf[6] = 0x40;
	rig_send(&r, "ip", buf, n, &(struct tr_meta){.flags = TR_META_OWN});
	expect("drop too_big");
	rig_send(&r, "ip", "\x45", 1, NULL);
	expect("drop ip_short");
}

/* What became of those packets since the last call, those sent first; their number. */
static unsigned
fates(struct rig_out *out, unsigned max)
{
	unsigned n = 0, first = r.taken;
	for (int sent = 1; sent >= 0; sent--)
		for (unsigned k = first; k < r.n_out; k++)
			if ((r.out[k].verdict == RIG_SENT) == sent && n < max)
				out[n++] = r.out[k];
	r.taken = r.n_out = 0;
	return n;
}

/* A burst remembers where the packet before went: it must not matter, whatever follows upon what. */
static void
a_burst_fares_as_its_packets(void **state)
{
	static const struct {
		const char *src, *dst, *via;
		size_t len;
	} kind[] = {
		{"192.0.2.1", "192.0.2.77", NULL, 30}, {"0.0.0.0", "192.0.2.77", NULL, 30}, {"192.0.2.1", "203.0.113.1", NULL, 30},
		{"192.0.2.1", "192.0.2.254", NULL, 30}, {"192.0.2.1", "203.0.113.9", "192.0.2.77", 30},
		{"192.0.2.1", "192.0.2.255", NULL, 30}, {"192.0.2.1", "192.0.2.255", "192.0.2.77", 30},
		{"192.0.2.1", "224.0.0.9", NULL, 30}, {"192.0.2.1", "192.0.2.1", NULL, 30}, {"192.0.2.1", "192.0.2.77", NULL, 1473},
		{"192.0.2.1", "203.0.113.9", "2001:db8::33", 30}, {"2001:db8::1", "2001:db8::33", NULL, 30},
		{"2001:db8::1", "2001:db8:9::1", NULL, 30}, {"::", "2001:db8::33", NULL, 30},
		{"2001:db8::1", "2001:db8:9::1", "2001:db8::33", 30}, {"2001:db8::1", "2001:db8::1", NULL, 30},
		{"2001:db8::1", "ff02::1", NULL, 30},
	};
	enum { KINDS = sizeof(kind) / sizeof(*kind), BURST = TR_BURST };
	static struct rig_out single[BURST], burst[BURST];
	static const char *const neighbours[] = {"192.0.2.77", "192.0.2.254"}, *const neighbours6[] = {"2001:db8::33", "2001:db8::ff"};
	for (unsigned k = 0; k < 2; k++) {
		char mac[18];
		snprintf(mac, sizeof(mac), "02:00:00:00:00:%02x", 0x20 + k);
		rig_receive(&r, buf, arp(1, ALL, mac, neighbours[k], "192.0.2.1"));
		rig_receive(&r, buf, nd(135, neighbours6[k], "ff02::1:ff00:1", "2001:db8::1", 1, 255));
		struct interface *i = r.self;
		struct tr_addr a;
		assert_true(parse_addr(neighbours6[k], &a));
		neighbour_learn(neighbour_find(i->neighbours, i->link_id, &a), buf + 6, r.now); /* and reachable */
	}
	drain();
	srandom(1);
	for (unsigned round = 0; round < 500; round++) {
		struct rte_mbuf *pkts[BURST];
		for (unsigned k = 0; k < BURST; k++) {
			unsigned what = (unsigned)random() % (round % 2 ? KINDS : 4);
			struct tr_meta meta = {.flags = TR_META_OWN};
			size_t n = tp_udp(buf, kind[what].src, 1, kind[what].dst, 2, kind[what].len);
			if (kind[what].len > 1000)
				buf[6] = 0x40; /* not to be split */
			if (kind[what].via != NULL) {
				meta.flags |= TR_META_VIA;
				assert_true(parse_addr(kind[what].via, &meta.next_hop));
			}
			pkts[k] = rig_packet(&r, buf, n);
			*tr_meta(pkts[k]) = meta;
			rig_send(&r, "ip", buf, n, &meta);
		}
		unsigned n = fates(single, BURST);
		rig_burst(&r, "ip", pkts, BURST);
		assert_int_equal(fates(burst, BURST), n);
		assert_int_equal(n, BURST);
		for (unsigned k = 0; k < n; k++) {
			assert_int_equal(burst[k].verdict, single[k].verdict);
			assert_int_equal(burst[k].len, single[k].len);
			assert_memory_equal(burst[k].data, single[k].data, single[k].len);
		}
	}
}

static void
unspecified_source_is_filled(void **state)
{
	static const struct {
		const char *src, *dst, *own;
	} row[] = {{"0.0.0.0", "192.0.2.255", "192.0.2.1"}, {"0.0.0.0", "10.9.255.255", "10.9.0.1"},
		{"::", "ff02::1", "2001:db8::1"}, {"0.0.0.0", "224.0.0.9", "192.0.2.1"}};
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct tr_addr own;
		size_t n = tp_udp(buf, row[i].src, 1, row[i].dst, 2, 31), l3 = strchr(row[i].src, ':') ? 40 : 20;
		struct tr_meta meta = {.l3_len = (uint8_t)l3, .l4 = 17, .flags = TR_META_OWN};
		assert_true(parse_addr(row[i].own, &own));
		rig_send(&r, "ip", buf, n, &meta);
		const struct rig_out *o = expect("sent");
		assert_memory_equal(o->data + 14 + (l3 == 40 ? 8 : 12), own.ip, l3 == 40 ? 16 : 4);
		assert_true(tp_good(o->data + 14, n));
	}
}

static void
checksum_left_to_the_port_is_done_here(void **state)
{
	struct tr_meta meta = {.l3_len = 40, .l4 = 17, .flags = TR_META_OWN};
	size_t n = tp_udp(buf, "::", 1, "ff02::1", 2, 1200);
	memset(buf + 46, 0, 2);
	struct rte_mbuf *m = rig_packet(&r, buf, n);
	uint16_t gate;
	*tr_meta(m) = meta;
	m->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IPV6;
	r.rx++;
	interface_send(&r.node[0], &m, 1, &gate);
	assert_true(tp_good(expect("sent")->data + 14, n));
}

static void
full_port(void **state)
{
	size_t n = tp_udp(buf, "192.0.2.1", 1, "192.0.2.255", 2, 30);
	rig_send(&r, "ip", buf, n, NULL); /* RFC 2644: a broadcast of another's */
	expect("drop broadcast");
	r.port_takes = 0;
	rig_send(&r, "ip", buf, n, &(struct tr_meta){.flags = TR_META_OWN});
	expect("drop tx_full");
}

static void
tagged_interface(void **state)
{
	set_options(42);
	assert_true(rig_open(&r, &class_interface, "wan", &options, NULL));
	rig_poll(&r);
	drain();
	arp(1, ALL, PEER, "192.0.2.9", "192.0.2.1");
	rig_receive(&r, buf, 60);
	expect("drop vlan");
	memmove(buf + 16, buf + 12, 48);
	memcpy(buf + 12, (const uint8_t[]){0x81, 0, 0x60, 42}, 4); /* priority 3 */
	rig_receive(&r, buf, 64);
	const struct rig_out *o = expect("sent");
	assert_memory_equal(o->data + 12, ((uint8_t[]){0x81, 0, 0, 42, 8, 6, 0, 1}), 8);
	buf[15] = 43;
	rig_receive(&r, buf, 64);
	expect("drop vlan");
}

static void
wrong_options_are_refused(void **state)
{
	set_options(0);
	options.port = "none";
	assert_false(rig_open(&r, &class_interface, "wan", &options, NULL));
	assert_string_equal(r.failure, "appliance.cfg has no port `none`");
	set_options(0);
	options.mtu = 9000;
	assert_false(rig_open(&r, &class_interface, "wan", &options, NULL));
	assert_string_equal(r.failure, "mtu 9000 is more than port `wan` carries, 1500");
	set_options(0);
	parse_addr("203.0.113.1", &gateways[0]);
	assert_false(rig_open(&r, &class_interface, "wan", &options, NULL));
	assert_string_equal(r.failure, "gateway 203.0.113.1 is not in any of the interface's networks");
}

#define QUIET(f) cmocka_unit_test_setup_teardown(f, open_quiet, done)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(announces_its_addresses_twice, done),
		QUIET(arp_request_is_answered),
		QUIET(malformed_arp_is_refused),
		QUIET(neighbour_solicitation_is_answered),
		QUIET(invalid_nd_is_refused),
		QUIET(echo_is_answered),
		QUIET(datagram_for_us),
		QUIET(bad_headers),
		QUIET(the_kernel_gets_the_rest),
		QUIET(errors_about_packets_for_us),
		QUIET(frames_for_others),
		QUIET(waits_for_the_neighbour),
		QUIET(packets_that_wait_are_bounded_in_sum),
		QUIET(gives_up_after_three_solicitations),
		QUIET(stale_neighbour_is_asked_and_used_meanwhile),
		QUIET(foreign_messages_teach_nothing),
		QUIET(advertisements_change_what_they_may),
		QUIET(configured_neighbours),
		QUIET(conflicts_are_counted),
		QUIET(a_silent_gateway_is_told),
		QUIET(next_hops),
		QUIET(a_burst_fares_as_its_packets),
		QUIET(unspecified_source_is_filled),
		QUIET(checksum_left_to_the_port_is_done_here),
		QUIET(full_port),
		cmocka_unit_test_teardown(tagged_interface, done),
		cmocka_unit_test(wrong_options_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
