/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * paths.bin, which outlives the process: slots of 128 bytes by peer id, each with its key and a checksum, so that what has
 * changed is written in place. A thread of its own writes: neither control nor a worker ever waits for a disk. Not synced
 * record by record: after a power failure an endpoint may be an old one.
 */
#include "path_file.h"

#include "internal.h"

#include "../runtime/rcu.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "paths.bin"
#define SLOTS 64 /* ids of one word of the dirty map: written together */

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

static _Atomic uint64_t *dirty; /* a bit per peer */

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
static uint64_t last_session; /* of these */

void
path_file_mark(uint32_t peer)
{
	_Atomic uint64_t *w = &dirty[peer / 64];
	uint64_t bit = 1ull << (peer % 64);

	if (!(atomic_load_explicit(w, memory_order_relaxed) & bit))
		atomic_fetch_or_explicit(w, bit, memory_order_release);
}

static int
slot_compare(const void *a, const void *b)
{
	return memcmp(a, b, offsetof(struct slot, endpoint));
}

bool
path_file_saved(const char *interface, const uint8_t key[32], struct tr_endpoint *e, uint64_t *session)
{
	struct slot want = {0};

	strcpy(want.interface, interface);
	memcpy(want.key, key, 32);
	const struct slot *s = n_saved ? bsearch(&want, saved, n_saved, sizeof(want), slot_compare) : NULL;
	if (!s)
		return false;
	*e = s->endpoint;
	*session = s->session;
	return true;
}

/* ---- Writing ---- */

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
		path_file_mark(0);
		for (uint32_t id = 1; rc == 0 && id <= nm.max_peers; id++) { /* nothing of it is in the new file yet */
			if (atomic_load_explicit(&nm.peer[id], memory_order_relaxed))
				path_file_mark(id);
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
	static char text[512];
	int error = atomic_load(&file.error);

	if (!error)
		return NULL;
	snprintf(text, sizeof(text), "%s can't be written: %s (tried again every second); a restart would know old endpoints only", file.path,
		strerror(-error));
	return text;
}

/* ---- Reading ---- */

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
		if (!v[i].interface[0] || v[i].check != checksum(&v[i]))
			continue;
		last_session = v[i].session > last_session ? v[i].session : last_session;
		v[n_saved++] = v[i];
	}
	if (n_saved)
		qsort(v, n_saved, sizeof(*v), slot_compare);
	saved = v;
}

uint64_t
netmap_last_session(void)
{
	return last_session;
}

bool
path_file_init(char *why, size_t size)
{
	file.words = (nm.max_peers + 1) / 64 + 1;
	dirty = calloc(file.words, sizeof(*dirty));
	if (!dirty)
		return false;
	if (!nm.state_dir)
		return true;
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
path_file_fini(void)
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
	last_session = 0;
	free(dirty);
	dirty = NULL;
}
