/* SPDX-License-Identifier: BSD-3-Clause */
#include "plot.h"

#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Pixels. */
#define WIDTH 1000
#define ROW 30
#define ROOM 1.3 /* for the text right of the longest bar */
#define HEAD 62  /* above the rows of a family: title and legends */
#define AXIS 44  /* below them: ticks, and what they count */
#define MAX_NODES 24
#define MAX_ROWS 64

/* Left and right half of a family. */
struct panel {
	double x, width, most; /* most: the largest value */
	const char *counts;
};

struct family {
	const char *title, *scenario[3];
};
static const struct family families[] = {
	{"Forwarding, nothing encrypted", {"l3", "l3-ipv6"}},
	{"Into the tunnels of peers", {"encrypt"}},
	{"Out of the tunnels of peers", {"decrypt"}},
	{"Out of one peer's tunnel into another's", {"tunnel"}},
	{"Services", {"stun", "dns"}},
};
#define FAMILIES (sizeof(families) / sizeof(*families))

struct plot {
	FILE *f;
	double height, y;
	const char *node[MAX_NODES]; /* in the order of their first appearance, and so of their colours */
	unsigned n_nodes;
	const json_t *row[MAX_ROWS]; /* of the family that is drawn */
	unsigned n_rows;
};

static const char *const colours[] = {"#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#edc948", "#76b7b2", "#9c755f", "#ff9da7", "#86bcb6",
	"#bab0ac", "#d37295", "#8cd17d", "#b6992d", "#499894", "#d7b5a6", "#a0cbe8"};
#define COLOURS (sizeof(colours) / sizeof(*colours))
static const char *const rates[] = {"mrr", "pdr", "ndr"};
static const char *const rate_names[] = {"most that came through (MRR)", "with up to 0.5 % lost (PDR)", "with none lost (NDR)"};
static const char *const rate_colours[] = {"#a6c8e4", "#5b96c8", "#1f4e79"};
#define GREY "'#666666'"
#define RED "'#d00000'"

const char *
plot_word(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

double
plot_of(const json_t *o, const char *part, const char *key)
{
	return json_number_value(json_object_get(json_object_get(o, part), key));
}

/* Between single quotes gnuplot looks for nothing but their end. */
static void
quote(FILE *f, const char *text)
{
	fputc('\'', f);
	for (; text && *text; text++) {
		if (*text == '\'')
			fputc('\'', f);
		if ((unsigned char)*text >= ' ')
			fputc(*text, f);
	}
	fputc('\'', f);
}

static void
at(const struct plot *p, double x, double y)
{
	fprintf(p->f, " at screen %.5f,%.5f", x / WIDTH, 1 - y / p->height);
}

static void
say(const struct plot *p, double x, double y, unsigned size, const char *colour, const char *text)
{
	fputs("set label ", p->f);
	quote(p->f, text);
	at(p, x, y);
	fprintf(p->f, " font ',%u' textcolor rgb %s\n", size, colour);
}

/* ---- Head ---- */

static void
head(struct plot *p, const json_t *file)
{
	const json_t *m = json_object_get(file, "machine"), *v = json_object_get(file, "versions"), *w;
	const json_t *first = json_array_get(json_object_get(file, "figures"), 0);
	char line[400];
	size_t i;

	say(p, 20, 32, 22, "'black'", "What this box carries");
	snprintf(line, sizeof(line), "%s, TSC %.2f GHz; governor %s; Linux %s", plot_word(m, "cpu"), json_number_value(json_object_get(m, "tsc_ghz")),
		plot_word(m, "governor"), plot_word(m, "kernel"));
	say(p, 20, 58, 12, "'black'", line);
	snprintf(line, sizeof(line), "tailrace %s, %s, ipsec-mb %s; AEAD engine %s; %s%s", plot_word(v, "tailrace"), plot_word(v, "dpdk"),
		plot_word(v, "ipsec_mb"), plot_word(json_object_get(first, "raw_aead"), "engine"), plot_word(file, "made"),
		json_is_true(json_object_get(file, "complete")) ? "" : "; ended before all was measured");
	say(p, 20, 76, 12, "'black'", line);
	p->y = 76;
	json_array_foreach(json_object_get(file, "warnings"), i, w) say(p, 20, p->y += 18, 12, "'#aa1111'", json_string_value(w));
	p->y += 26;
	say(p, 20, p->y, 12, RED, "|");
	say(p, 28, p->y, 12, "'black'",
		"the AEAD engine alone, for the same packets, in the same run: what the CPU allows. (Where nothing is encrypted: for scale.)");
	p->y += 20;
}

/* ---- Panels ---- */

static void
label(const struct plot *p, const json_t *figure, bool with_scenario)
{
	const char *size = plot_word(figure, "size");
	const json_int_t peers = json_integer_value(json_object_get(figure, "peers"));
	char text[80];
	int n = 0;

	if (with_scenario)
		n = snprintf(text, sizeof(text), "%.16s", plot_word(figure, "scenario"));
	if (strcmp(size, "-") != 0)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%.10s%s", n ? " " : "", strcmp(size, "imix") == 0 ? "IMIX" : size,
			strspn(size, "0123456789") == strlen(size) ? " B" : "");
	text[n] = '\0';
	if (peers)
		snprintf(text + n, sizeof(text) - (size_t)n, "%s%lld peer%s", n ? ", " : "", (long long)peers, peers == 1 ? "" : "s");
	quote(p->f, text);
}

