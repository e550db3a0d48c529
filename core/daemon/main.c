/* SPDX-License-Identifier: BSD-3-Clause */
/* tailraced: reads appliance.cfg and pipeline.yaml, starts the engine, serves the management socket until told to end. */
#include "../control/commands.h"
#include "../control/management.h"
#include "../control/telemetry.h"
#include "../crypto/aead.h"
#include "../netmap/store.h"
#include "../port/interrupt.h"
#include "../port/port.h"
#include "../runtime/log.h"
#include "../runtime/rcu.h"
#include "eal.h"
#include "notify.h"
#include "privileges.h"

#include <errno.h>
#include <getopt.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BAD_CONFIGURATION 2

struct daemon {
	struct appliance appliance;
	struct loop *control;
	struct engine *engine;
	struct commands *commands; /* NULL: the management socket could not be made */
	struct rte_mempool *pool;
	int exit_code;
	bool ready; /* the service manager knows that it runs */
};

static void
usage(FILE *f)
{
	fprintf(f, "usage: tailraced [-c APPLIANCE.CFG] [-p PIPELINE.YAML]\n\n"
		   "  -c FILE  what this box is (default /etc/tailrace/appliance.cfg)\n"
		   "  -p FILE  what it does (default: `pipeline` of appliance.cfg)\n"
		   "  -V       version\n");
}

/* ---- The service manager ---- */

/* Says that all is well, as long as it is: no worker stands still for half the time that the manager allows. */
static void
pet_watchdog(void *arg)
{
	struct daemon *d = arg;
	if (d->ready && (!d->commands || commands_stalled(d->commands) < notify_watchdog_ns() / 2))
		notify_send("WATCHDOG=1");
}

static void
tell_ready(struct daemon *d)
{
	char text[512];
	snprintf(text, sizeof(text), "READY=1\nSTATUS=runs %.400s\n", d->appliance.pipeline);
	notify_send(text);
	d->ready = true;
}

/* ---- Once a second ---- */

static void
each_second(void *arg)
{
	struct daemon *d = arg;
	if (ports_tick())
		engine_stir(d->engine);
	if (d->commands)
		commands_look_around(d->commands);
	netmap_save();
	log_tick();
}

static void
on_hangup(void *arg)
{
	commands_reload(((struct daemon *)arg)->commands);
}

/* ---- Ending ---- */

static void
closed(void *arg)
{
	loop_stop(((struct daemon *)arg)->control);
}

static void
on_end(void *arg)
{
	struct daemon *d = arg;
	notify_send("STOPPING=1");
	if (engine_close(d->engine, closed, d) == -EBUSY)
		loop_timer(d->control, 20, 0, on_end, d);
}

/* ---- Starting ---- */

