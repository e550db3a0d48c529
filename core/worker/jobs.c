/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The job pool: threads that run bounded CPU work of plugins on copies. A job struct belongs to one worker for life and
 * comes back to it. Job threads read the netmap under RCU and pass a quiescent state after each job.
 */
#include "../engine/private.h"
#include "../runtime/rcu.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct jobs {
	struct engine *engine;
	struct rte_ring *queue; /* workers -> job threads */
	struct tr_job *all;
	unsigned per_worker, n_threads;
	pthread_t thread[64];
	int wake;          /* eventfd, semaphore */
	uint32_t sleeping; /* atomic: threads that sleep */
	bool stop;         /* atomic */
};

/* reserved[0]: the instance; reserved[1]: the worker. */
static void
run(struct jobs *j, struct tr_job *job)
{
	struct tr_instance *i = job->reserved[0];
	struct worker *w = job->reserved[1];
	job->run(job, i->self, &j->engine->host);
	while (ring_put(w->jobs_done, &job, sizeof(job)) != 0) /* as large as all of the worker's jobs: never full */
		rte_pause();
}

/* Sleeps until there may be work. The flag is raised before the last look at the queue, so no wake-up is lost. */
static void
nap(struct jobs *j, int reader)
{
	uint64_t one;
	rcu_offline(reader);
	__atomic_add_fetch(&j->sleeping, 1, __ATOMIC_SEQ_CST);
	if (ring_idle(j->queue) && !__atomic_load_n(&j->stop, __ATOMIC_ACQUIRE))
		(void)!read(j->wake, &one, sizeof(one));
	__atomic_sub_fetch(&j->sleeping, 1, __ATOMIC_SEQ_CST);
	rcu_online(reader);
}

static void *
job_thread(void *arg)
{
	struct jobs *j = arg;
	int reader = rcu_register();
	void *job;

	pthread_setname_np(pthread_self(), "tr-job");
	rcu_online(reader);
	while (!__atomic_load_n(&j->stop, __ATOMIC_ACQUIRE)) {
		if (ring_take(j->queue, &job, sizeof(job), 1) == 1)
			run(j, job);
		else
			nap(j, reader);
		rcu_quiescent(reader);
	}
	rcu_offline(reader);
	rcu_unregister(reader);
	return NULL;
}

struct jobs *
jobs_new(struct engine *e, unsigned threads)
{
	struct jobs *j = calloc(1, sizeof(*j));
	if (!j)
		return NULL;
	j->engine = e;
	j->per_worker = JOBS_MAX / e->workers;
	j->queue = ring_new(sizeof(void *), JOBS_MAX * 2, RING_AMONG_MANY);
	j->all = calloc((size_t)j->per_worker * e->workers, sizeof(*j->all));
	j->wake = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	if (!j->queue || !j->all || j->wake < 0) {
		jobs_free(j);
		return NULL;
	}
	for (; j->n_threads < threads && j->n_threads < 64; j->n_threads++)
		if (pthread_create(&j->thread[j->n_threads], NULL, job_thread, j) != 0)
			break;
	return j;
}

void
jobs_free(struct jobs *j)
{
	if (!j)
		return;
	__atomic_store_n(&j->stop, true, __ATOMIC_RELEASE);
	uint64_t n = j->n_threads;
	if (n)
		(void)!write(j->wake, &n, sizeof(n));
	for (unsigned i = 0; i < j->n_threads; i++)
		pthread_join(j->thread[i], NULL);
	if (j->wake >= 0)
		close(j->wake);
	if (j->all)
		sodium_memzero(j->all, sizeof(*j->all) * j->per_worker * j->engine->workers);
	free(j->all);
	ring_free(j->queue);
	free(j);
}

void
jobs_share(struct jobs *j, struct worker *w)
{
	w->n_job_free = j->per_worker;
	for (unsigned i = 0; i < j->per_worker; i++)
		w->job_free[i] = &j->all[w->t.gt.worker * j->per_worker + i];
}

struct tr_job *
jobs_take(struct worker *w, struct tr_instance *i)
{
	if (!w->n_job_free)
		return NULL;
	struct tr_job *job = w->job_free[--w->n_job_free];
	job->reserved[0] = i;
	job->reserved[1] = w;
	__atomic_add_fetch(&i->jobs, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&i->activity, 1, __ATOMIC_RELEASE);
	return job;
}

void
jobs_give_back(struct worker *w, struct tr_job *job)
{
	struct tr_instance *i = job->reserved[0];
	sodium_memzero(job->data, sizeof(job->data));
	w->job_free[w->n_job_free++] = job;
	__atomic_sub_fetch(&i->jobs, 1, __ATOMIC_RELEASE);
}

void
jobs_submit(struct worker *w, struct tr_job *job)
{
	if (!job->run || ring_put(w->t.engine->jobs->queue, &job, sizeof(job)) != 0) { /* holds all jobs: never full */
		jobs_give_back(w, job);
		return;
	}
	w->wake_jobs = true;
}

unsigned
jobs_finish(struct worker *w)
{
	void *v[32];
	unsigned n = ring_take(w->jobs_done, v, sizeof(v[0]), 32);
	for (unsigned k = 0; k < n; k++) {
		struct tr_job *job = v[k];
		struct tr_instance *i = job->reserved[0];
		struct graph_node *own = i->w[w->t.gt.worker].own;
		job->done(&own->pub, job);
		graph_walk(own->graph);
		jobs_give_back(w, job);
	}
	return n;
}

void
jobs_wake(struct jobs *j)
{
	uint64_t one = 1;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&j->sleeping, __ATOMIC_RELAXED))
		(void)!write(j->wake, &one, sizeof(one));
}
