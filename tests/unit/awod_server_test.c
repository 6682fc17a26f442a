/* The socket: whatever is sent to it, in whatever portions, by whomever. */
#include "tests/unit/awod_server_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/files.h"

/* ---- bytes */

static void
expect_closed(struct client *c)
{
	for (int turns = 0; !c->closed && turns < 5000; turns++) {
		rig_turn();
		client_read(c);
	}
	assert_true(c->closed);
}

static void
malformed_input_closes_that_connection_only(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		bool answered; /* an id was known: an error comes first */
	} bad[] = {
	    {"GET / HTTP/1.1\r\n\r\n", 18, false},
	    {"\xc0", 1, false},
	    {"\xdd\xff\xff\xff\xff", 5, false},
	    {"\x94\x00\xdd\xff\xff\xff\xff", 7, false},
	    {"\x94\x00\x07\xdd\xff\xff\xff\xff", 8, true},
	    {"\x94\x00\x07\xa3"
	     "foo\xc7\x01\x01\x01",
		11, true},
	    {"\x94\x05\x07\xa3"
	     "foo\x90",
		8, false},
	    {"\x94\x00\x07\x05\x90", 5, true},
	    {"\x94\x00\x07\xa3"
	     "foo\x05",
		8, true},
	    {"\x94\x00\x07\xa3"
	     "foo\x91\x05",
		9, true},
	    {"\x94\x01\x07\xc0\xc0", 5, true},
	};
	struct client *bystander = client_new(OWNER);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct client *c = client_new(OWNER);
		json_t *answer;

		client_raw(c, bad[i].bytes, bad[i].n);
		answer = client_response(c, 7);
		if (bad[i].answered)
			assert_string_equal(text(json_object_get(answer, "error"), "code"),
			    i == 4 ? "resource_exhausted" : "invalid_argument");
		else
			assert_null(answer);
		json_decref(answer);
		expect_closed(c);
		client_free(c);
	}
	assert_non_null(client_ask(bystander, "system.info", NULL));
	client_free(bystander);
}

static void
nesting_and_size_are_bounded(void **state)
{
	struct client *deep = client_new(OWNER), *large = client_new(OWNER);
	struct buf b = {0};
	json_t *answer;

	(void)state;
	buf_add(&b,
	    "\x94\x00\x07\xa3"
	    "foo",
	    7);
	for (int i = 0; i < 100; i++)
		buf_addc(&b, (char)0x91);
	client_raw(deep, b.p, b.len);
	answer = client_response(deep, 7);
	assert_string_equal(text(json_object_get(answer, "error"), "code"), "invalid_argument");
	json_decref(answer);
	expect_closed(deep);
	/* a string of 5 MiB is refused when it is announced, not when it has come */
	client_raw(large, "\x94\x00\x07\xdb\x00\x50\x00\x00", 8);
	answer = client_response(large, 7);
	assert_string_equal(text(json_object_get(answer, "error"), "code"), "resource_exhausted");
	json_decref(answer);
	expect_closed(large);
	buf_free(&b);
	client_free(deep);
	client_free(large);
}

static void
random_bytes_do_no_harm(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int i = 0; i < 400; i++) {
		struct client *c = client_new(OWNER);
		unsigned char bytes[200];

		for (size_t k = 0; k < sizeof(bytes); k++) {
			seed = seed * 1103515245 + 12345;
			bytes[k] = (unsigned char)(seed >> 16);
		}
		/* half of them begin like requests of methods that exist */
		if (i % 2 == 0) {
			memcpy(bytes, "\x94\x00\x07", 3);
			bytes[3] =
			    (unsigned char)(0xa0 + strlen(p_methods[(size_t)i % P_M__COUNT].name));
			memcpy(bytes + 4, p_methods[(size_t)i % P_M__COUNT].name,
			    strlen(p_methods[(size_t)i % P_M__COUNT].name));
		}
		client_raw(c, bytes, sizeof(bytes));
		for (int turn = 0; turn < 3; turn++)
			rig_turn();
		client_free(c);
	}
	rig_until(rig->b.server->nconns == 0);
	assert_int_equal(rig->b.server->in_flight, 0);
	assert_null(rig->b.server->peers);
}

static void
requests_may_come_in_pieces_and_in_heaps(void **state)
{
	struct client *c = client_new(OWNER);
	struct buf b = {0};
	json_t *answer;

	(void)state;
	answer = json_pack("[i, i, s, [{s:s, s:{}}]]", 0, 1, "workflow.get", "name",
	    "agent_workflow_plan", "unknown");
	json_to_msgpack(&b, answer);
	json_decref(answer);
	for (size_t i = 0; i < b.len; i++) {
		client_raw(c, b.p + i, 1);
		rig_turn();
	}
	answer = client_response(c, 1);
	assert_string_equal(text(json_object_get(answer, "result"), "name"), "agent_workflow_plan");
	json_decref(answer);
	/* no parameters at all */
	client_raw(c,
	    "\x94\x00\x09\xad"
	    "workflow.list\x90",
	    18);
	answer = client_response(c, 9);
	assert_true(json_is_object(json_object_get(answer, "result")));
	json_decref(answer);
	/* two hundred at once: all are answered, in order */
	for (c->next_id = 100; c->next_id < 300;)
		client_request(c, "stream.stop", json_pack("{s:i}", "subscription", 1));
	for (uint32_t id = 101; id <= 300; id++) {
		answer = client_response(c, id);
		assert_string_equal(text(json_object_get(answer, "error"), "code"), "not_found");
		json_decref(answer);
	}
	/* a notification is no request */
	client_raw(c,
	    "\x93\x02\xa3"
	    "foo\x90",
	    7);
	assert_non_null(client_ask(c, "workflow.list", NULL));
	buf_free(&b);
	client_free(c);
}

