/* SPDX-License-Identifier: BSD-3-Clause */
/* What an operator sees of an interface: its addresses and neighbours, and what is wrong on its link. */
#include "net/interface.h"

#include "config/config.h"

#include <stdio.h>
#include <tailrace/show.h>

#define LATELY_NS (600 * UINT64_C(1000000000)) /* who claimed an address of ours is told for so long */
#define VAIN_NS (60 * UINT64_C(1000000000))    /* a neighbour that was asked in vain */

/* ---- Sightings ---- */

void
interface_saw(struct sighting *s, const struct tr_addr *a, const uint8_t mac[6], uint64_t now)
{
	uint32_t turn = atomic_load_explicit(&s->turn, memory_order_relaxed);
	uint64_t word[2], rest = (uint64_t)a->family << 48;
	if ((turn & 1) != 0 || !atomic_compare_exchange_strong(&s->turn, &turn, turn + 1))
		return;
	memcpy(word, a->ip, sizeof(word));
	memcpy(&rest, mac, 6);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&s->at, now, memory_order_relaxed);
	atomic_store_explicit(&s->addr[0], word[0], memory_order_relaxed);
	atomic_store_explicit(&s->addr[1], word[1], memory_order_relaxed);
	atomic_store_explicit(&s->rest, rest, memory_order_relaxed);
	atomic_store_explicit(&s->turn, turn + 2, memory_order_release);
}

