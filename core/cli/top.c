/* SPDX-License-Identifier: BSD-3-Clause */
/* top: what carries how much right now, once a second, on one screen of plain ANSI. */
#include "client.h"
#include "commands.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PEERS_MAX 1000

static volatile sig_atomic_t ended;

static void
on_signal(int signum)
{
	ended = signum;
}

/* ---- One picture, as JSON ---- */

struct node {
	const char *instance, *gate;
	double per_second;
};

static int
by_rate(const void *a, const void *b)
{
	const struct node *x = a, *y = b;
	return x->per_second < y->per_second ? 1 : x->per_second > y->per_second ? -1 : 0;
}

/* In gates that have packets, the busiest first. */
static json_t *
busy_nodes(json_t *stats)
{
	struct node v[256];
	unsigned n = 0;
	const char *instance, *gate;
	json_t *i, *rate, *list = json_array();
	json_object_foreach(json_object_get(stats, "instances"), instance, i)
	{
		json_object_foreach(json_object_get(i, "in_per_second"), gate, rate)
		{
			if (n < 256 && json_number_value(rate) > 0)
				v[n++] = (struct node){instance, gate, json_number_value(rate)};
		}
	}
	qsort(v, n, sizeof(*v), by_rate);
	for (unsigned k = 0; k < n; k++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:f}", "instance", v[k].instance, "gate", v[k].gate,
						    "packets_per_second", v[k].per_second));
	return list;
}

/* NULL after the error has been printed. */
static json_t *
look(const struct cli *c, unsigned peers)
{
	char number[16], *args[] = {number};
	snprintf(number, sizeof(number), "%u", peers);
	json_t *status = client_ask(c, "status", 0, NULL), *stats = status ? client_ask(c, "stats", 0, NULL) : NULL;
	json_t *top = stats ? client_ask(c, "top", 1, args) : NULL, *v = NULL;
	if (top)
		v = json_pack("{s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:o, s:f, s:O}", "working",
			json_object_get(status, "working"), "problems", json_object_get(status, "problems"), "uptime",
			json_object_get(status, "uptime"), "generation", json_object_get(status, "generation"), "peers_total",
			json_object_get(status, "peers"), "ports", json_object_get(status, "ports"), "workers",
			json_object_get(status, "workers"), "drops", json_object_get(status, "drops_last_minute"), "nodes",
			busy_nodes(stats), "seconds", get_number(top, "seconds"), "peers", json_object_get(top, "peers"));
	json_decref(status);
	json_decref(stats);
	json_decref(top);
	return v;
}

/* ---- On the screen ---- */

/* What is left of it: lines that don't fit are not written, those too long are cut. */
struct screen {
	unsigned rows, columns, used;
	bool terminal;
};

static void __attribute__((format(printf, 2, 3))) line(struct screen *s, const char *format, ...)
{
	char text[512];
	va_list args;
	if (s->used == s->rows)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* Cut by characters, not in the middle of one. */
	unsigned columns = 0;
	size_t at = 0;
	for (; text[at] && columns < s->columns; columns++)
		do
			at++;
		while (((unsigned char)text[at] & 0xc0) == 0x80);
	text[at] = 0;
	printf("%s%s%s", s->used ? "\n" : "", text, s->terminal ? "\033[0m\033[K" : "");
	s->used++;
}

static void
heading(struct screen *s, const char *text)
{
	if (s->used + 1 >= s->rows)
		return;
	line(s, s->terminal ? "\033[7m%-.*s\033[0m" : "%-.*s", (int)s->columns, text);
}

static void
draw_box(struct screen *s, const json_t *v)
{
	char age[CLI_FIGURE], a[CLI_FIGURE], b[CLI_FIGURE], x[CLI_FIGURE], y[CLI_FIGURE];
	const json_t *peers = json_object_get(v, "peers_total"), *problem = json_array_get(json_object_get(v, "problems"), 0);
	json_t *p;
	size_t i;
	line(s, "tailrace: %s   up %s   generation %.0f   peers %.0f of %.0f up", get_flag(v, "working") ? "working" : "NOT WORKING",
		figure_age(age, get_number(v, "uptime")), get_number(v, "generation"), get_number(peers, "up"),
		get_number(peers, "total"));
	if (problem)
		line(s, "  %s: %s", get_text(problem, "what"), get_text(problem, "why"));
	json_array_foreach(json_object_get(v, "workers"), i, p)
		line(s, "worker %-8zu %5.1f %% busy", i, 100 * get_number(p, "busy"));
	json_array_foreach(json_object_get(v, "ports"), i, p)
		line(s, "port %-10.10s rx %10s %9s/s   tx %10s %9s/s", get_text(p, "name"), figure_bits(a, get_number(p, "rx_bps")),
			figure_count(b, get_number(p, "rx_pps")), figure_bits(x, get_number(p, "tx_bps")),
			figure_count(y, get_number(p, "tx_pps")));
}

