/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static void
explain(const char *path, int error)
{
	struct stat st;
	struct group *g;
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		cli_error("tailraced is not running: nobody answers at %s\n"
			  "start it (systemctl start tailraced), or name its socket with --socket PATH",
			path);
		break;
	case EACCES:
		g = stat(path, &st) == 0 ? getgrgid(st.st_gid) : NULL;
		cli_error("no permission to use %s: be a member of its group (%s), or use sudo", path,
			g ? g->gr_name : "tailrace");
		break;
	default:
		cli_error("%s: %s", path, strerror(error));
	}
}

/* A connected socket, or -1 with errno. */
static int
dial(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(a.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(a.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
		int saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static bool
send_request(int sock, const struct client_call *call)
{
	json_t *args = json_array();
	for (int i = 0; i < call->argc; i++)
		json_array_append_new(args, json_string(call->argv[i]));
	json_t *o = json_pack("{s:s, s:o}", "command", call->command, "args", args);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	if (!text) {
		errno = EINVAL; /* an argument that is not UTF-8 */
		return false;
	}
	size_t len = strlen(text);
	text[len++] = '\n'; /* in place of the final 0 */
	bool ok = true;
	for (size_t at = 0; ok && at < len;) {
		ssize_t n = send(sock, text + at, len - at, MSG_NOSIGNAL);
		ok = n > 0;
		at += ok ? (size_t)n : 0;
	}
	free(text);
	return ok;
}

/* Answers up to the last, which is returned (new reference); NULL: the connection broke. */
static json_t *
read_answer(FILE *f, const struct client_call *call)
{
	char *line = NULL;
	size_t size = 0;
	json_t *answer = NULL;
	while (!answer && getline(&line, &size, f) > 0) {
		answer = json_loads(line, 0, NULL);
		json_t *progress = json_object_get(answer, "progress");
		if (!answer)
			break;
		if (progress) {
			if (call->progress)
				call->progress(call->arg, progress);
			json_decref(answer);
			answer = NULL;
		}
	}
	free(line);
	return answer;
}

/* Diagnostics of a configuration come as a list of lines. */
static int
print_failure(json_t *answer)
{
	json_t *details = json_object_get(answer, "details"), *line;
	const char *error = json_string_value(json_object_get(answer, "error"));
	size_t i;
	json_array_foreach(details, i, line) fprintf(stderr, "%s\n", json_string_value(line));
	cli_error("%s", error ? error : "the daemon's answer can't be read");
	return json_array_size(details) ? CLI_CONFIGURATION : CLI_FAILED;
}

static int
print_json_failure(json_t *answer)
{
	cli_print_json(json_incref(answer));
	return json_object_get(answer, "details") ? CLI_CONFIGURATION : CLI_FAILED;
}

json_t *
client_call(const struct cli *c, struct client_call *call)
{
	call->exit = CLI_FAILED;
	int sock = dial(c->socket);
	if (sock < 0) {
		explain(c->socket, errno);
		return NULL;
	}
	if (!send_request(sock, call)) {
		cli_error("%s: %s", c->socket, strerror(errno));
		close(sock);
		return NULL;
	}
	struct timeval patience = {.tv_sec = call->patience ? call->patience : 15};
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	FILE *f = fdopen(sock, "r");
	errno = 0;
	json_t *answer = f ? read_answer(f, call) : NULL, *result = NULL;
	bool late = errno == EAGAIN;
	if (f)
		fclose(f);
	else
		close(sock);
	if (!answer)
		cli_error(late ? "tailraced does not answer: it hangs or is stopped (is a debugger attached?)"
			       : "tailraced closed the connection: see its log (journalctl -u tailraced)");
	else if (json_is_true(json_object_get(answer, "ok")))
		result = json_incref(json_object_get(answer, "result"));
	else if (c->json)
		call->exit = print_json_failure(answer);
	else
		call->exit = print_failure(answer);
	json_decref(answer);
	return result;
}

json_t *
client_ask(const struct cli *c, const char *command, int argc, char *const *argv)
{
	struct client_call call = {.command = command, .argc = argc, .argv = argv};
	return client_call(c, &call);
}

json_t *
client_try(const struct cli *c, const char *command)
{
	struct client_call call = {.command = command};
	int sock = dial(c->socket);
	FILE *f = sock >= 0 && send_request(sock, &call) ? fdopen(sock, "r") : NULL;
	json_t *answer = f ? read_answer(f, &call) : NULL;
	json_t *result = json_incref(json_object_get(answer, "result"));
	json_decref(answer);
	if (f)
		fclose(f);
	else if (sock >= 0)
		close(sock);
	return result;
}