/* What both have; the rows are named at the left one. */
static void
frame(const struct plot *p, const struct panel *panel, const struct family *named)
{
	const double top = p->y + HEAD, bottom = top + ROW * p->n_rows;

	fprintf(p->f, "set lmargin at screen %.5f\nset rmargin at screen %.5f\nset tmargin at screen %.5f\nset bmargin at screen %.5f\n",
		panel->x / WIDTH, (panel->x + panel->width) / WIDTH, 1 - top / p->height, 1 - bottom / p->height);
	fprintf(p->f, "set xrange [0:%g]\nset yrange [%g:0.5]\nset xlabel ", panel->most * ROOM, p->n_rows + 0.5);
	quote(p->f, panel->counts);
	fputs(" offset 0,0.6 font ',11' textcolor rgb " GREY "\nunset ytics\n", p->f);
	for (unsigned i = 0; named && i < p->n_rows; i++) {
		fprintf(p->f, "set ytics nomirror scale 0 %s(", i ? "add " : "");
		label(p, p->row[i], named->title == NULL || named->scenario[1]);
		fprintf(p->f, " %u) font ',12'\n", i + 1);
	}
	fputs("set key left top Left reverse samplen 0.8 font ',11' textcolor rgb " GREY, p->f);
}

/* One colour's bars: lines of left end, right end, upper and lower edge. */
static void
bars(const struct plot *p, const char *colour, const char *title)
{
	fprintf(p->f, "'-' using (($1+$2)/2):3:1:2:3:4 with boxxyerror linecolor rgb '%s' title ", colour);
	quote(p->f, title);
	fputs(", ", p->f);
}

/* After the bars: the mark of the AEAD alone, and a text. */
#define MARKS "'-' using 1:($2-0.37):(0):(0.74) with vectors nohead linewidth 2.5 linecolor rgb " RED " notitle, "
#define TEXTS "'-' using 1:2:3 with labels left offset 0.7,0 notitle\n"

static double
raw_of(const json_t *figure, bool rate)
{
	return rate ? plot_of(figure, "raw_aead", "pps") / 1e6 : plot_of(figure, "raw_aead", "clocks");
}

static void
marks(const struct plot *p, bool rate)
{
	for (unsigned i = 0; i < p->n_rows; i++)
		if (raw_of(p->row[i], rate) > 0)
			fprintf(p->f, "%g %u\n", raw_of(p->row[i], rate), i + 1);
	fputs("e\n", p->f);
}

/* ---- Costs, node by node ---- */

static unsigned
node_index(struct plot *p, const char *node)
{
	unsigned i = 0;

	while (i < p->n_nodes && strcmp(p->node[i], node) != 0)
		i++;
	if (i == p->n_nodes && i < MAX_NODES)
		p->node[p->n_nodes++] = node;
	return i;
}

/* Where the bar of a node of a figure begins and ends. Nodes are measured in runs of their own, with a clock between them: they
 * show the shares of the whole. */
