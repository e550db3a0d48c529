/* SPDX-License-Identifier: BSD-3-Clause */
#include "run.h"

#include "machine.h"
#include "measure.h"
#include "report.h"
#include "search.h"
#include "trial.h"

#include <errno.h>
#include <intel-ipsec-mb.h>
#include <math.h>
#include <rte_version.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SEED 1
#define MAX_PAIRS 31
#define PDR_LOSS 0.005
#define MRR_TRIALS 5
#define REPEATS 20 /* of trials of one figure that something else disturbed */

static volatile sig_atomic_t interrupted;

static struct {
	const struct aead_engine *engine;
	struct machine machine;
	unsigned pairs, node_runs, needed;
	unsigned disturbed; /* trials of this figure */
	double trial, precision;
	bool terminal;
	char doing[96];
	json_t *file, *figures;
} the;

static void
interrupt(int signal_number)
{
	interrupted = 1;
}

static void
progress(const char *what, double rate)
{
	if (!the.terminal)
		return;
	fprintf(stderr, "\r%s: %s", the.doing, what);
	if (rate > 0)
		fprintf(stderr, " %.3f Mpps", rate / 1e6);
	fputs("\033[K", stderr);
}

/* ---- Costs ---- */

static struct rte_mbuf *pkts[BOX_PACKETS];
static struct tr_aead aead[BOX_PACKETS];

static void
prepare(void *arg)
{
	uint32_t number[BOX_BURST];

	for (uint32_t i = 0; i < BOX_PACKETS; i += BOX_BURST) {
		for (uint32_t k = 0; k < BOX_BURST; k++)
			number[k] = i + k;
		load_burst(arg, number, BOX_BURST, pkts + i, aead + i);
	}
}

static double
raw(struct load *l)
{
	static uint64_t clocks[BOX_PACKETS / BOX_BURST];

	prepare(l);
	for (uint32_t i = 0; i < BOX_PACKETS / BOX_BURST; i++)
		clocks[i] = load_raw(l, aead + (size_t)i * BOX_BURST, BOX_BURST);
	return (double)bench_median(clocks, BOX_PACKETS / BOX_BURST) / BOX_BURST;
}

static double
gateway(struct load *l)
{
	prepare(l);
	return (double)box_through(pkts, l->scenario->in, l->scenario->out) / BOX_PACKETS;
}

static void
run_nodes(void *arg)
{
	const struct load *l = arg;

	box_through(pkts, l->scenario->in, l->scenario->out);
}

static json_t *
nodes(struct load *l)
{
	struct box_node node[BOX_NODES];
	const unsigned n = box_nodes(prepare, run_nodes, l, the.node_runs, node);
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:s, s:f}", "node", node[i].name, "clocks", round(node[i].clocks * 10) / 10));
	return list;
}

/* Both sides take turns, and which goes first does too. Returns the gateway's clocks. */
static double
cost(struct load *l, json_t *figure)
{
	double ours[MAX_PAIRS], alone[MAX_PAIRS], ratio[MAX_PAIRS];
	const unsigned n = the.pairs;

	progress("cost", 0);
	for (unsigned i = 0; i < n; i++) {
		if (i % 2)
			ours[i] = gateway(l);
		alone[i] = raw(l);
		if (i % 2 == 0)
			ours[i] = gateway(l);
		ratio[i] = ours[i] / alone[i];
	}
	const double c = measure_median(ours, n), a = measure_median(alone, n), r = measure_median(ratio, n), ghz = measure_ghz();
	json_object_set_new(figure, "cost", json_pack("{s:f, s:f, s:f, s:o}", "clocks", c, "ns", c / ghz, "spread", measure_spread(ours, n),
		"nodes", nodes(l)));
	json_object_set_new(figure, "raw_aead", json_pack("{s:s, s:s, s:f, s:f, s:f, s:f}", "engine", l->engine->name, "does",
		load_raw_what(l->scenario), "clocks", a, "ns", a / ghz, "pps", ghz * 1e9 / a, "spread", measure_spread(alone, n)));
	json_object_set_new(figure, "ratio", json_pack("{s:f, s:f}", "median", r, "spread", measure_spread(ratio, n)));
	return c;
}

/* ---- Rates ---- */

/* One that says something of the gateway; or, on a machine that has other things to do all the time, any. */
static struct trial_result
quiet_trial(const struct trial *t, double load)
{
	struct trial_result r;

	do {
		r = trial_run(t, load);
		the.disturbed += r.disturbed;
	} while (r.disturbed && the.disturbed <= REPEATS && !interrupted);
	return r;
}

