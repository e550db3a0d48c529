/* SPDX-License-Identifier: BSD-3-Clause */
/* The small classes: mux, path, drop. */
#include "net/classes.h"
#include "net/testpacket.h"
#include "netmap/store.h"

#include "net/expect.h" /* after headers whose functions have an `r` of their own */

static uint8_t buf[2048];

/* ---- mux: gate 0 is icmp, 1 host; gate 2 alone on 3478; on 443 gate 3 takes all, 4 and 5 by first bytes ---- */

static const struct tr_option listen_option[] = {{"listen", TR_OPT_UINT, .flags = TR_OPT_LISTEN}, {0}};
static const struct tr_match match_a[] = {{.offset = 0, .min_len = 4, .mask = 0xffff0000ull << 32, .value = 0x01020000ull << 32}, {0}};
static const struct tr_match match_b[] = {{.offset = 4, .min_len = 8, .mask = 0xffull << 56, .value = 0x55ull << 56},
	{.offset = 0, .min_len = 1, .mask = 0xffull << 56, .value = 0x99ull << 56}, {0}};
static const struct tr_in_gate gate_any[] = {{"in", TR_TYPE_UDP}, {0}};
static const struct tr_in_gate gate_a[] = {{"in", TR_TYPE_UDP, .match = match_a}, {0}};
static const struct tr_in_gate gate_b[] = {{"in", TR_TYPE_UDP, .match = match_b}, {0}};
static const struct tr_class class_any = {.name = "any", .options = listen_option, .in = gate_any};
static const struct tr_class class_a = {.name = "a", .options = listen_option, .in = gate_a};
static const struct tr_class class_b = {.name = "b", .options = listen_option, .in = gate_b};
static uint64_t ports[5];
static unsigned listeners;
static bool host_linked;

static void
plan_mux(struct rig *g)
{
	static const struct tr_class *const classes[] = {&class_any, &class_any, &class_a, &class_b, &class_any};
	static const char *const names[] = {"g0", "g1", "g2", "g3", "g4"};
	g->gate[0] = (struct plan_gate){.name = "icmp", .to = -1};
	g->gate[1] = (struct plan_gate){.name = "host", .to = host_linked ? 6 : -1};
	for (unsigned k = 0; k < listeners; k++) {
		g->pi[k + 1] = (struct plan_instance){.name = names[k], .class_ = classes[k], .options = &ports[k]};
		g->gate[k + 2] = (struct plan_gate){.name = names[k], .to = (int32_t)k + 1};
	}
	g->pi[0].n_out = listeners + 2;
}

static void
datagram(uint16_t port, const uint8_t *payload, size_t len, const char *verdict)
{
	struct tr_meta meta = {.l3_len = 20, .l4 = 17, .endpoint = {.family = 4, .local_port = port}};
	size_t n = tp_udp(buf, "192.0.2.9", 9, "192.0.2.1", port, len);
	memcpy(buf + 28, payload, len);
	rig_send(&r, "in", buf, n, &meta);
	if (strcmp(verdict, "drop no_port") == 0) { /* the sender is told, by the address that it asked */
		const struct rig_out *o = expect("gate 0");
		assert_memory_equal(o->data + 12, buf + 16, 4);
		assert_int_equal(o->data[20] << 8 | o->data[21], 0x0303);
	}
	expect(verdict);
}

static void
mux_dispatches(void **state)
{
	memcpy(ports, (const uint64_t[]){3478, 443, 443, 443}, 4 * sizeof(*ports));
	listeners = 4;
	assert_true(rig_open(&r, &class_mux, "mux", NULL, plan_mux));
	datagram(3478, (const uint8_t *)"", 0, "gate 2");
	datagram(3479, (const uint8_t *)"x", 1, "drop no_port");
	datagram(443, (const uint8_t[]){1, 2, 7, 7}, 4, "gate 4");
	datagram(443, (const uint8_t[]){1, 2, 7}, 3, "gate 3"); /* shorter than the match wants */
	datagram(443, (const uint8_t[]){0, 0, 0, 0, 0x55, 0, 0, 0}, 8, "gate 5");
	datagram(443, (const uint8_t[]){0x99}, 1, "gate 5");
	datagram(443, (const uint8_t *)"", 0, "gate 3");
	rig_close(&r);
	ports[1] = 444; /* now nobody takes all of 443 */
	assert_true(rig_open(&r, &class_mux, "mux", NULL, plan_mux));
	datagram(443, (const uint8_t[]){7, 7, 7, 7}, 4, "drop no_match");
	rig_close(&r);
	host_linked = true; /* who listens on what else is the kernel's to say */
	assert_true(rig_open(&r, &class_mux, "mux", NULL, plan_mux));
	datagram(3479, (const uint8_t *)"x", 1, "gate 1");
	datagram(3478, (const uint8_t *)"", 0, "gate 2");
	host_linked = false;
	rig_close(&r);
}

static void
mux_refuses_two_that_take_all(void **state)
{
	memcpy(ports, (const uint64_t[]){3478, 443, 443, 443, 443}, sizeof(ports));
	listeners = 5;
	assert_false(rig_open(&r, &class_mux, "mux", NULL, plan_mux));
	assert_string_equal(r.failure, "`g4`: another instance already takes all of port 443");
}

/* ---- path ---- */

static void
plan_path(struct rig *g)
{
	g->pi[1] = (struct plan_instance){.name = "r", .class_ = &class_any, .options = &ports[0]};
	g->gate[0] = (struct plan_gate){.name = "udp", .to = 1};
	g->gate[1] = (struct plan_gate){.name = "derp", .to = 1};
	g->pi[0].n_out = 2;
}

