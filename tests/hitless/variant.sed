# SPDX-License-Identifier: BSD-3-Clause
# A plugin's file that has its class, with variant.h's counter, process() and create() in it.
/^#include "(wireguard|message)\.h"$/a #include "variant.h"
/^static const struct tr_counter .*\[\] = \{$/,/^\};$/ s/^\t\{.*(NULL|0)\},$/\tVARIANT_ENTRY\n&/
s/\.process = (seal_process|stun_process),/.process = variant_process,/
s/\.create = (wg|stun)_create,/.create = variant_create,/
s/"peer", 1, sizeof\(struct peer\)/"peer", VARIANT_PEER/
$a #include "variant.h"
