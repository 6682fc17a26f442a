/* Every handler: what it accepts, what it refuses and why, and what it must never tell. */
#include "awod/agent_version.h"
#include "tests/unit/awod_server_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/files.h"

static json_t *
id_of(const char *id)
{
	return json_pack("{s:s}", "agent_work_order_id", id);
}

static void
put_file(const char *path, const char *content, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	assert_true(fd >= 0);
	assert_int_equal(files_write_all(fd, content, n), 0);
	close(fd);
}

/* ---- order.create and order.list */

static void
orders_are_checked_before_they_are_made(void **state)
{
	static const struct {
		const char *json, *code, *field;
	} bad[] = {
	    {"{}", "invalid_argument", "repository_url"},
	    {"{\"repository_url\":7}", "invalid_argument", "repository_url"},
	    {"{\"repository_url\":\"not a url\",\"user_request\":\"x\"}", "invalid_argument",
		"repository_url"},
	    {"{\"repository_url\":\"https://user:secret@host/a/b\",\"user_request\":\"x\"}",
		"invalid_argument", "repository_url"},
	    {"{\"repository_url\":\"octo/thing\"}", "invalid_argument", "user_request"},
	    {"{\"repository_url\":\"octo/thing\",\"user_request\":\"\"}", "invalid_argument",
		"user_request"},
	    {"{\"repository_url\":\"octo/thing\",\"user_request\":\" \\n\"}", "invalid_argument",
		"user_request"},
	    {"{\"repository_url\":\"octo/thing\",\"user_request\":\"x\",\"sandbox_type\":\"e2b\"}",
		"unimplemented", "sandbox_type"},
	    {"{\"repository_url\":\"octo/thing\",\"user_request\":\"x\",\"sandbox_type\":\"vm\"}",
		"invalid_argument", "sandbox_type"},
	    {"{\"repository_url\":\"octo/thing\",\"github_issue_number\":\"012\"}",
		"invalid_argument", "github_issue_number"},
	    {"{\"repository_url\":\"octo/thing\",\"github_issue_number\":\"4x\"}",
		"invalid_argument", "github_issue_number"},
	    {"{\"repository_url\":\"https://git.example.org/a/b\",\"github_issue_number\":\"4\"}",
		"invalid_argument", "github_issue_number"},
	    {"{\"repository_url\":\"octo/thing\",\"user_request\":\"x\",\"agent\":\"cluade\"}",
		"invalid_argument", "agent"},
	    {"{\"repository_url\":\"octo/thing\",\"user_request\":\"x\",\"model\":\"--evil\"}",
		"invalid_argument", "model"},
	    {"{\"repository_url\":\"octo/thing\",\"user_request\":\"x\",\"model\":\"a b\"}",
		"invalid_argument", "model"},
	    {"{\"repository_url\":\"octo/"
	     "thing\",\"user_request\":\"x\",\"selected_commands\":[\"plannin\"]}",
		"invalid_argument", "selected_commands"},
	    {"{\"repository_url\":\"octo/"
	     "thing\",\"user_request\":\"x\",\"workflow_type\":\"nothing\"}",
		"invalid_argument", "workflow_type"},
	    {"{\"repository_url\":\"octo/thing\",\"user_request\":\"x\",\"priority\":101}",
		"invalid_argument", "priority"},
	    {"{\"repository_url\":\"/srv/repo\",\"user_request\":\"x\"}", "permission_denied",
		"repository_url"},
	};
	static const char *const all_wrong[] = {"repository_url", "user_request", "github_issue_number", "base_branch", "agent",
	    "selected_commands"};
	json_t *errors;
	static const char *const bad_branches[] = {"-x", "a..b", "a b", "a~1", "/a", "a/", "a//b",
	    ".a", "a/.b", "a.lock", "a.lock/b", "a.", "@", "a@{b", "a\\b", "HEAD"};
	struct client *c = client_new(OWNER);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (client_ask(c, "order.create", json_loads(bad[i].json, 0, NULL)) != NULL)
			fail_msg("accepted: %s", bad[i].json);
		if (strcmp(client_error(), bad[i].code) != 0 ||
		    strncmp(client_field(), bad[i].field, strlen(bad[i].field)) != 0)
			fail_msg("%s: %s, field %s: %s", bad[i].json, client_error(),
			    client_field(), client_message());
	}
	for (size_t i = 0; i < sizeof(bad_branches) / sizeof(bad_branches[0]); i++) {
		if (client_ask(c, "order.create",
			json_pack("{s:s, s:s, s:s}", "repository_url", "octo/thing", "user_request",
			    "x", "base_branch", bad_branches[i])) != NULL)
			fail_msg("accepted the branch %s", bad_branches[i]);
		assert_string_equal(client_field(), "base_branch");
	}
	/* all that is wrong is told at once, also where only a look at what there is shows it */
	(void)client_ask(c, "order.create",
	    json_pack("{s:s, s:s, s:s, s:s, s:[s], s:s}", "repository_url", "no repository", "user_request", " ", "agent",
		"nobody", "base_branch", "a..b", "selected_commands", "dance", "github_issue_number", "x"));
	assert_string_equal(client_error(), "invalid_argument");
	assert_string_equal(client_field(), "repository_url");
	errors = client_errors();
	assert_int_equal(json_array_size(errors), 6);
	for (size_t i = 0; i < json_array_size(errors); i++) {
		assert_string_equal(text(json_array_get(errors, i), "field"), all_wrong[i]);
		assert_true(*text(json_array_get(errors, i), "message") != '\0');
	}
	/* what is no permission is not mended by mending the rest */
	(void)client_ask(c, "order.create", json_pack("{s:s, s:s, s:s}", "repository_url", "/srv/repo", "user_request", "x",
	    "agent", "nobody"));
	assert_string_equal(client_error(), "permission_denied");
	assert_null(client_errors());
	assert_int_equal(rig->norders, 0);
	/* the neighbour of a name is told */
	(void)client_ask(c, "order.create", json_loads(bad[12].json, 0, NULL));
	assert_non_null(strstr(client_message(), "claude"));
	client_free(c);
}

static void
orders_are_made_as_they_were_asked_for(void **state)
{
	struct client *c = client_new(OWNER);
	json_t *o, *steps;

	(void)state;
	o = client_ask(c, "order.create",
	    json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:i}", "repository_url",
		"git@GitHub.com:octo/next.js.git", "github_issue_number", "42", "sandbox_type",
		"full_clone", "priority", -7, "base_branch", "release/1.0", "workflow_type",
		"agent_workflow_test", "timeout_seconds", 60));
	if (o == NULL)
		fail_msg("%s", client_message());
	o = json_object_get(o, "agent_work_order");
	assert_string_equal(text(o, "repository_url"), "ssh://git@github.com/octo/next.js");
	assert_string_equal(text(o, "sandbox_type"), "git_branch");
	assert_string_equal(text(o, "owner"), "owner");
	assert_string_equal(text(o, "agent"), "claude");
	assert_string_equal(text(o, "base_branch"), "release/1.0");
	assert_int_equal(number(o, "priority"), -7);
	steps = json_object_get(o, "selected_commands");
	assert_int_equal(json_array_size(steps), 4);
	assert_string_equal(json_string_value(json_array_get(steps, 1)), "testing");
	assert_int_equal(rig->orders[0]->owner_uid, OWNER);
	assert_int_equal(rig->orders[0]->timeout_seconds, 60);
	/* what a repository is registered with holds for orders that say nothing */
	assert_non_null(client_ask(c, "repository.add",
	    json_pack("{s:s, s:b, s:s, s:[ss]}", "repository_url", "octo/other", "verify", 0,
		"default_sandbox_type", "git_branch", "default_commands", "create-branch",
		"commit")));
	o = client_ask(c, "order.create",
	    json_pack("{s:s, s:s}", "repository_url", "https://github.com/octo/other.git",
		"user_request", "x"));
	o = json_object_get(o, "agent_work_order");
	assert_string_equal(text(o, "sandbox_type"), "git_branch");
	assert_int_equal(json_array_size(json_object_get(o, "selected_commands")), 2);
	client_free(c);
}

