/* Webhooks: handed to awod as they came in, which knows the secret and decides. */
#include "awo-gateway/webhook.h"

#include <string.h>
#include <strings.h>

#include "awo-gateway/json_out.h"
#include "awo-gateway/request.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/text.h"

#define AT_ONCE_MAX 16 /* anybody may send these: what awod reckons signatures of is bounded */
#define RETRY_AFTER_S "2"

/* A body's signature is reckoned with each secret that it may be of, which takes longer the longer
 * it is. */
#define COST_BYTES 16384.0

static unsigned at_once;

static void
delivered(struct request *rq, const struct awo_err *err, void *answer)
{
	const struct p_webhook_answer *a = answer;
	struct buf text = {0};

	at_once--;
	if (a == NULL) {
		/* nobody's secret has signed it, or there is none */
		if (err->code == AWO_UNAUTHENTICATED || err->code == AWO_FAILED_PRECONDITION)
			auth_count_stranger(rq, 1 + (double)request_body_len(rq) / COST_BYTES);
		if (err->code == AWO_INVALID_ARGUMENT)
			request_fail_status(rq, 400, "%s: %s",
			    *err->field != '\0' ? err->field : "webhook", err->msg);
		else
			request_fail(rq, err);
		return;
	}
	json_out(&text, &p_type_webhook_answer, a, false);
	request_answer_json(rq, a->action == webhook_action_created ? 201 : 200, &text);
}

/* A header that must be there; NULL after the answer. */
static char *
need_header(struct request *rq, const char *name, int status)
{
	const char *value = request_header(rq, name);

	if (value != NULL && *value != '\0' && strlen(value) <= 128 &&
	    text_is_utf8(value, strlen(value)))
		return (char *)(uintptr_t)value;
	request_fail_status(rq, status, "the header %s is missing or too long", name);
	return NULL;
}

void
webhook_github(struct request *rq)
{
	const char *type = request_header(rq, "Content-Type");
	CLEAN_FREE char *body = NULL;
	struct p_webhook_deliver q = {0};
	size_t len;

	if (type == NULL || strncasecmp(type, "application/json", 16) != 0) {
		request_fail_status(rq, 415, "set the webhook's content type to application/json");
		return;
	}
	/* all of q is lent for the encoding */
	if ((q.delivery_id = need_header(rq, "X-GitHub-Delivery", 400)) == NULL ||
	    (q.event = need_header(rq, "X-GitHub-Event", 400)) == NULL ||
	    (q.signature = need_header(rq, "X-Hub-Signature-256", 401)) == NULL)
		return;
	if (auth_refuses_stranger(rq))
		return;
	body = request_body(rq, &len);
	if (len == 0 || !text_is_utf8(body, len)) {
		request_fail_status(rq, 400, "the body is empty, or no UTF-8 text");
		return;
	}
	if (at_once >= AT_ONCE_MAX) {
		request_add_header(rq, "Retry-After", RETRY_AFTER_S);
		request_fail_status(rq, 503, "too many webhooks at once: deliver this again");
		return;
	}
	at_once++;
	q.body = body;
	P_MARK(webhook_deliver, &q, delivery_id);
	P_MARK(webhook_deliver, &q, event);
	P_MARK(webhook_deliver, &q, signature);
	P_MARK(webhook_deliver, &q, body);
	request_call_self(rq, P_M_webhook_deliver, &q, delivered);
}
