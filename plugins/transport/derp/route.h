/* SPDX-License-Identifier: BSD-3-Clause */
/* By which region a key was last heard: its answers may go there while no connection to its home is open. One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#define ROUTES_MAX 65536 /* beyond it nothing new is learned until some are gone */

struct learned {
	uint8_t key[32];
	uint16_t region;
	UT_hash_handle hh;
};

struct routes {
	struct learned *table;
};

void route_learn(struct routes *t, const uint8_t key[32], uint16_t region);
uint16_t route_find(const struct routes *t, const uint8_t key[32]); /* 0: none */
void route_forget(struct routes *t, const uint8_t key[32], uint16_t region); /* if it is that one */
void route_forget_region(struct routes *t, uint16_t region);                 /* 0: all */
