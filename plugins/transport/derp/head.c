/* SPDX-License-Identifier: BSD-3-Clause */
#include "head.h"

#include "frame.h"

#include <http_parser.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define VALUE 256

enum field { FIELD_OTHER, FIELD_UPGRADE, FIELD_FAST, FIELD_IDEAL, FIELD_PROTOCOL, FIELD_VERSION, FIELD_KEY, FIELD_CHALLENGE, FIELD_HOST };

/* One header while it comes, in pieces. */
struct parse {
	struct head *head;
	char name[VALUE], value[VALUE], url[VALUE];
	size_t name_len, value_len, url_len; /* beyond VALUE - 1: cut */
	bool in_value, complete;
	unsigned n_host;
};

static void
append(char *to, size_t *len, const char *at, size_t n)
{
	size_t room = *len < VALUE - 1 ? VALUE - 1 - *len : 0;
#ifdef TR_SEEDED_BUG /* for the fuzz target to find: the end of a long value is written as well */
	room = n;
#endif
	if (room > 0)
		memcpy(to + *len, at, n < room ? n : room);
	*len += n;
	to[*len < VALUE - 1 ? *len : VALUE - 1] = '\0';
}

static enum field
field_of(const char *name)
{
	static const struct {
		const char *name;
		enum field field;
	} known[] = {{"Upgrade", FIELD_UPGRADE}, {"Derp-Fast-Start", FIELD_FAST}, {"Ideal-Node", FIELD_IDEAL},
		{"Sec-WebSocket-Protocol", FIELD_PROTOCOL}, {"Sec-WebSocket-Version", FIELD_VERSION}, {"Sec-WebSocket-Key", FIELD_KEY},
		{"X-Tailscale-Challenge", FIELD_CHALLENGE}, {"Host", FIELD_HOST}};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcasecmp(name, known[i].name) == 0)
			return known[i].field;
	return FIELD_OTHER;
}

/* Is `word` among the comma-separated tokens? */
static bool
lists(const char *value, const char *word)
{
	const size_t n = strlen(word);
	while (*value != '\0') {
		value += strspn(value, ", \t");
		size_t len = strcspn(value, ", \t");
		if (len == n && strncasecmp(value, word, n) == 0)
			return true;
		value += len;
	}
	return false;
}

static void
take_challenge(struct head *h, const char *v, size_t len)
{
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
	if (len < sizeof(h->challenge) && strspn(v, good) == len)
		memcpy(h->challenge, v, len + 1);
}

static void
take_header(struct parse *p)
{
	struct head *h = p->head;
	const char *v = p->value;
	if (p->name_len == 0 || p->name_len >= VALUE)
		return;
	switch (field_of(p->name)) {
	case FIELD_UPGRADE:
		if (strcasecmp(v, "derp") == 0)
			h->upgrade = HEAD_UPGRADE_DERP;
		else if (strcasecmp(v, "websocket") == 0)
			h->upgrade = HEAD_UPGRADE_WEBSOCKET;
		break;
	case FIELD_FAST:
		h->fast_start = strcmp(v, "1") == 0;
		break;
	case FIELD_IDEAL:
		h->not_ideal = p->value_len > 0;
		break;
	case FIELD_PROTOCOL:
		h->protocol_derp |= lists(v, "derp");
		break;
	case FIELD_VERSION:
		h->version_13 = strcmp(v, "13") == 0;
		break;
	case FIELD_KEY:
		if (p->value_len < sizeof(h->key))
			memcpy(h->key, v, p->value_len + 1);
		break;
	case FIELD_CHALLENGE:
		take_challenge(h, v, p->value_len);
		break;
	case FIELD_HOST:
		p->n_host++;
		snprintf(h->host, sizeof(h->host), "%s", v);
		break;
	case FIELD_OTHER:
		break;
	}
}

static void
end_header(struct parse *p)
{
	take_header(p);
	p->name_len = p->value_len = 0;
	p->value[0] = '\0';
	p->in_value = false;
}

static int
on_url(http_parser *hp, const char *at, size_t n)
{
	struct parse *p = hp->data;
	append(p->url, &p->url_len, at, n);
	return 0;
}