static bool
one_trial(void *arg, double load, struct search_trial *out)
{
	if (interrupted)
		return false;
	progress("trial at", load);
	const struct trial_result r = quiet_trial(arg, load);
	*out = (struct search_trial){.load = load, .loss = r.offered > 0 ? 1 - r.received / r.offered : 1};
	/* What the generator did not offer in time is not a load that the gateway carried. */
	if (out->loss <= 0 && r.offered / r.seconds < 0.98 * load)
		out->loss = 1 - r.offered / r.seconds / load;
	return true;
}

static json_t *
rate_json(const struct load *l, double pps, double raw_pps)
{
	return json_pack("{s:f, s:f, s:f}", "pps", pps, "bps", pps * l->bytes * 8, "of_raw_aead", pps / raw_pps);
}

static void
put_bounds(json_t *figure, const char *key, const struct load *l, const struct search_bounds *b, double goal, double raw_pps)
{
	json_t *v = rate_json(l, b->lower, raw_pps);

	json_object_set_new(v, "upper_pps", b->upper > 0 ? json_real(b->upper) : json_null());
	json_object_set_new(v, "loss_ratio", json_real(goal));
	json_object_set_new(v, "loss", json_real(b->loss));
	json_object_set_new(v, "trials", json_integer(b->trials));
	json_object_set_new(v, "complete", json_boolean(b->complete));
	json_object_set_new(figure, key, v);
}

static void
rates(struct load *l, json_t *figure)
{
	const double raw_pps = json_number_value(json_object_get(json_object_get(figure, "raw_aead"), "pps"));
	struct trial t = {.load = l, .cpu = the.machine.generator, .seconds = the.trial};

	progress("the generator's limit", 0);
	the.disturbed = 0;
	double got[MRR_TRIALS], offered[MRR_TRIALS];
	for (unsigned i = 0; i < MRR_TRIALS; i++) {
		const struct trial_result r = quiet_trial(&t, 0);
		got[i] = r.received / r.seconds;
		offered[i] = r.offered / r.seconds;
	}
	const double mrr = measure_median(got, MRR_TRIALS), limit = measure_median(offered, MRR_TRIALS);
	json_t *v = rate_json(l, mrr, raw_pps);
	json_object_set_new(v, "generator_limit_pps", json_real(limit));
	json_object_set_new(v, "limited_by", json_string(mrr > 0.99 * limit ? "generator" : "gateway"));
	json_object_set_new(v, "spread", json_real(measure_spread(got, MRR_TRIALS)));
	json_object_set_new(figure, "mrr", v);
	if (mrr <= 0)
		return;
	struct search *s = calloc(1, sizeof(*s));
	if (!s)
		return;
	*s = (struct search){.first = mrr, .limit = limit, .precision = the.precision, .needed = the.needed, .trial = one_trial, .arg = &t};
	struct search_bounds b = search_run(s, 0);
	put_bounds(figure, "ndr", l, &b, 0, raw_pps);
	b = search_run(s, PDR_LOSS);
	put_bounds(figure, "pdr", l, &b, PDR_LOSS, raw_pps);
	json_object_set_new(figure, "disturbed_trials", json_integer(the.disturbed));
	free(s);
}

/* ---- Figures ---- */

static double
at(const json_t *figure, const char *part, const char *key)
{
	return json_number_value(json_object_get(json_object_get(figure, part), key));
}

static void
mpps(const json_t *figure, const char *part)
{
	if (json_object_get(figure, part))
		printf(" %9.3f", at(figure, part, "pps") / 1e6);
	else
		printf(" %9s", "-");
}

static void
print_figure(const json_t *f)
{
	const char *limited = json_string_value(json_object_get(json_object_get(f, "mrr"), "limited_by"));

	if (the.terminal)
		fputs("\r\033[K", stderr);
	printf("%-9s %6s %7lld %9.1f %9.1f %6.2f %4.1f%%", json_string_value(json_object_get(f, "scenario")),
		json_string_value(json_object_get(f, "size")), (long long)json_integer_value(json_object_get(f, "peers")), at(f, "cost", "clocks"),
		at(f, "raw_aead", "clocks"), at(f, "ratio", "median"), at(f, "ratio", "spread") * 100);
	mpps(f, "mrr");
	mpps(f, "pdr");
	mpps(f, "ndr");
	printf("%s\n", limited && strcmp(limited, "generator") == 0 ? "  generator's limit" : "");
	fflush(stdout);
}

static void
measure(const struct run *r, const struct scenario *s, uint32_t size, uint32_t peers)
{
	struct load l;

	load_init(&l, s, size, peers, the.engine, SEED);
	snprintf(the.doing, sizeof(the.doing), "%s %s, %u peers", s->name, s->sized ? size_text(size) : "", peers);
	json_t *figure = json_pack("{s:s, s:s, s:f, s:i}", "scenario", s->name, "size", s->sized ? size_text(size) : "-", "bytes", l.bytes,
		"peers", s->peers ? (int)peers : 0);
	const uint64_t begin = measure_ns();
	load_prove(&l);
	cost(&l, figure);
	if (the.machine.generator >= 0 && !interrupted)
		rates(&l, figure);
	json_object_set_new(figure, "seconds", json_real((double)(measure_ns() - begin) / 1e9));
	json_array_append_new(the.figures, figure);
	if (!r->json)
		print_figure(figure);
	load_free(&l);
}

