/* SPDX-License-Identifier: BSD-3-Clause */
#include "wgquick.h"

#include "config/tree.h"
#include "config/value.h"

#include <ctype.h>
#include <sodium.h>
#include <strings.h>

#define PEERS_MAX 65536

struct reader {
	struct arena *arena;
	struct wgquick *out;
	struct wgquick_peer *peer; /* NULL: in [Interface] */
	struct diags *d;
	const char *file;
	unsigned line;
	char comment[64]; /* the last one: a peer's name */
};

static void
say(struct reader *r, enum diag_severity s, const char *format, const char *what)
{
	char text[300];
	snprintf(text, sizeof(text), format, what);
	diag_pos(r->d, s, r->file, r->line, 0, "%s", text);
}

static char *
trim(char *s)
{
	s += strspn(s, " \t\r");
	for (size_t n = strlen(s); n > 0 && strchr(" \t\r", s[n - 1]) != NULL; n--)
		s[n - 1] = '\0';
	return s;
}

static const char *
keep(struct reader *r, const char *s)
{
	const char *copy = arena_str(r->arena, s, strlen(s));
	if (copy == NULL)
		say(r, DIAG_ERROR, "%s", "the file is too large");
	return copy;
}

static void
read_key(struct reader *r, const char *key, const char *value, uint8_t out[32], bool *has)
{
	*has = parse_base64_32(value, out);
	if (!*has)
		say(r, DIAG_ERROR, "%s: expected base64 of 32 bytes (44 characters)", key);
}

