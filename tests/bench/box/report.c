/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <errno.h>
#include <string.h>

#define WIDTH 880
#define LEFT 130
#define SPAN (WIDTH - LEFT - 110)
#define ROW 26

static const char style[] =
	"body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
	"table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:1em 0}td,th{padding:.2em .7em;text-align:right;"
	"border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}"
	"text{font:12px system-ui,sans-serif;fill:currentColor}.w{color:#a33}.raw{stroke:#c00;stroke-width:2}"
	"@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}td,th{border-color:#444}}";
static const char *const colours[] = {"#4c78a8", "#f58518", "#54a24b", "#b279a2", "#eeca3b", "#72b7b2", "#9d755d", "#ff9da6", "#bab0ac"};
#define COLOURS (sizeof(colours) / sizeof(*colours))

static void
put(FILE *f, const char *text)
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

static const char *
word(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static double
of(const json_t *figure, const char *part, const char *key)
{
	return json_number_value(json_object_get(json_object_get(figure, part), key));
}

static void
label(FILE *f, int y, const json_t *figure)
{
	fprintf(f, "<text x=\"0\" y=\"%d\">", y + 16);
	put(f, word(figure, "scenario"));
	fputc(' ', f);
	put(f, word(figure, "size"));
	if (json_integer_value(json_object_get(figure, "peers")) > 0)
		fprintf(f, ", %lld", (long long)json_integer_value(json_object_get(figure, "peers")));
	fputs("</text>\n", f);
}

/* The colour of a node is the same in every bar. */
static unsigned
colour_of(const char *node)
{
	unsigned h = 5381;

	for (; *node; node++)
		h = h * 33 + (unsigned char)*node;
	return h % COLOURS;
}

static void
cost_bar(FILE *f, int y, const json_t *figure, double scale)
{
	const json_t *n;
	double x = LEFT, raw = LEFT + of(figure, "raw_aead", "clocks") * scale;
	size_t i;

	label(f, y, figure);
	json_array_foreach(json_object_get(json_object_get(figure, "cost"), "nodes"), i, n) {
		const double w = json_number_value(json_object_get(n, "clocks")) * scale;
		fprintf(f, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"18\" fill=\"%s\" stroke=\"#fff\" stroke-width=\".5\"><title>", x, y + 3,
			w, colours[colour_of(word(n, "node"))]);
		put(f, word(n, "node"));
		fprintf(f, ": %.0f clocks</title></rect>", json_number_value(json_object_get(n, "clocks")));
		if (w > 60) {
			fprintf(f, "<text x=\"%.1f\" y=\"%d\" style=\"fill:#fff\">", x + 4, y + 16);
			put(f, word(n, "node"));
			fputs("</text>", f);
		}
		x += w;
	}
	fprintf(f, "<line class=\"raw\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/><text x=\"%.1f\" y=\"%d\">%.0f (%.2fx)</text>\n", raw, y + 1, raw,
		y + 23, (x > raw ? x : raw) + 6, y + 16, of(figure, "cost", "clocks"), of(figure, "ratio", "median"));
}

static void
rate_bar(FILE *f, int y, const json_t *figure, double scale)
{
	static const char *const part[] = {"mrr", "pdr", "ndr"}, *const name[] = {"MRR", "PDR", "NDR"};

	label(f, y, figure);
	for (unsigned i = 0; i < 3; i++)
		fprintf(f, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"6\" fill=\"%s\"><title>%s %.3f Mpps</title></rect>\n", LEFT, y + 3 + (int)i * 6,
			of(figure, part[i], "pps") * scale, colours[i], name[i], of(figure, part[i], "pps") / 1e6);
	fprintf(f, "<text x=\"%.1f\" y=\"%d\">%.3f Mpps, %.2f Gb/s</text>\n", LEFT + of(figure, "mrr", "pps") * scale + 6, y + 16,
		of(figure, "ndr", "pps") / 1e6, of(figure, "ndr", "bps") / 1e9);
}

static void
chart(FILE *f, const json_t *figures, const char *about, bool rates)
{
	const json_t *g;
	double most = 1;
	size_t i;

	json_array_foreach(figures, i, g) {
		const double v = rates ? of(g, "mrr", "pps") : of(g, "cost", "clocks"), raw = rates ? 0 : of(g, "raw_aead", "clocks");
		most = v > most ? v : most;
		most = raw > most ? raw : most;
	}
	fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 %d %zu\" width=\"%d\"><title>%s</title>\n", WIDTH,
		ROW * json_array_size(figures) + 4, WIDTH, about);
	json_array_foreach(figures, i, g)
		(rates ? rate_bar : cost_bar)(f, (int)(ROW * i), g, (rates ? SPAN - 60 : SPAN) / most);
	fputs("</svg>\n", f);
}

