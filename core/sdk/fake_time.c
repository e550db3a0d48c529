/* SPDX-License-Identifier: BSD-3-Clause */
/* Time and threads of the fake host: the clock, timers, jobs, posted work, watches, polls. */
#include "fake.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static uint64_t
round_up(uint64_t at)
{
	return (at + TICK - 1) / TICK * TICK;
}

/* ---- Timers: one list per worker, linked through the plugin's own memory ---- */

static void
unlink_timer(struct tr_timer *t)
{
	*t->prev = t->next;
	if (t->next)
		t->next->prev = t->prev;
	t->next = NULL;
	t->prev = NULL;
}

static void
host_timer_arm(struct tr_node *node, struct tr_timer *t, uint64_t at)
{
	struct world *w = fake_of(node->instance)->world;
	struct tr_timer **p = &w->timers[node->worker == TR_NO_WORKER ? 0 : node->worker];

	if (!fake_allow(node->instance, BY_WORKER, "timer_arm"))
		return;
	if (!node->instance->class_->timer) {
		fake_failed("class %s arms a timer and has no timer()", node->instance->class_->name);
		return;
	}
	if (t->prev)
		unlink_timer(t);
	while (*p && (*p)->at <= at)
		p = &(*p)->next;
	t->at = at;
	t->next = *p;
	t->prev = p;
	if (t->next)
		t->next->prev = &t->next;
	*p = t;
}

static void
host_timer_cancel(struct tr_node *node, struct tr_timer *t)
{
	if (fake_allow(node->instance, BY_WORKER, "timer_cancel") && t->prev)
		unlink_timer(t);
}

static void
fire_timers(struct world *w, uint16_t worker)
{
	struct fh *h = fake_newest(w);
	uint64_t now = w->now;
	unsigned limit = 1u << 20;

	while (w->timers[worker] && w->timers[worker]->at <= now && --limit) {
		struct tr_timer *t = w->timers[worker];

		unlink_timer(t);
		fake_enter(w, BY_WORKER, worker);
		h->instance.class_->timer(fake_node(h, worker), t);
		fake_enter(w, BY_CONTROL, 0);
	}
	if (!limit)
		fake_failed("class %s: a timer re-arms itself for the past, for ever", h->instance.class_->name);
}

/* ---- Jobs ---- */

static struct tr_job *
host_job_new(struct tr_node *node)
{
	struct world *w = fake_of(node->instance)->world;

	if (!fake_allow(node->instance, BY_WORKER, "job_new") || w->jobs_full)
		return NULL;
	for (unsigned i = 0; i < FAKE_JOBS; i++) {
		struct fake_job *j = &w->jobs[i];

		if (j->state != JOB_FREE)
			continue;
		j->state = JOB_TAKEN;
		j->h = fake_of(node->instance);
		j->worker = node->worker;
		j->job.run = NULL;
		j->job.done = NULL;
		return &j->job;
	}
	return NULL;
}

static void
job_free(struct fake_job *j)
{
	memset(&j->job, 0, sizeof(j->job));
	j->state = JOB_FREE;
}

static void
host_job_submit(struct tr_node *node, struct tr_job *job)
{
	struct fake_job *j = (struct fake_job *)job;
	struct world *w = fake_of(node->instance)->world;

	if (!fake_allow(node->instance, BY_WORKER, "job_submit"))
		return;
	if (j->state != JOB_TAKEN)
		fake_failed("class %s submits a job twice", node->instance->class_->name);
	else if (!job->run)
		job_free(j);
	else {
		j->state = JOB_QUEUED;
		j->order = ++w->job_order;
	}
}

static uint32_t
host_job_backlog(struct tr_node *node)
{
	struct world *w = fake_of(node->instance)->world;
	uint32_t used = 0;

	if (w->jobs_full)
		return 256;
	for (unsigned i = 0; i < FAKE_JOBS; i++)
		used += w->jobs[i].state != JOB_FREE;
	return RTE_MAX(w->backlog, used * 256 / FAKE_JOBS);
}

static struct fake_job *
next_job(struct world *w, const struct fh *only)
{
	struct fake_job *first = NULL;

	for (unsigned i = 0; i < FAKE_JOBS; i++) {
		struct fake_job *j = &w->jobs[i];

		if (j->state == JOB_QUEUED && (!only || j->h == only) && (!first || j->order < first->order))
			first = j;
	}
	return first;
}

