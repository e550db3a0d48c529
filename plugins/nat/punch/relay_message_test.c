/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Vectors: computed with the disco library of Tailscale 1.102.5 and independently. Secrets are 32 x 0x11 (client A), 0x22
 * (client B, whose node also is the relay's), 0x77 (the relay); the nonce is 00..17.
 */
#include "geneve.h"
#include "relay_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hex_test.h"

static const char request_payload[] =
	"08000faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f207b4e909bbe7ffe44c465a220037d608ee35897d31ef9"
	"72f07f74892cb0f73f1300000007";
static const char request_box[] =
	"a26397c8f1d012911317e6b261eeb196538c163c36dd28405d144ae6bb7c9ce71d1b853ac28a00f79cd7a3a2a0c7b6c9476d4fce3a15ee34"
	"7eef98a3810a8ac6e0ce58f0ab43b45aba3991afc85923fc8aeeb4c768c2";
static const char allocated_payload[] =
	"0900000000071cf579aba45a10ba1d1ef06d91fca2aa9ed0a1150515653155405d0b18cb9a670faa684ed28867b97f4a6a2dee5df8ce974e"
	"76b7018e3f22a1c4cf2678570f207b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f1300000000000000020001"
	"020300000006fc23ac0000000045d964b80000000000000000000000ffffc63364099c40";
static const char allocated_box[] =
	"7ca23ca87b88f09e2f29d3355cc87cb7528c19965e94e63d430691f6c1eb6fa415b8838816979fa902e007730ad09bde15462c4b30e95fe1"
	"e8e58e4e4493f6f1ea6d55f5c45e3dedbe7eef557e5732cf7adbcc9067e5d62694e158384e3524a0b6917ea3236e6f88eb309fc0a2e5b0ea"
	"b3f84b5c522f8acee2313f8ed2f1e375dbb060cfa30107a47d1e5f649405a53cde934606afc4cced4c7e3396f9e153c603814563";
static const char bind_payload[] =
	"040000010203000000090faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f200000000000000000000000000000"
	"000000000000000000000000000000000000";
static const char bind_datagram[] =
	"00807a11010203005453f09f92ac7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f1300010203040506070809"
	"0a0b0c0d0e0f101112131415161725daa16ac66bd9d78eab96b5c6c8475ca030d821cffd97e46edb56f2403d5535c9908cefe8f6e0ff6be2"
	"302ed0f2566003a4475e73009c90ba848bdca44ed233e9116b8e63be6e919865418ca2aabfda6ab86bfb0d4f36572525";
static const char challenge_payload[] =
	"050000010203000000090faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f205a5a5a5a5a5a5a5a5a5a5a5a5a5a"
	"5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
static const char challenge_datagram[] =
	"00807a11010203005453f09f92ac1cf579aba45a10ba1d1ef06d91fca2aa9ed0a1150515653155405d0b18cb9a6700010203040506070809"
	"0a0b0c0d0e0f1011121314151617e9b87c64ebfed3a6f6c4e4220176cadea130d821cffd97e46edb56f2403d5535c9908cefe8f6e0ff6be2"
	"302ed0f2566003a4475e73009c90ba84d186fe148869b34b31d439e434cbc23f1bd6f8f0e58030e231a157156c0d7f7f";
static const char answer_datagram[] =
	"00807a11010203005453f09f92ac7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f1300010203040506070809"
	"0a0b0c0d0e0f10111213141516177928d71b2f6946bcfa2d4a64fe9353e4a230d821cffd97e46edb56f2403d5535c9908cefe8f6e0ff6be2"
	"302ed0f2566003a4475e73009c90ba84d186fe148869b34b31d439e434cbc23f1bd6f8f0e58030e231a157156c0d7f7f";

#define VNI 0x010203

static uint8_t secret_a[32], secret_b[32], secret_r[32], key_a[32], key_b[32], key_r[32], nonce[24], with_b[32], with_r[32];

static int
set_up(void **state)
{
	(void)state;
	memset(secret_a, 0x11, 32);
	memset(secret_b, 0x22, 32);
	memset(secret_r, 0x77, 32);
	disco_public(key_a, secret_a);
	disco_public(key_b, secret_b);
	disco_public(key_r, secret_r);
	for (uint8_t i = 0; i < 24; i++)
		nonce[i] = i;
	assert_true(disco_shared(with_b, secret_a, key_b));
	assert_true(disco_shared(with_r, secret_a, key_r));
	return 0;
}

/* The payload that was written: is it the vector's, and sealed the vector's datagram (from `skip` on)? */
static void
expect(const char *payload, const char *sealed, size_t skip, uint8_t *data, size_t n, const uint8_t *sender, const uint8_t *shared)
{
	size_t len;
	uint8_t *want = hex(payload, &len);
	assert_int_equal(n, len);
	assert_memory_equal(data + DISCO_PAYLOAD, want, len);
	free(want);
	want = hex(sealed, &len);
	assert_int_equal(disco_seal(data, n, sender, nonce, shared), len + skip);
	assert_memory_equal(data + skip, want, len);
	free(want);
}

static void
requests(void **state)
{
	uint8_t data[DISCO_MAX];
	size_t len;
	(void)state;
	struct disco_allocate a = {.generation = 7}, read;
	memcpy(a.client[0], key_b, 32);
	memcpy(a.client[1], key_a, 32);
	uint8_t *payload = hex(request_payload, &len);
	assert_true(disco_parse_allocate(&read, payload, len));
	assert_memory_equal(&read, &a, sizeof(a));
	assert_int_equal(len, DISCO_ALLOCATE_LEN);
	expect(request_payload, request_box, DISCO_HEAD, data, disco_allocate(data + DISCO_PAYLOAD, &a), key_a, with_b);
	for (size_t n = 0; n < len; n++)
		assert_false(disco_parse_allocate(&read, payload, n));
	payload[0] = DISCO_ALLOCATED;
	assert_false(disco_parse_allocate(&read, payload, len));
	free(payload);
}

static void
paths(void **state)
{
	uint8_t data[DISCO_MAX], via[DISCO_RELAY_MAX];
	size_t len;
	(void)state;
	struct disco_relay r = {.generation = 7, .vni = VNI, .id = 2, .bind_ns = 30000000000, .idle_ns = 300000000000, .n = 1,
		.address = {{{.family = 4, .ip = {198, 51, 100, 9}}, 40000}}}, read = {0};
	memcpy(r.server, key_r, 32);
	memcpy(r.client[0], key_b, 32);
	memcpy(r.client[1], key_a, 32);
	uint8_t *payload = hex(allocated_payload, &len);
	assert_true(disco_parse_relay(&read, payload, len));
	assert_memory_equal(&read, &r, sizeof(r));
	expect(allocated_payload, allocated_box, DISCO_HEAD, data, disco_relay(data + DISCO_PAYLOAD, DISCO_ALLOCATED, &r), key_b, with_b);
	for (size_t n = 0; n < len; n++)
		assert_false(disco_parse_relay(&read, payload, n)); /* also: without an address, or with a part of one */
	/* The other side is told the same without the generation. */
	assert_int_equal(disco_relay(via, DISCO_CALL_ME_MAYBE_VIA, &r), len - 4);
	assert_memory_equal(via + 2, payload + 6, len - 6);
	assert_int_equal(via[0], 7);
	assert_true(disco_parse_relay(&read, via, len - 4));
	assert_int_equal(read.generation, 0);
	assert_int_equal(read.vni, VNI);
	via[0] = DISCO_ALLOCATE;
	assert_false(disco_parse_relay(&read, via, len - 4));
	free(payload);
}

/* More addresses than are taken are no mistake. */
static void
many_addresses(void **state)
{
	struct disco_relay read;
	size_t len;
	(void)state;
	uint8_t *payload = hex(allocated_payload, &len);
	payload = realloc(payload, len + 18 * 20);
	for (size_t i = 0; i < 20; i++)
		memcpy(payload + len + 18 * i, payload + len - 18, 18);
	assert_true(disco_parse_relay(&read, payload, len + 18 * 20));
	assert_int_equal(read.n, DISCO_RELAY_ADDRESSES);
	assert_false(disco_parse_relay(&read, payload, len + 18 * 20 - 1));
	free(payload);
}

static void
bind_one(enum disco_type type, const char *payload_text, const char *datagram, uint8_t challenge, const uint8_t *sender)
{
	uint8_t data[GENEVE_HEAD + DISCO_MAX];
	size_t len;
	struct disco_bind b = {.vni = VNI, .generation = 9}, read;
	struct geneve g, want = {.protocol = GENEVE_DISCO, .control = true, .vni = VNI};
	memcpy(b.remote, key_b, 32);
	memset(b.challenge, challenge, 32);
	uint8_t *payload = hex(payload_text, &len);
	payload[0] = (uint8_t)type;
	assert_int_equal(len, DISCO_BIND_LEN);
	assert_true(disco_parse_bind(&read, payload, len));
	assert_memory_equal(&read, &b, sizeof(b));
	for (size_t n = 0; n < len; n++)
		assert_false(disco_parse_bind(&read, payload, n));
	free(payload);
	geneve_write(data, &want);
	const size_t n = disco_bind(data + GENEVE_HEAD + DISCO_PAYLOAD, type, &b);
	const size_t all = GENEVE_HEAD + disco_seal(data + GENEVE_HEAD, n, sender, nonce, with_r);
	uint8_t *whole = hex(datagram, &len);
	assert_int_equal(all, len);
	assert_memory_equal(data, whole, len);
	assert_true(geneve_read(&g, whole, len));
	assert_int_equal(g.protocol, want.protocol);
	assert_true(g.control);
	assert_int_equal(g.vni, want.vni);
	free(whole);
}

static void
binds(void **state)
{
	(void)state;
	bind_one(DISCO_BIND, bind_payload, bind_datagram, 0, key_a);
	bind_one(DISCO_BIND_CHALLENGE, challenge_payload, challenge_datagram, 0x5a, key_r);
	bind_one(DISCO_BIND_ANSWER, challenge_payload, answer_datagram, 0x5a, key_a);
}

/* Truth table of Geneve headers. */
static void
headers(void **state)
{
	static const struct {
		const char *head;
		bool ok;
	} rows[] = {
		/*  1 */ {"00807a1101020300", true},
		/*  2 */ {"00007a1101020300", true},
		/*  3 */ {"00007a12ffffff00", true},
		/*  4 */ {"00007a1301020300", false}, /* another protocol */
		/*  5 */ {"0000655801020300", false},
		/*  6 */ {"00007a1201020301", false}, /* reserved */
		/*  7 */ {"00407a1101020300", false}, /* critical options */
		/*  8 */ {"01007a1101020300", false}, /* with an option */
		/*  9 */ {"40007a1101020300", false}, /* version 1 */
		/* 10 */ {"00007a11010203", false},
		/* 11 */ {"", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct geneve g;
		size_t len;
		uint8_t *head = hex(rows[i].head, &len), again[GENEVE_HEAD];
		assert_int_equal(geneve_read(&g, head, len), rows[i].ok);
		if (rows[i].ok) {
			geneve_write(again, &g);
			assert_memory_equal(again, head, GENEVE_HEAD);
		}
		free(head);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests), cmocka_unit_test(paths), cmocka_unit_test(many_addresses), cmocka_unit_test(binds),
		cmocka_unit_test(headers),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
