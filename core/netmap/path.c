/* SPDX-License-Identifier: BSD-3-Clause */
/* The paths of each peer: records that its owner worker alone writes, and anybody reads. */
#include "candidate.h"
#include "internal.h"
#include "path_file.h"

#include "../runtime/clock.h"

#include <stdlib.h>
#include <sys/mman.h>

#define WORDS (sizeof(struct tr_endpoint) / sizeof(uint64_t))
_Static_assert(WORDS == 5, "copy() takes each");
#define SECOND 1000000000ull
#define RESUME (180 * SECOND)

/*
 * Written by the peer's owner worker only; one cache line. seq is odd while it is being written. Of a peer of which only
 * one way is known this is all; `trust` is 0. Otherwise it is what follows from the peer's candidates.
 */
struct path {
	_Atomic uint32_t seq;
	uint32_t serial; /* owner: endpoint_serial of the record that was taken last */
	_Atomic uint64_t word[WORDS];
	_Atomic uint64_t session; /* Unix ns of the last one's begin */
	_Atomic uint64_t trust;   /* ticks: until when (upper half), and from when on to ask. ALONE: there is no relay beside it */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct path) == 64, "one cache line");

#define ALONE 1u
#define TICK 24 /* bits: 17 ms. A path would have to be idle for 417 days to look trusted again */

/* The candidates of a peer, word by word; seq as above. */
struct ways {
	_Atomic uint64_t word[sizeof(struct candidates) / sizeof(uint64_t)];
};
#define HEAD_WORDS (offsetof(struct candidates, path) / sizeof(uint64_t))
#define PATH_WORDS (sizeof(struct tr_path) / sizeof(uint64_t))

static struct path *paths;
static struct ways *ways;
static _Atomic uint64_t *begun; /* a bit per peer: it has had a session since the process began */
static size_t map_bytes;

/* ---- Records ---- */

static uint32_t
tick(uint64_t ns)
{
	return (uint32_t)(ns >> TICK);
}

static void
ways_get(uint32_t peer, struct candidates *c)
{
	const _Atomic uint64_t *w = ways[peer].word;
	uint64_t word[sizeof(*c) / sizeof(uint64_t)];

	word[0] = atomic_load_explicit(&w[0], memory_order_acquire);
	memcpy(c, word, sizeof(word[0]));
	const unsigned words = (unsigned)(HEAD_WORDS + c->n * PATH_WORDS);
	for (unsigned i = 1; i < words; i++)
		word[i] = atomic_load_explicit(&w[i], memory_order_acquire);
	memcpy(c, word, words * sizeof(word[0]));
}

static void
ways_put(uint32_t peer, const struct candidates *c)
{
	_Atomic uint64_t *w = ways[peer].word;
	uint64_t word[sizeof(*c) / sizeof(uint64_t)];
	const unsigned words = (unsigned)(HEAD_WORDS + c->n * PATH_WORDS);

	memcpy(word, c, words * sizeof(word[0]));
	for (unsigned i = 0; i < words; i++)
		if (atomic_load_explicit(&w[i], memory_order_relaxed) != word[i])
			atomic_store_explicit(&w[i], word[i], memory_order_release);
}

/* Everything that is known of a peer's paths, at once. c: NULL = the candidates stay as they are. */
static void
put(uint32_t peer, const struct tr_endpoint *e, uint64_t session, uint64_t trust, const struct candidates *c)
{
	struct path *p = &paths[peer];
	uint32_t seq = atomic_load_explicit(&p->seq, memory_order_relaxed);
	uint64_t word[WORDS];

	memcpy(word, e, sizeof(word));
	atomic_store_explicit(&p->seq, seq + 1, memory_order_relaxed);
	for (unsigned i = 0; i < WORDS; i++) /* release: whoever reads one of these sees that seq is odd */
		atomic_store_explicit(&p->word[i], word[i], memory_order_release);
	atomic_store_explicit(&p->session, session, memory_order_release);
	atomic_store_explicit(&p->trust, trust, memory_order_release);
	if (c)
		ways_put(peer, c);
	atomic_store_explicit(&p->seq, seq + 2, memory_order_release);
}

