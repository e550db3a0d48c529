/* SPDX-License-Identifier: BSD-3-Clause */
/* For loader_test.c: a plugin that lets packets through, or does one thing wrong (-DFAULT_…). */
#include <signal.h>
#include <stdlib.h>
#include <tailrace/host.h>
#include <unistd.h>

#ifdef FAULT_MISSING_SYMBOL
int tailrace_symbol_that_nobody_has(void);
#endif

struct options {
	uint64_t depth;
	const char *note;
};

struct self {
	const struct tr_host *host;
	struct tr_instance *instance;
	const struct options *options;
};

#ifdef FAULT_NO_PROCESS
#define PROCESS NULL
#else
#define PROCESS process
static void
process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++)
		gate[i] = 0;
}
#endif

static void *
create(struct tr_instance *instance, const struct tr_host *host, const void *p)
{
	const struct options *options = p;
	struct self *self = malloc(sizeof(*self));

	if (!self)
		return NULL;
	*self = (struct self){host, instance, options};
#ifdef FAULT_CREATE_FAILS
	host->fail(instance, "depth %u is too deep: %s", (unsigned)options->depth, options->note);
	free(self);
	return NULL;
#elif defined(FAULT_CREATE_CRASHES)
	raise(SIGSEGV);
#elif defined(FAULT_CREATE_HANGS)
	while (options->depth != 1)
		usleep(1000);
#elif defined(FAULT_MISSING_SYMBOL)
	tailrace_symbol_that_nobody_has();
#endif
	return self;
}

#ifdef FAULT_LEAKS
static void
tick(void *arg)
{
}
#endif

static int
start(void *p)
{
	struct self *self = p;

#ifdef FAULT_LEAKS
	self->host->watch_timer(self->instance, 1000, 0, tick, self);
#elif defined(FAULT_START_EXITS)
	_exit(3);
#endif
	return self->host ? 0 : -1;
}

static void
destroy(void *self)
{
#ifdef FAULT_DESTROY_CRASHES
	abort();
#endif
	free(self);
}

static const struct tr_option options[] = {
	{.key = "depth", .type = TR_OPT_UINT, .change = TR_RECREATE, .offset = offsetof(struct options, depth), .doc = "A depth."},
	{.key = "note", .type = TR_OPT_STRING, .change = TR_RECREATE, .offset = offsetof(struct options, note), .doc = "A note."},
	{.key = NULL},
};

static const struct tr_in_gate in[] = {
	{.name = "in", .type = TR_TYPE_IP, .process = PROCESS},
	{.name = NULL},
};
static const struct tr_out_gate out[] = {{.name = "out", .type = TR_TYPE_IP}, {.name = NULL}};

#ifdef FAULT_NEWER
#define CLASS "pass-newer"
#else
#define CLASS "pass"
#endif
static const struct tr_class class = {
	.name = CLASS,
	.summary = "Lets packets through.",
	.options = options,
	.options_size = sizeof(struct options),
	.in = in,
	.out = out,
	.create = create,
	.start = start,
	.destroy = destroy,
};
static const struct tr_class *const classes[] = {&class, NULL};

#ifdef FAULT_NO_DESCRIPTOR
extern const void *const not_a_plugin;
__attribute__((visibility("default"))) const void *const not_a_plugin = classes;
#else
__attribute__((visibility("default"))) const struct tr_plugin tr_plugin = {
#ifdef FAULT_MAJOR
	.abi_major = TR_ABI_MAJOR + 1,
#else
	.abi_major = TR_ABI_MAJOR,
#endif
#ifdef FAULT_MINOR
	.abi_minor = TR_ABI_MINOR + 6,
#else
	.abi_minor = TR_ABI_MINOR,
#endif
#ifdef FAULT_SIZE
	.size = 8,
#else
	.size = sizeof(struct tr_plugin),
#endif
	.layout = TR_LAYOUT,
#ifdef FAULT_DPDK
	.layout.dpdk = 24,
#elif defined(FAULT_MBUF)
	.layout.mbuf = 192,
#endif
	.name = "pass",
	.version = "1",
	.summary = "For the loader's tests.",
	.classes = classes,
};
#endif
