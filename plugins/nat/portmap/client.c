/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include <stdio.h>
#include <tailrace/udp.h>

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define FIRST_RETRY (250 * MS) /* RFC 6886 section 3.1, doubling; RFC 6887's 3 s would keep a peer waiting for no reason */
#define LAST_RETRY (300 * SECOND)
#define CHECK (60 * SECOND)     /* how soon a router that has lost its state is found out */
#define CHECKS_LOST 6           /* unanswered: the router is gone, or speaks something else now */
#define RELEASE_TRIES 3
#define UPNP_AFTER 3               /* unanswered questions: twice PCP, once NAT-PMP */
#define UPNP_LOOK_AGAIN (50 * MS) /* whether an exchange is done: they take a second or two */
#define QUIET_MIN (30 * SECOND) /* after a refusal */
#define QUIET_MAX (1800 * SECOND)

static void on_timer(void *arg);
static void begin_upnp(struct client *c);

static const char *
protocol(enum portmap_version v)
{
	return v == PCP ? "PCP" : v == NAT_PMP ? "NAT-PMP" : "UPnP";
}

static uint64_t
now(const struct client *c)
{
	return c->host->now(c->instance);
}

/* Doubles with each try; 10 % of jitter keep many boxes behind one router apart (RFC 6887 section 8.1.1). */
static uint64_t
back_off(const struct client *c, unsigned tries)
{
	uint8_t jitter;
	uint64_t wait = tries < 12 ? FIRST_RETRY << tries : LAST_RETRY;
	if (wait > LAST_RETRY)
		wait = LAST_RETRY;
	c->host->crypto->random(&jitter, sizeof(jitter));
	return wait - wait / 10 + wait / 5 * jitter / 255;
}

/* ---- Requests ---- */

static void
send_request(struct client *c, const uint8_t *request, size_t len)
{
	struct tr_node *node = c->host->service_node(c->instance);
	struct rte_mbuf *m = node ? c->host->packet_new(node) : NULL;
	if (m == NULL) {
		if (node != NULL)
			node->count[NO_PACKET]++;
		return;
	}
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), request, len);
	struct tr_meta *meta = tr_meta(m);
	meta->endpoint = (struct tr_endpoint){.family = c->settings.router.family, .remote_port = PORTMAP_SERVER_PORT,
		.local_port = c->settings.listen};
	memcpy(meta->endpoint.remote, c->settings.router.ip, sizeof(meta->endpoint.remote));
	meta->in = TR_IN_SELF;
	meta->flags = TR_META_OWN;
	node->count[REQUESTS]++;
	c->host->emit(node, OUT, &m, 1);
}

/*
 * A question that every router answers without knowing our address, which PCP otherwise wants inside the request: from
 * the answer both sides' versions and our own address are seen. Routers exist that are silent to the version they don't
 * know, so the two take turns. UPnP, which is heavier, has its turn beside them when neither is answered.
 */
static void
probe(struct client *c)
{
	uint8_t request[PORTMAP_REQUEST_MAX];
	const struct tr_addr nobody = {.family = c->settings.router.family};
	const bool upnp = c->known ? c->version == UPNP : c->settings.router.family == 4 && c->probes >= UPNP_AFTER;
	const bool pcp = c->known ? c->version == PCP : c->settings.router.family == 6 || c->probes % 2 == 0;
	if (c->probes >= CHECKS_LOST && c->known) {
		c->known = false;
		c->host->log(c->instance, TR_LOG_WARNING, "the router does not answer any more");
	}
	if (upnp)
		begin_upnp(c);
	if (!c->known || c->version != UPNP)
		send_request(c, request, pcp ? portmap_announce(request, c->known ? &c->local : &nobody) : portmap_address(request));
	c->probe_due = now(c) + back_off(c, c->probes++);
}

static void
ask(struct client *c, struct mapping *m)
{
	uint8_t request[PORTMAP_REQUEST_MAX];
	struct portmap_request r = {.lifetime = m->state == MAPPING_RELEASED ? 0 : c->settings.lifetime,
		.internal_port = m->saved->port, .external_port = m->saved->external_port, .client = c->local,
		.external = m->saved->external};
	m->due = now(c) + back_off(c, m->tries++);
	m->asked = c->version == UPNP; /* all that are due, in one exchange */
	if (m->asked)
		return;
	memcpy(r.nonce, m->saved->nonce, sizeof(r.nonce));
	send_request(c, request, portmap_map(request, c->version, &r));
}

/* Peers are told where the port is reached: also behind a private outside address, which others behind the same NAT above
 * may reach. */
