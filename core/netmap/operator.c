/* SPDX-License-Identifier: BSD-3-Clause */
/* The operator's layer: one entry per public key that holds only what was set, and options of interfaces. */
#include "internal.h"

#include "../config/config.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

/* ---- Sets of prefixes, kept sorted ---- */

static bool
set_add(struct tr_prefix **set, uint32_t *n, const struct tr_prefix *p)
{
	uint32_t i = 0, end = *n;

	if (prefix_has(*set, *n, p))
		return true;
	struct tr_prefix *v = realloc(*set, (*n + 1u) * sizeof(*v));
	if (!v)
		return false;
	*set = v;
	while (i < end) {
		uint32_t mid = (i + end) / 2;
		if (prefix_compare(&v[mid], p) < 0)
			i = mid + 1;
		else
			end = mid;
	}
	memmove(v + i + 1, v + i, (*n - i) * sizeof(*v));
	v[i] = *p;
	++*n;
	return true;
}

static void
set_del(struct tr_prefix *set, uint32_t *n, const struct tr_prefix *p)
{
	struct tr_prefix *at = *n ? bsearch(p, set, *n, sizeof(*set), prefix_compare) : NULL;

	if (at)
		memmove(at, at + 1, (size_t)(set + --*n - at) * sizeof(*set));
}

static struct tr_prefix
masked(const struct tr_prefix *p)
{
	struct tr_prefix m = {.addr.family = p->addr.family, .len = p->len};

	for (unsigned bit = 0; bit < p->len; bit += 8) {
		unsigned left = p->len - bit;
		m.addr.ip[bit / 8] = p->addr.ip[bit / 8] & (left >= 8 ? 0xff : (uint8_t)(0xff00 >> left));
	}
	return m;
}

/* ---- Changes ---- */

static struct overlay *
overlay_copy(const struct overlay *o)
{
	struct overlay *c = calloc(1, sizeof(*c));

	if (!c || !o)
		return c;
	*c = *o;
	json_incref(c->other);
	c->add = malloc((o->n_add + 1) * sizeof(*c->add));
	c->remove = malloc((o->n_remove + 1) * sizeof(*c->remove));
	if (!c->add || !c->remove) {
		overlay_free(c);
		return NULL;
	}
	if (o->n_add)
		memcpy(c->add, o->add, o->n_add * sizeof(*c->add));
	if (o->n_remove)
		memcpy(c->remove, o->remove, o->n_remove * sizeof(*c->remove));
	return c;
}

static bool
provided_has(const struct entry *e, const struct overlay *o, const struct tr_prefix *p)
{
	return e->provided && !(o->set & TR_PEER_REPLACE_ALLOWED) &&
	       prefix_has(e->provided->prefix, e->provided->peer.n_allowed, p);
}

static bool
overlay_add(const struct entry *e, struct overlay *o, const struct tr_prefix *p)
{
	bool removed = prefix_has(o->remove, o->n_remove, p);

	set_del(o->remove, &o->n_remove, p);
	/* The provider's own needs no entry, unless another peer holds it now. */
	if (provided_has(e, o, p) && (removed || (entry_record(e) && lpm_exact(e->table->allowed, p) == entry_record(e)->peer.id)))
		return true;
	return set_add(&o->add, &o->n_add, p);
}

static bool
overlay_remove(const struct entry *e, struct overlay *o, const struct tr_prefix *p)
{
	set_del(o->add, &o->n_add, p);
	return !provided_has(e, o, p) || set_add(&o->remove, &o->n_remove, p);
}

/* One operation: the entries that it changes, with what they become. */
struct edit {
	struct entry *e;
	struct overlay *o; /* NULL: forgotten */
};
struct edits {
	struct edit *v;
	unsigned n;
};

static struct edit *
edit_of(struct edits *all, struct entry *e)
{
	for (unsigned i = 0; i < all->n; i++) {
		if (all->v[i].e == e)
			return &all->v[i];
	}
	struct edit *v = realloc(all->v, (all->n + 1) * sizeof(*v));
	if (!v)
		return NULL;
	all->v = v;
	v[all->n] = (struct edit){.e = e, .o = overlay_copy(e->overlay)};
	return v[all->n].o ? &v[all->n++] : NULL;
}

static void
edits_free(struct edits *all)
{
	for (unsigned i = 0; i < all->n; i++)
		overlay_free(all->v[i].o);
	free(all->v);
}

static void
set_fields(struct overlay *o, const struct tr_peer_change *c)
{
	uint32_t fields = c->fields & (TR_PEER_PSK | TR_PEER_ENDPOINT | TR_PEER_KEEPALIVE | TR_PEER_REPLACE_ALLOWED);

	o->set |= fields;
	if (fields & TR_PEER_PSK)
		memcpy(o->preshared_key, c->preshared_key, 32);
	if (fields & TR_PEER_ENDPOINT)
		o->endpoint = c->endpoint;
	if (fields & TR_PEER_KEEPALIVE)
		o->keepalive = c->keepalive;
	if (fields & TR_PEER_REPLACE_ALLOWED)
		o->n_add = o->n_remove = 0;
}

