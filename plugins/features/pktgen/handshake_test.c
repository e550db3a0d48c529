/* SPDX-License-Identifier: BSD-3-Clause */
/* Vectors: one handshake computed by two other implementations that talk to wireguard-go and to the kernel. */
#include "crypto/aead.h"
#include "crypto/hex_test.h"
#include "handshake.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct tr_crypto *const c = &core_crypto;
static struct identity initiator, responder;
static uint8_t e_i[32], e_r[32];

static const char initiation_hex[] = "01000000 04030201"
	"ff2ee45601ec1b67310c7790404585ae697331eee1c1f8cf2419731c1fff3e6b"
	"3b6f1324884f7dfcb616f1440bce015ad114bc97a5052c5972a42150ca66244ee95bf0cd2c60d3d9addef329768c8c11"
	"0ed41251d4d6d779381ea831b9f8cf3bafd44b139cb12047a6b74b12 3123754b197357d66d093820051e1ecc"
	"00000000000000000000000000000000";
static const char response_hex[] = "02000000 0d0c0b0a 04030201"
	"38ab664bd86f77d7e66bdd9ae0792913a94fd8b33a1260027e4b46c1f4884c67"
	"9e5faa0dcf2431eb8f3c77a8e8e01812 db5c9d156754b97ff3aad7b225f4bcb7 00000000000000000000000000000000";

static int
setup(void **state)
{
	int rc = crypto_init();

	memset(initiator.secret, 0x11, 32);
	memset(responder.secret, 0x22, 32);
	memset(e_i, 0x44, 32);
	memset(e_r, 0x55, 32);
	memset(initiator.preshared_key, 0x66, 32);
	memset(responder.preshared_key, 0x66, 32);
	c->public_key(initiator.remote, responder.secret);
	c->public_key(responder.remote, initiator.secret);
	assert_true(identity_complete(c, &initiator) && identity_complete(c, &responder));
	return rc;
}

static void
vectors(void **state)
{
	struct handshake hi, hr;
	struct session_keys ki, kr;
	uint8_t msg[HS_INITIATION], timestamp[12], got[12];

	HEX(s_i, "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13");
	assert_memory_equal(initiator.public_key, s_i, 32);
	HEX(tai, "400000006553f10a12000000");
	hs_timestamp(timestamp, 1700000000000000000ull + 0x12abcdef);
	assert_memory_equal(timestamp, tai, 12);

	HEX(initiation, initiation_hex);
	assert_true(initiation_write(c, &hi, &initiator, e_i, 0x01020304, timestamp, msg));
	hs_mac(c, msg, HS_INITIATION, initiator.remote, NULL);
	assert_memory_equal(msg, initiation, HS_INITIATION);
	assert_true(hs_mac1_right(c, msg, HS_INITIATION, responder.public_key));
	HEX(chain, "e126306e354abffd4024a72bd3461ebc057ed209e9fa0e6a209ec81d07a3cd3c");
	HEX(hash, "67127e75efb9546dc5997643f4c68f0062d75e3910a561a015e099b88b412044");
	assert_memory_equal(hi.chain, chain, 32);
	assert_memory_equal(hi.hash, hash, 32);

	assert_true(initiation_read(c, &hr, &responder, msg, got));
	assert_memory_equal(got, timestamp, 12);
	HEX(response, response_hex);
	assert_true(response_write(c, &hr, &responder, e_r, 0x0a0b0c0d, msg, &kr));
	hs_mac(c, msg, HS_RESPONSE, responder.remote, NULL);
	assert_memory_equal(msg, response, HS_RESPONSE);

	assert_true(response_read(c, &hi, &initiator, msg, &ki));
	HEX(keys, "52be892de3084956acab427c3c016ddf490e715d05f598d3b5fc576f53b2a8b9"
		  "399e377d44aa40d0acecf882796e1b202efca9910b1485566521cc8062c5fbd3");
	assert_memory_equal(&ki, keys, 64);
	assert_memory_equal(kr.receive, ki.send, 32);
	assert_memory_equal(kr.send, ki.receive, 32);
}

static void
cookies(void **state)
{
	uint8_t cookie[16];

	HEX(reply, "03000000 04030201 000102030405060708090a0b0c0d0e0f1011121314151617"
		   "6e0a7eee7b6d69de846e835ca7f671435b2bd29b55a4e11c7b4ad518e5199cd7");
	HEX(want, "743b9d93f0a6000558e1ebfc99426468");
	HEX(mac2, "d75ec073b5c3393909480d4b2e6f2a10");
	HEX(initiation, initiation_hex);
	assert_true(cookie_read(c, reply, responder.public_key, initiation + 116, cookie));
	assert_memory_equal(cookie, want, 16);
	hs_mac(c, initiation, HS_INITIATION, responder.public_key, cookie);
	assert_memory_equal(initiation + 132, mac2, 16);
	initiation[116] ^= 1;
	assert_false(cookie_read(c, reply, responder.public_key, initiation + 116, cookie));
}

/* Every bit of either message matters, but for mac2 and what the MACs cover beside the handshake. */
static void
forged(void **state)
{
	struct handshake h, hi;
	struct session_keys keys;
	uint8_t ts[12], msg[HS_RESPONSE];

	HEX(initiation, initiation_hex);
	for (size_t i = 8; i < 116; i++) {
		initiation[i] ^= 0x40;
		assert_false(initiation_read(c, &h, &responder, initiation, ts));
		initiation[i] ^= 0x40;
	}
	assert_true(initiation_read(c, &h, &responder, initiation, ts));
	assert_true(response_write(c, &h, &responder, e_r, 7, msg, &keys));
	hs_timestamp(ts, 1700000000000000000ull + 0x12abcdef);
	uint8_t again[HS_INITIATION];
	assert_true(initiation_write(c, &hi, &initiator, e_i, 0x01020304, ts, again));
	for (size_t i = 12; i < 60; i++) {
		msg[i] ^= 0x40;
		assert_false(response_read(c, &hi, &initiator, msg, &keys));
		msg[i] ^= 0x40;
	}
	assert_true(response_read(c, &hi, &initiator, msg, &keys));

	struct identity stranger = initiator;
	stranger.preshared_key[0] ^= 1;
	assert_false(response_read(c, &hi, &stranger, msg, &keys));
	memset(stranger.remote, 0, 32);
	assert_false(identity_complete(c, &stranger));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(cookies),
		cmocka_unit_test(forged),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
