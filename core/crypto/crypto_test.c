/* SPDX-License-Identifier: BSD-3-Clause */
#include "aead.h"
#include "blake2s.h"
#include "hex_test.h"

#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct tr_crypto *const c = &core_crypto;

static void
hash(uint8_t out[32], const void *data, size_t len)
{
	c->blake2s(out, 32, NULL, 0, &data, &len, 1);
}

/* RFC 7693 appendix B, and the self-test of appendix E: hashes of all hashes, so one wrong bit anywhere shows. */
static void
blake2s_rfc7693(void **state)
{
	static const size_t out_sizes[4] = {16, 20, 28, 32}, in_sizes[6] = {0, 3, 64, 65, 255, 1024};
	struct blake2s all;
	uint8_t in[1024], key[32], out[32];

	HEX(abc, "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
	hash(out, "abc", 3);
	assert_memory_equal(out, abc, 32);

	blake2s_init(&all, 32, NULL, 0);
	for (int i = 0; i < 4; i++) {
		for (int j = 0; j < 6; j++) {
			for (int keyed = 0; keyed < 2; keyed++) {
				const void *part = in;
				uint32_t a = 0xdead4bad * (uint32_t)in_sizes[j], b = 1, t;
				for (size_t k = 0; k < in_sizes[j]; k++, a = b, b = t)
					t = a + b, in[k] = (uint8_t)(t >> 24);
				a = 0xdead4bad * (uint32_t)out_sizes[i], b = 1;
				for (size_t k = 0; k < out_sizes[i]; k++, a = b, b = t)
					t = a + b, key[k] = (uint8_t)(t >> 24);
				c->blake2s(out, out_sizes[i], key, keyed ? out_sizes[i] : 0, &part, &in_sizes[j], 1);
				blake2s_update(&all, out, out_sizes[i]);
			}
		}
	}
	blake2s_final(&all, out);
	HEX(grand, "6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe");
	assert_memory_equal(out, grand, 32);
}

static void
blake2s_parts(void **state)
{
	uint8_t in[200], whole[32], parts[32];
	const void *part[3];

	for (unsigned i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	for (size_t a = 0; a <= sizeof(in); a++) {
		for (size_t b = a; b <= sizeof(in); b += 7) {
			size_t len[3] = {a, b - a, sizeof(in) - b};
			part[0] = in, part[1] = in + a, part[2] = in + b;
			c->blake2s(parts, 32, in, 32, part, len, 3);
			part[0] = in, len[0] = sizeof(in);
			c->blake2s(whole, 32, in, 32, part, len, 1);
			assert_memory_equal(parts, whole, 32);
		}
	}
}

/* RFC 8439 §2.8.2 has a nonce that Noise can't have; appendix A.5 has one of ours. */
static void
aead_rfc8439(void **state)
{
	static const char text[] = "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, "
				   "replaced, or obsoleted by other documents at any time. It is inappropriate to use "
				   "Internet-Drafts as reference material or to cite them other than as "
				   "/\xe2\x80\x9cwork in progress./\xe2\x80\x9d";
	uint8_t out[sizeof(text) + 16];

	HEX(key, "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
	HEX(ad, "f33388860000000000004e91");
	HEX(sealed, "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0"
		    "bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855"
		    "9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e9"
		    "9040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a"
		    "0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0ff77987130"
		    "305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38");
	const size_t len = sizeof(text) - 1;
	assert_int_equal(sealed_len, len + 16);
	c->seal(out, key, 0x0807060504030201, (const uint8_t *)text, len, ad, ad_len);
	assert_memory_equal(out, sealed, sealed_len);
	assert_true(c->open(out, key, 0x0807060504030201, sealed, sealed_len, ad, ad_len));
	assert_memory_equal(out, text, len);

	for (size_t i = 0; i < sealed_len; i++) {
		sealed[i] ^= 0x10;
		memset(out, 0xaa, sizeof(out));
		assert_false(c->open(out, key, 0x0807060504030201, sealed, sealed_len, ad, ad_len));
		for (size_t j = 0; j < len; j++)
			assert_true(out[j] == 0 || out[j] == 0xaa);
		sealed[i] ^= 0x10;
	}
	assert_false(c->open(out, key, 0x0807060504030202, sealed, sealed_len, ad, ad_len));
	assert_false(c->open(out, key, 0x0807060504030201, sealed, sealed_len, ad, ad_len - 1));
	for (size_t n = 0; n < 16; n++)
		assert_false(c->open(out, key, 0, sealed, n, NULL, 0));
}

/* draft-irtf-cfrg-xchacha-03, appendix A.3.1. */
static void
xaead_draft(void **state)
{
	static const char text[] = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
				   "sunscreen would be it.";
	uint8_t out[sizeof(text) + 16];

	HEX(ad, "50515253c0c1c2c3c4c5c6c7");
	HEX(key, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
	HEX(nonce, "404142434445464748494a4b4c4d4e4f5051525354555657");
	HEX(tag, "c0875924c1c7987947deafd8780acf49");
	c->xseal(out, key, nonce, (const uint8_t *)text, sizeof(text) - 1, ad, ad_len);
	assert_memory_equal(out + sizeof(text) - 1, tag, 16);
	assert_true(c->xopen(out, key, nonce, out, sizeof(text) + 15, ad, ad_len));
	assert_memory_equal(out, text, sizeof(text) - 1);
	assert_false(c->xopen(out, key, nonce, out, sizeof(text) + 15, ad, ad_len));
}

/* RFC 7748 §6.1, and points of small order. */
static void
x25519(void **state)
{
	static const char *const small[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	static const uint8_t zero[32];
	uint8_t out[32], secret[32], peer[32];

	HEX(a, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
	HEX(pub_a, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	HEX(b, "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
	HEX(pub_b, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
	HEX(shared, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
	c->public_key(out, a);
	assert_memory_equal(out, pub_a, 32);
	assert_true(c->dh(out, a, pub_b));
	assert_memory_equal(out, shared, 32);
	assert_true(c->dh(b, b, pub_a)); /* in place */
	assert_memory_equal(b, shared, 32);

	for (size_t i = 0; i < sizeof(small) / sizeof(*small); i++) {
		unhex(peer, sizeof(peer), small[i]);
		memset(out, 0xaa, sizeof(out));
		assert_false(c->dh(out, a, peer));
		assert_memory_equal(out, zero, 32);
	}
	c->keypair(secret, peer);
	c->public_key(out, secret);
	assert_memory_equal(out, peer, 32);
	assert_true((secret[0] & 7) == 0 && (secret[31] & 0xc0) == 0x40);
}

/* The constants of the WireGuard paper, and one handshake's keys as two other implementations compute them. */
static void
wireguard(void **state)
{
	static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
	static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";
	uint8_t out[96], key[32];

	HEX(chain, "60e26daef327efc02ec335e2a025d2d016eb4206f87277f52d38d1988b78cd36");
	hash(out, construction, 37);
	assert_memory_equal(out, chain, 32);
	HEX(start, "2211b361081ac566691243db458ad5322d9c6c662293e8b70ee19c65ba079ef3");
	const void *part[] = {chain, identifier};
	c->blake2s(out, 32, NULL, 0, part, (size_t[]){32, 34}, 2);
	assert_memory_equal(out, start, 32);

	HEX(last_chain, "a758e7f5e19260f8057cd71bad215e10217b50a7310f2b40ebe7876745b129a1");
	HEX(keys, "52be892de3084956acab427c3c016ddf490e715d05f598d3b5fc576f53b2a8b9"
		  "399e377d44aa40d0acecf882796e1b202efca9910b1485566521cc8062c5fbd3");
	c->kdf(out, 2, last_chain, NULL, 0);
	assert_memory_equal(out, keys, 64);
	memcpy(out, last_chain, 32);
	c->kdf(out, 2, out, NULL, 0); /* the chaining key is often replaced by the first output */
	assert_memory_equal(out, keys, 64);

	HEX(keepalive, "33a540fad396e0cbca7cfc1649870fee");
	c->seal(out, keys, 0, NULL, 0, NULL, 0);
	assert_memory_equal(out, keepalive, 16);
	assert_true(c->open(out, keys, 0, keepalive, 16, NULL, 0));

	memset(key, 0x77, sizeof(key));
	HEX(source, "c0000201 03e8");
	HEX(cookie, "743b9d93f0a6000558e1ebfc99426468");
	part[0] = source;
	c->blake2s(out, 16, key, 32, part, &source_len, 1);
	assert_memory_equal(out, cookie, 16);

	HEX(responder, "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20");
	HEX(mac1, "3123754b197357d66d093820051e1ecc");
	HEX(nonce, "000102030405060708090a0b0c0d0e0f1011121314151617");
	HEX(reply, "6e0a7eee7b6d69de846e835ca7f671435b2bd29b55a4e11c7b4ad518e5199cd7");
	part[0] = "cookie--", part[1] = responder;
	c->blake2s(key, 32, NULL, 0, part, (size_t[]){8, 32}, 2);
	c->xseal(out, key, nonce, cookie, 16, mac1, 16);
	assert_memory_equal(out, reply, 32);
}

/* Three outputs are the first one, two and three: KDFn is a prefix of KDFn+1. */
static void
kdf_outputs(void **state)
{
	uint8_t key[32] = {1}, one[32], two[64], three[96];

	c->kdf(one, 1, key, (const uint8_t *)"input", 5);
	c->kdf(two, 2, key, (const uint8_t *)"input", 5);
	c->kdf(three, 3, key, (const uint8_t *)"input", 5);
	assert_memory_equal(one, two, 32);
	assert_memory_equal(two, three, 64);
	assert_memory_not_equal(three, three + 64, 32);
	assert_true(c->equal(one, two, 32));
	two[31] ^= 1;
	assert_false(c->equal(one, two, 32));
	c->wipe(two, sizeof(two));
	for (size_t i = 0; i < sizeof(two); i++)
		assert_int_equal(two[i], 0);
}

static void *
fill(void *out)
{
	c->random(out, 64);
	return NULL;
}

static void
randomness(void **state)
{
	enum { THREADS = 300 }; /* more than there are seeds */
	static uint8_t first[THREADS][64];
	static unsigned seen[256];
	uint8_t big[10000];

	for (int i = 0; i < THREADS; i++) {
		pthread_t t;
		assert_int_equal(pthread_create(&t, NULL, fill, first[i]), 0);
		pthread_join(t, NULL);
	}
	for (int i = 0; i < THREADS; i++) {
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(first[i], first[j], 32);
		assert_memory_not_equal(first[i], first[i] + 32, 32);
	}
	for (int i = 0; i < 100; i++) {
		c->random(big, sizeof(big) - (size_t)i);
		for (size_t j = 0; j < sizeof(big) - 100; j++)
			seen[big[j]]++;
	}
	for (int i = 0; i < 256; i++) /* 3867 expected, standard deviation 62 */
		assert_in_range(seen[i], 3867 - 500, 3867 + 500);
}

#ifndef __SANITIZE_ADDRESS__
/* Workers use hash, mac and random. */
static void
no_allocation(void **state)
{
	uint8_t data[256], out[96];
	const void *part = data;
	size_t len = sizeof(data);

	c->random(data, sizeof(data));
	struct mallinfo2 before = mallinfo2();
	for (int i = 0; i < 100; i++) {
		c->blake2s(out, 16, data, 32, &part, &len, 1);
		c->blake2s(out, 32, NULL, 0, &part, &len, 1);
		c->kdf(out, 3, data, data, 32);
		c->random(data, sizeof(data));
		c->xseal(data, data, data, data, 16, data, 16);
		assert_true(c->dh(out, data, data));
	}
	struct mallinfo2 after = mallinfo2();
	assert_int_equal(before.uordblks, after.uordblks);
	assert_int_equal(before.fordblks, after.fordblks);
}
#endif

static int
setup(void **state)
{
	return crypto_init();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blake2s_rfc7693),
		cmocka_unit_test(blake2s_parts),
		cmocka_unit_test(aead_rfc8439),
		cmocka_unit_test(xaead_draft),
		cmocka_unit_test(x25519),
		cmocka_unit_test(wireguard),
		cmocka_unit_test(kdf_outputs),
		cmocka_unit_test(randomness),
#ifndef __SANITIZE_ADDRESS__
		cmocka_unit_test(no_allocation),
#endif
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