static unsigned
run_jobs(struct world *w, const struct fh *only)
{
	struct fake_job *j;
	unsigned n = 0;

	for (; (j = next_job(w, only)); n++) {
		struct fh *h = j->h;

		fake_enter(w, BY_JOB, 0);
		j->job.run(&j->job, h->instance.self, &h->host);
		fake_enter(w, BY_WORKER, j->worker);
		if (j->job.done)
			j->job.done(fake_node(h, j->worker), &j->job);
		fake_enter(w, BY_CONTROL, 0);
		job_free(j);
		fake_run(h);
	}
	return n;
}

/* ---- Posted work ---- */

static int
call(struct tr_instance *i, struct fake_call c)
{
	struct world *w = fake_of(i)->world;
	struct fake_call *copy;

	if (c.kind != CALL_DEFER && w->n_calls >= FAKE_INBOX)
		return -EAGAIN;
	copy = malloc(sizeof(*copy));
	if (!copy)
		abort();
	*copy = c;
	copy->h = fake_of(i);
	STAILQ_INSERT_TAIL(&w->calls, copy, link);
	w->n_calls++;
	return 0;
}

static int
host_post_peer(struct tr_instance *i, uint32_t peer, void (*fn)(struct tr_node *, uint32_t, uint64_t), uint64_t arg)
{
	if (!fake_allow(i, BY_CONTROL | BY_SERVICE | BY_JOB, "post_peer"))
		return -EINVAL;
	return call(i, (struct fake_call){.kind = CALL_PEER, .peer_fn = fn, .peer = peer, .value = arg});
}

static int
host_post(struct tr_instance *i, enum tr_thread thread, void (*fn)(void *, void *), void *arg)
{
	return call(i, (struct fake_call){.kind = thread == TR_THREAD_SERVICE ? CALL_SERVICE : CALL_CONTROL, .fn = fn, .arg = arg});
}

static void
host_defer(struct tr_instance *i, void (*fn)(void *), void *ptr)
{
	if (fake_allow(i, BY_CONTROL | BY_WORKER, "defer"))
		call(i, (struct fake_call){.kind = CALL_DEFER, .defer_fn = fn, .arg = ptr});
}

static void
run_call(struct world *w, struct fake_call *c)
{
	uint16_t owner = fake_owner(w, c->peer);

	switch (c->kind) {
	case CALL_PEER:
		fake_enter(w, BY_WORKER, owner);
		c->peer_fn(fake_node(c->h, owner), c->peer, c->value);
		break;
	case CALL_SERVICE:
		fake_enter(w, BY_SERVICE, 0);
		c->fn(c->h->instance.self, c->arg);
		break;
	case CALL_CONTROL:
		c->fn(c->h->instance.self, c->arg);
		break;
	case CALL_DEFER:
		c->defer_fn(c->arg);
		break;
	}
	fake_enter(w, BY_CONTROL, 0);
}

/* What was posted before now; what these post themselves waits for the next step. */
static void
run_calls(struct world *w, const struct fh *only)
{
	STAILQ_HEAD(, fake_call) now = STAILQ_HEAD_INITIALIZER(now);
	struct fake_call *c, *next;

	STAILQ_CONCAT(&now, &w->calls);
	for (c = STAILQ_FIRST(&now); c; c = next) {
		next = STAILQ_NEXT(c, link);
		if (only && c->h != only) {
			STAILQ_INSERT_TAIL(&w->calls, c, link);
			continue;
		}
		w->n_calls--;
		run_call(w, c);
		fake_run(c->h);
		free(c);
	}
}

/* ---- Watches ---- */

static struct tr_watch *
watch(struct tr_instance *i, const char *name, struct tr_watch v)
{
	struct world *w = fake_of(i)->world;
	struct tr_watch *copy;

	if (!fake_allow(i, BY_CONTROL | BY_SERVICE, name))
		return NULL;
	copy = malloc(sizeof(*copy));
	if (!copy)
		abort();
	*copy = v;
	copy->h = fake_of(i);
	copy->thread = w->calling;
	LIST_INSERT_HEAD(&w->watches, copy, link);
	return copy;
}

