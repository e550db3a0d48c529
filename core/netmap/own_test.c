/* SPDX-License-Identifier: BSD-3-Clause */
#include "own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct tr_own_endpoint
endpoint(uint8_t last, uint16_t port, uint8_t kind)
{
	return (struct tr_own_endpoint){.address = {{.family = 4, .ip = {203, 0, 113, last}}, port}, .kind = kind};
}

static void
told_and_listed(void **state)
{
	const struct tr_own_endpoint stun[] = {endpoint(1, 7, TR_OWN_LOCAL), endpoint(10, 7, TR_OWN_STUN)};
	const struct tr_own_endpoint mapped[] = {endpoint(10, 8, TR_OWN_MAPPED), endpoint(10, 7, TR_OWN_MAPPED)};
	struct tr_own_endpoint out[4];
	int a, b;
	(void)state;
	assert_int_equal(own_list(7, out, 4), 0);
	free(own_tell(&a, 7, stun, 2));
	free(own_tell(&b, 7, mapped, 2));
	assert_int_equal(own_list(7, out, 4), 3); /* one of them is said twice */
	assert_int_equal(out[0].address.port, 8);
	assert_int_equal(out[1].kind, TR_OWN_MAPPED);
	assert_int_equal(out[2].kind, TR_OWN_LOCAL);
	assert_int_equal(own_list(7, out, 1), 1);
	assert_int_equal(own_list(8, out, 4), 0);
	free(own_tell(&b, 9, mapped, 1)); /* another port's are kept beside */
	assert_int_equal(own_list(7, out, 4), 3);
	assert_int_equal(own_list(9, out, 4), 1);
	free(own_tell(&b, 7, NULL, 0)); /* takes back its own only, of that port */
	assert_int_equal(own_list(9, out, 4), 1);
	free(own_tell(&b, 9, NULL, 0));
	const struct tr_own_endpoint local[] = {endpoint(1, 0, TR_OWN_LOCAL), endpoint(2, 0, TR_OWN_LOCAL)};
	free(own_tell(&b, 0, local, 2)); /* an address of this box: of each port, where nobody has said so yet */
	assert_int_equal(own_list(7, out, 4), 3);
	assert_int_equal(out[2].address.port, 7);
	assert_int_equal(own_list(8, out, 4), 2);
	assert_int_equal(out[0].address.port, 8);
	free(own_tell(&b, 0, NULL, 0));
	assert_int_equal(own_list(7, out, 4), 2);
	assert_int_equal(out[0].kind, TR_OWN_STUN);
	free(own_tell(&a, 7, NULL, 0));
	assert_int_equal(own_list(7, out, 4), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(told_and_listed)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
