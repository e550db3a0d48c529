/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include "plot.h"

#include <errno.h>
#include <string.h>

static const char style[] =
	"body{font:15px/1.5 'Helvetica Neue',Arial,'DejaVu Sans',sans-serif;max-width:1000px;margin:1em auto;padding:0 1em;color:#222;"
	"background:#fff}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13px;margin:1em 0}"
	"td,th{padding:.2em .7em;text-align:right;border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}"
	"svg{max-width:100%;height:auto}";

/* Text between tags; characters that XML has not are left out. */
static void
text_print(FILE *f, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '<': fputs("&lt;", f); break;
		case '>': fputs("&gt;", f); break;
		case '&': fputs("&amp;", f); break;
		default:
			if ((unsigned char)*text >= ' ')
				fputc(*text, f);
		}
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
		text_print(f, plot_word(g, "scenario"));
		fputs("</td><td>", f);
		text_print(f, plot_word(g, "size"));
		fprintf(f, "</td><td>%lld</td><td>%.0f</td><td>%.0f</td><td>%.2f</td><td>%.3f</td><td>%.3f</td><td>%.3f</td><td>%.2f</td><td>",
			(long long)json_integer_value(json_object_get(g, "peers")), plot_of(g, "cost", "clocks"), plot_of(g, "raw_aead", "clocks"),
			plot_of(g, "ratio", "median"), plot_of(g, "mrr", "pps") / 1e6, plot_of(g, "pdr", "pps") / 1e6, plot_of(g, "ndr", "pps") / 1e6,
			plot_of(g, "ndr", "of_raw_aead"));
		text_print(f, plot_word(json_object_get(g, "mrr"), "limited_by"));
		fputs("</td></tr>\n", f);
	}
	fputs("</table>\n", f);
}

void
report_print(const json_t *file, FILE *f)
{
	fprintf(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\"><head>"
		   "<meta charset=\"utf-8\"/><title>tailrace bench</title><style>%s</style></head><body>\n", style);
	if (!plot_print(file, f))
		fputs("<p>(No drawing: gnuplot is not there, or could not.)</p>\n", f);
	table(f, json_object_get(file, "figures"));
	fputs("<p>Clocks: one core, from rx_burst to tx_burst. Raw AEAD: seal, open, or both, as the scenario needs. Rates: an open loop on another CPU. "
	      "The limit: who ended the rate when all was offered that could be.</p>\n</body></html>\n", f);
}

bool
report_write(const json_t *file, const char *path)
{
	const size_t n = strlen(path);
	FILE *f = fopen(path, "we");
	bool good = f != NULL;

	if (f && n > 4 && strcmp(path + n - 4, ".svg") == 0)
		good = plot_print(file, f);
	else if (f)
		report_print(file, f);
	if (f && fclose(f) == 0 && good)
		return true;
	fprintf(stderr, "tailrace bench: cannot write %s: %s\n", path, good ? strerror(errno) : "not drawn");
	return false;
}
