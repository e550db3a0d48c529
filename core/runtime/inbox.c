/* SPDX-License-Identifier: BSD-3-Clause */
#include "inbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool
inbox_init(struct inbox *q, uint32_t size)
{
	assert(size >= 2 && (size & (size - 1)) == 0);
	memset(q, 0, sizeof(*q));
	q->cell = calloc(size, sizeof(*q->cell));
	if (!q->cell)
		return false;
	q->mask = size - 1;
	for (uint32_t i = 0; i < size; i++)
		atomic_init(&q->cell[i].seq, i);
	return true;
}

void
inbox_fini(struct inbox *q)
{
	free(q->cell);
	q->cell = NULL;
}
