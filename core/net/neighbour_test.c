/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/neighbour.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "config/config.h"

#define SECOND UINT64_C(1000000000)

static struct neighbours table;

/* Neighbours that differ in one byte, wherever in the address, as those of one link do: each has its place. */
static void
one_byte(void **state)
{
	struct tr_addr a;
	for (unsigned at = 0; at < 20; at++) {
		memset(&table, 0, sizeof(table));
		table.seed = UINT64_C(0x0123456789abcdef) * (at + 1);
		assert_true(parse_addr(at < 16 ? "2001:db8:1:2:3:4:5:6" : "192.0.2.1", &a));
		for (unsigned k = 0; k < 256; k++) {
			a.ip[at % 16] = (uint8_t)k;
			assert_non_null(neighbour_get(&table, 7, &a, SECOND));
		}
		for (unsigned k = 0; k < 256; k++) {
			a.ip[at % 16] = (uint8_t)k;
			struct neighbour *e = neighbour_find(&table, 7, &a);
			assert_non_null(e);
			assert_true(tr_addr_eq(&e->addr, &a));
			assert_null(neighbour_find(&table, 8, &a));
		}
	}
}

static void
one_link(void **state)
{
	struct tr_addr a;
	memset(&table, 0, sizeof(table));
	table.seed = 1;
	assert_true(parse_addr("2001:db8::", &a));
	for (unsigned k = 0; k < 2000; k++) { /* numbered from 1 */
		a.ip[14] = (uint8_t)(k >> 8);
		a.ip[15] = (uint8_t)k;
		assert_non_null(neighbour_get(&table, 7, &a, SECOND));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_byte),
		cmocka_unit_test(one_link),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
