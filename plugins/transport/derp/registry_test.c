/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is where, and queues. */
#include "frame.h"
#include "queue.h"
#include "registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const uint8_t *
key(unsigned n)
{
	static uint8_t k[4][32];
	static unsigned at;
	uint8_t *p = k[at++ % 4];
	memset(p, 0, 32);
	memcpy(p, &n, sizeof(n));
	return p;
}

static unsigned told;
static void
tell(void *arg, struct member *target, const uint8_t k[32])
{
	assert_ptr_equal(target, arg);
	told++;
}

static void
test_last_speaker_receives(void **state)
{
	struct registry r;
	struct member a = {0}, b = {0}, c = {0};
	registry_init(&r);
	assert_null(registry_find(&r, key(1)));
	registry_join(&r, &a, key(1));
	registry_join(&r, &b, key(1));
	registry_join(&r, &c, key(2));
	struct party *p = registry_find(&r, key(1));
	assert_ptr_equal(TAILQ_FIRST(&p->members), &b);
	const uint64_t epoch = r.epoch;
	registry_spoke(&r, &b);
	assert_int_equal(r.epoch, epoch);
	registry_spoke(&r, &a);
	assert_int_not_equal(r.epoch, epoch);
	assert_ptr_equal(TAILQ_FIRST(&p->members), &a);
	assert_ptr_equal(registry_leave(&r, &a), p);
	assert_ptr_equal(TAILQ_FIRST(&p->members), &b);
	registry_leave(&r, &b);
	assert_true(registry_empty(p));
	registry_bury(&r, p, NULL, NULL);
	assert_null(registry_find(&r, key(1)));
	registry_bury(&r, registry_leave(&r, &c), NULL, NULL);
}

static void
test_receivers_are_told(void **state)
{
	struct registry r;
	struct member a = {0}, b = {0}, c = {0};
	registry_init(&r);
	registry_join(&r, &a, key(1));
	registry_join(&r, &b, key(2));
	registry_join(&r, &c, key(3));
	registry_reached(&r, a.party, &b);
	registry_reached(&r, a.party, &b);
	registry_reached(&r, a.party, &c);
	registry_bury(&r, registry_leave(&r, &c), NULL, NULL); /* a receiver that left is forgotten */
	told = 0;
	registry_bury(&r, registry_leave(&r, &a), tell, &b);
	assert_int_equal(told, 1);
	assert_null(r.relations);
	registry_bury(&r, registry_leave(&r, &b), NULL, NULL);
}

static void
test_relations_are_bounded(void **state)
{
	struct registry r;
	struct member a = {0}, *many = calloc(RELATIONS_MAX + 2, sizeof(*many));
	registry_init(&r);
	registry_join(&r, &a, key(0));
	for (unsigned i = 0; i < RELATIONS_MAX + 2; i++) {
		registry_join(&r, &many[i], key(i + 1));
		registry_reached(&r, a.party, &many[i]);
	}
	assert_int_equal(a.party->n_reached, RELATIONS_MAX);
	assert_true(LIST_EMPTY(&many[1].heard));
	assert_false(LIST_EMPTY(&many[2].heard));
	for (unsigned i = 0; i < RELATIONS_MAX + 2; i++)
		registry_bury(&r, registry_leave(&r, &many[i]), NULL, NULL);
	assert_int_equal(a.party->n_reached, 0);
	registry_bury(&r, registry_leave(&r, &a), NULL, NULL);
	free(many);
}

static void
test_neighbours(void **state)
{
	struct registry r;
	struct member m = {0}, n = {0}, local = {0};
	registry_init(&r);
	struct party *p = registry_announce(&r, key(9), &m);
	assert_ptr_equal(registry_announce(&r, key(9), &n), p);
	assert_ptr_equal(registry_announce(&r, key(9), &m), p);
	assert_ptr_equal(p->announced->neighbour, &m);
	registry_join(&r, &local, key(9));
	registry_renounce(&r, p, &m);
	assert_ptr_equal(p->announced->neighbour, &n);
	registry_leave(&r, &local);
	assert_false(registry_empty(p));
	registry_renounce(&r, p, &n);
	assert_true(registry_empty(p));
	registry_bury(&r, p, NULL, NULL);
}

static void
add(struct queue *q, struct chunk_pool *p, uint32_t len)
{
	memset(frame_header(queue_add(q, p, FRAME_HEADER + len), FRAME_RECV, len), 1, len);
}

static void
test_queue(void **state)
{
	struct chunk_pool p = {0};
	struct queue q = {0};
	for (unsigned i = 0; i < 20; i++)
		add(&q, &p, 1000 + i);
	assert_int_equal(q.bytes, 20 * 1005 + 190);
	assert_int_equal(p.bytes, q.bytes);
	assert_ptr_not_equal(q.head, q.tail);
	assert_true(q.head->end <= CHUNK_DATA);
	assert_int_equal(queue_drop(&q, &p), 1005);
	assert_int_equal(queue_drop(&q, &p), 1006);
	add(&q, &p, FRAME_BODY_MAX); /* a chunk of its own */
	assert_int_equal(q.tail->size, FRAME_BODY_MAX + FRAME_HEADER);
	queue_sent(&q, &p);
	queue_sent(&q, &p);
	assert_ptr_equal(q.head, q.tail);
	assert_int_equal(p.n_free, 2);
	queue_clear(&q, &p);
	assert_int_equal(queue_drop(&q, &p), 0);
	assert_int_equal(p.bytes, 0);
	assert_int_equal(p.n_free, 2);
	chunk_pool_fini(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_speaker_receives),
		cmocka_unit_test(test_receivers_are_told),
		cmocka_unit_test(test_relations_are_bounded),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_queue),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
