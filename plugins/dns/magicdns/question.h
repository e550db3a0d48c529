/* SPDX-License-Identifier: BSD-3-Clause */
/* A DNS query with its one question (RFC 1035, EDNS of RFC 6891), and the names of reverse look-ups. No state, no I/O. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tailrace/types.h>

#define DNS_HEADER 12
#define DNS_NAME_MAX 255
#define DNS_ROOM_PLAIN 512 /* largest answer for a client without EDNS */
#define DNS_ROOM_EDNS 1232 /* and with: what fits into the smallest IPv6 path unfragmented */
#define DNS_OPT_SIZE 11

enum dns_flag { /* second 16-bit word of a message */
	DNS_QR = 0x8000,
	DNS_OPCODE = 0x7800,
	DNS_AA = 0x0400,
	DNS_TC = 0x0200,
	DNS_RD = 0x0100,
	DNS_RA = 0x0080,
	DNS_AD = 0x0020,
	DNS_CD = 0x0010,
	DNS_RCODE = 0x000f,
};

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_BADVERS = 16,
};

enum dns_type { DNS_A = 1, DNS_SOA = 6, DNS_PTR = 12, DNS_AAAA = 28, DNS_OPT = 41, DNS_ANY = 255 };
enum dns_class { DNS_IN = 1 };

#define QUESTION_STEP 16 /* bytes of a name that are folded to lower case at once */

struct question {
	uint16_t flags, type, class_;
	uint16_t end;  /* where the question section ends, from the start of the message */
	uint16_t room; /* largest answer that the client takes */
	bool edns, dnssec_ok;
	uint8_t name_len;       /* of the name as it stands in the message, at DNS_HEADER */
	uint8_t text_len;
	char lead[QUESTION_STEP]; /* question_parse()'s */
	char text[DNS_NAME_MAX + 1]; /* lower case, labels joined by dots; not terminated. A dot inside a label becomes 0x7f */
};

/* Never answered: no header, or a message that is itself an answer. */
#define QUESTION_SHORT (-1)
#define QUESTION_NOT_QUERY (-2)

/* DNS_NOERROR; another rcode to refuse the query with (q is fit for answer_error()); or one of the two above. */
int question_parse(struct question *q, const void *msg, size_t len);

enum reverse {
	REVERSE_NOT,     /* not below in-addr.arpa or ip6.arpa */
	REVERSE_ADDRESS, /* a whole address */
	REVERSE_PARTIAL, /* its first parts; the others are zero in *addr */
	REVERSE_BELOW,   /* more labels before those of an address, whole or in part */
};

/* `text` as in struct question. */
enum reverse reverse_parse(const char *text, size_t len, struct tr_addr *addr);
