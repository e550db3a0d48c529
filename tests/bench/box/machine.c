/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine.h"

#include "measure.h"

#include <dirent.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define LOOK_US 200000
#define BUSY 0.05 /* share of a CPU that others may use */

static void warn(struct machine *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
warn(struct machine *m, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(m->warnings, json_string(text));
}

static const char *line_of(char line[128], const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The first line of a file; "" when there is none. */
static const char *
line_of(char line[128], const char *format, ...)
{
	char path[128];
	va_list args;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	FILE *f = fopen(path, "re");
	if (!f || !fgets(line, 128, f))
		line[0] = '\0';
	if (f)
		fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

struct times {
	unsigned long long busy[CPU_SETSIZE], all[CPU_SETSIZE];
};

static void
read_times(struct times *t)
{
	FILE *f = fopen("/proc/stat", "re");
	char line[512];

	memset(t, 0, sizeof(*t));
	while (f && fgets(line, sizeof(line), f)) {
		unsigned long long v[8] = {0};
		int cpu;
		if (sscanf(line, "cpu%d %llu %llu %llu %llu %llu %llu %llu %llu", &cpu, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6],
			    &v[7]) < 5 || cpu < 0 || cpu >= CPU_SETSIZE)
			continue;
		for (int i = 0; i < 8; i++)
			t->all[cpu] += v[i];
		t->busy[cpu] = t->all[cpu] - v[3] - v[4];
	}
	if (f)
		fclose(f);
}

/* CPUs that a gateway's threads are bound to, one each. */
static void
gateways(cpu_set_t *taken)
{
	DIR *proc = opendir("/proc");
	char path[300], line[128];

	CPU_ZERO(taken);
	for (struct dirent *e; proc && (e = readdir(proc));) {
		const int pid = atoi(e->d_name);
		if (pid <= 0 || strcmp(line_of(line, "/proc/%d/comm", pid), "tailraced") != 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task", pid);
		DIR *tasks = opendir(path);
		for (struct dirent *t; tasks && (t = readdir(tasks));) {
			cpu_set_t set;
			if (atoi(t->d_name) <= 0 || sched_getaffinity(atoi(t->d_name), sizeof(set), &set) != 0 || CPU_COUNT(&set) != 1)
				continue;
			CPU_OR(taken, taken, &set);
		}
		if (tasks)
			closedir(tasks);
	}
	if (proc)
		closedir(proc);
}

/* The least busy of a set, later ones first: interrupts tend to go to the first. -1: it is empty. */
static int
quietest(const cpu_set_t *set, const double *busy)
{
	int best = -1;

	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, set) && (best < 0 || busy[i] <= busy[best] + 0.01))
			best = i;
	return best;
}

static void
siblings(struct machine *m)
{
	char a[128], b[128];

	line_of(a, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", m->gateway);
	line_of(b, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", m->generator);
	if (a[0] && strcmp(a, b) == 0)
		warn(m, "CPUs %d and %d are two threads of one core: the generator slows the gateway down", m->gateway, m->generator);
}

static void
judge(struct machine *m, const double *busy)
{
	char governor[128];

	if (m->generator < 0)
		warn(m, "there is but one CPU: no generator can run beside the gateway, so there are costs and no rates");
	else
		siblings(m);
	const int cpu[] = {m->gateway, m->generator};
	for (int i = 0; i < 2; i++)
		if (cpu[i] >= 0 && busy[cpu[i]] > BUSY)
			warn(m, "CPU %d is %.0f %% busy with something else: rates without loss will be too low", cpu[i], busy[cpu[i]] * 100);
	line_of(governor, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", m->gateway);
	if (governor[0] && strcmp(governor, "performance") != 0)
		warn(m, "the CPU's governor is %s: `cpupower frequency-set -g performance`", governor);
}

void
machine_look(struct machine *m)
{
	static struct times before, after;
	static double busy[CPU_SETSIZE];
	cpu_set_t mine, taken;

	*m = (struct machine){.gateway = -1, .generator = -1, .warnings = json_array()};
	sched_getaffinity(0, sizeof(mine), &mine);
	gateways(&taken);
	read_times(&before);
	usleep(LOOK_US);
	read_times(&after);
	for (int i = 0; i < CPU_SETSIZE; i++) {
		const double all = (double)(after.all[i] - before.all[i]);
		busy[i] = all > 0 ? (double)(after.busy[i] - before.busy[i]) / all : 0;
		if (CPU_ISSET(i, &taken))
			CPU_CLR(i, &mine);
	}
	if (CPU_COUNT(&taken) > 0)
		warn(m, "a gateway runs on this box: its CPUs are left alone, but memory and caches are shared");
	m->gateway = quietest(&mine, busy);
	m->taken = m->gateway < 0;
	if (m->taken)
		return;
	CPU_CLR(m->gateway, &mine);
	m->generator = quietest(&mine, busy);
	judge(m, busy);
}

json_t *
machine_json(const struct machine *m)
{
	struct utsname u;
	char governor[128], hypervisor[128], online[128], nodes[128], threads[128];

	uname(&u);
	line_of(governor, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", m->gateway);
	line_of(hypervisor, "/sys/class/dmi/id/sys_vendor");
	line_of(online, "/sys/devices/system/cpu/online");
	line_of(nodes, "/sys/devices/system/node/online");
	line_of(threads, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", m->gateway);
	return json_pack("{s:s, s:f, s:s, s:s, s:s, s:i, s:i, s:s, s:s, s:s, s:s}", "cpu", measure_cpu(), "tsc_ghz", measure_ghz(),
		"cpus_online", online, "numa_nodes", nodes, "threads_of_gateway_core", threads, "gateway_cpu", m->gateway, "generator_cpu",
		m->generator, "governor", governor[0] ? governor : "unknown", "vendor", hypervisor, "kernel", u.release, "architecture",
		u.machine);
}
