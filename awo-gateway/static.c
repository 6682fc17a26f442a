/* The web UI's files, and what answers at the root. */
#include "awo-gateway/static.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "awo-gateway/encode.h"
#include "awo-gateway/gateway.h"
#include "common/buf.h"
#include "common/files.h"

#define PAGE_POLICY                                                                                \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src " \
	"'self'; "                                                                                 \
	"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "           \
	"frame-ancestors 'none'"
#define FILE_MAX ((off_t)32 << 20)

static const char *const types[][2] = {
    {"html", "text/html; charset=utf-8"},
    {"js", "text/javascript; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"json", "application/json"},
    {"map", "application/json"},
    {"svg", "image/svg+xml"},
    {"png", "image/png"},
    {"ico", "image/x-icon"},
    {"webp", "image/webp"},
    {"woff2", "font/woff2"},
    {"webmanifest", "application/manifest+json"},
    {"txt", "text/plain; charset=utf-8"},
};

static const char no_ui[] =
    "<!doctype html>\n"
    "<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Agent work orders</title></head>\n"
    "<body><h1>The web UI is not installed</h1>\n"
    "<p>This gateway was built where npm was not found, so it has no web UI. To get it, install "
    "Node.js and npm,\n"
    "build again and install; or start the gateway with <code>--ui-dir</code> and the directory of "
    "a built UI.</p>\n"
    "<p>The HTTP interface works without it: see <a href=\"/docs\">/docs</a>.</p></body></html>\n";

static const char *
type_of(const char *path)
{
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot != NULL && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(dot + 1, types[i][0]) == 0)
			return types[i][1];
	return "application/octet-stream";
}

void
static_page_headers(struct request *rq)
{
	request_add_header(rq, "Content-Security-Policy", PAGE_POLICY);
	request_add_header(rq, "Cross-Origin-Opener-Policy", "same-origin");
	request_add_header(rq, "Permissions-Policy", "camera=(), microphone=(), geolocation=()");
}

/* Files with a hash of their content in the name never change. */
static bool
is_immutable(const char *path)
{
	return strncmp(path, "assets/", strlen("assets/")) == 0;
}

/* Opens the file, or its compressed form where that is there and taken. -1: there is no such file.
 */
static int
open_file(struct request *rq, const char *path, bool *packed, struct stat *st)
{
	struct buf name CLEAN_BUF = {0};
	int fd = -1;

	*packed = false;
	if (encode_accepts_gzip(request_header(rq, "Accept-Encoding"))) {
		buf_printf(&name, "%s.gz", path);
		fd = files_open_regular(rq->g->ui_dir, name.p);
		*packed = fd >= 0;
	}
	if (fd < 0)
		fd = files_open_regular(rq->g->ui_dir, path);
	if (fd >= 0 && (fstat(fd, st) != 0 || st->st_size > FILE_MAX)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static bool
send_file(struct request *rq, const char *path)
{
	struct evbuffer *body;
	struct stat st;
	char etag[64];
	bool packed;
	int fd = open_file(rq, path, &packed, &st);

	if (fd < 0)
		return false;
	static_page_headers(rq);
	snprintf(etag, sizeof(etag), "W/\"%llx-%llx\"", (unsigned long long)st.st_size,
	    (unsigned long long)st.st_mtim.tv_sec * 1000000000ULL +
		(unsigned long long)st.st_mtim.tv_nsec);
	request_add_header(rq, "Content-Type", type_of(path));
	request_add_header(rq, "ETag", etag);
	request_add_header(rq, "Vary", "Accept-Encoding");
	request_add_header(rq, "Cache-Control",
	    is_immutable(path) ? "public, max-age=31536000, immutable" : "no-cache");
	if (packed)
		request_add_header(rq, "Content-Encoding", "gzip");
	if (encode_etag_matches(request_header(rq, "If-None-Match"), etag)) {
		close(fd);
		request_send(rq, 304, NULL);
		return true;
	}
	body = evbuffer_new();
	AWO_ASSERT(body != NULL);
	if (st.st_size == 0 || evbuffer_add_file(body, fd, 0, st.st_size) != 0)
		close(fd);
	request_send(rq, 200, body);
	evbuffer_free(body);
	return true;
}

void
serve_ui(struct request *rq)
{
	const char *path = rq->params->n > 0 ? rq->params->v[0].value : "",
		   *last = strrchr(path, '/');

	if (rq->g->ui_dir < 0) {
		static_page_headers(rq);
		request_add_header(rq, "Cache-Control", "no-cache");
		request_answer_text(rq, 200, "text/html; charset=utf-8", no_ui);
		return;
	}
	if (*path != '\0' && send_file(rq, path))
		return;
	/* an address within the UI has its one page; a file that is not there is not there */
	if (strchr(last != NULL ? last : path, '.') == NULL && send_file(rq, "index.html"))
		return;
	request_fail_status(rq, 404, "the web UI has no such file");
}

void
serve_root(struct request *rq)
{
	const char *accept = request_header(rq, "Accept");
	struct buf text = {0};

	request_add_header(rq, "Vary", "Accept");
	if (accept != NULL && strstr(accept, "text/html") != NULL) {
		request_add_header(rq, "Location", "/ui/");
		request_answer_empty(rq, 303);
		return;
	}
	buf_adds(&text, "{\"service\":\"agent-work-orders\",\"version\":\"" AWO_VERSION
			"\",\"status\":\"running\","
			"\"api\":\"/api/v1\",\"docs\":\"/docs\",\"openapi\":\"/"
			"openapi.json\",\"health\":\"/health\",\"ui\":\"/ui/\"}");
	request_answer_json(rq, 200, &text);
}