static void
publish(struct client *c, struct mapping *m, bool lasting)
{
	static const uint8_t unspecified[16];
	struct tr_sockaddr outside = {0};
	if (lasting && m->state == MAPPING_HELD && memcmp(m->saved->external.ip, unspecified, sizeof(unspecified)) != 0)
		outside = (struct tr_sockaddr){m->saved->external, m->saved->external_port};
	if (tr_addr_eq(&outside.addr, &m->told.addr) && outside.port == m->told.port)
		return;
	const struct tr_own_endpoint own = {.address = outside, .kind = TR_OWN_MAPPED};
	c->host->own_endpoints_tell(c->instance, m->saved->port, &own, outside.addr.family != 0);
	m->told = outside;
}

static void
forget(struct client *c, unsigned i)
{
	publish(c, &c->mapping[i], false);
	memset(c->mapping[i].saved, 0, sizeof(*c->mapping[i].saved));
	c->mapping[i] = c->mapping[--c->n];
	c->mapping[c->n] = (struct mapping){0};
}

/* While an exchange of UPnP goes on nothing else is asked. */
static bool
may_ask(const struct client *c)
{
	return c->known && (c->version != UPNP || c->upnp == NULL);
}

/* After every change. */
static void
settle(struct client *c)
{
	uint64_t next = c->probe_due, at = now(c);
	for (unsigned i = 0; i < c->n; i++)
		publish(c, &c->mapping[i], true);
	for (unsigned i = 0; may_ask(c) && i < c->n; i++)
		next = RTE_MIN(next, c->mapping[i].due);
	if (c->upnp != NULL)
		next = RTE_MIN(next, at + UPNP_LOOK_AGAIN);
	for (unsigned i = 0; i < c->n; i++)
		if (c->mapping[i].state == MAPPING_HELD)
			next = RTE_MIN(next, c->mapping[i].expires);
	if (c->timer != NULL)
		c->host->watch_close(c->timer);
	c->timer = c->host->watch_timer(c->instance, next > at ? (next - at) / MS + 1 : 1, 0, on_timer, c);
}

/* ---- Answers ---- */

static void
ask_all(struct client *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		c->mapping[i].tries = 0;
		c->mapping[i].due = 0;
	}
}

/* RFC 6887 section 8.5 and RFC 6886 section 3.6: a server's clock that does not go on with ours has been reset. */
static bool
goes_on(const struct client *c, uint32_t epoch, uint64_t at)
{
	const uint64_t ours = (at - c->epoch_at) / SECOND, theirs = (uint64_t)epoch - c->epoch;
	if (epoch + 1 < c->epoch)
		return false;
	if (epoch < c->epoch)
		return true; /* reordered on the way */
	return ours + 2 >= theirs - theirs / 16 && theirs + 2 >= ours - ours / 16;
}

static void
take_epoch(struct client *c, struct tr_node *node, uint32_t epoch)
{
	const uint64_t at = now(c);
	if (c->known && !goes_on(c, epoch, at)) {
		node->count[STATE_LOST]++;
		c->host->log(c->instance, TR_LOG_WARNING, "the router has lost its mappings: asking anew");
		ask_all(c);
	}
	c->epoch = epoch;
	c->epoch_at = at;
}

static void
meet(struct client *c, const struct portmap_answer *a, const struct tr_endpoint *from)
{
	if (!c->known || c->version != a->version) {
		c->host->log(c->instance, TR_LOG_INFO, "the router speaks %s", protocol(a->version));
		ask_all(c);
	}
	c->known = true;
	c->version = a->version;
	c->local = (struct tr_addr){.family = from->family};
	memcpy(c->local.ip, from->local, sizeof(c->local.ip));
	c->probes = 0;
	/* NAT-PMP says the external address in a message of its own. */
	const bool address_next = a->version == NAT_PMP && a->kind != PORTMAP_ADDRESS && c->external.family == 0;
	c->probe_due = address_next ? 0 : now(c) + CHECK;
}

static struct mapping *
find(struct client *c, const struct portmap_answer *a)
{
	for (unsigned i = 0; i < c->n; i++) {
		struct mapping *m = &c->mapping[i];
		if (m->saved->port == a->internal_port &&
			(a->version == NAT_PMP || memcmp(m->saved->nonce, a->nonce, PCP_NONCE) == 0))
			return m;
	}
	return NULL;
}

