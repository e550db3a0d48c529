/* SPDX-License-Identifier: BSD-3-Clause */
/* Prints `peers:` of a netmap for the first N sessions of a pktgen instance; or the public key of a private one. */
#include "../../plugins/features/pktgen/pktgen.h"
#include "crypto/aead.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static const char *
base64(const uint8_t key[32])
{
	static char text[sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_ORIGINAL)];

	return sodium_bin2base64(text, sizeof(text), key, 32, sodium_base64_VARIANT_ORIGINAL);
}

static int
public_of_stdin(void)
{
	uint8_t secret[32], public_key[32];
	char line[64];
	size_t n;

	if (!fgets(line, sizeof(line), stdin) ||
		sodium_base642bin(secret, 32, line, strlen(line), "\n", &n, NULL, sodium_base64_VARIANT_ORIGINAL) != 0 || n != 32)
		return 1;
	core_crypto.public_key(public_key, secret);
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(line, sizeof(line));
	puts(base64(public_key));
	return 0;
}

static void
print_peers(uint64_t seed, uint32_t sessions, const struct tr_addr *inside)
{
	uint8_t secret[32], public_key[32];
	char text[INET6_ADDRSTRLEN];

	printf("  peers:\n");
	for (uint32_t n = 0; n < sessions; n++) {
		struct tr_addr a = probe_address(inside, n);
		session_secret(&core_crypto, seed, n, secret);
		core_crypto.public_key(public_key, secret);
		inet_ntop(a.family == 4 ? AF_INET : AF_INET6, a.ip, text, sizeof(text));
		printf("    p%u: {public_key: %s, allowed_ips: [%s/%d]}\n", n, base64(public_key), text, a.family == 4 ? 32 : 128);
	}
}

int
main(int argc, char **argv)
{
	struct tr_addr inside = {.family = 4};

	if (crypto_init() != 0)
		return 1;
	if (argc == 2 && strcmp(argv[1], "--public") == 0)
		return public_of_stdin();
	if (argc == 4 && inet_pton(AF_INET, argv[3], inside.ip) != 1)
		inside.family = inet_pton(AF_INET6, argv[3], inside.ip) == 1 ? 6 : 0;
	if (argc != 4 || inside.family == 0) {
		fprintf(stderr, "usage: %s SEED SESSIONS FIRST_ADDRESS | %s --public < PRIVATE_KEY\n", argv[0], argv[0]);
		return 2;
	}
	print_peers(strtoull(argv[1], NULL, 10), (uint32_t)strtoul(argv[2], NULL, 10), &inside);
	return 0;
}
