/* SPDX-License-Identifier: BSD-3-Clause */
#include "upnp.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>

#define DISCOVER_MS 1000
#define SSDP_PORT 1900
#define CONFLICTS_MAX 5 /* routers say "conflict" also where they mean "not for you" */

/* UPnP's errors that decide something. */
enum { INVALID_ARGS = 402, NO_SUCH_ENTRY = 714, CONFLICT = 718, ONLY_PERMANENT = 725 };

struct router {
	struct UPNPUrls urls;
	struct IGDdatas data;
	char client[64]; /* the kernel's address towards it */
};

/* The address that the kernel reaches the router from. */
static bool
kernel_address(const struct tr_addr *router, char text[64])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(SSDP_PORT)};
	socklen_t len = sizeof(a);
	memcpy(&a.sin_addr, router->ip, sizeof(a.sin_addr));
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const bool ok = fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 &&
	                getsockname(fd, (struct sockaddr *)&a, &len) == 0 && inet_ntop(AF_INET, &a.sin_addr, text, 64) != NULL;
	if (fd >= 0)
		close(fd);
	return ok;
}

/* Whoever answers names an URL: only the router that is configured is talked to. */
static bool
leads_to(const char *url, const struct tr_addr *router)
{
	char text[INET_ADDRSTRLEN], head[32];
	inet_ntop(AF_INET, router->ip, text, sizeof(text));
	const int n = snprintf(head, sizeof(head), "http://%s", text);
	return url != NULL && strncmp(url, head, (size_t)n) == 0 && (url[n] == ':' || url[n] == '/');
}

static bool
describe(struct upnp_exchange *e, struct router *r)
{
	char lan[64];
	if (!leads_to(e->location, &e->router) || UPNP_GetIGDFromUrl(e->location, &r->urls, &r->data, lan, sizeof(lan)) == 0)
		return false;
	if (leads_to(r->urls.controlURL, &e->router) && r->data.first.servicetype[0] != 0)
		return true;
	FreeUPNPUrls(&r->urls);
	return false;
}

static bool
discover(struct upnp_exchange *e, struct router *r)
{
	int error;
	bool found = false;
	struct UPNPDev *all = upnpDiscover(DISCOVER_MS, r->client, NULL, UPNP_LOCAL_PORT_ANY, 0, 2, &error);
	for (struct UPNPDev *d = all; d != NULL && !found; d = d->pNext) {
		if (strstr(d->st, ":InternetGatewayDevice:") == NULL && strstr(d->st, ":service:WAN") == NULL)
			continue;
		snprintf(e->location, sizeof(e->location), "%s", d->descURL);
		found = strlen(d->descURL) < sizeof(e->location) && describe(e, r);
	}
	freeUPNPDevlist(all);
	if (!found)
		e->location[0] = 0;
	return found;
}

/* ---- One port ---- */

static uint16_t
random_port(void)
{
	uint16_t v = 0;
	(void)!getrandom(&v, sizeof(v), 0);
	return (uint16_t)(1024 + v % (65536 - 1024));
}

static int
add_once(const struct router *r, const char *client, struct upnp_port *p, uint16_t wish, uint32_t lifetime)
{
	char external[6], internal[6], lease[12], given[6] = "";
	snprintf(external, sizeof(external), "%u", wish);
	snprintf(internal, sizeof(internal), "%u", p->port);
	snprintf(lease, sizeof(lease), "%u", lifetime);
	const size_t len = strlen(r->data.first.servicetype);
	const bool second = len > 2 && strcmp(r->data.first.servicetype + len - 2, ":2") == 0;
	const int rc = second ? UPNP_AddAnyPortMapping(r->urls.controlURL, r->data.first.servicetype, external, internal, client,
					"tailrace", "UDP", NULL, lease, given)
			      : UPNP_AddPortMapping(r->urls.controlURL, r->data.first.servicetype, external, internal, client,
					"tailrace", "UDP", NULL, lease);
	if (rc != UPNPCOMMAND_SUCCESS)
		return rc;
	const unsigned long got = second ? strtoul(given, NULL, 10) : wish;
	p->external_port = got <= UINT16_MAX ? (uint16_t)got : 0;
	return p->external_port != 0 ? UPNPCOMMAND_SUCCESS : UPNPCOMMAND_INVALID_RESPONSE;
}

