/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starting DPDK's EAL. Threads are the engine's own: the EAL knows one lcore, that of the control thread. It and
 * all threads that it starts share the CPUs that no worker has, if there are any: a worker that is moved aside by an apply
 * is a gap in the traffic.
 */
#include "../runtime/log.h"
#include "eal.h"

#include <dirent.h>
#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_ARGS 128

struct args {
	char *v[MAX_ARGS];
	int n;
};

static void
add(struct args *a, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	if (a->n < MAX_ARGS - 1 && vasprintf(&a->v[a->n], format, ap) >= 0)
		a->n++;
	va_end(ap);
}

/* Free hugepages of all sizes, in MiB. */
static uint64_t
free_hugepages(void)
{
	DIR *d = opendir("/sys/kernel/mm/hugepages");
	uint64_t mb = 0;
	for (struct dirent *e; d && (e = readdir(d));) {
		unsigned long kb, n;
		char path[320];
		if (sscanf(e->d_name, "hugepages-%lukB", &kb) != 1)
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/%s/free_hugepages", e->d_name);
		FILE *f = fopen(path, "re");
		if (f && fscanf(f, "%lu", &n) == 1)
			mb += n * kb / 1024;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return mb;
}

static void
add_memory(struct args *args, const struct appliance *a)
{
	uint64_t have = a->hugepages ? free_hugepages() : 0;
	add(args, "-m");
	add(args, "%lu", (unsigned long)a->memory_mb);
	if (have >= a->memory_mb) {
		add(args, "--in-memory");
		add(args, "--single-file-segments");
		return;
	}
	if (a->hugepages)
		log_warning("memory", "%lu MiB of hugepages are free, %lu wanted: running on ordinary pages (slower)",
			(unsigned long)have, (unsigned long)a->memory_mb);
	add(args, "--no-huge");
}

static void
cpus_without_workers(const struct appliance *a, cpu_set_t *set)
{
	cpu_set_t all;
	sched_getaffinity(0, sizeof(all), &all);
	*set = all;
	for (unsigned i = 0; i < a->n_lcores; i++)
		if (a->lcore[i] < CPU_SETSIZE)
			CPU_CLR(a->lcore[i], set);
	if (CPU_COUNT(set) == 0)
		*set = all;
}

static void
add_cpus(struct args *args, const struct appliance *a)
{
	char list[1024] = "";
	cpu_set_t set;
	size_t at = 0;
	cpus_without_workers(a, &set);
	for (int c = 0; c < CPU_SETSIZE && at < sizeof(list) - 8; c++)
		if (CPU_ISSET(c, &set))
			at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%d", at ? "," : "", c);
	add(args, "--lcores");
	add(args, "0@(%s)", list);
}

static bool
is_pci(const char *device)
{
	unsigned a, b, c, d;
	return sscanf(device, "%x:%x:%x.%x", &a, &b, &c, &d) == 4 || sscanf(device, "%x:%x.%x", &a, &b, &c) == 3;
}

int
eal_start(const struct appliance *a)
{
	static struct args args; /* the EAL keeps the words, */
	static char *given[MAX_ARGS]; /* and moves those of its vector about, and loses one */
	bool pci = false;
	add(&args, "tailraced");
	add_cpus(&args, a);
	add_memory(&args, a);
	add(&args, "--file-prefix");
	add(&args, "tailrace-%d", (int)getpid());
	for (unsigned i = 0; i < a->n_ports; i++) {
		if (!is_pci(a->port[i].device))
			continue;
		pci = true;
		add(&args, "-a");
		add(&args, "%s", a->port[i].device);
	}
	if (!pci)
		add(&args, "--no-pci");
	char *extra = strdup(a->eal ? a->eal : ""), *save = NULL;
	for (char *word = strtok_r(extra, " ", &save); word; word = strtok_r(NULL, " ", &save))
		add(&args, "%s", word);
	free(extra);
	setenv("XDG_RUNTIME_DIR", a->run_dir, 1); /* for whoever is not root: else it is /tmp/dpdk, which anybody may have made */
	if (!log_wants(TR_LOG_DEBUG))
		rte_log_set_global_level(RTE_LOG_WARNING);
	memcpy(given, args.v, sizeof(given));
	given[args.n] = NULL;
	if (rte_eal_init(args.n, given) < 0) {
		log_error("dpdk", "can't start: %s", rte_strerror(rte_errno));
		return -EIO;
	}
	return 0;
}

void
eal_thread_start(void)
{
	if (rte_thread_register() != 0)
		log_warning("dpdk", "no lcore id for a thread: %s (its packet pool works without a cache)", rte_strerror(rte_errno));
}
