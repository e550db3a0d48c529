/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One handshake with known keys, computed by an implementation of its own (Python, cryptography) that interoperates with
 * wireguard-go and Linux. Private keys are repeated bytes: s_i 11, s_r 22, e_i 44, e_r 55, PSK 66, cookie secret 77.
 */
#pragma once

#define V_S_I "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13"
#define V_S_R "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20"
#define V_E_I "ff2ee45601ec1b67310c7790404585ae697331eee1c1f8cf2419731c1fff3e6b"
#define V_E_R "38ab664bd86f77d7e66bdd9ae0792913a94fd8b33a1260027e4b46c1f4884c67"
#define V_STAMP "400000006553f10a12000000"
#define V_WALL (1700000000ull * 1000000000u + 0x12345678u)
#define V_INITIATION                                                                                                   \
	"0100000004030201ff2ee45601ec1b67310c7790404585ae697331eee1c1f8cf2419731c1fff3e6b"                              \
	"3b6f1324884f7dfcb616f1440bce015ad114bc97a5052c5972a42150ca66244ee95bf0cd2c60d3d9addef329768c8c11"              \
	"0ed41251d4d6d779381ea831b9f8cf3bafd44b139cb12047a6b74b123123754b197357d66d093820051e1ecc"                      \
	"00000000000000000000000000000000"
#define V_CHAIN "e126306e354abffd4024a72bd3461ebc057ed209e9fa0e6a209ec81d07a3cd3c"
#define V_HASH "67127e75efb9546dc5997643f4c68f0062d75e3910a561a015e099b88b412044"
#define V_RESPONSE                                                                                                     \
	"020000000d0c0b0a0403020138ab664bd86f77d7e66bdd9ae0792913a94fd8b33a1260027e4b46c1f4884c67"                      \
	"9e5faa0dcf2431eb8f3c77a8e8e01812db5c9d156754b97ff3aad7b225f4bcb700000000000000000000000000000000"
#define V_T1 "52be892de3084956acab427c3c016ddf490e715d05f598d3b5fc576f53b2a8b9"
#define V_T2 "399e377d44aa40d0acecf882796e1b202efca9910b1485566521cc8062c5fbd3"
#define V_KEEPALIVE "040000000d0c0b0a000000000000000033a540fad396e0cbca7cfc1649870fee"
#define V_COOKIE "743b9d93f0a6000558e1ebfc99426468" /* of 192.0.2.1:1000 */
#define V_COOKIE_REPLY                                                                                                 \
	"0300000004030201000102030405060708090a0b0c0d0e0f1011121314151617"                                              \
	"6e0a7eee7b6d69de846e835ca7f671435b2bd29b55a4e11c7b4ad518e5199cd7"
#define V_MAC2 "d75ec073b5c3393909480d4b2e6f2a10" /* of the initiation, with that cookie */

static inline void
unhex(void *out, const char *hex)
{
	uint8_t *p = out;
	for (; hex[0] && hex[1]; hex += 2) {
		char byte[3] = {hex[0], hex[1], 0};
		*p++ = (uint8_t)strtoul(byte, NULL, 16);
	}
}

#define ASSERT_HEX(p, hex)                                                                                             \
	do {                                                                                                           \
		uint8_t want_[sizeof(hex) / 2];                                                                        \
		unhex(want_, hex);                                                                                     \
		assert_memory_equal(p, want_, sizeof(hex) / 2);                                                        \
	} while (0)
