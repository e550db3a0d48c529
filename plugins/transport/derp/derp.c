/* SPDX-License-Identifier: BSD-3-Clause */
/* The plugin, and its class derp-relay: a DERP server for stock clients and servers. */
#include "client.h"
#include "relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <tailrace/show.h>
#include <time.h>
#include <unistd.h>

#define DAY 86400
#define CERTIFICATE_SOON 7 /* days: those of 90 are renewed after 60 */

struct options {
	struct tr_list listen, http; /* struct tr_sockaddr */
	const char *hostname, *certificate, *certificate_key;
	struct tr_secret private_key, mesh_key;
	uint32_t clients;
	struct tr_list allow; /* struct tr_key */
	struct tr_list mesh_with; /* const char * */
	uint64_t rate, write_timeout, connections_per_address, connection_rate;
};

/* ---- Sockets ---- */

static int
bind_to(const struct tr_sockaddr *at)
{
	struct sockaddr_storage a = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&a;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a;
	const int on = 1;
	const bool v6 = at->addr.family == 6;
	if (v6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(at->port);
		memcpy(&in6->sin6_addr, at->addr.ip, 16);
	} else {
		in->sin_family = AF_INET;
		in->sin_port = htons(at->port);
		memcpy(&in->sin_addr, at->addr.ip, 4);
	}
	int fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Two generations overlap; a preflight child binds as well and never listens. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, v6 ? sizeof(*in6) : sizeof(*in)) == 0)
		return fd;
	const int rc = -errno;
	close(fd);
	return rc;
}

static bool
listen_at(struct relay *r, const struct tr_list *list, bool plain)
{
	const struct tr_sockaddr *at = list->items;
	for (uint32_t i = 0; i < list->n; i++) {
		int fd = bind_to(&at[i]);
		if (fd < 0) {
			r->host->fail(r->instance, "%s: TCP port %u: %s", plain ? "http" : "listen", at[i].port, strerror(-fd));
			return false;
		}
		r->listener[r->n_listeners++] = (struct listener){.relay = r, .fd = fd, .plain = plain};
	}
	return true;
}

/* ---- Life ---- */

static void
relay_reconfigure(void *self, const void *options)
{
	struct relay *r = self;
	const struct options *o = options;
	pthread_mutex_lock(&r->lock);
	r->settings.clients = o->clients;
	r->settings.n_allow = o->allow.n;
	if (o->allow.n > 0)
		memcpy(r->settings.allow, o->allow.items, o->allow.n * sizeof(struct tr_key));
	r->settings.rate = o->rate;
	r->settings.write_timeout_ms = o->write_timeout;
	r->settings.per_address = (uint32_t)o->connections_per_address;
	r->settings.per_address_second = (uint32_t)o->connection_rate;
	pthread_mutex_unlock(&r->lock);
}

static void
relay_destroy(void *self)
{
	struct relay *r = self;
	for (unsigned i = 0; i < r->n_listeners; i++)
		if (r->listener[i].fd >= 0)
			close(r->listener[i].fd);
	SSL_CTX_free(r->tls);
	SSL_CTX_free(r->tls_out);
	chunk_pool_fini(&r->chunks);
	sources_fini(&r->sources);
	wire_fini(&r->wire);
	pthread_mutex_destroy(&r->lock);
	sodium_memzero(&r->self, sizeof(r->self));
	free(r);
}

static void
init_lists(struct relay *r)
{
	struct sessions *const lists[] = {&r->young, &r->dirty, &r->stuck, &r->throttled, &r->watchers, &r->dying};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		TAILQ_INIT(lists[i]);
	for (unsigned i = 0; i < PULSE_SLOTS; i++)
		TAILQ_INIT(&r->pulse[i]);
}