static struct tr_watch *
host_watch_fd(struct tr_instance *i, int fd, int events, void (*fn)(void *, int), void *arg)
{
	return watch(i, "watch_fd", (struct tr_watch){.fd = fd, .events = events, .fd_fn = fn, .arg = arg});
}

static struct tr_watch *
host_watch_timer(struct tr_instance *i, uint64_t after_ms, uint64_t repeat_ms, void (*fn)(void *), void *arg)
{
	return watch(i, "watch_timer", (struct tr_watch){.fd = -1, .at = fake_of(i)->world->now + after_ms * 1000000,
		.repeat = repeat_ms * 1000000, .timer_fn = fn, .arg = arg});
}

static void
host_watch_events(struct tr_watch *watch_, int events)
{
	watch_->events = events;
}

static void
host_watch_close(struct tr_watch *watch_)
{
	if (fake_allow(&watch_->h->instance, watch_->thread, "watch_close"))
		watch_->closed = true;
}

static void
sweep_watches(struct world *w)
{
	struct tr_watch *v, *next;

	for (v = LIST_FIRST(&w->watches); v; v = next) {
		next = LIST_NEXT(v, link);
		if (v->closed) {
			LIST_REMOVE(v, link);
			free(v);
		}
	}
}

static void
fire_watch(struct world *w, struct tr_watch *v)
{
	struct pollfd p = {.fd = v->fd};

	if (v->fd < 0) {
		if (v->at > w->now)
			return;
		v->at = v->repeat ? v->at + v->repeat : UINT64_MAX;
		fake_enter(w, v->thread, 0);
		v->timer_fn(v->arg);
	} else {
		p.events = (short)((v->events & TR_WATCH_READ ? POLLIN : 0) | (v->events & TR_WATCH_WRITE ? POLLOUT : 0));
		if (!v->events || poll(&p, 1, 0) <= 0)
			return;
		w->fd_was_ready = true;
		fake_enter(w, v->thread, 0);
		v->fd_fn(v->arg, (p.revents & (POLLIN | POLLHUP | POLLERR) ? TR_WATCH_READ : 0) |
				(p.revents & POLLOUT ? TR_WATCH_WRITE : 0));
	}
	fake_enter(w, BY_CONTROL, 0);
	fake_run(v->h);
}

static void
run_watches(struct world *w)
{
	struct tr_watch *v;

	w->fd_was_ready = false;
	LIST_FOREACH(v, &w->watches, link)
		if (!v->closed)
			fire_watch(w, v);
	sweep_watches(w);
}

static int
host_listen_unix(struct tr_instance *i, const char *path)
{
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct world *w = fake_of(i)->world;
	int fd;

	if (!fake_allow(i, BY_CONTROL | BY_SERVICE, "listen_unix"))
		return -EINVAL;
	if (!w->unix_dir[0]) {
		snprintf(w->unix_dir, sizeof(w->unix_dir), "/tmp/tailrace-fake-XXXXXX");
		if (!mkdtemp(w->unix_dir))
			return -errno;
	}
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/%.32s", w->unix_dir, base);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(a.sun_path);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 16) == 0)
		return fd;
	close(fd);
	return -EADDRINUSE;
}

/* ---- Steps ---- */

/* The generation runs: in a first step, so that preflight, which makes none, opens nothing. */
static void
begin_services(struct world *w)
{
	for (unsigned i = 0; i < w->n_live; i++) {
		struct fh *h = w->live[i];
		const struct tr_class *c = h->instance.class_;

		if (h->service_begun || !h->started || !c->service_init || !fake_service_node(h))
			continue;
		h->service_begun = true;
		fake_enter(w, BY_SERVICE, 0);
		c->service_init(fake_service_node(h));
		fake_enter(w, BY_CONTROL, 0);
	}
}

