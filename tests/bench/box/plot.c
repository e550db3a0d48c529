/* SPDX-License-Identifier: BSD-3-Clause */
#include "plot.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define WIDTH 1000
#define ROW 30
#define BAR 16
#define AXIS 44 /* below the rows of a family: ticks, and what they count */
#define MAX_NODES 24
#define LETTER 6.2 /* of the legend, at most */

/* Left and right half of a family. */
struct panel {
	double x, width, most; /* most: the value at its right end, which the ticks reach or not */
};
#define COSTS_X 120
#define COSTS_WIDTH 410
#define RATES_X 640
#define RATES_WIDTH 290

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
	const json_t *figures;
	const char *node[MAX_NODES]; /* in the order of their first appearance, and so of their colours */
	unsigned n_nodes;
	bool here[MAX_NODES]; /* in this family */
	double y;
};

static const char *const colours[] = {"#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#edc948", "#76b7b2", "#9c755f", "#ff9da7", "#86bcb6",
	"#bab0ac", "#d37295", "#8cd17d", "#b6992d", "#499894", "#d7b5a6", "#a0cbe8"};
#define COLOURS (sizeof(colours) / sizeof(*colours))
static const char *const rates[] = {"mrr", "pdr", "ndr"};
static const char *const rate_names[] = {"most that came through (MRR)", "with up to 0.5 % lost (PDR)", "with none lost (NDR)"};
static const char *const rate_colours[] = {"#a6c8e4", "#5b96c8", "#1f4e79"};

static const char style[] =
	"text{font-family:'Helvetica Neue',Arial,'DejaVu Sans',sans-serif;font-size:12px;fill:#222}.h{font-size:22px;font-weight:bold}"
	".f{font-size:16px;font-weight:bold}.a{fill:#666;font-size:11px}.e{text-anchor:end}.m{text-anchor:middle}.w{fill:#a11}"
	".g{stroke:#ddd;stroke-width:1}.z{stroke:#888;stroke-width:1}.raw{stroke:#d00000;stroke-width:2.5}";

void
plot_text(FILE *f, const char *text)
{
	for (; text && *text; text++)
		switch (*text) {
		case '<': fputs("&lt;", f); break;
		case '>': fputs("&gt;", f); break;
		case '&': fputs("&amp;", f); break;
		case '"': fputs("&quot;", f); break;
		default:
			if ((unsigned char)*text >= ' ')
				fputc(*text, f);
		}
}

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

static void
say(FILE *f, double x, double y, const char *class_, const char *text)
{
	fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class_);
	plot_text(f, text);
	fputs("</text>\n", f);
}

/* ---- Head ---- */

static void
head(struct plot *p, const json_t *file)
{
	const json_t *m = json_object_get(file, "machine"), *v = json_object_get(file, "versions"), *w;
	char line[400];
	size_t i;

	say(p->f, 20, 38, "h", "What this box carries");
	snprintf(line, sizeof(line), "%s, TSC %.2f GHz; governor %s; Linux %s", plot_word(m, "cpu"), json_number_value(json_object_get(m, "tsc_ghz")),
		plot_word(m, "governor"), plot_word(m, "kernel"));
	say(p->f, 20, 62, "", line);
	snprintf(line, sizeof(line), "tailrace %s, %s, ipsec-mb %s; AEAD engine %s; %s%s", plot_word(v, "tailrace"), plot_word(v, "dpdk"),
		plot_word(v, "ipsec_mb"), plot_word(json_object_get(json_array_get(p->figures, 0), "raw_aead"), "engine"), plot_word(file, "made"),
		json_is_true(json_object_get(file, "complete")) ? "" : "; ended before all was measured");
	say(p->f, 20, 80, "", line);
	p->y = 80;
	json_array_foreach(json_object_get(file, "warnings"), i, w) say(p->f, 20, p->y += 18, "w", json_string_value(w));
	p->y += 30;
	fprintf(p->f, "<line class=\"raw\" x1=\"20\" y1=\"%.1f\" x2=\"20\" y2=\"%.1f\"/>", p->y - 14, p->y + 3);
	say(p->f, 28, p->y, "", "the AEAD engine alone, for the same packets, in the same run: what the CPU allows. (Where nothing is encrypted: for scale.)");
	p->y += 20;
}

/* ---- Axes ---- */

