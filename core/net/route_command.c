/* SPDX-License-Identifier: BSD-3-Clause */
/* What an operator sees of a route instance, and changes of it. Control thread. */
#include "net/route.h"

#include "config/config.h"
#include "engine.h"
#include "net/classes.h"
#include "net/route_learn.h"

#include <errno.h>
#include <tailrace/show.h>

int
route_gate_by_name(void *self, const char *name)
{
	const struct route *r = self;
	for (unsigned g = ROUTE_HOST + 1; g < r->n_gates; g++)
		if (strcmp(r->gate[g].name, name) == 0)
			return (int)g;
	return -1;
}

void
route_show(void *self, struct tr_show *out)
{
	struct route *r = self;
	const struct route_counts c = route_table_counts(r->table);
	const struct tr_addr *own = r->options->address.items;
	out->uint(out, "table", r->options->table);
	out->uint(out, "routes", c.pipeline + c.added);
	out->uint(out, "added", c.added);
	if (r->learn != NULL)
		out->uint(out, "learned", route_learn_count(r->learn));
	out->uint(out, "limit", route_limit);
	out->uint(out, "next_hops", c.hops);
	out->uint(out, "memory", c.memory);
	out->list(out, "addresses");
	for (uint32_t k = 0; k < r->options->address.n; k++)
		out->addr(out, NULL, &own[k]);
	out->end(out);
}

/* Of a table that is nearly full: what is more is refused, whoever brings it. */
static int
status_command(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct route *r = self;
	const struct route_counts c = route_table_counts(r->table);
	const uint32_t routes = c.pipeline + c.added;
	char text[200];
	snprintf(text, sizeof(text), "%u of %u routes", routes, route_limit);
	out->text(out, "state", text);
	if (routes >= route_limit - route_limit / 10) {
		snprintf(text, sizeof(text), "its table holds %u of %u routes%s (limits.routes of appliance.cfg)", routes, route_limit,
			routes == route_limit ? ": it takes no more" : "");
		out->text(out, "note", text);
	} else if (c.hops >= ROUTE_HOPS - ROUTE_HOPS / 10) {
		snprintf(text, sizeof(text), "its table holds %u of %u next hops", c.hops, ROUTE_HOPS);
		out->text(out, "note", text);
	}
	return 0;
}

static int
add_command(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct route *r = self;
	struct route_text t;
	char why[200];
	if (!route_parse(argv, argc < 0 ? 0 : (unsigned)argc, route_gate_by_name, r, &t, why, sizeof(why))) {
		out->error(out, "%s", why);
		return -EINVAL;
	}
	int rc = route_table_add(r->table, &t.prefix, (uint32_t)t.gate, &t.via);
	if (rc == -EEXIST)
		out->error(out, "%s is a route of the pipeline: change it there", argv[0]);
	else if (rc != 0)
		out->error(out, rc == -ENOSPC ? "no room: %u routes (limits.routes) or %u next hops" : "out of memory (%u routes, %u next hops)",
			route_limit, ROUTE_HOPS);
	return rc;
}

static int
del_command(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct route *r = self;
	struct tr_prefix p;
	if (argc != 1 || !parse_prefix(argv[0], &p, false)) {
		out->error(out, "expected a prefix such as 10.0.0.0/8");
		return -EINVAL;
	}
	int rc = route_table_del(r->table, &p);
	if (rc != 0)
		out->error(out, rc == -EEXIST ? "%s is a route of the pipeline: change it there" : rc == -ENOENT ? "no route %s"
															   : "out of memory: %s stays",
			argv[0]);
	return rc;
}

static int
find_command(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct route *r = self;
	struct tr_addr a;
	bool local, added;
	if (argc != 1 || !parse_addr(argv[0], &a)) {
		out->error(out, "expected an address such as 192.0.2.1");
		return -EINVAL;
	}
	const struct next_hop *hop = route_table_find(r->table, &a, &local, &added);
	out->text(out, "to", local ? "this box" : hop != NULL ? r->gate[hop->gate].name : "nowhere");
	if (hop != NULL && hop->via.family != 0)
		out->addr(out, "via", &hop->via);
	if (hop != NULL) {
		out->uint(out, "mtu", hop->mtu);
		out->text(out, "by", added ? "command, file or kernel" : "pipeline");
	}
	return 0;
}

const struct tr_command route_commands[] = {
	{"add", "PREFIX INSTANCE.GATE [via ADDRESS]", "Adds a route, or replaces one added before, until the instance ends.", add_command},
	{"del", "PREFIX", "Removes a route that is not the pipeline's.", del_command},
	{"status", "", "Says how full the table is.", status_command},
	{"find", "ADDRESS", "Says where packets to this address go.", find_command},
	{0},
};
