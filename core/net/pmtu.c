/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/pmtu.h"

#include <tailrace/reader.h>

#define PROBE 8 /* entries that an address may lie in */

/* Written under `busy`; seq is odd meanwhile. */
struct entry {
	_Atomic uint32_t seq;
	_Atomic uint32_t mtu; /* 0: free */
	_Atomic uint64_t word[3]; /* family, address */
	_Atomic uint64_t until;
};

_Atomic uint32_t pmtu_known;
static struct entry table[PMTU_ENTRIES];
static atomic_flag busy = ATOMIC_FLAG_INIT;


static void
words_of(const struct tr_addr *a, uint64_t w[3])
{
	w[0] = a->family;
	memcpy(w + 1, a->ip, 16);
	if (a->family == 4) {
		w[1] = 0;
		w[2] = 0;
		memcpy(w + 1, a->ip, 4);
	}
}

static unsigned
home(const uint64_t w[3])
{
	return (unsigned)ip_hash((const uint8_t *)(w + 1), w[0]) % PMTU_ENTRIES;
}

/* false: being written; as good as not there. */
static bool
read_entry(struct entry *e, uint64_t w[3], uint32_t *mtu, uint64_t *until)
{
	uint32_t seq = atomic_load_explicit(&e->seq, memory_order_acquire);
	for (unsigned i = 0; i < 3; i++)
		w[i] = atomic_load_explicit(&e->word[i], memory_order_acquire);
	*mtu = atomic_load_explicit(&e->mtu, memory_order_acquire);
	*until = atomic_load_explicit(&e->until, memory_order_acquire);
	return seq % 2 == 0 && atomic_load_explicit(&e->seq, memory_order_relaxed) == seq;
}

static void
write_entry(struct entry *e, const uint64_t w[3], uint32_t mtu, uint64_t until)
{
	uint32_t seq = atomic_load_explicit(&e->seq, memory_order_relaxed);
	atomic_store_explicit(&e->seq, seq + 1, memory_order_relaxed);
	for (unsigned i = 0; i < 3; i++) /* release: whoever reads one of these sees that seq is odd */
		atomic_store_explicit(&e->word[i], w[i], memory_order_release);
	atomic_store_explicit(&e->until, until, memory_order_release);
	atomic_store_explicit(&e->mtu, mtu, memory_order_release);
	atomic_store_explicit(&e->seq, seq + 2, memory_order_release);
}

uint16_t
pmtu_look_up(const struct tr_addr *to, uint64_t now)
{
	uint64_t want[3], w[3], until;
	uint32_t mtu;
	words_of(to, want);
	for (unsigned i = 0, at = home(want); i < PROBE; i++)
		if (read_entry(&table[(at + i) % PMTU_ENTRIES], w, &mtu, &until) && memcmp(w, want, sizeof(w)) == 0)
			return until > now ? (uint16_t)mtu : 0;
	return 0;
}

void
pmtu_learn(const struct tr_addr *to, uint32_t mtu, uint64_t now)
{
	const uint32_t least = to->family == 4 ? PMTU_MIN4 : PMTU_MIN6;
	uint64_t want[3], w[3], until, oldest = UINT64_MAX;
	struct entry *e = NULL;
	uint32_t had;
	if (mtu < least)
		mtu = least;
	if (mtu > UINT16_MAX || atomic_flag_test_and_set_explicit(&busy, memory_order_acquire))
		return;
	words_of(to, want);
	for (unsigned i = 0, at = home(want); i < PROBE; i++) { /* its own, else the one that ends first */
		struct entry *x = &table[(at + i) % PMTU_ENTRIES];
		read_entry(x, w, &had, &until);
		if (memcmp(w, want, sizeof(w)) == 0) {
			e = until > now && had < mtu ? NULL : x;
			break;
		}
		if (until < oldest) {
			oldest = until;
			e = x;
		}
	}
	if (e != NULL) {
		write_entry(e, want, mtu, now + PMTU_AGE_NS);
		atomic_fetch_add_explicit(&pmtu_known, 1, memory_order_relaxed);
	}
	atomic_flag_clear_explicit(&busy, memory_order_release);
}

/* RFC 1191 §7: what the router may have meant that said 0. */
static uint32_t
plateau(uint32_t len)
{
	static const uint16_t below[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, PMTU_MIN4};
	unsigned i = 0;
	while (i + 1 < sizeof(below) / sizeof(*below) && below[i] >= len)
		i++;
	return below[i];
}

bool
pmtu_read(const uint8_t *p, const struct ip_view *v, bool (*owns)(const void *arg, uint8_t version, const uint8_t *a),
	const void *arg, struct tr_addr *to, uint32_t *mtu)
{
	const bool v4 = v->version == 4;
	struct tr_reader r = tr_reader(p + v->l3_len, v->len - v->l3_len);
	uint8_t type = tr_u8(&r), code = tr_u8(&r);
	tr_be16(&r);
	uint32_t word = tr_be32(&r);
	const uint8_t *quoted = tr_take(&r, v4 ? IPV4_LEN : IPV6_LEN);
	if (r.bad || (v4 ? type != 3 || code != 4 : type != 2) || quoted[0] >> 4 != v->version)
		return false;
	if ((v4 ? quoted[9] : quoted[6]) != IP_UDP || !owns(arg, v->version, ip_src(quoted)))
		return false;
	const uint32_t len = v4 ? get_be16(quoted + 2) : IPV6_LEN + (uint32_t)get_be16(quoted + 4);
	*to = (struct tr_addr){.family = v->version};
	memcpy(to->ip, ip_dst(quoted), v4 ? 4 : 16);
	*mtu = v4 ? word & 0xffff : word;
	if (v4 && *mtu == 0)
		*mtu = plateau(len);
	return *mtu < len; /* else it says nothing, or lies */
}

void
pmtu_each(uint64_t now, void (*fn)(void *arg, const struct tr_addr *to, uint16_t mtu, uint64_t until), void *arg)
{
	for (unsigned i = 0; i < PMTU_ENTRIES; i++) {
		uint64_t w[3], until;
		uint32_t mtu;
		if (!read_entry(&table[i], w, &mtu, &until) || mtu == 0 || until <= now)
			continue;
		struct tr_addr to = {.family = (uint8_t)w[0]};
		memcpy(to.ip, w + 1, 16);
		fn(arg, &to, (uint16_t)mtu, until);
	}
}