static void
local_repositories_need_permission(void **state)
{
	struct client *c = client_new(OWNER);
	char inside[200], link[200];

	(void)state;
	snprintf(inside, sizeof(inside), "%s/state", rig->dir);
	snprintf(link, sizeof(link), "%s/state/link", rig->dir);
	assert_int_equal(symlink("/etc", link), 0);
	free(rig->b.conf->allow_local);
	rig->b.conf->allow_local = xstrdup(inside);
	assert_non_null(client_ask(c, "order.create",
	    json_pack("{s:s, s:s}", "repository_url", inside, "user_request", "x")));
	(void)client_ask(c, "order.create",
	    json_pack("{s:s, s:s}", "repository_url", link, "user_request", "x"));
	assert_string_equal(client_error(), "permission_denied");
	(void)client_ask(c, "order.create",
	    json_pack("{s:s+, s:s}", "repository_url", inside, "ful", "user_request", "x"));
	assert_string_equal(client_error(), "permission_denied");
	(void)client_ask(c, "repository.verify", json_pack("{s:s}", "repository_url", "/etc"));
	assert_string_equal(client_error(), "permission_denied");
	client_free(c);
}

static void
too_many_pending_orders_are_refused(void **state)
{
	struct client *c = client_new(OWNER), *other = client_new(OTHER);

	(void)state;
	rig->b.conf->max_pending_per_user = 2;
	rig_order("wo-00000001", OWNER, order_status_pending);
	rig_order("wo-00000002", OWNER, order_status_pending);
	(void)client_ask(c, "order.create",
	    json_pack("{s:s, s:s}", "repository_url", "octo/thing", "user_request", "x"));
	assert_string_equal(client_error(), "resource_exhausted");
	assert_non_null(client_ask(other, "order.create",
	    json_pack("{s:s, s:s}", "repository_url", "octo/thing", "user_request", "x")));
	client_free(c);
	client_free(other);
}

static void
lists_show_what_may_be_seen(void **state)
{
	struct client *c = client_new(OWNER), *admin = client_new(0);
	json_t *page;

	(void)state;
	rig_order("wo-00000001", OWNER, order_status_running);
	rig_order("wo-00000002", OTHER, order_status_running);
	page = client_ask(c, "order.list", NULL);
	assert_int_equal(number(page, "total_count"), 1);
	page = client_ask(c, "order.list", json_pack("{s:b}", "all", 1));
	assert_int_equal(number(page, "total_count"), 1);
	page = client_ask(c, "order.list", json_pack("{s:s}", "owner", "other"));
	assert_int_equal(number(page, "total_count"), 0);
	page = client_ask(admin, "order.list", NULL);
	assert_int_equal(number(page, "total_count"), 0);
	page = client_ask(admin, "order.list", json_pack("{s:b}", "all", 1));
	assert_int_equal(number(page, "total_count"), 2);
	page = client_ask(admin, "order.list", json_pack("{s:s}", "owner", "other"));
	assert_int_equal(number(page, "total_count"), 1);
	page = client_ask(c, "order.list", json_pack("{s:s}", "repository_url", "octo/thing"));
	assert_int_equal(number(page, "total_count"), 1);
	(void)client_ask(c, "order.list", json_pack("{s:i}", "limit", 501));
	assert_string_equal(client_field(), "limit");
	client_free(c);
	client_free(admin);
}

static void
stored(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	(void)commit;
	assert_true(err == NULL || err->code == AWO_OK);
	++*(int *)arg;
}

static void
pages_fit_into_a_message(void **state)
{
	struct client *c = client_new(OWNER);
	char *request = malloc(65001);
	json_t *page, *cursor = NULL;
	size_t seen = 0;
	int commits = 0;
	char id[12];

	(void)state;
	assert_non_null(request);
	memset(request, 'r', 65000);
	request[65000] = '\0';
	for (int i = 0; i < 5; i++) {
		struct order_row *r;

		snprintf(id, sizeof(id), "wo-000001%02d", i);
		r = rig_order(id, OWNER, order_status_completed);
		P_SETS(order, &r->pub, user_request, request);
	}
	/* 100 orders of 65,000 bytes are more than 4 MiB */
	for (int i = 0; i < 100; i++) {
		struct store_tx *tx = store_tx(rig->b.store);

		snprintf(id, sizeof(id), "wo-00001%03d", i);
		P_SETS(order, &rig->orders[0]->pub, agent_work_order_id, id);
		store_tx_order_insert(tx, rig->orders[0], NULL);
		store_tx_commit(tx, stored, &commits);
	}
	rig_until(commits == 100);
	P_SETS(order, &rig->orders[0]->pub, agent_work_order_id, "wo-00000100");
	for (int pages = 0; pages < 10; pages++) {
		json_t *params = json_pack("{s:i}", "limit", 500);

		if (cursor != NULL)
			json_object_set_new(params, "cursor", cursor);
		cursor = NULL;
		page = client_ask(c, "order.list", params);
		if (page == NULL)
			fail_msg("%s", client_message());
		assert_int_equal(number(page, "total_count"), 105);
		seen += json_array_size(json_object_get(page, "agent_work_orders"));
		if (!json_is_true(json_object_get(page, "has_more")))
			break;
		assert_true(json_array_size(json_object_get(page, "agent_work_orders")) > 10);
		cursor = json_incref(json_object_get(page, "next_cursor"));
	}
	assert_int_equal(seen, 105);
	free(request);
	client_free(c);
}

/* ---- logs */

