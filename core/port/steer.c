/* SPDX-License-Identifier: BSD-3-Clause */
#include "steer.h"

#include "../runtime/log.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <rte_flow.h>
#include <stdio.h>
#include <string.h>

static struct {
	struct steer_rule rule;
	unsigned wanted; /* times; 0: free */
} table[STEER_RULES];

static bool
same(const struct steer_rule *a, const struct steer_rule *b)
{
	return a->to.family == b->to.family && memcmp(a->to.ip, b->to.ip, a->to.family == 4 ? 4 : 16) == 0 &&
	       a->protocol == b->protocol && a->from == b->from && a->last == b->last;
}

void
steer_want(const struct steer_rule *r, bool wanted)
{
	unsigned i = 0, at = STEER_RULES;
	for (; i < STEER_RULES && !(table[i].wanted && same(&table[i].rule, r)); i++)
		if (!table[i].wanted && at == STEER_RULES)
			at = i;
	at = i < STEER_RULES ? i : at;
	if (wanted && at < STEER_RULES) {
		table[at].rule = *r;
		table[at].wanted++;
	} else if (!wanted && i < STEER_RULES) {
		table[i].wanted--;
	}
}

static void
describe(const struct steer_rule *r, char *out, size_t size)
{
	char to[INET6_ADDRSTRLEN], protocol[16], ports[16] = "";
	inet_ntop(r->to.family == 4 ? AF_INET : AF_INET6, r->to.ip, to, sizeof(to));
	snprintf(protocol, sizeof(protocol), "%u", r->protocol);
	if (r->from != 0)
		snprintf(ports, sizeof(ports), r->last != r->from ? "/%u-%u" : "/%u", r->from, r->last);
	snprintf(out, size, "%s%s to %s", r->protocol == IPPROTO_TCP ? "tcp" : r->protocol == IPPROTO_UDP ? "udp" : protocol, ports, to);
}

/* Ethernet, the address, and a protocol or its ports. */
struct pattern {
	struct rte_flow_item item[4];
	struct rte_flow_item_ipv4 v4, v4_mask;
	struct rte_flow_item_ipv6 v6, v6_mask;
	/* UDP's ports lie where TCP's do. */
	struct rte_flow_item_tcp from, last, mask;
};

static void
fill(struct pattern *p, const struct steer_rule *r)
{
	*p = (struct pattern){.item = {{.type = RTE_FLOW_ITEM_TYPE_ETH}}};
	if (r->to.family == 4) {
		memcpy(&p->v4.hdr.dst_addr, r->to.ip, 4);
		p->v4_mask.hdr.dst_addr = UINT32_MAX;
		p->v4.hdr.next_proto_id = r->protocol;
		p->v4_mask.hdr.next_proto_id = UINT8_MAX;
		p->item[1] = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_IPV4, .spec = &p->v4, .mask = &p->v4_mask};
	} else {
		memcpy(p->v6.hdr.dst_addr, r->to.ip, 16);
		memset(p->v6_mask.hdr.dst_addr, 0xff, 16);
		p->v6.hdr.proto = r->protocol;
		p->v6_mask.hdr.proto = UINT8_MAX;
		p->item[1] = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_IPV6, .spec = &p->v6, .mask = &p->v6_mask};
	}
	p->item[2].type = RTE_FLOW_ITEM_TYPE_END;
	if (r->from == 0)
		return;
	p->from.hdr.dst_port = htons(r->from);
	p->last.hdr.dst_port = htons(r->last);
	p->mask.hdr.dst_port = UINT16_MAX;
	p->item[2] = (struct rte_flow_item){
		.type = r->protocol == IPPROTO_TCP ? RTE_FLOW_ITEM_TYPE_TCP : RTE_FLOW_ITEM_TYPE_UDP,
		.spec = &p->from, .last = r->last != r->from ? &p->last : NULL, .mask = &p->mask};
	p->item[3].type = RTE_FLOW_ITEM_TYPE_END;
}

static struct rte_flow *
ask(uint16_t device, const struct steer_rule *r, char *why, size_t size)
{
	const struct rte_flow_attr attr = {.ingress = 1};
	const struct rte_flow_action_queue queue = {.index = STEER_QUEUE};
	const struct rte_flow_action action[] = {{.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &queue}, {.type = RTE_FLOW_ACTION_TYPE_END}};
	struct rte_flow_error error = {0};
	struct rte_flow *flow = NULL;
	struct pattern p;
	fill(&p, r);
	const int rc = rte_flow_validate(device, &attr, p.item, action, &error);
	if (rc == 0)
		flow = rte_flow_create(device, &attr, p.item, action, &error);
	why[0] = '\0';
	if (flow == NULL)
		snprintf(why, size, "%s", rc == -ENOSYS ? "the driver takes no rules" : error.message != NULL ? error.message : "refused");
	return flow;
}

void
steer_device(struct steer *s, uint16_t device, const char *port)
{
	struct rte_flow_error error;
	char text[80];
	for (unsigned i = 0; i < STEER_RULES; i++) {
		if (table[i].wanted == 0) {
			if (s->rule[i].flow != NULL && rte_flow_destroy(device, s->rule[i].flow, &error) != 0)
				log_warning("port", "%s: the NIC keeps a rule for the kernel's flows that it should forget", port);
			memset(&s->rule[i], 0, sizeof(s->rule[i]));
			continue;
		}
		if (s->rule[i].asked)
			continue;
		s->rule[i].asked = true;
		s->rule[i].flow = ask(device, &table[i].rule, s->rule[i].why, sizeof(s->rule[i].why));
		describe(&table[i].rule, text, sizeof(text));
		if (s->rule[i].flow != NULL)
			log_info("port", "%s: the NIC puts %s into queue %d", port, text, STEER_QUEUE);
		else
			log_info("port", "%s: %s goes where the rest goes (%s)", port, text, s->rule[i].why);
	}
}

bool
steer_see(const struct steer *s, unsigned i, struct steer_seen *out)
{
	unsigned k = 0;
	for (; k < STEER_RULES; k++)
		if (table[k].wanted != 0 && i-- == 0)
			break;
	if (k == STEER_RULES)
		return false;
	describe(&table[k].rule, out->rule, sizeof(out->rule));
	out->in_nic = s->rule[k].flow != NULL;
	out->why = out->in_nic ? NULL : s->rule[k].why;
	return true;
}
