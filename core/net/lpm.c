/* SPDX-License-Identifier: BSD-3-Clause */
#include "lpm.h"

#include "lpm_pool.h"

#include <errno.h>
#include <rte_prefetch.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ROOT_BITS 16
#define ROOT_SIZE (1u << ROOT_BITS)
#define BURST 32
#define DEPTH_MAX 16
#define NODE_BYTES_PER_RULE 512 /* two sparse nodes and their copies in a grace period */

/*
 * Immutable once published. Looks at byte `depth` of an address; `key` holds the bytes before it. A prefix of length
 * 8 * depth + 1 .. 8 * depth + 8 lies in this node. 256 slots as runs of equal values (0: no prefix of this node covers
 * the slot), children by slot, and the prefixes themselves for the writer.
 */
struct node {
	struct lpm_block block;
	uint8_t run_rank[4], child_rank[4]; /* runs and children before each 64 slots */
	struct {
		uint64_t run, child; /* a run starts / a child hangs here */
	} bits[4];
	uint8_t key[DEPTH_MAX];
	uint8_t depth;
	uint16_t n_run, n_child, n_prefix;
	uint32_t body[]; /* n_run values, n_child nodes, n_prefix struct rule */
};

struct rule { /* a prefix of a node: the first `len` (1..8) bits of `bits` */
	uint32_t value;
	uint8_t bits, len;
};

/* A family. The arrays are touched only where used. */
struct family {
	_Atomic uint64_t *root; /* readers: value << 32 | node */
	uint32_t *rule;         /* writer: prefixes up to /16 by (1 << len | bits) */
	uint8_t *owner;         /* writer: 1 + length of the prefix whose value the entry holds; 0: none */
	uint32_t rules;
};

struct lpm {
	struct lpm_pool pool;
	struct family f[2]; /* IPv4, IPv6 */
	uint32_t max_rules;
};

/* What an update makes and what it replaces; decided at its end. */
struct update {
	struct lpm *l;
	const struct tr_prefix *p;
	uint32_t value; /* 0: delete */
	uint8_t depth;  /* of the node that holds p */
	struct rule rule;
	uint8_t n_made, n_old;
	uint32_t made[DEPTH_MAX + 2], old[DEPTH_MAX + 2];
};

/* A node unpacked. */
struct draft {
	uint8_t key[DEPTH_MAX], depth;
	uint16_t n_child, n_prefix;
	uint8_t slot[256];
	uint32_t child[256];
	struct rule rule[510]; /* ascending length */
};

static inline struct node *
node_at(const struct lpm *l, uint32_t n)
{
	return lpm_block(&l->pool, n);
}

static inline struct rule *
node_rules(const struct node *n)
{
	return (struct rule *)(n->body + n->n_run + n->n_child);
}

/* Place of the child at a slot, or -1. */
static inline int
child_of(const struct node *n, uint8_t slot)
{
	unsigned w = slot >> 6, b = slot & 63;
	if (!(n->bits[w].child >> b & 1))
		return -1;
	return n->child_rank[w] + __builtin_popcountll(n->bits[w].child & ((1ull << b) - 1));
}

static void *
map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

struct lpm *
lpm_new(uint32_t max_rules)
{
	struct lpm *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->max_rules = max_rules;
	bool ok = lpm_pool_init(&l->pool, ((size_t)64 << 20) + (size_t)max_rules * NODE_BYTES_PER_RULE);
	for (int i = 0; i < 2; i++) {
		l->f[i].root = map(ROOT_SIZE * sizeof(uint64_t));
		l->f[i].rule = map(2 * ROOT_SIZE * sizeof(uint32_t));
		l->f[i].owner = map(ROOT_SIZE);
		ok = ok && l->f[i].root && l->f[i].rule && l->f[i].owner;
	}
	if (!ok) {
		lpm_free(l);
		return NULL;
	}
	return l;
}

void
lpm_free(struct lpm *l)
{
	if (!l)
		return;
	for (int i = 0; i < 2; i++) {
		if (l->f[i].root)
			munmap(l->f[i].root, ROOT_SIZE * sizeof(uint64_t));
		if (l->f[i].rule)
			munmap(l->f[i].rule, 2 * ROOT_SIZE * sizeof(uint32_t));
		if (l->f[i].owner)
			munmap(l->f[i].owner, ROOT_SIZE);
	}
	lpm_pool_fini(&l->pool);
	free(l);
}

