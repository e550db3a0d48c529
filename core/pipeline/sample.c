/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plugin for tests of configuration: a class with every type of option, classes whose services are unmet or go round
 * in a circle, and stand-ins with the gates of a transport and of services. They check, and never run.
 */
#include <stddef.h>
#include <tailrace/plugin.h>

struct options {
	bool flag;
	uint64_t number, time, bytes, rate, listen;
	const char *text;
	uint32_t choice;
	struct tr_addr addr;
	struct tr_prefix prefix, ifaddr;
	struct tr_sockaddr server;
	uint8_t mac[6];
	struct tr_key key;
	struct tr_secret secret;
	struct tr_list addrs, servers, routes, names;
};

#define O(k, t, ...) {.key = #k, .type = t, .offset = offsetof(struct options, k), .doc = "a " #k, __VA_ARGS__}

static const char *const choices[] = {"any", "tailscale", NULL};
static const struct tr_option sample_options[] = {
	O(flag, TR_OPT_BOOL),
	O(number, TR_OPT_UINT, .min = 10, .max = 1000),
	O(time, TR_OPT_UINT, .unit = TR_UNIT_MS, .min = 100, .max = 3600000, .change = TR_RECREATE),
	O(bytes, TR_OPT_UINT, .unit = TR_UNIT_BYTES, .min = 64, .max = 1u << 30, .change = TR_RESTART),
	O(rate, TR_OPT_UINT, .unit = TR_UNIT_PER_SEC, .min = 10, .max = 1000000),
	O(text, TR_OPT_STRING),
	O(choice, TR_OPT_ENUM, .names = choices),
	O(addr, TR_OPT_ADDR),
	O(prefix, TR_OPT_PREFIX),
	O(ifaddr, TR_OPT_IFADDR),
	O(server, TR_OPT_SOCKADDR, .def = ":53"),
	O(mac, TR_OPT_MAC),
	O(key, TR_OPT_KEY),
	O(secret, TR_OPT_SECRET),
	O(addrs, TR_OPT_ADDR, .flags = TR_OPT_LIST, .min = 1, .max = 3),
	O(names, TR_OPT_NAMES),
	{0},
};

#define REQUIRED(k, t, ...) \
	{.key = #k, .type = t, .offset = offsetof(struct options, k), .flags = TR_OPT_REQUIRED, .doc = "a " #k, __VA_ARGS__}
static const struct tr_option strict_options[] = {
	REQUIRED(flag, TR_OPT_BOOL),
	REQUIRED(number, TR_OPT_UINT),
	REQUIRED(time, TR_OPT_UINT, .unit = TR_UNIT_MS),
	REQUIRED(text, TR_OPT_STRING),
	REQUIRED(choice, TR_OPT_ENUM, .names = choices),
	REQUIRED(addr, TR_OPT_ADDR),
	REQUIRED(prefix, TR_OPT_PREFIX),
	REQUIRED(ifaddr, TR_OPT_IFADDR),
	REQUIRED(server, TR_OPT_SOCKADDR),
	REQUIRED(mac, TR_OPT_MAC),
	REQUIRED(key, TR_OPT_KEY),
	REQUIRED(secret, TR_OPT_SECRET),
	REQUIRED(names, TR_OPT_NAMES),
	{0},
};
static const struct tr_option stern_options[] = {
	REQUIRED(bytes, TR_OPT_UINT, .unit = TR_UNIT_BYTES),
	REQUIRED(rate, TR_OPT_UINT, .unit = TR_UNIT_PER_SEC),
	{.key = "addrs", .type = TR_OPT_ADDR, .offset = offsetof(struct options, addrs), .flags = TR_OPT_REQUIRED | TR_OPT_LIST,
		.doc = "some addrs"},
	{0},
};

static const struct tr_option listen_options[] = {
	O(listen, TR_OPT_UINT, .flags = TR_OPT_LISTEN, .min = 1, .max = 65535),
	O(secret, TR_OPT_SECRET),
	{0},
};

static void
process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++)
		gate[i] = TR_DROP(0);
}