static int
on_field(http_parser *hp, const char *at, size_t n)
{
	struct parse *p = hp->data;
	if (p->in_value)
		end_header(p);
	append(p->name, &p->name_len, at, n);
	return 0;
}

static int
on_value(http_parser *hp, const char *at, size_t n)
{
	struct parse *p = hp->data;
	p->in_value = true;
	append(p->value, &p->value_len, at, n);
	return 0;
}

static int
on_headers(http_parser *hp)
{
	struct parse *p = hp->data;
	end_header(p);
	p->complete = true;
	return 0;
}

static enum head_path
path_of(const char *url)
{
	static const struct {
		const char *path;
		enum head_path is;
	} known[] = {{"/derp", HEAD_DERP}, {"/derp/probe", HEAD_PROBE}, {"/derp/latency-check", HEAD_PROBE},
		{"/generate_204", HEAD_204}, {"/bootstrap-dns", HEAD_BOOTSTRAP}, {"/robots.txt", HEAD_ROBOTS}};
	const size_t n = strcspn(url, "?");
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i].path) == n && memcmp(url, known[i].path, n) == 0)
			return known[i].is;
	return HEAD_OTHER;
}

/* Where the head ends, its blank line included; 0: it has not come. */
static size_t
head_end(const void *data, size_t len)
{
	const char *end = memmem(data, len, "\r\n\r\n", 4);
	return end ? (size_t)(end - (const char *)data) + 4 : 0;
}

static enum head_status
parse_head(struct parse *p, http_parser *hp, enum http_parser_type type, const void *data, size_t len, size_t *size)
{
	static const http_parser_settings settings = {.on_url = on_url, .on_header_field = on_field, .on_header_value = on_value,
		.on_headers_complete = on_headers};
	*size = head_end(data, len < HEAD_MAX ? len : HEAD_MAX);
	if (*size == 0)
		return len < HEAD_MAX ? HEAD_MORE : HEAD_BAD;
	http_parser_init(hp, type);
	hp->data = p;
	http_parser_execute(hp, &settings, data, *size);
	return p->complete ? HEAD_GOOD : HEAD_BAD;
}

enum head_status
head_read(struct head *h, const void *data, size_t len)
{
	struct parse p = {.head = h};
	http_parser hp;
	*h = (struct head){.upgrade = HEAD_UPGRADE_NONE};
	enum head_status status = parse_head(&p, &hp, HTTP_REQUEST, data, len, &h->size);
	if (status != HEAD_GOOD)
		return status;
	const bool has_body = (hp.flags & F_CHUNKED) || ((hp.flags & F_CONTENTLENGTH) && hp.content_length != 0 &&
		hp.content_length != UINT64_MAX);
	if (has_body || hp.http_major != 1 || p.n_host > 1 || (p.n_host == 0 && hp.http_minor >= 1))
		return HEAD_BAD;
	h->path = path_of(p.url);
	h->get = hp.method == HTTP_GET;
	h->head = hp.method == HTTP_HEAD;
	h->keep_alive = http_should_keep_alive(&hp) != 0;
	if (p.url_len < sizeof(h->target))
		memcpy(h->target, p.url, p.url_len + 1);
	h->host[strcspn(h->host, h->host[0] == '[' ? "" : ":")] = '\0';
	return HEAD_GOOD;
}

static size_t
answer(char out[HEAD_ANSWER], const struct head *h, const char *status, const char *more, const char *type, const char *body)
{
	int n = snprintf(out, HEAD_ANSWER, "HTTP/1.1 %s\r\n%s%s%s%s%sContent-Length: %zu\r\n\r\n%s", status,
		h && h->keep_alive ? "" : "Connection: close\r\n", more, type ? "Content-Type: " : "", type ? type : "",
		type ? "\r\n" : "", strlen(body), h && h->head ? "" : body);
	return n < 0 || n >= HEAD_ANSWER ? 0 : (size_t)n;
}

static size_t
answer_204(char out[HEAD_ANSWER], const struct head *h)
{
	int n = snprintf(out, HEAD_ANSWER, "HTTP/1.1 204 No Content\r\n%s"
		"Cache-Control: no-cache, no-store, must-revalidate, no-transform, max-age=0\r\n%s%s%s\r\n",
		h->keep_alive ? "" : "Connection: close\r\n", h->challenge[0] ? "X-Tailscale-Response: response " : "", h->challenge,
		h->challenge[0] ? "\r\n" : "");
	return (size_t)n;
}