static void *
relay_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	const struct options *o = options;
	struct relay *r = calloc(1, sizeof(*r));
	char why[256];
	if (r == NULL) {
		host->fail(instance, "out of memory");
		return NULL;
	}
	r->instance = instance;
	r->host = host;
	pthread_mutex_init(&r->lock, NULL);
	init_lists(r);
	registry_init(&r->registry);
	sources_init(&r->sources);
	memcpy(r->self.secret, o->private_key.b, 32);
	memcpy(r->self.mesh_key, o->mesh_key.b, 32);
	r->self.has_mesh_key = !sodium_is_zero(r->self.mesh_key, 32);
	r->identity = (struct tls_identity){.hostname = o->hostname, .certificate = o->certificate, .key = o->certificate_key};
	host->crypto->public_key(r->self.public_key, r->self.secret);
	memcpy(r->identity.public_key, r->self.public_key, 32);
	relay_reconfigure(r, options);
	const char *const *with = o->mesh_with.items;
	for (uint32_t i = 0; i < o->mesh_with.n; i++) /* check() has seen them */
		mesh_parse(&r->neighbour[r->n_neighbours++].target, with[i]);
	r->tls_out = tls_client();
	if (!wire_init(&r->wire) || r->tls_out == NULL) {
		host->fail(instance, "out of memory");
		relay_destroy(r);
		return NULL;
	}
	if (!relay_make_tls(r, why, sizeof(why))) {
		host->fail(instance, "%s", why);
		relay_destroy(r);
		return NULL;
	}
	if (listen_at(r, &o->listen, false) && listen_at(r, &o->http, true))
		return r;
	relay_destroy(r);
	return NULL;
}

static void
relay_service_init(struct tr_node *node)
{
	relay_open(node->self, node);
}

static void
close_on_loop(void *self, void *unused)
{
	(void)unused;
	relay_close(self);
}

static void
relay_stop(void *self)
{
	struct relay *r = self;
	r->host->post(r->instance, TR_THREAD_SERVICE, close_on_loop, NULL); /* or worker_fini() does it */
}

static void
relay_worker_fini(struct tr_node *node)
{
	if (node->worker == TR_NO_WORKER)
		relay_close(node->self);
}

static bool
relay_check(const void *options, char *text, size_t size)
{
	const struct options *o = options;
	const char *const *with = o->mesh_with.items;
	struct dial_target unused;
	if ((o->certificate == NULL) != (o->certificate_key == NULL)) {
		snprintf(text, size, "`certificate` and `certificate_key` go together");
		return false;
	}
	for (uint32_t i = 0; i < o->mesh_with.n; i++) {
		if (mesh_parse(&unused, with[i]))
			continue;
		snprintf(text, size, "`mesh_with`: `%.80s`: expected HOST@ADDRESS:PORT", with[i]);
		return false;
	}
	return true;
}

static void
relay_show(void *self, struct tr_show *out)
{
	struct relay *r = self;
	char pin[sizeof(r->pin) + 11];
	pthread_mutex_lock(&r->lock);
	snprintf(pin, sizeof(pin), "sha256-raw:%s", r->pin);
	const int64_t not_after = r->not_after;
	pthread_mutex_unlock(&r->lock);
	out->key(out, "public_key", r->identity.public_key);
	out->text(out, "hostname", r->identity.hostname);
	out->text(out, "certificate", pin);
	out->uint(out, "certificate_ends", not_after > 0 ? (uint64_t)not_after : 0);
	out->uint(out, "connections", atomic_load_explicit(&r->n_sessions, memory_order_relaxed));
	out->uint(out, "clients", atomic_load_explicit(&r->n_clients, memory_order_relaxed));
	out->flag(out, "mesh", r->self.has_mesh_key);
}

static bool
lately(const struct relay *r, uint64_t at)
{
	return at != 0 && r->host->now(r->instance) - at < 60000000000u;
}

/* `left` days of the certificate; what is worst comes first. False: nothing is wrong. */
static bool
tell_trouble(const struct relay *r, int64_t left, const char *bad_files, const struct tr_addr *crowd, char *note, size_t size)
{
	char address[INET6_ADDRSTRLEN] = "";
	if (left < 0)
		snprintf(note, size, "its certificate has ended: clients don't accept it");
	else if (lately(r, atomic_load_explicit(&r->refused_at, memory_order_relaxed)))
		snprintf(note, size, "no descriptors are left: connections are refused");
	else if (crowd != NULL)
		snprintf(note, size, "connections from %s are refused: more than one address may make",
			inet_ntop(crowd->family == 6 ? AF_INET6 : AF_INET, crowd->ip, address, sizeof(address)));
	else if (bad_files[0] != '\0')
		snprintf(note, size, "the old certificate is used, as the new one is no use: %s", bad_files);
	else if (left < CERTIFICATE_SOON)
		snprintf(note, size, "its certificate ends in %d days", (int)left);
	else
		return false;
	return true;
}

