/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/checksum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Sums with a known result: RFC 1071 §3 (first row), RFC 1624 §4 (by hand: 0x5555 -> 0x3285), carries at the fold. */
static const struct {
	uint8_t data[12];
	size_t len;
	uint16_t sum; /* folded, as the big-endian number that the RFC prints */
} vector[] = {
	{{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 8, 0xddf2},
	{{0}, 0, 0},
	{{0x12}, 1, 0x1200},
	{{0xff, 0xff, 0xff, 0xff}, 4, 0xffff},
	{{0xff, 0xff, 0x00, 0x01}, 4, 0x0001},
	{{0x80, 0x00, 0x80, 0x00, 0x7f}, 5, 0x7f01},
};

static void
rfc_vectors(void **state)
{
	for (size_t i = 0; i < sizeof(vector) / sizeof(*vector); i++)
		assert_int_equal(csum_fold(csum_add(0, vector[i].data, vector[i].len)), __builtin_bswap16(vector[i].sum));
}

/* RFC 1624 §4: HC = 0xdd2f, m = 0x5555, m' = 0x3285 gives HC' = 0x0000 (not 0xffff). */
static void
incremental_change_of_rfc_1624(void **state)
{
	assert_int_equal(csum_change(__builtin_bswap16(0xdd2f), __builtin_bswap16(0x5555), __builtin_bswap16(0x3285)), 0);
}

static uint16_t
reference(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return __builtin_bswap16((uint16_t)sum);
}

static void
all_lengths_and_alignments_agree(void **state)
{
	static uint8_t data[9100];
	const uint8_t fill[] = {0x00, 0xff, 0x80, 0x7f};
	for (unsigned pass = 0; pass < 5; pass++) {
		srandom(7 + pass);
		for (size_t i = 0; i < sizeof(data); i++)
			data[i] = pass < 4 ? fill[pass] : (uint8_t)random();
		for (size_t len = 0; len < 9000; len += len < 600 ? 1 : 97)
			for (size_t at = 0; at < 3; at++) {
				uint16_t want = reference(data + at, len);
				assert_int_equal(csum_fold(csum_add(0, data + at, len)), want);
				assert_int_equal(csum_fold(csum_add_plain(0, data + at, len)), want);
			}
	}
}

static void
change_agrees_with_recomputing(void **state)
{
	srandom(3);
	for (unsigned i = 0; i < 20000; i++) {
		uint16_t w[4];
		for (unsigned k = 0; k < 4; k++)
			w[k] = (uint16_t)(i & 1 ? random() : (random() & 1 ? 0xffff : 0));
		uint16_t before = csum_finish(csum_add(0, w, 8)), to = (uint16_t)random(), changed;
		changed = csum_change(before, w[2], to);
		w[2] = to;
		/* Equal, or the other zero of one's complement. */
		uint64_t sum = csum_add(0, w, 8) + changed;
		assert_true(csum_finish(sum) == 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_vectors),
		cmocka_unit_test(incremental_change_of_rfc_1624),
		cmocka_unit_test(all_lengths_and_alignments_agree),
		cmocka_unit_test(change_agrees_with_recomputing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