static void
draw_peers(struct screen *s, const json_t *v, unsigned most)
{
	json_t *p;
	size_t i;
	heading(s, "PEER                 ON         FROM IT       TO IT  SESSION");
	json_array_foreach(json_object_get(v, "peers"), i, p)
	{
		char rx[CLI_FIGURE], tx[CLI_FIGURE], age[CLI_FIGURE];
		const json_t *session = json_object_get(p, "session_age");
		if (i == most)
			break;
		line(s, "%-20.20s %-8.8s %10s  %10s  %s", *get_text(p, "name") ? get_text(p, "name") : get_text(p, "public_key"),
			get_text(p, "interface"), figure_bits(rx, 8 * get_number(p, "rx_bytes_per_second")),
			figure_bits(tx, 8 * get_number(p, "tx_bytes_per_second")),
			json_is_real(session) ? figure_age(age, json_real_value(session)) : "never");
	}
}

static void
draw_nodes(struct screen *s, const json_t *v, unsigned most)
{
	json_t *n;
	size_t i;
	char rate[CLI_FIGURE];
	heading(s, "NODE                              PACKETS/S");
	json_array_foreach(json_object_get(v, "nodes"), i, n)
	{
		char name[80];
		if (i == most)
			break;
		snprintf(name, sizeof(name), "%s.%s", get_text(n, "instance"), get_text(n, "gate"));
		line(s, "%-32.32s %10s", name, figure_count(rate, get_number(n, "packets_per_second")));
	}
}

static void
draw_drops(struct screen *s, const json_t *v)
{
	json_t *d;
	size_t i;
	char rate[CLI_FIGURE], minute[CLI_FIGURE];
	heading(s, "DROPPED FOR                           PER S  LAST MINUTE");
	json_array_foreach(json_object_get(v, "drops"), i, d)
	{
		char name[80];
		snprintf(name, sizeof(name), "%s: %s", get_text(d, "instance"), get_text(d, "reason"));
		line(s, "%-32.32s %10s %12s", name, figure_count(rate, get_number(d, "per_second")),
			figure_count(minute, get_number(d, "last_minute")));
	}
}

static void
draw(struct screen *s, const json_t *v)
{
	s->used = 0;
	draw_box(s, v);
	unsigned left = s->rows > s->used + 3 ? s->rows - s->used - 3 : 0; /* without the three headings */
	draw_peers(s, v, left / 2);
	draw_nodes(s, v, left / 4 + 1);
	draw_drops(s, v);
}

static unsigned
measure(struct screen *s)
{
	struct winsize w = {0};
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
	s->rows = w.ws_row ? w.ws_row : 24;
	s->columns = w.ws_col ? w.ws_col : 80;
	return s->rows < PEERS_MAX ? s->rows : PEERS_MAX;
}

/* Until q, Ctrl-C or an error. Each look is a second after the last, as the rates are. */
static int
watch(const struct cli *c)
{
	struct screen s = {.terminal = true};
	struct termios before, raw;
	bool keys = tcgetattr(STDIN_FILENO, &before) == 0;
	int rc = CLI_OK;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	if (keys) {
		raw = before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	fputs("\033[?1049h\033[?25l", stdout); /* the other screen, no cursor */
	while (!ended) {
		struct pollfd key = {.fd = keys ? STDIN_FILENO : -1, .events = POLLIN};
		char pressed = 0;
		json_t *v = look(c, measure(&s));
		if (!v) {
			rc = CLI_FAILED;
			break;
		}
		fputs("\033[H", stdout);
		draw(&s, v);
		fputs("\033[J", stdout);
		fflush(stdout);
		json_decref(v);
		if (poll(&key, 1, 1000) == 1 && read(STDIN_FILENO, &pressed, 1) == 1 && pressed == 'q')
			break;
	}
	fputs("\033[?25h\033[?1049l", stdout);
	if (keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	return rc;
}

/* Rates of peers need two looks. */
static int
once(const struct cli *c)
{
	struct screen s = {.rows = 1000, .columns = 200};
	json_t *v = look(c, PEERS_MAX);
	json_decref(v);
	if (!v)
		return CLI_FAILED;
	struct timespec second = {.tv_sec = 1};
	nanosleep(&second, NULL);
	v = look(c, PEERS_MAX);
	if (!v)
		return CLI_FAILED;
	if (c->json)
		return cli_print_json(v);
	draw(&s, v);
	putchar('\n');
	json_decref(v);
	return CLI_OK;
}

static int
run(const struct cli *c)
{
	return c->option[0] || c->json || !isatty(STDOUT_FILENO) ? once(c) : watch(c);
}

static const struct cli_option options[] = {
	{0, "once", NULL, "print one picture, after a second, and end"},
	{0, NULL, NULL, NULL},
};

const struct cli_command cli_top = {
	.name = "top",
	.args = "[--once]",
	.doc = "what carries how much right now, by port, peer and node",
	.more = "Once a second, on one screen; q or Ctrl-C ends it. Into a pipe, and with --json, it is one picture.",
	.options = options,
	.run = run,
};