static int
status_command(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct relay *r = self;
	char text[400], bad_files[sizeof(r->bad_files)];
	(void)argc;
	(void)argv;
	pthread_mutex_lock(&r->lock);
	const int64_t left = r->not_after - (int64_t)time(NULL);
	memcpy(bad_files, r->bad_files, sizeof(bad_files));
	const struct tr_addr crowd = r->crowd;
	const bool crowded = lately(r, r->crowd_at);
	pthread_mutex_unlock(&r->lock);
	snprintf(text, sizeof(text), "%u clients, %u connections, certificate for %d days",
		atomic_load_explicit(&r->n_clients, memory_order_relaxed), atomic_load_explicit(&r->n_sessions, memory_order_relaxed),
		left > 0 ? (int)(left / DAY) : 0);
	out->text(out, "state", text);
	if (tell_trouble(r, left < 0 ? -1 : left / DAY, bad_files, crowded ? &crowd : NULL, text, sizeof(text)))
		out->text(out, "note", text);
	return 0;
}

/* ---- Tables ---- */

static const char *const clients_names[] = {[CLIENTS_ALLOW] = "allow", [CLIENTS_ANY] = "any", NULL};

#define AT(member) .offset = offsetof(struct options, member)
static const struct tr_option relay_options[] = {
	{.key = "listen", .type = TR_OPT_SOCKADDR, .change = TR_RECREATE, .flags = TR_OPT_LIST | TR_OPT_REQUIRED, .min = 1,
		.max = LISTEN_MAX / 2, .def = ":443", AT(listen), .doc = "Addresses and TCP ports that clients come to."},
	{.key = "http", .type = TR_OPT_SOCKADDR, .change = TR_RECREATE, .flags = TR_OPT_LIST, .max = LISTEN_MAX / 2, .def = ":80",
		AT(http), .doc = "Where /generate_204 is answered without TLS, by which clients find captive portals; all else is sent to https."},
	{.key = "hostname", .type = TR_OPT_STRING, .change = TR_RECREATE, .flags = TR_OPT_REQUIRED, AT(hostname),
		.doc = "The relay's name in the DERP map; a certificate made here is for it."},
	{.key = "certificate", .type = TR_OPT_STRING, .change = TR_RECREATE, AT(certificate),
		.doc = "PEM file: certificate and chain, loaded anew when it changes. Without it one is made, to be pinned."},
	{.key = "certificate_key", .type = TR_OPT_STRING, .change = TR_RECREATE, AT(certificate_key),
		.doc = "PEM file: the certificate's private key."},
	{.key = "private_key", .type = TR_OPT_SECRET, .change = TR_RECREATE, .flags = TR_OPT_REQUIRED, AT(private_key),
		.doc = "The relay's own key, by which clients know it."},
	{.key = "clients", .type = TR_OPT_ENUM, .change = TR_LIVE, .names = clients_names, .def = "allow", AT(clients),
		.doc = "Who is admitted: the keys of `allow`, or anybody. Servers with the mesh key always are."},
	{.key = "allow", .type = TR_OPT_KEY, .change = TR_LIVE, .flags = TR_OPT_LIST, .max = ALLOW_MAX, AT(allow),
		.doc = "Node keys of clients that are admitted."},
	{.key = "mesh_key", .type = TR_OPT_SECRET, .change = TR_RECREATE, AT(mesh_key),
		.doc = "Shared by the servers of a region (`derper -mesh-psk-file` has the same 32 bytes in hexadecimal)."},
	{.key = "mesh_with", .type = TR_OPT_STRING, .change = TR_RECREATE, .flags = TR_OPT_LIST, .max = MESH_MAX, AT(mesh_with),
		.doc = "The other servers of the region, each as HOST@ADDRESS:PORT; their certificates must be for HOST."},
	{.key = "rate", .type = TR_OPT_UINT, .unit = TR_UNIT_BYTES, .change = TR_LIVE, .min = 0, .max = 1ull << 40, .def = "0",
		AT(rate), .doc = "Bytes a second that one client may send; beyond it its connection is read more slowly. 0: no limit."},
	{.key = "write_timeout", .type = TR_OPT_UINT, .unit = TR_UNIT_MS, .change = TR_LIVE, .min = 0, .max = 600000, .def = "2s",
		AT(write_timeout), .doc = "A client that takes nothing for so long is cut off; 0: never."},
	{.key = "connections_per_address", .type = TR_OPT_UINT, .change = TR_LIVE, .min = 0, .max = 1000000, .def = "0",
		AT(connections_per_address), .doc = "Connections of one IPv4 address, or one IPv6 /64, at a time; more are reset at once. 0: no limit."},
	{.key = "connection_rate", .type = TR_OPT_UINT, .change = TR_LIVE, .min = 0, .max = 100000, .def = "0", AT(connection_rate),
		.doc = "New connections a second of one such address, those of ten seconds at once; more are reset. 0: no limit."},
	{0},
};

