/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames and boxes. Vectors: client secret 32 x 0x11, server secret 32 x 0x22, nonce 00 01 … 17, made with the Go client's
 * own functions.
 */
#include "frame.h"
#include "info.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sodium.h>

static const char client_public[] = "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13";
static const char server_public[] = "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20";
static const char shared_key[] = "8abe7c8ae6800b76d4f5986b04b77f6e9b4f332403c90df02428336e8bd9b525";
static const char client_info[] = "0200000068"
	"7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13"
	"000102030405060708090a0b0c0d0e0f1011121314151617"
	"a858a062bb55fbd0e565bf952225b5e220ae6ff32ce093a7548f0f9efd7331db8b94711fe4546f1ed0d738121d94abe3";
static const char server_info[] = "0300000035000102030405060708090a0b0c0d0e0f1011121314151617"
	"a9f96672359ffb53a9a765041e0e895820ae6ff32ce093a7548f0f9eac";

static size_t
bytes(uint8_t *out, size_t room, const char *hex)
{
	size_t n;
	assert_int_equal(sodium_hex2bin(out, room, hex, strlen(hex), NULL, &n, NULL), 0);
	return n;
}

static void
shared(uint8_t out[32])
{
	uint8_t secret[32], public_key[32], want[32];
	memset(secret, 0x22, 32);
	bytes(public_key, 32, client_public);
	bytes(want, 32, shared_key);
	assert_true(info_shared(out, public_key, secret));
	assert_memory_equal(out, want, 32);
}

/* 1: what each reader takes, by type and length; `at` is what it does with the header alone. */
static void
test_sizes(void **state)
{
	static const struct {
		enum frame_reader who;
		uint8_t type;
		uint32_t len;
		enum frame_status at;
	} table[] = {
		{FRAME_HELLO, FRAME_CLIENT_INFO, 55, FRAME_BAD},
		{FRAME_HELLO, FRAME_CLIENT_INFO, 56, FRAME_MORE},
		{FRAME_HELLO, FRAME_CLIENT_INFO, FRAME_HELLO_MAX, FRAME_MORE},
		{FRAME_HELLO, FRAME_CLIENT_INFO, FRAME_HELLO_MAX + 1, FRAME_BAD},
		{FRAME_HELLO, FRAME_SEND, 100, FRAME_BAD},
		{FRAME_HELLO, 'H', 0x5454502f, FRAME_BAD},
		{FRAME_SERVER, FRAME_SEND, 31, FRAME_BAD},
		{FRAME_SERVER, FRAME_SEND, 32, FRAME_MORE},
		{FRAME_SERVER, FRAME_SEND, 32 + 65536, FRAME_MORE},
		{FRAME_SERVER, FRAME_SEND, 32 + 65537, FRAME_BAD},
		{FRAME_SERVER, FRAME_FORWARD, 63, FRAME_BAD},
		{FRAME_SERVER, FRAME_FORWARD, 64 + 65536, FRAME_MORE},
		{FRAME_SERVER, FRAME_FORWARD, 64 + 65537, FRAME_BAD},
		{FRAME_SERVER, FRAME_NOTE_PREFERRED, 0, FRAME_BAD},
		{FRAME_SERVER, FRAME_NOTE_PREFERRED, 2, FRAME_BAD},
		{FRAME_SERVER, FRAME_WATCH, 0, FRAME_GOOD},
		{FRAME_SERVER, FRAME_WATCH, 1, FRAME_BAD},
		{FRAME_SERVER, FRAME_CLOSE_PEER, 33, FRAME_BAD},
		{FRAME_SERVER, FRAME_PING, 7, FRAME_BAD},
		{FRAME_SERVER, FRAME_PING, 1000, FRAME_MORE},
		{FRAME_SERVER, FRAME_PING, 1001, FRAME_BAD},
		{FRAME_SERVER, FRAME_PONG, 8, FRAME_SKIP},
		{FRAME_SERVER, FRAME_CLIENT_INFO, 100, FRAME_SKIP},
		{FRAME_SERVER, 0xee, 16u << 20, FRAME_SKIP},
		{FRAME_CLIENT, FRAME_RECV, 31, FRAME_SKIP},
		{FRAME_CLIENT, FRAME_RECV, 1u << 20, FRAME_MORE},
		{FRAME_CLIENT, FRAME_RECV, (1u << 20) + 1, FRAME_BAD},
		{FRAME_CLIENT, 0xee, (1u << 20) + 1, FRAME_BAD},
		{FRAME_CLIENT, FRAME_KEEP_ALIVE, 0, FRAME_GOOD},
		{FRAME_CLIENT, FRAME_PONG, 7, FRAME_SKIP},
		{FRAME_CLIENT, FRAME_SEND, 100, FRAME_SKIP},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint8_t head[FRAME_HEADER];
		struct frame f;
		frame_header(head, table[i].type, table[i].len);
		struct tr_reader r = tr_reader(head, sizeof(head));
		if (frame_read(&f, &r, table[i].who) != table[i].at)
			fail_msg("row %zu", i);
		assert_int_equal(tr_left(&r), table[i].at == FRAME_MORE || table[i].at == FRAME_BAD ? FRAME_HEADER : 0);
	}
}

