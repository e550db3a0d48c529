/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * By hand rather than by libsystemd: it is one datagram, and the library would bring four others into a process that is kept
 * small.
 */
#include "notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un manager;
static socklen_t manager_len;
static uint64_t watchdog_ns;
static int sock = -1;

void
notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET"), *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	size_t len = path ? strlen(path) : 0;
	if (len > 1 && (path[0] == '/' || path[0] == '@') && len < sizeof(manager.sun_path)) {
		manager.sun_family = AF_UNIX;
		memcpy(manager.sun_path, path, len);
		if (path[0] == '@')
			manager.sun_path[0] = 0;
		manager_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
		sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	}
	if (sock >= 0 && usec && (!pid || strtol(pid, NULL, 10) == getpid()))
		watchdog_ns = strtoull(usec, NULL, 10) * 1000;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void
notify_send(const char *state)
{
	if (sock >= 0)
		sendto(sock, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&manager, manager_len);
}

uint64_t
notify_watchdog_ns(void)
{
	return watchdog_ns;
}