static void
a_method_that_is_not_there_has_a_neighbour(void **state)
{
	struct client *c = client_new(OWNER);
	json_t *answer;

	(void)state;
	assert_null(client_ask(c, "order.creat", NULL));
	assert_string_equal(client_error(), "unimplemented");
	assert_non_null(strstr(client_message(), "order.create"));
	/* a name that is no text is no reason to end the connection */
	client_raw(c, "\x94\x00\x63\xa2\x01\xff\x90", 7);
	answer = client_response(c, 0x63);
	assert_string_equal(text(json_object_get(answer, "error"), "code"), "unimplemented");
	json_decref(answer);
	client_free(c);
}

/* ---- limits */

static void
more_than_64_wait_for_their_turn(void **state)
{
	struct client *c = client_new(OWNER), *quick = client_new(OWNER);
	json_t *answer;

	(void)state;
	rig_order("wo-00000001", OWNER, order_status_running);
	rig->hold = true;
	for (int i = 0; i < 150; i++)
		client_request(
		    c, "order.cancel", json_pack("{s:s}", "agent_work_order_id", "wo-00000001"));
	for (int i = 0; i < 50; i++)
		rig_turn();
	assert_int_equal(rig->nheld, IN_FLIGHT_MAX);
	/* others are served */
	assert_non_null(client_ask(quick, "system.info", NULL));
	rig_release(10);
	rig_until(rig->nheld == IN_FLIGHT_MAX);
	for (int i = 0; i < 50; i++)
		rig_turn();
	assert_int_equal(rig->nheld, IN_FLIGHT_MAX);
	rig->hold = false;
	while (rig->nheld > 0)
		rig_release(1);
	for (uint32_t id = 1; id <= 150; id++) {
		answer = client_response(c, id);
		assert_true(json_is_object(json_object_get(answer, "result")));
		json_decref(answer);
	}
	client_free(c);
	client_free(quick);
}

static void
answers_for_peers_that_left_are_thrown_away(void **state)
{
	struct client *c = client_new(OWNER);

	(void)state;
	rig_order("wo-00000001", OWNER, order_status_running);
	rig->hold = true;
	for (int i = 0; i < 5; i++)
		client_request(
		    c, "order.cancel", json_pack("{s:s}", "agent_work_order_id", "wo-00000001"));
	rig_until(rig->nheld == 5);
	client_raw(c, "\xc1", 1); /* which closes it */
	rig_until(rig->b.server->nconns == 0);
	assert_int_equal(rig->b.server->in_flight, 0);
	rig_release(5);
	client_free(c);
}

static void
a_peer_that_only_stopped_sending_gets_its_answers(void **state)
{
	struct client *c = client_new(OWNER);
	json_t *answer;

	(void)state;
	rig_order("wo-00000001", OWNER, order_status_running);
	rig->hold = true;
	client_request(c, "order.cancel", json_pack("{s:s}", "agent_work_order_id", "wo-00000001"));
	shutdown(c->fd, SHUT_WR);
	rig_until(rig->nheld == 1);
	for (int i = 0; i < 20; i++)
		rig_turn();
	rig_release(1);
	answer = client_response(c, 1);
	assert_true(json_is_object(json_object_get(answer, "result")));
	json_decref(answer);
	expect_closed(c);
	client_free(c);
}

static void
a_peer_that_reads_nothing_does_not_fill_the_memory(void **state)
{
	struct client *c = client_new(OWNER);
	struct conn *conn;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		/* as much as the socket takes */
		struct buf b = {0};
		json_t *m = json_pack("[i,i,s,[{}]]", 0, i + 1, "settings.get");

		json_to_msgpack(&b, m);
		json_decref(m);
		(void)!send(c->fd, b.p, b.len, MSG_NOSIGNAL);
		buf_free(&b);
		rig_turn();
	}
	conn = TAILQ_FIRST(&rig->b.server->conns);
	assert_non_null(conn);
	assert_true(conn_unsent(conn) >= OUT_PAUSE);
	assert_true(conn_unsent(conn) < OUT_PAUSE + P_MESSAGE_MAX);
	client_free(c);
	rig_until(rig->b.server->nconns == 0);
}

/* ---- who */

