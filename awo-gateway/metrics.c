/* Counters in the text format of Prometheus. */
#include "awo-gateway/metrics.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "awo-gateway/connections.h"
#include "awo-gateway/gateway.h"
#include "awo-gateway/sse.h"
#include "common/clean.h"
#include "common/clock.h"

/* What the members of awod's objects are called. */
static const char *const labels[][2] = {
    {"orders", "state"},
    {"rpc_requests_total", "method"},
    {"rpc_errors_total", "code"},
};

static const char *
label_of(const char *metric)
{
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
		if (strcmp(labels[i][0], metric) == 0)
			return labels[i][1];
	return "name";
}

static bool
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

static bool
is_name(const char *s)
{
	return *s != '\0' &&
	       s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] ==
		   '\0';
}

/* What each metric tells; awod's and our own. */
static const char *const helps[][2] = {
    {"build_info", "version of the gateway"},
    {"up", "whether awod answers"},
    {"orders", "orders by state"},
    {"orders_created_total", "orders created since awod started"},
    {"orders_completed_total", "orders that have succeeded since awod started"},
    {"orders_failed_total", "orders that have failed since awod started"},
    {"orders_cancelled_total", "orders that were ended by their owner since awod started"},
    {"orders_retried_total", "attempts after the first since awod started"},
    {"worker_launches_total", "workers started since awod started"},
    {"queue_wait_seconds", "time from an order's creation to its start"},
    {"step_seconds", "time that steps took"},
    {"input_tokens_total", "tokens that agents have read"},
    {"output_tokens_total", "tokens that agents have written"},
    {"cost_usd_total", "cost of agents in dollars, as they say"},
    {"slots", "orders that may run at once"},
    {"slots_used", "orders that run"},
    {"uptime_seconds", "since awod started"},
    {"rpc_requests_total", "requests that awod has had, by method"},
    {"rpc_errors_total", "requests that awod has refused, by code"},
    {"rpc_seconds", "time that awod took to answer a request"},
    {"connections", "connections to awod's socket"},
    {"connections_accepted_total", "connections to awod's socket since it started"},
    {"connections_refused_total", "connections that awod had no room for"},
    {"messages_malformed_total", "messages to awod that could not be read"},
    {"streams", "streams that awod sends"},
    {"streams_overflowed_total", "streams of awod whose reader was too slow"},
    {"requests_in_flight", "requests that awod is answering"},
    {"http_requests_total", "requests that the gateway has had"},
    {"http_answers_total", "answers of the gateway by class of status"},
    {"http_request_seconds", "time that the gateway took to answer a request, streams apart"},
    {"gateway_rpc_seconds", "time that awod took to answer the gateway"},
    {"http_answers_kept_total", "answers about orders that awod was not asked for"},
    {"http_bytes_sent_total", "bytes of answers and streams that the gateway has sent"},
    {"http_connections", "connections to the gateway"},
    {"http_connections_accepted_total", "connections to the gateway since it started"},
    {"http_connections_cut_total", "connections that the gateway ended, over a limit"},
    {"sse_readers", "readers of streams"},
    {"sse_readers_total", "readers of streams since the gateway started"},
    {"sse_readers_dropped_total", "readers of streams that took nothing and were cut off"},
    {"sse_lines_total", "lines that streams had since the gateway started"},
    {"awod_connections_lost_total", "times that the gateway lost awod"},
    {"gateway_uptime_seconds", "since the gateway started"},
};

static void
head(struct buf *b, const char *name, const char *type)
{
	const char *help = "of awod; system.metrics";

	for (size_t i = 0; i < sizeof(helps) / sizeof(helps[0]); i++)
		if (strcmp(helps[i][0], name) == 0)
			help = helps[i][1];
	buf_printf(b, "# HELP awo_%s %s\n# TYPE awo_%s %s\n", name, help, name, type);
}

/* A label's value: backslash, quote and line end are escaped. */
static void
add_label(struct buf *b, const char *value)
{
	for (; *value != '\0'; value++) {
		if (*value == '\\' || *value == '"')
			buf_addc(b, '\\');
		if (*value == '\n')
			buf_adds(b, "\\n");
		else
			buf_addc(b, *value);
	}
}

