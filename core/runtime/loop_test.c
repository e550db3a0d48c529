/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <tailrace/host.h>

#define PRODUCERS 4
#define POSTS 20000

static uint64_t
now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void
stop_loop(void *l, void *b)
{
	loop_stop(l);
}

static void
stop_timer(void *l)
{
	loop_stop(l);
}

struct producer {
	struct loop *l;
	uintptr_t id;
	bool quiet;
	unsigned full;
};

static uintptr_t next_seen[PRODUCERS]; /* the loop's */
static unsigned seen, disorder;

static void
count(void *a, void *b)
{
	uintptr_t who = (uintptr_t)a, n = (uintptr_t)b;
	disorder += n != next_seen[who];
	next_seen[who] = n + 1;
	seen++;
}

static void *
produce(void *arg)
{
	struct producer *p = arg;
	for (uintptr_t i = 0; i < POSTS; i++) {
		for (;;) {
			int rc = p->quiet ? loop_post_quiet(p->l, count, (void *)p->id, (void *)i)
					  : loop_post(p->l, count, (void *)p->id, (void *)i);
			if (p->quiet && (rc || i % 32 == 31 || i == POSTS - 1))
				loop_wake(p->l);
			if (rc == 0)
				break;
			p->full++;
			sched_yield();
		}
	}
	return NULL;
}

/* Every post of every thread is run once and in its thread's order, through an inbox far smaller than the load. */
static void
posts_from_many_threads(void **state)
{
	struct loop *l = loop_new("test", 64);
	assert_non_null(l);
	memset(next_seen, 0, sizeof(next_seen));
	seen = disorder = 0;
	assert_int_equal(loop_start_thread(l), 0);
	pthread_t t[PRODUCERS];
	struct producer p[PRODUCERS];
	for (uintptr_t i = 0; i < PRODUCERS; i++) {
		p[i] = (struct producer){.l = l, .id = i, .quiet = i % 2};
		assert_int_equal(pthread_create(&t[i], NULL, produce, &p[i]), 0);
	}
	for (unsigned i = 0; i < PRODUCERS; i++)
		pthread_join(t[i], NULL);
	while (loop_post(l, stop_loop, l, NULL) != 0)
		sched_yield();
	loop_free(l);
	assert_int_equal(seen, PRODUCERS * POSTS);
	assert_int_equal(disorder, 0);
}

static _Atomic unsigned echoes;

static void
echo(void *a, void *b)
{
	atomic_fetch_add(&echoes, 1);
}

/* The race this guards against: a post between the loop's last look and its sleep. Each post waits for its run. */
static void
no_lost_wakeup(void **state)
{
	struct loop *l = loop_new("test", 8);
	atomic_store(&echoes, 0);
	assert_int_equal(loop_start_thread(l), 0);
	uint64_t start = now_ms();
	for (unsigned i = 0; i < 5000; i++) {
		assert_int_equal(loop_post(l, echo, NULL, NULL), 0);
		while (atomic_load(&echoes) != i + 1)
			assert_true(now_ms() - start < 60000);
	}
	loop_free(l);
}

static void
full_inbox(void **state)
{
	struct loop *l = loop_new("test", 8);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(loop_post_quiet(l, echo, NULL, NULL), 0);
	assert_int_equal(loop_post_quiet(l, echo, NULL, NULL), -EAGAIN);
	assert_int_equal(loop_post(l, echo, NULL, NULL), -EAGAIN);
	loop_free(l);
}

/* A loop whose callbacks post to it again is still fair to its timers. */
static void
repost(void *a, void *b)
{
	assert_true(loop_is_mine(a));
	loop_post(a, repost, a, NULL);
}

static void
busy_inbox_does_not_starve_timers(void **state)
{
	struct loop *l = loop_new("test", 4);
	assert_false(loop_is_mine(l));
	loop_post(l, repost, l, NULL);
	loop_timer(l, 20, 0, stop_timer, l);
	uint64_t start = now_ms();
	assert_int_equal(loop_run(l), 0);
	assert_true(now_ms() - start >= 20);
	assert_false(loop_is_mine(l));
	loop_free(l);
}

