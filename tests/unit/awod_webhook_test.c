/* Webhooks: signatures, and what payloads ask for, whoever has written them. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awod/webhook.h"
#include "common/buf.h"
#include "common/text.h"

static char *ignored_names[] = {(char[]){"Robot"}};
static const struct p_strv ignored = {.v = ignored_names, .n = 1};
static const struct webhook_rules rules = {.label = "agent-work-order", .ignore = &ignored};

static void
signatures_are_of_body_and_secret(void **state)
{
	/* the example of GitHub's documentation of webhooks */
	static const char secret[] = "It's a Secret to Everybody", body[] = "Hello, World!";
	static const char good[] =
	    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
	char changed[sizeof(good)];

	(void)state;
	assert_true(webhook_is_signed(secret, body, strlen(body), good));
	assert_false(webhook_is_signed(secret, body, strlen(body) - 1, good));
	assert_false(webhook_is_signed("another", body, strlen(body), good));
	assert_false(webhook_is_signed("", body, strlen(body), good));
	assert_false(webhook_is_signed(secret, body, strlen(body), ""));
	assert_false(webhook_is_signed(secret, body, strlen(body), "sha256="));
	assert_false(webhook_is_signed(secret, body, strlen(body), good + 7));
	for (size_t i = 0; i < sizeof(good) - 1; i++) {
		memcpy(changed, good, sizeof(good));
		changed[i] ^= 1;
		assert_false(webhook_is_signed(secret, body, strlen(body), changed));
		changed[i] = '\0';
		assert_false(webhook_is_signed(secret, body, strlen(body), changed));
	}
	{
		char longer[sizeof(good) + 1];

		snprintf(longer, sizeof(longer), "%s0", good);
		assert_false(webhook_is_signed(secret, body, strlen(body), longer));
	}
}

#define REPO "\"repository\":{\"full_name\":\"octo/sample\"}"
#define USER "{\"login\":\"octocat\",\"type\":\"User\"}"
#define ISSUE(more)                                                                                \
	"{\"number\":7,\"title\":\"T\",\"body\":\"B\",\"user\":{\"login\":\"author\"},"            \
	"\"author_association\":\"NONE\",\"updated_at\":\"2026-01-31T08:00:00Z\"" more "}"
#define LABELLED(label, issue, sender)                                                             \
	"{\"action\":\"labeled\",\"label\":{\"name\":\"" label "\"},\"issue\":" issue              \
	",\"sender\":" sender "," REPO "}"
#define COMMENT(body, who, association, issue)                                                     \
	"{\"action\":\"created\",\"comment\":{\"id\":42,\"body\":\"" body "\",\"user\":" who       \
	",\"author_association\":\"" association "\"},\"issue\":" issue "," REPO "}"