/* An external port 0 would mean every port: one is always named. */
static void
add(const struct router *r, const char *client, struct upnp_port *p)
{
	uint16_t wish = p->external_port ? p->external_port : p->port;
	uint32_t lifetime = p->lifetime;
	for (unsigned i = 0; i < CONFLICTS_MAX; i++) {
		p->result = add_once(r, client, p, wish, lifetime);
		if ((p->result == ONLY_PERMANENT || p->result == INVALID_ARGS) && lifetime != 0)
			lifetime = 0; /* it lasts until given up, and is renewed all the same */
		else if (p->result == CONFLICT)
			wish = random_port();
		else
			return;
	}
}

/* Still there, and still ours? */
static bool
there(const struct router *r, const char *client, const struct upnp_port *p)
{
	char external[6], owner[40] = "", port[6] = "", text[80] = "", enabled[4] = "", lease[16] = "";
	snprintf(external, sizeof(external), "%u", p->external_port);
	const int rc = UPNP_GetSpecificPortMappingEntry(r->urls.controlURL, r->data.first.servicetype, external, "UDP", NULL, owner,
		port, text, enabled, lease);
	/* Some routers refuse to tell: only "there is none" counts, and an entry of somebody else's. */
	return rc == UPNPCOMMAND_SUCCESS ? strcmp(owner, client) == 0 && strtoul(port, NULL, 10) == p->port : rc != NO_SUCH_ENTRY;
}

static void
serve(const struct router *r, const char *client, struct upnp_port *p)
{
	char external[6];
	snprintf(external, sizeof(external), "%u", p->external_port);
	if (p->wish == UPNP_GIVE_UP) {
		p->result = UPNP_DeletePortMapping(r->urls.controlURL, r->data.first.servicetype, external, "UDP", NULL);
		return;
	}
	if (p->wish == UPNP_LOOK && there(r, client, p))
		return;
	p->lost = p->wish == UPNP_LOOK;
	add(r, client, p);
}

/* ---- The exchange ---- */

static bool
external_address(const struct router *r, struct tr_addr *out)
{
	char text[40] = "";
	*out = (struct tr_addr){.family = 4};
	return UPNP_GetExternalIPAddress(r->urls.controlURL, r->data.first.servicetype, text) == UPNPCOMMAND_SUCCESS &&
	       inet_pton(AF_INET, text, out->ip) == 1 && out->ip[0] != 0 && out->ip[0] != 127 && out->ip[0] < 224;
}

static void
exchange(struct upnp_exchange *e)
{
	struct router r = {0};
	char client[INET_ADDRSTRLEN];
	e->status = UPNP_NO_WAY;
	if (!kernel_address(&e->router, r.client))
		return;
	e->status = UPNP_NOBODY;
	if (!describe(e, &r) && !discover(e, &r))
		return;
	if (external_address(&r, &e->external)) {
		e->status = UPNP_OK;
		inet_ntop(AF_INET, e->client.ip, client, sizeof(client));
		for (unsigned i = 0; i < e->n; i++)
			serve(&r, e->client.family == 4 ? client : r.client, &e->port[i]);
	}
	FreeUPNPUrls(&r.urls);
}

static void *
run(void *arg)
{
	struct upnp_exchange *e = arg;
	exchange(e);
	atomic_store(&e->done, true);
	upnp_end(e);
	return NULL;
}

struct upnp_exchange *
upnp_begin(const struct upnp_exchange *like)
{
	struct upnp_exchange *e = malloc(sizeof(*e));
	pthread_t thread;
	sigset_t all, before;
	if (e == NULL)
		return NULL;
	memcpy(e, like, sizeof(*e));
	atomic_init(&e->done, false);
	atomic_init(&e->refs, 2);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the daemon's main thread's */
	const int rc = pthread_create(&thread, NULL, run, e);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc == 0) {
		pthread_detach(thread);
		return e;
	}
	free(e);
	return NULL;
}

void
upnp_end(struct upnp_exchange *e)
{
	if (atomic_fetch_sub(&e->refs, 1) == 1)
		free(e);
}
