/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli.h"

static const char *
scaled(char buf[CLI_FIGURE], double v, const char *unit, bool whole)
{
	static const char *const prefix[] = {"", "k", "M", "G", "T", "P", "E"};
	unsigned p = 0;
	while (v >= 999.5 && p < 6) {
		v /= 1000;
		p++;
	}
	int digits = (whole && p == 0) || v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2;
	snprintf(buf, CLI_FIGURE, "%.*f%s%s%s", digits, v, p || *unit ? " " : "", prefix[p], unit);
	return buf;
}

const char *
figure_count(char buf[CLI_FIGURE], double v)
{
	return scaled(buf, v, "", true);
}

const char *
figure_bits(char buf[CLI_FIGURE], double bits_per_second)
{
	return scaled(buf, bits_per_second, "b/s", true);
}

const char *
figure_age(char buf[CLI_FIGURE], double seconds)
{
	unsigned long s = seconds < 0 ? 0 : (unsigned long)seconds;
	if (s < 60)
		snprintf(buf, CLI_FIGURE, "%lu s", s);
	else if (s < 3600)
		snprintf(buf, CLI_FIGURE, "%lu min %lu s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, CLI_FIGURE, "%lu h %lu min", s / 3600, s % 3600 / 60);
	else
		snprintf(buf, CLI_FIGURE, "%lu d %lu h", s / 86400, s % 86400 / 3600);
	return buf;
}