static void
payloads_say_what_is_asked_for(void **state)
{
	static const struct {
		const char *event, *body;
		enum webhook_what what;
		const char *words; /* of the text, or of the reason */
		const char *object;
	} cases[] = {
	    {"ping", "{}", WEBHOOK_NOTHING, "pong", ""},
	    {"push", "{}", WEBHOOK_NOTHING, "asks for nothing", ""},
	    {"issues", LABELLED("agent-work-order", ISSUE(""), USER), WEBHOOK_ORDER, "T\n\nB",
		"issue 7 labelled 2026-01-31T08:00:00Z"},
	    {"issues", LABELLED("AGENT-WORK-ORDER", ISSUE(""), USER), WEBHOOK_ORDER, "T\n\nB",
		NULL},
	    {"issues", LABELLED("bug", ISSUE(""), USER), WEBHOOK_NOTHING, "another label", NULL},
	    {"issues", LABELLED("agent-work-order", ISSUE(",\"state\":\"closed\""), USER),
		WEBHOOK_NOTHING, "closed", NULL},
	    {"issues",
		LABELLED("agent-work-order", ISSUE(""), "{\"login\":\"robot\",\"type\":\"User\"}"),
		WEBHOOK_NOTHING, "webhooks.ignore", NULL},
	    {"issues",
		LABELLED("agent-work-order", ISSUE(""), "{\"login\":\"x\",\"type\":\"Bot\"}"),
		WEBHOOK_NOTHING, "bots", NULL},
	    {"issues", LABELLED("agent-work-order", ISSUE(""), "{\"login\":\"a b\"}"),
		WEBHOOK_NOTHING, "nobody", NULL},
	    {"issues",
		LABELLED("agent-work-order", ISSUE(""), "{\"login\":\"Author\",\"type\":\"User\"}"),
		WEBHOOK_NOTHING, "no collaborator", NULL},
	    {"issue_comment", COMMENT("/awo do it", USER, "OWNER", "{\"number\":7}"),
		WEBHOOK_COMMAND, "do it", "comment 42"},
	    {"issue_comment", COMMENT("/awo\\r\\n\\tdo it\\n", USER, "MEMBER", "{\"number\":7}"),
		WEBHOOK_COMMAND, "do it\n", NULL},
	    {"issue_comment",
		COMMENT("/awo do\\u0007 \\u001b[1mit", USER, "OWNER", "{\"number\":7}"),
		WEBHOOK_COMMAND, "do [1mit", NULL},
	    {"issue_comment", COMMENT("/awo a\\u0000b", USER, "OWNER", "{\"number\":7}"),
		WEBHOOK_COMMAND, "a", NULL},
	    {"issue_comment", COMMENT("/awo", USER, "OWNER", "{\"number\":7}"), WEBHOOK_NOTHING,
		"nothing stands", NULL},
	    {"issue_comment", COMMENT("/awol x", USER, "OWNER", "{\"number\":7}"), WEBHOOK_NOTHING,
		"not begin", NULL},
	    {"issue_comment", COMMENT("/awo x", USER, "CONTRIBUTOR", "{\"number\":7}"),
		WEBHOOK_NOTHING, "no collaborator", NULL},
	    {"issue_comment",
		COMMENT("/awo x <!-- awo-order:wo-1 -->", USER, "OWNER", "{\"number\":7}"),
		WEBHOOK_NOTHING, "own comments", NULL},
	    {"pull_request",
		"{\"action\":\"closed\",\"pull_request\":{\"number\":3,\"merged\":true}," REPO "}",
		WEBHOOK_PULL_REQUEST, NULL, ""},
	    {"pull_request",
		"{\"action\":\"synchronize\",\"pull_request\":{\"number\":3}," REPO "}",
		WEBHOOK_NOTHING, "end of a pull request", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct awo_err err = {0};
		struct webhook w;

		if (webhook_parse(&rules, cases[i].event, cases[i].body, strlen(cases[i].body), &w,
			&err) != 0)
			fail_msg("case %zu: %s", i, err.msg);
		if (w.what != cases[i].what)
			fail_msg("case %zu: %d, %s", i, (int)w.what, w.reason);
		if (w.what == WEBHOOK_NOTHING) {
			if (strstr(w.reason, cases[i].words) == NULL)
				fail_msg("case %zu: %s", i, w.reason);
			assert_null(w.text);
		} else if (cases[i].words != NULL) {
			assert_string_equal(w.text, cases[i].words);
		}
		if (cases[i].object != NULL)
			assert_string_equal(w.object, cases[i].object);
		webhook_free(&w);
	}
}

static void
kinds_of_threads_and_states(void **state)
{
	static const struct {
		const char *event, *body;
		bool is_pull_request;
		enum p_pull_request_state pr;
	} cases[] = {
	    {"issue_comment", COMMENT("/awo x", USER, "OWNER", "{\"number\":7}"), false,
		pull_request_state_none},
	    {"issue_comment",
		COMMENT("/awo x", USER, "OWNER", "{\"number\":7,\"pull_request\":{}}"), true,
		pull_request_state_none},
	    {"pull_request_review_comment",
		COMMENT("/awo x", USER, "OWNER", "0,\"pull_request\":{\"number\":7}"), true,
		pull_request_state_none},
	    {"pull_request",
		"{\"action\":\"closed\",\"pull_request\":{\"number\":7,\"merged\":true}," REPO "}",
		true, pull_request_state_merged},
	    {"pull_request",
		"{\"action\":\"closed\",\"pull_request\":{\"number\":7,\"merged\":1}," REPO "}",
		true, pull_request_state_closed},
	    {"pull_request", "{\"action\":\"reopened\",\"pull_request\":{\"number\":7}," REPO "}",
		true, pull_request_state_open},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct awo_err err = {0};
		struct webhook w;

		if (webhook_parse(&rules, cases[i].event, cases[i].body, strlen(cases[i].body), &w,
			&err) != 0)
			fail_msg("case %zu: %s", i, err.msg);
		assert_int_equal(w.is_pull_request, cases[i].is_pull_request);
		assert_int_equal(w.state, cases[i].pr);
		assert_string_equal(w.number, "7");
		assert_string_equal(w.repository, "octo/sample");
		webhook_free(&w);
	}
}

static void
malformed_payloads_are_refused(void **state)
{
	static const struct {
		const char *event, *body, *words;
	} cases[] = {
	    {"ping", "", "no JSON object"},
	    {"ping", "[]", "no JSON object"},
	    {"ping", "{", "no JSON object"},
	    {"ping", "{} x", "no JSON object"},
	    {"issues", "{\"action\":\"labeled\"}", "repository.full_name"},
	    {"issues", "{\"repository\":{\"full_name\":7}}", "repository.full_name"},
	    {"issues", "{\"repository\":{\"full_name\":\"octo\"}}", "repository.full_name"},
	    {"issues", "{\"repository\":{\"full_name\":\"/x\"}}", "repository.full_name"},
	    {"issues", "{\"repository\":{\"full_name\":\"a/b/c\"}}", "repository.full_name"},
	    {"issues", "{\"repository\":{\"full_name\":\"a/b?c\"}}", "repository.full_name"},
	    {"issues", "{\"repository\":{\"full_name\":\"a/[b]\"}}", "repository.full_name"},
	    {"issues", LABELLED("agent-work-order", "{\"number\":0}", USER), "number"},
	    {"issues", LABELLED("agent-work-order", "{\"number\":1.5}", USER), "number"},
	    {"issues", LABELLED("agent-work-order", "[]", USER), "number"},
	    {"issue_comment", "{\"action\":\"created\",\"comment\":{\"id\":\"x\"}," REPO "}",
		"comment.id"},
	    {"issue_comment", "{\"action\":\"created\",\"comment\":{\"id\":1}," REPO "}", "number"},
	    {"pull_request", "{\"action\":\"closed\"," REPO "}", "number"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct awo_err err = {0};
		struct webhook w;

		if (webhook_parse(&rules, cases[i].event, cases[i].body, strlen(cases[i].body), &w,
			&err) == 0)
			fail_msg("case %zu was accepted", i);
		assert_int_equal(err.code, AWO_INVALID_ARGUMENT);
		assert_string_equal(err.field, "body");
		if (strstr(err.msg, cases[i].words) == NULL)
			fail_msg("case %zu: %s", i, err.msg);
		webhook_free(&w);
	}
}

static void
long_texts_are_cut_at_a_character(void **state)
{
	struct buf body = {0};
	struct awo_err err = {0};
	struct webhook w;

	(void)state;
	buf_adds(&body, "{\"action\":\"created\",\"comment\":{\"id\":1,\"author_association\":"
			"\"OWNER\",\"user\":" USER ",\"body\":\"/awo x");
	for (int i = 0; i < 100000; i++)
		buf_adds(&body, "\xc3\xa4");
	buf_adds(&body, "\"},\"issue\":{\"number\":7}," REPO "}");
	assert_int_equal(webhook_parse(&rules, "issue_comment", body.p, body.len, &w, &err), 0);
	assert_int_equal(w.what, WEBHOOK_COMMAND);
	assert_true(strlen(w.text) <= WEBHOOK_TEXT_MAX && strlen(w.text) >= WEBHOOK_TEXT_MAX - 2);
	assert_true(text_is_utf8(w.text, strlen(w.text)));
	webhook_free(&w);
	buf_free(&body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(signatures_are_of_body_and_secret),
	    cmocka_unit_test(payloads_say_what_is_asked_for),
	    cmocka_unit_test(kinds_of_threads_and_states),
	    cmocka_unit_test(malformed_payloads_are_refused),
	    cmocka_unit_test(long_texts_are_cut_at_a_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
