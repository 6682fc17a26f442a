/* A program's own log, on standard error: structured lines, as JSON or as text for people. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdint.h>

enum log_lvl { LOG_LVL_DEBUG = 1, LOG_LVL_INFO, LOG_LVL_WARNING, LOG_LVL_ERROR };	/* as enum p_log_level */
enum log_fmt { LOG_FMT_TEXT, LOG_FMT_JSON };

struct log_field {
	const char *key;
	enum { LOG_F_END, LOG_F_STR, LOG_F_INT, LOG_F_DBL } kind;
	const char *s;
	int64_t i;
	double d;
};

/* program: "awod", static. Under systemd (JOURNAL_STREAM) text lines get the <n> priority prefix and no time. */
void log_open(const char *program, enum log_fmt fmt, enum log_lvl lvl);
void log_set(enum log_fmt fmt, enum log_lvl lvl);
void log_write(enum log_lvl lvl, const char *event, const struct log_field *fields);

/* log_info("socket_opened", LS("path", path), LI("mode", mode)): at least one field. Unprintable bytes are escaped. */
#define LS(k, v) ((struct log_field){.key = (k), .kind = LOG_F_STR, .s = (v)})
#define LI(k, v) ((struct log_field){.key = (k), .kind = LOG_F_INT, .i = (int64_t)(v)})
#define LD(k, v) ((struct log_field){.key = (k), .kind = LOG_F_DBL, .d = (v)})
#define LOG_AT(lvl, event, ...) log_write((lvl), (event), (const struct log_field[]){__VA_ARGS__, {.key = NULL}})
#define log_debug(event, ...) LOG_AT(LOG_LVL_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...) LOG_AT(LOG_LVL_INFO, event, __VA_ARGS__)
#define log_warning(event, ...) LOG_AT(LOG_LVL_WARNING, event, __VA_ARGS__)
#define log_error(event, ...) LOG_AT(LOG_LVL_ERROR, event, __VA_ARGS__)

#endif
