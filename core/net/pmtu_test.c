/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/pmtu.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <pthread.h>

#include "config/config.h"
#include "net/testpacket.h"

#define SECOND UINT64_C(1000000000)
static uint8_t buf[2048];

static struct tr_addr
addr(const char *text)
{
	struct tr_addr a;
	assert_true(parse_addr(text, &a));
	return a;
}

/* RFC 1191 §6.3: lowered at once, raised only by age; RFC 8201 §4: never below the least MTU. */
static void
learned_and_forgotten(void **state)
{
	const struct tr_addr four = addr("192.0.2.9"), six = addr("2001:db8::9"), other = addr("192.0.2.8");
	uint64_t now = SECOND;
	assert_int_equal(pmtu_of(&four, now), 0);
	pmtu_learn(&four, 1400, now);
	pmtu_learn(&six, 1300, now);
	assert_int_equal(pmtu_of(&four, now), 1400);
	assert_int_equal(pmtu_of(&six, now), 1300);
	assert_int_equal(pmtu_of(&other, now), 0);
	pmtu_learn(&four, 1450, now);
	assert_int_equal(pmtu_of(&four, now), 1400);
	pmtu_learn(&four, 1280, now + SECOND);
	assert_int_equal(pmtu_of(&four, now + SECOND), 1280);
	pmtu_learn(&four, 40, now + SECOND);
	assert_int_equal(pmtu_of(&four, now + SECOND), PMTU_MIN4);
	pmtu_learn(&six, 40, now + SECOND);
	assert_int_equal(pmtu_of(&six, now + SECOND), PMTU_MIN6);
	now += SECOND + PMTU_AGE_NS;
	assert_int_equal(pmtu_of(&four, now - 1), PMTU_MIN4);
	assert_int_equal(pmtu_of(&four, now), 0);
	pmtu_learn(&four, 1450, now);
	assert_int_equal(pmtu_of(&four, now), 1450);
}

/* Of addresses that are numbered one after the other, as those of one network are: hardly any takes another's place. */
static void
one_network(void **state)
{
	struct tr_addr a = addr("2001:db8:77::");
	unsigned known = 0;
	for (unsigned k = 0; k < 200; k++) {
		a.ip[15] = (uint8_t)k;
		pmtu_learn(&a, 1300, SECOND);
	}
	for (unsigned k = 0; k < 200; k++) {
		a.ip[15] = (uint8_t)k;
		known += pmtu_of(&a, SECOND) == 1300;
	}
	assert_in_range(known, 190, 200);
}

static bool
ours(const void *arg, uint8_t version, const uint8_t *a)
{
	const struct tr_addr *own = arg;
	return own[version == 6].family == version && memcmp(own[version == 6].ip, a, version == 4 ? 4 : 16) == 0;
}

static bool
read_error(const char *src, const char *dst, uint8_t type, uint8_t code, uint32_t word, uint8_t proto, size_t len, struct tr_addr *to,
	uint32_t *mtu)
{
	const struct tr_addr own[2] = {addr("192.0.2.1"), addr("2001:db8::1")};
	const bool v6 = strchr(src, ':') != NULL;
	const size_t l3 = v6 ? 40 : 20;
	size_t n = tp_icmp(buf, v6 ? "2001:db8:9::9" : "203.0.113.9", v6 ? "2001:db8::1" : "192.0.2.1", type, 64, 600);
	buf[l3 + 1] = code;
	buf[l3 + 4] = (uint8_t)(word >> 24);
	buf[l3 + 5] = (uint8_t)(word >> 16);
	buf[l3 + 6] = (uint8_t)(word >> 8);
	buf[l3 + 7] = (uint8_t)word;
	tp_ip(buf + l3 + 8, src, dst, proto, 60, len - l3);
	const struct ip_view v = {.version = v6 ? 6 : 4, .l3_len = (uint8_t)l3, .l4 = v6 ? 58 : 1, .len = (uint16_t)n};
	return pmtu_read(buf, &v, ours, own, to, mtu);
}

static void
messages(void **state)
{
	static const struct {
		const char *src, *dst;
		uint8_t type, code;
		uint32_t word;
		uint8_t proto;
		size_t len;
		uint32_t mtu; /* 0: no such message */
	} row[] = {
		{"192.0.2.1", "203.0.113.1", 3, 4, 1400, 17, 1500, 1400}, {"192.0.2.1", "203.0.113.1", 3, 3, 1400, 17, 1500, 0},
		{"192.0.2.1", "203.0.113.1", 11, 4, 1400, 17, 1500, 0}, {"192.0.2.2", "203.0.113.1", 3, 4, 1400, 17, 1500, 0},
		{"192.0.2.1", "203.0.113.1", 3, 4, 1400, 6, 1500, 0}, {"192.0.2.1", "203.0.113.1", 3, 4, 1500, 17, 1500, 0},
		{"192.0.2.1", "203.0.113.1", 3, 4, 0, 17, 1500, 1492}, {"192.0.2.1", "203.0.113.1", 3, 4, 0, 17, 1492, 1006},
		{"192.0.2.1", "203.0.113.1", 3, 4, 0, 17, 600, 576}, {"2001:db8::1", "2001:db8:5::1", 2, 0, 1280, 17, 1500, 1280},
		{"2001:db8::2", "2001:db8:5::1", 2, 0, 1280, 17, 1500, 0}, {"2001:db8::1", "2001:db8:5::1", 2, 0, 65536 + 1280, 17, 1500, 0},
		{"2001:db8::1", "2001:db8:5::1", 1, 0, 1280, 17, 1500, 0},
	};
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct tr_addr to, want = addr(row[i].dst);
		uint32_t mtu = 0;
		bool yes = read_error(row[i].src, row[i].dst, row[i].type, row[i].code, row[i].word, row[i].proto, row[i].len, &to, &mtu);
		if (yes != (row[i].mtu != 0) || (yes && (mtu != row[i].mtu || !tr_addr_eq(&to, &want))))
			fail_msg("row %u: %d, %u", i, yes, mtu);
	}
}

static void *
hammer(void *arg)
{
	for (unsigned k = 0; k < 20000; k++) {
		struct tr_addr a = {.family = 4, .ip = {10, (uint8_t)(k >> 8), (uint8_t)k, 1}};
		uint16_t mtu = (uint16_t)(1000 + a.ip[2]), seen;
		pmtu_learn(&a, mtu, SECOND);
		if ((seen = pmtu_of(&a, SECOND)) != 0 && seen != mtu)
			return (void *)1;
	}
	return NULL;
}

/* Never another address's, whoever writes meanwhile; and the table stays as small as it is. */
static void
many_at_once(void **state)
{
	pthread_t thread[4];
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, hammer, NULL), 0);
	for (unsigned i = 0; i < 4; i++) {
		void *wrong;
		pthread_join(thread[i], &wrong);
		assert_null(wrong);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(learned_and_forgotten),
		cmocka_unit_test(one_network),
		cmocka_unit_test(messages),
		cmocka_unit_test(many_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
