/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor.h"

#include "port/device.h"
#include "port/guard.h"
#include "port/tun.h"
#include "underlay.h"

#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#define NO_NODE (-1)

static void
find(struct doctor *d, enum doctor_grade grade, const char *area, const char *advice, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

static void
find(struct doctor *d, enum doctor_grade grade, const char *area, const char *advice, const char *format, ...)
{
	va_list args;
	if (d->n == sizeof(d->v) / sizeof(*d->v))
		return;
	struct finding *f = &d->v[d->n++];
	f->grade = grade;
	snprintf(f->area, sizeof(f->area), "%s", area);
	snprintf(f->advice, sizeof(f->advice), "%s", advice != NULL ? advice : "");
	va_start(args, format);
	vsnprintf(f->text, sizeof(f->text), format, args);
	va_end(args);
}

/* ---- The kernel's files ---- */

static void path_of(const struct doctor *d, char path[PATH_MAX], const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

static void
path_of(const struct doctor *d, char path[PATH_MAX], const char *format, va_list args)
{
	const int n = snprintf(path, PATH_MAX, "%s", d->root);
	vsnprintf(path + n, PATH_MAX - (size_t)n, format, args);
}

/* The first line of a file, without its end; "" when there is none. */
static const char *line_of(const struct doctor *d, char line[256], const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static const char *
line_of(const struct doctor *d, char line[256], const char *format, ...)
{
	char path[PATH_MAX];
	va_list args;
	va_start(args, format);
	path_of(d, path, format, args);
	va_end(args);
	line[0] = '\0';
	FILE *f = fopen(path, "r");
	if (f != NULL) {
		if (fgets(line, 256, f) == NULL)
			line[0] = '\0';
		fclose(f);
	}
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static bool there(const struct doctor *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool
there(const struct doctor *d, const char *format, ...)
{
	char path[PATH_MAX];
	va_list args;
	va_start(args, format);
	path_of(d, path, format, args);
	va_end(args);
	return access(path, F_OK) == 0;
}

/* The last part of what a link leads to: the driver of a device, its IOMMU group. */
static const char *
target_of(const struct doctor *d, char text[256], const char *device, const char *link)
{
	char path[PATH_MAX], to[PATH_MAX];
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%.32s/%s", d->root, device, link);
	const ssize_t n = readlink(path, to, sizeof(to) - 1);
	to[n > 0 ? n : 0] = '\0';
	const char *slash = strrchr(to, '/');
	snprintf(text, 256, "%.255s", slash != NULL ? slash + 1 : to);
	return text;
}

/* Is the number in a list such as "2-5,8"? */
static bool
in_list(const char *list, unsigned n)
{
	for (char *end; *list != '\0'; list = *end == ',' ? end + 1 : end) {
		const unsigned long from = strtoul(list, &end, 10);
		unsigned long to = from;
		if (end == list)
			return false;
		if (*end == '-')
			to = strtoul(end + 1, &end, 10);
		if (n >= from && n <= to)
			return true;
		if (*end != ',' && *end != '\0')
			return false;
	}
	return false;
}

static int
node_of_cpu(const struct doctor *d, unsigned cpu)
{
	for (int node = 0; node < 64; node++)
		if (there(d, "/sys/devices/system/node/node%d/cpu%u", node, cpu))
			return node;
	return NO_NODE;
}

/* ---- Memory ---- */

static void
memory(struct doctor *d)
{
	const struct appliance *a = d->appliance;
	char line[256], advice[240], path[PATH_MAX];
	unsigned long long free_mb = 0;
	struct dirent *e;
	snprintf(path, sizeof(path), "%s/sys/kernel/mm/hugepages", d->root);
	DIR *dir = opendir(path);
	while (dir != NULL && (e = readdir(dir)) != NULL) {
		unsigned long kb;
		if (sscanf(e->d_name, "hugepages-%lukB", &kb) == 1)
			free_mb += strtoull(line_of(d, line, "/sys/kernel/mm/hugepages/hugepages-%lukB/free_hugepages", kb), NULL, 10) *
				   kb / 1024;
	}
	if (dir != NULL)
		closedir(dir);
	snprintf(advice, sizeof(advice), "sysctl -w vm.nr_hugepages=%llu, and the same in /etc/sysctl.d for the next boot",
		(unsigned long long)(a->memory_mb / 2 + 32));
	if (!a->hugepages)
		find(d, DOCTOR_NOTE, "memory", "memory.hugepages = true; for fewer TLB misses and PCI NICs",
			"no hugepages wanted, %llu MB of ordinary memory", (unsigned long long)a->memory_mb);
	else if (free_mb < a->memory_mb)
		find(d, DOCTOR_WARNING, "memory", advice, "%llu MB of free hugepages, %llu MB wanted", free_mb,
			(unsigned long long)a->memory_mb);
	else
		find(d, DOCTOR_GOOD, "memory", NULL, "%llu MB of free hugepages, %llu MB wanted", free_mb,
			(unsigned long long)a->memory_mb);
}

/* ---- Ports ---- */

/* What a process needs for a kind of port (the table of core/port/README.md). */
static const struct {
	const char *device, *capabilities;
} kinds[] = {
	{"net_memif", NULL},
	{"net_ring", NULL},
	{"net_null", NULL},
	{"net_af_packet", "NET_RAW, NET_ADMIN"},
	{"net_af_xdp", "SYS_ADMIN, NET_ADMIN, NET_RAW, BPF"},
	{"net_tap", "NET_ADMIN"},
	{"net_pcap", "NET_RAW"},
};

static bool
is_pci(const char *device)
{
	unsigned domain, bus, slot, function;
	return sscanf(device, "%4x:%2x:%2x.%1x", &domain, &bus, &slot, &function) == 4;
}

static void
pci_port(struct doctor *d, const char *area, const char *device)
{
	char driver[256], group[256], advice[240], name[16];
	snprintf(name, sizeof(name), "%.12s", device);
	if (!there(d, "/sys/bus/pci/devices/%s", name)) {
		find(d, DOCTOR_PROBLEM, area, "`lspci -D | grep -i ethernet` lists the NICs of this box", "no PCI device %s", name);
		return;
	}
	target_of(d, driver, name, "driver");
	target_of(d, group, name, "iommu_group");
	snprintf(advice, sizeof(advice), "modprobe vfio-pci && dpdk-devbind.py --bind=vfio-pci %s", name);
	if (strcmp(driver, "vfio-pci") == 0 || strcmp(driver, "mlx5_core") == 0)
		find(d, DOCTOR_GOOD, area, NULL, "%s is bound to %s", name, driver);
	else
		find(d, DOCTOR_PROBLEM, area, advice, "%s is bound to %s, not to vfio-pci", name, driver[0] ? driver : "no driver");
	if (group[0] == '\0' && strcmp(driver, "mlx5_core") != 0)
		find(d, DOCTOR_PROBLEM, area,
			"switch the IOMMU on in the firmware and with intel_iommu=on or amd_iommu=on on the kernel's command line",
			"%s is in no IOMMU group: vfio-pci can't take it safely", name);
}

static void
virtual_port(struct doctor *d, const char *area, const char *device)
{
	char iface[64], advice[240];
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strncmp(device, kinds[i].device, strlen(kinds[i].device)) != 0)
			continue;
		if (kinds[i].capabilities == NULL) {
			find(d, DOCTOR_GOOD, area, NULL, "%s needs no capabilities", kinds[i].device);
		} else {
			snprintf(advice, sizeof(advice), "run the daemon with the capabilities %s", kinds[i].capabilities);
			find(d, DOCTOR_NOTE, area, advice, "%s needs privileges", kinds[i].device);
		}
		break;
	}
	if (device_arg(device, "iface", iface, sizeof(iface)) && strncmp(device, "net_tap", 7) != 0 &&
		!there(d, "/sys/class/net/%s", iface))
		find(d, DOCTOR_PROBLEM, area, "`ip link` lists the interfaces of this box", "no interface %s", iface);
}

/* vhost-net would be another way to the kernel; where it is not there either, nothing is said of it. */
static void
host_port(struct doctor *d, const char *area)
{
	char why[120] = "no /dev/net/tun";
	const char *advice = "`modprobe tun`; in a container, the device /dev/net/tun";
	if (!there(d, "/dev/net/tun") || (d->root[0] == '\0' && !tun_available(why, sizeof(why))))
		find(d, DOCTOR_PROBLEM, area, advice, "no way to the kernel: %s", why);
	else
		find(d, DOCTOR_NOTE, area, "run the daemon with the capabilities NET_ADMIN, NET_BIND_SERVICE",
			"a TUN device with virtio headers: TCP in pieces of up to 64 kB, one queue, as much as one service thread carries");
}

/* The same that start says, which takes no NIC that this box is reached through. */
static void
guarded(struct doctor *d, const char *area, const struct appliance_port *p)
{
	struct diags said = {0};
	guard_check(d->appliance, p, &said);
	for (unsigned i = 0; i < said.n; i++)
		find(d, said.v[i].severity == DIAG_ERROR ? DOCTOR_PROBLEM : DOCTOR_WARNING, area, NULL, "%s", said.v[i].text);
	diags_free(&said);
}

/* A NIC that is taken hears no DHCP and no router's advertisement any more: what they say has to be written down. */
static void
told_by_others(struct doctor *d, const char *area, const struct appliance_port *p)
{
	char iface[64], advice[240] = "";
	struct underlay u;
	if (d->root[0] != '\0' || !guard_iface(p->device, iface, sizeof(iface)) || !underlay_of(iface, &u))
		return;
	snprintf(advice, sizeof(advice), "have %s reserved for this box, and write it into the pipeline as `address`%s%s%s",
		u.address[0] ? u.address : "its address", u.gateway[0] ? ", " : "", u.gateway, u.gateway[0] ? " as `gateway`" : "");
	find(d, DOCTOR_WARNING, area, advice, "%s has its addresses by %s%s%s: the gateway asks for none, and heeds no change of them", iface,
		u.dhcp ? "DHCP" : "", u.dhcp && u.ra ? " and " : "", u.ra ? "a router's advertisements" : "");
}

static void
ports(struct doctor *d)
{
	const struct appliance *a = d->appliance;
	char area[48];
	if (a->n_ports == 0)
		find(d, DOCTOR_WARNING, "ports", "ports = { wan = { device = \"…\"; }; };", "the appliance has no port");
	for (unsigned i = 0; i < a->n_ports; i++) {
		const struct appliance_port *p = &a->port[i];
		snprintf(area, sizeof(area), "port %s", p->name);
		if (appliance_is_host(p->device)) {
			host_port(d, area);
			continue;
		}
		if (is_pci(p->device))
			pci_port(d, area, p->device);
		else
			virtual_port(d, area, p->device);
		guarded(d, area, p);
		told_by_others(d, area, p);
		if (p->queues < a->n_lcores)
			find(d, DOCTOR_NOTE, area, "queues = as many as there are workers, where the device has them",
				"%llu receive queues for %u workers: the others wait for what they hand on", (unsigned long long)p->queues,
				a->n_lcores);
	}
}

/* ---- Cores ---- */

static void
worker_core(struct doctor *d, unsigned cpu)
{
	char line[256], isolated[256], area[48];
	snprintf(area, sizeof(area), "worker on CPU %u", cpu);
	line_of(d, line, "/sys/devices/system/cpu/online");
	if (line[0] != '\0' && !in_list(line, cpu)) {
		find(d, DOCTOR_PROBLEM, area, "workers.lcores = […]; with CPUs of this box", "CPUs %s are online", line);
		return;
	}
	line_of(d, isolated, "/sys/devices/system/cpu/isolated");
	if (!in_list(isolated, cpu))
		find(d, DOCTOR_WARNING, area, "isolcpus=, nohz_full= and rcu_nocbs= with the workers' CPUs on the kernel's command line",
			"not isolated: other processes and timer ticks interrupt it for milliseconds");
	line_of(d, line, "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor", cpu);
	if (line[0] != '\0' && strcmp(line, "performance") != 0)
		find(d, DOCTOR_WARNING, area, "cpupower frequency-set -g performance", "the frequency governor is %s", line);
	line_of(d, line, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
	for (unsigned i = 0; i < d->appliance->n_lcores; i++)
		if (d->appliance->lcore[i] > cpu && in_list(line, d->appliance->lcore[i]))
			find(d, DOCTOR_WARNING, area, "one worker per core: choose other workers.lcores",
				"shares its core with the worker on CPU %u", d->appliance->lcore[i]);
}

/* Memory of another node costs each packet twice. */
static void
nodes(struct doctor *d)
{
	const struct appliance *a = d->appliance;
	for (unsigned p = 0; p < a->n_ports; p++) {
		char line[256], area[48];
		if (!is_pci(a->port[p].device))
			continue;
		const int node = atoi(line_of(d, line, "/sys/bus/pci/devices/%.12s/numa_node", a->port[p].device));
		snprintf(area, sizeof(area), "port %s", a->port[p].name);
		for (unsigned i = 0; line[0] != '\0' && node >= 0 && i < a->n_lcores; i++) {
			const int other = node_of_cpu(d, a->lcore[i]);
			if (other != NO_NODE && other != node)
				find(d, DOCTOR_WARNING, area, "workers.lcores = […]; with CPUs of the NIC's node",
					"on NUMA node %d, but the worker on CPU %u is on node %d", node, a->lcore[i], other);
		}
	}
}

static void
clocks(struct doctor *d)
{
	char line[256];
	line_of(d, line, "/sys/devices/system/clocksource/clocksource0/current_clocksource");
	if (strcmp(line, "tsc") == 0)
		find(d, DOCTOR_GOOD, "clock", NULL, "the kernel's clock is the TSC");
	else
		find(d, DOCTOR_WARNING, "clock", "clocksource=tsc on the kernel's command line, if `dmesg | grep -i tsc` knows no reason against",
			"the kernel's clock is %s, which takes longer to read than the TSC", line[0] ? line : "unknown");
}

void
doctor_examine(struct doctor *d)
{
	memory(d);
	ports(d);
	for (unsigned i = 0; i < d->appliance->n_lcores; i++)
		worker_core(d, d->appliance->lcore[i]);
	nodes(d);
	clocks(d);
}
