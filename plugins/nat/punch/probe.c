/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the path in use carries, a direct one or one by a peer relay: pings padded to the sizes at which links differ, never split. The largest that is
 * answered is the path's MTU; less than before counts only when it is seen twice, because packets also get lost.
 */
#include "geneve.h"
#include "punch.h"

#define PROBE_EVERY (60 * SECOND)
#define SIZES 8

/* IP packets; most are also Tailscale's. The first byte of the transaction id says which was answered. */
static const uint16_t sizes[SIZES] = {1280, 1360, 1400, 1420, 1492, 1500, 8000, 9000};

static struct probe *
probe_of(const struct tr_node *node, uint32_t id)
{
	const struct punch *punch = node->self;
	return tr_block(punch->probes, id);
}

static uint16_t
headers(const struct tr_endpoint *path)
{
	return (uint16_t)((path->family == 4 ? 20 + 8 : 40 + 8) + (path->gate == TR_KIND_RELAY ? GENEVE_HEAD : 0));
}

#define VIA_RELAY 16

static uint8_t
family_of(const struct tr_endpoint *path)
{
	return (uint8_t)(path->family + (path->gate == TR_KIND_RELAY ? VIA_RELAY : 0));
}

static bool
is_of(const struct probe *b, const struct tr_endpoint *path)
{
	return b->family == family_of(path) && b->port == path->remote_port && memcmp(b->ip, path->remote, sizeof(b->ip)) == 0;
}

uint16_t
probe_payload(const struct tr_node *node, uint32_t id, const struct tr_endpoint *path)
{
	const struct probe *b = probe_of(node, id);
	return b->mtu != 0 && is_of(b, path) ? (uint16_t)(b->mtu - headers(path)) : 0;
}

void
probe_forget(struct tr_node *node, uint32_t id)
{
	node->host->crypto->wipe(probe_of(node, id), sizeof(struct probe));
}

/* No more answers are waited for. True: once more, at once. */
static bool
judge(struct probe *b)
{
	b->open = false;
	if (b->best >= b->mtu) {
		b->missed = false;
		return false;
	}
	if (b->missed && b->best != 0)
		b->mtu = b->best;
	b->missed = !b->missed;
	return b->missed;
}

static void
begin(struct tr_node *node, uint32_t id, struct peer *p, const struct tr_endpoint *to)
{
	struct probe *b = probe_of(node, id);
	node->host->crypto->random(b->txid, sizeof(b->txid));
	b->open = true;
	b->sent = *node->now;
	b->best = 0;
	uint16_t room = UINT16_MAX;
	for (uint8_t i = 0; i < SIZES && sizes[i] - headers(to) <= room; i++) {
		b->txid[0] = i;
		if (!send_probe(node, p, to, b->txid, (uint16_t)(sizes[i] - headers(to)), &room))
			break;
	}
}

void
probe_beat(struct tr_node *node, uint32_t id, struct peer *p, const struct tr_endpoint *path)
{
	struct probe *b = probe_of(node, id);
	const uint64_t now = *node->now;
	bool again = false;
	if (!is_of(b, path)) {
		probe_forget(node, id);
		b->family = family_of(path);
		b->port = path->remote_port;
		memcpy(b->ip, path->remote, sizeof(b->ip));
	}
	if (b->open && now >= b->sent + PING_TIMEOUT)
		again = judge(b);
	if (b->sent == 0 || again || now >= b->sent + PROBE_EVERY)
		begin(node, id, p, path);
}

bool
probe_answered(struct tr_node *node, uint32_t id, const uint8_t txid[DISCO_TXID])
{
	struct probe *b = probe_of(node, id);
	if (!b->open || txid[0] >= SIZES || memcmp(b->txid + 1, txid + 1, DISCO_TXID - 1) != 0)
		return false;
	if (sizes[txid[0]] > b->best)
		b->best = sizes[txid[0]];
	if (b->best > b->mtu)
		b->mtu = b->best;
	return true;
}