static void
refused(struct client *c, struct mapping *m, const struct portmap_answer *a)
{
	const uint64_t wish = RTE_MIN(a->lifetime * SECOND, QUIET_MAX), quiet = RTE_MAX(wish, QUIET_MIN);
	if (m->state != MAPPING_REFUSED || m->result != a->result)
		c->host->log(c->instance, TR_LOG_WARNING, "port %u: the router refuses to map it (result %u)", m->saved->port, a->result);
	m->state = MAPPING_REFUSED;
	m->result = a->result;
	m->due = now(c) + quiet;
	if (a->version == PCP && a->result == PCP_ADDRESS_MISMATCH) { /* our address has changed, or another NAT lies between */
		c->known = false;
		c->probe_due = m->due;
	}
}

static void
granted(struct client *c, struct mapping *m, const struct portmap_answer *a)
{
	const uint64_t at = now(c);
	if (m->state != MAPPING_HELD || m->saved->external_port != a->external_port)
		c->host->log(c->instance, TR_LOG_INFO, "port %u is port %u outside, for %u s", m->saved->port, a->external_port, a->lifetime);
	m->state = MAPPING_HELD;
	m->saved->external_port = a->external_port;
	m->saved->external = a->version == PCP ? a->external : c->external;
	m->expires = at + a->lifetime * SECOND;
	m->due = at + a->lifetime * SECOND / 2; /* RFC 6886 section 3.3, RFC 6887 section 11.2.1 */
	m->tries = 0;
}

static uint16_t
take_mapping(struct client *c, const struct portmap_answer *a)
{
	struct mapping *m = find(c, a);
	if (m == NULL)
		return DROP_UNEXPECTED;
	if (m->state == MAPPING_RELEASED)
		forget(c, (unsigned)(m - c->mapping));
	else if (a->result != 0 || a->external_port == 0 || a->lifetime == 0)
		refused(c, m, a);
	else
		granted(c, m, a);
	return DROP_CONSUMED;
}

static void
take_address(struct client *c, const struct portmap_answer *a)
{
	if (a->result != 0)
		return;
	c->external = a->external;
	for (unsigned i = 0; i < c->n; i++)
		c->mapping[i].saved->external = a->external;
}

static uint16_t
take(struct client *c, struct tr_node *node, const struct portmap_answer *a, const struct tr_endpoint *from)
{
	uint16_t verdict = DROP_CONSUMED;
	node->count[ANSWERS]++;
	node->count[REFUSALS] += a->result != 0;
	take_epoch(c, node, a->epoch);
	meet(c, a, from);
	if (a->kind == PORTMAP_MAPPING)
		verdict = take_mapping(c, a);
	else if (a->kind == PORTMAP_ADDRESS)
		take_address(c, a);
	settle(c);
	return verdict;
}

uint16_t
client_answer(struct client *c, struct tr_node *node, struct rte_mbuf *m)
{
	const struct tr_endpoint *from = &tr_meta(m)->endpoint;
	struct portmap_answer a;
	size_t len;
	const uint8_t *msg = tr_udp_payload(m, &len);

	pthread_mutex_lock(&c->lock);
	uint16_t drop = DROP_FOREIGN;
	if (from->family == c->settings.router.family && from->remote_port == PORTMAP_SERVER_PORT &&
		memcmp(from->remote, c->settings.router.ip, sizeof(from->remote)) == 0)
		drop = portmap_parse(&a, msg, len) ? take(c, node, &a, from) : DROP_MALFORMED;
	pthread_mutex_unlock(&c->lock);
	return TR_DROP(drop);
}

/* ---- UPnP ---- */

static struct mapping *
mapping_of(struct client *c, uint16_t port)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->mapping[i].saved->port == port)
			return &c->mapping[i];
	return NULL;
}

/* Our address on the wire, if somebody has told the core: the kernel's may be another one. */
static struct tr_addr
own_address(const struct client *c)
{
	struct tr_own_endpoint own[TR_OWN_ENDPOINTS];
	for (unsigned i = 0; i < c->n; i++) {
		const uint16_t n = c->host->own_endpoints(c->instance, c->mapping[i].saved->port, own, TR_OWN_ENDPOINTS);
		for (uint16_t k = 0; k < n; k++)
			if (own[k].kind == TR_OWN_LOCAL && own[k].address.addr.family == 4)
				return own[k].address.addr;
	}
	return (struct tr_addr){0};
}

