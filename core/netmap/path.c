/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The paths of each peer, and paths.bin, which outlives the process: slots of 128 bytes by peer id, each with its
 * key and a checksum, so that what has changed is written in place. A thread of its own writes: neither control nor a
 * worker ever waits for a disk. Not synced record by record: after a power failure an endpoint may be an old one.
 */
#include "candidate.h"
#include "internal.h"

#include "../control/rcu.h"
#include "../worker/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "paths.bin"
#define WORDS (sizeof(struct tr_endpoint) / sizeof(uint64_t))
_Static_assert(WORDS == 5, "copy() takes each");
#define SLOTS 64 /* ids of one word of the dirty map: written together */
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

struct slot {
	char interface[NETMAP_NAME_MAX];
	uint8_t key[32];
	struct tr_endpoint endpoint;
	uint64_t session, reserved, check;
};
_Static_assert(sizeof(struct slot) == 128, "layout of the file");

/* In the first slot, `reserved` is the oldest version that can read the file, 0: the one that wrote it. */
#define VERSION 1
#define HEAD "tailrace paths "
static const struct slot head = {.interface = HEAD "1"};

static struct path *paths;
static struct ways *ways;
static _Atomic uint64_t *dirty; /* a bit per peer */
static size_t map_bytes;

static struct { /* the file; the thread's once it runs */
	char *path, *tmp;
	int fd;
	uint32_t words; /* of the dirty map */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool running, wanted, stop;
	_Atomic int error;
} file = {.fd = -1};

static struct slot *saved; /* of the run before, sorted, until the first save */
static size_t n_saved;

/* ---- Records ---- */

static void
mark(uint32_t peer)
{
	_Atomic uint64_t *w = &dirty[peer / 64];
	uint64_t bit = 1ull << (peer % 64);

	if (!(atomic_load_explicit(w, memory_order_relaxed) & bit))
		atomic_fetch_or_explicit(w, bit, memory_order_release);
}

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
path_relay(uint32_t peer, struct tr_endpoint *out)
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
	mark(peer);
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
		mark(peer);
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

void
path_tell(uint32_t peer, const struct tr_path *news, uint64_t now)
{
	const struct record *r = atomic_load_explicit(&nm.peer[peer], memory_order_acquire);
	struct candidates c;

	if (!r || !news->endpoint.family)
		return;
	ways_begin(r, &c, now);
	candidates_tell(&c, news, now);
	ways_end(peer, &c, now);
}

