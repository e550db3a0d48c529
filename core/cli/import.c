/* SPDX-License-Identifier: BSD-3-Clause */
/* import: wg-quick's file as a complete pipeline.yaml. */
#include "offline.h"
#include "wgquick.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IMPORT_KEYS, IMPORT_WAN, IMPORT_GATEWAY };
static const struct cli_option import_options[] = {
	{'k', "keys", "DIR", "write the key files here (mode 0600, never over another); without it only their names are written"},
	{'w', "wan", "ADDRESS/LEN", "address of the interface to the internet"},
	{'g', "gateway", "ADDRESS", "its gateway"},
	{0, NULL, NULL, NULL},
};

/* A new file that only its owner reads. Existing ones are left alone. */
static bool
write_key(const char *path, const uint8_t key[32])
{
	char text[46];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		cli_error("%s: %s", path, strerror(errno));
		return false;
	}
	format_base64_32(key, text);
	strcat(text, "\n");
	bool ok = write(fd, text, 45) == 45;
	ok &= close(fd) == 0;
	sodium_memzero(text, sizeof(text));
	if (!ok)
		cli_error("%s: %s", path, strerror(errno));
	return ok;
}

/* wg0 of /etc/wireguard/wg0.conf, as far as it is a good name for an instance. */
static void
instance_name(const char *path, char name[32])
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	size_t n = strcspn(base, ".");
	if (n == 0 || n > 24 || base[0] < 'a' || base[0] > 'z' ||
		strspn(base, "abcdefghijklmnopqrstuvwxyz0123456789_-") < n)
		snprintf(name, 32, "wg0");
	else
		snprintf(name, 32, "%.*s", (int)n, base);
}

static void
print_instances(FILE *f, const struct cli *c, const struct wgquick *w, const char *name, const char *keys)
{
	const char *wan = c->option[IMPORT_WAN], *gateway = c->option[IMPORT_GATEWAY];
	const char *comma = "";
	fprintf(f, "instances:\n  wan: {class: interface, address: %s%s%s}%s\n", wan ? wan : "192.0.2.2/24",
		gateway || !wan ? ", gateway: " : "", gateway ? gateway : wan ? "" : "192.0.2.1",
		wan ? "" : "  # replace: this box's address and its gateway");
	fprintf(f, "  mux: {class: mux}\n  path: {class: path}\n  %s: {class: wireguard, listen: %s", name,
		w->listen ? w->listen : "51820");
	if (w->mtu != NULL)
		fprintf(f, ", mtu: %s", w->mtu);
	if (w->fwmark != NULL)
		fprintf(f, ", fwmark: %lu", strtoul(w->fwmark, NULL, 0));
	if (w->has_private_key)
		fprintf(f, ", private_key: \"file:%s/%s.key\"", keys, name);
	fprintf(f, "}\n  router:\n    class: route\n    address: [");
	for (unsigned i = 0; i < w->n_address; i++, comma = ", ")
		fprintf(f, "%s\"%.*s\"", comma, (int)strcspn(w->address[i], "/"), w->address[i]);
	fprintf(f, "]\n    routes:\n");
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each allowed IP once. */
static bool
print_routes(FILE *f, const struct wgquick *w, const char *name)
{
	size_t n = 0;
	for (unsigned i = 0; i < w->n_peers; i++)
		n += w->peer[i].n_allowed;
	const char **v = malloc((n + 1) * sizeof(*v));
	if (v == NULL)
		return false;
	n = 0;
	for (unsigned i = 0; i < w->n_peers; i++)
		for (unsigned j = 0; j < w->peer[i].n_allowed; j++)
			v[n++] = w->peer[i].allowed[j];
	if (n != 0)
		qsort(v, n, sizeof(*v), by_text);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(v[i], v[i - 1]) != 0)
			fprintf(f, "      \"%s\": %s.plain\n", v[i], name);
	if (n == 0)
		fprintf(f, "      {}\n");
	free(v);
	return true;
}

