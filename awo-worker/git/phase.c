/*
 * What kind of work a commit is, from its message and the files that it touches; no I/O.
 *
 * In order: a type that says so ("plan: ...", "test(api): ..."), then the files when they all are
 * of one kind, then the subject's first word or a scope where the files do not speak against it.
 * Everything else is implementing.
 */
#include "awo-worker/git/phase.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

const char *
phase_name(enum phase p)
{
	static const char *const names[] = {NULL, "planning", "implementing", "testing"};

	return names[p];
}

static bool
is_one_of(const char *s, size_t len, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strlen(words[i]) == len && strncasecmp(s, words[i], len) == 0)
			return true;
	}
	return false;
}
#define ONE_OF(s, len, words) is_one_of((s), (len), (words), N(words))

static const char *const plan_words[] = {
    "plan", "plans", "planning", "spec", "specs", "specification", "design", "prp", "prps"};
static const char *const test_words[] = {"test", "tests", "testing", "qa", "e2e"};
static const char *const code_types[] = {
    "feat", "feature", "fix", "bugfix", "hotfix", "refactor", "perf", "style", "revert"};
static const char *const helper_types[] = {"chore", "build", "ci", "wip"};
static const char *const docs_types[] = {"docs", "doc"};

/* ---- paths
 * --------------------------------------------------------------------------------------------------
 */

static bool
ends(const char *s, size_t len, const char *tail)
{
	size_t n = strlen(tail);

	return len >= n && strncasecmp(s + len - n, tail, n) == 0;
}

static bool
begins(const char *s, size_t len, const char *head)
{
	size_t n = strlen(head);

	return len >= n && strncasecmp(s, head, n) == 0;
}

static bool
is_document(const char *name, size_t len)
{
	static const char *const tails[] = {".md", ".mdx", ".rst", ".txt", ".adoc", ".org", ".puml",
	    ".mmd", ".drawio", ".excalidraw", ".markdown"};

	for (size_t i = 0; i < N(tails); i++) {
		if (ends(name, len, tails[i]))
			return true;
	}
	return false;
}

static bool
is_test_dir(const char *s, size_t len)
{
	static const char *const names[] = {"test", "tests", "__tests__", "testing", "e2e",
	    "cypress", "playwright", "testdata", "test-data", "__mocks__", "__snapshots__",
	    "androidTest", "integration-tests", "testutil", "testutils", "uitests", "t",
	    "features"};
	static const char *const tails[] = {".tests", ".test", "_test", "_tests", "-test", "-tests",
	    ".specs", ".unittests", ".integrationtests"};

	/* a directory "features" is cucumber's at the root only, and "t" perl's */
	if (ONE_OF(s, len, names))
		return true;
	for (size_t i = 0; i < N(tails); i++) {
		if (len > strlen(tails[i]) && ends(s, len, tails[i]))
			return true;
	}
	/* AppTests, AppUITests: a capital, so not "latests" */
	return (len > 5 && strncmp(s + len - 5, "Tests", 5) == 0) ||
	       (len > 4 && strncmp(s + len - 4, "Test", 4) == 0);
}

/* The file's own name: user_test.go, test_user.py, user.spec.ts, UserTest.java, conftest.py ... */
static bool
is_test_name(const char *s, size_t len)
{
	static const char *const whole[] = {"conftest.py", "pytest.ini", "tox.ini", "phpunit.xml",
	    "phpunit.xml.dist", ".rspec", "test_results.json", "spec_helper.rb", "rails_helper.rb",
	    "tests.rs", "test.rs", "tests.py", "codecov.yml", ".coveragerc", "setupTests.ts",
	    "setupTests.js"};
	static const char *const tools[] = {"jest.config.", "vitest.config.", "playwright.config.",
	    "cypress.config.", "karma.conf.", "jest.setup.", "vitest.setup."};
	static const char *const camel[] = {"Test", "Tests", "IT", "Spec", "TestCase"};
	const char *dot = memrchr(s, '.', len);
	size_t stem = dot != NULL ? (size_t)(dot - s) : len;

	if (ONE_OF(s, len, whole))
		return true;
	for (size_t i = 0; i < N(tools); i++) {
		if (begins(s, len, tools[i]))
			return true;
	}
	if (dot == NULL || is_document(s, len))
		return false;
	if (begins(s, stem, "test_") || ends(s, stem, "_test") || ends(s, stem, "_tests") ||
	    ends(s, stem, "_spec") || ends(s, stem, ".test") || ends(s, stem, ".spec") ||
	    ends(s, stem, ".e2e") || ends(s, stem, ".e2e-spec") || ends(s, stem, ".cy") ||
	    ends(s, stem, "-test") || ends(s, stem, "-spec") || ends(s, stem, ".stories.test"))
		return true;
	if (ends(s, len, ".snap") || ends(s, len, ".feature") || ends(s, len, ".bats"))
		return true;
	for (size_t i = 0; i < N(camel); i++) {
		size_t n = strlen(camel[i]);

		/* LoginTest, not Latest or Contest; LoginIT, not EXIT */
		if (stem > n && strncmp(s + stem - n, camel[i], n) == 0 &&
		    (islower((unsigned char)s[stem - n - 1]) ||
			isdigit((unsigned char)s[stem - n - 1])) &&
		    isupper((unsigned char)s[0]))
			return true;
	}
	return false;
}