static void
begin_upnp(struct client *c)
{
	struct upnp_exchange e = {.router = c->settings.router, .client = own_address(c)};
	struct tr_node *node = c->host->service_node(c->instance);
	if (c->upnp != NULL)
		return;
	memcpy(e.location, c->location, sizeof(e.location));
	for (unsigned i = 0; i < c->n; i++) {
		struct mapping *m = &c->mapping[i];
		const bool held = m->state == MAPPING_HELD && !m->asked;
		if (m->state == MAPPING_REFUSED && !m->asked)
			continue;
		m->asked = false;
		e.port[e.n++] = (struct upnp_port){.port = m->saved->port, .external_port = m->saved->external_port,
			.lifetime = c->settings.lifetime,
			.wish = m->state == MAPPING_RELEASED ? UPNP_GIVE_UP : held ? UPNP_LOOK : UPNP_MAP};
	}
	c->upnp = upnp_begin(&e);
	if (node != NULL)
		node->count[REQUESTS]++;
}

static void
take_upnp(struct client *c, struct tr_node *node, const struct upnp_port *p)
{
	struct mapping *m = mapping_of(c, p->port);
	const struct portmap_answer a = {.version = UPNP, .result = (uint16_t)RTE_MAX(p->result, 0),
		.lifetime = p->result ? 0 : p->lifetime, .external_port = p->external_port};
	if (m == NULL || (m->state == MAPPING_RELEASED) != (p->wish == UPNP_GIVE_UP))
		return; /* the options have changed meanwhile */
	if (p->lost) {
		node->count[STATE_LOST]++;
		c->host->log(c->instance, TR_LOG_WARNING, "port %u: the router has lost its mapping", p->port);
	}
	if (p->result < 0)
		return; /* no answer: once more */
	node->count[REFUSALS] += p->result != 0;
	if (m->state == MAPPING_RELEASED)
		forget(c, (unsigned)(m - c->mapping));
	else if (p->result != 0)
		refused(c, m, &a);
	else if (p->wish == UPNP_MAP || p->lost)
		granted(c, m, &a);
	else
		m->saved->external = c->external;
}

/* What the last exchange came to, if it is done. */
static void
end_upnp(struct client *c)
{
	struct upnp_exchange *e = c->upnp;
	struct tr_node *node = c->host->service_node(c->instance);
	if (e == NULL || node == NULL || !atomic_load(&e->done))
		return;
	c->upnp = NULL;
	c->upnp_status = e->status;
	if (!c->known || c->version == UPNP) {
		memcpy(c->location, e->location, sizeof(c->location));
		if (e->status == UPNP_OK) {
			if (!c->known)
				c->host->log(c->instance, TR_LOG_INFO, "the router speaks %s", protocol(UPNP));
			node->count[ANSWERS]++;
			c->known = true;
			c->version = UPNP;
			c->external = e->external;
			c->probes = 0;
			c->probe_due = now(c) + CHECK;
			for (unsigned i = 0; i < e->n; i++)
				take_upnp(c, node, &e->port[i]);
		}
	}
	upnp_end(e);
}

/* ---- Time ---- */

static void
on_timer(void *arg)
{
	struct client *c = arg;
	pthread_mutex_lock(&c->lock);
	const uint64_t at = now(c);
	bool due = false;
	end_upnp(c);
	if (at >= c->probe_due)
		probe(c);
	for (unsigned i = 0; i < c->n;) {
		struct mapping *m = &c->mapping[i];
		if (m->state == MAPPING_HELD && at >= m->expires) {
			m->state = MAPPING_ASKED;
			c->host->log(c->instance, TR_LOG_WARNING, "port %u: the mapping has run out, and the router did not renew it",
				m->saved->port);
		}
		const bool given_up = m->state == MAPPING_RELEASED && (m->tries >= RELEASE_TRIES || !c->known);
		if (given_up || m->saved->port == 0) { /* 0: another instance has given it up */
			forget(c, i);
			continue;
		}
		if (may_ask(c) && at >= m->due) {
			ask(c, m);
			due = true;
		}
		i++;
	}
	if (due && c->version == UPNP)
		begin_upnp(c);
	settle(c);
	pthread_mutex_unlock(&c->lock);
}

/* ---- What is asked for ---- */

static struct saved *
saved_of(struct client *c, uint16_t port)
{
	struct saved *free_one = NULL;
	for (unsigned i = 0; i < PORTS_MAX; i++) {
		if (c->saved[i].port == port)
			return &c->saved[i];
		if (c->saved[i].port == 0 && free_one == NULL)
			free_one = &c->saved[i];
	}
	if (free_one != NULL) {
		free_one->port = port;
		c->host->crypto->random(free_one->nonce, sizeof(free_one->nonce));
	}
	return free_one;
}

static bool
wanted(const struct settings *s, uint16_t port)
{
	for (uint32_t i = 0; i < s->n_ports; i++)
		if (s->port[i] == port)
			return true;
	return false;
}

