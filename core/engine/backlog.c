/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Posts that wait, on the control thread: peers' events for which an owner's inbox has no room, and what an instance posts
 * in create() and start(), when no thread has it yet.
 */
#include "../runtime/log.h"
#include "private.h"

#include <errno.h>
#include <stdlib.h>

static bool
send(struct engine *e, const struct inbox_entry *m)
{
	struct tr_instance *i = m->instance;
	__atomic_add_fetch(&i->activity, 1, __ATOMIC_RELEASE);
	if (m->kind == TO_CONTROL || m->kind == TO_SERVICE)
		return loop_post(m->kind == TO_CONTROL ? e->control : instance_service(i)->loop, m->call, i->self,
			       (void *)(uintptr_t)m->arg) == 0;
	return worker_post(&e->worker[m->peer % e->workers], m) == 0;
}

unsigned
backlog_flush(struct engine *e)
{
	if (e->building)
		return e->n_backlog - e->backlog_head;
	while (e->backlog_head < e->n_backlog) {
		if (!send(e, &e->backlog[e->backlog_head]))
			return e->n_backlog - e->backlog_head;
		e->backlog_head++;
	}
	e->backlog_head = e->n_backlog = 0;
	if (e->backlog_size > INBOX_SIZE) { /* a plan of many peers at start */
		free(e->backlog);
		e->backlog = NULL;
		e->backlog_size = 0;
	}
	return 0;
}

int
backlog_add(struct engine *e, const struct inbox_entry *entry)
{
	if (e->n_backlog == e->backlog_size) {
		unsigned size = e->backlog_size ? e->backlog_size * 2 : 1024;
		struct inbox_entry *v = realloc(e->backlog, size * sizeof(*v));
		if (!v)
			return -EAGAIN;
		e->backlog = v;
		e->backlog_size = size;
	}
	e->backlog[e->n_backlog++] = *entry;
	backlog_flush(e);
	return 0;
}

void
backlog_forget(struct engine *e, const struct tr_instance *i)
{
	unsigned kept = e->backlog_head;
	for (unsigned k = e->backlog_head; k < e->n_backlog; k++)
		if (e->backlog[k].instance != i)
			e->backlog[kept++] = e->backlog[k];
	e->n_backlog = kept;
}

/* Before the instance whose peer it is: that one's answer to a removal is the last. */
static void
tell_probers(struct engine *e, const struct netmap_table *t, enum tr_peer_event ev, uint32_t peer)
{
	for (unsigned k = 0; k < MAX_SLOTS; k++) {
		struct tr_instance *i = e->slot[k] ? e->slot[k]->current : NULL;
		const struct inbox_entry entry = {.kind = INBOX_FOLLOW, .peer = peer, .instance = i, .arg = ev};
		if (i && i->table == t && (i->class_->flags & TR_CLASS_PROBES) && backlog_add(e, &entry) != 0)
			log_error("engine", "no memory: a peer's change was not delivered");
	}
}

void
engine_peer_event(void *arg, struct netmap_table *t, enum tr_peer_event ev, uint32_t peer)
{
	struct engine *e = arg;
	if (ev <= TR_PEER_REMOVED)
		tell_probers(e, t, ev, peer);
	struct tr_instance *i = engine_of_table(e, t);
	struct inbox_entry entry = {.kind = INBOX_PEER, .peer = peer, .instance = i, .arg = ev};
	if (!i || !i->class_->peer) {
		if (ev == TR_PEER_REMOVED)
			netmap_released(peer);
		return;
	}
	if (backlog_add(e, &entry) != 0)
		log_error("engine", "no memory: a peer's change was not delivered");
}

void
engine_peer_retired(void *arg, uint32_t peer)
{
	struct engine *e = arg;
	for (unsigned k = 0; k < MAX_SLOTS; k++)
		if (e->slot[k])
			blocks_zero_peer(e->slot[k], peer);
}