static json_t *
minimal(const struct p_type *type, const char *id)
{
	json_t *o = json_object();

	for (size_t i = 0; i < type->nfields; i++) {
		const struct p_field *f = &type->fields[i];

		if (strcmp(f->name, "agent_work_order_id") == 0) {
			json_object_set_new(o, f->name, json_string(id));
			continue;
		}
		if (f->need != P_REQ)
			continue;
		switch (f->kind) {
		case P_STR:
			json_object_set_new(o, f->name, json_string("nonsense"));
			break;
		case P_INT:
			json_object_set_new(o, f->name, json_integer(f->min > 0 ? f->min : 1));
			break;
		case P_ENUM:
			json_object_set_new(o, f->name, json_string(f->en->rows[0].name));
			break;
		case P_BOOL:
			json_object_set_new(o, f->name, json_true());
			break;
		default:
			fail_msg("%s.%s: no example", type->name, f->name);
		}
	}
	return o;
}

static void
every_method_is_only_for_whom_the_table_says(void **state)
{
	struct caller gateway = rig_caller(OTHER);
	struct client *owner = client_new(OWNER), *other = client_new(OTHER),
		      *admin = client_new(0), *gate;

	(void)state;
	gateway.gateway = true;
	gate = client_as(&gateway);
	rig_order("wo-00000001", OWNER, order_status_running);
	for (size_t i = 0; i < P_M__COUNT; i++) {
		const struct p_method *m = &p_methods[i];
		struct client *callers[] = {owner, other, admin, gate};

		for (size_t k = 0; k < 4; k++) {
			bool admitted = m->who == P_WHO_USER ||
					(m->who == P_WHO_ORDER && (k == 0 || k == 2)) ||
					(m->who == P_WHO_ADMIN && k == 2) ||
					(m->who == P_WHO_GATEWAY && k == 3);

			(void)client_ask(callers[k], m->name, minimal(m->request, "wo-00000001"));
			if (admitted) {
				if (strcmp(client_error(), "permission_denied") == 0)
					fail_msg("%s refuses caller %zu: %s", m->name, k,
					    client_message());
				if (m->who == P_WHO_ORDER &&
				    strcmp(client_field(), "agent_work_order_id") == 0)
					assert_string_not_equal(client_error(), "not_found");
			} else {
				assert_string_equal(client_error(),
				    m->who == P_WHO_ORDER ? "not_found" : "permission_denied");
			}
		}
	}
	client_free(owner);
	client_free(other);
	client_free(admin);
	client_free(gate);
}

static void
every_method_is_only_possible_in_the_states_of_the_table(void **state)
{
	struct client *c = client_new(OWNER);
	char id[12];

	(void)state;
	for (int s = order_status_pending; s <= order_status_cancelled; s++) {
		snprintf(id, sizeof(id), "wo-0000000%d", s);
		rig_order(id, OWNER, (enum p_order_status)s);
	}
	for (size_t i = 0; i < P_M__COUNT; i++) {
		const struct p_method *m = &p_methods[i];

		if (m->who != P_WHO_ORDER)
			continue;
		for (int s = order_status_pending; s <= order_status_cancelled; s++) {
			bool possible = (m->when >> s & 1) != 0;

			snprintf(id, sizeof(id), "wo-0000000%d", s);
			(void)client_ask(c, m->name, minimal(m->request, id));
			if (possible) {
				assert_string_not_equal(client_error(), "failed_precondition");
			} else {
				assert_string_equal(client_error(), "failed_precondition");
				assert_non_null(
				    strstr(client_message(), P_ENUM_NAME(order_status, s)));
			}
		}
	}
	client_free(c);
}

static void
another_users_order_is_like_none(void **state)
{
	struct client *c = client_new(OTHER), *admin = client_new(0);
	static const char *const pairs[][2] = {
	    {"wo-00000001", "wo-00000002"}, {"wo-abc", "wo-abd"}, {"wo-00000001 ", "wo-00000002 "}};

	(void)state;
	rig_order("wo-00000001", OWNER, order_status_running);
	rig_order("wo-abc00000", OWNER, order_status_running);
	for (size_t i = 0; i < 3; i++) {
		char there[1024], not_there[1024];

		for (size_t m = 0; m < P_M__COUNT; m++) {
			if (p_methods[m].who != P_WHO_ORDER)
				continue;
			(void)client_ask(
			    c, p_methods[m].name, minimal(p_methods[m].request, pairs[i][0]));
			snprintf(there, sizeof(there), "%s|%s|%s", client_error(), client_field(),
			    client_message());
			(void)client_ask(
			    c, p_methods[m].name, minimal(p_methods[m].request, pairs[i][1]));
			snprintf(not_there, sizeof(not_there), "%s|%s|%s", client_error(),
			    client_field(), client_message());
			assert_string_equal(client_error(), "not_found");
			/* the id itself is the only difference */
			*strstr(not_there, pairs[i][1]) = '#';
			*strstr(there, pairs[i][0]) = '#';
			assert_int_equal(strlen(there), strlen(not_there));
			memcpy(strchr(not_there, '#') + 1, strchr(there, '#') + 1,
			    strlen(pairs[i][0]) - 1);
			assert_string_equal(there, not_there);
		}
	}
	assert_non_null(
	    client_ask(admin, "order.get", json_pack("{s:s}", "agent_work_order_id", "wo-abc")));
	client_free(c);
	client_free(admin);
}

