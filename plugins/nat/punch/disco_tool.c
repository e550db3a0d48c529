/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests/suites/interop-disco: opens and seals disco messages, a line in and a line out, all in hexadecimal.
 *
 *   open SECRET PEER DATAGRAM              ping TXID NODE PADDING · pong TXID IP PORT · call [IP PORT]… · other · bad
 *   ping SECRET PEER TXID NODE             the datagram
 *   pong SECRET PEER TXID IP PORT
 *   call SECRET PEER [IP PORT]…
 *
 * IP is 4 or 16 bytes, PORT a decimal number.
 */
#include "message.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static uint8_t secret[32], peer[32], shared[32];

static size_t
unhex(uint8_t *out, size_t size, const char *text)
{
	size_t n = 0;
	if (text == NULL || sodium_hex2bin(out, size, text, strlen(text), NULL, &n, NULL) != 0)
		return 0;
	return n;
}

static void
put_hex(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("%02x", p[i]);
}

static void
put_address(const struct tr_sockaddr *a)
{
	putchar(' ');
	put_hex(a->addr.ip, a->addr.family == 4 ? 4 : 16);
	printf(" %u", a->port);
}

static unsigned
addresses(struct tr_sockaddr *v)
{
	unsigned n = 0;
	char *ip, *port;
	while (n < DISCO_ADDRESSES && (ip = strtok(NULL, " \n")) != NULL && (port = strtok(NULL, " \n")) != NULL) {
		v[n] = (struct tr_sockaddr){.port = (uint16_t)atoi(port)};
		v[n].addr.family = unhex(v[n].addr.ip, sizeof(v[n].addr.ip), ip) == 4 ? 4 : 6;
		n++;
	}
	return n;
}

static void
open_one(void)
{
	static uint8_t data[70000];
	struct disco_message m;
	const size_t len = unhex(data, sizeof(data), strtok(NULL, " \n"));
	const int n = disco_is(data, len) && memcmp(disco_sender(data), peer, 32) == 0 ? disco_open(data, len, shared) : -1;
	if (n < 0 || !disco_parse(&m, data + DISCO_PAYLOAD, (size_t)n)) {
		puts("bad");
		return;
	}
	static const char *const names[] = {"other", "ping ", "pong ", "call"};
	fputs(names[m.type], stdout);
	if (m.type == DISCO_PING || m.type == DISCO_PONG)
		put_hex(m.txid, DISCO_TXID);
	if (m.type == DISCO_PING) {
		putchar(' ');
		put_hex(m.node, m.has_node ? DISCO_KEY : 0);
		printf(" %u", m.padding);
	}
	for (uint16_t i = 0; i < m.n; i++)
		put_address(&m.address[i]);
	putchar('\n');
}

static void
seal_one(const char *kind)
{
	uint8_t data[DISCO_MAX], own[32], nonce[DISCO_NONCE], txid[DISCO_TXID] = {0}, node[32] = {0};
	struct tr_sockaddr v[DISCO_ADDRESSES];
	size_t n;
	disco_public(own, secret);
	randombytes_buf(nonce, sizeof(nonce));
	if (strcmp(kind, "call") != 0)
		unhex(txid, sizeof(txid), strtok(NULL, " \n"));
	if (strcmp(kind, "ping") == 0) {
		unhex(node, sizeof(node), strtok(NULL, " \n"));
		n = disco_ping(data + DISCO_PAYLOAD, txid, node);
	} else {
		const unsigned count = addresses(v);
		n = strcmp(kind, "pong") == 0 ? disco_pong(data + DISCO_PAYLOAD, txid, &v[0])
					      : disco_call_me_maybe(data + DISCO_PAYLOAD, v, count);
	}
	put_hex(data, disco_seal(data, n, own, nonce, shared));
	putchar('\n');
}

int
main(void)
{
	static char line[200000];
	while (fgets(line, sizeof(line), stdin) != NULL) {
		const char *kind = strtok(line, " \n");
		if (kind == NULL || unhex(secret, 32, strtok(NULL, " \n")) != 32 || unhex(peer, 32, strtok(NULL, " \n")) != 32 ||
			!disco_shared(shared, secret, peer))
			return 1;
		if (strcmp(kind, "open") == 0)
			open_one();
		else
			seal_one(kind);
		fflush(stdout);
	}
	return 0;
}