static void
logs_are_read_in_pages(void **state)
{
	struct client *c = client_new(OWNER);
	struct buf log = {0};
	json_t *page, *lines;
	int64_t seq = 0;
	int n = 0;

	(void)state;
	rig_order("wo-00000001", OWNER, order_status_running);
	page = client_ask(c, "order.logs", id_of("wo-00000001"));
	assert_int_equal(number(page, "total"), 0);
	assert_int_equal(number(page, "next_seq"), 0);
	for (int i = 0; i < 1000; i++)
		buf_printf(&log,
		    "{\"timestamp\":\"2026-01-31T08:%02d:00Z\",\"level\":\"%s\",\"step\":\"%s\","
		    "\"n\":%d}\n",
		    i % 60, i % 10 == 0 ? "error" : "info", i < 500 ? "planning" : "execute", i);
	buf_adds(&log, "{\"torn\":"); /* no line yet */
	rig_log("wo-00000001", log.p, log.len);
	/* forward, by seq */
	for (;;) {
		page = client_ask(c, "order.logs",
		    json_pack("{s:s, s:i, s:I}", "agent_work_order_id", "wo-00000001", "limit", 300,
			"after_seq", (json_int_t)seq));
		assert_int_equal(number(page, "total"), 1000);
		assert_int_equal(number(page, "total_count"), 1000);
		lines = json_object_get(page, "log_entries");
		for (size_t i = 0; i < json_array_size(lines); i++, n++) {
			assert_int_equal(number(json_array_get(lines, i), "n"), n);
			assert_true(number(json_array_get(lines, i), "seq") > seq);
			seq = number(json_array_get(lines, i), "seq");
		}
		assert_int_equal(
		    number(page, "filtered_total"), 1000 - n + (int)json_array_size(lines));
		assert_int_equal(number(page, "next_seq"), seq);
		if (!json_is_true(json_object_get(page, "has_more")))
			break;
	}
	assert_int_equal(n, 1000);
	/* by offset, filtered */
	page = client_ask(c, "order.logs",
	    json_pack("{s:s, s:i, s:i, s:s, s:s}", "agent_work_order_id", "wo-00000001", "limit",
		20, "offset", 40, "level", "error", "step", "planning"));
	assert_int_equal(number(page, "filtered_total"), 50);
	lines = json_object_get(page, "log_entries");
	assert_int_equal(json_array_size(lines), 10);
	assert_int_equal(number(json_array_get(lines, 0), "n"), 400);
	assert_false(json_is_true(json_object_get(page, "has_more")));
	assert_int_equal(number(page, "next_seq"), seq);
	/* from the end */
	page = client_ask(c, "order.logs",
	    json_pack(
		"{s:s, s:i, s:b}", "agent_work_order_id", "wo-00000001", "limit", 5, "tail", 1));
	lines = json_object_get(page, "log_entries");
	assert_int_equal(json_array_size(lines), 5);
	assert_int_equal(number(json_array_get(lines, 0), "n"), 995);
	assert_int_equal(number(json_array_get(lines, 4), "n"), 999);
	assert_true(json_is_true(json_object_get(page, "has_more")));
	assert_int_equal(number(page, "next_seq"), seq);
	page = client_ask(c, "order.logs",
	    json_pack("{s:s, s:i, s:i, s:b, s:s}", "agent_work_order_id", "wo-00000001", "limit",
		60, "offset", 60, "tail", 1, "level", "error"));
	lines = json_object_get(page, "log_entries");
	assert_int_equal(json_array_size(lines), 40);
	assert_int_equal(number(json_array_get(lines, 39), "n"), 390);
	assert_false(json_is_true(json_object_get(page, "has_more")));
	/* since */
	page = client_ask(c, "order.logs",
	    json_pack("{s:s, s:s}", "agent_work_order_id", "wo-00000001", "since",
		"2026-01-31T08:59:00Z"));
	assert_int_equal(number(page, "filtered_total"), 16);
	/* not the end of a line; beyond everything */
	(void)client_ask(c, "order.logs",
	    json_pack("{s:s, s:i}", "agent_work_order_id", "wo-00000001", "after_seq", 3));
	assert_string_equal(client_error(), "invalid_argument");
	assert_string_equal(client_field(), "after_seq");
	(void)client_ask(c, "order.logs",
	    json_pack("{s:s, s:I}", "agent_work_order_id", "wo-00000001", "after_seq",
		(json_int_t)INT64_MAX));
	assert_string_equal(client_error(), "invalid_argument");
	page = client_ask(c, "order.logs",
	    json_pack("{s:s, s:I}", "agent_work_order_id", "wo-00000001", "offset",
		(json_int_t)INT64_MAX));
	assert_int_equal(json_array_size(json_object_get(page, "log_entries")), 0);
	buf_free(&log);
	client_free(c);
}

static void
long_logs_do_not_keep_the_loop(void **state)
{
	struct client *c = client_new(OWNER), *quick = client_new(OWNER);
	char *line = malloc(100000);
	int64_t slowest = 0, began;
	json_t *answer = NULL;
	uint32_t id;
	int turns = 0;

	(void)state;
	assert_non_null(line);
	memset(line, 'x', 100000);
	memcpy(line, "{\"t\":\"", 6);
	memcpy(line + 100000 - 3, "\"}\n", 3);
	rig_order("wo-00000001", OWNER, order_status_running);
	for (int i = 0; i < 400; i++)
		rig_log("wo-00000001", line, 100000);
	id = client_request(c, "order.logs",
	    json_pack("{s:s, s:i, s:s}", "agent_work_order_id", "wo-00000001", "limit", 1000,
		"level", "debug"));
	while (answer == NULL) {
		began = clock_mono_us();
		rig_turn();
		if (clock_mono_us() - began > slowest)
			slowest = clock_mono_us() - began;
		answer = client_poll(c, id);
		turns++;
	}
	/* 40 MB in slices; others had their turn in between */
	assert_true(turns > 10);
	assert_int_equal(number(json_object_get(answer, "result"), "total"), 400);
	/* the page ends where a message must */
	assert_true(json_array_size(
			json_object_get(json_object_get(answer, "result"), "log_entries")) < 40);
	assert_true(json_is_true(json_object_get(json_object_get(answer, "result"), "has_more")));
	json_decref(answer);
	assert_non_null(client_ask(quick, "workflow.list", NULL));
	free(line);
	client_free(c);
	client_free(quick);
}

/* ---- artifacts, progress, diff */

static void
artifacts_are_only_what_is_there(void **state)
{
	static const char *const wrong[] = {"prompts/../../secret", "/etc/passwd", "secret",
	    "prompts/link", "prompts/fifo", "outputs/dirlink/passwd", "prompts", "prompts/",
	    "workspace/x", "prompts/./../prompts/../x", "prompts/none"};
	struct client *c = client_new(OWNER);
	char path[400], order[200];
	json_t *list, *part;

	(void)state;
	rig_order("wo-00000001", OWNER, order_status_running);
	assert_int_equal(json_array_size(json_object_get(
			     client_ask(c, "order.artifacts", id_of("wo-00000001")), "artifacts")),
	    0);
	snprintf(order, sizeof(order), "%s/wo-00000001", rig->opt.work_order_dir);
	assert_int_equal(mkdir(order, 0700), 0);
	snprintf(path, sizeof(path), "%s/prompts", order);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/outputs", order);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/outputs/saved", order);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/secret", order);
	put_file(path, "secret", 6);
	snprintf(path, sizeof(path), "%s/prompts/01-planning.txt", order);
	put_file(path, "a\xc3\xa4\xffz", 5);
	snprintf(path, sizeof(path), "%s/outputs/saved/x.c", order);
	put_file(path, "int x;\n", 7);
	snprintf(path, sizeof(path), "%s/prompts/link", order);
	assert_int_equal(symlink("../secret", path), 0);
	snprintf(path, sizeof(path), "%s/outputs/dirlink", order);
	assert_int_equal(symlink("/etc", path), 0);
	snprintf(path, sizeof(path), "%s/prompts/fifo", order);
	assert_int_equal(mkfifo(path, 0600), 0);
	list = json_object_get(client_ask(c, "order.artifacts", id_of("wo-00000001")), "artifacts");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(text(json_array_get(list, 0), "name"), "outputs/saved/x.c");
	assert_string_equal(text(json_array_get(list, 1), "name"), "prompts/01-planning.txt");
	assert_int_equal(number(json_array_get(list, 1), "size"), 5);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (client_ask(c, "order.artifact",
			json_pack("{s:s, s:s}", "agent_work_order_id", "wo-00000001", "name",
			    wrong[i])) != NULL)
			fail_msg("%s was shown", wrong[i]);
		assert_string_equal(client_error(), "not_found");
	}
	part = client_ask(c, "order.artifact",
	    json_pack("{s:s, s:s}", "agent_work_order_id", "wo-00000001", "name",
		"prompts/01-planning.txt"));
	assert_string_equal(text(part, "content"), "a\xc3\xa4\xef\xbf\xbdz");
	assert_false(json_is_true(json_object_get(part, "has_more")));
	/* a part never ends inside a character */
	part = client_ask(c, "order.artifact",
	    json_pack("{s:s, s:s, s:i}", "agent_work_order_id", "wo-00000001", "name",
		"prompts/01-planning.txt", "limit", 2));
	assert_string_equal(text(part, "content"), "a");
	assert_int_equal(number(part, "next_offset"), 1);
	assert_true(json_is_true(json_object_get(part, "has_more")));
	part = client_ask(c, "order.artifact",
	    json_pack("{s:s, s:s, s:I}", "agent_work_order_id", "wo-00000001", "name",
		"prompts/01-planning.txt", "offset", (json_int_t)INT64_MAX));
	assert_string_equal(text(part, "content"), "");
	client_free(c);
}

