/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

#include "../runtime/clock.h"
#include "../runtime/rcu.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>

#define RULES_PER_PEER 4
#define RULES_MORE 65536

struct netmap nm;

int
prefix_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct tr_prefix));
}

bool
prefix_has(const struct tr_prefix *set, uint32_t n, const struct tr_prefix *p)
{
	return n && bsearch(p, set, n, sizeof(*set), prefix_compare);
}

uint32_t
prefix_sort(struct tr_prefix *set, uint32_t n)
{
	uint32_t kept = 0;

	if (n)
		qsort(set, n, sizeof(*set), prefix_compare);
	for (uint32_t i = 0; i < n; i++) {
		if (!kept || prefix_compare(&set[kept - 1], &set[i]))
			set[kept++] = set[i];
	}
	return kept;
}

void
why_append(char *why, size_t size, const char *format, ...)
{
	size_t used = strlen(why);
	va_list ap;

	if (used && used + 2 < size) {
		strcpy(why + used, "\n");
		used++;
	}
	va_start(ap, format);
	vsnprintf(why + used, size - used, format, ap);
	va_end(ap);
}

int
netmap_init(uint32_t max_peers, const char *state_dir, char *why, size_t size)
{
	size_t ids = (size_t)max_peers + 1;

	if (size)
		*why = '\0';
	if (sodium_init() < 0)
		return -EIO;
	nm = (struct netmap){.max_peers = max_peers, .next_id = 1};
	int rc = rcu_init();
	if (rc)
		return rc;
	void *peer = mmap(NULL, ids * (sizeof(void *) + sizeof(*nm.free_id)), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	nm.peer = peer == MAP_FAILED ? NULL : peer;
	nm.free_id = nm.peer ? (struct free_id *)(nm.peer + ids) : NULL;
	nm.state_dir = state_dir ? strdup(state_dir) : NULL;
	if (!nm.peer || (state_dir && !nm.state_dir) || !names_init()) {
		netmap_fini();
		return -ENOMEM;
	}
	if (!state_lock(why, size) || !paths_init(why, size) || !state_load(why, size)) {
		netmap_fini();
		return -EIO;
	}
	return 0;
}

static void
entry_discard(struct entry *e)
{
	struct record *r = entry_record(e);

	if (e->provided != r)
		record_free(e->provided);
	record_free(r);
	overlay_free(e->overlay);
	free(e->disco);
	free(e);
}

void
netmap_fini(void)
{
	while (rcu_poll()) /* the last retired ids still have their paths */
		;
	paths_fini();
	state_fini();
	while (nm.tables) {
		struct netmap_table *t = nm.tables;
		nm.tables = t->next;
		while (t->entries) {
			struct entry *e = t->entries;
			t->entries = e->next;
			entry_discard(e);
		}
		for (unsigned i = 0; i < t->n_options; i++) {
			sodium_memzero(t->option[i].value, strlen(t->option[i].value));
			free(t->option[i].key);
			free(t->option[i].value);
		}
		free(t->option);
		hash_fini(&t->keys);
		hash_fini(&t->disco);
		lpm_free(t->allowed);
		free(t);
	}
	names_fini();
	derp_fini();
	if (nm.peer)
		munmap((void *)nm.peer, ((size_t)nm.max_peers + 1) * (sizeof(void *) + sizeof(*nm.free_id)));
	free(nm.contested);
	free(nm.state_dir);
	nm = (struct netmap){0};
}

static bool
same_key(const void *item, const void *key, size_t len)
{
	return memcmp(((const struct entry *)item)->key, key, len) == 0;
}

static bool
same_disco(const void *item, const void *key, size_t len)
{
	return memcmp(((const struct disco *)item)->key, key, len) == 0;
}

struct netmap_table *
netmap_table(const char *interface)
{
	_Atomic(struct netmap_table *) *end = &nm.tables;

	for (; *end; end = &(*end)->next) {
		struct netmap_table *t = *end;
		if (!strcmp(t->name, interface))
			return t;
	}
	if (strlen(interface) >= NETMAP_NAME_MAX)
		return NULL;
	struct netmap_table *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	strcpy(t->name, interface);
	t->allowed = lpm_new(nm.max_peers * RULES_PER_PEER + RULES_MORE);
	if (!t->allowed || !hash_init(&t->keys, (size_t)nm.max_peers * 2, same_key) ||
		!hash_init(&t->disco, nm.max_peers, same_disco)) {
		hash_fini(&t->keys);
		lpm_free(t->allowed);
		free(t);
		return NULL;
	}
	*end = t;
	return t;
}

void
netmap_subscribe(const struct netmap_events *e)
{
	if (nm.n_subscribers < sizeof(nm.subscriber) / sizeof(nm.subscriber[0]))
		nm.subscriber[nm.n_subscribers++] = *e;
}

void
netmap_emit(struct netmap_table *t, enum tr_peer_event event, uint32_t peer)
{
	for (unsigned i = 0; i < nm.n_subscribers; i++)
		nm.subscriber[i].event(nm.subscriber[i].arg, t, event, peer);
	if (event == TR_PEER_REMOVED && !nm.n_subscribers)
		netmap_released(peer);
}

static uint32_t
seconds(void)
{
	return (uint32_t)(clock_ns() / 1000000000u);
}

uint32_t
id_take(void)
{
	const struct free_id oldest = nm.free_id[nm.free_first];
	if (nm.next_id <= nm.max_peers && (nm.n_free == 0 || seconds() - oldest.since < ID_REST))
		return nm.next_id++;
	nm.free_first = nm.free_first == nm.max_peers ? 0 : nm.free_first + 1;
	nm.n_free--;
	return oldest.id;
}

static void
id_give(uint32_t peer)
{
	const uint32_t ids = nm.max_peers + 1, last = nm.free_first + nm.n_free++;
	nm.free_id[last < ids ? last : last - ids] = (struct free_id){peer, seconds()};
}

/* After the grace period: no thread holds the id any more. */
static void
retire_id(void *ptr)
{
	uint32_t peer = (uint32_t)(uintptr_t)ptr;

	for (unsigned i = 0; i < nm.n_subscribers; i++) {
		if (nm.subscriber[i].retired)
			nm.subscriber[i].retired(nm.subscriber[i].arg, peer);
	}
	path_end(peer);
	id_give(peer);
}

void
netmap_removed(uint32_t peer)
{
	struct record *r = atomic_load_explicit(&nm.peer[peer], memory_order_acquire);
	if (r)
		atomic_store_explicit(&r->removed, true, memory_order_relaxed);
}

void
netmap_released(uint32_t peer)
{
	struct record *r = atomic_exchange(&nm.peer[peer], NULL);

	if (r)
		rcu_defer(record_free, r);
	rcu_defer(retire_id, (void *)(uintptr_t)peer);
}

const struct tr_peer *
netmap_peer(const struct netmap_table *t, uint32_t id)
{
	if (id == TR_NO_PEER || id > nm.max_peers)
		return NULL;
	const struct record *r = atomic_load_explicit(&nm.peer[id], memory_order_acquire);
	return r && r->table == t && !atomic_load_explicit(&r->removed, memory_order_relaxed) ? &r->peer : NULL;
}

uint32_t
netmap_by_key(const struct netmap_table *t, const uint8_t public_key[32])
{
	const struct entry *e = hash_find(&t->keys, public_key, 32);
	const struct record *r = e ? atomic_load_explicit(&e->record, memory_order_acquire) : NULL;

	return r ? r->peer.id : TR_NO_PEER;
}

uint32_t
netmap_by_disco(const struct netmap_table *t, const uint8_t disco_key[32])
{
	const struct disco *d = hash_find(&t->disco, disco_key, 32);
	return d ? d->peer : TR_NO_PEER;
}

struct netmap_table *
netmap_table_of(uint32_t id)
{
	const struct record *r = atomic_load_explicit(&nm.peer[id], memory_order_acquire);
	return r ? r->table : NULL;
}

const struct lpm *
netmap_allowed(const struct netmap_table *t)
{
	return t->allowed;
}

void
netmap_each(struct netmap_table *t, void (*fn)(void *arg, const struct tr_peer *), void *arg)
{
	for (const struct entry *e = t->entries, *next; e; e = next) {
		const struct record *r = entry_record(e);
		next = e->next;
		if (r)
			fn(arg, &r->peer);
	}
}

const char *
netmap_problem(void)
{
	if (nm.state_problem[0])
		return nm.state_problem;
	if (paths_problem())
		return paths_problem();
	return nm.problem[0] ? nm.problem : NULL;
}
