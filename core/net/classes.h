/* SPDX-License-Identifier: BSD-3-Clause */
/* The classes of the core: used in pipeline.yaml like a plugin's. */
#pragma once

#include <tailrace/plugin.h>

extern const struct tr_class class_interface, class_mux, class_route, class_path, class_drop, class_host;
extern const struct tr_class *const core_classes[]; /* NULL-terminated; also declared in plugin/loader.h */

/* Prefixes of one routing table (appliance.cfg's limits.routes): set before the first instance is made. */
extern uint32_t route_limit;

/* Trace formatters: "IPv4 192.0.2.1 -> 198.51.100.2 UDP 5000 -> 3478, 48 bytes, TTL 64". Control thread. */
void trace_ip(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size);
/* The endpoint of a payload and its length. */
void trace_endpoint(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size);