static void
progress_comes_from_git_or_the_record(void **state)
{
	static const char sha[] = "0123456789012345678901234567890123456789";
	struct client *c = client_new(OWNER), *admin = client_new(0);
	struct order_row *r = rig_order("wo-00000001", OWNER, order_status_running);
	json_t *g;

	(void)state;
	P_SET(order, &r->pub, current_phase, order_phase_planning);
	g = client_ask(c, "order.progress", id_of("wo-00000001"));
	assert_int_equal(rig->tasks, 0);
	assert_int_equal(number(g, "git_commit_count"), 0);
	assert_string_equal(text(g, "current_phase"), "planning");
	assert_int_equal(json_array_size(json_object_get(
			     client_ask(c, "order.diff", id_of("wo-00000001")), "files")),
	    0);
	r->worker_started = true;
	r->base_sha = xstrdup(sha);
	rig->task_answer = json_pack("{s:b, s:n, s:n, s:i, s:i, s:i, s:i, s:s, s:s, s:s, s:[]}",
	    "ok", 1, "current_phase", "git_branch_name", "git_commit_count", 0, "git_files_changed",
	    0, "git_lines_added", 0, "git_lines_removed", 0, "latest_commit_message", "x",
	    "latest_commit_sha", sha, "snapshot_timestamp", "2026-01-31T08:00:00Z",
	    "phase_history");
	g = client_ask(c, "order.progress", id_of("wo-00000001"));
	if (g == NULL)
		fail_msg("%s", client_message());
	assert_string_equal(rig->verb, "progress");
	assert_true((rig->flags & SUP_CLEAN_RO) != 0);
	assert_string_equal(text(rig->request, "base_sha"), sha);
	assert_string_equal(text(rig->request, "head"), sha);
	/* no commits: the phase of the running step */
	assert_string_equal(text(g, "current_phase"), "planning");
	/* what an administrator asks is run for the owner, whose own calls it takes no room from */
	(void)client_ask(admin, "order.progress", id_of("wo-00000001"));
	assert_int_equal(rig->task_owner, OWNER);
	assert_int_equal(rig->asked_by, 0);
	r->pub.status = order_status_completed;
	g = client_ask(c, "order.progress", id_of("wo-00000001"));
	assert_int_equal(rig->asked_by, OWNER);
	assert_string_equal(text(g, "current_phase"), "completed");
	/* what awo-git answers is not believed to be well-formed */
	json_object_set_new(rig->task_answer, "git_commit_count", json_string("many"));
	(void)client_ask(c, "order.progress", id_of("wo-00000001"));
	assert_string_equal(client_error(), "internal");
	json_decref(rig->task_answer);
	rig->task_answer = json_pack("{s:b, s:[{s:s, s:s, s:i, s:i, s:b}], s:s, s:b}", "ok", 1,
	    "files", "path", "a", "status", "added", "lines_added", 1, "lines_removed", 0, "binary",
	    0, "patch", "+a\n", "truncated", 0);
	g = client_ask(c, "order.diff",
	    json_pack("{s:s, s:s}", "agent_work_order_id", "wo-00000001", "path", "src"));
	assert_string_equal(text(g, "patch"), "+a\n");
	assert_string_equal(text(g, "base_sha"), sha);
	assert_string_equal(text(rig->request, "path"), "src");
	(void)client_ask(c, "order.diff",
	    json_pack("{s:s, s:s}", "agent_work_order_id", "wo-00000001", "path", "a/../../b"));
	assert_string_equal(client_field(), "path");
	/* the numbers of the record outlive the workspace */
	r->workspace_removed = true;
	P_SET(order, &r->pub, git_commit_count, 3);
	g = client_ask(c, "order.progress", id_of("wo-00000001"));
	assert_int_equal(number(g, "git_commit_count"), 3);
	(void)client_ask(c, "order.diff", id_of("wo-00000001"));
	assert_string_equal(client_error(), "failed_precondition");
	client_free(c);
	client_free(admin);
}

static void
refresh_asks_github(void **state)
{
	struct client *c = client_new(OWNER), *admin = client_new(0);
	struct order_row *r = rig_order("wo-00000001", OWNER, order_status_completed);
	json_t *o;

	(void)state;
	P_SETS(order, &r->pub, github_pull_request_number, "12");
	P_SET(order, &r->pub, github_pull_request_state, pull_request_state_open);
	rig->forge_token = "ghp_x";
	rig->task_answer = json_pack("{s:b, s:s}", "ok", 1, "state", "merged");
	o = client_ask(c, "order.get",
	    json_pack("{s:s, s:b}", "agent_work_order_id", "wo-00000001", "refresh", 1));
	assert_string_equal(
	    text(json_object_get(o, "agent_work_order"), "github_pull_request_state"), "merged");
	assert_int_equal(rig->asked_by, OWNER);
	(void)client_ask(admin, "order.get", json_pack("{s:s, s:b}", "agent_work_order_id", "wo-00000001", "refresh", 1));
	assert_int_equal(rig->task_owner, OWNER);
	assert_int_equal(rig->asked_by, 0);
	assert_int_equal(number(rig->request, "number"), 12);
	assert_string_equal(text(rig->request, "owner"), "octo");
	(void)ERR(&rig->task_err, UNAVAILABLE, "", "rate limit");
	o = client_ask(c, "order.get",
	    json_pack("{s:s, s:b}", "agent_work_order_id", "wo-00000001", "refresh", 1));
	assert_non_null(strstr(text(o, "message"), "rate limit"));
	assert_string_equal(
	    text(json_object_get(o, "agent_work_order"), "github_pull_request_state"), "merged");
	client_free(c);
	client_free(admin);
}

/* ---- repositories */

