/* SPDX-License-Identifier: BSD-3-Clause */
/* Parsed options compared, and turned back into text. */
#include "value.h"

#include <sodium.h>
#include <stdlib.h>

static bool
element_equal(enum tr_option_type type, const void *a, const void *b)
{
	const struct tr_sockaddr *sa = a, *sb = b;
	const struct tr_prefix *pa = a, *pb = b;
	const char *ta, *tb;
	switch (type) {
	case TR_OPT_STRING:
		ta = *(char *const *)a;
		tb = *(char *const *)b;
		return ta == tb || (ta != NULL && tb != NULL && strcmp(ta, tb) == 0);
	case TR_OPT_PREFIX:
	case TR_OPT_IFADDR:
		return tr_addr_eq(&pa->addr, &pb->addr) && pa->len == pb->len;
	case TR_OPT_SOCKADDR:
		return tr_addr_eq(&sa->addr, &sb->addr) && sa->port == sb->port;
	case TR_OPT_ADDR:
		return tr_addr_eq(a, b);
	case TR_OPT_SECRET:
		return sodium_memcmp(a, b, sizeof(struct tr_secret)) == 0;
	default:
		return memcmp(a, b, value_size(type)) == 0;
	}
}

static bool
route_equal(const struct tr_route_option *a, const struct tr_route_option *b)
{
	return a->gate == b->gate && element_equal(TR_OPT_PREFIX, &a->prefix, &b->prefix) && tr_addr_eq(&a->via, &b->via);
}

static bool
name_equal(const struct tr_name_option *a, const struct tr_name_option *b)
{
	return tr_addr_eq(&a->addr, &b->addr) && element_equal(TR_OPT_STRING, &a->name, &b->name);
}

static bool
list_equal(enum tr_option_type type, const struct tr_list *a, const struct tr_list *b)
{
	const struct tr_route_option *ra = a->items, *rb = b->items;
	const struct tr_name_option *na = a->items, *nb = b->items;
	bool same = a->n == b->n;
	for (uint32_t i = 0; same && i < a->n; i++) {
		size_t at = i * value_size(type);
		if (type == TR_OPT_ROUTES)
			same = route_equal(&ra[i], &rb[i]);
		else if (type == TR_OPT_NAMES)
			same = name_equal(&na[i], &nb[i]);
		else
			same = element_equal(type, (const uint8_t *)a->items + at, (const uint8_t *)b->items + at);
	}
	return same;
}

bool
option_equal(const struct tr_option *o, const void *a, const void *b)
{
	const uint8_t *pa = (const uint8_t *)a + o->offset, *pb = (const uint8_t *)b + o->offset;
	if (o->flags & TR_OPT_LIST || o->type == TR_OPT_ROUTES || o->type == TR_OPT_NAMES)
		return list_equal(o->type, (const struct tr_list *)pa, (const struct tr_list *)pb);
	return element_equal(o->type, pa, pb);
}

static void
print_sockaddr(const struct tr_sockaddr *s, FILE *f)
{
	char addr[46];
	format_addr(&s->addr, addr);
	if (s->addr.family == 0)
		fputs("none", f);
	else
		fprintf(f, s->addr.family == 6 ? "[%s]:%u" : "%s:%u", addr, s->port);
}

static void
print_element(const struct tr_option *o, const void *v, FILE *f)
{
	char text[64];
	const uint8_t *mac = v;
	switch (o->type) {
	case TR_OPT_BOOL:
		fputs(*(const bool *)v ? "true" : "false", f);
		return;
	case TR_OPT_UINT:
		value_format_uint(o->unit, *(const uint64_t *)v, text);
		break;
	case TR_OPT_STRING:
		fputs(*(char *const *)v ? *(char *const *)v : "none", f);
		return;
	case TR_OPT_ENUM:
		fputs(o->names[*(const uint32_t *)v], f);
		return;
	case TR_OPT_ADDR:
		format_addr(v, text);
		break;
	case TR_OPT_PREFIX:
	case TR_OPT_IFADDR:
		format_prefix(v, text);
		break;
	case TR_OPT_SOCKADDR:
		print_sockaddr(v, f);
		return;
	case TR_OPT_MAC:
		snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
		break;
	case TR_OPT_KEY:
		format_base64_32(v, text);
		break;
	default:
		strcpy(text, "(secret)");
		break;
	}
	fputs(text, f);
}

static void
print_list(const struct tr_option *o, const struct tr_list *l, FILE *f)
{
	const struct tr_route_option *r = l->items;
	const struct tr_name_option *n = l->items;
	char text[64];
	for (uint32_t i = 0; i < l->n; i++) {
		fputs(i != 0 ? ", " : "", f);
		if (o->type == TR_OPT_ROUTES) {
			format_prefix(&r[i].prefix, text);
			fprintf(f, "%s -> gate %u", text, r[i].gate);
			if (r[i].via.family != 0) {
				format_addr(&r[i].via, text);
				fprintf(f, " via %s", text);
			}
		} else if (o->type == TR_OPT_NAMES) {
			format_addr(&n[i].addr, text);
			fprintf(f, "%s = %s", n[i].name, text);
		} else {
			print_element(o, (const uint8_t *)l->items + i * value_size(o->type), f);
		}
	}
}

char *
option_text(const struct tr_option *o, const void *options)
{
	const uint8_t *v = (const uint8_t *)options + o->offset;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	if (f == NULL)
		return NULL;
	if (o->flags & TR_OPT_LIST || o->type == TR_OPT_ROUTES || o->type == TR_OPT_NAMES)
		print_list(o, (const struct tr_list *)v, f);
	else
		print_element(o, v, f);
	return fclose(f) == 0 ? text : NULL;
}
