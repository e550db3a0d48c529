/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP: the maximum segment size that a SYN announces. Worker threads. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Lowers the MSS option of a segment with SYN to `mss` and corrects the checksum. false: nothing to change, or no TCP
 * header that makes sense within len. */
bool tcp_clamp_mss(uint8_t *tcp, uint32_t len, uint16_t mss);
