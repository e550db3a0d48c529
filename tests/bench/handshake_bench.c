/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A handshake's cost on a job thread against the scalar multiplications that Noise_IKpsk2 asks of that side: the
 * responder's, who opens an initiation and answers it, and the initiator's, who makes one and takes the answer.
 */
#include "../../plugins/transport/wireguard/noise.h"
#include "bench.h"
#include "crypto/aead.h"

#include <stdlib.h>
#include <string.h>

static const struct tr_crypto *const c = &core_crypto;

struct sides {
	struct noise_identity initiator, responder;
	struct noise_handshake half; /* the initiator's, after the first message */
	struct message_initiation first;
	struct message_response second;
	uint8_t psk[32], stamp[NOISE_STAMP];
};

static void
identity(struct noise_identity *id)
{
	struct tr_secret secret;
	uint8_t public[32];

	c->keypair(secret.b, public);
	noise_identity(c, id, &secret);
}

static uint64_t
respond(void *arg, uint64_t ops)
{
	struct sides *s = arg;

	for (; ops > 0; ops--) {
		struct noise_handshake hs;
		struct noise_keys keys;
		uint8_t peer[32], stamp[NOISE_STAMP];
		if (!noise_open_static(c, &s->responder, &s->first, &hs, peer) ||
			!noise_open_stamp(c, &s->responder, &s->first, peer, &hs, stamp) ||
			!noise_response(c, &hs, peer, s->psk, 1, &s->second, &keys))
			abort();
	}
	return 0;
}

static uint64_t
initiate(void *arg, uint64_t ops)
{
	struct sides *s = arg;

	for (; ops > 0; ops--) {
		struct noise_handshake hs, half = s->half;
		struct message_initiation first;
		struct noise_keys keys;
		if (!noise_initiation(c, &s->initiator, s->responder.public_key, s->stamp, &hs, &first) ||
			!noise_finish(c, &s->initiator, &half, s->psk, &s->second, &keys))
			abort();
	}
	return 0;
}

/* Both sides: an ephemeral key, and es, ss, ee, se. */
static uint64_t
multiply(void *arg, uint64_t ops)
{
	struct sides *s = arg;

	for (; ops > 0; ops--) {
		uint8_t secret[32], public[32], shared[32];
		c->keypair(secret, public);
		for (int i = 0; i < 4; i++)
			if (!c->dh(shared, secret, s->responder.public_key))
				abort();
	}
	return 0;
}

int
main(int argc, char **argv)
{
	static struct sides s;

	bench_init("handshake", argc, argv);
	if (crypto_init() != 0)
		return 2;
	identity(&s.initiator);
	identity(&s.responder);
	if (!noise_initiation(c, &s.initiator, s.responder.public_key, s.stamp, &s.half, &s.first))
		return 2;
	respond(&s, 1);
	struct bench_result r = bench_pair(&(struct bench_pair){.figure = "responder", .op = "handshake",
		.ours = {"noise", respond, &s}, .reference = {"5 multiplications", multiply, &s}, .goal = "<= 1.3"});
	if (r.ours > 0)
		bench_value("responder, handshakes a second and core", bench_ghz() * 1e9 / r.ours, "1/s", "");
	bench_pair(&(struct bench_pair){.figure = "initiator", .op = "handshake", .ours = {"noise", initiate, &s},
		.reference = {"5 multiplications", multiply, &s}, .goal = "<= 1.3"});
	return bench_end();
}
