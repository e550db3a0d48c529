/* SPDX-License-Identifier: BSD-3-Clause */
#include "guard.h"

#include "device.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>

#define SESSIONS 32
enum { SSH_PORT = 22, TCP_ESTABLISHED = 1 };

bool
guard_iface(const char *device, char *out, size_t size)
{
	char path[128];
	bool found = false;
	if (strncmp(device, "net_", 4) == 0) /* a TAP's interface is the driver's own */
		return strncmp(device, "net_tap", 7) != 0 && device_arg(device, "iface", out, size);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.*s/net", (int)strcspn(device, ","), device);
	DIR *dir = opendir(path);
	if (dir == NULL)
		return false;
	for (struct dirent *e = readdir(dir); e != NULL && !found; e = readdir(dir)) {
		found = e->d_name[0] != '.';
		if (found)
			snprintf(out, size, "%s", e->d_name);
	}
	closedir(dir);
	return found;
}

bool
guard_default4(FILE *f, const char *iface)
{
	char line[256], name[32];
	unsigned dst, gateway, flags, mask;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%31s %x %x %x %*s %*s %*s %x", name, &dst, &gateway, &flags, &mask) == 5 &&
		        dst == 0 && mask == 0 && strcmp(name, iface) == 0)
			return true;
	return false;
}

bool
guard_default6(FILE *f, const char *iface)
{
	char line[256], dst[33], name[32];
	unsigned len;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%32s %x %*s %*s %*s %*s %*s %*s %*s %31s", dst, &len, name) == 3 && len == 0 &&
		        strspn(dst, "0") == 32 && strcmp(name, iface) == 0)
			return true;
	return false;
}

/* The kernel prints words of 32 bits as numbers of the host, little-endian here. */
static bool
hex_addr(const char *hex, unsigned digits, struct tr_addr *out)
{
	uint8_t b[16];
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	for (unsigned w = 0; w < digits / 8; w++) {
		char word[9];
		snprintf(word, sizeof(word), "%.8s", hex + w * 8);
		uint32_t v = (uint32_t)strtoul(word, NULL, 16);
		memcpy(b + w * 4, &v, 4);
	}
	*out = (struct tr_addr){.family = digits == 8 || memcmp(b, mapped, 12) == 0 ? 4 : 6};
	memcpy(out->ip, digits == 32 && out->family == 4 ? b + 12 : b, out->family == 4 ? 4 : 16);
	return true;
}

unsigned
guard_sessions(FILE *f, unsigned hex_digits, struct tr_addr *out, unsigned max)
{
	char line[512], local[33];
	unsigned n = 0, port, state;
	while (n < max && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, " %*u: %32[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x", local, &port, &state) == 3 &&
		        port == SSH_PORT && state == TCP_ESTABLISHED && strlen(local) == hex_digits)
			hex_addr(local, hex_digits, &out[n++]);
	return n;
}

/* Calls fn for every address that the kernel has on iface, until it says true. */
static bool
each_address(const char *iface, bool (*fn)(void *arg, const struct tr_addr *), void *arg)
{
	struct ifaddrs *list;
	bool hit = false;
	if (getifaddrs(&list) != 0)
		return false;
	for (struct ifaddrs *i = list; i != NULL && !hit; i = i->ifa_next) {
		struct tr_addr a = {0};
		if (i->ifa_addr == NULL || strcmp(i->ifa_name, iface) != 0)
			continue;
		if (i->ifa_addr->sa_family == AF_INET) {
			a.family = 4;
			memcpy(a.ip, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, 4);
		} else if (i->ifa_addr->sa_family == AF_INET6) {
			a.family = 6;
			memcpy(a.ip, &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, 16);
		} else {
			continue;
		}
		hit = fn(arg, &a);
	}
	freeifaddrs(list);
	return hit;
}

struct sessions {
	struct tr_addr addr[2 * SESSIONS + 1];
	unsigned n;
};

static bool
is_session(void *arg, const struct tr_addr *a)
{
	const struct sessions *s = arg;
	for (unsigned i = 0; i < s->n; i++)
		if (tr_addr_eq(&s->addr[i], a))
			return true;
	return false;
}

static void
find_sessions(struct sessions *s)
{
	char server[64];
	const char *env = getenv("SSH_CONNECTION"); /* client, its port, server, its port */
	s->n = env != NULL && sscanf(env, "%*s %*s %63s", server) == 1 && parse_addr(server, &s->addr[0]) ? 1 : 0;
	static const struct {
		const char *path;
		unsigned digits;
	} table[] = {{"/proc/net/tcp", 8}, {"/proc/net/tcp6", 32}};
	for (unsigned i = 0; i < 2; i++) {
		FILE *f = fopen(table[i].path, "r");
		if (f == NULL)
			continue;
		s->n += guard_sessions(f, table[i].digits, s->addr + s->n, SESSIONS);
		fclose(f);
	}
}

static bool
holds(const char *path, bool (*parse)(FILE *, const char *), const char *iface)
{
	FILE *f = fopen(path, "r");
	if (f == NULL)
		return false;
	bool hit = parse(f, iface);
	fclose(f);
	return hit;
}

static bool
is_own_address(void *arg, const struct tr_addr *a)
{
	bool link_local = a->family == 6 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
	if (!link_local)
		format_addr(a, arg);
	return !link_local;
}

bool
guard_check(const struct appliance *a, const struct appliance_port *p, struct diags *d)
{
	char iface[IF_NAMESIZE + 1], text[46];
	struct sessions s;
	const char *reason = NULL;
	if (!guard_iface(p->device, iface, sizeof(iface)))
		return true;
	find_sessions(&s);
	if (holds("/proc/net/route", guard_default4, iface) || holds("/proc/net/ipv6_route", guard_default6, iface))
		reason = "the default route leaves by it";
	else if (each_address(iface, is_session, &s))
		reason = "an SSH session comes in by it";
	if (reason != NULL && !p->take) {
		diag_pos(d, DIAG_ERROR, a->file, p->line, 0,
		        "port `%s`: %s is not taken, because %s (take = true; takes it all the same)", p->name, iface,
		        reason);
		return false;
	}
	if (each_address(iface, is_own_address, text))
		diag_pos(d, DIAG_WARNING, a->file, p->line, 0,
		        "port `%s`: the kernel has address %s on %s and will answer beside the gateway (ip addr flush "
		        "dev %s)",
		        p->name, text, iface, iface);
	return true;
}