static void
table(FILE *f, const json_t *figures)
{
	const json_t *g;
	size_t i;

	fputs("<table><tr><th>scenario</th><th>size</th><th>peers</th><th>clocks</th><th>raw AEAD</th><th>ratio</th><th>MRR Mpps</th>"
	      "<th>PDR Mpps</th><th>NDR Mpps</th><th>NDR / raw</th><th>limit</th></tr>\n", f);
	json_array_foreach(figures, i, g) {
		fputs("<tr><td>", f);
		put(f, word(g, "scenario"));
		fputs("</td><td>", f);
		put(f, word(g, "size"));
		fprintf(f, "</td><td>%lld</td><td>%.0f</td><td>%.0f</td><td>%.2f</td><td>%.3f</td><td>%.3f</td><td>%.3f</td><td>%.2f</td><td>",
			(long long)json_integer_value(json_object_get(g, "peers")), of(g, "cost", "clocks"), of(g, "raw_aead", "clocks"),
			of(g, "ratio", "median"), of(g, "mrr", "pps") / 1e6, of(g, "pdr", "pps") / 1e6, of(g, "ndr", "pps") / 1e6,
			of(g, "ndr", "of_raw_aead"));
		put(f, word(json_object_get(g, "mrr"), "limited_by"));
		fputs("</td></tr>\n", f);
	}
	fputs("</table>\n", f);
}

void
report_print(const json_t *file, FILE *f)
{
	const json_t *m = json_object_get(file, "machine"), *v = json_object_get(file, "versions"), *figures = json_object_get(file, "figures"),
		     *w;
	size_t i;

	fprintf(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\"><head>"
		   "<meta charset=\"utf-8\"/><title>tailrace bench</title><style>%s</style></head><body><h1>tailrace bench</h1>\n<p>", style);
	put(f, word(m, "cpu"));
	fprintf(f, ", TSC %.2f GHz, governor ", json_number_value(json_object_get(m, "tsc_ghz")));
	put(f, word(m, "governor"));
	fputs("; kernel ", f);
	put(f, word(m, "kernel"));
	fputs("; tailrace ", f);
	put(f, word(v, "tailrace"));
	fputs(", ", f);
	put(f, word(v, "dpdk"));
	fputs(", ipsec-mb ", f);
	put(f, word(v, "ipsec_mb"));
	fputs("; ", f);
	put(f, word(file, "made"));
	fputs(json_is_true(json_object_get(file, "complete")) ? "</p>\n" : "; ended before all was measured</p>\n", f);
	json_array_foreach(json_object_get(file, "warnings"), i, w) {
		fputs("<p class=\"w\">", f);
		put(f, json_string_value(w));
		fputs("</p>\n", f);
	}
	fputs("<h2>Clocks per packet, by node</h2><p>One core, from rx_burst to tx_burst. The red line is the AEAD engine alone, for the same "
	      "packets, in the same run.</p>\n", f);
	chart(f, figures, "clocks per packet", false);
	fputs("<h2>Packets per second</h2><p>Bars from the top: most that came through (MRR), with up to 0.5 % lost (PDR), with none lost (NDR); the "
	      "text is the NDR.</p>\n", f);
	chart(f, figures, "packets per second", true);
	fputs("<h2>Figures</h2>\n", f);
	table(f, figures);
	fputs("</body></html>\n", f);
}

bool
report_write(const json_t *file, const char *path)
{
	FILE *f = fopen(path, "we");

	if (f) {
		report_print(file, f);
		if (fclose(f) == 0)
			return true;
	}
	fprintf(stderr, "tailrace bench: cannot write %s: %s\n", path, strerror(errno));
	return false;
}