static inline uint32_t
read_begin(const struct path *p)
{
	return atomic_load_explicit(&p->seq, memory_order_acquire);
}

static inline bool
read_again(const struct path *p, uint32_t before)
{
	return before % 2 || atomic_load_explicit(&p->seq, memory_order_relaxed) != before;
}

/* Word by word also on the way out: a wider load of what was just stored would wait. */
static inline void
copy_word(const struct path *p, struct tr_endpoint *out, unsigned i)
{
	const uint64_t word = atomic_load_explicit(&p->word[i], memory_order_acquire);
	memcpy((uint8_t *)out + i * sizeof(word), &word, sizeof(word));
}

/* A consistent copy. The compiler would not unroll a loop. */
static inline uint64_t
copy(const struct path *p, struct tr_endpoint *out, uint64_t *session)
{
	uint64_t trust;
	uint32_t before;

	do {
		before = read_begin(p);
		copy_word(p, out, 0);
		copy_word(p, out, 1);
		copy_word(p, out, 2);
		copy_word(p, out, 3);
		copy_word(p, out, 4);
		if (session)
			*session = atomic_load_explicit(&p->session, memory_order_acquire);
		trust = atomic_load_explicit(&p->trust, memory_order_acquire);
	} while (read_again(p, before));
	return trust;
}

void
path_read(uint32_t peer, struct tr_endpoint *out, uint64_t *session)
{
	copy(&paths[peer], out, session);
}

void
path_get(const uint32_t *peer, uint16_t n, uint64_t now, struct tr_endpoint *out)
{
	for (uint16_t i = 0; i < n; i++)
		__builtin_prefetch(&paths[peer[i]]);
	for (uint16_t i = 0; out && i < n; i++) {
		const uint64_t trust = copy(&paths[peer[i]], &out[i], NULL);
		if (trust <= ALONE)
			continue;
		if ((int32_t)(tick(now) - (uint32_t)(trust >> 32)) >= 0)
			out[i].flags |= TR_ENDPOINT_TWICE | TR_ENDPOINT_ASK;
		else if ((int32_t)(tick(now) - (uint32_t)trust) >= 0)
			out[i].flags |= TR_ENDPOINT_ASK;
	}
}

bool
path_quiet(uint32_t peer, uint64_t now)
{
	const uint32_t enough = 9; /* ticks */
	const uint64_t trust = atomic_load_explicit(&paths[peer].trust, memory_order_acquire);
	return trust > ALONE && (int32_t)(tick(now) - ((uint32_t)trust + enough)) >= 0;
}

bool
path_relay(uint32_t peer, uint64_t now, struct tr_endpoint *out, bool *alone)
{
	const struct path *p = &paths[peer];
	struct candidates c;
	uint32_t before;

	do {
		before = read_begin(p);
		if (atomic_load_explicit(&p->trust, memory_order_acquire) <= ALONE)
			return false;
		ways_get(peer, &c);
	} while (read_again(p, before));
	if (c.relay == CANDIDATES_NONE)
		return false;
	*out = c.path[c.relay].endpoint;
	*alone = !candidates_choice(&c, now).relayed;
	return true;
}

/* The only way to the peer is this one. */
void
path_set(uint32_t peer, const struct tr_endpoint *e)
{
	struct path *p = &paths[peer];
	struct tr_endpoint now;

	path_read(peer, &now, NULL);
	if (memcmp(&now, e, sizeof(now)) == 0)
		return; /* nothing to write, neither here nor to the disk */
	put(peer, e, atomic_load_explicit(&p->session, memory_order_relaxed), 0, NULL);
	path_file_mark(peer);
}

/* ---- Candidates ---- */

static uint64_t
trust_of(const struct choice *v, uint64_t now)
{
	if (!v->relayed)
		return ALONE;
	const uint32_t until = v->until > now ? tick(v->until) + 1 : tick(now) - 1;
	const uint32_t renew = v->renew == UINT64_MAX ? until : tick(v->renew) + 1;
	const uint64_t trust = (uint64_t)until << 32 | renew;
	return trust > ALONE ? trust : ALONE + 1;
}

