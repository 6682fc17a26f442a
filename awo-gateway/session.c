/* A browser's session: the link that opens it, the cookie that carries it, its end. */
#include "awo-gateway/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "awo-gateway/gateway.h"
#include "awo-gateway/origin.h"
#include "awo-gateway/request.h"
#include "awo-gateway/static.h"
#include "awod/config.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/clock.h"
#include "common/text.h"

#define NAME_MAX_LEN 32
#define HOME "/ui/"

static bool
is_secure(const struct gateway *g)
{
	const char *url = g->conf->gateway_url;

	return url != NULL && strncasecmp(url, "https://", 8) == 0;
}

/*
 * Cookies know no ports: each gateway of a host has a name of its own. Nor do they know who has set
 * them: with the prefix browsers take them over TLS alone and from no neighbouring domain, which
 * could log the reader in as somebody else.
 */
static void
cookie_name(const struct gateway *g, char name[NAME_MAX_LEN])
{
	const char *colon = strrchr(g->address, ':');

	snprintf(name, NAME_MAX_LEN, "%sawo_session_%.6s", is_secure(g) ? "__Host-" : "",
	    colon != NULL ? colon + 1 : "");
}

bool
session_cookie(const struct request *rq, char auth[WHO_AUTH_MAX + 1])
{
	const char *p = request_header(rq, "Cookie");
	char name[NAME_MAX_LEN];
	size_t n;

	cookie_name(rq->g, name);
	n = strlen(name);
	while (p != NULL && *p != '\0') {
		size_t len;

		p += strspn(p, " ;");
		len = strcspn(p, ";");
		if (len > n && strncmp(p, name, n) == 0 && p[n] == '=' &&
		    strncmp(p + n + 1, "awos_", 5) == 0 && len - n - 1 <= WHO_AUTH_MAX) {
			memcpy(auth, p + n + 1, len - n - 1);
			auth[len - n - 1] = '\0';
			return true;
		}
		p += len;
	}
	return false;
}

static void
set_cookie(struct request *rq, const char *value, int64_t seconds)
{
	char name[NAME_MAX_LEN], text[WHO_AUTH_MAX + 160];

	cookie_name(rq->g, name);
	snprintf(text, sizeof(text), "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%lld%s",
	    name, value, (long long)seconds, is_secure(rq->g) ? "; Secure" : "");
	request_add_header(rq, "Set-Cookie", text);
	explicit_bzero(text, sizeof(text));
}

void
session_clear_cookie(struct request *rq)
{
	set_cookie(rq, "", 0);
}

/* ---- logging in */

/* A page for the person who followed a link that does not work. */
static void
answer_page(struct request *rq, int status, const char *title, const char *text)
{
	struct buf b CLEAN_BUF = {0};

	static_page_headers(rq);
	request_add_header(rq, "Cache-Control", "no-store");
	buf_printf(&b,
	    "<!doctype html>\n<html lang=\"en\"><head><meta "
	    "charset=\"utf-8\"><title>%s</title></head>\n"
	    "<body><h1>%s</h1>\n<p>%s</p></body></html>\n",
	    title, title, text);
	request_answer_text(rq, status, "text/html; charset=utf-8", b.p);
}

static void
opened(struct request *rq, const struct awo_err *err, void *answer)
{
	const struct p_session *k = answer;

	if (k == NULL && err->code == AWO_UNAUTHENTICATED) {
		auth_count_stranger(rq, 1);
		answer_page(rq, 401, "This link does not log you in",
		    "It has been used, it has expired, or it was never made. Type <code>awoctl "
		    "ui</code> for another one.");
	} else if (k == NULL) {
		request_fail(rq, err);
	} else {
		set_cookie(rq, k->session != NULL ? k->session : "",
		    (k->expires_at - clock_wall_us()) / 1000000);
		request_add_header(rq, "Location", HOME);
		request_answer_empty(rq, 303);
	}
}

/* A token in a page: only what tokens are made of. */
static bool
is_token(const char *s)
{
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(s);
}

static void
ask_reader(struct request *rq, const char *token)
{
	struct buf text CLEAN_BUF = {0};

	buf_printf(&text,
	    "Go on only if you have just asked for this, with <code>awoctl ui</code>.</p>\n"
	    "<form method=\"post\" action=\"/ui/login\"><input type=\"hidden\" name=\"token\" "
	    "value=\"%s\">"
	    "<button autofocus>Log in</button></form>\n<p>",
	    is_token(token) ? token : "");
	/* the form must be able to say where it comes from */
	request_add_header(rq, "Referrer-Policy", "same-origin");
	answer_page(rq, 200, "Log in to agent work orders", text.p);
}