static bool
is_test_path(const char *path)
{
	const char *s = path;

	for (const char *slash; (slash = strchr(s, '/')) != NULL; s = slash + 1) {
		size_t len = (size_t)(slash - s);
		bool root = s == path;

		if (!root && len == 1 && *s == 't')
			continue;
		if (!root && len == 8 && strncasecmp(s, "features", 8) == 0)
			continue;
		if (root && len == 8 && strncasecmp(s, "features", 8) == 0 &&
		    !ends(path, strlen(path), ".feature") && strstr(path, "step") == NULL &&
		    strstr(path, "support") == NULL)
			continue;
		if (is_test_dir(s, len))
			return true;
		/* RSpec and Jasmine keep code below spec/; documents there are specifications */
		if (len == 4 && strncasecmp(s, "spec", 4) == 0 && !is_document(path, strlen(path)))
			return true;
	}
	return is_test_name(s, strlen(s));
}

static bool
is_plan_path(const char *path)
{
	static const char *const dirs[] = {"PRPs", "PRP", "specs", "spec", "plan", "plans"};
	static const char *const docs[] = {"docs", "doc", ".claude", ".agents", ".github"};
	static const char *const files[] = {
	    "plan", "design", "spec", "specification", "PRP", "requirements", "architecture"};
	const char *slash = strchr(path, '/');
	size_t len = strlen(path);

	if (slash == NULL) {
		if (!is_document(path, len) || begins(path, len, "requirements.") ||
		    begins(path, len, "requirements-"))
			return false;
		for (size_t i = 0; i < N(files); i++) {
			size_t n = strlen(files[i]);

			if (begins(path, len, files[i]) && strchr("._-", path[n]) != NULL)
				return true;
		}
		return false;
	}
	if (ONE_OF(path, (size_t)(slash - path), dirs))
		return true;
	if (ONE_OF(path, (size_t)(slash - path), docs)) {
		const char *next = strchr(slash + 1, '/');

		return next != NULL && is_document(path, len) &&
		       ONE_OF(slash + 1, (size_t)(next - slash - 1), dirs);
	}
	return false;
}

void
phase_add_path(struct phase_files *f, const char *path)
{
	bool test = is_test_path(path), plan = !test && is_plan_path(path);

	f->n++;
	f->all_planning &= plan;
	f->all_tests &= test;
	f->any_test |= test;
	f->all_documents &= is_document(path, strlen(path));
}

bool
phase_files_settled(const struct phase_files *f)
{
	return f->n > 0 && !f->all_planning && !f->all_tests && !f->all_documents && f->any_test;
}

/* ---- messages
 * -----------------------------------------------------------------------------------------------
 */

struct subject {
	const char *type, *scope, *word, *rest; /* rest: behind the type, or the whole */
	size_t type_len, scope_len, word_len;
};

/* Past what stands before the subject proper: emoji, ":memo:", "fixup!", "[ABC-12]", "ABC-12:",
 * "#42". */
static const char *
skip_prefixes(const char *s)
{
	for (;;) {
		const char *e;

		while (*s == ' ' || *s == '\t' || (unsigned char)*s >= 0x80 || *s == '-')
			s++;
		if (*s == ':' && (e = strpbrk(s + 1, ": \n")) != NULL && *e == ':')
			/* a spelling, a branch; NOLINTNEXTLINE(bugprone-branch-clone) */
			s = e + 1;
		else if (strncmp(s, "fixup! ", 7) == 0)
			s += 7;
		else if (strncmp(s, "squash! ", 8) == 0)
			s += 8;
		else if (*s == '#' && isdigit((unsigned char)s[1]))
			s += 1 + strspn(s + 1, "0123456789:");
		else if (*s == '[' && (e = strpbrk(s, "]\n")) != NULL && *e == ']' &&
			 memchr(s, '-', (size_t)(e - s)) != NULL && isdigit((unsigned char)e[-1]))
			s = e + 1;
		else if (isupper((unsigned char)*s)) {
			size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), d;

			if (s[n] != '-' || (d = strspn(s + n + 1, "0123456789")) == 0)
				return s;
			s += n + 1 + d;
			s += *s == ':';
		} else {
			return s;
		}
	}
}