static void
print_links(FILE *f, const char *name)
{
	fprintf(f, "links:\n  - wan.udp -> mux.in\n  - wan.ip -> drop  # the internet is not forwarded\n");
	fprintf(f, "  - mux.%s -> %s.cipher\n  - %s.cipher -> path.in\n  - path.udp -> wan.ip\n  - %s.plain -> router.in\n", name,
		name, name, name);
}

static void
print_peers(FILE *f, const struct wgquick *w, const char *name, const char *keys)
{
	if (w->n_peers != 0)
		fprintf(f, "netmap:\n  peers:\n");
	for (unsigned i = 0; i < w->n_peers; i++) {
		const struct wgquick_peer *p = &w->peer[i];
		fprintf(f, "    %s:\n      public_key: %s\n", p->name, p->public_key);
		if (p->has_preshared_key)
			fprintf(f, "      preshared_key: \"file:%s/%s-%s.psk\"\n", keys, name, p->name);
		fprintf(f, "      allowed_ips: [");
		for (unsigned j = 0; j < p->n_allowed; j++)
			fprintf(f, "%s\"%s\"", j != 0 ? ", " : "", p->allowed[j]);
		fprintf(f, "]\n");
		if (p->endpoint != NULL)
			fprintf(f, "      endpoint: \"%s\"\n", p->endpoint);
		if (p->keepalive != NULL && strcmp(p->keepalive, "0") != 0)
			fprintf(f, "      persistent_keepalive: %ss\n", p->keepalive);
	}
}

static bool
write_keys(const struct wgquick *w, const char *name, const char *dir)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s.key", dir, name);
	bool ok = !w->has_private_key || write_key(path, w->private_key);
	for (unsigned i = 0; i < w->n_peers; i++) {
		snprintf(path, sizeof(path), "%s/%s-%s.psk", dir, name, w->peer[i].name);
		if (w->peer[i].has_preshared_key)
			ok &= write_key(path, w->peer[i].preshared_key);
	}
	return ok;
}

/* The YAML as it is, or within JSON; false: no memory. */
static bool
print_yaml(const struct cli *c, const struct wgquick *w, const char *name, const char *keys)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	if (f == NULL)
		return false;
	print_instances(f, c, w, name, keys);
	bool ok = print_routes(f, w, name);
	print_links(f, name);
	print_peers(f, w, name, keys);
	ok = fclose(f) == 0 && ok;
	if (ok && c->json)
		cli_print_json(json_pack("{s:s}", "yaml", text));
	else if (ok)
		fputs(text, stdout);
	free(text);
	return ok;
}

static int
import_run(const struct cli *c)
{
	struct diags d = {0};
	struct wgquick w = {0};
	struct arena *a = arena_new(256u << 20);
	char name[32];
	const char *dir = c->option[IMPORT_KEYS], *keys = dir ? dir : "/etc/tailrace";
	bool ok = a != NULL && wgquick_read(a, c->argv[0], &w, &d);
	int rc = ok ? CLI_OK : CLI_CONFIGURATION;
	offline_print(&d);
	if (ok) {
		instance_name(c->argv[0], name);
		if (dir != NULL && !write_keys(&w, name, dir))
			rc = CLI_FAILED;
		else if (dir == NULL && w.has_private_key)
			fprintf(stderr, "tailrace: put the keys where the output names them, one base64 line each, mode 0600, or use --keys\n");
		if (!print_yaml(c, &w, name, keys))
			rc = CLI_FAILED;
	}
	wgquick_wipe(&w);
	arena_free(a);
	diags_free(&d);
	return rc;
}

const struct cli_command cli_import = {
	.name = "import",
	.args = "WG.CONF",
	.min_args = 1,
	.max_args = 1,
	.word = CLI_WORD_FILE,
	.doc = "print the pipeline.yaml for a file of wg-quick",
	.more = "Keys are never printed: the output refers to files. What wg-quick did by commands (PostUp, …) is left out with a\n"
		"warning.",
	.options = import_options,
	.run = import_run,
};
