/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that only look, on DPDK's telemetry socket: `/tailrace/status` and the rest. DPDK calls back on a thread of its own,
 * which may block: it asks the management socket like any other client, and turns the answer into what the library can
 * say: no fractions (they are text), no null (left out), texts up to 127 bytes, 256 members, and no list of objects: its
 * elements are members named 0, 1, 2 …
 */
#include "telemetry.h"

#include "../runtime/log.h"

#include <jansson.h>
#include <rte_telemetry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE 5 /* s */

static struct sockaddr_un management;

/* ---- JSON to the library's data ---- */

static void fill(struct rte_tel_data *d, const json_t *v);

static struct rte_tel_data *
container(const json_t *v)
{
	struct rte_tel_data *d = rte_tel_data_alloc();
	if (d)
		fill(d, v);
	return d;
}

static const char *
short_text(const json_t *v, char out[RTE_TEL_MAX_STRING_LEN])
{
	if (json_is_real(v))
		snprintf(out, RTE_TEL_MAX_STRING_LEN, "%.6g", json_real_value(v));
	else if (json_is_integer(v))
		snprintf(out, RTE_TEL_MAX_STRING_LEN, "%lld", (long long)json_integer_value(v));
	else
		snprintf(out, RTE_TEL_MAX_STRING_LEN, "%s", json_is_string(v) ? json_string_value(v) : "");
	return out;
}

static void
add_member(struct rte_tel_data *d, const char *key, const json_t *v)
{
	char text[RTE_TEL_MAX_STRING_LEN];
	struct rte_tel_data *inner;
	if (json_is_object(v) || json_is_array(v)) {
		if ((inner = container(v)) && rte_tel_data_add_dict_container(d, key, inner, 0) != 0)
			rte_tel_data_free(inner);
	} else if (json_is_boolean(v)) {
		rte_tel_data_add_dict_u64(d, key, json_is_true(v));
	} else if (json_is_integer(v) && json_integer_value(v) >= 0) {
		rte_tel_data_add_dict_u64(d, key, (uint64_t)json_integer_value(v));
	} else if (!json_is_null(v)) {
		rte_tel_data_add_dict_string(d, key, short_text(v, text));
	}
}

static void
fill_list(struct rte_tel_data *d, const json_t *v)
{
	char text[RTE_TEL_MAX_STRING_LEN];
	const json_t *first = json_array_get(v, 0), *e;
	bool nested = json_is_object(first) || json_is_array(first);
	size_t i;
	if (nested)
		rte_tel_data_start_dict(d);
	else
		rte_tel_data_start_array(d, RTE_TEL_STRING_VAL);
	json_array_foreach(v, i, e)
	{
		if (!nested) {
			rte_tel_data_add_array_string(d, short_text(e, text));
			continue;
		}
		char number[24];
		snprintf(number, sizeof(number), "%zu", i);
		add_member(d, number, e);
	}
}

static void
fill(struct rte_tel_data *d, const json_t *v)
{
	const char *key;
	json_t *e;
	if (json_is_array(v)) {
		fill_list(d, v);
		return;
	}
	rte_tel_data_start_dict(d);
	json_object_foreach((json_t *)(uintptr_t)v, key, e) add_member(d, key, e);
}

/* ---- Asking ---- */

/* Later lines of a list go on where earlier ones ended. */
static void
merge(json_t *result, json_t *part)
{
	const char *key;
	json_t *v;
	json_object_foreach(part, key, v)
	{
		json_t *have = json_object_get(result, key);
		if (json_is_array(have) && json_is_array(v))
			json_array_extend(have, v);
		else
			json_object_set(result, key, v);
	}
}

static json_t *
read_answer(FILE *f)
{
	json_t *result = json_object(), *line;
	while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL))) {
		json_t *progress = json_object_get(line, "progress");
		bool ok = json_is_true(json_object_get(line, "ok"));
		merge(result, progress ? progress : ok ? json_object_get(line, "result") : line);
		json_decref(line);
		if (!progress)
			return result;
	}
	json_object_set_new(result, "error", json_string("tailraced does not answer"));
	return result;
}

static json_t *
ask(const char *command, const char *argument)
{
	struct timeval patience = {.tv_sec = PATIENCE};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FILE *f = s >= 0 ? fdopen(s, "r+e") : NULL;
	json_t *request = json_pack("{s:s, s:[]}", "command", command, "args"), *result = NULL;
	if (argument && *argument)
		json_array_append_new(json_object_get(request, "args"), json_string(argument));
	char *text = json_dumps(request, JSON_COMPACT);
	if (f && text && setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
		connect(s, (const struct sockaddr *)&management, sizeof(management)) == 0 && dprintf(s, "%s\n", text) > 0)
		result = read_answer(f);
	if (f)
		fclose(f);
	else if (s >= 0)
		close(s);
	free(text);
	json_decref(request);
	return result ? result : json_pack("{s:s}", "error", "tailraced can't be asked");
}

/* DPDK's thread. `command` is "/tailrace/NAME". */
static int
on_command(const char *command, const char *argument, struct rte_tel_data *d)
{
	json_t *v = ask(strrchr(command, '/') + 1, argument);
	fill(d, v);
	json_decref(v);
	return 0;
}

void
telemetry_start(const char *socket_path)
{
	static const struct {
		const char *command, *help;
	} commands[] = {
		{"/tailrace/status", "Whether the gateway works, and if not, why. No parameters"},
		{"/tailrace/stats", "Counters of all instances, and of the whole. No parameters"},
		{"/tailrace/drops", "Packets dropped, by instance, reason and peer. No parameters"},
		{"/tailrace/peers", "Peers with their endpoints and sessions. Parameter: a name or public key; none: all"},
		{"/tailrace/show", "Options and state of an instance. Parameter: its name"},
	};
	if (strlen(socket_path) >= sizeof(management.sun_path))
		return;
	management.sun_family = AF_UNIX;
	strcpy(management.sun_path, socket_path);
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (rte_telemetry_register_cmd(commands[i].command, on_command, commands[i].help) != 0)
			log_warning("telemetry", "%s can't be registered", commands[i].command);
}
