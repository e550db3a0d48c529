/* SPDX-License-Identifier: BSD-3-Clause */
/* Prints `peers:` of a netmap for the first N sessions of a pktgen instance. */
#include "../../plugins/features/pktgen/pktgen.h"
#include "crypto/aead.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

int
main(int argc, char **argv)
{
	struct tr_addr inside = {.family = 4};
	uint8_t secret[32], public_key[32];
	char key[sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_ORIGINAL)], text[INET6_ADDRSTRLEN];

	if (argc != 4 || crypto_init() != 0)
		goto usage;
	if (inet_pton(AF_INET, argv[3], inside.ip) != 1) {
		inside.family = 6;
		if (inet_pton(AF_INET6, argv[3], inside.ip) != 1)
			goto usage;
	}
	printf("  peers:\n");
	for (uint32_t n = 0; n < (uint32_t)strtoul(argv[2], NULL, 10); n++) {
		struct tr_addr a = probe_address(&inside, n);
		session_secret(&core_crypto, strtoull(argv[1], NULL, 10), n, secret);
		core_crypto.public_key(public_key, secret);
		sodium_bin2base64(key, sizeof(key), public_key, 32, sodium_base64_VARIANT_ORIGINAL);
		inet_ntop(a.family == 4 ? AF_INET : AF_INET6, a.ip, text, sizeof(text));
		printf("    p%u: {public_key: %s, allowed_ips: [%s/%d]}\n", n, key, text, a.family == 4 ? 32 : 128);
	}
	return 0;
usage:
	fprintf(stderr, "usage: %s SEED SESSIONS FIRST_ADDRESS\n", argv[0]);
	return 2;
}
