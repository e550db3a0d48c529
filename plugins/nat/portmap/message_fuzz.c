/* SPDX-License-Identifier: BSD-3-Clause */
/* A datagram from port 5351. What is accepted as a mapping of PCP must be a mapping still when asked for again. */
#include "message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct portmap_answer a;
	uint8_t request[PORTMAP_REQUEST_MAX];
	if (!portmap_parse(&a, data, len))
		return 0;
	if (a.kind == PORTMAP_REFUSAL && a.result == 0)
		abort();
	struct portmap_request r = {.lifetime = a.lifetime, .internal_port = a.internal_port, .external_port = a.external_port,
		.external = a.external};
	size_t size = portmap_map(request, a.version, &r);
	if (size != (a.version == PCP ? 60 : 12))
		abort();
	return 0;
}
