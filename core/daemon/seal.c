/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The seccomp filter. It names what is forbidden: the libraries underneath, and plugins, may need any ordinary call, and a
 * list of those would break with the next of them. Each rule holds for a system call whatever its arguments, so that the
 * kernel (5.11 and later) answers from a bitmap: a call that is allowed costs the same with it as without.
 */
#include "privileges.h"

#include "../runtime/log.h"

#include <errno.h>
#include <seccomp.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED /* their run-time traces the process at its end */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

#ifdef SANITIZED
void
privileges_seal(void)
{
}
#else
static const char *const forbidden[] = {
	/* other processes */
	"ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd",
	/* another identity, another view of the system */
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups", "capset",
	"unshare", "setns", "chroot", "pivot_root", "mount", "umount2", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount",
	"fspick", "mount_setattr", "open_by_handle_at", "personality",
	/* the kernel and the machine */
	"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "acct",
	"quotactl", "syslog", "iopl", "ioperm", "modify_ldt", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex",
	"sethostname", "setdomainname",
	/* large surfaces that nothing here uses */
	"io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd", "add_key", "request_key", "keyctl",
	"perf_event_open", "fanotify_init", "lookup_dcookie", "vmsplice",
};

void
privileges_seal(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	int rc = f ? seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1) : -ENOMEM; /* threads that run already, too */
	for (size_t i = 0; rc == 0 && i < sizeof(forbidden) / sizeof(*forbidden); i++) {
		int call = seccomp_syscall_resolve_name(forbidden[i]);
		if (call != __NR_SCMP_ERROR && call >= 0) /* negative: not on this architecture */
			rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), call, 0);
	}
	if (rc == 0)
		rc = seccomp_load(f);
	if (f)
		seccomp_release(f);
	if (rc != 0)
		log_warning("tailraced", "no seccomp filter: %s", strerror(-rc));
}
#endif