/* 1, 2 or 5 times a power of ten: at most six of them in `most`. */
static double
step_of(double most)
{
	const double power = pow(10, floor(log10(most / 6)));

	for (unsigned k = 1; k <= 5; k += k == 1 ? 1 : 3)
		if (most / (k * power) <= 6)
			return k * power;
	return 10 * power;
}

static void
axis(FILE *f, const struct panel *p, double top, double bottom, const char *counts)
{
	const double step = step_of(p->most);
	char text[32];

	for (unsigned i = 0; i * step <= p->most; i++) {
		const double x = p->x + i * step / p->most * p->width;
		fprintf(f, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", i ? "g" : "z", x, top, x, bottom);
		snprintf(text, sizeof(text), "%g", i * step);
		say(f, x, bottom + 14, "a m", text);
	}
	say(f, p->x, bottom + 30, "a", counts);
}

static void
raw_mark(FILE *f, const struct panel *p, double y, double value)
{
	const double x = p->x + value / p->most * p->width;

	if (value > 0)
		fprintf(f, "<line class=\"raw\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", x, y - 3, x, y + BAR + 3);
}

/* ---- Bars ---- */

static const char *
colour_of(struct plot *p, const char *node)
{
	unsigned i = 0;

	while (i < p->n_nodes && strcmp(p->node[i], node) != 0)
		i++;
	if (i == MAX_NODES)
		return "#000";
	p->node[i] = node;
	p->here[i] = true;
	p->n_nodes += i == p->n_nodes;
	return colours[i % COLOURS];
}

static void
label(FILE *f, double y, const json_t *figure, bool with_scenario)
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
	say(f, COSTS_X - 8, y + (peers ? 9 : 13), "e", text);
	snprintf(text, sizeof(text), "%lld peer%s", (long long)peers, peers == 1 ? "" : "s");
	if (peers)
		say(f, COSTS_X - 8, y + 20, "a e", text);
}

static void
cost_bar(struct plot *p, const struct panel *panel, double y, const json_t *figure)
{
	const double clocks = plot_of(figure, "cost", "clocks");
	double x = panel->x, sum = 0;
	const json_t *n;
	char text[64];
	size_t i;

	json_array_foreach(json_object_get(json_object_get(figure, "cost"), "nodes"), i, n) sum += json_number_value(json_object_get(n, "clocks"));
	/* Nodes are measured in runs of their own, with a clock between them: they show the shares of the whole. */
	json_array_foreach(json_object_get(json_object_get(figure, "cost"), "nodes"), i, n) {
		const double own = json_number_value(json_object_get(n, "clocks")), w = own / sum * clocks / panel->most * panel->width;
		fprintf(p->f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"><title>", x, y, w, BAR,
			colour_of(p, plot_word(n, "node")));
		plot_text(p->f, plot_word(n, "node"));
		fprintf(p->f, ": %.0f clocks</title></rect>\n", own);
		x += w;
	}
	raw_mark(p->f, panel, y, plot_of(figure, "raw_aead", "clocks"));
	const double raw = panel->x + plot_of(figure, "raw_aead", "clocks") / panel->most * panel->width;
	snprintf(text, sizeof(text), "%.0f, %.2f x", clocks, plot_of(figure, "ratio", "median"));
	say(p->f, fmax(x, raw) + 6, y + 13, "", text);
}

static void
rate_bars(struct plot *p, const struct panel *panel, double y, const json_t *figure)
{
	char text[64];
	double end = plot_of(figure, "raw_aead", "pps") / 1e6;

	if (!json_object_get(figure, "mrr")) {
		say(p->f, panel->x + 6, y + 13, "a", "not measured: a generator needs a CPU of its own");
		return;
	}
	for (unsigned i = 0; i < 3; i++) {
		const double mpps = plot_of(figure, rates[i], "pps") / 1e6;
		fprintf(p->f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"5\" fill=\"%s\"><title>%s: %.3f Mpps</title></rect>\n", panel->x,
			y + 5.5 * i, mpps / panel->most * panel->width, rate_colours[i], rate_names[i], mpps);
		end = fmax(end, mpps);
	}
	raw_mark(p->f, panel, y, plot_of(figure, "raw_aead", "pps") / 1e6);
	snprintf(text, sizeof(text), "%.2f, %.1f Gb/s", plot_of(figure, "ndr", "pps") / 1e6, plot_of(figure, "ndr", "bps") / 1e9);
	say(p->f, panel->x + end / panel->most * panel->width + 6, y + 13, "", text);
}

