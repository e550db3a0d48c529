/* SPDX-License-Identifier: BSD-3-Clause */
#include "derp_client.h"

#include "../../plugins/transport/derp/frame.h"
#include "../../plugins/transport/derp/head.h"
#include "../../plugins/transport/derp/info.h"
#include "../../plugins/transport/derp/tls.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
derp_die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(1);
}

SSL_CTX *
derp_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, 65536);
	return ctx;
}

void
derp_read(struct derp_client *c, uint8_t *out, size_t n)
{
	size_t got;
	for (; n > 0; out += got, n -= got)
		if (SSL_read_ex(c->ssl, out, n, &got) != 1)
			derp_die("the relay closes");
}

void
derp_write(struct derp_client *c, const void *data, size_t n)
{
	size_t done;
	if (SSL_write_ex(c->ssl, data, n, &done) != 1)
		derp_die("write");
}

static void
shake_hands(struct derp_client *c, const uint8_t secret[32])
{
	uint8_t shared[32], relay[32], hello[HEAD_ANSWER + FRAME_HEADER + INFO_MAX], answer[FRAME_HEADER + 1024];
	struct info_client info = {.can_ack_pings = true};
	crypto_scalarmult_base(c->public_key, secret);
	memcpy(info.key, c->public_key, 32);
	if (!tls_meta_key(c->ssl, relay) || !info_shared(shared, relay, secret))
		derp_die("no key in the certificate");
	const size_t at = head_request((char *)hello, "relay.test", true, NULL);
	const size_t n = info_seal_client(hello + at + FRAME_HEADER, &info, shared);
	frame_header(hello + at, FRAME_CLIENT_INFO, (uint32_t)n);
	derp_write(c, hello, at + FRAME_HEADER + n);
	derp_read(c, answer, FRAME_HEADER + 8 + 32);
	if (answer[0] != FRAME_SERVER_KEY)
		derp_die("upgrade");
	derp_read(c, answer, FRAME_HEADER);
	derp_read(c, answer + FRAME_HEADER, (size_t)answer[3] << 8 | answer[4]);
}

void
derp_join(struct derp_client *c, SSL_CTX *ctx, const struct sockaddr_in *relay, const uint8_t secret[32])
{
	const int on = 1;
	uint8_t random[32];
	*c = (struct derp_client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)relay, sizeof(*relay)) != 0)
		derp_die("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->ssl = SSL_new(ctx);
	SSL_set_fd(c->ssl, c->fd);
	SSL_set_tlsext_host_name(c->ssl, "relay.test");
	if (SSL_connect(c->ssl) != 1)
		derp_die("TLS");
	randombytes_buf(random, sizeof(random));
	shake_hands(c, secret ? secret : random);
}

void
derp_leave(struct derp_client *c)
{
	SSL_free(c->ssl);
	close(c->fd);
	free(c->in);
}
