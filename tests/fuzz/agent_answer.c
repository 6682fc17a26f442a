/* What an agent answered, taken for verdicts, titles, names of branches, versions. */
#include <stdlib.h>
#include <string.h>

#include "awo-worker/agent_version.h"
#include "awo-worker/answer.h"
#include "common/clean.h"
#include "common/text.h"
#include "tests/fuzz/fuzz.h"

static void
check_text(const char *s, size_t size)
{
	size_t len = strnlen(s, size);

	FUZZ_CHECK(len < size && text_is_utf8(s, len));
}

static void
titles(const char *text, size_t len)
{
	CLEAN_BUF struct buf body = {0};
	char title[256];

	(void)answer_title(text, len, title, &body);
	check_text(title, sizeof(title));
	for (const char *p = title; *p != '\0'; p++)
		FUZZ_CHECK((unsigned char)*p >= ' ');
	FUZZ_CHECK(body.len == 0 || text_is_utf8(body.p, body.len));
}

static void
names(const char *text, size_t len)
{
	char branch[256], issue[20], version[AGENT_VERSION_MAX + 1];
	size_t n;

	if (answer_branch(text, len, branch)) {
		FUZZ_CHECK(strnlen(branch, sizeof(branch)) < sizeof(branch));
		FUZZ_CHECK(answer_is_branch(branch));
	}
	if (answer_issue(text, issue))
		FUZZ_CHECK(strspn(issue, "0123456789") == strlen(issue) && atoi(issue) > 0);
	(void)answer_is_branch(text);
	(void)answer_is_conventional(text);
	(void)answer_is_plan(text);
	n = agent_version_line(text, len, version);
	check_text(version, sizeof(version));
	FUZZ_CHECK(n == strlen(version));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text CLEAN_FREE = xcalloc(size + 1, 1);
	json_t *o CLEAN_JSON = NULL;
	struct answer_review review;
	struct answer_tests tests;
	struct awo_err err = {0};

	if (size > 0)
		memcpy(text, data, size);
	o = answer_json((const char *)data, size, "success");
	FUZZ_CHECK(o == NULL || json_object_get(o, "success") != NULL);
	if (answer_review((const char *)data, size, &review) == 0) {
		check_text(review.summary, sizeof(review.summary));
		check_text(review.blocker, sizeof(review.blocker));
		FUZZ_CHECK(review.blockers <= review.issues);
	}
	if (answer_tests((const char *)data, size, &tests, &err) == 0)
		check_text(tests.command, sizeof(tests.command));
	titles((const char *)data, size);
	names(text, strlen(text));
	return 0;
}
