/* SPDX-License-Identifier: BSD-3-Clause */
/* Option tables as JSON Schema (2020-12), so that an editor checks and completes what `tailrace check` will read. */
#include "value.h"

static json_t *
pattern(const char *re)
{
	return json_pack("{s:s, s:s}", "type", "string", "pattern", re);
}

static json_t *
schema_uint(const struct tr_option *o)
{
	static const char *const text[] = {"", "^[0-9]+(ms|s|m|h)$", "^[0-9]+[kMG]?$", "^[0-9]+[kM]?$"};
	if (o->unit == TR_UNIT_MS)
		return pattern(text[o->unit]);
	json_t *number = json_pack("{s:s, s:I}", "type", "integer", "minimum", (json_int_t)o->min);
	if (o->max != 0 && o->max <= INT64_MAX)
		json_object_set_new(number, "maximum", json_integer((json_int_t)o->max));
	return o->unit == TR_UNIT_NONE ? number : json_pack("{s:[o,o]}", "anyOf", number, pattern(text[o->unit]));
}

static json_t *
schema_enum(const struct tr_option *o)
{
	json_t *names = json_array();
	for (unsigned i = 0; o->names[i] != NULL; i++)
		json_array_append_new(names, json_string(o->names[i]));
	return json_pack("{s:o}", "enum", names);
}

static json_t *
schema_element(const struct tr_option *o)
{
	switch (o->type) {
	case TR_OPT_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case TR_OPT_UINT:
		return schema_uint(o);
	case TR_OPT_ENUM:
		return schema_enum(o);
	case TR_OPT_PREFIX:
	case TR_OPT_IFADDR:
		return pattern("^[0-9a-fA-F:.]+/[0-9]+$");
	case TR_OPT_MAC:
		return pattern("^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$");
	case TR_OPT_KEY:
		return pattern("^[A-Za-z0-9+/]{43}=$");
	case TR_OPT_SECRET:
		return pattern("^file:.+$");
	case TR_OPT_ADDR:
		return pattern("^[0-9a-fA-F:.]+$");
	case TR_OPT_ROUTES:
		return json_pack("{s:s, s:{s:s, s:s}}", "type", "object", "additionalProperties", "type", "string", "pattern",
			"^[^ .]+\\.[^ ]+( via [0-9a-fA-F:.]+)?$");
	case TR_OPT_NAMES:
		return json_pack("{s:s, s:{s:[{s:s}, {s:s, s:{s:s}}]}}", "type", "object", "additionalProperties", "anyOf",
			"type", "string", "type", "array", "items", "type", "string");
	default:
		/* Plain numbers and words that YAML reads as something else are text here as well. */
		return json_pack("{s:[s,s,s]}", "type", "string", "number", "boolean");
	}
}

static json_t *
schema_option(const struct tr_option *o)
{
	const struct tr_option element = value_element(o);
	json_t *s = schema_element(o->flags & TR_OPT_LIST ? &element : o);
	if (o->flags & TR_OPT_LIST) {
		json_t *list = json_pack("{s:s, s:O}", "type", "array", "items", s);
		if (o->min != 0)
			json_object_set_new(list, "minItems", json_integer((json_int_t)o->min));
		if (o->max != 0)
			json_object_set_new(list, "maxItems", json_integer((json_int_t)o->max));
		s = json_pack("{s:[o,o]}", "anyOf", s, list);
	}
	if (o->doc != NULL)
		json_object_set_new(s, "description", json_string(o->doc));
	if (o->def != NULL && o->def[0] != ':')
		json_object_set_new(s, "default", json_string(o->def));
	return s;
}

json_t *
options_schema_json(const struct tr_option *table, json_t *extra)
{
	json_t *properties = extra != NULL ? extra : json_object(), *required = json_array();
	for (const struct tr_option *o = table; o->key != NULL; o++) {
		json_object_set_new(properties, o->key, schema_option(o));
		if (o->flags & TR_OPT_REQUIRED)
			json_array_append_new(required, json_string(o->key));
	}
	return json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", properties, "required", required,
		"additionalProperties", 0);
}

char *
options_schema(const struct tr_option *table)
{
	json_t *s = options_schema_json(table, NULL);
	char *text = json_dumps(s, JSON_INDENT(2));
	json_decref(s);
	return text;
}
