/* SPDX-License-Identifier: BSD-3-Clause */
/* Peers with sessions that no handshake made: state blocks are written as the plugin keeps them, which never changes. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <tailrace/types.h>
#include <tailrace/udp.h>

struct session {
	uint8_t public_key[32];       /* nobody's */
	uint8_t seals[32], opens[32]; /* what the gateway does with the key */
	uint32_t theirs;
	uint64_t counter;             /* of who sends to the gateway */
};

struct tr_addr session_inside(uint32_t peer); /* its address in the tunnel */
/* n sessions with random keys; ends the process when there is no memory. Caller frees. */
struct session *session_new(uint32_t n);
/* Makes a private key's file from a template of mkstemp(); ends the process when it can't. Caller removes it. */
void session_key_file(char *path);
/* The peers as lines of a netmap's `peers`. */
void session_list(FILE *f, const struct session *s, uint32_t n);
/* Opens that of peer number `peer` on instance wg0 by hand, after box_start(); `e` is where the peer is. */
void session_open(struct session *s, uint32_t peer, const struct tr_endpoint *e);