static void
repositories_are_registered_once(void **state)
{
	struct client *c = client_new(OWNER), *other = client_new(OTHER);
	json_t *r, *answer;
	char id[37], *verified_at;

	(void)state;
	rig->task_answer = json_pack("{s:b, s:s}", "ok", 1, "default_branch", "trunk");
	r = client_ask(c, "repository.add", json_pack("{s:s}", "repository_url", "octo/thing"));
	if (r == NULL)
		fail_msg("%s", client_message());
	snprintf(id, sizeof(id), "%s", text(r, "id"));
	assert_true(json_is_true(json_object_get(r, "is_verified")));
	assert_string_equal(text(r, "default_branch"), "trunk");
	assert_string_equal(text(r, "display_name"), "octo/thing");
	assert_int_equal(json_array_size(json_object_get(r, "default_commands")), 5);
	(void)client_ask(c, "repository.add",
	    json_pack("{s:s}", "repository_url", "https://GITHUB.com/octo/thing.git/"));
	assert_string_equal(client_error(), "already_exists");
	/* another user's is another user's */
	(void)client_ask(other, "repository.get", json_pack("{s:s}", "id", id));
	assert_string_equal(client_error(), "not_found");
	assert_non_null(client_ask(c, "repository.get", json_pack("{s:s}", "id", "octo/thing")));
	r = client_ask(c, "repository.update",
	    json_pack("{s:s, s:s}", "id", id, "default_sandbox_type", "git_branch"));
	assert_string_equal(text(r, "default_sandbox_type"), "git_branch");
	(void)client_ask(c, "repository.update",
	    json_pack("{s:s, s:s}", "id", id, "default_sandbox_type", "dagger"));
	assert_string_equal(client_error(), "unimplemented");
	(void)client_ask(c, "repository.update",
	    json_pack("{s:s, s:[s]}", "id", id, "default_commands", "nothing"));
	assert_string_equal(client_error(), "invalid_argument");
	/* a verification that did not take place leaves what is known as it is */
	r = client_ask(c, "repository.get", json_pack("{s:s}", "id", id));
	verified_at = strdup(text(r, "last_verified_at"));
	answer = rig->task_answer;
	rig->task_answer = NULL;
	(void)ERR(&rig->task_err, RESOURCE_EXHAUSTED, "", "16 runs are busy");
	(void)client_ask(c, "repository.verify", json_pack("{s:s}", "id", id));
	assert_string_equal(client_error(), "resource_exhausted");
	assert_string_equal(client_message(), "16 runs are busy");
	(void)client_ask(c, "repository.verify", json_pack("{s:s}", "repository_url", "octo/other"));
	assert_string_equal(client_error(), "resource_exhausted");
	(void)client_ask(c, "repository.add", json_pack("{s:s}", "repository_url", "octo/other"));
	assert_string_equal(client_error(), "resource_exhausted");
	/* it was killed */
	(void)ERR(&rig->task_err, UNAVAILABLE, "", "verify was killed by signal 9");
	(void)client_ask(c, "repository.verify", json_pack("{s:s}", "id", id));
	assert_string_equal(client_error(), "unavailable");
	rig->task_err = (struct awo_err){0};
	rig->task_answer = answer;
	r = client_ask(c, "repository.get", json_pack("{s:s}", "id", id));
	assert_true(json_is_true(json_object_get(r, "is_verified")));
	assert_string_equal(text(r, "last_verified_at"), verified_at);
	free(verified_at);
	r = client_ask(c, "repository.list", NULL);
	assert_int_equal(number(r, "total_count"), 1);
	/* a failed verification is an answer, and is remembered */
	(void)ERR(&rig->task_err, FAILED_PRECONDITION, "", "authentication failed");
	r = client_ask(c, "repository.verify", json_pack("{s:s}", "id", id));
	assert_true(json_is_false(json_object_get(r, "is_accessible")));
	assert_non_null(strstr(text(r, "error_message"), "authentication failed"));
	r = client_ask(c, "repository.get", json_pack("{s:s}", "id", id));
	assert_true(json_is_false(json_object_get(r, "is_verified")));
	(void)client_ask(c, "repository.verify", NULL);
	assert_string_equal(client_error(), "invalid_argument");
	assert_non_null(client_ask(c, "repository.delete", json_pack("{s:s}", "id", id)));
	(void)client_ask(c, "repository.delete", json_pack("{s:s}", "id", id));
	assert_string_equal(client_error(), "not_found");
	client_free(c);
	client_free(other);
}

/* ---- settings */

static void
settings_change_and_are_audited(void **state)
{
	struct client *c = client_new(OWNER), *admin = client_new(0);
	json_t *s;

	(void)state;
	assert_non_null(client_ask(admin, "events.watch", NULL));
	s = client_ask(c, "settings.get", json_pack("{s:s}", "key", "max_concurrent"));
	assert_int_equal(json_array_size(json_object_get(s, "settings")), 1);
	(void)client_ask(c, "settings.get", json_pack("{s:s}", "key", "max_concurent"));
	assert_string_equal(client_error(), "not_found");
	(void)client_ask(
	    c, "settings.set", json_pack("{s:s, s:i}", "key", "max_concurrent", "value", 9));
	assert_string_equal(client_error(), "permission_denied");
	(void)client_ask(
	    admin, "settings.set", json_pack("{s:s, s:i}", "key", "max_concurrent", "value", 0));
	assert_string_equal(client_error(), "invalid_argument");
	(void)client_ask(admin, "settings.set",
	    json_pack("{s:s, s:s}", "key", "github.token", "value", "ghp_secret"));
	assert_string_equal(client_error(), "invalid_argument");
	s = client_ask(
	    admin, "settings.set", json_pack("{s:s, s:i}", "key", "max_concurrent", "value", 9));
	if (s == NULL)
		fail_msg("%s", client_message());
	assert_int_equal(rig->b.conf->max_concurrent, 9);
	assert_true(json_is_false(json_object_get(s, "restart_required")));
	s = client_ask(admin, "settings.set",
	    json_pack("{s:s, s:s}", "key", "socket.group", "value", "staff"));
	assert_true(json_is_true(json_object_get(s, "restart_required")));
	client_ask(admin, "settings.set", json_pack("{s:s, s:n}", "key", "max_concurrent", "value"));
	assert_int_equal(rig->b.conf->max_concurrent, 5);
	/* the first says that nothing was stored before */
	rig_until((json_decref(client_poll(admin, 0)), json_array_size(admin->notes) == 4));
	assert_non_null(
	    strstr(text(json_object_get(json_array_get(admin->notes, 1), "params"), "line"),
		"setting_changed"));
	client_free(c);
	client_free(admin);
}

static void
tests_say_what_is_missing(void **state)
{
	struct client *c = client_new(OWNER);
	json_t *t;

	(void)state;
	t = client_ask(c, "settings.test", json_pack("{s:s}", "what", "github"));
	assert_true(json_is_false(json_object_get(t, "success")));
	rig->forge_token = "ghp_x";
	rig->task_answer = json_pack("{s:b, s:s}", "ok", 1, "login", "octocat");
	t = client_ask(c, "settings.test", json_pack("{s:s}", "what", "github"));
	assert_true(json_is_true(json_object_get(t, "success")));
	assert_non_null(strstr(text(t, "message"), "octocat"));
	assert_string_equal(rig->verb, "user");
	json_decref(rig->task_answer);
	rig->task_answer = json_pack("{s:b, s:s, s:s}", "ok", 1, "path", "/opt/claude", "version", "2.1 (x)");
	t = client_ask(c, "settings.test", json_pack("{s:s}", "what", "agent"));
	assert_true(json_is_true(json_object_get(t, "success")));
	assert_string_equal(text(t, "version"), "2.1 (x)");
	assert_non_null(strstr(text(t, "message"), "/opt/claude"));
	assert_int_equal(rig->program, SUP_AGENT_VERSION);
	assert_string_equal(rig->verb, "version");
	assert_int_equal(rig->flags, 0);
	assert_string_equal(text(rig->request, "program"), "claude");
	assert_true(json_is_array(json_object_get(rig->request, "paths")));
	/* half an answer is none */
	json_object_del(rig->task_answer, "version");
	t = client_ask(c, "settings.test", json_pack("{s:s}", "what", "agent"));
	assert_true(json_is_false(json_object_get(t, "success")));
	json_decref(rig->task_answer);
	rig->task_answer =
	    json_pack("{s:s, s:s}", "reason", "not_found", "message", "install it or set a path");
	rig->task_err.code = AWO_NOT_FOUND;
	t = client_ask(c, "settings.test", json_pack("{s:s, s:s}", "what", "agent", "agent", "demo"));
	assert_true(json_is_false(json_object_get(t, "success")));
	assert_string_equal(text(t, "message"), "install it or set a path");
	assert_null(json_object_get(t, "version"));
	/* no answer at all is no test that failed: the supervisor's words */
	json_decref(rig->task_answer);
	rig->task_answer = NULL;
	(void)ERR(&rig->task_err, INTERNAL, "", "cannot start version: no more namespaces");
	(void)client_ask(c, "settings.test", json_pack("{s:s}", "what", "agent"));
	assert_string_equal(client_error(), "internal");
	assert_string_equal(client_message(), "cannot start version: no more namespaces");
	(void)ERR(&rig->task_err, RESOURCE_EXHAUSTED, "", "8 runs are busy");
	(void)client_ask(c, "settings.test", json_pack("{s:s}", "what", "agent"));
	assert_string_equal(client_error(), "resource_exhausted");
	(void)client_ask(c, "settings.test", json_pack("{s:s}", "what", "github"));
	assert_string_equal(client_error(), "resource_exhausted");
	rig->task_err = (struct awo_err){0};
	(void)client_ask(c, "settings.test", json_pack("{s:s, s:s}", "what", "agent", "agent", "nobody"));
	assert_string_equal(client_field(), "agent");
	(void)client_ask(c, "settings.test", json_pack("{s:s}", "what", "weather"));
	assert_string_equal(client_field(), "what");
	client_free(c);
}

