/* SPDX-License-Identifier: BSD-3-Clause */
/* YAML and .cfg, and the option tables behind them. The first byte chooses. */
#include "appliance.h"

#include <stddef.h>
#include <stdlib.h>

struct options {
	uint64_t number, time;
	struct tr_list servers, routes, names;
	struct tr_key key;
	struct tr_prefix prefix;
	uint8_t mac[6];
};

#define O(k, t, ...) {.key = #k, .type = t, .offset = offsetof(struct options, k), __VA_ARGS__}
static const struct tr_option table[] = {
	O(number, TR_OPT_UINT, .min = 1, .max = 100),
	O(time, TR_OPT_UINT, .unit = TR_UNIT_MS),
	O(servers, TR_OPT_SOCKADDR, .flags = TR_OPT_LIST, .def = ":53"),
	O(routes, TR_OPT_ROUTES),
	O(names, TR_OPT_NAMES),
	O(key, TR_OPT_KEY),
	O(prefix, TR_OPT_PREFIX),
	O(mac, TR_OPT_MAC),
	{0},
};

/* libconfig 1.5 forgets the buffer of a string that the end of the file cuts off: once at start, not ours. */
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:strbuf_append\nleak:libconfig_yylex\n";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct diags d = {0};
	struct arena *a = arena_new(16u << 20);
	if (size == 0 || a == NULL) {
		arena_free(a);
		return 0;
	}
	if (data[0] == 'c') {
		char *text = strndup((const char *)data + 1, size - 1);
		struct appliance appliance;
		appliance_parse(a, "fuzz.cfg", text, &appliance, &d);
		free(text);
	} else {
		const struct cfg_node *n = yaml_parse(a, "fuzz.yaml", (const char *)data + 1, size - 1, &d);
		struct opt_context c = {.arena = a, .diags = &d};
		struct options o = {0};
		if (n != NULL)
			options_parse(&c, "class fuzz", table, n, NULL, n, &o);
		else if (d.errors == 0)
			abort(); /* refused without a word */
	}
	diags_free(&d);
	arena_free(a);
	return 0;
}