static void *
create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	return instance;
}

static void
reconfigure(void *self, const void *options)
{
}

static void
destroy(void *self)
{
}

static bool
check(const void *options, char *text, size_t size)
{
	const struct options *o = options;
	if (o->number != 666)
		return true;
	snprintf(text, size, "`number` must not be 666");
	return false;
}

static const struct tr_match first_byte[] = {{.offset = 0, .min_len = 8, .mask = 0xffull << 56, .value = 1ull << 56}, {0}};

static const struct tr_in_gate no_in[] = {{0}};
static const struct tr_out_gate no_out[] = {{0}};
static const struct tr_in_gate udp_in[] = {{"in", TR_TYPE_UDP, .process = process}, {0}};
static const struct tr_in_gate matched_in[] = {{"in", TR_TYPE_UDP, .process = process, .match = first_byte}, {0}};
static const struct tr_out_gate ip_out[] = {{"out", TR_TYPE_IP}, {0}};
static const struct tr_in_gate reader_in[] = {{"in", TR_TYPE_IP, .reads = TR_META_PEER, .process = process}, {0}};
static const struct tr_in_gate transport_in[] = {
	{"cipher", TR_TYPE_UDP, .process = process, .match = first_byte}, {"plain", TR_TYPE_IP, .process = process}, {0}};
static const struct tr_out_gate transport_out[] = {{"cipher", TR_TYPE_ENDPOINT, .writes = TR_META_ENDPOINT},
	{"plain", TR_TYPE_IP, .writes = TR_META_PEER | TR_META_L3}, {0}};
static const struct tr_drop_reason drops[] = {{"dropped", "always"}, {0}};
static const struct tr_counter counters[] = {{0}};

#define CLASS(n, in_, out_, opts, ...)                                                                                    \
	static const struct tr_class class_##n = {.name = #n, .summary = "for tests", .options = opts,                    \
		.options_size = sizeof(struct options), .in = in_, .out = out_, .drops = drops, .counters = counters,     \
		.create = create, .reconfigure = reconfigure, .destroy = destroy, .check = check, __VA_ARGS__}

CLASS(sample, no_in, no_out, sample_options);
CLASS(strict, no_in, no_out, strict_options);
CLASS(stern, no_in, no_out, stern_options);
CLASS(listener, udp_in, ip_out, listen_options);
CLASS(matcher, matched_in, ip_out, listen_options);
CLASS(deaf, udp_in, ip_out, sample_options);
CLASS(reader, reader_in, ip_out, sample_options);
CLASS(transport, transport_in, transport_out, listen_options, .flags = TR_CLASS_PEERS,
	.requires = (const char *const[]){"netmap/1", NULL});
CLASS(needy, no_in, no_out, sample_options, .requires = (const char *const[]){"snat/1", NULL});
CLASS(modern, no_in, no_out, sample_options, .requires = (const char *const[]){"snat/2", NULL});
CLASS(giver, no_in, no_out, sample_options, .provides = (const char *const[]){"snat/1", NULL});
CLASS(orphan, no_in, no_out, sample_options, .requires = (const char *const[]){"moon/1", NULL});
CLASS(egg, no_in, no_out, sample_options, .requires = (const char *const[]){"hen/1", NULL},
	.provides = (const char *const[]){"egg/1", NULL});
CLASS(hen, no_in, no_out, sample_options, .requires = (const char *const[]){"egg/1", NULL},
	.provides = (const char *const[]){"hen/1", NULL});

static const struct tr_class *const classes[] = {&class_sample, &class_strict, &class_stern, &class_listener, &class_matcher,
	&class_deaf, &class_reader, &class_transport, &class_needy, &class_modern, &class_giver, &class_orphan,
	&class_egg, &class_hen, NULL};

TR_PLUGIN(.name = "sample", .version = "1", .summary = "classes for tests of configuration", .classes = classes);
