/* SPDX-License-Identifier: BSD-3-Clause */
/* Live options as the command `set` changes them: until the next reload, so that a search for a rate leaves nothing behind. */
#include "pktgen.h"

#include <stdio.h>
#include <stdlib.h>

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

bool
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