/* "10.0.0.1" is 10.0.0.1/32, and host bits are cut, as `wg` does. */
static const char *
allowed(struct reader *r, const char *text)
{
	struct tr_prefix p;
	struct tr_addr a;
	char out[50];
	if (parse_addr(text, &a))
		p = (struct tr_prefix){a, a.family == 4 ? 32 : 128};
	else if (!parse_prefix(text, &p, true)) {
		say(r, DIAG_ERROR, "AllowedIPs: expected a prefix such as 10.0.0.0/8, not `%.60s`", text);
		return NULL;
	}
	for (unsigned bit = p.len; bit < 128; bit++)
		p.addr.ip[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	format_prefix(&p, out);
	return keep(r, out);
}

static void
read_allowed(struct reader *r, char *value)
{
	unsigned n = 1;
	char *save = NULL;
	for (const char *p = value; *p != '\0'; p++)
		n += *p == ',';
	const char **list = arena_alloc(r->arena, (r->peer->n_allowed + n) * sizeof(*list));
	if (list == NULL) {
		say(r, DIAG_ERROR, "%s", "the file is too large");
		return;
	}
	if (r->peer->n_allowed != 0)
		memcpy(list, r->peer->allowed, r->peer->n_allowed * sizeof(*list));
	r->peer->allowed = list;
	for (char *t = strtok_r(value, ", \t", &save); t != NULL; t = strtok_r(NULL, ", \t", &save)) {
		const char *p = allowed(r, t);
		if (p != NULL)
			list[r->peer->n_allowed++] = p;
	}
}

static void
read_addresses(struct reader *r, char *value)
{
	char *save = NULL;
	struct tr_prefix p;
	struct tr_addr a;
	for (char *t = strtok_r(value, ", \t", &save); t != NULL; t = strtok_r(NULL, ", \t", &save)) {
		if (!parse_addr(t, &a) && !parse_prefix(t, &p, true))
			say(r, DIAG_ERROR, "Address: expected an address such as 10.0.0.1/24, not `%.60s`", t);
		else if (r->out->n_address == 16)
			say(r, DIAG_ERROR, "Address: more than 16 (`%.60s`)", t);
		else
			r->out->address[r->out->n_address++] = keep(r, t);
	}
}

static void
interface_key(struct reader *r, const char *key, char *value)
{
	static const char *const hooks[] = {"PreUp", "PostUp", "PreDown", "PostDown", NULL};
	static const char *const others[] = {"DNS", "Table", "SaveConfig", NULL};
	for (const char *const *h = hooks; *h != NULL; h++)
		if (strcasecmp(key, *h) == 0) {
			say(r, DIAG_WARNING, "%s is left out: nothing here runs commands; see what it did and write that as options", *h);
			return;
		}
	for (const char *const *o = others; *o != NULL; o++)
		if (strcasecmp(key, *o) == 0) {
			say(r, DIAG_WARNING, "%s is left out: it is the client's business, not the gateway's", *o);
			return;
		}
	if (strcasecmp(key, "PrivateKey") == 0)
		read_key(r, key, value, r->out->private_key, &r->out->has_private_key);
	else if (strcasecmp(key, "ListenPort") == 0)
		r->out->listen = keep(r, value);
	else if (strcasecmp(key, "MTU") == 0)
		r->out->mtu = keep(r, value);
	else if (strcasecmp(key, "FwMark") == 0)
		r->out->fwmark = strcasecmp(value, "off") == 0 ? NULL : keep(r, value);
	else if (strcasecmp(key, "Address") == 0)
		read_addresses(r, value);
	else
		say(r, DIAG_ERROR, "unknown key `%.60s` in [Interface]", key);
}

static void
peer_key(struct reader *r, const char *key, char *value)
{
	uint8_t public_key[32];
	bool good;
	struct tr_sockaddr endpoint;
	if (strcasecmp(key, "PublicKey") == 0) {
		read_key(r, key, value, public_key, &good);
		r->peer->public_key = keep(r, value);
	} else if (strcasecmp(key, "PresharedKey") == 0) {
		read_key(r, key, value, r->peer->preshared_key, &r->peer->has_preshared_key);
	} else if (strcasecmp(key, "AllowedIPs") == 0) {
		read_allowed(r, value);
	} else if (strcasecmp(key, "Endpoint") == 0 && parse_sockaddr(value, &endpoint, 0)) {
		r->peer->endpoint = keep(r, value);
	} else if (strcasecmp(key, "Endpoint") == 0) {
		say(r, DIAG_WARNING, "Endpoint `%.60s` is left out: only addresses are taken; until it is written, the peer must speak "
			"first", value);
	} else if (strcasecmp(key, "PersistentKeepalive") == 0) {
		r->peer->keepalive = strcasecmp(value, "off") == 0 ? NULL : keep(r, value);
	} else {
		say(r, DIAG_ERROR, "unknown key `%.60s` in [Peer]", key);
	}
}

/* A comment just before [Peer] that is a name, or becomes one: "# Anna's phone" -> annas-phone. */
static void
name_peer(struct reader *r)
{
	char name[64];
	unsigned n = 0;
	for (const char *p = r->comment; *p != '\0' && n < 40; p++) {
		if (isalnum((unsigned char)*p))
			name[n++] = (char)tolower((unsigned char)*p);
		else if ((*p == ' ' || *p == '-' || *p == '.' || *p == '@') && n > 0 && name[n - 1] != '-')
			name[n++] = '-';
	}
	while (n > 0 && name[n - 1] == '-')
		n--;
	name[n] = '\0';
	bool taken = n == 0;
	for (unsigned i = 0; i + 1 < r->out->n_peers && !taken; i++)
		taken = strcmp(r->out->peer[i].name, name) == 0;
	if (taken)
		snprintf(name, sizeof(name), "peer%u", r->out->n_peers);
	r->peer->name = keep(r, name);
	if (r->peer->name == NULL)
		r->peer->name = "peer";
	r->comment[0] = '\0';
}

static void
section(struct reader *r, const char *name)
{
	if (strcasecmp(name, "[Interface]") == 0) {
		r->peer = NULL;
	} else if (strcasecmp(name, "[Peer]") == 0 && r->out->n_peers < PEERS_MAX) {
		r->peer = &r->out->peer[r->out->n_peers++];
		r->peer->line = r->line;
		name_peer(r);
	} else {
		say(r, DIAG_ERROR, "expected [Interface] or [Peer], not `%.60s`", name);
	}
}

static void
read_line(struct reader *r, char *line)
{
	char *hash = strchr(line, '#'), *equals;
	if (hash != NULL) {
		*hash = '\0';
		snprintf(r->comment, sizeof(r->comment), "%s", trim(hash + 1));
	}
	line = trim(line);
	if (*line == '\0')
		return;
	if (*line == '[') {
		section(r, line);
		return;
	}
	equals = strchr(line, '=');
	if (equals == NULL) {
		say(r, DIAG_ERROR, "expected `Key = value`, not `%.60s`", line);
		return;
	}
	*equals = '\0';
	char *key = trim(line), *value = trim(equals + 1);
	r->comment[0] = '\0';
	if (r->peer != NULL)
		peer_key(r, key, value);
	else
		interface_key(r, key, value);
}

bool
wgquick_read(struct arena *a, const char *path, struct wgquick *out, struct diags *d)
{
	size_t len;
	unsigned before = d->errors;
	struct reader r = {.arena = a, .out = out, .d = d, .file = path};
	char *text = tree_read_file(path, TREE_FILE_MAX, &len, d);
	*out = (struct wgquick){.peer = arena_alloc(a, PEERS_MAX * sizeof(struct wgquick_peer))};
	if (text == NULL || out->peer == NULL) {
		free(text);
		return false;
	}
	for (char *line = text, *next; line != NULL; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		r.line++;
		read_line(&r, line);
	}
	for (unsigned i = 0; i < out->n_peers; i++)
		if (out->peer[i].public_key == NULL)
			diag_pos(d, DIAG_ERROR, path, out->peer[i].line, 0, "[Peer] without PublicKey");
	sodium_memzero(text, len);
	free(text);
	return d->errors == before;
}

void
wgquick_wipe(struct wgquick *w)
{
	sodium_memzero(w->private_key, sizeof(w->private_key));
	for (unsigned i = 0; i < w->n_peers; i++)
		sodium_memzero(w->peer[i].preshared_key, sizeof(w->peer[i].preshared_key));
}