static bool
share(struct plot *p, const json_t *figure, unsigned node, double *from, double *to)
{
	const json_t *nodes = json_object_get(json_object_get(figure, "cost"), "nodes"), *n;
	double sum = 0, before = 0, own = 0;
	bool seen = false;
	size_t i;

	json_array_foreach(nodes, i, n) {
		const double clocks = json_number_value(json_object_get(n, "clocks"));
		if (node_index(p, plot_word(n, "node")) == node && !seen)
			seen = true, before = sum, own = clocks;
		sum += clocks;
	}
	const double whole = sum > 0 ? plot_of(figure, "cost", "clocks") / sum : 0;
	*from = before * whole;
	*to = (before + own) * whole;
	return seen;
}

static void
costs(struct plot *p, const struct family *family)
{
	struct panel panel = {120, 430, 1, "TSC clocks per packet, by node (and times the AEAD alone)"};
	bool here[MAX_NODES] = {0};
	double from, to;

	for (unsigned i = 0; i < p->n_rows; i++) {
		const json_t *n;
		size_t k;
		json_array_foreach(json_object_get(json_object_get(p->row[i], "cost"), "nodes"), k, n) {
			const unsigned node = node_index(p, plot_word(n, "node"));
			if (node < MAX_NODES)
				here[node] = true;
		}
		panel.most = fmax(panel.most, fmax(plot_of(p->row[i], "cost", "clocks"), raw_of(p->row[i], false)));
	}
	frame(p, &panel, family);
	fputs(" horizontal maxcols 5", p->f);
	at(p, panel.x - 10, p->y + 24);
	fputs("\nplot ", p->f);
	for (unsigned k = 0; k < p->n_nodes; k++)
		if (here[k])
			bars(p, colours[k % COLOURS], p->node[k]);
	fputs(MARKS TEXTS, p->f);
	for (unsigned k = 0; k < p->n_nodes; k++) {
		for (unsigned i = 0; here[k] && i < p->n_rows; i++)
			if (share(p, p->row[i], k, &from, &to))
				fprintf(p->f, "%g %g %g %g\n", from, to, i + 1 - 0.27, i + 1 + 0.27);
		fputs(here[k] ? "e\n" : "", p->f);
	}
	marks(p, false);
	for (unsigned i = 0; i < p->n_rows; i++) {
		const double clocks = plot_of(p->row[i], "cost", "clocks");
		fprintf(p->f, "%g %u \"%.0f, %.2f x\"\n", fmax(clocks, raw_of(p->row[i], false)), i + 1, clocks, plot_of(p->row[i], "ratio", "median"));
	}
	fputs("e\n", p->f);
}

/* ---- Rates ---- */

static void
throughput(struct plot *p)
{
	struct panel panel = {640, 310, 0, "million packets a second (text: with none lost)"};

	for (unsigned i = 0; i < p->n_rows; i++)
		for (unsigned k = 0; k < 3; k++)
			panel.most = fmax(panel.most, fmax(raw_of(p->row[i], true), plot_of(p->row[i], rates[k], "pps") / 1e6));
	if (panel.most <= 0)
		panel.most = 1;
	frame(p, &panel, NULL);
	fputs(" vertical spacing 0.8", p->f);
	at(p, panel.x - 10, p->y + 10);
	fputs("\nplot ", p->f);
	for (unsigned k = 0; k < 3; k++)
		bars(p, rate_colours[k], rate_names[k]);
	fputs(MARKS TEXTS, p->f);
	for (unsigned k = 0; k < 3; k++) {
		const double up = 0.27 - 0.18 * k;
		for (unsigned i = 0; i < p->n_rows; i++)
			if (json_object_get(p->row[i], rates[k]))
				fprintf(p->f, "0 %g %g %g\n", plot_of(p->row[i], rates[k], "pps") / 1e6, i + 1 - up, i + 1 - up + 0.17);
			else
				fputs("\n", p->f); /* gnuplot takes no bars without a line */
		fputs("e\n", p->f);
	}
	marks(p, true);
	for (unsigned i = 0; i < p->n_rows; i++) {
		double end = raw_of(p->row[i], true);
		for (unsigned k = 0; k < 3; k++)
			end = fmax(end, plot_of(p->row[i], rates[k], "pps") / 1e6);
		if (json_object_get(p->row[i], "mrr"))
			fprintf(p->f, "%g %u \"%.2f, %.1f Gb/s\"\n", end, i + 1, plot_of(p->row[i], "ndr", "pps") / 1e6,
				plot_of(p->row[i], "ndr", "bps") / 1e9);
		else
			fprintf(p->f, "0 %u \"not measured: a generator needs a CPU of its own\"\n", i + 1);
	}
	fputs("e\n", p->f);
}

