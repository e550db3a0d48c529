/* SPDX-License-Identifier: BSD-3-Clause */
#include "replay.h"

#include "probe.h"

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <tailrace/reader.h>

#define ETHERNET 14
#define VLAN_TAG 4

/* Where the IP packet begins in a frame, and where it ends. */
static bool
find_ip(int link, const uint8_t *data, size_t len, struct tr_reader *r)
{
	*r = tr_reader(data, len);
	if (link == DLT_EN10MB) {
		const uint8_t *head = tr_take(r, ETHERNET);
		uint16_t type = head ? (uint16_t)(head[12] << 8 | head[13]) : 0;
		while (type == 0x8100 || type == 0x88a8) {
			const uint8_t *tag = tr_take(r, VLAN_TAG);
			type = tag ? (uint16_t)(tag[2] << 8 | tag[3]) : 0;
		}
		if (type != 0x0800 && type != 0x86dd)
			return false;
	}
	return r->end > r->p;
}

/* The packet's own length, without the frame's padding; false: cut short or nonsense. */
static bool
measure_ip(struct tr_reader *r, struct recorded *p)
{
	const size_t left = (size_t)(r->end - r->p);
	const uint8_t *h = r->p;
	size_t len;

	if (left < 20)
		return false;
	if (h[0] >> 4 == 4) {
		p->l3_len = (uint8_t)((h[0] & 15) * 4);
		p->l4 = h[9];
		len = (size_t)h[2] << 8 | h[3];
		if (p->l3_len < 20)
			return false;
	} else {
		if (h[0] >> 4 != 6 || left < 40)
			return false;
		p->l4 = h[6];
		p->l3_len = p->l4 == 6 || p->l4 == 17 || p->l4 == 58 ? 40 : 0; /* behind other headers it is not looked for */
		len = ((size_t)h[4] << 8 | h[5]) + 40;
	}
	if (len > left || len > PROBE_MAX || len < p->l3_len)
		return false;
	p->ip = h;
	p->len = (uint16_t)len;
	return true;
}

/* One more packet behind the others; false: no memory for it. */
static bool
append(struct replay *r, uint64_t *used, uint64_t *room, const struct recorded *p)
{
	if ((r->n & (r->n - 1)) == 0) { /* full: a power of two */
		struct recorded *more = realloc(r->packet, (r->n ? 2ull * r->n : 1) * sizeof(*more));
		if (!more)
			return false;
		r->packet = more;
	}
	if (*used + p->len > *room) {
		*room = *room ? *room * 2 : 1 << 20;
		uint8_t *more = *room <= REPLAY_BYTES_MAX ? realloc(r->bytes, *room) : NULL;
		if (!more)
			return false;
		r->bytes = more;
	}
	memcpy(r->bytes + *used, p->ip, p->len);
	r->packet[r->n++] = *p;
	*used += p->len;
	return true;
}

static bool
read_all(pcap_t *in, struct replay *r)
{
	struct pcap_pkthdr *head;
	const u_char *data;
	uint64_t used = 0, room = 0, first = 0;
	struct tr_reader ip;

	while (pcap_next_ex(in, &head, &data) == 1) {
		struct recorded p = {0};
		uint64_t at = (uint64_t)head->ts.tv_sec * 1000000000u + (uint64_t)head->ts.tv_usec; /* asked for as nanoseconds */
		if (!find_ip(pcap_datalink(in), data, head->caplen, &ip) || !measure_ip(&ip, &p)) {
			r->skipped++;
			continue;
		}
		first = r->n == 0 ? at : first;
		p.at = at > first ? at - first : 0;
		if (r->n > 0 && p.at < r->packet[r->n - 1].at)
			p.at = r->packet[r->n - 1].at;
		if (!append(r, &used, &room, &p))
			return false;
	}
	for (uint64_t i = 0, at = 0; i < r->n; at += r->packet[i++].len) /* they have moved while they grew */
		r->packet[i].ip = r->bytes + at;
	return true;
}

struct replay *
replay_read(const char *path, char *why, size_t size)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *in = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, error);
	struct replay *r = in ? calloc(1, sizeof(*r)) : NULL;

	if (!in) {
		snprintf(why, size, "%.200s", error);
		return NULL;
	}
	const int link = pcap_datalink(in);
	if (link != DLT_EN10MB && link != DLT_RAW)
		snprintf(why, size, "%s: neither Ethernet nor raw IP", path);
	else if (!r || !read_all(in, r))
		snprintf(why, size, "%s: no memory for it, or larger than %u MiB", path, (unsigned)(REPLAY_BYTES_MAX >> 20));
	else if (r->n == 0)
		snprintf(why, size, "%s: no whole IP packet in it", path);
	else {
		const uint64_t last = r->packet[r->n - 1].at;
		r->span = r->n > 1 ? last + last / (r->n - 1) : 1000000000;
		if (r->span == 0)
			r->span = 1;
		pcap_close(in);
		return r;
	}
	pcap_close(in);
	replay_free(r);
	return NULL;
}

void
replay_free(struct replay *r)
{
	if (!r)
		return;
	free(r->packet);
	free(r->bytes);
	free(r);
}