/* ---- credentials and tokens */

static void
credentials_go_in_and_never_out(void **state)
{
	struct client *c = client_new(OWNER), *other = client_new(OTHER), *admin = client_new(0);
	static const char secret[] = "ghp_abcdefghijklmnopqrstuvwxyz";
	json_t *k, *list, *answer;
	char *dump;

	(void)state;
	assert_non_null(client_ask(admin, "events.watch", NULL));
	assert_non_null(client_ask(c, "events.watch", NULL));
	k = client_ask(c, "credential.set",
	    json_pack("{s:s, s:s, s:s}", "name", "gh", "kind", "github_token", "value", secret));
	if (k == NULL)
		fail_msg("%s", client_message());
	assert_string_equal(text(k, "masked"), "***wxyz");
	assert_string_equal(text(k, "host"), "github.com");
	assert_string_equal(text(k, "owner"), "owner");
	list = json_object_get(client_ask(c, "credential.list", NULL), "credentials");
	assert_int_equal(json_array_size(list), 1);
	dump = json_dumps(list, 0);
	assert_null(strstr(dump, secret));
	free(dump);
	assert_int_equal(json_array_size(json_object_get(
			     client_ask(other, "credential.list", NULL), "credentials")),
	    0);
	(void)client_ask(other, "credential.delete", json_pack("{s:s}", "name", "gh"));
	assert_string_equal(client_error(), "not_found");
	(void)client_ask(other, "credential.test", json_pack("{s:s}", "name", "gh"));
	assert_string_equal(client_error(), "not_found");
	/* it is tried as it was stored */
	rig->task_answer = json_pack("{s:b, s:s}", "ok", 1, "login", "octocat");
	k = client_ask(c, "credential.test", json_pack("{s:s}", "name", "gh"));
	assert_true(json_is_true(json_object_get(k, "success")));
	assert_string_equal(text(rig->request, "token"), secret);
	answer = rig->task_answer;
	rig->task_answer = NULL;
	(void)ERR(&rig->task_err, RESOURCE_EXHAUSTED, "", "8 runs are busy");
	(void)client_ask(c, "credential.test", json_pack("{s:s}", "name", "gh"));
	assert_string_equal(client_error(), "resource_exhausted");
	rig->task_answer = answer;
	rig->task_err = (struct awo_err){0};
	/* shared ones are administrators' */
	(void)client_ask(c, "credential.set",
	    json_pack("{s:s, s:s, s:s, s:b}", "name", "ANTHROPIC_API_KEY", "kind", "agent_key",
		"value", "k", "shared", 1));
	assert_string_equal(client_error(), "permission_denied");
	assert_non_null(client_ask(admin, "credential.set",
	    json_pack("{s:s, s:s, s:s, s:b}", "name", "ANTHROPIC_API_KEY", "kind", "agent_key",
		"value", "k", "shared", 1)));
	assert_int_equal(json_array_size(json_object_get(
			     client_ask(other, "credential.list", NULL), "credentials")),
	    1);
	(void)client_ask(
	    other, "credential.delete", json_pack("{s:s}", "name", "ANTHROPIC_API_KEY"));
	assert_string_equal(client_error(), "permission_denied");
	k = client_ask(other, "credential.test", json_pack("{s:s}", "name", "ANTHROPIC_API_KEY"));
	assert_true(json_is_true(json_object_get(k, "success")));
	assert_non_null(client_ask(
	    admin, "credential.delete", json_pack("{s:s}", "name", "ANTHROPIC_API_KEY")));
	assert_non_null(client_ask(c, "credential.delete", json_pack("{s:s}", "name", "gh")));
	assert_int_equal(
	    json_array_size(json_object_get(client_ask(c, "credential.list", NULL), "credentials")),
	    0);
	/* administrators see that it happened, not what it was; others see nothing */
	rig_until((json_decref(client_poll(admin, 0)), json_array_size(admin->notes) == 5));
	dump = json_dumps(admin->notes, 0);
	assert_null(strstr(dump, secret));
	assert_non_null(strstr(dump, "credential_stored"));
	assert_non_null(strstr(dump, "credential_deleted"));
	free(dump);
	json_decref(client_poll(c, 0));
	assert_int_equal(json_array_size(c->notes), 1);
	client_free(c);
	client_free(other);
	client_free(admin);
}