/* ---- Nodes ---- */

static uint32_t
made(struct update *u, size_t words)
{
	uint32_t n = lpm_pool_get(&u->l->pool, sizeof(struct node) + words * sizeof(uint32_t));
	if (n)
		u->made[u->n_made++] = n;
	return n;
}

static void
unpack(const struct node *n, struct draft *d)
{
	memcpy(d->key, n->key, sizeof(d->key));
	d->depth = n->depth;
	d->n_child = n->n_child;
	d->n_prefix = n->n_prefix;
	for (unsigned w = 0, i = 0; w < 4; w++) {
		for (uint64_t bits = n->bits[w].child; bits; bits &= bits - 1)
			d->slot[i++] = (uint8_t)(w * 64 + (unsigned)__builtin_ctzll(bits));
	}
	memcpy(d->child, n->body + n->n_run, n->n_child * sizeof(uint32_t));
	memcpy(d->rule, node_rules(n), n->n_prefix * sizeof(struct rule));
}

/* The node of a draft, or 0: out of memory. */
static uint32_t
pack(struct update *u, const struct draft *d)
{
	uint32_t value[256] = {0}, run[256];
	unsigned runs = 0;
	struct node head = {.depth = d->depth, .n_child = d->n_child, .n_prefix = d->n_prefix};

	for (unsigned i = 0; i < d->n_prefix; i++) {
		const struct rule *r = &d->rule[i];
		for (unsigned s = r->bits, end = s + (256u >> r->len); s < end; s++)
			value[s] = r->value;
	}
	for (unsigned s = 0; s < 256; s++) {
		if (s % 64 == 0)
			head.run_rank[s / 64] = (uint8_t)runs;
		if (s == 0 || value[s] != value[s - 1]) {
			head.bits[s / 64].run |= 1ull << (s % 64);
			run[runs++] = value[s];
		}
	}
	head.n_run = (uint16_t)runs;
	for (unsigned i = 0; i < d->n_child; i++)
		head.bits[d->slot[i] / 64].child |= 1ull << (d->slot[i] % 64);
	for (unsigned w = 1; w < 4; w++)
		head.child_rank[w] = (uint8_t)(head.child_rank[w - 1] + __builtin_popcountll(head.bits[w - 1].child));

	uint32_t at = made(u, runs + d->n_child + 2u * d->n_prefix);
	if (!at)
		return 0;
	struct node *n = node_at(u->l, at);
	head.block = n->block;
	*n = head;
	memcpy(n->key, d->key, sizeof(n->key));
	memcpy(n->body, run, runs * sizeof(uint32_t));
	memcpy(n->body + runs, d->child, d->n_child * sizeof(uint32_t));
	memcpy(node_rules(n), d->rule, d->n_prefix * sizeof(struct rule));
	return at;
}

/* A copy of node `from` that differs in the child at one place. */
static uint32_t
with_child(struct update *u, uint32_t from, int place, uint32_t child)
{
	const struct node *n = node_at(u->l, from);
	size_t words = n->n_run + n->n_child + 2u * n->n_prefix;
	uint32_t at = made(u, words);

	if (!at)
		return 0;
	struct node *to = node_at(u->l, at);
	struct lpm_block block = to->block;
	*to = *n;
	memcpy(to->body, n->body, words * sizeof(uint32_t));
	to->block = block;
	to->body[n->n_run + place] = child;
	return at;
}

static void
draft_child(struct draft *d, uint8_t slot, uint32_t child)
{
	unsigned i = 0;

	while (i < d->n_child && d->slot[i] < slot)
		i++;
	memmove(d->slot + i + 1, d->slot + i, d->n_child - i);
	memmove(d->child + i + 1, d->child + i, (d->n_child - i) * sizeof(d->child[0]));
	d->slot[i] = slot;
	d->child[i] = child;
	d->n_child++;
}

static unsigned
draft_find(const struct draft *d, const struct rule *r)
{
	unsigned i = 0;
	while (i < d->n_prefix && (d->rule[i].len < r->len || (d->rule[i].len == r->len && d->rule[i].bits != r->bits)))
		i++;
	return i;
}

static void
draft_rule(struct draft *d, const struct rule *r)
{
	unsigned i = draft_find(d, r);

	if (i == d->n_prefix || d->rule[i].len != r->len) {
		memmove(d->rule + i + 1, d->rule + i, (d->n_prefix - i) * sizeof(d->rule[0]));
		d->n_prefix++;
	}
	d->rule[i] = *r;
}

