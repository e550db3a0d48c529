/* SPDX-License-Identifier: BSD-3-Clause */
/* Options that take over what other instances say: the kernel's device has the addresses of those that link to it. */
#include "builder.h"

static const struct tr_option *
find(const struct tr_class *c, const char *key, uint32_t flag)
{
	for (const struct tr_option *o = c->options; o != NULL && o->key != NULL; o++)
		if ((o->flags & TR_OPT_LIST) != 0 && (flag != 0 ? (o->flags & flag) != 0 : strcmp(o->key, key) == 0))
			return o;
	return NULL;
}

static bool
links_to(const struct plan *p, unsigned i, int32_t to)
{
	const struct plan_instance *from = &p->instance[i];
	if ((int32_t)i == to) /* by an internal gate */
		return false;
	for (unsigned g = 0; g < from->n_out; g++)
		if (from->out[g].to == to)
			return true;
	return false;
}

/* Appends the addresses of `from`: those of a link with the length of their network. out NULL: only counts. */
static uint32_t
addresses(const struct plan_instance *from, struct tr_prefix *out)
{
	const struct tr_option *o =
	        from->class_ != NULL && from->options != NULL ? find(from->class_, "address", 0) : NULL;
	if (o == NULL || (o->type != TR_OPT_IFADDR && o->type != TR_OPT_ADDR))
		return 0;
	const struct tr_list *l = (const void *)((const uint8_t *)from->options + o->offset);
	for (uint32_t i = 0; out != NULL && i < l->n; i++) {
		const struct tr_addr *a = l->items;
		out[i] = o->type == TR_OPT_IFADDR ? ((const struct tr_prefix *)l->items)[i]
		                                  : (struct tr_prefix){a[i], a[i].family == 4 ? 32 : 128};
	}
	return l->n;
}

static void
adopt(struct builder *b, int32_t index, struct tr_list *list)
{
	const struct plan *p = b->plan;
	uint32_t n = 0;
	for (unsigned i = 0; i < p->n_instances; i++)
		n += links_to(p, i, index) ? addresses(&p->instance[i], NULL) : 0;
	struct tr_prefix *items = arena_alloc(p->arena, n * sizeof(*items));
	*list = (struct tr_list){0, items};
	for (unsigned i = 0; items != NULL && i < p->n_instances; i++)
		list->n += links_to(p, i, index) ? addresses(&p->instance[i], items + list->n) : 0;
}

void
plan_adopt(struct builder *b)
{
	for (unsigned i = 0; i < b->plan->n_instances; i++) {
		struct plan_instance *inst = &b->plan->instance[i];
		const struct tr_option *o =
		        inst->class_ != NULL && inst->options != NULL ? find(inst->class_, NULL, TR_OPT_ADOPT) : NULL;
		if (o != NULL && cfg_get(inst->options_node, o->key) == NULL)
			adopt(b, (int32_t)i, (struct tr_list *)(void *)((uint8_t *)inst->options + o->offset));
	}
}