static void
credentials_are_checked(void **state)
{
	/* made for this test with ssh-keygen; they open nothing */
	static const char rsa_head[] =
	    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
	    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAABFwAAAAdzc2gtcnNh\n";
	static const char ed_head[] =
	    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
	    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQyNTUxOQ==\n";
	static const char locked[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
				     "b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0\n";
	static const struct {
		const char *name, *kind, *host, *value, *field; /* field NULL: accepted */
	} cases[] = {
	    {"a b", "github_token", NULL, "x", "name"},
	    {"../x", "github_token", NULL, "x", "name"},
	    {"gh", "github_token", NULL, "x y", "value"},
	    {"gh", "github_token", NULL, "x\n", "value"},
	    {"gh", "github_token", "-oProxy", "x", "host"},
	    {"gh", "github_token", "GitHub.Example.com:8443", "x", NULL},
	    {"pw", "git_password", NULL, "u:p", "host"},
	    {"pw", "git_password", "h", "nopassword", "value"},
	    {"pw", "git_password", "h", "u:p\nq", "value"},
	    {"pw", "git_password", "h", "u:p:q", NULL},
	    {"KEY", "agent_key", "h", "x", "host"},
	    {"1KEY", "agent_key", NULL, "x", "name"},
	    {"a.b", "agent_key", NULL, "x", "name"},
	    {"KEY", "agent_key", NULL, "x", NULL},
	    {"ssh", "ssh_key", "h", "ssh-ed25519 AAAA", "value"},
	    {"ssh", "ssh_key", "h", "-----BEGIN RSA PRIVATE KEY-----\nx", "value"},
	    {"ssh", "ssh_key", "h", rsa_head, "value"},
	    {"ssh", "ssh_key", "h", locked, "value"},
	    {"ssh", "ssh_key", "h", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl", "value"},
	    {"ssh", "ssh_key", "h", "-----BEGIN OPENSSH PRIVATE KEY-----\n", "value"},
	    {"ssh", "ssh_key", "h", ed_head, NULL},
	};
	struct client *c = client_new(OWNER);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *q = json_pack("{s:s, s:s, s:s}", "name", cases[i].name, "kind",
		    cases[i].kind, "value", cases[i].value);

		if (cases[i].host != NULL)
			json_object_set_new(q, "host", json_string(cases[i].host));
		if (client_ask(c, "credential.set", q) == NULL) {
			if (cases[i].field == NULL)
				fail_msg("case %zu was refused: %s", i, client_message());
			assert_string_equal(client_error(), "invalid_argument");
			assert_string_equal(client_field(), cases[i].field);
		} else if (cases[i].field != NULL) {
			fail_msg("case %zu was accepted", i);
		}
	}
	client_free(c);
}

static void
tokens_are_known_by_their_hash(void **state)
{
	struct caller gateway = rig_caller(OTHER);
	struct client *c = client_new(OWNER), *admin = client_new(0), *gate;
	char token[300], id[100];
	json_t *t, *list;
	char *dump;

	(void)state;
	gateway.gateway = true;
	gate = client_as(&gateway);
	t = client_ask(
	    c, "token.create", json_pack("{s:s, s:i}", "name", "ci", "expires_seconds", 3600));
	if (t == NULL)
		fail_msg("%s", client_message());
	snprintf(token, sizeof(token), "%s", text(t, "token"));
	snprintf(id, sizeof(id), "%s", text(t, "id"));
	assert_true(strlen(token) > 64);
	assert_non_null(strstr(token, id));
	assert_int_equal(json_array_size(json_object_get(t, "scopes")), 2);
	list = json_object_get(client_ask(c, "token.list", NULL), "tokens");
	assert_int_equal(json_array_size(list), 1);
	dump = json_dumps(list, 0);
	assert_null(strstr(dump, token));
	free(dump);
	t = client_ask(gate, "token.verify", json_pack("{s:s}", "token", token));
	assert_string_equal(text(t, "owner"), "owner");
	assert_string_equal(text(t, "id"), id);
	assert_null(json_object_get(t, "token"));
	(void)client_ask(gate, "token.verify", json_pack("{s:s+}", "token", token, "0"));
	assert_string_equal(client_error(), "unauthenticated");
	(void)client_ask(
	    c, "token.create", json_pack("{s:s, s:[s]}", "name", "x", "scopes", "admin"));
	assert_string_equal(client_error(), "permission_denied");
	(void)client_ask(
	    c, "token.create", json_pack("{s:s, s:[s]}", "name", "x", "scopes", "root"));
	assert_string_equal(client_error(), "invalid_argument");
	(void)client_ask(gate, "token.revoke", json_pack("{s:s}", "id", id));
	assert_string_equal(client_error(), "not_found");
	assert_non_null(client_ask(admin, "token.revoke", json_pack("{s:s}", "id", id)));
	(void)client_ask(gate, "token.verify", json_pack("{s:s}", "token", token));
	assert_string_equal(client_error(), "unauthenticated");
	/* one that has run out */
	t = client_ask(
	    c, "token.create", json_pack("{s:s, s:i}", "name", "short", "expires_seconds", 1));
	snprintf(token, sizeof(token), "%s", text(t, "token"));
	assert_non_null(client_ask(gate, "token.verify", json_pack("{s:s}", "token", token)));
	usleep(1100000);
	(void)client_ask(gate, "token.verify", json_pack("{s:s}", "token", token));
	assert_string_equal(client_error(), "unauthenticated");
	client_free(c);
	client_free(admin);
	client_free(gate);
}

static void
the_gateway_asks_for_others(void **state)
{
	struct caller gateway = rig_caller(OTHER);
	struct client *c = client_new(OWNER), *other = client_new(OTHER), *gate;
	char read[300], write[300];
	json_t *t;

	(void)state;
	gateway.gateway = true;
	gate = client_as(&gateway);
	t = client_ask(c, "token.create", json_pack("{s:s, s:[s]}", "name", "r", "scopes", "read"));
	snprintf(read, sizeof(read), "%s", text(t, "token"));
	t = client_ask(c, "token.create", json_pack("{s:s}", "name", "w"));
	snprintf(write, sizeof(write), "%s", text(t, "token"));
	t = client_ask(gate, "system.info", json_pack("{s:s}", "auth", read));
	assert_string_equal(text(t, "user"), "owner");
	/* without the key it is itself; for whom it is not the gateway, the key says nothing */
	assert_string_equal(text(client_ask(gate, "system.info", NULL), "user"), "other");
	assert_string_equal(text(client_ask(other, "system.info", json_pack("{s:s}", "auth", read)), "user"), "other");
	for (size_t i = 0; i < P_M__COUNT; i++) {
		const struct p_method *m = &p_methods[i];

		if (p_method_scope(m) == P_SCOPE_READ)
			continue;
		(void)client_ask(gate, m->name, json_pack("{s:s}", "auth", read));
		if (strcmp(client_error(), "permission_denied") != 0)
			fail_msg("%s: %s", m->name, client_message());
	}
	(void)client_ask(gate, "system.info", json_pack("{s:s}", "auth", "awo_x"));
	assert_string_equal(client_error(), "unauthenticated");
	(void)client_ask(gate, "system.info", json_pack("{s:i}", "auth", 1));
	assert_string_equal(client_error(), "invalid_argument");
	assert_string_equal(client_field(), "auth");
	/* a token that ends makes none that lasts longer */
	t = client_ask(c, "token.create", json_pack("{s:s, s:i}", "name", "e", "expires_seconds", 100));
	snprintf(read, sizeof(read), "%s", text(t, "token"));
	(void)client_ask(gate, "token.create", json_pack("{s:s, s:s}", "name", "x", "auth", read));
	assert_string_equal(client_error(), "permission_denied");
	assert_non_null(client_ask(
	    gate, "token.create", json_pack("{s:s, s:s, s:i}", "name", "x", "auth", read, "expires_seconds", 50)));
	client_free(c);
	client_free(other);
	client_free(gate);
}

static void
sessions_are_opened_once_and_end(void **state)
{
	struct caller gateway = rig_caller(OTHER);
	struct client *c = client_new(OWNER), *gate;
	char link[300], session[300];
	json_t *k;

	(void)state;
	gateway.gateway = true;
	gate = client_as(&gateway);
	k = client_ask(c, "session.create", NULL);
	assert_string_equal(text(k, "address"), "http://127.0.0.1:8053");
	snprintf(link, sizeof(link), "%s", text(k, "login_token"));
	(void)client_ask(gate, "session.verify", json_pack("{s:s}", "session", link));
	assert_string_equal(client_error(), "unauthenticated");
	k = client_ask(gate, "session.open", json_pack("{s:s}", "login_token", link));
	if (k == NULL)
		fail_msg("%s", client_message());
	assert_string_equal(text(k, "user"), "owner");
	assert_int_equal(number(k, "uid"), OWNER);
	assert_int_equal(json_array_size(json_object_get(k, "scopes")), 2);
	snprintf(session, sizeof(session), "%s", text(k, "session"));
	(void)client_ask(gate, "session.open", json_pack("{s:s}", "login_token", link));
	assert_string_equal(client_error(), "unauthenticated");
	k = client_ask(gate, "session.verify", json_pack("{s:s}", "session", session));
	assert_string_equal(text(k, "user"), "owner");
	assert_null(json_object_get(k, "session"));
	k = client_ask(gate, "system.info", json_pack("{s:s}", "auth", session));
	assert_string_equal(text(k, "user"), "owner");
	/* no session makes a link for another */
	(void)client_ask(gate, "session.create", json_pack("{s:s}", "auth", session));
	assert_string_equal(client_error(), "permission_denied");
	assert_non_null(client_ask(gate, "events.watch", json_pack("{s:s}", "auth", session)));
	assert_int_equal(rig->b.server->nstreams, 1);
	assert_non_null(client_ask(gate, "session.end", json_pack("{s:s}", "session", session)));
	assert_int_equal(rig->b.server->nstreams, 0);
	for (int i = 0; i < 2; i++) {
		(void)client_ask(gate, i == 0 ? "session.verify" : "session.end", json_pack("{s:s}", "session", session));
		assert_string_equal(client_error(), "unauthenticated");
	}
	(void)client_ask(c, "session.create", json_pack("{s:[s]}", "scopes", "admin"));
	assert_string_equal(client_error(), "permission_denied");
	(void)client_ask(c, "session.create", json_pack("{s:[s]}", "scopes", "all"));
	assert_string_equal(client_error(), "invalid_argument");
	client_free(c);
	client_free(gate);
}

/* ---- the service */

static void
the_service_says_how_it_is(void **state)
{
	struct client *c = client_new(OWNER), *admin = client_new(0);
	char path[200];
	json_t *h, *list;
	bool found = false;

	(void)state;
	h = client_ask(c, "system.health", NULL);
	if (h == NULL)
		fail_msg("%s", client_message());
	assert_string_equal(text(h, "service"), "agent-work-orders");
	assert_string_equal(text(h, "storage_type"), "memory");
	/* nothing is installed in the rig's libexec directory */
	assert_string_equal(text(h, "status"), "degraded");
	assert_true(json_array_size(json_object_get(h, "problems")) >= 2);
	assert_true(json_is_true(json_object_get(json_object_get(h, "database"), "tables_exist")));
	assert_true(json_is_false(json_object_get(
	    json_object_get(json_object_get(h, "dependencies"), "git"), "available")));
	for (int i = 0; i < 2; i++) {
		/* one for other hosts, one for this */
		snprintf(path, sizeof(path), "%s/awo-git%s", rig->opt.libexec_dir, i == 0 ? "" : "-local");
		put_file(path, "", 0);
		h = client_ask(c, "system.health", NULL);
		assert_int_equal(json_is_true(json_object_get(
				     json_object_get(json_object_get(h, "dependencies"), "git"), "available")),
		    i);
	}
	h = client_ask(c, "system.info", NULL);
	assert_string_equal(text(h, "user"), "owner");
	assert_int_equal(json_array_size(json_object_get(h, "sandbox_types")), 4);
	list = json_object_get(client_ask(c, "command.list", NULL), "commands");
	assert_true(json_array_size(list) >= 7);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(text(json_array_get(list, i), "name"), "planning") == 0)
			found = text(json_array_get(list, i), "description")[0] != '\0';
	assert_true(found);
	/* the administrator's own hides the packaged one */
	snprintf(path, sizeof(path), "%s/commands", rig->opt.config_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/commands/planning.md", rig->opt.config_dir);
	put_file(path, "---\nmodel: x\ndescription: \"mine\"\n---\nPlan $1\n", 44);
	list = json_object_get(client_ask(c, "command.list", NULL), "commands");
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(text(json_array_get(list, i), "name"), "planning") == 0)
			assert_string_equal(text(json_array_get(list, i), "description"), "mine");
	h = client_ask(c, "workflow.validate",
	    json_pack("{s:[ss]}", "selected_commands", "planning", "execut"));
	assert_true(json_is_false(json_object_get(h, "valid")));
	assert_int_equal(json_array_size(json_object_get(h, "errors")), 1);
	h = client_ask(
	    c, "workflow.validate", json_pack("{s:s}", "workflow_type", "agent_workflow_plan"));
	assert_true(json_is_true(json_object_get(h, "valid")));
	(void)client_ask(c, "workflow.get", json_pack("{s:s}", "name", "agent_workflow_plam"));
	assert_non_null(strstr(client_message(), "agent_workflow_plan"));
	h = client_ask(c, "system.metrics", NULL);
	assert_true(number(json_object_get(json_object_get(h, "metrics"), "rpc_requests_total"),
			"system.health") == 3);
	assert_non_null(client_ask(c, "queue.get", NULL));
	assert_non_null(client_ask(admin, "system.cleanup", json_pack("{s:b}", "dry_run", 1)));
	assert_non_null(client_ask(admin, "system.reload", NULL));
	assert_int_equal(rig->reloads, 1);
	(void)client_ask(admin, "system.backup", json_pack("{s:s}", "path", "relative"));
	assert_string_equal(client_error(), "invalid_argument");
	(void)client_ask(admin, "system.backup", json_pack("{s:s}", "path", path));
	assert_string_equal(client_error(), "already_exists");
	snprintf(path, sizeof(path), "%s/copy.db", rig->dir);
	h = client_ask(admin, "system.backup", json_pack("{s:s}", "path", path));
	if (h == NULL)
		fail_msg("%s", client_message());
	assert_true(number(h, "size") > 0);
	assert_int_equal(access(path, F_OK), 0);
	client_free(c);
	client_free(admin);
}

