/* SPDX-License-Identifier: BSD-3-Clause */
/* Boxes made of files in a directory. */
#include "doctor.h"

#include "config/test.h"

#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static void
put(const char *path, const char *text)
{
	char full[512];
	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		mkdir(full, 0755);
		*p = '/';
	}
	FILE *f = fopen(full, "w");
	assert_non_null(f);
	fprintf(f, "%s\n", text);
	fclose(f);
}

static void
put_link(const char *path, const char *to)
{
	char full[512];
	snprintf(full, sizeof(full), "%s%s", root, path);
	assert_int_equal(symlink(to, full), 0);
}

/* A box as it should be: 1 GB of hugepages, a NIC on vfio-pci, node 0, CPUs 2 and 3 isolated. */
static int
good_box(void **state)
{
	snprintf(root, sizeof(root), "/tmp/tailrace-doctor-XXXXXX");
	if (mkdtemp(root) == NULL)
		return -1;
	put("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "512");
	put("/sys/bus/pci/devices/0000:3b:00.0/numa_node", "0");
	put_link("/sys/bus/pci/devices/0000:3b:00.0/driver", "../../../bus/pci/drivers/vfio-pci");
	put_link("/sys/bus/pci/devices/0000:3b:00.0/iommu_group", "../../../kernel/iommu_groups/12");
	put("/sys/devices/system/cpu/online", "0-7");
	put("/sys/devices/system/cpu/isolated", "2-5");
	for (int cpu = 2; cpu < 6; cpu++) {
		char path[128];
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpu%d", cpu / 4, cpu);
		put(path, "");
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", cpu);
		put(path, "performance");
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
		put(path, cpu < 4 ? (cpu == 2 ? "2" : "3") : "4,5");
	}
	put("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc");
	return 0;
}

static int
remove_box(void **state)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command);
}

static struct doctor
examine(const char *cfg, unsigned grades[4])
{
	struct fixture f = begin();
	static struct appliance a;
	assert_true(appliance_parse(f.arena, "t.cfg", cfg, &a, &f.d));
	struct doctor d = {.root = root, .appliance = &a};
	doctor_examine(&d);
	memset(grades, 0, 4 * sizeof(*grades));
	for (unsigned i = 0; i < d.n; i++)
		grades[d.v[i].grade]++;
	end(&f, "");
	return d;
}

/* The one finding whose text holds this. */
static const struct finding *
said(const struct doctor *d, const char *text)
{
	const struct finding *found = NULL;
	for (unsigned i = 0; i < d->n; i++) {
		if (strstr(d->v[i].text, text) == NULL)
			continue;
		assert_null(found);
		found = &d->v[i];
	}
	if (found == NULL)
		fail_msg("nobody said: %s", text);
	return found;
}

#define GOOD_CFG "ports = { wan = { device = \"0000:3b:00.0\"; queues = 2; }; }; workers = { lcores = [2, 3]; };"

static void
all_is_well(void **state)
{
	unsigned grades[4];
	const struct doctor d = examine(GOOD_CFG, grades);
	for (unsigned i = 0; i < d.n; i++)
		if (d.v[i].grade != DOCTOR_GOOD)
			fail_msg("%s: %s", d.v[i].area, d.v[i].text);
	assert_int_equal(d.n, 3);
	assert_string_equal(said(&d, "1024 MB of free hugepages, 512 MB wanted")->area, "memory");
	assert_string_equal(said(&d, "0000:3b:00.0 is bound to vfio-pci")->area, "port wan");
}

static void
nothing_is_well(void **state)
{
	unsigned grades[4];
	put("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "0");
	put("/sys/devices/system/cpu/isolated", "");
	put("/sys/devices/system/cpu/cpu5/cpufreq/scaling_governor", "powersave");
	put("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet");
	put("/sys/bus/pci/devices/0000:3b:00.1/numa_node", "0");
	put_link("/sys/bus/pci/devices/0000:3b:00.1/driver", "../../../bus/pci/drivers/ixgbe");
	const struct doctor d = examine("ports = { wan = { device = \"0000:3b:00.1\"; }; lan = { device = \"0000:04:00.0\"; };"
					" x = { device = \"net_af_packet0,iface=nosuch\"; }; host = { device = \"host\"; }; };"
					"workers = { lcores = [4, 5, 9]; };", grades);
	assert_non_null(strstr(said(&d, "0 MB of free hugepages")->advice, "vm.nr_hugepages=288"));
	assert_non_null(strstr(said(&d, "is bound to ixgbe")->advice, "dpdk-devbind.py --bind=vfio-pci 0000:3b:00.1"));
	assert_int_equal(said(&d, "in no IOMMU group")->grade, DOCTOR_PROBLEM);
	assert_int_equal(said(&d, "no PCI device 0000:04:00.0")->grade, DOCTOR_PROBLEM);
	assert_int_equal(said(&d, "no interface nosuch")->grade, DOCTOR_PROBLEM);
	assert_string_equal(said(&d, "net_af_packet needs privileges")->advice,
		"run the daemon with the capabilities NET_RAW, NET_ADMIN");
	assert_string_equal(said(&d, "CPUs 0-7 are online")->area, "worker on CPU 9");
	assert_string_equal(said(&d, "shares its core with the worker on CPU 5")->area, "worker on CPU 4");
	assert_string_equal(said(&d, "governor is powersave")->area, "worker on CPU 5");
	said(&d, "NUMA node 0, but the worker on CPU 4 is on node 1");
	said(&d, "the kernel's clock is hpet");
	assert_string_equal(said(&d, "no way to the kernel: no /dev/net/tun")->area, "port host");
	assert_int_equal(grades[DOCTOR_PROBLEM], 6);
	put("/dev/net/tun", "");
	const struct doctor e = examine("ports = { host = { device = \"host,iface=tr0\"; }; };", grades);
	assert_int_equal(said(&e, "a TUN device with virtio headers")->grade, DOCTOR_NOTE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_is_well, good_box, remove_box),
		cmocka_unit_test_setup_teardown(nothing_is_well, good_box, remove_box),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
