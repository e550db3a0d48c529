/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <tailrace/udp.h>

#include <cmocka.h>

static const struct tr_addr a4 = {.family = 4, .ip = {100, 64, 255, 254}}, b4 = {.family = 4, .ip = {10, 20, 0, 99}};
static const struct tr_addr a6 = {.family = 6, .ip = {0xfd, [15] = 1}}, b6 = {.family = 6, .ip = {0xfd, 1, [15] = 2}};
static const struct probe sent = {.direction = DOWN, .flow = 0xfedcba, .run = 0xcafe, .seq = 0x9876543210, .time = 123456789012345};
static struct pattern pattern;

static bool
same(const struct probe *a, const struct probe *b)
{
	return a->direction == b->direction && a->flow == b->flow && a->run == b->run && a->seq == b->seq &&
		a->time == b->time;
}

static void
round_trip(const struct tr_addr *from, const struct tr_addr *to)
{
	size_t head = from->family == 4 ? 20 : 40;
	struct probe got;

	const struct probe_path path = {from, to, 1024, 65535};
	for (uint16_t size = PROBE_MIN(from->family); size <= PROBE_MAX; size = (uint16_t)(size + (size < 1500 ? 1 : 250))) {
		uint8_t *ip = malloc(size);
		probe_write(ip, size, &path, &pattern, &sent);
		assert_int_equal(probe_read(&got, &pattern, ip, size), PROBE_OURS);
		assert_true(same(&got, &sent));
		struct rte_udp_hdr udp;
		memcpy(&udp, ip + head, sizeof(udp));
		rte_be16_t sum = udp.dgram_cksum;
		udp.dgram_cksum = 0;
		memcpy(ip + head, &udp, sizeof(udp));
		assert_int_equal(sum, tr_udp_checksum((struct rte_udp_hdr *)(ip + head), ip + (from->family == 4 ? 12 : 8),
			from->family == 4 ? 8 : 32, (uint16_t)(size - head)));
		if (from->family == 4)
			assert_int_equal(tr_sum_fold(tr_sum(0, ip, 20)), 0);
		if (size > PROBE_MIN(from->family)) {
			ip[size - 1] ^= 0x10;
			assert_int_equal(probe_read(&got, &pattern, ip, size), PROBE_CORRUPT);
		}
		free(ip);
	}
}

static void
round_trips(void **state)
{
	round_trip(&a4, &b4);
	round_trip(&a6, &b6);
}

/* Every shorter length, in a block of exactly that size. */
static void
cut_short(void **state)
{
	uint8_t whole[100];
	struct probe got;

	for (int v = 4; v <= 6; v += 2) {
		const struct probe_path path = {v == 4 ? &a4 : &a6, v == 4 ? &b4 : &b6, PROBE_PORT, PROBE_PORT};
		probe_write(whole, PROBE_MIN(v), &path, &pattern, &sent);
		for (size_t n = 0; n < PROBE_MIN(v); n++) {
			uint8_t *part = malloc(n);
			if (n > 0)
				memcpy(part, whole, n);
			assert_int_equal(probe_read(&got, &pattern, part, n), PROBE_NONE);
			free(part);
		}
		assert_int_equal(probe_read(&got, &pattern, whole, sizeof(whole)), PROBE_OURS); /* padding behind it */
		for (size_t bit = 0; bit < PROBE_STAMP * 8; bit++) {
			uint8_t *byte = whole + (v == 4 ? 28 : 48) + bit / 8;
			*byte ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(probe_read(&got, &pattern, whole, PROBE_MIN(v)), PROBE_NONE);
			*byte ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void
ages(void **state)
{
	const uint64_t day = UINT64_C(86400000000000);

	for (uint64_t now = 0; now < 9 * day; now += day / 7) {
		assert_int_equal(probe_age((now - 5) & 0xffffffffffff, now), 5);
		assert_int_equal(probe_age((now + 5) & 0xffffffffffff, now), 0);
	}
}

static void
addresses(void **state)
{
	struct tr_addr a = probe_address(&a4, 3);
	const uint8_t want[] = {100, 65, 0, 1};

	assert_memory_equal(a.ip, want, 4);
	a = probe_address(&a6, 0x10000);
	assert_int_equal(a.ip[13], 1);
	assert_int_equal(a.ip[15], 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(ages),
		cmocka_unit_test(addresses),
	};

	pattern_init(&pattern);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