void
path_session(uint32_t peer, uint64_t wall_ns, uint64_t now)
{
	struct path *p = &paths[peer];
	struct tr_endpoint e;
	struct candidates c;

	uint64_t trust = copy(p, &e, NULL);
	put(peer, &e, wall_ns, trust, NULL);
	mark(peer);
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

static int
slot_compare(const void *a, const void *b)
{
	return memcmp(a, b, offsetof(struct slot, endpoint));
}

void
path_begin(struct netmap_table *t, const struct record *r)
{
	struct slot want = {0};
	struct tr_endpoint e = r->peer.endpoint;
	uint64_t session = 0;

	strcpy(want.interface, t->name);
	memcpy(want.key, r->peer.public_key, 32);
	const struct slot *s = n_saved ? bsearch(&want, saved, n_saved, sizeof(want), slot_compare) : NULL;
	if (s) {
		struct timespec now;
		clock_gettime(CLOCK_REALTIME, &now);
		session = s->session;
		/* A configured endpoint yields only to one that was in use a moment ago. */
		if (s->endpoint.family && (!e.family || session + RESUME > (uint64_t)now.tv_sec * SECOND))
			e = s->endpoint;
	}
	paths[r->peer.id].serial = r->endpoint_serial;
	put(r->peer.id, &e, session, 0, NULL);
	if (r->peer.derp)
		adopt(r, clock_ns());
	if (s)
		mark(r->peer.id);
}

void
path_end(uint32_t peer)
{
	put(peer, &(struct tr_endpoint){0}, 0, 0, NULL);
	mark(peer);
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

/* ---- The file ---- */

static uint64_t
checksum(const struct slot *s)
{
	static const uint8_t key[crypto_shorthash_KEYBYTES] = "tailrace paths";
	uint64_t x;
	crypto_shorthash((uint8_t *)&x, (const uint8_t *)s, offsetof(struct slot, check), key);
	return x;
}

/* Thread, online for RCU. Zeros for an id that has nothing worth keeping. */
static void
fill(struct slot *s, uint32_t peer)
{
	const struct record *r = peer && peer <= nm.max_peers ? atomic_load_explicit(&nm.peer[peer], memory_order_acquire) : NULL;

	memset(s, 0, sizeof(*s));
	if (!r)
		return;
	path_read(peer, &s->endpoint, &s->session);
	if (s->endpoint.gate != TR_KIND_UDP)
		s->endpoint = (struct tr_endpoint){0}; /* the netmap knows the relay */
	if (!s->endpoint.family && !s->session)
		return;
	strcpy(s->interface, r->table->name);
	memcpy(s->key, r->peer.public_key, 32);
	s->check = checksum(s);
}

/* The slots of one word of the dirty map: from the first to the last dirty one. */
static int
write_word(int fd, uint32_t word, uint64_t bits)
{
	struct slot slot[SLOTS];
	unsigned first = (unsigned)__builtin_ctzll(bits), last = 63 - (unsigned)__builtin_clzll(bits);

	for (unsigned i = first; i <= last; i++)
		fill(&slot[i], word * 64 + i);
	if (word == 0 && first == 0)
		slot[0] = head; /* id 0 is no peer: the head of the file */
	size_t len = (last - first + 1) * sizeof(struct slot);
	ssize_t n = pwrite(fd, &slot[first], len, (off_t)(word * 64 + first) * (off_t)sizeof(struct slot));
	return n == (ssize_t)len ? 0 : n < 0 ? -errno : -ENOSPC;
}

static int
write_dirty(int fd, int reader)
{
	for (uint32_t w = 0; w < file.words; w++) {
		if (!atomic_load_explicit(&dirty[w], memory_order_relaxed))
			continue;
		uint64_t bits = atomic_exchange_explicit(&dirty[w], 0, memory_order_acquire);
		int rc = bits ? write_word(fd, w, bits) : 0;
		rcu_quiescent(reader);
		if (rc) {
			atomic_fetch_or(&dirty[w], bits);
			return rc;
		}
	}
	return 0;
}

/* The first save of a process replaces the file of the one before, whose ids mean nothing now. */
static int
save(int reader)
{
	int rc = 0, fd = file.fd;

	rcu_online(reader);
	if (fd < 0) {
		fd = open(file.tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0)
			rc = -errno;
		mark(0);
		for (uint32_t id = 1; rc == 0 && id <= nm.max_peers; id++) { /* nothing of it is in the new file yet */
			if (atomic_load_explicit(&nm.peer[id], memory_order_relaxed))
				mark(id);
		}
	}
	if (rc == 0)
		rc = write_dirty(fd, reader);
	rcu_offline(reader);
	if (fd >= 0 && file.fd < 0) {
		if (rc == 0 && rename(file.tmp, file.path) < 0)
			rc = -errno;
		if (rc == 0)
			file.fd = fd;
		else
			close(fd);
	}
	return rc;
}

static void *
saver(void *arg)
{
	int reader = rcu_register();

	pthread_mutex_lock(&file.lock);
	for (;;) {
		while (!file.wanted && !file.stop)
			pthread_cond_wait(&file.wake, &file.lock);
		bool last = file.stop, wanted = file.wanted;
		file.wanted = false;
		pthread_mutex_unlock(&file.lock);
		if (wanted)
			atomic_store(&file.error, reader < 0 ? -EAGAIN : save(reader));
		pthread_mutex_lock(&file.lock);
		if (last)
			break;
	}
	pthread_mutex_unlock(&file.lock);
	if (reader >= 0)
		rcu_unregister(reader);
	return NULL;
}

int
netmap_save(void)
{
	if (!file.running || !nm.ready)
		return 0; /* before the peers are there, the file of the run before must stay */
	free(saved); /* what they have not claimed is history */
	saved = NULL;
	n_saved = 0;
	if (pthread_mutex_trylock(&file.lock) == 0) { /* else: it is about to look for itself */
		file.wanted = true;
		pthread_cond_signal(&file.wake);
		pthread_mutex_unlock(&file.lock);
	}
	return atomic_load(&file.error);
}

const char *
paths_problem(void)
{
	static char text[128];
	int error = atomic_load(&file.error);

	if (!error)
		return NULL;
	snprintf(text, sizeof(text), "state file %s: %s (retrying)", FILE_NAME, strerror(-error));
	return text;
}

/* A head that another process wrote: the oldest version that can read what follows; 0: it is none. */
static uint64_t
readable_by(const struct slot *h)
{
	const size_t n = strlen(HEAD);

	if (strncmp(h->interface, HEAD, n) || !memchr(h->interface, 0, sizeof(h->interface)))
		return 0;
	const uint64_t version = strtoull(h->interface + n, NULL, 10);
	return h->reserved && h->reserved < version ? h->reserved : version;
}

static void
set_aside(const char *suffix, const char *what, char *why, size_t size)
{
	char to[4096];

	snprintf(to, sizeof(to), "%s%s", file.path, suffix);
	if (rename(file.path, to) == 0)
		why_append(why, size, "%s%s: set aside as %s", file.path, what, to);
}

static void
load(char *why, size_t size)
{
	struct stat st;
	int fd = open(file.path, O_RDONLY | O_CLOEXEC);
	struct slot *v = fd >= 0 && fstat(fd, &st) == 0 ? malloc((size_t)st.st_size + 1) : NULL;
	ssize_t got = v ? read(fd, v, (size_t)st.st_size) : -1;

	if (fd < 0 && errno != ENOENT)
		why_append(why, size, "%s: %s", file.path, strerror(errno));
	if (fd >= 0)
		close(fd);
	const uint64_t by = v && got >= (ssize_t)sizeof(head) ? readable_by(v) : 0;
	if (v && got >= 0 && by == 0)
		set_aside(".bad", ": damaged", why, size);
	else if (by > VERSION)
		set_aside(".newer", " is of a later version than this tailrace reads", why, size);
	if (by == 0 || by > VERSION)
		got = 0;
	for (size_t i = 1; got > 0 && i < (size_t)got / sizeof(*v); i++) {
		v[i].interface[NETMAP_NAME_MAX - 1] = '\0';
		if (v[i].interface[0] && v[i].check == checksum(&v[i]))
			v[n_saved++] = v[i];
	}
	if (n_saved)
		qsort(v, n_saved, sizeof(*v), slot_compare);
	saved = v;
}

bool
paths_init(char *why, size_t size)
{
	size_t peers = (size_t)nm.max_peers + 1;

	file.words = (uint32_t)(peers / 64 + 1);
	map_bytes = peers * sizeof(struct path) + file.words * sizeof(uint64_t);
	void *p = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	madvise(p, map_bytes, MADV_HUGEPAGE); /* peers at random: the TLB would miss as often as the cache */
	paths = p;
	dirty = (_Atomic uint64_t *)(paths + peers);
	p = mmap(NULL, peers * sizeof(struct ways), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	ways = p;
	if (!nm.state_dir)
		return true;
	mkdir(nm.state_dir, 0700);
	if (asprintf(&file.path, "%s/%s", nm.state_dir, FILE_NAME) < 0 || asprintf(&file.tmp, "%s.tmp", file.path) < 0)
		return false;
	load(why, size);
	file.fd = -1;
	file.stop = file.wanted = false;
	atomic_store(&file.error, 0);
	pthread_mutex_init(&file.lock, NULL);
	pthread_cond_init(&file.wake, NULL);
	file.running = pthread_create(&file.thread, NULL, saver, NULL) == 0;
	return file.running;
}

void
paths_fini(void)
{
	if (file.running) {
		pthread_mutex_lock(&file.lock);
		file.stop = true;
		file.wanted = nm.ready;
		pthread_cond_signal(&file.wake);
		pthread_mutex_unlock(&file.lock);
		pthread_join(file.thread, NULL); /* has saved once more */
		file.running = false;
	}
	if (file.fd >= 0)
		close(file.fd);
	file.fd = -1;
	free(file.path);
	free(file.tmp);
	file.path = file.tmp = NULL;
	free(saved);
	saved = NULL;
	n_saved = 0;
	if (paths)
		munmap(paths, map_bytes);
	if (ways)
		munmap(ways, ((size_t)nm.max_peers + 1) * sizeof(struct ways));
	paths = NULL;
	ways = NULL;
	dirty = NULL;
}
