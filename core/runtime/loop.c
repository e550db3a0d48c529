/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop.h"

#include "inbox.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <tailrace/host.h>
#include <unistd.h>
#include <uv.h>

_Static_assert((int)UV_READABLE == TR_WATCH_READ && (int)UV_WRITABLE == TR_WATCH_WRITE, "events are libuv's");

struct loop {
	uv_loop_t uv;
	uv_async_t wake;      /* ends the sleep in poll */
	uv_prepare_t prepare; /* before the sleep */
	uv_check_t check;     /* after it: runs the inbox */
	uv_idle_t busy;       /* active while the inbox holds entries: poll then does not sleep */
	struct inbox inbox;
	/* True from before the last look into the inbox until the loop runs again. A poster that finds it true clears
	 * it and owes the wake-up, so a sleep costs one wake-up however many post. */
	_Alignas(64) _Atomic bool sleeping;
	_Atomic bool stop;
	pthread_t thread;
	bool has_thread;
	char name[16];
};

struct loop_watch {
	union {
		uv_handle_t handle;
		uv_poll_t poll;
		uv_timer_t timer;
		uv_signal_t signal;
	};
	void (*on_event)(void *arg, int events);
	void (*on_fire)(void *arg);
	void *arg;
};

static _Thread_local const struct loop *current;

bool
loop_is_mine(const struct loop *l)
{
	return current == l;
}

/* ---- Inbox ---- */

static void
on_wake(uv_async_t *a)
{
}

static void
on_busy(uv_idle_t *i)
{
}

static void
on_prepare(uv_prepare_t *p)
{
	struct loop *l = p->data;
	/* Store, then look; a poster puts, then loads: one of the two sees the other. */
	atomic_store_explicit(&l->sleeping, true, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
	if (inbox_ready(&l->inbox) || atomic_load_explicit(&l->stop, memory_order_relaxed))
		uv_idle_start(&l->busy, on_busy);
}

static void
on_check(uv_check_t *c)
{
	struct loop *l = c->data;
	atomic_store_explicit(&l->sleeping, false, memory_order_relaxed);
	uv_idle_stop(&l->busy);
	inbox_fn *fn;
	void *a, *b;
	/* One round at most, so that an inbox that fills as fast as it empties can't starve timers and descriptors. */
	for (uint32_t n = 0; n <= l->inbox.mask && inbox_take(&l->inbox, &fn, &a, &b); n++)
		fn(a, b);
	if (atomic_load_explicit(&l->stop, memory_order_acquire))
		uv_stop(&l->uv);
}

int
loop_post_quiet(struct loop *l, loop_fn *fn, void *a, void *b)
{
	return inbox_put(&l->inbox, fn, a, b) ? 0 : -EAGAIN;
}

void
loop_wake(struct loop *l)
{
	if (current == l)
		return; /* it looks into its inbox before it sleeps */
	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load_explicit(&l->sleeping, memory_order_relaxed))
		return;
	if (atomic_exchange_explicit(&l->sleeping, false, memory_order_relaxed))
		uv_async_send(&l->wake);
}

int
loop_post(struct loop *l, loop_fn *fn, void *a, void *b)
{
	int rc = loop_post_quiet(l, fn, a, b);
	/* A full inbox wakes as well: its loop may sleep on quiet posts. */
	loop_wake(l);
	return rc;
}

/* ---- Work elsewhere ---- */

struct work {
	uv_work_t uv;
	void (*work)(void *arg);
	void (*done)(void *arg);
	void *arg;
};

static void
on_work(uv_work_t *uv)
{
	struct work *w = (struct work *)uv;
	setpriority(PRIO_PROCESS, (id_t)gettid(), 10); /* the loop may have no other CPU */
	w->work(w->arg);
}

static void
on_worked(uv_work_t *uv, int status)
{
	struct work *w = (struct work *)uv;
	if (w->done)
		w->done(w->arg);
	free(w);
}

int
loop_work(struct loop *l, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
	struct work *w = malloc(sizeof(*w));
	if (!w)
		return -ENOMEM;
	*w = (struct work){.work = work, .done = done, .arg = arg};
	int rc = uv_queue_work(&l->uv, &w->uv, on_work, on_worked);
	if (rc != 0)
		free(w);
	return rc;
}

/* ---- Life ---- */

struct loop *
loop_new(const char *name, uint32_t inbox)
{
	struct loop *l;
	if (posix_memalign((void **)&l, _Alignof(struct loop), sizeof(*l)) != 0)
		return NULL;
	memset(l, 0, sizeof(*l));
	if (!inbox_init(&l->inbox, inbox)) {
		free(l);
		return NULL;
	}
	if (uv_loop_init(&l->uv) != 0) {
		inbox_fini(&l->inbox);
		free(l);
		return NULL;
	}
	strncpy(l->name, name, sizeof(l->name) - 1);
	if (uv_async_init(&l->uv, &l->wake, on_wake) != 0) {
		uv_loop_close(&l->uv);
		inbox_fini(&l->inbox);
		free(l);
		return NULL;
	}
	uv_prepare_init(&l->uv, &l->prepare);
	uv_check_init(&l->uv, &l->check);
	uv_idle_init(&l->uv, &l->busy);
	l->prepare.data = l->check.data = l;
	uv_prepare_start(&l->prepare, on_prepare);
	uv_check_start(&l->check, on_check);
	return l;
}