static void
open_session(struct request *rq, const char *token)
{
	/* lent for the encoding */
	struct p_session_open q = {.login_token = (char *)(uintptr_t)token};

	if (auth_refuses_stranger(rq))
		return;
	P_MARK(session_open, &q, login_token);
	request_call_self(rq, P_M_session_open, &q, opened);
}

void
session_confirm(struct request *rq)
{
	struct origin_facts facts = request_origin(rq);
	CLEAN_FREE char *body = NULL;
	size_t len;

	if (!origin_is_own(rq->g->conf, &facts, false)) {
		request_fail_status(rq, 403, "only the gateway's own page asks for this");
		return;
	}
	body = request_body(rq, &len);
	if (strncmp(body, "token=", 6) != 0 || len > WHO_AUTH_MAX || strlen(body) != len ||
	    !is_token(body + 6)) {
		request_fail_status(rq, 400, "the form of /ui/login was expected");
		return;
	}
	open_session(rq, body + 6);
}

void
session_login(struct request *rq)
{
	const char *token = target_param(&rq->target, "token"),
		   *site = request_header(rq, "Sec-Fetch-Site");
	const char *purpose = request_header(rq, "Sec-Purpose");

	if (token == NULL || *token == '\0' || strlen(token) > WHO_AUTH_MAX) {
		answer_page(rq, 400, "This is not the whole link",
		    "Type <code>awoctl ui</code>, and open the whole link that it prints.");
		return;
	}
	/* what only looks ahead must not use the link up */
	if (rq->method == HTTP_HEAD || purpose != NULL) {
		request_answer_empty(rq, 204);
		return;
	}
	/* another page has led here, of another site or a file, or may have where browsers do not
	 * say: it may want to log the reader in as somebody else */
	if (site != NULL ? strcasecmp(site, "none") != 0 && strcasecmp(site, "same-origin") != 0
			 : !origin_tells_site(rq->g->conf, request_header(rq, "Host"))) {
		ask_reader(rq, token);
		return;
	}
	open_session(rq, token);
}

/* ---- logging out */

static void
ended(struct request *rq, const struct awo_err *err, void *answer)
{
	if (answer == NULL && err->code != AWO_UNAUTHENTICATED) {
		request_fail(rq, err);
		return;
	}
	/* what was over before is over now */
	if (answer == NULL)
		auth_count_stranger(rq, 1);
	session_clear_cookie(rq);
	request_answer_empty(rq, 204);
}

void
session_logout(struct request *rq)
{
	struct origin_facts facts = request_origin(rq);
	char auth[WHO_AUTH_MAX + 1];
	struct p_session_ref q = {.session = auth};

	if (!session_cookie(rq, auth)) {
		request_answer_empty(rq, 204);
		return;
	}
	if (!origin_is_own(rq->g->conf, &facts, false)) {
		request_fail_status(rq, 403, "only the gateway's own pages log a browser out");
		return;
	}
	if (!auth_forget(rq->g, auth) && auth_refuses_stranger(rq)) {
		explicit_bzero(auth, sizeof(auth));
		return;
	}
	P_MARK(session_ref, &q, session);
	request_call_self(rq, P_M_session_end, &q, ended);
	explicit_bzero(auth, sizeof(auth));
}

/* ---- who am I */

void
session_show(struct request *rq)
{
	const struct who *w = &rq->who;
	struct buf b = {0};

	buf_adds(&b, "{\"user\":");
	if (w->auth[0] != '\0')
		text_add_json(&b, w->user);
	else
		buf_adds(&b, "null");
	buf_printf(&b, ",\"scopes\":[%s%s%s],\"auth\":\"%s\"}",
	    (w->scopes & P_SCOPE_READ) != 0 ? "\"read\"" : "",
	    (w->scopes & P_SCOPE_WRITE) != 0 ? ",\"write\"" : "",
	    (w->scopes & P_SCOPE_ADMIN) != 0 ? ",\"admin\"" : "",
	    w->auth[0] == '\0'			? "none"
	    : strncmp(w->auth, "awos_", 5) == 0 ? "session"
						: "token");
	request_answer_json(rq, 200, &b);
}
