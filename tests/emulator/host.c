/* SPDX-License-Identifier: BSD-3-Clause */
/* What libsodium makes of the same bursts. */
#include "digest.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

extern const struct aead_engine aead_sodium;

int
main(void)
{
	uint64_t digest[DIGESTS];
	if (sodium_init() < 0)
		return 1;
	void *worker = aead_sodium.worker_new();
	digest_engine(&aead_sodium, worker, digest);
	printf("%s", aead_sodium.name);
	for (unsigned i = 0; i < DIGESTS; i++)
		printf(" %016" PRIx64, digest[i]);
	puts("");
	aead_sodium.worker_free(worker);
	return 0;
}