static void
prefixes_are_of_visible_orders(void **state)
{
	struct client *c = client_new(OWNER);
	json_t *got;

	(void)state;
	rig_order("wo-aa000001", OWNER, order_status_running);
	rig_order("wo-ab000001", OWNER, order_status_running);
	rig_order("wo-ac000001", OWNER, order_status_running);
	rig_order("wo-ac000002", OTHER, order_status_running);
	got = client_ask(c, "order.get", json_pack("{s:s}", "agent_work_order_id", "wo-ac"));
	assert_string_equal(
	    text(json_object_get(got, "agent_work_order"), "agent_work_order_id"), "wo-ac000001");
	(void)client_ask(c, "order.get", json_pack("{s:s}", "agent_work_order_id", "wo-a"));
	assert_string_equal(client_error(), "invalid_argument");
	(void)client_ask(c, "order.get", json_pack("{s:s}", "agent_work_order_id", "wo-"));
	assert_string_equal(client_error(), "not_found");
	(void)client_ask(c, "order.get", json_pack("{s:s}", "agent_work_order_id", "%"));
	assert_string_equal(client_error(), "not_found");
	client_free(c);
}

/* ---- streams */

static void
an_end_is_told_when_it_is_durable(void **state)
{
	struct client *c = client_new(OWNER), *gone = client_new(OWNER);
	json_t *answer;
	uint32_t get, watch;

	(void)state;
	rig_order("wo-00000001", OWNER, order_status_completed);
	rig_log("wo-00000001", "{\"n\":0}\n", 8);
	rig->settling = "wo-00000001";
	get = client_request(
	    c, "order.get", json_pack("{s:s}", "agent_work_order_id", "wo-00000001"));
	watch = client_request(
	    c, "order.watch", json_pack("{s:s}", "agent_work_order_id", "wo-00000001"));
	client_request(gone, "order.get", json_pack("{s:s}", "agent_work_order_id", "wo-00000001"));
	rig_until(rig->b.server->in_flight == 3);
	client_raw(gone, "\xc1", 1); /* which closes it */
	rig_until(rig->b.server->in_flight == 2);
	client_free(gone);
	for (int i = 0; i < 30; i++)
		rig_turn();
	assert_null(client_poll(c, get));
	rig_log("wo-00000001", "{\"n\":1}\n", 8);
	rig->settling = NULL;
	answer = client_response(c, get);
	assert_true(json_is_object(json_object_get(answer, "result")));
	json_decref(answer);
	answer = client_response(c, watch);
	assert_true(json_is_object(json_object_get(answer, "result")));
	json_decref(answer);
	rig_until((json_decref(client_poll(c, 0)), json_array_size(c->notes) == 3));
	assert_string_equal(text(json_array_get(c->notes, 2), "method"), "stream_end");
	client_free(c);
}

struct writer {
	struct event *timer;
	int written, lines;
	unsigned seed;
	struct buf rest; /* of a line that was written in part */
};

/* Appends in pieces that end anywhere, as writes that race with reads do. */
static void
on_write(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval soon = {0, 300};
	struct writer *w = arg;
	size_t n;

	(void)fd;
	(void)what;
	if (w->rest.len == 0 && w->written < w->lines) {
		for (int i = 0; i < 20 && w->written < w->lines; i++)
			buf_printf(&w->rest,
			    "{\"timestamp\":\"2026-01-31T08:00:00.000000Z\",\"level\":\"info\","
			    "\"n\":%d}\n",
			    w->written++);
	}
	w->seed = w->seed * 1103515245 + 12345;
	n = 1 + (w->seed >> 16) % 700;
	if (n > w->rest.len)
		n = w->rest.len;
	rig_log("wo-00000001", w->rest.p, n);
	buf_drain(&w->rest, n);
	if (w->rest.len > 0 || w->written < w->lines)
		event_add(w->timer, &soon);
	else
		server_log_ended(rig->b.server, "wo-00000001", "order_ended");
}

static bool
has_note(struct client *c, const char *method)
{
	size_t n = json_array_size(c->notes);

	return n > 0 && strcmp(text(json_array_get(c->notes, n - 1), "method"), method) == 0;
}

/* Every line of the notes is the next one. Returns the number after the last. */
static int
expect_lines(struct client *c, int next, int64_t *seq)
{
	json_t *note;
	size_t i;

	json_array_foreach(c->notes, i, note)
	{
		json_t *params = json_object_get(note, "params"), *line;

		if (strcmp(text(note, "method"), "log_line") != 0)
			continue;
		line = json_loads(text(params, "line"), 0, NULL);
		assert_int_equal(number(line, "n"), next);
		assert_true(number(params, "seq") > *seq);
		*seq = number(params, "seq");
		json_decref(line);
		next++;
	}
	return next;
}