/* Owner, or control before any worker knows the peer. Those that are known, or the first: the way used until now. */
static void
ways_begin(const struct record *r, struct candidates *c, uint64_t now)
{
	const uint32_t peer = r->peer.id;
	struct tr_endpoint e;

	if (copy(&paths[peer], &e, NULL)) {
		ways_get(peer, c);
		return;
	}
	candidates_init(c);
	if (e.family)
		candidates_configure(c, &e, endpoint_same(&e, &r->peer.endpoint) ? TR_PATH_CONFIGURED : TR_PATH_SAVED, now);
}

static void
ways_end(uint32_t peer, const struct candidates *c, uint64_t now)
{
	const struct choice v = candidates_choice(c, now);
	struct tr_endpoint before;
	uint64_t session;

	path_read(peer, &before, &session);
	put(peer, &v.endpoint, session, trust_of(&v, now), c);
	if (memcmp(&before, &v.endpoint, sizeof(before)) != 0)
		path_file_mark(peer);
}

void
path_heard(uint32_t peer, const struct tr_endpoint *from, uint64_t now)
{
	const struct record *r = atomic_load_explicit(&nm.peer[peer], memory_order_acquire);
	struct candidates c;

	if (!r)
		return;
	if (from->gate == TR_KIND_UDP && !atomic_load_explicit(&paths[peer].trust, memory_order_relaxed)) {
		path_set(peer, from);
		return;
	}
	ways_begin(r, &c, now);
	candidates_heard(&c, from, r->peer.public_key, now);
	ways_end(peer, &c, now);
}

bool
path_tell(uint32_t peer, const struct tr_path *news, uint64_t now)
{
	const struct record *r = atomic_load_explicit(&nm.peer[peer], memory_order_acquire);
	struct candidates c;

	if (!r || !news->endpoint.family)
		return false;
	ways_begin(r, &c, now);
	const bool trusted = candidates_choice(&c, now).until > now;
	candidates_tell(&c, news, now);
	ways_end(peer, &c, now);
	return trusted && candidates_choice(&c, now).until <= now;
}

bool
path_begun(uint32_t peer)
{
	return atomic_load_explicit(&begun[peer / 64], memory_order_relaxed) >> (peer % 64) & 1;
}

void
path_session(uint32_t peer, uint64_t wall_ns, uint64_t now)
{
	struct path *p = &paths[peer];
	struct tr_endpoint e;
	struct candidates c;

	if (!path_begun(peer))
		atomic_fetch_or_explicit(&begun[peer / 64], 1ull << (peer % 64), memory_order_relaxed);
	uint64_t trust = copy(p, &e, NULL);
	put(peer, &e, wall_ns, trust, NULL);
	path_file_mark(peer);
	if (!trust)
		return;
	ways_get(peer, &c);
	candidates_session(&c, now);
	ways_end(peer, &c, now);
}

static void
adopt(const struct record *r, uint64_t now)
{
	const uint32_t peer = r->peer.id;
	struct candidates c;

	const bool set = paths[peer].serial != r->endpoint_serial && r->peer.endpoint.family;
	paths[peer].serial = r->endpoint_serial;
	if (!r->peer.derp && !atomic_load_explicit(&paths[peer].trust, memory_order_relaxed)) {
		if (set)
			path_set(peer, &r->peer.endpoint);
		return;
	}
	ways_begin(r, &c, now);
	candidates_home(&c, r->peer.derp, r->peer.public_key);
	if (set)
		candidates_configure(&c, &r->peer.endpoint, TR_PATH_CONFIGURED, now);
	ways_end(peer, &c, now);
}

void
path_adopt(uint32_t peer, uint64_t now)
{
	const struct record *r = atomic_load_explicit(&nm.peer[peer], memory_order_acquire);
	if (r)
		adopt(r, now);
}

