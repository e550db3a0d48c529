/* SPDX-License-Identifier: BSD-3-Clause */
/* The DERP map, as the provider has it. Control thread. */
#include "internal.h"

#include <stdlib.h>

static struct tr_derp_map map;

static char *
text(const char *s)
{
	return s ? strdup(s) : NULL;
}

void
derp_fini(void)
{
	for (uint32_t i = 0; i < map.n; i++) {
		struct tr_derp_node *v = (struct tr_derp_node *)(uintptr_t)&map.node[i];
		free((char *)(uintptr_t)v->name);
		free((char *)(uintptr_t)v->host);
		free((char *)(uintptr_t)v->certificate);
		free((void *)(uintptr_t)v->address.items);
	}
	free((void *)(uintptr_t)map.node);
	map = (struct tr_derp_map){.serial = map.serial};
}

void
derp_provider(const struct plan *p)
{
	derp_fini();
	map.serial++;
	struct tr_derp_node *v = calloc(p->n_derp + 1u, sizeof(*v));
	for (uint32_t i = 0; v && i < p->n_derp; i++) {
		const size_t size = p->derp[i].address.n * sizeof(struct tr_addr);
		struct tr_addr *address = malloc(size + 1);
		v[i] = p->derp[i];
		v[i].name = text(v[i].name);
		v[i].host = text(v[i].host);
		v[i].certificate = text(v[i].certificate);
		if (address && size)
			memcpy(address, v[i].address.items, size);
		v[i].address = (struct tr_list){address ? p->derp[i].address.n : 0, address};
	}
	map.node = v;
	map.n = v ? p->n_derp : 0;
}

const struct tr_derp_map *
netmap_derp(void)
{
	return &map;
}