/* ---- The file ---- */

/* Whole, or as it was: never half of one. */
static bool
save(const char *path)
{
	char temporary[4096];

	if (!path)
		return true;
	snprintf(temporary, sizeof(temporary), "%s.part", path);
	if (json_dump_file(the.file, temporary, JSON_INDENT(1)) == 0 && rename(temporary, path) == 0)
		return true;
	fprintf(stderr, "tailrace bench: cannot write %s: %s\n", path, strerror(errno));
	remove(temporary);
	return false;
}

static void
begin_file(void)
{
	char now[32];
	const time_t t = time(NULL);
	struct tm tm;

	strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	the.figures = json_array();
	the.file = json_pack("{s:s, s:i, s:s, s:b, s:o, s:{s:s, s:s, s:s}, s:{s:s, s:i, s:i, s:i, s:i, s:f, s:i, s:f, s:f}, s:O, s:O}", "kind",
		"tailrace-bench", "version", REPORT_VERSION, "made", now, "complete", 0, "machine", machine_json(&the.machine), "versions",
		"tailrace", TR_VERSION, "dpdk", rte_version(), "ipsec_mb", imb_get_version_str(), "method", "ports", "rings", "burst", BOX_BURST,
		"packets", BOX_PACKETS, "seed", SEED, "pairs", (int)the.pairs, "trial_seconds", the.trial, "trials_needed", (int)the.needed,
		"precision", the.precision, "pdr_loss_ratio", PDR_LOSS, "warnings", the.machine.warnings, "figures", the.figures);
}

static void
say_machine(void)
{
	json_t *w;
	size_t i;

	printf("%s, TSC %.2f GHz, AEAD engine %s; gateway on CPU %d, generator on %d\n", measure_cpu(), measure_ghz(), the.engine->name,
		the.machine.gateway, the.machine.generator);
	fflush(stdout);
	json_array_foreach(the.machine.warnings, i, w) fprintf(stderr, "warning: %s\n", json_string_value(w));
	printf("%-9s %6s %7s %9s %9s %6s %5s %9s %9s %9s\n", "scenario", "size", "peers", "clocks", "raw AEAD", "ratio", "+-", "MRR", "PDR",
		"NDR  Mpps");
}

static void
pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void
all_figures(const struct run *r)
{
	for (unsigned s = 0; s < r->n_scenarios; s++)
		for (unsigned p = 0; p < (r->scenario[s]->peers ? r->n_peers : 1); p++)
			for (unsigned k = 0; k < (r->scenario[s]->sized ? r->n_sizes : 1) && !interrupted; k++) {
				measure(r, r->scenario[s], r->size[k], r->peers[p]);
				if (!save(r->output))
					return;
			}
}

int
run_all(struct run *r)
{
	uint32_t most = 1;
	bool jumbo = false;

	for (unsigned i = 0; i < r->n_peers; i++)
		most = r->peers[i] > most ? r->peers[i] : most;
	for (unsigned i = 0; i < r->n_sizes; i++)
		jumbo |= r->size[i] == SIZE_JUMBO;
	machine_look(&the.machine);
	if (the.machine.taken) {
		fputs("tailrace bench: a gateway runs on every CPU of this box; a benchmark would cost it packets\n", stderr);
		return 1;
	}
	the.pairs = r->quick ? 9 : MAX_PAIRS;
	the.node_runs = r->quick ? 9 : BOX_RUNS;
	the.needed = r->quick ? 3 : 5;
	the.trial = r->trial > 0 ? r->trial : r->quick ? 0.01 : 0.1;
	the.precision = r->quick ? 0.02 : 0.005;
	the.terminal = isatty(STDERR_FILENO);
	if (jumbo)
		box_jumbo();
	gateway_start(r->plugins, most);
	the.engine = aead_choose(NULL);
	pin(the.machine.gateway);
	begin_file();
	sigaction(SIGINT, &(struct sigaction){.sa_handler = interrupt, .sa_flags = SA_RESETHAND}, NULL);
	if (!r->json)
		say_machine();
	all_figures(r);
	json_object_set_new(the.file, "complete", json_boolean(!interrupted));
	bool good = save(r->output);
	if (r->json)
		json_dumpf(the.file, stdout, JSON_INDENT(1)), putchar('\n');
	if (r->report && !report_write(the.file, r->report))
		good = false;
	json_decref(the.file);
	json_decref(the.machine.warnings);
	json_decref(the.figures);
	box_stop();
	return interrupted ? 130 : good ? 0 : 1;
}
