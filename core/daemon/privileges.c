/* SPDX-License-Identifier: BSD-3-Clause */
#include "privileges.h"

#include "../runtime/log.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* By the driver, which a device's name begins with. What is not here (PCI by vfio, memif, ring, null) needs none. */
static const struct {
	const char *driver;
	cap_value_t cap[4];
	int n;
} needs[] = {
	{"net_af_packet", {CAP_NET_RAW, CAP_NET_ADMIN}, 2},
	{"net_af_xdp", {CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF}, 4},
	{"net_pcap", {CAP_NET_RAW}, 1},
	{"net_tap", {CAP_NET_ADMIN}, 1},
	{"net_virtio_user", {CAP_NET_ADMIN}, 1},
	{"host", {CAP_NET_ADMIN, CAP_NET_BIND_SERVICE}, 2},
};

static void
add_device(const char *device, uint64_t *set)
{
	for (size_t i = 0; i < sizeof(needs) / sizeof(*needs); i++)
		for (int k = 0; strncmp(device, needs[i].driver, strlen(needs[i].driver)) == 0 && k < needs[i].n; k++)
			*set |= UINT64_C(1) << needs[i].cap[k];
}

static void
name_set(uint64_t set, char *text, size_t size)
{
	size_t at = 0;
	snprintf(text, size, "none");
	for (cap_value_t c = 0; c < 64; c++) {
		char *name = set >> c & 1 ? cap_to_name(c) : NULL; /* "cap_net_raw" */
		if (!name)
			continue;
		for (char *p = name; *p; p++)
			*p = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
		at += (size_t)snprintf(text + at, at < size ? size - at : 0, "%s%s", at ? ", " : "", name + 4);
		cap_free(name);
	}
}

/* A directory of ours. Where root had it so far, it is the user's from now on; another's is left alone. */
static void
make_directory(const char *path, mode_t mode, const struct passwd *user)
{
	struct stat st;
	if (mkdir(path, mode) != 0 && errno != EEXIST)
		log_warning("tailraced", "%s: %s", path, strerror(errno));
	else if (user && stat(path, &st) == 0 && st.st_uid == 0 && chown(path, user->pw_uid, user->pw_gid) != 0)
		log_warning("tailraced", "%s: %s", path, strerror(errno));
}

/* The groups of a user that is not changed, and that which the management socket is to belong to. */
static void
join_group(const char *name)
{
	const struct group *g = name ? getgrnam(name) : NULL;
	gid_t list[256];
	int n = getgroups(255, list);
	if (!g || n < 0)
		return;
	list[n] = g->gr_gid;
	if (setgroups((size_t)n + 1, list) != 0)
		log_warning("tailraced", "can't join the group %s: %s", name, strerror(errno));
}

static bool
become(const struct passwd *user)
{
	if (prctl(PR_SET_KEEPCAPS, 1) == 0 && initgroups(user->pw_name, user->pw_gid) == 0 &&
		setresgid(user->pw_gid, user->pw_gid, user->pw_gid) == 0 && setresuid(user->pw_uid, user->pw_uid, user->pw_uid) == 0 &&
		/* Plugins are loaded, and the preflight child is started, through /proc/self, which is ours only then. */
		prctl(PR_SET_DUMPABLE, 1) == 0)
		return true;
	log_error("tailraced", "can't become the user %s: %s", user->pw_name, strerror(errno));
	return false;
}

/* While root. One that can't be cut, as nobody here is root, does no harm under no_new_privs. */
static void
cut_bounding_set(uint64_t wanted)
{
	for (cap_value_t c = 0; c <= CAP_LAST_CAP; c++)
		if (!(wanted >> c & 1))
			prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
}

/* Of what the process has. */
static bool
keep(uint64_t wanted, uint64_t *missing)
{
	cap_t now = cap_get_proc(), next = cap_init();
	bool ok = now && next;
	for (cap_value_t c = 0; ok && c <= CAP_LAST_CAP; c++) {
		cap_flag_value_t have = CAP_CLEAR;
		cap_get_flag(now, c, CAP_PERMITTED, &have);
		if (!(wanted >> c & 1))
			continue;
		if (have != CAP_SET)
			*missing |= UINT64_C(1) << c;
		else
			ok = cap_set_flag(next, CAP_PERMITTED, 1, &c, CAP_SET) == 0 && cap_set_flag(next, CAP_EFFECTIVE, 1, &c, CAP_SET) == 0;
	}
	ok = ok && cap_set_proc(next) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (!ok)
		log_error("tailraced", "can't give up privileges: %s", strerror(errno));
	cap_free(now);
	cap_free(next);
	return ok;
}

bool
privileges_take(const struct appliance *a)
{
	const struct passwd *user = a->user && geteuid() == 0 ? getpwnam(a->user) : NULL;
	uint64_t wanted = 0, missing = 0;
	char text[256];
	if (a->user && geteuid() == 0 && !user) {
		log_error("tailraced", "%s: no such user: %s", a->file, a->user);
		return false;
	}
	make_directory(a->run_dir, 0755, user);
	make_directory(a->uapi_dir, 0755, user);
	make_directory(a->state_dir, 0700, user);
	for (unsigned i = 0; i < a->n_ports; i++)
		add_device(a->port[i].device, &wanted);
	if (!user)
		join_group(a->group);
	cut_bounding_set(wanted);
	if ((user && !become(user)) || !keep(wanted, &missing))
		return false;
	if (missing) {
		name_set(missing, text, sizeof(text));
		log_warning("tailraced", "capabilities that the ports need are missing: %s", text);
	}
	name_set(wanted & ~missing, text, sizeof(text));
	log_info("tailraced", "runs as uid %u with capabilities: %s", geteuid(), text);
	return true;
}
