/* SPDX-License-Identifier: BSD-3-Clause */
/* appliance.cfg: option tables, one per section, and one for each port. */
#include "appliance.h"

#include "config/paths.h"
#include "manual.h"
#include "sections.h"

#include <ctype.h>
#include <sched.h>
#include <stddef.h>
#include <tailrace/host.h>

/* What the tables fill: the appliance, and what needs another look first. */
struct parsed {
	struct appliance a;
	struct tr_list lcores;
	uint32_t poll, log;
};

#define AT(member) .offset = offsetof(struct parsed, member)
#define PORT(member) .offset = offsetof(struct appliance_port, member)

static const char *const poll_names[] = {"adaptive", "busy", NULL};
static const char *const log_names[] = {"error", "warning", "info", "debug", NULL}; /* enum tr_log_level */

static const struct tr_option top[] = {
	{.key = "state", .type = TR_OPT_STRING, .def = "/var/lib/tailrace", AT(a.state_dir),
		.doc = "directory of what outlives the process: endpoints, the operator's layer of the netmap"},
	{.key = "pipeline", .type = TR_OPT_STRING, .def = "pipeline.yaml", AT(a.pipeline),
		.doc = "path of pipeline.yaml, relative to this file"},
	{.key = "user", .type = TR_OPT_STRING, AT(a.user),
		.doc = "whom a daemon that is started as root becomes; absent: it stays root, with as few capabilities"},
	{.key = "eal", .type = TR_OPT_STRING, AT(a.eal), .doc = "further arguments of DPDK's EAL"},
	{0},
};

static const struct tr_option workers[] = {
	{.key = "lcores", .type = TR_OPT_UINT, .flags = TR_OPT_LIST, .min = 1, .max = APPLIANCE_MAX_LCORES, AT(lcores),
		.doc = "CPUs of the workers"},
	{.key = "poll", .type = TR_OPT_ENUM, .names = poll_names, .def = "adaptive", AT(poll),
		.doc = "`adaptive` workers sleep when idle, `busy` ones never"},
	{.key = "jobs", .type = TR_OPT_UINT, .min = 1, .max = 64, .def = "1", AT(a.job_threads),
		.doc = "threads for handshakes"},
	{.key = "services", .type = TR_OPT_UINT, .min = 1, .max = 64, .def = "1", AT(a.service_threads),
		.doc = "threads for what needs kernel sockets"},
	{0},
};

static const struct tr_option memory[] = {
	{.key = "hugepages", .type = TR_OPT_BOOL, .def = "true", AT(a.hugepages), .doc = "use hugepages where there are any"},
	{.key = "mb", .type = TR_OPT_UINT, .min = 32, .max = 1u << 20, .def = "512", AT(a.memory_mb),
		.doc = "MiB of packet memory"},
	{.key = "packets", .type = TR_OPT_UINT, .min = 1024, .max = 1u << 24, .def = "16384", AT(a.packets),
		.doc = "packets of the pool"},
	{.key = "packet_size", .type = TR_OPT_UINT, .min = 2176, .max = 16384, .def = "2176", AT(a.packet_size),
		.doc = "bytes of one packet, head- and tailroom included"},
	{0},
};

static const struct tr_option limits[] = {
	{.key = "peers", .type = TR_OPT_UINT, .min = 1, .max = 1u << 20, .def = "100000", AT(a.max_peers),
		.doc = "peers of all interfaces together"},
	{.key = "routes", .type = TR_OPT_UINT, .min = 16, .max = 1u << 22, .def = "100000", AT(a.max_routes),
		.doc = "routes of one table"},
	{0},
};

static const struct tr_option plugins[] = {
	{.key = "directories", .type = TR_OPT_STRING, .flags = TR_OPT_LIST, .min = 1, .max = 32, .def = TAILRACE_PLUGINS_DIR,
		AT(a.plugin_dirs), .doc = "where plugins are looked for, relative to this file"},
	{0},
};

static const struct tr_option sockets[] = {
	{.key = "run", .type = TR_OPT_STRING, .def = "/run/tailrace", AT(a.run_dir),
		.doc = "directory of the management socket"},
	{.key = "uapi", .type = TR_OPT_STRING, .def = "/run/wireguard", AT(a.uapi_dir),
		.doc = "directory of the sockets that `wg` talks to"},
	{.key = "group", .type = TR_OPT_STRING, .def = "tailrace", AT(a.group),
		.doc = "group that may use the management socket"},
	{.key = "metrics", .type = TR_OPT_STRING, AT(a.metrics),
		.doc = "where Prometheus asks: `127.0.0.1:9586`, `[::1]:9586`, or the path of a UNIX socket; absent: nowhere"},
	{0},
};