/* ---- Families ---- */

/* Is it the family's? The one without a title has what no other has. */
static bool
belongs(const json_t *figure, const struct family *family)
{
	const char *name = plot_word(figure, "scenario");

	if (family->title == NULL) {
		for (unsigned k = 0; k < FAMILIES; k++)
			if (belongs(figure, &families[k]))
				return false;
		return true;
	}
	for (unsigned i = 0; i < 3 && family->scenario[i]; i++)
		if (strcmp(family->scenario[i], name) == 0)
			return true;
	return false;
}

static const struct family *
family_of(unsigned k)
{
	static const struct family others = {0};

	return k < FAMILIES ? &families[k] : &others;
}

static void
rows_of(struct plot *p, const json_t *figures, const struct family *family)
{
	const json_t *g;
	size_t i;

	p->n_rows = 0;
	json_array_foreach(figures, i, g) if (p->n_rows < MAX_ROWS && belongs(g, family)) p->row[p->n_rows++] = g;
}

static void
draw_family(struct plot *p, const struct family *family)
{
	say(p, 20, p->y + 14, 16, "'black'", family->title ? family->title : "Others");
	costs(p, family);
	fputs("unset label\n", p->f);
	throughput(p);
	p->y += HEAD + ROW * p->n_rows + AXIS;
}

void
plot_script(const json_t *file, FILE *f)
{
	const json_t *figures = json_object_get(file, "figures");
	struct plot p = {.f = f, .height = 130 + 18.0 * (double)json_array_size(json_object_get(file, "warnings"))};

	for (unsigned k = 0; k <= FAMILIES; k++) {
		rows_of(&p, figures, family_of(k));
		p.height += p.n_rows ? HEAD + ROW * p.n_rows + AXIS : 0;
	}
	fprintf(f, "set terminal svg size %d,%.0f name 'tailrace_bench' noenhanced font 'Helvetica Neue,Arial,DejaVu Sans,sans-serif,12' background '#ffffff'\n"
		   "set multiplot\nunset border\nset tics nomirror scale 0 font ',11'\nset style fill solid noborder\n"
		   "set grid xtics linetype 1 linecolor rgb '#dddddd'\n", WIDTH, p.height);
	head(&p, file);
	for (unsigned k = 0; k <= FAMILIES; k++) {
		rows_of(&p, figures, family_of(k));
		if (p.n_rows)
			draw_family(&p, family_of(k));
	}
}

/* ---- gnuplot ---- */

/* Runs it with `script` as its input and `out` as its output: files, so that neither waits for the other. */
static bool
run_gnuplot(FILE *script, FILE *out)
{
	char *const argv[] = {(char *)"gnuplot", (char *)"-d", (char *)"-", NULL}; /* -d: nobody's settings */
	posix_spawn_file_actions_t files;
	pid_t pid;
	int status = 0;

	if (fflush(script) != 0 || fseek(script, 0, SEEK_SET) != 0)
		return false;
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, fileno(script), 0);
	posix_spawn_file_actions_adddup2(&files, fileno(out), 1);
	const int rc = posix_spawnp(&pid, "gnuplot", &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	if (rc != 0)
		fprintf(stderr, "tailrace bench: no drawing without gnuplot (package gnuplot-nox): %s\n", strerror(rc));
	return rc == 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool
plot_print(const json_t *file, FILE *f)
{
	FILE *script = tmpfile(), *svg = tmpfile();
	bool element = false, ok = false;
	char *line = NULL;
	size_t size = 0;

	if (script && svg) {
		plot_script(file, script);
		ok = run_gnuplot(script, svg) && fseek(svg, 0, SEEK_SET) == 0;
	}
	while (ok && getline(&line, &size, svg) > 0) {
		element = element || strncmp(line, "<svg", 4) == 0; /* not the declaration before it, which may stand at a file's begin only */
		if (element)
			fputs(line, f);
	}
	free(line);
	if (script)
		fclose(script);
	if (svg)
		fclose(svg);
	return ok && element;
}