static void
watch_has_no_gap_and_no_duplicate(void **state)
{
	struct writer w = {.lines = 3000, .seed = 5};
	struct client *c[4];
	int64_t seq[4] = {0};
	const struct timeval soon = {0, 100};

	(void)state;
	rig_order("wo-00000001", OWNER, order_status_running);
	w.timer = event_new(rig->base, -1, 0, on_write, &w);
	event_add(w.timer, &soon);
	/* they come at different times */
	for (int i = 0; i < 4; i++) {
		c[i] = client_new(OWNER);
		rig_until(w.written > i * 400);
		assert_non_null(client_ask(
		    c[i], "order.watch", json_pack("{s:s}", "agent_work_order_id", "wo-00000001")));
	}
	for (int i = 0; i < 4; i++) {
		rig_until((json_decref(client_poll(c[i], 0)), has_note(c[i], "stream_end")));
		assert_int_equal(expect_lines(c[i], 0, &seq[i]), 3000);
		assert_string_equal(text(json_object_get(json_array_get(c[i]->notes,
							     json_array_size(c[i]->notes) - 1),
					     "params"),
					"reason"),
		    "order_ended");
	}
	assert_int_equal(rig->b.server->nstreams, 0);
	/* from the middle */
	{
		int64_t from = number(
			    json_object_get(json_array_get(c[0]->notes, 1499), "params"), "seq"),
			at = from;
		struct client *late = client_new(OWNER);

		rig->orders[0]->pub.status = order_status_completed;
		assert_non_null(client_ask(late, "order.watch",
		    json_pack("{s:s, s:I}", "agent_work_order_id", "wo-00000001", "after_seq",
			(json_int_t)from)));
		rig_until((json_decref(client_poll(late, 0)), has_note(late, "stream_end")));
		assert_int_equal(expect_lines(late, 1500, &at), 3000);
		(void)client_ask(late, "order.watch",
		    json_pack("{s:s, s:I}", "agent_work_order_id", "wo-00000001", "after_seq",
			(json_int_t)from - 1));
		assert_string_equal(client_error(), "invalid_argument");
		client_free(late);
	}
	for (int i = 0; i < 4; i++)
		client_free(c[i]);
	event_free(w.timer);
	buf_free(&w.rest);
}

