/* SPDX-License-Identifier: BSD-3-Clause */
#include "set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tailrace/show.h>

static bool
set_number(const struct tr_option *o, uint8_t *at, const char *value)
{
	char *end;
	uint64_t v = strtoull(value, &end, 10), unit = 1;

	if (*value < '0' || *value > '9')
		return false;
	if (o->unit == TR_UNIT_PER_SEC && (*end == 'k' || *end == 'M'))
		unit = *end++ == 'k' ? 1000 : 1000000;
	if (*end || v > UINT64_MAX / unit || v * unit < o->min || v * unit > o->max)
		return false;
	v *= unit;
	memcpy(at, &v, sizeof(v));
	return true;
}

static bool
set_name(const struct tr_option *o, uint8_t *at, const char *value)
{
	for (uint32_t i = 0; o->names[i]; i++) {
		if (strcmp(o->names[i], value) != 0)
			continue;
		memcpy(at, &i, sizeof(i));
		return true;
	}
	return false;
}

/* False, with a reason. A text is taken as it is. */
static bool
set_live(const struct tr_option *table, void *options, const char *key, const char *value, char *why, size_t size)
{
	const struct tr_option *o = table;

	while (o->key && (strcmp(o->key, key) != 0 || o->change != TR_LIVE))
		o++;
	if (!o->key) {
		snprintf(why, size, "no live option `%.40s`", key);
		return false;
	}
	uint8_t *at = (uint8_t *)options + o->offset;
	if (o->type == TR_OPT_STRING)
		memcpy(at, &value, sizeof(value));
	else if (!(o->type == TR_OPT_ENUM ? set_name : set_number)(o, at, value)) {
		snprintf(why, size, "%s can't be `%.40s`", key, value);
		return false;
	}
	return true;
}

int
set_command(const struct settings *s, int argc, char *const *argv, struct tr_show *out)
{
	char why[200];

	if (argc != 2) {
		out->error(out, "set OPTION VALUE");
		return -EINVAL;
	}
	if (!set_live(s->table, s->options, argv[0], argv[1], why, sizeof(why)) || !s->check(s->options, why, sizeof(why))) {
		out->error(out, "%s", why);
		return -EINVAL;
	}
	if (*s->size == argv[1]) { /* which is gone when this returns */
		char *text = strdup(argv[1]);
		if (!text)
			return -ENOMEM;
		free(*s->kept);
		*s->size = *s->kept = text;
	}
	s->reconfigure(s->self, s->options);
	out->text(out, argv[0], argv[1]);
	return 0;
}