static void
parse(const char *message, struct subject *out)
{
	const char *s = skip_prefixes(message), *p;
	size_t n = 0;

	*out = (struct subject){.rest = s};
	if (*s == '[') {
		/* "[plan] ..." is a type too */
		n = strcspn(s + 1, "]\n");
		if (s[1 + n] == ']') {
			out->type = s + 1;
			out->type_len = n;
			out->rest = s + 2 + n;
			return;
		}
	}
	while (isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '-')
		n++;
	out->word = s;
	out->word_len = n;
	p = s + n;
	if (*p == '(') {
		size_t k = strcspn(p + 1, ")\n");

		if (p[1 + k] != ')')
			return;
		out->scope = p + 1;
		out->scope_len = k;
		p += k + 2;
	}
	if (*p == '!')
		p++;
	if (*p == '/' || *p == ':') {
		/* "test: x"; "test/api: x" is one too */
		const char *colon = *p == ':' ? p : p + strcspn(p, ": \n");

		if (*colon == ':' && n > 0) {
			out->type = s;
			out->type_len = n;
			out->rest = colon + 1;
		}
	}
	if (out->type == NULL)
		out->scope = NULL;
}

/* Whether one of a scope's words ("prp", "api,plan") is in the list. */
static bool
scope_is(const struct subject *s, const char *const *words, size_t n)
{
	size_t at = 0;

	while (s->scope != NULL && at < s->scope_len) {
		size_t len = strcspn(s->scope + at, ",/ )");

		if (len > 0 && is_one_of(s->scope + at, len, words, n))
			return true;
		at += len + 1;
	}
	return false;
}

enum phase
phase_of_message(const char *message)
{
	struct subject s;

	parse(message, &s);
	if (s.type == NULL)
		return PHASE_NONE;
	if (ONE_OF(s.type, s.type_len, plan_words))
		return PHASE_PLANNING;
	if (ONE_OF(s.type, s.type_len, test_words))
		return PHASE_TESTING;
	if (ONE_OF(s.type, s.type_len, docs_types) && scope_is(&s, plan_words, N(plan_words)))
		return PHASE_PLANNING;
	return PHASE_NONE;
}

/* Whether the line speaks of a plan, and not of something that is named after one ("plan page",
 * "spec parser"). */
static bool
speaks_of_plan(const char *rest)
{
	static const char *const signs[] = {"prp", "implementation plan", "plan for", "plan of",
	    "plan to", "design doc", "technical design", "design for", "spec for", "specification",
	    "technical spec", "design note", "rollout plan", "test plan", "work plan",
	    "design proposal", "feature spec"};
	char line[256];

	(void)snprintf(line, sizeof(line), "%.*s",
	    (int)(strcspn(rest, "\n") < 200 ? strcspn(rest, "\n") : 200), rest);
	for (size_t i = 0; i < N(signs); i++) {
		if (strcasestr(line, signs[i]) != NULL)
			return true;
	}
	return false;
}

enum phase
phase_of_commit(const char *message, const struct phase_files *f)
{
	enum phase p = phase_of_message(message);
	struct subject s;

	if (p != PHASE_NONE)
		return p;
	if (f->n > 0 && f->all_tests)
		return PHASE_TESTING;
	if (f->n > 0 && f->all_planning)
		return PHASE_PLANNING;
	parse(message, &s);
	if (s.type != NULL && ONE_OF(s.type, s.type_len, code_types))
		return PHASE_IMPLEMENTING;
	if (s.type != NULL && ONE_OF(s.type, s.type_len, helper_types)) {
		if (scope_is(&s, test_words, N(test_words)))
			return PHASE_TESTING;
		if (scope_is(&s, plan_words, N(plan_words)) && f->all_documents)
			return PHASE_PLANNING;
	}
	if (s.type == NULL && s.word != NULL) {
		if (ONE_OF(s.word, s.word_len, plan_words) && f->all_documents)
			return PHASE_PLANNING;
		if (ONE_OF(s.word, s.word_len, test_words) && (f->n == 0 || f->any_test))
			return PHASE_TESTING;
	}
	/* documents that say they are a plan, wherever they lie */
	if (f->n > 0 && f->all_documents && speaks_of_plan(s.rest))
		return PHASE_PLANNING;
	return PHASE_IMPLEMENTING;
}