static void
draft_new(struct draft *d, const uint8_t *key, uint8_t depth)
{
	memset(d->key, 0, sizeof(d->key));
	memcpy(d->key, key, depth);
	d->depth = depth;
	d->n_child = d->n_prefix = 0;
}

static uint32_t
new_leaf(struct update *u)
{
	struct draft d;
	draft_new(&d, u->p->addr.ip, u->depth);
	draft_rule(&d, &u->rule);
	return pack(u, &d);
}

/* Below `at` (0: nothing) with u's prefix: the node to put in its place; 0: out of memory. */
static uint32_t
insert(struct update *u, uint32_t at)
{
	const uint8_t *ip = u->p->addr.ip;
	struct draft d;

	if (!at)
		return new_leaf(u);
	const struct node *n = node_at(u->l, at);
	uint8_t common = ROOT_BITS / 8, end = n->depth < u->depth ? n->depth : u->depth;
	while (common < end && n->key[common] == ip[common])
		common++;
	if (common < n->depth) {
		/* A new node above this one: a fork of the two, or the place of the prefix itself. */
		draft_new(&d, ip, common);
		draft_child(&d, n->key[common], at);
		if (common == u->depth) {
			draft_rule(&d, &u->rule);
		} else {
			uint32_t leaf = new_leaf(u);
			if (!leaf)
				return 0;
			draft_child(&d, ip[common], leaf);
		}
		return pack(u, &d);
	}
	u->old[u->n_old++] = at;
	if (n->depth == u->depth) {
		unpack(n, &d);
		draft_rule(&d, &u->rule);
		return pack(u, &d);
	}
	int place = child_of(n, ip[n->depth]);
	uint32_t child = insert(u, place < 0 ? 0 : n->body[n->n_run + place]);
	if (!child)
		return 0;
	if (place >= 0)
		return with_child(u, at, place, child);
	unpack(n, &d);
	draft_child(&d, ip[n->depth], child);
	return pack(u, &d);
}

/* The same for a removal of a prefix that is there. Sets *failed when out of memory; 0 alone: nothing is left. */
static uint32_t
removed(struct update *u, uint32_t at, bool *failed)
{
	const struct node *n = node_at(u->l, at);
	struct draft d;

	u->old[u->n_old++] = at;
	if (n->depth == u->depth) {
		unpack(n, &d);
		unsigned i = draft_find(&d, &u->rule);
		memmove(d.rule + i, d.rule + i + 1, (--d.n_prefix - i) * sizeof(d.rule[0]));
	} else {
		int place = child_of(n, u->p->addr.ip[n->depth]);
		uint32_t child = removed(u, n->body[n->n_run + place], failed);
		if (*failed)
			return 0;
		if (child) {
			at = with_child(u, at, place, child);
			*failed = !at;
			return at;
		}
		unpack(n, &d);
		d.n_child--;
		memmove(d.slot + place, d.slot + place + 1, (size_t)(d.n_child - place));
		memmove(d.child + place, d.child + place + 1, (size_t)(d.n_child - place) * sizeof(d.child[0]));
	}
	if (d.n_prefix == 0 && d.n_child < 2)
		return d.n_child ? d.child[0] : 0;
	at = pack(u, &d);
	*failed = !at;
	return at;
}

/* ---- Updates ---- */

static inline unsigned
root_slot(const uint8_t *ip)
{
	return (unsigned)ip[0] << 8 | ip[1];
}

static struct family *
family_of(const struct lpm *l, const struct tr_prefix *p)
{
	return (struct family *)&l->f[p->addr.family == 6];
}

static uint32_t *
root_rule(const struct family *f, const struct tr_prefix *p)
{
	return &f->rule[1u << p->len | root_slot(p->addr.ip) >> (ROOT_BITS - p->len)];
}

/* Entries owned by `was` or shorter become `value`, owned by `now`. */
static void
root_fill(struct family *f, const struct tr_prefix *p, uint32_t value, uint8_t was, uint8_t now)
{
	unsigned slot = root_slot(p->addr.ip), end = slot + (ROOT_SIZE >> p->len);

	for (; slot < end; slot++) {
		if (f->owner[slot] > was)
			continue;
		uint32_t node = (uint32_t)atomic_load_explicit(&f->root[slot], memory_order_relaxed);
		f->owner[slot] = now;
		atomic_store_explicit(&f->root[slot], (uint64_t)value << 32 | node, memory_order_release);
	}
}

