/* SPDX-License-Identifier: BSD-3-Clause */
/* The JSON Schema of pipeline.yaml: one branch per class of the catalogue. */
#include "builder.h"
#include "config/value.h"

static json_t *
class_branch(const struct tr_class *c)
{
	static const struct tr_option none[] = {{0}};
	json_t *extra = json_pack("{s:{s:s}}", "class", "const", c->name);
	json_t *then = options_schema_json(c->options != NULL ? c->options : none, extra);
	if (c->summary != NULL)
		json_object_set_new(then, "description", json_string(c->summary));
	return json_pack("{s:{s:{s:{s:s}}}, s:o}", "if", "properties", "class", "const", c->name, "then", then);
}

static json_t *
instances(const struct catalogue *c)
{
	json_t *names = json_array(), *branches = json_array();
	for (unsigned i = 0; i < c->n; i++) {
		json_array_append_new(names, json_string(c->v[i].class_->name));
		json_array_append_new(branches, class_branch(c->v[i].class_));
	}
	json_t *instance = json_pack("{s:s, s:[s], s:{s:{s:o}}, s:o}", "type", "object", "required", "class", "properties", "class",
		"enum", names, "allOf", branches);
	return json_pack("{s:s, s:i, s:{s:s}, s:o, s:s}", "type", "object", "minProperties", 1, "propertyNames", "pattern",
		"^[a-z][a-z0-9_-]{0,30}$", "additionalProperties", instance, "description",
		"plugin instances, by name: a class and its options");
}

static json_t *
links(void)
{
	json_t *link = json_pack("{s:s, s:s}", "type", "string", "pattern",
		"^\\s*[a-z][a-z0-9_-]*\\.[a-z][a-z0-9_-]*\\s*->\\s*[a-z][a-z0-9_-]*(\\.[a-z][a-z0-9_-]*)?\\s*$");
	return json_pack("{s:[O,{s:s, s:o}], s:s}", "anyOf", link, "type", "array", "items", link, "description",
		"`INSTANCE.OUT -> INSTANCE.IN`: an out gate has one link, an in gate any number");
}

static json_t *
netmap(void)
{
	json_t *peers = json_pack("{s:s, s:o}", "type", "object", "additionalProperties",
		options_schema_json(plan_peer_options, NULL));
	json_t *derp = json_pack("{s:s, s:o}", "type", "object", "additionalProperties",
		options_schema_json(plan_derp_options, NULL));
	return options_schema_json(plan_netmap_options, json_pack("{s:o, s:o}", "peers", peers, "derp", derp));
}

char *
plan_schema(const struct catalogue *c)
{
	json_t *s = json_pack("{s:s, s:s, s:s, s:[s], s:b, s:{s:o, s:o, s:o}}", "$schema",
		"https://json-schema.org/draft/2020-12/schema", "title", "Tailrace pipeline", "type", "object", "required",
		"instances", "additionalProperties", 0, "properties", "instances", instances(c), "links", links(), "netmap", netmap());
	char *text = json_dumps(s, JSON_INDENT(2));
	json_decref(s);
	return text;
}
