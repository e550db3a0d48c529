/* SPDX-License-Identifier: BSD-3-Clause */
#include "../../udp_test.h"

#include "message.h"

extern const struct tr_plugin tr_plugin;

#define TXID 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
#define COOKIE 0x21, 0x12, 0xa4, 0x42

static const uint8_t bare[] = {0, 1, 0, 0, COOKIE, TXID};
static const uint8_t tailscale[] = {0, 1, 0, 0x14, COOKIE, TXID, 0x80, 0x22, 0, 8, 't', 'a', 'i', 'l', 'n', 'o', 'd', 'e', 0x80,
	0x28, 0, 4, 0x8a, 0xab, 0xad, 0x90};
static const uint8_t mapped4[] = {1, 1, 0, 0x0c, COOKIE, TXID, 0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43};

static struct fh *
start(const char *options)
{
	struct fh *h = fh_new(&(struct fh_config){.plugin = &tr_plugin, .options = options});
	assert_non_null(h);
	return h;
}

static void
both_families(void **state)
{
	(void)state;
	struct fh *h = start("{}");
	size_t len;
	send_datagram(h, 4, 3478, bare, sizeof(bare));
	const uint8_t *answer = expect_answer(h, 4, 3478, &len);
	assert_int_equal(len, sizeof(mapped4));
	assert_memory_equal(answer, mapped4, len);

	send_datagram(h, 6, 3478, bare, sizeof(bare));
	answer = expect_answer(h, 6, 3478, &len);
	assert_int_equal(len, 44);
	assert_int_equal(answer[25], 2);
	assert_int_equal(answer[28] ^ 0x21, 0x20);
	assert_int_equal(fh_counter(h, "answered"), 2);
	fh_free(h);
}

/* The tail of the request's headers vanishes: options and extension headers are not carried into the answer. */
static void
ip_options(void **state)
{
	(void)state;
	struct fh *h = start("{}");
	uint8_t plain[64], packet[64];
	size_t len, size = datagram(plain, 4, 3478, bare, sizeof(bare));
	memcpy(packet, plain, 20);
	memcpy(packet + 20, (uint8_t[]){1, 1, 1, 0}, 4);
	memcpy(packet + 24, plain + 20, size - 20);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)packet;
	ip->version_ihl = 0x46;
	ip->total_length = rte_cpu_to_be_16(size + 4);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, 24);
	fh_send(h, "in", packet, size + 4);
	const uint8_t *answer = expect_answer(h, 4, 3478, &len);
	assert_int_equal(len, sizeof(mapped4));
	assert_memory_equal(answer, mapped4, len);
	fh_free(h);
}

static void
tailscale_only(void **state)
{
	(void)state;
	struct fh *h = start("{clients: tailscale, listen: 3479}");
	size_t len;
	send_datagram(h, 4, 3479, tailscale, sizeof(tailscale));
	const uint8_t *answer = expect_answer(h, 4, 3479, &len);
	assert_int_equal(len, 32);
	assert_memory_equal(answer, mapped4, len);
	send_datagram(h, 4, 3479, bare, sizeof(bare));
	fh_expect_drop(h, "bad_software");

	assert_int_equal(fh_reconfigure(h, "{clients: any, listen: 3479}"), 0);
	send_datagram(h, 4, 3479, bare, sizeof(bare));
	expect_answer(h, 4, 3479, &len);
	fh_free(h);
}

static void
errors_and_silence(void **state)
{
	(void)state;
	static const uint8_t unknown[] = {0, 1, 0, 4, COOKIE, TXID, 0x70, 1, 0, 0};
	static const uint8_t response[] = {1, 1, 0, 0, COOKIE, TXID};
	static const uint8_t classic[] = {0, 1, 0, 0, 9, 9, 9, 9, TXID};
	struct fh *h = start("{}");
	size_t len;
	send_datagram(h, 6, 3478, unknown, sizeof(unknown));
	const uint8_t *answer = expect_answer(h, 6, 3478, &len);
	assert_memory_equal(answer, ((uint8_t[]){1, 0x11, 0, 36}), 4);
	send_datagram(h, 4, 3478, classic, sizeof(classic));
	answer = expect_answer(h, 4, 3478, &len);
	assert_memory_equal(answer + 20, ((uint8_t[]){0, 1, 0, 8, 0, 1, 0x80, 0x55, 192, 0, 2, 1}), 12);
	send_datagram(h, 4, 3478, response, sizeof(response));
	fh_expect_drop(h, "not_request");
	send_datagram(h, 4, 3478, "", 0);
	fh_expect_drop(h, "not_stun");
	assert_int_equal(fh_counter(h, "refused"), 1);
	assert_int_equal(fh_counter(h, "answered_classic"), 1);
	fh_free(h);
}

static void
rate(void **state)
{
	(void)state;
	struct fh *h = start("{rate: 10}");
	for (int i = 0; i < 30; i++)
		send_datagram(h, 4, 3478, bare, sizeof(bare));
	assert_int_equal(fh_counter(h, "answered"), 10);
	assert_int_equal(fh_drops(h, "rate"), 20);
	fh_advance(h, 1000000000);
	for (int i = 0; i < 30; i++)
		send_datagram(h, 4, 3478, bare, sizeof(bare));
	assert_int_equal(fh_counter(h, "answered"), 20);
	assert_int_equal(fh_reconfigure(h, "{rate: 0}"), 0);
	for (int i = 0; i < 30; i++)
		send_datagram(h, 4, 3478, bare, sizeof(bare));
	assert_int_equal(fh_counter(h, "answered"), 50);
	fh_free(h);
}

static void
shown_and_matched(void **state)
{
	(void)state;
	struct fh *h = start("{clients: tailscale}");
	char *json = fh_show_json(h);
	assert_non_null(strstr(json, "tailscale"));
	free(json);
	fh_free(h);

	const struct tr_in_gate *in = tr_plugin.classes[0]->in;
	uint64_t head = 0;
	for (int i = 0; i < 8; i++)
		head = head << 8 | tailscale[i];
	assert_true((head & in->match->mask) == in->match->value);
	char text[128];
	uint8_t packet[64];
	struct tr_meta meta = {.l3_len = 20};
	in->trace(packet, (uint32_t)datagram(packet, 4, 3478, bare, sizeof(bare)), &meta, text, sizeof(text));
	assert_string_equal(text, "type 0x0001, length 0, cookie");
	in->trace(packet, 30, &meta, text, sizeof(text));
	assert_non_null(strstr(text, "cut short"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_families),
		cmocka_unit_test(ip_options),
		cmocka_unit_test(tailscale_only),
		cmocka_unit_test(errors_and_silence),
		cmocka_unit_test(rate),
		cmocka_unit_test(shown_and_matched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