static void
root_set(struct family *f, const struct tr_prefix *p, uint32_t value)
{
	struct tr_prefix cover = *p;
	uint8_t own = (uint8_t)(p->len + 1);

	*root_rule(f, p) = value;
	if (value) {
		root_fill(f, p, value, own, own);
		return;
	}
	for (; cover.len && !*root_rule(f, &cover); cover.len--)
		;
	value = *root_rule(f, &cover);
	root_fill(f, p, value, own, value ? (uint8_t)(cover.len + 1) : 0);
}

static int
trie_update(struct lpm *l, struct family *f, const struct tr_prefix *p, uint32_t value)
{
	uint8_t depth = (uint8_t)((p->len - 1) / 8);
	struct update u = {.l = l, .p = p, .depth = depth,
		.rule = {.value = value, .bits = p->addr.ip[depth], .len = (uint8_t)(p->len - 8 * depth)}};
	_Atomic uint64_t *entry = &f->root[root_slot(p->addr.ip)];
	uint64_t old = atomic_load_explicit(entry, memory_order_relaxed);
	bool failed = false;
	uint32_t node = value ? insert(&u, (uint32_t)old) : removed(&u, (uint32_t)old, &failed);

	if (failed || (value && !node)) {
		while (u.n_made)
			lpm_pool_put(&l->pool, u.made[--u.n_made]);
		return -ENOMEM;
	}
	atomic_store_explicit(entry, (old & ~(uint64_t)UINT32_MAX) | node, memory_order_release);
	while (u.n_old)
		lpm_pool_retire(&l->pool, u.old[--u.n_old]);
	return 0;
}

static int
update(struct lpm *l, const struct tr_prefix *p, uint32_t value)
{
	struct family *f = family_of(l, p);

	if (p->len > ROOT_BITS)
		return trie_update(l, f, p, value);
	root_set(f, p, value);
	return 0;
}

int
lpm_set(struct lpm *l, const struct tr_prefix *p, uint32_t value)
{
	uint32_t old = lpm_exact(l, p);

	if (old == value)
		return 0;
	if (!old && lpm_count(l) >= l->max_rules)
		return -ENOSPC;
	int rc = update(l, p, value);
	if (rc == 0 && !old)
		family_of(l, p)->rules++;
	return rc;
}

int
lpm_del(struct lpm *l, const struct tr_prefix *p)
{
	if (!lpm_exact(l, p))
		return -ENOENT;
	int rc = update(l, p, 0);
	if (rc == 0)
		family_of(l, p)->rules--;
	return rc;
}

uint32_t
lpm_exact(const struct lpm *l, const struct tr_prefix *p)
{
	const struct family *f = family_of(l, p);
	uint8_t depth = (uint8_t)((p->len - 1) / 8);

	if (p->len <= ROOT_BITS)
		return *root_rule(f, p);
	uint32_t at = (uint32_t)atomic_load_explicit(&f->root[root_slot(p->addr.ip)], memory_order_relaxed);
	while (at) {
		const struct node *n = node_at(l, at);
		if (n->depth > depth || memcmp(n->key, p->addr.ip, n->depth))
			return 0;
		if (n->depth == depth) {
			const struct rule *r = node_rules(n);
			for (unsigned i = 0; i < n->n_prefix; i++) {
				if (r[i].len == p->len - 8 * depth && r[i].bits == p->addr.ip[depth])
					return r[i].value;
			}
			return 0;
		}
		int place = child_of(n, p->addr.ip[n->depth]);
		at = place < 0 ? 0 : n->body[n->n_run + place];
	}
	return 0;
}

static void
each_below(const struct lpm *l, uint32_t at, struct tr_prefix *p, void (*fn)(void *, const struct tr_prefix *, uint32_t),
	void *arg)
{
	const struct node *n = node_at(l, at);
	const struct rule *r = node_rules(n);

	for (unsigned i = 0; i < n->n_prefix; i++) {
		memset(p->addr.ip, 0, sizeof(p->addr.ip));
		memcpy(p->addr.ip, n->key, n->depth);
		p->addr.ip[n->depth] = r[i].bits;
		p->len = (uint8_t)(8 * n->depth + r[i].len);
		fn(arg, p, r[i].value);
	}
	for (unsigned i = 0; i < n->n_child; i++)
		each_below(l, n->body[n->n_run + i], p, fn, arg);
}

