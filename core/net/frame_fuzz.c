/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames from the wire into an interface: Ethernet, VLAN, ARP, ND, IPv4 and IPv6 headers, ICMP, UDP. The input is a series
 * of frames, each after its length in two bytes. Whatever comes, all packets stay accounted for (rig_close()).
 */
#include "net/classes.h"
#include "net/interface.h"
#include "net/rig.h"

#include <tailrace/reader.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rig r;
	struct tr_prefix address[2];
	struct interface_options options = {.address = {2, address}, .mtu = 1500, .vlan = size > 0 && data[0] == 0xff ? 42 : 0};
	parse_prefix("192.0.2.1/24", &address[0], true);
	parse_prefix("2001:db8::1/64", &address[1], true);
	if (!rig_open(&r, &class_interface, "wan", &options, NULL))
		return 0;
	struct tr_reader in = tr_reader(data, size);
	for (unsigned k = 0; k < 32 && tr_left(&in) > 2; k++) {
		uint16_t len = tr_be16(&in) % 1600;
		if (len > tr_left(&in))
			len = (uint16_t)tr_left(&in);
		r.now += UINT64_C(300000000);
		rig_receive(&r, tr_take(&in, len), len);
	}
	rig_close(&r);
	return 0;
}
