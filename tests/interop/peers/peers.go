// SPDX-License-Identifier: BSD-3-Clause

//go:build peers

// Package peers pins the stock peers that tests run against; go.sum makes their builds repeatable.
package peers

import (
	_ "golang.zx2c4.com/wireguard"
	_ "tailscale.com/cmd/derper"
)