/* The last one within `ns`, and how long it is ago. */
static bool
sighted(const struct interface *i, const struct sighting *s, uint64_t ns, struct tr_addr *a, uint8_t mac[6], uint64_t *age)
{
	uint64_t word[2], rest, at;
	uint32_t turn;
	do {
		turn = atomic_load_explicit(&s->turn, memory_order_acquire);
		at = atomic_load_explicit(&s->at, memory_order_relaxed);
		word[0] = atomic_load_explicit(&s->addr[0], memory_order_relaxed);
		word[1] = atomic_load_explicit(&s->addr[1], memory_order_relaxed);
		rest = atomic_load_explicit(&s->rest, memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
	} while ((turn & 1) != 0 || turn != atomic_load_explicit(&s->turn, memory_order_relaxed));
	*a = (struct tr_addr){.family = (uint8_t)(rest >> 48)};
	memcpy(a->ip, word, sizeof(word));
	memcpy(mac, &rest, 6);
	const uint64_t now = i->host->now(i->instance);
	*age = now > at ? now - at : 0;
	return turn != 0 && *age < ns;
}

/* ---- show ---- */

static const char *
mac_text(const uint8_t b[6], char text[18])
{
	snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
	return text;
}

static void
show_neighbours(const struct interface *i, struct tr_show *out)
{
	const uint64_t now = i->host->now(i->instance);
	out->list(out, "neighbours");
	for (unsigned k = 0; k < NEIGHBOURS; k++) {
		const struct neighbour *e = &i->neighbours->entry[k];
		uint64_t link = atomic_load_explicit(&e->link, memory_order_acquire);
		enum neighbour_state s = neighbour_state(link);
		if ((s != NEIGHBOUR_RESOLVED && s != NEIGHBOUR_INCOMPLETE) || e->link_id != i->link_id)
			continue;
		char mac[18];
		mac_text((const uint8_t *)&link, mac);
		uint64_t heard = atomic_load_explicit(&e->confirmed, memory_order_relaxed);
		out->begin(out, NULL);
		out->addr(out, "address", &e->addr);
		if (s == NEIGHBOUR_RESOLVED)
			out->text(out, "mac", mac);
		out->text(out, "state", s == NEIGHBOUR_INCOMPLETE                                             ? "incomplete"
					: heard == NEIGHBOUR_STATIC                                          ? "static"
					: now <= heard + NEIGHBOUR_REACHABLE_NS                              ? "reachable"
					: atomic_load_explicit(&e->probes, memory_order_relaxed) > 0 ? "probe"
												     : "stale");
		out->end(out);
	}
	out->end(out);
}

void
interface_show(void *self, struct tr_show *out)
{
	const struct interface *i = self;
	struct port_info info;
	char mac[18];
	port_show(i->port, &info);
	out->text(out, "port", info.name);
	out->text(out, "mac", mac_text(i->mac, mac));
	out->uint(out, "mtu", i->mtu);
	if (i->tag != 0)
		out->uint(out, "vlan", i->tag);
	out->list(out, "addresses");
	for (unsigned k = 0; k < i->n4; k++) {
		struct tr_addr a = tr_addr4((const uint8_t *)&i->own4[k].addr);
		out->addr(out, NULL, &a);
	}
	for (unsigned k = 0; k < i->n6; k++)
		out->addr(out, NULL, &i->own6[k].addr);
	out->end(out);
	show_neighbours(i, out);
}

/* ---- status ---- */

/* The MAC of a neighbour that has not been asked in vain since it was last heard. */
static bool
answers(const struct interface *i, const struct tr_addr *a, char mac[18])
{
	const struct neighbour *e = neighbour_find(i->neighbours, i->link_id, a);
	const uint64_t link = e != NULL ? atomic_load_explicit(&e->link, memory_order_acquire) : 0;
	if (neighbour_state(link) != NEIGHBOUR_RESOLVED || atomic_load_explicit(&e->probes, memory_order_relaxed) >= NEIGHBOUR_TRIES)
		return false;
	mac_text((const uint8_t *)&link, mac);
	return true;
}

/* Appends " gateway ADDRESS at MAC" to what there is. */
static void
add_gateway(const struct interface *i, const struct tr_addr *gateway, char *text, size_t size)
{
	char address[46], mac[18];
	const size_t n = strlen(text);
	if (gateway->family == 0)
		return;
	format_addr(gateway, address);
	const bool known = answers(i, gateway, mac);
	snprintf(text + n, size - n, "%sgateway %s%s%s", n > 0 ? ", " : "", address, known ? " at " : ", whose MAC is not known", known ? mac : "");
}

static bool
is_gateway(const struct interface *i, const struct tr_addr *a)
{
	return tr_addr_eq(a, &i->gateway4) || tr_addr_eq(a, &i->gateway6);
}

/* Worst first. false: nothing is wrong that the interface knows of. */
static bool
tell_trouble(const struct interface *i, char *note, size_t size)
{
	struct tr_addr a;
	uint8_t mac[6];
	char address[46], text[18];
	uint64_t age;
	if (sighted(i, &i->claimed, LATELY_NS, &a, mac, &age)) {
		format_addr(&a, address);
		snprintf(note, size, "%s says that it has our address %s (last %.0f s ago): take it from that box, or give this one another",
			mac_text(mac, text), address, (double)age / 1e9);
		return true;
	}
	if (sighted(i, &i->silent, VAIN_NS, &a, mac, &age) && is_gateway(i, &a) && !answers(i, &a, text)) {
		format_addr(&a, address);
		snprintf(note, size, "the gateway %s does not answer %s: nothing beyond this link is reached. Is it on, at this cable, and is "
			"that still its address (has the provider given you another)?", address, a.family == 4 ? "ARP" : "ND");
		return true;
	}
	return false;
}

static int
status_command(void *self, int argc, char *const *argv, struct tr_show *out)
{
	const struct interface *i = self;
	char text[256] = "", mac[18];
	struct tr_addr a;
	uint8_t none[6];
	uint64_t age;
	(void)argc;
	(void)argv;
	add_gateway(i, &i->gateway4, text, sizeof(text));
	add_gateway(i, &i->gateway6, text, sizeof(text));
	out->text(out, "state", text);
	if (sighted(i, &i->silent, VAIN_NS, &a, none, &age) && !answers(i, &a, mac))
		out->addr(out, "silent", &a);
	if (tell_trouble(i, text, sizeof(text)))
		out->text(out, "note", text);
	return 0;
}

const struct tr_command interface_commands[] = {
	{"status", "", "Says where the gateway is, and what is wrong on the link.", status_command},
	{0},
};