static const struct tr_option logging[] = {
	{.key = "level", .type = TR_OPT_ENUM, .names = log_names, .def = "info", AT(log), .doc = "least severe line logged"},
	{0},
};

static const struct tr_option port[] = {
	{.key = "device", .type = TR_OPT_STRING, .flags = TR_OPT_REQUIRED, PORT(device),
		.doc = "PCI address, virtual device of DPDK, or `host`"},
	{.key = "queues", .type = TR_OPT_UINT, .min = 1, .max = 64, .def = "1", PORT(queues), .doc = "receive queues"},
	{.key = "descriptors", .type = TR_OPT_UINT, .min = 0, .max = 32768, .def = "0", PORT(descriptors),
		.doc = "ring size; 0: the driver's default"},
	{.key = "take", .type = TR_OPT_BOOL, .def = "false", PORT(take),
		.doc = "take a NIC that holds the default route or an SSH session"},
	{0},
};

static const struct {
	const char *name, *what;
	const struct tr_option *table;
} sections[] = {
	{"workers", "section workers", workers},
	{"memory", "section memory", memory},
	{"limits", "section limits", limits},
	{"plugins", "section plugins", plugins},
	{"sockets", "section sockets", sockets},
	{"log", "section log", logging},
};
#define SECTIONS (sizeof(sections) / sizeof(sections[0]))

const struct tr_option *
appliance_table(unsigned i)
{
	return i < SECTIONS ? sections[i].table : i == SECTIONS ? port : i == SECTIONS + 1 ? top : NULL;
}

static const char *const section_names[] = {"ports", "workers", "memory", "limits", "plugins", "sockets", "log", NULL};

const char *const appliance_keys[] = {"ports", "workers", "memory", "limits", "plugins", "sockets", "log", "state",
	"pipeline", "user", "eal", "lcores", "poll", "jobs", "services", "hugepages", "mb", "packets", "packet_size", "directories",
	"run", "uapi", "group", "metrics", "level", "device", "queues", "descriptors", "take", NULL};

static const char *const pipeline_keys[] = {"instances", "links", "netmap", "class", "address", "gateway", "mtu", "listen",
	"routes", "domain", "names", "peers", "private_key", "public_key", "allowed_ips", "endpoint", NULL};

static bool
good_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-");
	return islower((unsigned char)s[0]) && s[n] == '\0' && n < TR_INSTANCE_NAME_MAX;
}

static bool
is_zero_copy(const char *device)
{
	return strncmp(device, "net_memif", 9) == 0 && strstr(device, "zero-copy=yes") != NULL;
}

/* Of the last port, beside those before it. */
static void
check_device(const struct opt_context *c, const struct cfg_node *key, const struct appliance *a)
{
	const struct appliance_port *p = &a->port[a->n_ports - 1];
	for (unsigned j = 0; j + 1 < a->n_ports && p->device != NULL; j++) {
		const struct appliance_port *q = &a->port[j];
		if (q->device != NULL && strcmp(q->device, p->device) == 0 && strcmp(p->device, "host") != 0)
			diag_at(c->diags, DIAG_ERROR, key, "port %.40s: device `%.60s` is that of port %.40s (line %u) already", p->name,
				p->device, q->name, q->line);
		/* DPDK 22.11's driver closes the descriptors of the EAL's memory once it has passed them on. */
		else if (q->device != NULL && is_zero_copy(q->device) && is_zero_copy(p->device))
			diag_at(c->diags, DIAG_ERROR, key,
				"port %.40s: one memif of a process can have `zero-copy=yes`, and port %.40s (line %u) has it", p->name,
				q->name, q->line);
	}
}

static void
parse_ports(const struct opt_context *c, const struct cfg_node *n, struct appliance *a)
{
	if (n != NULL && n->kind != CFG_MAP) {
		diag_at(c->diags, DIAG_ERROR, n, "`ports`: expected a map of `NAME = { device = …; };`");
		return;
	}
	for (unsigned i = 0; n != NULL && i < n->n; i++) {
		const struct cfg_node *key = n->key[i];
		char what[64];
		if (i >= APPLIANCE_MAX_PORTS) {
			diag_at(c->diags, DIAG_ERROR, key, "more than %u ports", APPLIANCE_MAX_PORTS);
			return;
		}
		if (!good_name(key->text))
			diag_at(c->diags, DIAG_ERROR, key,
				"port name `%.40s`: expected a lower-case letter, then letters, digits, `_` or `-`, at most 31", key->text);
		struct appliance_port *p = &a->port[a->n_ports++];
		snprintf(what, sizeof(what), "port %.40s", key->text);
		options_parse(c, what, port, n->child[i], NULL, key, p);
		p->name = key->text;
		p->line = key->line;
		check_device(c, key, a);
	}
}