static const json_t *
dependency(struct client *c, const char *name)
{
	return json_object_get(json_object_get(client_ask(c, "system.health", NULL), "dependencies"), name);
}

static const json_t *
agent_row(struct client *c, const char *name)
{
	const json_t *rows = json_object_get(client_ask(c, "system.info", NULL), "agents");

	for (size_t i = 0; i < json_array_size(rows); i++)
		if (strcmp(text(json_array_get(rows, i), "name"), name) == 0)
			return json_array_get(rows, i);
	fail_msg("there is no agent %s", name);
	return NULL;
}

static void
health_knows_the_agents(void **state)
{
	struct client *c = client_new(OWNER);
	unsigned asked, nagents = (unsigned)rig->b.conf->nagents;

	(void)state;
	assert_true(nagents >= 2);
	rig->task_answer = json_pack("{s:b, s:s, s:s}", "ok", 1, "path", "/opt/claude", "version", "2.1 (x)");
	agent_versions_open(&rig->b);
	/* the default agent first, and one at a time */
	assert_int_equal(rig->tasks, 1);
	assert_string_equal(text(rig->request, "agent"), rig->b.conf->default_agent);
	/* nobody waits for an answer */
	assert_null(agent_versions_get(rig->b.agents, config_agent(rig->b.conf, "claude")));
	assert_int_equal(rig->tasks, 1);
	rig_until(rig->tasks == nagents);
	rig_until(json_object_get(dependency(c, "claude_cli"), "version") != NULL);
	assert_string_equal(text(dependency(c, "claude_cli"), "version"), "2.1 (x)");
	assert_true(json_is_true(json_object_get(dependency(c, "agent"), "available")));
	assert_string_equal(text(agent_row(c, "claude"), "path"), "/opt/claude");
	/* what is known is not asked for again */
	assert_int_equal(rig->tasks, nagents);
	/* after a reload it is; what was asked before counts no more */
	json_decref(rig->task_answer);
	rig->task_answer = json_pack("{s:s, s:s}", "reason", "not_found", "message", "install it");
	rig->task_err.code = AWO_NOT_FOUND;
	agent_versions_reloaded(rig->b.agents);
	agent_versions_reloaded(rig->b.agents);
	assert_int_equal(rig->tasks, nagents + 1);
	rig_until(rig->tasks == 2 * nagents + 1);
	rig_until(json_is_false(json_object_get(dependency(c, "claude_cli"), "available")));
	assert_string_equal(text(dependency(c, "claude_cli"), "error"), "install it");
	assert_true(json_is_false(json_object_get(agent_row(c, "claude"), "available")));
	/* a program that is there and does not work */
	json_decref(rig->task_answer);
	rig->task_answer = json_pack("{s:s, s:s, s:s}", "reason", "other", "message", "ended with status 3", "path", "/opt/claude");
	rig->task_err.code = AWO_FAILED_PRECONDITION;
	asked = rig->tasks;
	(void)client_ask(c, "settings.test", json_pack("{s:s, s:s}", "what", "agent", "agent", "claude"));
	assert_int_equal(rig->tasks, asked + 1);
	assert_string_equal(text(dependency(c, "claude_cli"), "error"), "ended with status 3");
	assert_string_equal(text(agent_row(c, "claude"), "path"), "/opt/claude");
	client_free(c);
	agent_versions_close(rig->b.agents);
	rig->b.agents = NULL;
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(orders_are_checked_before_they_are_made),
	    T(orders_are_made_as_they_were_asked_for),
	    T(local_repositories_need_permission),
	    T(too_many_pending_orders_are_refused),
	    T(lists_show_what_may_be_seen),
	    T(pages_fit_into_a_message),
	    T(logs_are_read_in_pages),
	    T(long_logs_do_not_keep_the_loop),
	    T(artifacts_are_only_what_is_there),
	    T(progress_comes_from_git_or_the_record),
	    T(refresh_asks_github),
	    T(repositories_are_registered_once),
	    T(settings_change_and_are_audited),
	    T(tests_say_what_is_missing),
	    T(credentials_go_in_and_never_out),
	    T(credentials_are_checked),
	    T(tokens_are_known_by_their_hash),
	    T(the_gateway_asks_for_others),
	    T(sessions_are_opened_once_and_end),
	    T(the_service_says_how_it_is),
	    T(health_knows_the_agents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