/* A port that the block of state has no room for waits until others are given up; the options allow no more than fit. */
static void
want(struct client *c, uint16_t port)
{
	struct mapping *m = mapping_of(c, port);
	struct saved *saved = m ? m->saved : saved_of(c, port);
	if (m == NULL && saved != NULL && c->n < PORTS_MAX)
		m = &c->mapping[c->n++];
	if (m == NULL)
		return;
	if (m->state == MAPPING_HELD)
		m->due = RTE_MIN(m->due, now(c)); /* the lifetime may have changed */
	else
		*m = (struct mapping){.saved = saved, .told = m->told};
}

void
client_settings(struct client *c, const struct settings *s)
{
	pthread_mutex_lock(&c->lock);
	c->settings = *s;
	for (unsigned i = 0; i < PORTS_MAX; i++) { /* also what an earlier instance held */
		const uint16_t port = c->saved[i].port;
		if (port == 0 || wanted(s, port))
			continue;
		struct mapping *m = mapping_of(c, port);
		if (m == NULL && c->n < PORTS_MAX)
			m = &c->mapping[c->n++];
		if (m == NULL)
			continue;
		publish(c, m, false);
		*m = (struct mapping){.saved = &c->saved[i], .state = MAPPING_RELEASED};
	}
	for (uint32_t i = 0; i < s->n_ports; i++)
		want(c, s->port[i]);
	settle(c);
	pthread_mutex_unlock(&c->lock);
}

void
client_init(struct client *c, struct tr_instance *instance, const struct tr_host *host, struct saved *saved)
{
	*c = (struct client){.instance = instance, .host = host, .saved = saved};
	pthread_mutex_init(&c->lock, NULL);
}

void
client_probe(struct client *c)
{
	pthread_mutex_lock(&c->lock);
	c->probe_due = 0;
	settle(c);
	pthread_mutex_unlock(&c->lock);
}

void
client_fini(struct client *c)
{
	for (unsigned i = 0; i < c->n; i++)
		publish(c, &c->mapping[i], false);
	if (c->timer != NULL)
		c->host->watch_close(c->timer);
	c->timer = NULL;
	if (c->upnp != NULL)
		upnp_end(c->upnp);
	c->upnp = NULL;
}

/* ---- What the operator sees ---- */

/* RFC 1918 and RFC 6598: nobody outside can send to it. */
static bool
is_private(const struct tr_addr *a)
{
	return a->family == 4 && (a->ip[0] == 10 || (a->ip[0] == 172 && a->ip[1] >> 4 == 1) || (a->ip[0] == 192 && a->ip[1] == 168) ||
					 (a->ip[0] == 100 && a->ip[1] >> 6 == 1));
}

static const char *
why_not(const struct client *c, const struct mapping *m, char *text, size_t size)
{
	if (!c->known && c->upnp_status == UPNP_NO_WAY)
		return "the router does not answer on port 5351 (PCP, NAT-PMP), and the kernel has no way to it (UPnP)";
	if (!c->known)
		return "the router does not answer on port 5351: it speaks neither PCP nor NAT-PMP nor UPnP, or they are turned off";
	if (m->state == MAPPING_REFUSED) {
		snprintf(text, size, "the router refuses it (%s result %u)", protocol(c->version), m->result);
		return text;
	}
	if (m->state == MAPPING_HELD && is_private(&m->saved->external))
		return "the router's outside address is private: another NAT lies above it";
	return NULL;
}

static void
show_mapping(const struct client *c, const struct mapping *m, struct tr_show *out)
{
	static const char *const states[] = {"asked", "held", "refused", "released"};
	char text[80];
	const char *why = why_not(c, m, text, sizeof(text));
	const uint64_t at = now(c);
	out->begin(out, NULL);
	out->uint(out, "port", m->saved->port);
	out->text(out, "state", states[m->state]);
	if (m->state == MAPPING_HELD) {
		out->addr(out, "external_address", &m->saved->external);
		out->uint(out, "external_port", m->saved->external_port);
		out->uint(out, "seconds_left", m->expires > at ? (m->expires - at) / SECOND : 0);
	}
	if (why != NULL)
		out->text(out, "problem", why);
	out->end(out);
}

void
client_show(struct client *c, struct tr_show *out)
{
	pthread_mutex_lock(&c->lock);
	out->addr(out, "router", &c->settings.router);
	out->text(out, "protocol", c->known ? protocol(c->version) : "unknown");
	out->list(out, "mappings");
	for (unsigned i = 0; i < c->n; i++)
		show_mapping(c, &c->mapping[i], out);
	out->end(out);
	pthread_mutex_unlock(&c->lock);
}