static uint16_t
last_cpu(void)
{
	cpu_set_t set;
	uint16_t last = 0;
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		for (uint16_t i = 0; i < CPU_SETSIZE; i++)
			last = CPU_ISSET(i, &set) ? i : last;
	return last;
}

static void
take_lcores(const struct tr_list *l, const struct cfg_node *where, struct appliance *a, struct diags *d)
{
	const uint64_t *v = l->items;
	for (uint32_t i = 0; i < l->n && i < APPLIANCE_MAX_LCORES; i++) {
		if (v[i] >= CPU_SETSIZE)
			diag_at(d, DIAG_ERROR, where, "`lcores`: `%llu` is above the maximum of %d", (unsigned long long)v[i],
				CPU_SETSIZE - 1);
		for (uint32_t j = 0; j < i; j++)
			if (v[j] == v[i])
				diag_at(d, DIAG_ERROR, where, "`lcores`: CPU %llu is there twice", (unsigned long long)v[i]);
		a->lcore[a->n_lcores++] = (uint16_t)v[i];
	}
	if (a->n_lcores == 0)
		a->lcore[a->n_lcores++] = last_cpu();
}

static void
check_metrics(const struct cfg_node *where, const char *text, struct diags *d)
{
	struct tr_sockaddr at;
	if (text != NULL && text[0] != '/' && !parse_sockaddr(text, &at, 0))
		diag_at(d, DIAG_ERROR, where, "`metrics`: expected ADDRESS:PORT or an absolute path, not `%.60s`", text);
}

/* A path relative to the file, in the arena. */
static const char *
beside(struct arena *arena, const char *file, const char *path)
{
	const char *slash = strrchr(file, '/');
	if (path == NULL || path[0] == '/' || slash == NULL)
		return path;
	size_t dir = (size_t)(slash - file) + 1;
	char *s = arena_alloc(arena, dir + strlen(path) + 1);
	if (s == NULL)
		return path;
	memcpy(s, file, dir);
	strcpy(s + dir, path);
	return s;
}

static void
resolve_paths(struct arena *arena, struct appliance *a)
{
	const char *const *dirs = a->plugin_dirs.items;
	const char **resolved = arena_alloc(arena, a->plugin_dirs.n * sizeof(*resolved));
	a->pipeline = beside(arena, a->file, a->pipeline);
	for (uint32_t i = 0; resolved != NULL && i < a->plugin_dirs.n; i++)
		resolved[i] = beside(arena, a->file, dirs[i]);
	if (resolved != NULL)
		a->plugin_dirs.items = resolved;
}

static bool
take(struct arena *arena, const struct cfg_node *root, struct appliance *out, struct diags *d)
{
	unsigned before = d->errors;
	struct parsed p = {.a.file = root->file};
	const struct opt_context c = {.arena = arena, .diags = d, .foreign = pipeline_keys, .foreign_file = "pipeline.yaml"};
	options_parse(&c, "appliance.cfg", top, root, section_names, root, &p);
	for (size_t i = 0; i < SECTIONS; i++) {
		const struct cfg_node *n = cfg_get(root, sections[i].name);
		options_parse(&c, sections[i].what, sections[i].table, n, NULL, root, &p);
	}
	parse_ports(&c, cfg_get(root, "ports"), &p.a);
	const struct cfg_node *where = cfg_get(cfg_get(root, "workers"), "lcores");
	take_lcores(&p.lcores, where, &p.a, d);
	check_metrics(cfg_get(cfg_get(root, "sockets"), "metrics"), p.a.metrics, d);
	p.a.busy = p.poll == 1;
	p.a.log_level = p.log;
	if (d->errors != before)
		return false;
	*out = p.a;
	resolve_paths(arena, out);
	return true;
}

bool
appliance_parse(struct arena *a, const char *name, const char *text, struct appliance *out, struct diags *d)
{
	unsigned before = d->errors;
	const struct cfg_node *root = cfg_parse(a, name, text, d);
	return root != NULL && take(a, root, out, d) && d->errors == before;
}

bool
appliance_load(struct arena *a, const char *path, struct appliance *out, struct diags *d)
{
	const struct cfg_node *root = cfg_read(a, path, d);
	return root != NULL && take(a, root, out, d);
}

void
appliance_each_key(void (*fn)(void *arg, const char *section, const struct tr_option *o), void *arg)
{
	for (const struct tr_option *o = port; o->key != NULL; o++)
		fn(arg, "ports = { NAME = { ... }; }", o);
	for (size_t i = 0; i < SECTIONS; i++)
		for (const struct tr_option *o = sections[i].table; o->key != NULL; o++)
			fn(arg, sections[i].name, o);
	for (const struct tr_option *o = top; o->key != NULL; o++)
		fn(arg, "", o);
}
