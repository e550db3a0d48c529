/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <tailrace/packet.h>

/* Lies behind the mempool's head, where DPDK looks for a packet pool's private data. */
struct pool_private {
	struct rte_pktmbuf_pool_private mbuf;
	atomic_uint in_use;
};

static struct pool_private *
private_of(const struct rte_mempool *pool)
{
	return rte_mempool_get_priv((struct rte_mempool *)(uintptr_t)pool);
}

static int
no_alloc(struct rte_mempool *pool)
{
	return 0;
}

static struct rte_mbuf *
block_new(struct rte_mempool *pool)
{
	struct rte_mbuf *m;
	void *block = NULL;

	if (posix_memalign(&block, RTE_CACHE_LINE_SIZE, pool->elt_size) != 0)
		return NULL;
	m = block;
	memset(m, 0, sizeof(*m) + TR_PRIV_SIZE);
	m->priv_size = TR_PRIV_SIZE;
	m->buf_addr = (char *)m + sizeof(*m) + TR_PRIV_SIZE;
	m->buf_iova = (uintptr_t)m->buf_addr;
	m->buf_len = (uint16_t)(pool->elt_size - sizeof(*m) - TR_PRIV_SIZE);
	m->data_off = RTE_MIN(RTE_PKTMBUF_HEADROOM, m->buf_len);
	m->pool = pool;
	m->nb_segs = 1;
	m->port = RTE_MBUF_PORT_INVALID;
	rte_mbuf_refcnt_set(m, 1);
	return m;
}

static int
dequeue(struct rte_mempool *pool, void **obj, unsigned n)
{
	struct pool_private *priv = private_of(pool);

	if (atomic_fetch_add(&priv->in_use, n) + n > pool->size)
		goto fail;
	for (unsigned i = 0; i < n; i++) {
		obj[i] = block_new(pool);
		if (obj[i])
			continue;
		while (i > 0)
			free(obj[--i]);
		goto fail;
	}
	return 0;
fail:
	atomic_fetch_sub(&priv->in_use, n);
	return -ENOBUFS;
}

static int
enqueue(struct rte_mempool *pool, void *const *obj, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		pool_unguard(obj[i]);
		free(obj[i]);
	}
	atomic_fetch_sub(&private_of(pool)->in_use, n);
	return 0;
}

static unsigned
count_free(const struct rte_mempool *pool)
{
	return pool->size - pool_in_use(pool);
}

static const struct rte_mempool_ops heap_ops = {
	.name = "tailrace_heap",
	.alloc = no_alloc,
	.enqueue = enqueue,
	.dequeue = dequeue,
	.get_count = count_free,
};
static int heap_ops_index;

static void
register_ops(void)
{
	heap_ops_index = rte_mempool_register_ops(&heap_ops);
}

struct rte_mempool *
pool_new(const char *name, uint32_t n, uint16_t room)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	size_t size = RTE_ALIGN_CEIL(sizeof(struct rte_mempool) + sizeof(struct pool_private), RTE_CACHE_LINE_SIZE);
	struct rte_mempool *pool;
	struct pool_private *priv;

	pthread_once(&once, register_ops);
	if (heap_ops_index < 0)
		return NULL;
	pool = aligned_alloc(RTE_CACHE_LINE_SIZE, size);
	if (!pool)
		return NULL;
	memset(pool, 0, size);
	snprintf(pool->name, sizeof(pool->name), "%s", name);
	pool->size = pool->populated_size = n;
	pool->elt_size = (uint32_t)(sizeof(struct rte_mbuf) + TR_PRIV_SIZE + room);
	pool->socket_id = SOCKET_ID_ANY;
	pool->ops_index = heap_ops_index;
	pool->private_data_size = sizeof(*priv);
	STAILQ_INIT(&pool->elt_list);
	STAILQ_INIT(&pool->mem_list);
#ifdef TR_ASAN
	pool->flags |= TR_POOL_GUARDED;
#endif
	priv = private_of(pool);
	priv->mbuf.mbuf_data_room_size = room;
	priv->mbuf.mbuf_priv_size = TR_PRIV_SIZE;
	return pool;
}

void
pool_free(struct rte_mempool *pool)
{
	free(pool);
}

uint32_t
pool_in_use(const struct rte_mempool *pool)
{
	return atomic_load(&private_of(pool)->in_use);
}

#ifdef TR_ASAN
void
pool_guard(struct rte_mbuf *m)
{
	char *end = (char *)m->buf_addr + m->buf_len;
	char *data = rte_pktmbuf_mtod(m, char *);

	if (!(m->pool->flags & TR_POOL_GUARDED))
		return;
	__asan_poison_memory_region(m->buf_addr, (size_t)(data - (char *)m->buf_addr));
	__asan_unpoison_memory_region(data, m->data_len);
	__asan_poison_memory_region(data + m->data_len, (size_t)(end - data - m->data_len));
}

void
pool_unguard(struct rte_mbuf *m)
{
	if (m->pool->flags & TR_POOL_GUARDED)
		__asan_unpoison_memory_region(m->buf_addr, m->buf_len);
}
#else
void
pool_guard(struct rte_mbuf *m)
{
}

void
pool_unguard(struct rte_mbuf *m)
{
}
#endif