static struct repeating {
	struct loop *l;
	struct loop_watch *w;
	unsigned fired;
} repeating;

static void
on_repeat(void *arg)
{
	struct repeating *r = arg;
	if (++r->fired == 3) {
		loop_watch_close(r->w);
		loop_timer(r->l, 15, 0, stop_timer, r->l);
	}
}

static void
timer_repeats_until_closed(void **state)
{
	repeating = (struct repeating){.l = loop_new("test", 4)};
	repeating.w = loop_timer(repeating.l, 2, 2, on_repeat, &repeating);
	loop_run(repeating.l);
	assert_int_equal(repeating.fired, 3);
	loop_free(repeating.l);
}

struct pair {
	struct loop *l;
	struct loop_watch *w;
	int fd[2];
	unsigned reads, writes;
};

static void
on_fd(void *arg, int events)
{
	struct pair *p = arg;
	char c;
	if (events & TR_WATCH_WRITE) {
		p->writes++;
		assert_int_equal(write(p->fd[1], "x", 1), 1);
		loop_fd_events(p->w, TR_WATCH_READ);
	}
	if (events & TR_WATCH_READ) {
		ssize_t n = read(p->fd[0], &c, 1);
		if (n == 1) {
			p->reads++;
			close(p->fd[1]);
		} else {
			assert_int_equal(n, 0); /* the other end has closed */
			loop_watch_close(p->w);
			close(p->fd[0]);
			loop_stop(p->l);
		}
	}
}

static void
descriptor_events(void **state)
{
	struct pair p = {.l = loop_new("test", 4)};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p.fd), 0);
	p.w = loop_fd(p.l, p.fd[0], TR_WATCH_READ | TR_WATCH_WRITE, on_fd, &p);
	assert_non_null(p.w);
	loop_run(p.l);
	assert_int_equal(p.reads, 1);
	assert_int_equal(p.writes, 1);
	loop_free(p.l);
}

static void
signals(void **state)
{
	struct loop *l = loop_new("test", 4);
	assert_non_null(loop_signal(l, SIGUSR1, stop_timer, l));
	assert_null(loop_signal(l, SIGKILL, stop_timer, l));
	kill(getpid(), SIGUSR1);
	loop_run(l);
	loop_free(l);
}

struct elsewhere {
	struct loop *l;
	unsigned worked, done;
	bool apart;
};

static void
work_elsewhere(void *arg)
{
	struct elsewhere *e = arg;
	e->apart = !loop_is_mine(e->l);
	usleep(2000);
	e->worked++;
}

static void
work_done(void *arg)
{
	struct elsewhere *e = arg;
	assert_true(loop_is_mine(e->l) || e->done);
	assert_int_equal(e->worked, ++e->done);
	loop_stop(e->l);
}

/* Work does not run on the loop, its end does; loop_free() waits for what is under way. */
static void
work_on_the_pool(void **state)
{
	struct elsewhere e = {.l = loop_new("test", 4)};
	assert_int_equal(loop_work(e.l, work_elsewhere, work_done, &e), 0);
	loop_run(e.l);
	assert_true(e.apart);
	assert_int_equal(e.done, 1);
	assert_int_equal(loop_work(e.l, work_elsewhere, work_done, &e), 0);
	loop_free(e.l);
	assert_int_equal(e.done, 2);
}

/* What is posted and never run is dropped, and open watches go with the loop. */
static void
free_with_everything_open(void **state)
{
	struct loop *l = loop_new("test", 4);
	loop_timer(l, 100000, 0, stop_timer, l);
	loop_post(l, stop_loop, l, NULL);
	assert_int_equal(loop_start_thread(l), 0);
	loop_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(posts_from_many_threads),
		cmocka_unit_test(no_lost_wakeup),
		cmocka_unit_test(full_inbox),
		cmocka_unit_test(busy_inbox_does_not_starve_timers),
		cmocka_unit_test(timer_repeats_until_closed),
		cmocka_unit_test(descriptor_events),
		cmocka_unit_test(signals),
		cmocka_unit_test(work_on_the_pool),
		cmocka_unit_test(free_with_everything_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
