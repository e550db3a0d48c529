/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Datagrams and packets at the gates of an instance that has a session. The first byte says how far the rest is helped
 * past the authentication that a fuzzer can't forge:
 *   0 a datagram as it is   1 its mac1 made right   2 sealed into a data message   3 a packet for the tunnel
 */
#include "wireguard.h"

#include <stdio.h>
#include <stdlib.h>

#include <tailrace/fakehost.h>

#define KEY_A "e06Qm75//kTEZaIgA31gjuNYl9Me+XLwf3SJLLD3PxM=" /* of 32 x 11 */
#define KEY_B "D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA=" /* of 32 x 22 */

extern const struct tr_plugin tr_plugin;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct fh *a, *b;

static struct fh *
side(uint8_t secret, const char *peer, int peer_octet)
{
	struct tr_secret s;
	char options[256], netmap[256];
	memset(s.b, secret, sizeof(s.b));
	snprintf(options, sizeof(options), "private_key: %s", fh_secret(s.b));
	snprintf(netmap, sizeof(netmap), "peers: {other: {public_key: %s, allowed_ips: [10.0.0.%d/32], endpoint: 192.0.2.%d:51820}}",
		peer, peer_octet, peer_octet);
	struct fh *h = fh_new(&(struct fh_config){.plugin = &tr_plugin, .name = secret == 0x11 ? "wga" : "wgb",
		.options = options, .netmap = netmap});
	if (!h)
		abort();
	return h;
}

static void
datagram(struct fh *to, const void *p, size_t len)
{
	uint8_t packet[28 + 2048] = {0x45, 0, (uint8_t)((len + 28) >> 8), (uint8_t)(len + 28), 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2,
		1, 192, 0, 2, 2, 0xca, 0x6c, 0xca, 0x6c, (uint8_t)((len + 8) >> 8), (uint8_t)(len + 8)};
	memcpy(packet + 28, p, len);
	fh_send(to, "cipher", packet, len + 28);
}

static void
carry(struct fh *from, struct fh *to)
{
	const struct fh_out *o;
	fh_run_jobs(from);
	while ((o = fh_next(from)))
		if (o->gate && strcmp(o->gate, "cipher") == 0)
			datagram(to, o->data, o->len);
}

static void
begin(void)
{
	static const uint8_t packet[] = {0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
	a = side(0x11, KEY_B, 2);
	b = side(0x22, KEY_A, 1);
	fh_send(a, "plain", packet, sizeof(packet));
	for (int i = 0; i < 3; i++) {
		carry(a, b);
		carry(b, a);
	}
	if (fh_counter(a, "sessions") != 1 || fh_counter(b, "sessions") != 1)
		abort();
}

static void
with_mac1(uint8_t *p, size_t len)
{
	const struct wg *wg = fh_self(b);
	struct message_macs *macs = (struct message_macs *)(p + len - sizeof(*macs));
	if (len == sizeof(struct message_initiation) || len == sizeof(struct message_response)) {
		const void *part = p;
		size_t n = len - sizeof(*macs);
		wg->crypto->blake2s(macs->mac1, 16, wg->identity->noise.mac1_key, 32, &part, &n, 1);
	}
	datagram(b, p, len);
}

static void
sealed(const uint8_t *p, size_t len)
{
	struct wg *wg = fh_self(a);
	struct sending *s = &hot_of(wg, 1)->send;
	uint8_t out[2048];
	struct message_data *m = (struct message_data *)out;
	*m = (struct message_data){.type = MESSAGE_DATA, .receiver = s->remote, .counter = s->counter++};
	wg->crypto->seal(m->data, s->key, m->counter, p, len, NULL, 0);
	datagram(b, out, sizeof(*m) + len + 16);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t copy[1600];
	if (!a)
		begin();
	if (len < 2 || len > 1500)
		return 0;
	memcpy(copy, data + 1, len - 1);
	switch (data[0] & 3) {
	case 0:
		datagram(b, copy, len - 1);
		break;
	case 1:
		with_mac1(copy, len - 1);
		break;
	case 2:
		sealed(copy, len - 1);
		break;
	default:
		fh_send(b, "plain", copy, len - 1);
	}
	fh_run_jobs(b);
	while (fh_next(b))
		;
	return 0;
}