static const struct tr_counter relay_counters[] = {
	[CONNECTIONS] = {"connections", "TCP connections accepted."},
	[TLS_FAILED] = {"tls_failed", "Of these, ended before TLS was agreed upon."},
	[HTTP_REQUESTS] = {"http_requests", "HTTP requests answered, upgrades to DERP aside."},
	[CLIENTS] = {"clients", "Clients admitted."},
	[CLIENTS_REFUSED] = {"clients_refused", "Clients whose key is not admitted."},
	[CLIENTS_BAD] = {"clients_bad", "Connections ended for a frame of a wrong size, or a ClientInfo that doesn't open."},
	[CLIENTS_GONE] = {"clients_gone", "Clients that have left or were cut off."},
	[CLIENTS_TIMED_OUT] = {"clients_timed_out", "Connections that were no client in time: 30 s for TLS and a request, 10 s more."},
	[CLIENTS_SLOW] = {"clients_slow", "Clients cut off for not reading what they are sent."},
	[PACKETS_IN] = {"packets_in", "Packets received from clients."},
	[BYTES_IN] = {"bytes_in", "Their bytes."},
	[PACKETS_OUT] = {"packets_out", "Packets queued for clients."},
	[BYTES_OUT] = {"bytes_out", "Their bytes."},
	[DROP_UNKNOWN] = {"dropped_unknown", "Packets to a key that is not here."},
	[DROP_FULL] = {"dropped_full", "Packets dropped because their receiver reads too slowly: the oldest first."},
	[DISCO] = {"disco", "Packets queued that are path discovery."},
	[FORWARDED_IN] = {"forwarded_in", "Packets received from other servers of the mesh."},
	[FORWARDED_OUT] = {"forwarded_out", "Packets sent to other servers of the mesh."},
	[PEER_GONE] = {"peer_gone", "PeerGone frames sent."},
	[NOT_HERE] = {"not_here", "Of these, answers to a packet for a key that is not here."},
	[PINGS] = {"pings", "Pings answered."},
	[UNKNOWN_FRAMES] = {"unknown_frames", "Frames of a type that is not the server's, skipped."},
	[NO_DESCRIPTORS] = {"no_descriptors", "Connections refused because the process has no descriptors left."},
	[THROTTLED] = {"throttled", "Times that a client had used up its rate."},
	[CERTIFICATES] = {"certificates", "Certificates loaded anew while running."},
	[CERTIFICATES_BAD] = {"certificates_bad", "Certificate files that were no use: the old ones stay."},
	[ADDRESS_FULL] = {"address_full", "Connections reset because their address had `connections_per_address`."},
	[ADDRESS_FAST] = {"address_fast", "Connections reset because their address makes more than `connection_rate`."},
	[HEALTH] = {"health", "Health frames sent: two connections use one key, or no longer do."},
	{0},
};

static const struct tr_command relay_commands[] = {
	{.name = "status", .args = "", .doc = "Clients, connections, and what is wrong.", .run = status_command},
	{0},
};

static const struct tr_class relay_class = {
	.name = "derp-relay",
	.summary = "DERP relay for clients that find no direct path",
	.flags = TR_CLASS_SERVICE,
	.options = relay_options,
	.options_size = sizeof(struct options),
	.counters = relay_counters,
	.commands = relay_commands,
	.create = relay_create,
	.reconfigure = relay_reconfigure,
	.stop = relay_stop,
	.worker_fini = relay_worker_fini,
	.destroy = relay_destroy,
	.check = relay_check,
	.show = relay_show,
	.service_init = relay_service_init,
};

static const struct tr_class *const classes[] = {&relay_class, &client_class, NULL};

TR_PLUGIN(.name = "derp", .version = TR_VERSION, .summary = "Relay for WireGuard packets over TLS", .classes = classes);
