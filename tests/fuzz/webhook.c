/* Payloads of webhooks, with a right signature or a wrong one: a first byte chooses the event. */
#include "awod/webhook.h"

#include <stdlib.h>
#include <string.h>

#include "common/clean.h"
#include "common/text.h"
#include "tests/fuzz/fuzz.h"

static const char *const events[] = {"issues", "issue_comment", "pull_request_review_comment", "pull_request", "ping",
    "push"};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct webhook_rules rules = {.label = "agent-work-order"};
	struct fuzz_in in = {data, size};
	const char *event = events[fuzz_u8(&in) % (sizeof(events) / sizeof(events[0]))];
	char *body CLEAN_FREE = NULL;
	struct awo_err err = {0};
	struct webhook w;
	size_t len;

	body = fuzz_until(&in, 0, &len);
	FUZZ_CHECK(!webhook_is_signed("a secret of some length", body, len, body));
	if (webhook_parse(&rules, event, body, len, &w, &err) != 0) {
		FUZZ_CHECK(err.code == AWO_INVALID_ARGUMENT && err.msg[0] != '\0');
		webhook_free(&w);
		return 0;
	}
	FUZZ_CHECK((w.what == WEBHOOK_NOTHING) == (w.reason[0] != '\0'));
	if (w.what == WEBHOOK_ORDER || w.what == WEBHOOK_COMMAND) {
		/* what goes on is text, bounded, from somebody, about something */
		FUZZ_CHECK(w.text != NULL && strlen(w.text) > 0 && strlen(w.text) <= WEBHOOK_TEXT_MAX);
		FUZZ_CHECK(text_is_utf8(w.text, strlen(w.text)));
		for (const char *s = w.text; *s != '\0'; s++)
			FUZZ_CHECK((unsigned char)*s >= ' ' || *s == '\n' || *s == '\t');
		FUZZ_CHECK(w.by[0] != '\0' && w.object[0] != '\0');
	} else {
		FUZZ_CHECK(w.text == NULL);
	}
	if (w.what != WEBHOOK_NOTHING) {
		FUZZ_CHECK(strspn(w.number, "0123456789") == strlen(w.number) && w.number[0] != '\0');
		FUZZ_CHECK(strchr(w.repository, '/') != NULL && strstr(w.repository, "//") == NULL);
		FUZZ_CHECK(strpbrk(w.repository, " \t\r\n?#[]@:\\") == NULL);
	}
	webhook_free(&w);
	return 0;
}