static struct tr_endpoint
endpoint(const char *local, const char *remote)
{
	struct tr_addr l, t;
	struct tr_endpoint e = {.remote_port = 51820, .local_port = 41641};
	assert_true(parse_addr(local, &l) && parse_addr(remote, &t));
	e.family = t.family;
	memcpy(e.local, l.ip, 16);
	memcpy(e.remote, t.ip, 16);
	return e;
}

static void
path_wraps_into_udp(void **state)
{
	static const struct {
		const char *local, *remote;
		size_t l3, len;
	} row[] = {
		{"192.0.2.1", "198.51.100.2", 20, 148}, {"0.0.0.0", "198.51.100.2", 20, 32}, {"2001:db8::1", "2001:db8::2", 40, 1420},
		{"2001:db8::1", "2001:db8::2", 40, 33}, {"2001:db8::1", "2001:db8::2", 40, 0}};
	assert_true(rig_open(&r, &class_path, "path", NULL, plan_path));
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct tr_meta meta = {.tos = 0xb9, .peer = 5, .flags = TR_META_VIA, .endpoint = endpoint(row[i].local, row[i].remote)};
		for (size_t k = 0; k < row[i].len; k++)
			buf[k] = (uint8_t)(k * 3);
		rig_send(&r, "in", buf, row[i].len, &meta);
		const struct rig_out *o = expect("gate 0");
		const uint8_t *udp = o->data + row[i].l3;
		assert_int_equal(o->len, row[i].l3 + 8 + row[i].len);
		assert_true(tp_good(o->data, o->len));
		assert_memory_equal(udp + 8, buf, row[i].len);
		assert_memory_equal(udp, ((uint8_t[]){41641 >> 8, 41641 & 255, 51820 >> 8, 51820 & 255}), 4);
		assert_int_equal(udp[4] << 8 | udp[5], 8 + row[i].len);
		assert_int_equal(udp[6] | udp[7], row[i].l3 == 20 ? 0 : udp[6] | udp[7]);
		assert_int_equal(row[i].l3 == 20 ? o->data[1] : (o->data[0] & 15) << 4 | o->data[1] >> 4, 0xb9);
		assert_int_equal(o->data[row[i].l3 == 20 ? 8 : 7], 64);
		if (row[i].l3 == 20)
			assert_int_equal(o->data[6], 0); /* DF clear */
		assert_int_equal(o->meta.l3_len, row[i].l3);
		assert_int_equal(o->meta.flags, TR_META_OWN);
		assert_int_equal(o->meta.peer, 5);
	}
	rig_close(&r);
}

static void
path_chooses_by_endpoint(void **state)
{
	struct tr_meta meta = {.endpoint = {.family = 4, .gate = 1}};
	assert_true(rig_open(&r, &class_path, "path", NULL, plan_path));
	rig_send(&r, "in", "abc", 3, &meta);
	assert_int_equal(expect("gate 1")->len, 3); /* as it came: that gate knows its kind */
	meta.endpoint.gate = 2;
	rig_send(&r, "in", "abc", 3, &meta);
	expect("drop no_gate");
	meta.endpoint.family = 0;
	rig_send(&r, "in", "abc", 3, &meta);
	expect("drop no_endpoint");
	meta.endpoint = endpoint("0.0.0.0", "192.0.2.1");
	meta.endpoint.mtu = 2;
	rig_send(&r, "in", "abc", 3, &meta);
	expect("gate 0"); /* UDP can be split further on */
	meta.endpoint.gate = 1;
	rig_send(&r, "in", "abc", 3, &meta);
	expect("drop too_big");
	rig_close(&r);
}

static void
path_copies_by_relay(void **state)
{
	char why[200] = "";
	struct tr_meta meta = {.peer = 1, .endpoint = endpoint("0.0.0.0", "192.0.2.1")};
	struct tr_path direct = {.endpoint = meta.endpoint}, relay;
	struct tr_peer_change anna = {.public_key = {7, [31] = 9}};
	relay.endpoint = tr_endpoint_derp(4, anna.public_key);
	relay.state = TR_PATH_UNTRIED;
	assert_int_equal(netmap_init(10, NULL, why, sizeof(why)), 0);
	assert_int_equal(netmap_set(netmap_table("wg0"), &anna), 0);
	assert_true(rig_open(&r, &class_path, "path", NULL, plan_path));
	meta.endpoint.flags = TR_ENDPOINT_TWICE;
	rig_send(&r, "in", "abc", 3, &meta);
	expect("gate 0"); /* no relay is known */
	path_heard(1, &direct.endpoint, 1);
	path_tell(1, &relay, 1);
	rig_send(&r, "in", "abc", 3, &meta);
	const struct rig_out *o = expect("gate 1");
	assert_int_equal(o->len, 3);
	assert_memory_equal(o->data, "abc", 3);
	assert_memory_equal(&o->meta.endpoint, &relay.endpoint, sizeof(relay.endpoint));
	assert_int_equal(o->meta.peer, 1);
	assert_int_equal(expect("gate 0")->len, 20 + 8 + 3);
	meta.peer = TR_NO_PEER;
	rig_send(&r, "in", "abc", 3, &meta);
	expect("gate 0");
	rig_close(&r);
	netmap_fini();
}

static void
drop_drops(void **state)
{
	assert_true(rig_open(&r, &class_drop, "drop", NULL, NULL));
	rig_send(&r, "in", "abc", 3, NULL);
	expect("drop drop");
	rig_close(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mux_dispatches),
		cmocka_unit_test(mux_refuses_two_that_take_all),
		cmocka_unit_test(path_wraps_into_udp),
		cmocka_unit_test(path_chooses_by_endpoint),
		cmocka_unit_test(path_copies_by_relay),
		cmocka_unit_test(drop_drops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
