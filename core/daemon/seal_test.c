/* SPDX-License-Identifier: BSD-3-Clause */
/* The filter, asked: in a child, because it can't be taken off again. */
#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static bool
refused(long result)
{
	return result == -1 && errno == EPERM;
}

/* Root may all of this: only the filter refuses. */
static int
forbidden_is_refused(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL)) && refused(unshare(CLONE_FILES)) &&
			refused(syscall(SYS_clock_settime, CLOCK_REALTIME, &t)) && refused(syscall(SYS_io_uring_setup, 1, NULL)) &&
			refused(syscall(SYS_setuid, getuid())) && refused(syscall(SYS_process_vm_readv, getpid(), NULL, 0ul, NULL, 0ul, 0ul))
		? 0
		: 1;
}

static void *
in_thread(void *go)
{
	while (!__atomic_load_n((bool *)go, __ATOMIC_ACQUIRE))
		sched_yield();
	return (void *)(intptr_t)forbidden_is_refused();
}

/* What a gateway does while it runs. */
static int
needed_is_allowed(void)
{
	int fd = open("/proc/self/status", O_RDONLY), s = socket(AF_INET, SOCK_DGRAM, 0);
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int m = memfd_create("plugin", MFD_CLOEXEC);
	pid_t child = vfork();
	if (child == 0)
		_exit(0);
	return fd >= 0 && s >= 0 && p != MAP_FAILED && m >= 0 && child > 0 && waitpid(child, NULL, 0) == child ? 0 : 2;
}

static int
sealed(void)
{
	pthread_t thread;
	bool go = false;
	void *result;
	if (pthread_create(&thread, NULL, in_thread, &go) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return 4;
	privileges_seal();
	__atomic_store_n(&go, true, __ATOMIC_RELEASE);
	pthread_join(thread, &result);
	return (int)(intptr_t)result | forbidden_is_refused() | needed_is_allowed();
}

static void
refuses_what_is_forbidden_in_every_thread(void **state)
{
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	skip(); /* there is no filter: privileges_seal() says why */
#endif
#endif
	int status;
	pid_t child = fork();
	if (child == 0)
		_exit(sealed());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(refuses_what_is_forbidden_in_every_thread)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