void
lpm_each(const struct lpm *l, void (*fn)(void *arg, const struct tr_prefix *p, uint32_t value), void *arg)
{
	for (int i = 0; i < 2; i++) {
		if (!l->f[i].rules)
			continue;
		struct tr_prefix p = {.addr.family = i ? 6 : 4};
		for (unsigned len = 0; len <= ROOT_BITS; len++) {
			for (unsigned bits = 0; bits < 1u << len; bits++) {
				uint32_t value = l->f[i].rule[1u << len | bits];
				unsigned slot = bits << (ROOT_BITS - len);
				if (!value)
					continue;
				p.addr.ip[0] = (uint8_t)(slot >> 8);
				p.addr.ip[1] = (uint8_t)slot;
				p.len = (uint8_t)len;
				fn(arg, &p, value);
			}
		}
		for (unsigned slot = 0; slot < ROOT_SIZE; slot++) {
			uint32_t at = (uint32_t)atomic_load_explicit(&l->f[i].root[slot], memory_order_relaxed);
			if (at)
				each_below(l, at, &p, fn, arg);
		}
	}
}

uint32_t
lpm_count(const struct lpm *l)
{
	return l->f[0].rules + l->f[1].rules;
}

/* Upper bound: of the arrays, the pages never touched cost nothing. */
size_t
lpm_memory(const struct lpm *l)
{
	return sizeof(*l) + (size_t)l->pool.next * LPM_UNIT +
	       2 * ROOT_SIZE * (sizeof(uint64_t) + 2 * sizeof(uint32_t) + sizeof(uint8_t));
}

/* ---- Look-up ---- */

static inline bool
below(const struct node *n, const uint8_t *addr, unsigned known)
{
	for (unsigned i = known; i < n->depth; i++) {
		if (n->key[i] != addr[i])
			return false;
	}
	return true;
}

/*
 * Up to BURST addresses together, one level at a time, so that the cache misses on the nodes of a level overlap. How far
 * the processor looks ahead overlaps those on the root's entries, and on the words that the heads of nodes point to.
 */
static inline void
find(const struct lpm *l, const struct family *f, const uint8_t *const *addr, unsigned n, uint32_t *value)
{
	const struct node *node[BURST];
	uint8_t open[BURST];
	unsigned n_open = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t e = atomic_load_explicit(&f->root[root_slot(addr[i])], memory_order_acquire);
		value[i] = (uint32_t)(e >> 32);
		if ((uint32_t)e) {
			node[n_open] = node_at(l, (uint32_t)e);
			rte_prefetch0(node[n_open]);
			rte_prefetch0((const uint8_t *)node[n_open] + 64);
			open[n_open++] = (uint8_t)i;
		}
	}
	for (unsigned known = ROOT_BITS / 8; n_open; known++) { /* so many bytes, at least, agree with the node's key */
		unsigned still = 0;
		for (unsigned k = 0; k < n_open; k++) {
			const unsigned i = open[k];
			const struct node *x = node[k];
			if (x->depth != known && !below(x, addr[i], known))
				continue;
			const uint8_t slot = addr[i][x->depth];
			const unsigned w = slot >> 6, shift = ~slot & 63; /* slot's bit becomes the highest */
			const uint64_t run = x->bits[w].run << shift, child = x->bits[w].child << shift;
			const uint32_t here = x->body[x->run_rank[w] + __builtin_popcountll(run) - 1];
			value[i] = here ? here : value[i];
			if (!(child >> 63))
				continue;
			node[still] = node_at(l, x->body[x->n_run + x->child_rank[w] + __builtin_popcountll(child) - 1]);
			rte_prefetch0(node[still]);
			rte_prefetch0((const uint8_t *)node[still] + 64);
			open[still++] = (uint8_t)i;
		}
		n_open = still;
	}
}

static void
find_all(const struct lpm *l, const struct family *f, const uint8_t *const *addr, unsigned n, uint32_t *value)
{
	for (unsigned i = 0; i < n; i += BURST)
		find(l, f, addr + i, n - i < BURST ? n - i : BURST, value + i);
}

void
lpm_find4(const struct lpm *l, const uint8_t *const *addr, uint16_t n, uint32_t *value)
{
	find_all(l, &l->f[0], addr, n, value);
}

void
lpm_find6(const struct lpm *l, const uint8_t *const *addr, uint16_t n, uint32_t *value)
{
	find_all(l, &l->f[1], addr, n, value);
}