/* One way only, as a candidate. */
static uint16_t
list_plain(uint32_t peer, const struct tr_endpoint *e, uint64_t session, struct tr_path *out)
{
	const struct record *r = atomic_load_explicit(&nm.peer[peer], memory_order_acquire);
	const bool configured = r && endpoint_same(&r->peer.endpoint, e);

	if (!e->family)
		return 0;
	*out = (struct tr_path){.endpoint = *e, .state = session ? TR_PATH_ALIVE : TR_PATH_UNTRIED, .use = TR_PATH_IN_USE,
		.origin = configured ? TR_PATH_CONFIGURED : TR_PATH_HEARD, .why = TR_PATH_ONLY};
	return 1;
}

uint16_t
path_list(uint32_t peer, uint64_t now, struct tr_path *out, uint16_t max)
{
	const struct path *p = &paths[peer];
	struct candidates c;
	struct tr_endpoint e;
	uint64_t session, trust;
	uint32_t before;

	do {
		before = read_begin(p);
		trust = copy(p, &e, &session);
		if (trust)
			ways_get(peer, &c);
	} while (read_again(p, before));
	if (!trust)
		return max ? list_plain(peer, &e, session, out) : 0;
	return candidates_list(&c, now, out, max);
}

void
path_begin(struct netmap_table *t, const struct record *r)
{
	struct tr_endpoint e = r->peer.endpoint, before;
	uint64_t session = 0;

	const bool saved = path_file_saved(t->name, r->peer.public_key, &before, &session);
	if (saved) {
		struct timespec now;
		clock_gettime(CLOCK_REALTIME, &now);
		/* A configured endpoint yields only to one that was in use a moment ago. */
		if (before.family && (!e.family || session + RESUME > (uint64_t)now.tv_sec * SECOND))
			e = before;
	}
	paths[r->peer.id].serial = r->endpoint_serial;
	put(r->peer.id, &e, session, 0, NULL);
	if (r->peer.derp)
		adopt(r, clock_ns());
	if (saved)
		path_file_mark(r->peer.id);
}

void
path_end(uint32_t peer)
{
	put(peer, &(struct tr_endpoint){0}, 0, 0, NULL);
	atomic_fetch_and_explicit(&begun[peer / 64], ~(1ull << (peer % 64)), memory_order_relaxed);
	path_file_mark(peer);
}

/* ---- Resuming ---- */

struct recent {
	uint64_t session;
	uint32_t peer;
};

static int
newest_first(const void *a, const void *b)
{
	uint64_t x = ((const struct recent *)a)->session, y = ((const struct recent *)b)->session;
	return x < y ? 1 : x > y ? -1 : 0;
}

void
netmap_resume(struct netmap_table *t, uint64_t wall_ns)
{
	struct recent *v = NULL;
	size_t n = 0, room = 0;

	for (const struct entry *e = t->entries; e; e = e->next) {
		const struct record *r = entry_record(e);
		uint64_t session = r ? atomic_load(&paths[r->peer.id].session) : 0;
		if (!session || session + RESUME < wall_ns)
			continue;
		if (n == room) {
			struct recent *more = realloc(v, (room = room ? room * 2 : 256) * sizeof(*v));
			if (!more)
				break;
			v = more;
		}
		v[n++] = (struct recent){session, r->peer.id};
	}
	if (n)
		qsort(v, n, sizeof(*v), newest_first);
	for (size_t i = 0; i < n; i++)
		netmap_emit(t, TR_PEER_RESUME, v[i].peer);
	free(v);
}

bool
paths_init(char *why, size_t size)
{
	size_t peers = (size_t)nm.max_peers + 1;

	map_bytes = peers * sizeof(struct path);
	void *p = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	madvise(p, map_bytes, MADV_HUGEPAGE); /* peers at random: the TLB would miss as often as the cache */
	paths = p;
	p = mmap(NULL, peers * sizeof(struct ways), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	ways = p;
	begun = calloc(peers / 64 + 1, sizeof(*begun));
	return begun && path_file_init(why, size);
}

void
paths_fini(void)
{
	path_file_fini();
	if (paths)
		munmap(paths, map_bytes);
	if (ways)
		munmap(ways, ((size_t)nm.max_peers + 1) * sizeof(struct ways));
	free(begun);
	paths = NULL;
	ways = NULL;
	begun = NULL;
}
