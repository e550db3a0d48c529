-- SPDX-License-Identifier: BSD-3-Clause
-- Non-drop rate of a router, for pktgen-dpdk 23.06: port 0 sends to its wan, port 1 is the host on its lan.
-- For each size the highest rate, found by halving, at which no more than `tolerance` of the packets are lost.
--
-- From the environment: NDR_SIZES "64 512 1420", bytes with FCS; NDR_SECONDS 2, of a trial; NDR_TOLERANCE 0.0001;
-- NDR_MAC, the router's address on wan. Each line of the result begins with "ndr:".
-- A memif reports 100 Gb/s whatever it can do. Counts are read when the sender has stopped, and only then: pktgen copies
-- them once a second, so that differences while it sends are wrong by up to a second's packets.

pktgen.screen("off")

local env = function(name, default) return os.getenv(name) or default end
local seconds = tonumber(env("NDR_SECONDS", "2"))
local tolerance = tonumber(env("NDR_TOLERANCE", "0.0001"))
local mac = env("NDR_MAC", "02:00:00:00:00:07")
local steps = 8

local function say(format, ...)
	io.write("ndr: " .. string.format(format, ...) .. "\n")
	io.flush()
end

local function link_speed()
	local mbits = tonumber(string.match(tostring(pktgen.linkState("0")[0]), "(%d+)"))
	return (mbits and mbits > 0 and mbits or 100000) * 1e6
end

-- What `percent` of the link is in packets per second; the preamble and the gap between frames are 20 bytes.
local function pps(percent, size)
	return link_speed() * percent / 100 / 8 / (size + 20)
end

-- Sends exactly `count` packets; returns how many left and how many came out of the router, or nil if it never ended.
local function send(percent, count)
	pktgen.clr()
	pktgen.set("0", "rate", percent)
	pktgen.set("0", "count", count)
	pktgen.start("0")
	local waited = 0
	repeat
		pktgen.delay(100)
		waited = waited + 100
		if waited > seconds * 1000 * 4 + 10000 then
			pktgen.stop("0")
			return nil
		end
	until pktgen.isSending("0")[0] == "n"
	pktgen.delay(1500)
	return pktgen.portStats("0", "port")[0].opackets, pktgen.portStats("1", "port")[1].ipackets
end

-- The share that was lost; 1 also when the sender could not keep to the rate: then a full ring held it up.
local function trial(percent, size)
	local rate = pps(percent, size)
	local began = os.time()
	local sent, got = send(percent, math.floor(rate * seconds))
	local took = os.time() - began
	if not sent or sent == 0 or took > seconds * 1.5 + 4 then
		say("%d B at %.3f Mpps: not sent in time, %d s", size, rate / 1e6, took)
		return 1
	end
	local loss = math.max(0, sent - got) / sent
	say("%d B at %.3f Mpps: lost %.6f", size, rate / 1e6, loss)
	return loss
end

local function search(size)
	pktgen.set("0", "size", size)
	local low, high, lost = 0, 100, 0
	for step = 1, steps do
		local percent = step == 1 and 1 or (low + high) / 2
		local loss = trial(percent, size)
		if loss <= tolerance then
			low, lost = percent, loss
		else
			high = percent
		end
	end
	say("%d B: non-drop rate %.3f Mpps, %.2f %% of the link, lost %.6f", size, pps(low, size) / 1e6, low, lost)
end

local function main()
	for port, address in pairs({["0"] = "198.51.100.10/24", ["1"] = "10.20.0.5/16"}) do
		pktgen.set_ipaddr(port, "src", address)
		pktgen.set_type(port, "ipv4")
		pktgen.set_proto(port, "udp")
		pktgen.process(port, "on") -- answers ARP
	end
	pktgen.set_ipaddr("0", "dst", "10.20.0.5")
	pktgen.set_mac("0", "dst", mac)
	pktgen.set("0", "sport", 40000)
	pktgen.set("0", "dport", 40000)
	pktgen.set("0", "size", 64)
	local sent, got = send(0.01, 1000)  -- the router asks for its neighbour; what it lets wait is bounded
	sent, got = send(0.01, 1000)
	say("warm: sent %s, received %s", sent, got)
	if not got or got < 1000 then
		say("failed: nothing to measure")
		return
	end
	for size in string.gmatch(env("NDR_SIZES", "64 512 1420"), "%d+") do
		search(tonumber(size))
	end
end

main()
pktgen.quit()
