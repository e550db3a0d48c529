/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST 0.01 /* no difference smaller than this share is one */

json_t *
report_read(const char *path)
{
	json_error_t e;
	json_t *file = json_load_file(path, 0, &e);

	if (!file) {
		fprintf(stderr, "tailrace bench: %s:%d: %s\n", path, e.line, e.text);
		return NULL;
	}
	const char *kind = json_string_value(json_object_get(file, "kind"));
	const json_int_t version = json_integer_value(json_object_get(file, "version"));
	if (!kind || strcmp(kind, "tailrace-bench") != 0)
		fprintf(stderr, "tailrace bench: %s is no file of tailrace bench\n", path);
	else if (version != REPORT_VERSION)
		fprintf(stderr, "tailrace bench: %s is of version %lld, not %d\n", path, (long long)version, REPORT_VERSION);
	else if (!json_is_array(json_object_get(file, "figures")))
		fprintf(stderr, "tailrace bench: %s has no figures\n", path);
	else
		return file;
	json_decref(file);
	return NULL;
}

static const json_t *
twin(const json_t *file, const json_t *figure)
{
	static const char *const keys[] = {"scenario", "size", "peers"};
	const json_t *f;
	size_t i;

	json_array_foreach(json_object_get(file, "figures"), i, f) {
		bool same = true;
		for (unsigned k = 0; k < 3; k++)
			same &= json_equal(json_object_get(f, keys[k]), json_object_get(figure, keys[k])) == 1;
		if (same)
			return f;
	}
	return NULL;
}

const char *
compare_refuses(const json_t *a, const json_t *b, char why[200])
{
	static const char *const same[] = {"ports", "burst", "packets", "trial_seconds", "trials_needed", "pdr_loss_ratio"};
	const json_t *ma = json_object_get(a, "method"), *mb = json_object_get(b, "method"), *f;
	unsigned shared = 0;
	size_t i;

	for (unsigned k = 0; k < sizeof(same) / sizeof(*same); k++) {
		json_t *x = json_object_get(ma, same[k]), *y = json_object_get(mb, same[k]);
		if (x == y || json_equal(x, y))
			continue;
		char *from = json_dumps(x, JSON_ENCODE_ANY | JSON_REAL_PRECISION(4)), *to = json_dumps(y, JSON_ENCODE_ANY | JSON_REAL_PRECISION(4));
		snprintf(why, 200, "measured differently: %s is %.40s in the one, %.40s in the other", same[k], from ? from : "missing",
			to ? to : "missing");
		free(from);
		free(to);
		return why;
	}
	json_array_foreach(json_object_get(a, "figures"), i, f) shared += twin(b, f) != NULL;
	snprintf(why, 200, "they have no scenario, size and number of peers in common");
	return shared > 0 ? NULL : why;
}

enum compare
compare_values(double a, double b, double uncertain_a, double uncertain_b)
{
	const double tolerance = fmax(LEAST, uncertain_a + uncertain_b);

	if (a <= 0 || b <= 0 || fabs(b / a - 1) <= tolerance)
		return COMPARE_SAME;
	return b > a ? COMPARE_MORE : COMPARE_LESS;
}

static double
of(const json_t *figure, const char *part, const char *key)
{
	return json_number_value(json_object_get(json_object_get(figure, part), key));
}

/* How uncertain a value is: twice the spread of its readings, or what lies between its bounds and the loudness of the rest. */
static double
uncertain(const json_t *f, const char *part)
{
	const double pps = of(f, part, "pps"), upper = of(f, part, "upper_pps");

	if (strcmp(part, "cost") == 0 || strcmp(part, "mrr") == 0)
		return 2 * of(f, part, "spread");
	return (upper > pps && pps > 0 ? upper / pps - 1 : 0) + 2 * of(f, "mrr", "spread") + 2 * of(f, "cost", "spread");
}

static unsigned
row(FILE *out, const json_t *a, const json_t *b, const char *part, const char *key, const char *name, double scale, bool less_is_good)
{
	const double x = of(a, part, key), y = of(b, part, key);
	static const char *const words[2][3] = {{"no difference", "slower", "faster"}, {"no difference", "faster", "slower"}};

	if (x <= 0 || y <= 0)
		return 0;
	const double ua = uncertain(a, part), ub = uncertain(b, part);
	const enum compare c = compare_values(x, y, ua, ub);
	fprintf(out, "%-9s %6s %7lld  %-12s %10.3f %10.3f %7.3f %5.1f%%  %s\n", json_string_value(json_object_get(a, "scenario")),
		json_string_value(json_object_get(a, "size")), (long long)json_integer_value(json_object_get(a, "peers")), name, x / scale,
		y / scale, y / x, fmax(LEAST, ua + ub) * 100, words[less_is_good][c]);
	return c != COMPARE_SAME;
}

unsigned
compare_print(const json_t *a, const json_t *b, FILE *out)
{
	const json_t *f, *g;
	unsigned differ = 0;
	size_t i;

	fprintf(out, "A: %s, %s\nB: %s, %s\n", json_string_value(json_object_get(json_object_get(a, "machine"), "cpu")),
		json_string_value(json_object_get(a, "made")), json_string_value(json_object_get(json_object_get(b, "machine"), "cpu")),
		json_string_value(json_object_get(b, "made")));
	fprintf(out, "%-9s %6s %7s  %-12s %10s %10s %7s %6s\n", "scenario", "size", "peers", "figure", "A", "B", "B/A", "+-");
	json_array_foreach(json_object_get(a, "figures"), i, f) {
		if (!(g = twin(b, f)))
			continue;
		differ += row(out, f, g, "cost", "clocks", "clocks", 1, true);
		differ += row(out, f, g, "mrr", "pps", "MRR Mpps", 1e6, false);
		differ += row(out, f, g, "pdr", "pps", "PDR Mpps", 1e6, false);
		differ += row(out, f, g, "ndr", "pps", "NDR Mpps", 1e6, false);
	}
	return differ;
}
