/* A real server and store in a temporary directory, with an engine that the test plays, and clients
 * that say anything. */
#ifndef TESTS_AWOD_SERVER_RIG_H
#define TESTS_AWOD_SERVER_RIG_H

#include "tests/unit/cmocka_all.h"

#include <event2/event.h>
#include <jansson.h>

#include "awod/server_priv.h"

#define OWNER 1234U /* an ordinary user */
#define OTHER 4321U /* another one */

struct held {
	engine_done *done;
	void *arg;
	char id[12];
};

struct rig {
	struct event_base *base;
	struct options opt;
	struct broker b;
	char dir[64];
	/* the engine's part */
	struct order_row *orders[64];
	size_t norders;
	bool hold; /* cancels are answered by rig_release() */
	struct held held[256];
	size_t nheld;
	char verb[32]; /* of the last task */
	uint32_t program, flags, task_owner, asked_by;
	json_t *request;
	json_t *task_answer; /* what the next tasks answer */
	struct awo_err task_err;
	unsigned tasks, reloads;
	const char *forge_token;
	const char *settling; /* the order whose end is being committed */
};

struct client {
	struct rig *r;
	int fd;
	struct buf in;
	uint32_t next_id;
	json_t *notes; /* [{method, params}] that have come */
	bool closed;
};

extern struct rig *rig; /* of the running test */

int rig_setup(void **state); /* user mode off: callers are what the test says */
int rig_teardown(void **state);
void rig_turn(void); /* one round of the loop */
#define rig_until(cond)                                                                            \
	do {                                                                                       \
		for (int turns_ = 0; !(cond) && turns_ < 20000; turns_++)                          \
			rig_turn();                                                                \
		assert_true(cond);                                                                 \
	} while (0)

/* An order that store and engine know. */
struct order_row *rig_order(const char *id, uint32_t uid, enum p_order_status status);
void rig_log(
    const char *id, const char *text, size_t len); /* appends to its log and tells the server */
int rig_log_fd(const char *id);
void rig_release(size_t n); /* answers the first held cancels */

struct caller rig_caller(uint32_t uid);
struct client *client_new(uint32_t uid); /* connected as that uid; 0 is an administrator */
struct client *client_as(const struct caller *who);
void client_free(struct client *c);
void client_raw(struct client *c, const void *p, size_t n); /* any bytes */
/* Sends a request; params (may be NULL) is taken. Returns its id. */
uint32_t client_request(struct client *c, const char *method, json_t *params);
/* The response to a request: {"result": ...} or {"error": ...}; NULL when the connection was closed
 * first. */
json_t *client_response(struct client *c, uint32_t id);
json_t *client_poll(
    struct client *c, uint32_t id); /* the same when it is there already, without waiting */
/* Both: the result, or NULL and (when not NULL) the error's code in code. Kept until the next call.
 */
json_t *client_ask(struct client *c, const char *method, json_t *params);
const char *client_error(void);	  /* code of the last answer, "" when it was none */
const char *client_message(void); /* its message */
const char *client_field(void);
json_t *client_errors(void);	  /* all fields that are wrong, NULL when they are not several */
void client_read(struct client *c); /* takes in what is there */
void json_to_msgpack(struct buf *b, const json_t *v);
const char *text(const json_t *object, const char *key);
int64_t number(const json_t *object, const char *key);

#endif