static void
sample(struct buf *b, const char *name, const char *label, const char *value, double number)
{
	buf_printf(b, "awo_%s", name);
	if (label != NULL) {
		buf_printf(b, "{%s=\"", label);
		add_label(b, value);
		buf_adds(b, "\"}");
	}
	buf_printf(b, " %.17g\n", number);
}

static void
counter(struct buf *b, const char *name, uint64_t value)
{
	head(b, name, "counter");
	buf_printf(b, "awo_%s %llu\n", name, (unsigned long long)value);
}

static void
gauge(struct buf *b, const char *name, double value)
{
	head(b, name, "gauge");
	sample(b, name, NULL, "", value);
}

/* Of histogram_json(), awod's or our own: how many took at most so many seconds, and their sum. */
static void
histogram(struct buf *b, const char *name, const json_t *value)
{
	const char *le;
	json_t *v;

	head(b, name, "histogram");
	json_object_foreach((json_t *)(uintptr_t)value, le, v) if (strcmp(le, "sum") != 0)
	    buf_printf(
		b, "awo_%s_bucket{le=\"%s\"} %lld\n", name, le, (long long)json_integer_value(v));
	buf_printf(b, "awo_%s_sum %.6f\nawo_%s_count %lld\n", name,
	    json_number_value(json_object_get(value, "sum")), name,
	    (long long)json_integer_value(json_object_get(value, "+Inf")));
}

static void
awod_metric(struct buf *b, const char *name, const json_t *value)
{
	bool counts =
	    ends_with(name, "_total") || ends_with(name, "_sum") || ends_with(name, "_count");
	const char *key;
	json_t *v;

	if (!is_name(name))
		return;
	if (json_object_get(value, "+Inf") != NULL) {
		histogram(b, name, value);
		return;
	}
	if (!json_is_number(value) && !json_is_object(value))
		return;
	head(b, name, counts ? "counter" : "gauge");
	if (json_is_number(value)) {
		sample(b, name, NULL, "", json_number_value(value));
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)value, key, v) if (json_is_number(v))
	    sample(b, name, label_of(name), key, json_number_value(v));
}

void
metrics_text(struct buf *b, const struct gateway *g, const json_t *awod)
{
	CLEAN_JSON json_t *http = histogram_json(&g->count.http),
			  *rpc = histogram_json(&g->count.rpc);
	const char *key;
	json_t *v;

	head(b, "build_info", "gauge");
	buf_adds(b, "awo_build_info{version=\"" AWO_VERSION "\"} 1\n");
	gauge(b, "up", awod != NULL);
	json_object_foreach((json_t *)(uintptr_t)awod, key, v) awod_metric(b, key, v);
	counter(b, "http_requests_total", g->count.requests);
	head(b, "http_answers_total", "counter");
	for (int i = 2; i < 6; i++)
		buf_printf(b, "awo_http_answers_total{class=\"%dxx\"} %llu\n", i,
		    (unsigned long long)g->count.by_status[i]);
	histogram(b, "http_request_seconds", http);
	histogram(b, "gateway_rpc_seconds", rpc);
	counter(b, "http_answers_kept_total", g->count.kept_sent);
	counter(b, "http_bytes_sent_total", g->count.bytes_sent);
	gauge(b, "http_connections", (double)connections_count(g));
	counter(b, "http_connections_accepted_total", g->count.connections);
	counter(b, "http_connections_cut_total", g->count.connections_cut);
	gauge(b, "sse_readers", (double)sse_readers(g));
	counter(b, "sse_readers_total", g->count.sse_opened);
	counter(b, "sse_readers_dropped_total", g->count.sse_dropped);
	counter(b, "sse_lines_total", g->count.sse_lines);
	counter(b, "awod_connections_lost_total", g->count.backend_lost);
	gauge(b, "gateway_uptime_seconds", (double)(clock_wall_us() - g->started_us) / 1e6);
}
