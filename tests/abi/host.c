/* SPDX-License-Identifier: BSD-3-Clause */
/* A host that is linked to nothing but libc: a plugin must bring what it needs. */
#include <dlfcn.h>
#include <stdio.h>

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		void *p = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);

		if (!p || !dlsym(p, "tr_plugin")) {
			fprintf(stderr, "%s\n", dlerror());
			return 1;
		}
	}
	return 0;
}