/* ---- Families ---- */

/* Is it the family's? Without a name: of no family that has one. */
static bool
belongs(const json_t *figure, const struct family *family)
{
	const char *name = plot_word(figure, "scenario");

	for (unsigned i = 0; family && i < 3 && family->scenario[i]; i++)
		if (strcmp(family->scenario[i], name) == 0)
			return true;
	if (family)
		return false;
	for (unsigned k = 0; k < FAMILIES; k++)
		if (belongs(figure, &families[k]))
			return false;
	return true;
}

static void
legend(struct plot *p, double y)
{
	double x = COSTS_X, line = y - 8;

	for (unsigned i = 0; i < p->n_nodes; i++) {
		const double width = 24 + LETTER * (double)strlen(p->node[i]);
		if (!p->here[i])
			continue;
		if (x + width > RATES_X - 20)
			x = COSTS_X, line += 15;
		fprintf(p->f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"10\" height=\"10\" fill=\"%s\"/>", x, line - 9, colours[i % COLOURS]);
		say(p->f, x + 14, line, "a", p->node[i]);
		x += width;
	}
	for (unsigned i = 0; i < 3; i++) {
		fprintf(p->f, "<rect x=\"%d\" y=\"%.1f\" width=\"10\" height=\"5\" fill=\"%s\"/>", RATES_X, y - 27 + 13 * i, rate_colours[i]);
		say(p->f, RATES_X + 14, y - 21 + 13 * i, "a", rate_names[i]);
	}
}

static void
draw_family(struct plot *p, const struct family *family)
{
	struct panel costs = {COSTS_X, COSTS_WIDTH - 90, 0}, pps = {RATES_X, RATES_WIDTH - 70, 0};
	unsigned n = 0;
	const json_t *g;
	size_t i;

	json_array_foreach(p->figures, i, g) {
		if (!belongs(g, family))
			continue;
		n++;
		costs.most = fmax(costs.most, fmax(plot_of(g, "cost", "clocks"), plot_of(g, "raw_aead", "clocks")));
		pps.most = fmax(pps.most, plot_of(g, "raw_aead", "pps") / 1e6);
		for (unsigned k = 0; k < 3; k++)
			pps.most = fmax(pps.most, plot_of(g, rates[k], "pps") / 1e6);
	}
	if (n == 0 || costs.most <= 0 || pps.most <= 0)
		return;
	const double top = p->y + 62, bottom = top + ROW * n;
	fputs("<g class=\"family\">\n", p->f);
	say(p->f, 20, p->y + 20, "f", family ? family->title : "Others");
	axis(p->f, &costs, top - 4, bottom, "TSC clocks per packet, by node (and times the AEAD alone)");
	axis(p->f, &pps, top - 4, bottom, "million packets a second (text: with none lost)");
	memset(p->here, 0, sizeof(p->here));
	double y = top + (ROW - BAR) / 2.0 - 4;
	json_array_foreach(p->figures, i, g) {
		if (!belongs(g, family))
			continue;
		label(p->f, y, g, !family || family->scenario[1]);
		cost_bar(p, &costs, y, g);
		rate_bars(p, &pps, y, g);
		y += ROW;
	}
	legend(p, p->y + 46);
	fputs("</g>\n", p->f);
	p->y = bottom + AXIS;
}

static double
height_of(const json_t *file)
{
	const json_t *figures = json_object_get(file, "figures"), *g;
	double h = 140 + 18.0 * (double)json_array_size(json_object_get(file, "warnings"));
	size_t i;

	for (unsigned k = 0; k <= FAMILIES; k++) {
		unsigned n = 0;
		json_array_foreach(figures, i, g) n += belongs(g, k < FAMILIES ? &families[k] : NULL);
		h += n ? 62 + ROW * n + AXIS : 0;
	}
	return h;
}

void
plot_print(const json_t *file, FILE *f)
{
	struct plot p = {.f = f, .figures = json_object_get(file, "figures")};
	const double height = height_of(file);

	fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 %d %.0f\" width=\"%d\" height=\"%.0f\">"
		   "<title>tailrace bench</title><style>%s</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n", WIDTH, height, WIDTH, height, style);
	head(&p, file);
	for (unsigned k = 0; k <= FAMILIES; k++)
		draw_family(&p, k < FAMILIES ? &families[k] : NULL);
	fputs("</svg>\n", f);
}