/* A frame in two pieces: nothing is taken before the second. */
static void
test_pieces(void **state)
{
	uint8_t data[FRAME_HEADER + 40] = {0};
	struct frame f;
	frame_header(data, FRAME_SEND, 40);
	for (size_t n = 0; n < sizeof(data); n++) {
		struct tr_reader r = tr_reader(data, n);
		assert_int_equal(frame_read(&f, &r, FRAME_SERVER), FRAME_MORE);
		assert_ptr_equal(r.p, data);
	}
	struct tr_reader r = tr_reader(data, sizeof(data));
	assert_int_equal(frame_read(&f, &r, FRAME_SERVER), FRAME_GOOD);
	assert_int_equal(f.len, 40);
	assert_ptr_equal(f.body, data + FRAME_HEADER);
	assert_int_equal(tr_left(&r), 0);
}

static void
test_disco(void **state)
{
	uint8_t p[62] = "TS\xf0\x9f\x92\xac";
	assert_true(frame_is_disco(p, 62));
	assert_false(frame_is_disco(p, 61));
	p[5]++;
	assert_false(frame_is_disco(p, 62));
}

static void
test_client_vector(void **state)
{
	uint8_t key[32], data[256], want[32];
	struct info_client c;
	struct frame f;
	shared(key);
	struct tr_reader r = tr_reader(data, bytes(data, sizeof(data), client_info));
	assert_int_equal(frame_read(&f, &r, FRAME_HELLO), FRAME_GOOD);
	assert_true(info_open_client(&c, f.body, f.len, key));
	bytes(want, 32, client_public);
	assert_memory_equal(c.key, want, 32);
	assert_true(c.can_ack_pings);
	assert_false(c.has_mesh_key || c.prober);
	for (uint32_t bit = 32 * 8; bit < f.len * 8; bit++) { /* any change in the box */
		data[FRAME_HEADER + bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(info_open_client(&c, f.body, f.len, key));
		data[FRAME_HEADER + bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void
test_server_vector(void **state)
{
	uint8_t key[32], data[128];
	struct info_server s;
	shared(key);
	size_t n = bytes(data, sizeof(data), server_info);
	assert_true(info_open_server(&s, data + FRAME_HEADER, n - FRAME_HEADER, key));
	assert_int_equal(s.bytes_per_second, 0);
	for (size_t len = 0; len < n - FRAME_HEADER; len++)
		assert_false(info_open_server(&s, data + FRAME_HEADER, len, key));
}

static size_t
seal_text(uint8_t *out, const char *text, const uint8_t key[32])
{
	bytes(out, 32, client_public);
	memset(out + 32, 7, INFO_NONCE);
	crypto_box_easy_afternm(out + 32 + INFO_NONCE, (const uint8_t *)text, strlen(text), out + 32, key);
	return 32 + INFO_NONCE + INFO_TAG + strlen(text);
}

/* 2: what a client may say of itself. */
static void
test_client_json(void **state)
{
#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
	static const struct {
		const char *text;
		bool good;
	} table[] = {
		{"{}", true}, {"null", true}, {"{\"version\":2}", true}, {"{\"VERSION\":3,\"new\":[1,2]}", true},
		{"{\"version\":\"2\"}", false}, {"{\"version\":2.5}", false}, {"[]", false}, {"{} x", false}, {"", false},
		{"{\"meshKey\":\"" HEX64 "\"}", true}, {"{\"meshkey\":\"" HEX64 "\"}", true}, {"{\"meshKey\":\"\"}", false},
		{"{\"meshKey\":null}", false}, {"{\"meshKey\":\"zz\"}", false}, {"{\"meshKey\":7}", false},
		{"{\"CanAckPings\":1}", false}, {"{\"IsProber\":true,\"AppName\":\"x\"}", true},
	};
	uint8_t key[32], body[512];
	struct info_client c;
	shared(key);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (info_open_client(&c, body, seal_text(body, table[i].text, key), key) != table[i].good)
			fail_msg("%s", table[i].text);
	assert_true(info_open_client(&c, body, seal_text(body, table[9].text, key), key));
	assert_true(c.has_mesh_key && c.mesh_key[1] == 0x11 && c.mesh_key[31] == 0xff);
}

static void
test_round_trip(void **state)
{
	uint8_t key[32], out[INFO_MAX];
	struct info_client c = {.has_mesh_key = true, .prober = true, .mesh_key = {1, 2, 3}}, c2;
	struct info_server s = {.bytes_per_second = 1000000, .burst = 70000}, s2;
	shared(key);
	assert_true(info_open_client(&c2, out, info_seal_client(out, &c, key), key));
	assert_true(c2.has_mesh_key && c2.prober && !c2.can_ack_pings);
	assert_memory_equal(c2.mesh_key, c.mesh_key, 32);
	assert_true(info_open_server(&s2, out, info_seal_server(out, &s, key), key));
	assert_int_equal(s2.bytes_per_second, 1000000);
	assert_int_equal(s2.burst, 70000);
}

static void
test_low_order(void **state)
{
	uint8_t key[32], secret[32], zero[32] = {0};
	memset(secret, 0x22, 32);
	assert_false(info_shared(key, zero, secret));
	uint8_t public_key[32], want[32];
	crypto_scalarmult_base(public_key, secret);
	bytes(want, 32, server_public);
	assert_memory_equal(public_key, want, 32);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_disco),
		cmocka_unit_test(test_client_vector),
		cmocka_unit_test(test_server_vector),
		cmocka_unit_test(test_client_json),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_low_order),
	};
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