/* Watches lie in memory of their own; the loop's own handles lie in it and have no data but the loop. */
static bool
is_own(const struct loop *l, const uv_handle_t *h)
{
	return (const char *)h >= (const char *)l && (const char *)h < (const char *)(l + 1);
}

static void
free_watch(uv_handle_t *h)
{
	free(h->data);
}

static void
close_one(uv_handle_t *h, void *arg)
{
	if (!uv_is_closing(h))
		uv_close(h, is_own(arg, h) ? NULL : free_watch);
}

void
loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->has_thread) {
		loop_stop(l);
		pthread_join(l->thread, NULL);
	}
	uv_walk(&l->uv, close_one, l);
	uv_run(&l->uv, UV_RUN_DEFAULT); /* returns when the last handle is closed */
	int rc = uv_loop_close(&l->uv);
	assert(rc == 0);
	(void)rc;
	inbox_fini(&l->inbox);
	free(l);
}

int
loop_run(struct loop *l)
{
	current = l;
	int rc = 0;
	while (!atomic_load_explicit(&l->stop, memory_order_acquire))
		rc = uv_run(&l->uv, UV_RUN_DEFAULT);
	atomic_store_explicit(&l->stop, false, memory_order_relaxed); /* it may be run again */
	current = NULL;
	return rc < 0 ? rc : 0;
}

static void *
thread_main(void *arg)
{
	struct loop *l = arg;
	pthread_setname_np(pthread_self(), l->name);
	loop_run(l);
	return NULL;
}

int
loop_start_thread(struct loop *l)
{
	/* Signals are the control thread's: a handler on a thread that carries connections only disturbs. */
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(&l->thread, NULL, thread_main, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	l->has_thread = rc == 0;
	return -rc;
}

void
loop_stop(struct loop *l)
{
	atomic_store_explicit(&l->stop, true, memory_order_release);
	loop_wake(l);
}

/* ---- Watches ---- */

static struct loop_watch *
watch_new(struct loop *l, void *arg)
{
	assert(!current || current == l);
	struct loop_watch *w = calloc(1, sizeof(*w));
	if (w)
		w->arg = arg;
	return w;
}

static void
on_poll(uv_poll_t *p, int status, int events)
{
	struct loop_watch *w = p->data;
	/* After an error a read and a write say what it is. */
	w->on_event(w->arg, status < 0 ? TR_WATCH_READ | TR_WATCH_WRITE : events);
}

static void
on_timer(uv_timer_t *t)
{
	struct loop_watch *w = t->data;
	w->on_fire(w->arg);
}

static void
on_signal(uv_signal_t *s, int signum)
{
	struct loop_watch *w = s->data;
	w->on_fire(w->arg);
}

struct loop_watch *
loop_fd(struct loop *l, int fd, int events, void (*fn)(void *arg, int events), void *arg)
{
	struct loop_watch *w = watch_new(l, arg);
	if (!w || uv_poll_init(&l->uv, &w->poll, fd) != 0) {
		free(w);
		return NULL;
	}
	w->poll.data = w;
	w->on_event = fn;
	loop_fd_events(w, events);
	return w;
}

void
loop_fd_events(struct loop_watch *w, int events)
{
	if (events)
		uv_poll_start(&w->poll, events, on_poll);
	else
		uv_poll_stop(&w->poll);
}

struct loop_watch *
loop_timer(struct loop *l, uint64_t after_ms, uint64_t repeat_ms, void (*fn)(void *arg), void *arg)
{
	struct loop_watch *w = watch_new(l, arg);
	if (!w)
		return NULL;
	uv_timer_init(&l->uv, &w->timer);
	w->timer.data = w;
	w->on_fire = fn;
	uv_update_time(&l->uv); /* libuv counts from when the loop last woke: never early */
	uv_timer_start(&w->timer, on_timer, after_ms, repeat_ms);
	return w;
}

struct loop_watch *
loop_signal(struct loop *l, int signum, void (*fn)(void *arg), void *arg)
{
	struct loop_watch *w = watch_new(l, arg);
	if (!w)
		return NULL;
	uv_signal_init(&l->uv, &w->signal);
	w->signal.data = w;
	w->on_fire = fn;
	if (uv_signal_start(&w->signal, on_signal, signum) != 0) {
		loop_watch_close(w);
		return NULL;
	}
	return w;
}

void
loop_watch_close(struct loop_watch *w)
{
	uv_close(&w->handle, free_watch);
}