static void
a_slow_reader_is_cut_off_and_can_resume(void **state)
{
	struct client *c = client_new(OWNER);
	struct buf chunk = {0};
	int64_t seq = 0, end;
	int next, lines = 0;
	json_t *last;
	char filler[900];

	(void)state;
	memset(filler, 'z', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = '\0';
	rig_order("wo-00000001", OWNER, order_status_running);
	rig_log("wo-00000001", "{\"n\":0}\n", 8);
	lines = 1;
	assert_non_null(
	    client_ask(c, "order.watch", json_pack("{s:s}", "agent_work_order_id", "wo-00000001")));
	rig_until((json_decref(client_poll(c, 0)), json_array_size(c->notes) == 1));
	/* it reads no more, while the log goes on */
	for (int i = 0; i < 16 * 1024; i++) {
		buf_printf(&chunk, "{\"n\":%d,\"text\":\"%s\"}\n", lines++, filler);
		if (i % 512 == 511) {
			rig_log("wo-00000001", chunk.p, chunk.len);
			chunk.len = 0;
			for (int t = 0; t < 200 && rig->b.server->nstreams > 0; t++)
				rig_turn();
		}
	}
	rig_until(rig->b.server->nstreams == 0);
	assert_int_equal(rig->b.server->overflows, 1);
	/* what was queued comes, and then the reason */
	rig_until((json_decref(client_poll(c, 0)), has_note(c, "stream_overflow")));
	last = json_object_get(json_array_get(c->notes, json_array_size(c->notes) - 1), "params");
	assert_string_equal(text(last, "reason"), "slow_reader");
	next = expect_lines(c, 0, &seq);
	assert_true(next > 1 && next < lines);
	assert_int_equal(number(last, "seq"), seq);
	/* the connection is well, and the rest is to be had */
	json_array_clear(c->notes);
	rig->orders[0]->pub.status = order_status_completed;
	end = seq;
	assert_non_null(client_ask(c, "order.watch",
	    json_pack(
		"{s:s, s:I}", "agent_work_order_id", "wo-00000001", "after_seq", (json_int_t)end)));
	rig_until((json_decref(client_poll(c, 0)), has_note(c, "stream_end")));
	assert_int_equal(expect_lines(c, next, &seq), lines);
	buf_free(&chunk);
	client_free(c);
}

static void
streams_are_filtered_stopped_and_counted(void **state)
{
	struct client *c = client_new(OWNER);
	static const char log[] = "{\"level\":\"info\",\"step\":\"planning\",\"n\":0}\n"
				  "{\"level\":\"error\",\"step\":\"planning\",\"n\":1}\n"
				  "no json\n"
				  "{\"level\":\"error\",\"step\":\"execute\",\"n\":2}\n";
	json_t *got;
	int64_t first;

	(void)state;
	rig_order("wo-00000001", OWNER, order_status_running);
	rig_log("wo-00000001", log, sizeof(log) - 1);
	got = client_ask(c, "order.watch",
	    json_pack("{s:s, s:s, s:s}", "agent_work_order_id", "wo-0", "level", "warning", "step",
		"planning"));
	assert_string_equal(text(got, "agent_work_order_id"), "wo-00000001");
	first = number(got, "subscription");
	rig_until((json_decref(client_poll(c, 0)), json_array_size(c->notes) == 1));
	for (int i = 0; i < 30; i++)
		rig_turn();
	json_decref(client_poll(c, 0));
	assert_int_equal(json_array_size(c->notes), 1);
	assert_non_null(strstr(
	    text(json_object_get(json_array_get(c->notes, 0), "params"), "line"), "\"n\":1"));
	for (int i = 1; i < STREAMS_MAX; i++)
		assert_non_null(client_ask(
		    c, "order.watch", json_pack("{s:s}", "agent_work_order_id", "wo-00000001")));
	(void)client_ask(
	    c, "order.watch", json_pack("{s:s}", "agent_work_order_id", "wo-00000001"));
	assert_string_equal(client_error(), "resource_exhausted");
	assert_non_null(
	    client_ask(c, "stream.stop", json_pack("{s:I}", "subscription", (json_int_t)first)));
	(void)client_ask(c, "stream.stop", json_pack("{s:I}", "subscription", (json_int_t)first));
	assert_string_equal(client_error(), "not_found");
	assert_int_equal(rig->b.server->nstreams, STREAMS_MAX - 1);
	client_free(c);
	rig_until(rig->b.server->nstreams == 0);
}

static void
committed(void *arg, const struct awo_err *err, const struct store_commit *commit)
{
	assert_true(err == NULL || err->code == AWO_OK);
	*(int64_t *)arg = commit->event_ids[0];
}

static int64_t
add_event(const char *order, const char *line)
{
	struct store_tx *tx = store_tx(rig->b.store);
	int64_t id = 0;

	store_tx_event(tx, order, "prompt_queued", line);
	store_tx_commit(tx, committed, &id);
	rig_until(id > 0);
	return id;
}

static void
events_are_replayed_and_followed_by_those_who_may(void **state)
{
	struct client *c = client_new(OWNER), *admin = client_new(0);
	char line[64];
	int64_t first = 0, id = 0, last = 0;
	json_t *note;
	size_t i, ends = 0;

	(void)state;
	rig_order("wo-00000001", OWNER, order_status_running);
	rig_order("wo-00000002", OTHER, order_status_running);
	for (int n = 0; n < 450; n++) {
		snprintf(line, sizeof(line), "{\"n\":%d}", n);
		id = add_event(n % 3 == 0 ? "wo-00000002" : "wo-00000001", line);
		if (n == 0)
			first = id;
	}
	(void)add_event(NULL, "{\"audit\":true}");
	assert_non_null(
	    client_ask(c, "events.watch", json_pack("{s:I}", "after_id", (json_int_t)first)));
	assert_non_null(client_ask(
	    admin, "events.watch", json_pack("{s:I}", "after_id", (json_int_t)first - 1)));
	/* one that is committed while the replay runs is announced too, and comes once */
	id = add_event("wo-00000001", "{\"n\":1000}");
	server_event(rig->b.server, OWNER, id, "{\"n\":1000}");
	server_event(rig->b.server, OWNER, 0, "{\"worker\":1}");
	server_event(rig->b.server, OTHER, 0, "{\"worker\":2}");
	server_event(rig->b.server, AUDIT_OWNER, 0, "{\"worker\":3}");
	rig_until((json_decref(client_poll(c, 0)), json_array_size(c->notes) == 303));
	rig_until((json_decref(client_poll(admin, 0)), json_array_size(admin->notes) == 456));
	for (i = 0; i < 30; i++)
		rig_turn();
	json_decref(client_poll(c, 0));
	assert_int_equal(json_array_size(c->notes), 303);
	json_array_foreach(c->notes, i, note)
	{
		json_t *params = json_object_get(note, "params");

		assert_null(strstr(text(params, "line"), "audit"));
		if (number(params, "id") == 0)
			continue;
		/* an empty line tells that the replay is over */
		if (*text(params, "line") == '\0') {
			assert_true(number(params, "id") >= last);
			ends++;
			continue;
		}
		assert_true(number(params, "id") > last);
		last = number(params, "id");
	}
	assert_int_equal(last, id);
	assert_int_equal(ends, 1);
	client_free(c);
	client_free(admin);
}

static void
release_one(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	rig_release(1);
}

static void
stopping_ends_streams_and_waits_for_answers(void **state)
{
	const struct timeval later = {0, 30000};
	struct client *c = client_new(OWNER);
	json_t *answer;
	uint32_t id;

	(void)state;
	rig_order("wo-00000001", OWNER, order_status_running);
	assert_non_null(
	    client_ask(c, "order.watch", json_pack("{s:s}", "agent_work_order_id", "wo-00000001")));
	rig->hold = true;
	id = client_request(
	    c, "order.cancel", json_pack("{s:s}", "agent_work_order_id", "wo-00000001"));
	rig_until(rig->nheld == 1);
	event_base_once(rig->base, -1, EV_TIMEOUT, release_one, NULL, &later);
	server_close(rig->b.server);
	assert_int_equal(rig->nheld, 0);
	answer = client_response(c, id);
	assert_true(json_is_object(json_object_get(answer, "result")));
	json_decref(answer);
	assert_true(has_note(c, "stream_end"));
	client_free(c);
}

/* ---- the socket itself */

static int
dial(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_true(strlen(path) < sizeof(sun.sun_path));
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
the_kernel_says_who_calls(void **state)
{
	struct client c = {.r = rig, .notes = json_array()};
	json_t *info;

	(void)state;
	c.fd = dial(rig->opt.socket_path);
	assert_true(c.fd >= 0);
	info = client_ask(&c, "system.info", NULL);
	assert_int_equal(json_is_true(json_object_get(info, "is_admin")), getuid() == 0);
	assert_string_equal(text(info, "mode"), "system");
	close(c.fd);
	buf_free(&c.in);
	json_decref(c.notes);
}

static void
names_come_from_files(void **state)
{
	struct names *n;
	char passwd[128], group[128];
	static const char users[] = "root:x:0:0::/:/bin/sh\nbroken\nann:x:1234:1:,:/:\n:x:5:5\n";
	static const char more[] = "bob:x:1234:1::/:\n";
	gid_t gid;
	uid_t uid;
	int fd;

	(void)state;
	snprintf(passwd, sizeof(passwd), "%s/passwd", rig->dir);
	snprintf(group, sizeof(group), "%s/group", rig->dir);
	fd = open(passwd, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(files_write_all(fd, users, sizeof(users) - 1), 0);
	close(fd);
	n = names_open(passwd, group);
	assert_string_equal(names_user(n, 1234), "ann");
	assert_null(names_user(n, 5));
	assert_true(names_uid(n, "ann", &uid));
	assert_int_equal(uid, 1234);
	assert_true(names_uid(n, "77", &uid));
	assert_int_equal(uid, 77);
	assert_false(names_uid(n, "4294967295", &uid));
	assert_false(names_gid(n, "nobody-has-made-this", &gid));
	fd = open(passwd, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(files_write_all(fd, more, sizeof(more) - 1), 0);
	close(fd);
	assert_string_equal(names_user(n, 1234), "bob");
	names_close(n);
}

static void
who_is_not_connected_is_judged_by_the_files(void **state)
{
	static const char users[] = "root:x:0:0::/:\nann:x:1234:7::/:\nbob:x:1235:8::/:\ncat:x:1236:7::/:\n";
	static const char groups[] = "admins:x:8:ann,other\nannex:x:9:anna\nempty:x:10\n";
	struct config conf = {.socket_admin_group = (char[]){"admins"}};
	const unsigned all = P_SCOPE_READ | P_SCOPE_WRITE | P_SCOPE_ADMIN;
	char passwd[128], group[128];
	struct caller who;
	struct names *n;
	int fd;

	(void)state;
	snprintf(passwd, sizeof(passwd), "%s/passwd", rig->dir);
	snprintf(group, sizeof(group), "%s/group", rig->dir);
	fd = open(passwd, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(files_write_all(fd, users, sizeof(users) - 1), 0);
	close(fd);
	fd = open(group, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(files_write_all(fd, groups, sizeof(groups) - 1), 0);
	close(fd);
	n = names_open(passwd, group);
	/* named in the group; of whom it is the first group; neither */
	caller_become(n, &conf, (uid_t)-1, 1234, all, &who);
	assert_true(who.admin && !who.gateway);
	assert_string_equal(who.user, "ann");
	caller_become(n, &conf, (uid_t)-1, 1235, all, &who);
	assert_true(who.admin);
	caller_become(n, &conf, (uid_t)-1, 1236, all, &who);
	assert_false(who.admin);
	caller_become(n, &conf, (uid_t)-1, 5, all, &who);
	assert_false(who.admin);
	assert_string_equal(who.user, "5");
	/* nobody without the scope */
	for (uid_t uid = 0; uid < 1300; uid++) {
		caller_become(n, &conf, (uid_t)-1, uid, P_SCOPE_READ | P_SCOPE_WRITE, &who);
		assert_false(who.admin);
	}
	caller_become(n, &conf, (uid_t)-1, 0, all, &who);
	assert_true(who.admin);
	/* a part of a name is no name */
	conf.socket_admin_group = (char[]){"annex"};
	caller_become(n, &conf, (uid_t)-1, 1234, all, &who);
	assert_false(who.admin);
	conf.socket_admin_group = (char[]){"empty"};
	caller_become(n, &conf, (uid_t)-1, 1234, all, &who);
	assert_false(who.admin);
	/* in user mode the user alone, whatever groups say */
	conf.socket_admin_group = (char[]){"admins"};
	caller_become(n, &conf, 1236, 1236, all, &who);
	assert_true(who.admin);
	caller_become(n, &conf, 1236, 1234, all, &who);
	assert_false(who.admin);
	names_close(n);
}

static struct server *
second(const char *path, struct awo_err *err)
{
	char *mine = rig->opt.socket_path;
	struct server *s;

	rig->opt.socket_path = xstrdup(path);
	s = server_open(&rig->b, err);
	free(rig->opt.socket_path);
	rig->opt.socket_path = mine;
	return s;
}

static void
close_second(struct server *s)
{
	struct server *mine = rig->b.server;

	server_close(s);
	rig->b.server = mine;
}

static void
a_live_socket_is_refused_and_a_stale_one_replaced(void **state)
{
	struct awo_err err = {0};
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct server *mine = rig->b.server;
	char path[100], deep[400];
	struct server *s;
	struct stat st;
	int fd;

	(void)state;
	assert_null(second(rig->opt.socket_path, &err));
	rig->b.server = mine;
	assert_int_equal(err.code, AWO_FAILED_PRECONDITION);
	/* the first one is unharmed */
	fd = dial(rig->opt.socket_path);
	assert_true(fd >= 0);
	close(fd);
	/* somebody's who holds no lock */
	snprintf(path, sizeof(path), "%s/other.sock", rig->dir);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_null(second(path, &err));
	rig->b.server = mine;
	assert_non_null(strstr(err.msg, "listens"));
	/* its owner dies: it is stale */
	close(fd);
	s = second(path, &err);
	assert_non_null(s);
	fd = dial(path);
	assert_true(fd >= 0);
	close(fd);
	close_second(s);
	assert_int_equal(stat(path, &st), -1);
	/* what is no socket is left alone */
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	close(fd);
	assert_null(second(path, &err));
	rig->b.server = mine;
	assert_int_equal(stat(path, &st), 0);
	/* longer than an address may be, and with the mode of the configuration */
	snprintf(deep, sizeof(deep), "%s/%0100d", rig->dir, 7);
	assert_int_equal(mkdir(deep, 0700), 0);
	snprintf(deep, sizeof(deep), "%s/%0100d/a.sock", rig->dir, 7);
	free(rig->b.conf->socket_mode);
	rig->b.conf->socket_mode = xstrdup("0622");
	s = second(deep, &err);
	assert_non_null(s);
	assert_int_equal(stat(deep, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0622);
	close_second(s);
}

static void
connections_are_capped_with_a_reason(void **state)
{
	struct caller who = rig_caller(OWNER);
	struct awo_err full = {0};
	struct client *c = xcalloc(1, sizeof(*c));
	int fds[2];

	(void)state;
	(void)ERR(&full, RESOURCE_EXHAUSTED, "", "too many");
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	conn_new(rig->b.server, fds[0], &who, &full);
	*c = (struct client){.r = rig, .fd = fds[1], .notes = json_array()};
	(void)client_ask(c, "system.info", NULL);
	assert_string_equal(client_error(), "resource_exhausted");
	assert_string_equal(client_message(), "too many");
	expect_closed(c);
	assert_int_equal(rig->b.server->nrefused, 0);
	client_free(c);
	/* the real path, with a limit of none */
	if (getuid() != 0) {
		rig->b.server->max_conns = 0;
		c = xcalloc(1, sizeof(*c));
		*c = (struct client){
		    .r = rig, .fd = dial(rig->opt.socket_path), .notes = json_array()};
		(void)client_ask(c, "system.info", NULL);
		assert_string_equal(client_error(), "resource_exhausted");
		client_free(c);
	}
}

static void
without_descriptors_it_pauses(void **state)
{
	struct client *in = xcalloc(1, sizeof(*in)), *shed = xcalloc(1, sizeof(*shed)),
		      *later = xcalloc(1, sizeof(*later));
	struct rlimit old, low;
	int lowest;

	(void)state;
	*in = (struct client){.r = rig, .fd = dial(rig->opt.socket_path), .notes = json_array()};
	assert_non_null(client_ask(in, "workflow.list", NULL));
	*shed = (struct client){.r = rig, .fd = dial(rig->opt.socket_path), .notes = json_array()};
	/* from here on no descriptor is to be had */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	lowest = dup(in->fd);
	close(lowest);
	low = old;
	low.rlim_cur = (rlim_t)lowest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	expect_closed(shed);
	assert_int_equal(rig->b.server->turned_away, 1);
	assert_non_null(client_ask(in, "workflow.list", NULL));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	*later = (struct client){.r = rig, .fd = dial(rig->opt.socket_path), .notes = json_array()};
	assert_non_null(client_ask(later, "workflow.list", NULL));
	client_free(in);
	client_free(shed);
	client_free(later);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(malformed_input_closes_that_connection_only),
	    T(nesting_and_size_are_bounded),
	    T(random_bytes_do_no_harm),
	    T(requests_may_come_in_pieces_and_in_heaps),
	    T(a_method_that_is_not_there_has_a_neighbour),
	    T(more_than_64_wait_for_their_turn),
	    T(answers_for_peers_that_left_are_thrown_away),
	    T(a_peer_that_only_stopped_sending_gets_its_answers),
	    T(a_peer_that_reads_nothing_does_not_fill_the_memory),
	    T(every_method_is_only_for_whom_the_table_says),
	    T(every_method_is_only_possible_in_the_states_of_the_table),
	    T(another_users_order_is_like_none),
	    T(prefixes_are_of_visible_orders),
	    T(an_end_is_told_when_it_is_durable),
	    T(watch_has_no_gap_and_no_duplicate),
	    T(a_slow_reader_is_cut_off_and_can_resume),
	    T(streams_are_filtered_stopped_and_counted),
	    T(events_are_replayed_and_followed_by_those_who_may),
	    T(stopping_ends_streams_and_waits_for_answers),
	    T(the_kernel_says_who_calls),
	    T(names_come_from_files),
	    T(who_is_not_connected_is_judged_by_the_files),
	    T(a_live_socket_is_refused_and_a_stale_one_replaced),
	    T(connections_are_capped_with_a_reason),
	    T(without_descriptors_it_pauses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