static void
resume(void *arg, struct tr_instance *i)
{
	struct timespec t;
	(void)arg;
	clock_gettime(CLOCK_REALTIME, &t);
	if (i->table)
		netmap_resume(i->table, (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec);
}

static void
started(void *arg, const char *error)
{
	struct daemon *d = arg;
	if (error) {
		fprintf(stderr, "%s\n", error);
		d->exit_code = BAD_CONFIGURATION;
		closed(d);
		return;
	}
	engine_each(d->engine, resume, NULL);
	privileges_seal();
	tell_ready(d);
	log_info("tailraced", "running %s", d->appliance.pipeline);
}

static bool
make_pool(struct daemon *d)
{
	d->pool = rte_pktmbuf_pool_create("packets", (unsigned)d->appliance.packets, 256, TR_PRIV_SIZE,
		(uint16_t)d->appliance.packet_size, SOCKET_ID_ANY);
	if (!d->pool)
		log_error("memory", "no room for %lu packets of %lu bytes: %s", (unsigned long)d->appliance.packets,
			(unsigned long)d->appliance.packet_size, rte_strerror(rte_errno));
	return d->pool != NULL;
}

static bool
start_services(struct daemon *d, struct diags *diags)
{
	char why[1024] = "";
	if (netmap_init((uint32_t)d->appliance.max_peers, d->appliance.state_dir, why, sizeof(why)) != 0) {
		log_error("state", "%s", why);
		return false;
	}
	if (why[0])
		log_warning("state", "%s", why);
	return ports_open(&d->appliance, d->pool, (uint16_t)d->appliance.n_lcores, diags);
}

static int
run(struct daemon *d, struct plan *plan, struct catalogue *c)
{
	char why[256], path[256];
	struct engine_config config = {.appliance = &d->appliance, .pool = d->pool, .control = d->control, .catalogue = *c,
		.workers = (uint16_t)d->appliance.n_lcores, .cpu = d->appliance.lcore, .thread_start = eal_thread_start};
	d->engine = engine_new(&config);
	if (!d->engine) {
		log_error("tailraced", "can't start the engine: out of memory or threads");
		plan_free(plan);
		return EXIT_FAILURE;
	}
	*c = (struct catalogue){0}; /* the engine's now */
	snprintf(path, sizeof(path), "%s/tailrace.sock", d->appliance.run_dir);
	struct management *m = management_new(d->control, path, d->appliance.group, why, sizeof(why));
	if (!m)
		log_warning("management", "%s", why);
	if (m)
		d->commands = commands_new(&(struct commands_config){d->control, m, d->engine, &d->appliance});
	if (d->commands)
		telemetry_start(path);
	loop_signal(d->control, SIGINT, on_end, d);
	loop_signal(d->control, SIGTERM, on_end, d);
	if (d->commands)
		loop_signal(d->control, SIGHUP, on_hangup, d);
	loop_timer(d->control, 1000, 1000, each_second, d);
	if (notify_watchdog_ns())
		loop_timer(d->control, 0, notify_watchdog_ns() / 4000000, pet_watchdog, d);
	engine_apply(d->engine, plan, NULL, started, d);
	loop_run(d->control);
	netmap_save();
	if (d->commands)
		commands_free(d->commands);
	engine_free(d->engine);
	if (m)
		management_free(m);
	return d->exit_code;
}

/* From the event loop to the end of the daemon. Takes the plan; of the catalogue what is left is the caller's. */
static int
serve(struct daemon *d, struct plan *plan, struct catalogue *c)
{
	struct diags diags = {0};
	int code = EXIT_FAILURE;

	d->control = loop_new("control", 65536);
	if (!d->control || rcu_init() != 0 || crypto_init() != 0 || eal_start(&d->appliance) != 0) {
		plan_free(plan);
		return code;
	}
	if (make_pool(d) && start_services(d, &diags))
		code = run(d, plan, c);
	else
		plan_free(plan);
	diags_print(&diags, stderr);
	diags_free(&diags);
	ports_close();
	loop_free(d->control);
	netmap_fini(); /* its last save still reads under RCU */
	rcu_fini();
	interrupt_park();
	rte_eal_cleanup();
	return code;
}

static int
start(struct daemon *d, const char *cfg, const char *pipeline)
{
	struct arena *arena = arena_new(64u << 20); /* what the appliance says: until the end */
	struct diags diags = {0};
	struct catalogue c = {0};
	struct plan *plan = NULL;
	int code = BAD_CONFIGURATION;

	if (appliance_load(arena, cfg, &d->appliance, &diags)) {
		log_open(STDERR_FILENO, (enum tr_log_level)d->appliance.log_level);
		if (pipeline)
			d->appliance.pipeline = pipeline;
		if (privileges_take(&d->appliance))
			plan = pipeline_load(&d->appliance, d->appliance.pipeline, &c, &diags);
		else
			code = EXIT_FAILURE;
	}
	diags_print(&diags, stderr);
	diags_free(&diags);
	if (plan)
		code = serve(d, plan, &c);
	catalogue_free(&c);
	arena_free(arena);
	return code;
}

/* As many as an administrator allows: a relay's clients take one each. */
static void
allow_descriptors(void)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

int
main(int argc, char **argv)
{
	static struct daemon d;
	const char *cfg = "/etc/tailrace/appliance.cfg", *pipeline = NULL;

	if (argc == 2 && strcmp(argv[1], "--preflight") == 0)
		return plugin_preflight_main();
	for (int o; (o = getopt(argc, argv, "c:p:Vh")) != -1;) {
		switch (o) {
		case 'c':
			cfg = optarg;
			break;
		case 'p':
			pipeline = optarg;
			break;
		case 'V':
			puts("tailraced " TR_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return BAD_CONFIGURATION;
		}
	}
	signal(SIGPIPE, SIG_IGN);
	allow_descriptors();
	notify_open();
	return start(&d, cfg, pipeline);
}