static bool
edit_peer(struct edits *all, struct entry *e, const struct tr_peer_change *c)
{
	struct edit *mine = edit_of(all, e);

	if (!mine)
		return false;
	if (c->fields & TR_PEER_REMOVE) {
		overlay_free(mine->o);
		mine->o = e->provided ? calloc(1, sizeof(*mine->o)) : NULL;
		if (mine->o)
			mine->o->absent = true;
		return mine->o || !e->provided;
	}
	if (!entry_record(e)) { /* a new peer: nothing of an absent one shines through */
		overlay_free(mine->o);
		mine->o = calloc(1, sizeof(*mine->o));
		if (!mine->o)
			return false;
		mine->o->created = true;
		mine->o->set = TR_PEER_PSK | TR_PEER_ENDPOINT | TR_PEER_KEEPALIVE | TR_PEER_REPLACE_ALLOWED;
	}
	set_fields(mine->o, c);
	for (uint32_t i = 0; i < c->n_remove; i++) {
		struct tr_prefix p = masked(&c->remove[i]);
		if (!overlay_remove(e, mine->o, &p))
			return false;
	}
	for (uint32_t i = 0; i < c->n_add; i++) {
		struct tr_prefix p = masked(&c->add[i]);
		const struct record *r = atomic_load_explicit(&nm.peer[lpm_exact(e->table->allowed, &p)], memory_order_relaxed);
		if (!overlay_add(e, edit_of(all, e)->o, &p))
			return false;
		if (!r || r->entry == e)
			continue;
		struct edit *other = edit_of(all, r->entry);
		if (!other || !overlay_remove(r->entry, other->o, &p))
			return false;
	}
	return true;
}

static void
commit(struct edits *all)
{
	for (unsigned i = 0; i < all->n; i++) {
		overlay_free(all->v[i].e->overlay);
		all->v[i].e->overlay = all->v[i].o;
		all->v[i].o = NULL;
	}
	/* The first takes its prefixes over in one step each; the others then publish what they have left. */
	for (unsigned i = 0; i < all->n; i++)
		entry_update(all->v[i].e);
}

static int
write_edits(const struct netmap_table *t, const struct edits *all)
{
	json_t **line = calloc(all->n, sizeof(json_t *));
	int rc = line ? 0 : -ENOMEM;

	for (unsigned i = 0; i < all->n && rc == 0; i++) {
		line[i] = overlay_json(t, all->v[i].e->key, all->v[i].o);
		if (!line[i])
			rc = -ENOMEM;
	}
	if (rc == 0)
		rc = state_append(line, all->n);
	for (unsigned i = 0; line && i < all->n; i++)
		json_decref(line[i]);
	free(line);
	return rc;
}

static bool
valid(const struct tr_prefix *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if ((p[i].addr.family != 4 && p[i].addr.family != 6) || p[i].len > (p[i].addr.family == 4 ? 32 : 128))
			return false;
	}
	return true;
}

int
netmap_set(struct netmap_table *t, const struct tr_peer_change *c)
{
	struct entry *e = entry_find(t, c->public_key);
	struct edits all = {0};
	bool there = e && entry_record(e);

	if (!valid(c->add, c->n_add) || !valid(c->remove, c->n_remove))
		return -EINVAL;
	if (!there && (c->fields & (TR_PEER_UPDATE_ONLY | TR_PEER_REMOVE)))
		return 0;
	if (!there && !nm.n_free && nm.next_id > nm.max_peers)
		return -ENOSPC;
	e = entry_get(t, c->public_key);
	if (!e)
		return -ENOSPC;
	int rc = edit_peer(&all, e, c) ? 0 : -ENOMEM;
	if (rc == 0 && all.v[0].o && e->provided && e->provided->peer.n_allowed + all.v[0].o->n_add > UINT16_MAX)
		rc = -ENOSPC;
	if (rc == 0)
		rc = write_edits(t, &all);
	if (rc == 0) {
		e->endpoint_serial += !!(c->fields & TR_PEER_ENDPOINT);
		commit(&all);
		state_tidy();
	} else if (!there) {
		entry_update(e); /* forgets it again if it was made for this */
	}
	edits_free(&all);
	return rc;
}

/* ---- Options ---- */

void
option_apply(struct netmap_table *t, const char *key, const char *value)
{
	unsigned i = 0;

	while (i < t->n_options && strcmp(t->option[i].key, key))
		i++;
	char *copy = value ? strdup(value) : NULL;
	if (i == t->n_options) {
		struct option *v = copy ? realloc(t->option, (i + 1) * sizeof(*v)) : NULL;
		if (!v) {
			free(copy);
			return;
		}
		t->option = v;
		v[t->n_options++] = (struct option){.key = strdup(key), .value = copy};
		return;
	}
	sodium_memzero(t->option[i].value, strlen(t->option[i].value));
	free(t->option[i].value);
	t->option[i].value = copy;
	if (!copy) {
		free(t->option[i].key);
		t->option[i] = t->option[--t->n_options];
	}
}

int
netmap_option_set(const char *interface, const char *key, const char *value)
{
	struct netmap_table *t = netmap_table(interface);
	json_t *line = t ? option_json(interface, key, value) : NULL;

	if (!line)
		return -EINVAL;
	int rc = state_append(&line, 1);
	json_decref(line);
	if (rc == 0) {
		option_apply(t, key, value);
		state_tidy();
	}
	return rc;
}

const char *
netmap_option(const char *interface, const char *key)
{
	const struct netmap_table *t = netmap_table(interface);

	for (unsigned i = 0; t && i < t->n_options; i++) {
		if (!strcmp(t->option[i].key, key))
			return t->option[i].value;
	}
	return NULL;
}

void
netmap_option_each(const char *interface, void (*fn)(void *arg, const char *key, const char *value), void *arg)
{
	const struct netmap_table *t = netmap_table(interface);

	for (unsigned i = 0; t && i < t->n_options; i++)
		fn(arg, t->option[i].key, t->option[i].value);
}