void
fake_step(struct world *w)
{
	begin_services(w);
	run_jobs(w, NULL);
	run_calls(w, NULL);
	run_watches(w);
	for (uint16_t k = 0; k < w->workers; k++) {
		fire_timers(w, k);
		for (unsigned i = 0; i < w->n_live; i++) {
			struct fh *h = w->live[i];

			if (!h->instance.class_->poll || !h->started || h->stopping)
				continue;
			fake_enter(w, BY_WORKER, k);
			h->instance.class_->poll(fake_node(h, k));
			fake_enter(w, BY_CONTROL, 0);
		}
	}
	for (unsigned i = 0; i < w->n_live; i++)
		fake_run(w->live[i]);
	fake_spread_back(w);
	fake_netmap_settle(w);
}

/* When `at` comes due, seen from now: never before the next nanosecond. */
static uint64_t
due(const struct world *w, uint64_t at)
{
	return at > w->now ? at : w->now + 1;
}

static uint64_t
next_event(const struct world *w, uint64_t target)
{
	uint64_t next = target;
	struct tr_watch *v;
	bool busy = !STAILQ_EMPTY(&w->calls);

	for (unsigned i = 0; i < FAKE_JOBS; i++)
		busy |= w->jobs[i].state == JOB_QUEUED;
	for (unsigned i = 0; i < w->n_live; i++)
		busy |= w->live[i]->instance.class_->poll != NULL;
	LIST_FOREACH(v, &w->watches, link) {
		next = RTE_MIN(next, v->fd < 0 ? due(w, v->at) : w->now + (w->fd_was_ready ? TICK : FD_TICK));
	}
	if (busy)
		next = RTE_MIN(next, w->now + TICK);
	for (uint16_t k = 0; k < w->workers; k++)
		if (w->timers[k])
			next = RTE_MIN(next, due(w, round_up(w->timers[k]->at)));
	return next;
}

void
fh_advance(struct fh *h, uint64_t ns)
{
	struct world *w = h->world;
	uint64_t target = w->now + ns;

	fake_step(w);
	while (w->now < target) {
		w->now = next_event(w, target);
		fake_step(w);
	}
}

uint64_t
fh_now(struct fh *h)
{
	return h->world->now;
}

unsigned
fh_run_jobs(struct fh *h)
{
	return run_jobs(h->world, NULL);
}

void
fh_jobs_full(struct fh *h, bool full)
{
	h->world->jobs_full = full;
}

void
fh_backlog(struct fh *h, uint32_t in_256)
{
	h->world->backlog = in_256;
}

void
fake_drain(struct world *w, struct fh *h)
{
	for (unsigned i = 0; i < 1000; i++) {
		unsigned n = run_jobs(w, h) + fake_spread_back(w);
		struct fake_call *c;

		STAILQ_FOREACH(c, &w->calls, link)
			n += c->h == h;
		if (!n)
			return;
		run_calls(w, h);
	}
	fake_failed("class %s posts work for ever after stop()", h->instance.class_->name);
}

/* Before destroy(): what h has left behind that would call into it afterwards. */
void
fake_time_leaks(struct world *w, struct fh *h)
{
	struct tr_watch *v;

	sweep_watches(w);
	LIST_FOREACH(v, &w->watches, link)
		if (v->h == h)
			fake_failed("class %s leaves a watch open (%s)", h->instance.class_->name, v->fd < 0 ? "timer" : "descriptor");
	for (unsigned i = 0; i < FAKE_JOBS; i++)
		if (w->jobs[i].state != JOB_FREE && w->jobs[i].h == h)
			fake_failed("class %s took a job and neither submitted it nor gave it back", h->instance.class_->name);
	for (uint16_t k = 0; k < w->workers; k++)
		for (struct tr_timer *t = w->timers[k]; t; t = t->next)
			if (!fake_in_blocks(w, t)) {
				fake_failed("class %s leaves a timer armed that lies in no state block", h->instance.class_->name);
				return;
			}
}

void
fake_time_host(struct tr_host *host)
{
	host->timer_arm = host_timer_arm;
	host->timer_cancel = host_timer_cancel;
	host->job_new = host_job_new;
	host->job_submit = host_job_submit;
	host->job_backlog = host_job_backlog;
	host->post_peer = host_post_peer;
	host->post = host_post;
	host->defer = host_defer;
	host->watch_fd = host_watch_fd;
	host->watch_events = host_watch_events;
	host->watch_timer = host_watch_timer;
	host->watch_close = host_watch_close;
	host->listen_unix = host_listen_unix;
}