size_t
head_answer(char out[HEAD_ANSWER], const struct head *h)
{
	static const char origin[] = "Access-Control-Allow-Origin: *\r\n", text[] = "text/plain; charset=utf-8";
	switch (h->path) {
	case HEAD_DERP:
		return answer(out, h, "426 Upgrade Required", "Upgrade: DERP\r\n", text, "This is a DERP relay: upgrade to DERP.\n");
	case HEAD_PROBE:
		if (!h->get && !h->head)
			return answer(out, h, "405 Method Not Allowed", "Allow: GET, HEAD\r\n", text, "GET or HEAD, please.\n");
		return answer(out, h, "200 OK", origin, NULL, "");
	case HEAD_204:
		return answer_204(out, h);
	case HEAD_BOOTSTRAP:
		return answer(out, h, "200 OK", origin, "application/json", "{}");
	case HEAD_ROBOTS:
		return answer(out, h, "200 OK", "", text, "User-agent: *\nDisallow: /\n");
	case HEAD_OTHER:
		break;
	}
	return answer(out, h, "200 OK", "", text, "A DERP relay of a Tailrace gateway.\n");
}

size_t
head_redirect(char out[HEAD_ANSWER], const struct head *h)
{
	char location[640];
	if (h->path == HEAD_204)
		return answer_204(out, h);
	/* Both went through the parser: no control characters. */
	snprintf(location, sizeof(location), "Location: https://%s%s\r\n", h->host, h->target[0] == '/' ? h->target : "/");
	return answer(out, h, "302 Found", location, NULL, "");
}

size_t
head_bad_request(char out[HEAD_ANSWER])
{
	return answer(out, NULL, "400 Bad Request", "", NULL, "");
}

static size_t
upgrade_websocket(char out[HEAD_ANSWER], const struct head *h)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 §1.3 */
	char text[sizeof(h->key) + sizeof(guid)], accept[32];
	uint8_t sha1[20];
	int n = snprintf(text, sizeof(text), "%s%s", h->key, guid);
	if (EVP_Digest(text, (size_t)n, sha1, NULL, EVP_sha1(), NULL) != 1)
		return 0;
	sodium_bin2base64(accept, sizeof(accept), sha1, sizeof(sha1), sodium_base64_VARIANT_ORIGINAL);
	return (size_t)snprintf(out, HEAD_ANSWER, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: derp\r\n\r\n", accept);
}

size_t
head_upgrade(char out[HEAD_ANSWER], const struct head *h, const uint8_t public_key[32], bool *refused)
{
	char hex[65];
	*refused = false;
	if (h->upgrade == HEAD_UPGRADE_WEBSOCKET && h->protocol_derp) {
		*refused = !h->version_13 || h->key[0] == '\0';
		return *refused ? head_bad_request(out) : upgrade_websocket(out, h);
	}
	sodium_bin2hex(hex, sizeof(hex), public_key, 32);
	return (size_t)snprintf(out, HEAD_ANSWER, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n"
		"Derp-Version: %d\r\nDerp-Public-Key: %s\r\n\r\n", FRAME_VERSION, hex);
}

size_t
head_request(char out[HEAD_ANSWER], const char *host, bool fast_start, const char *ideal_node)
{
	int n = snprintf(out, HEAD_ANSWER, "GET /derp HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n%s%s%s%s\r\n",
		host, fast_start ? "Derp-Fast-Start: 1\r\n" : "", ideal_node ? "Ideal-Node: " : "", ideal_node ? ideal_node : "",
		ideal_node ? "\r\n" : "");
	return n < 0 || n >= HEAD_ANSWER ? 0 : (size_t)n;
}

enum head_status
head_response(const void *data, size_t len, unsigned *code, size_t *size)
{
	struct head unused = {0};
	struct parse p = {.head = &unused};
	http_parser hp;
	enum head_status status = parse_head(&p, &hp, HTTP_RESPONSE, data, len, size);
	*code = status == HEAD_GOOD ? hp.status_code : 0;
	return status;
}
