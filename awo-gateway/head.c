/* The head of a request: what two programs on its way could read in two ways is refused. */
#include "awo-gateway/head.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include <event2/keyvalq_struct.h>

#define LENGTH_DIGITS 10

/* RFC 9110, 5.6.2: above all no space, which some read over and others take for a part of the name.
 */
static bool
is_token(const char *s)
{
	static const char chars[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~";

	return *s != '\0' && s[strspn(s, chars)] == '\0';
}

static bool
is_length(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n > 0 && n <= LENGTH_DIGITS && s[n] == '\0';
}

const char *
head_fault(const struct evkeyvalq *headers, bool is_head)
{
	/* of these the first would count here, and perhaps the last elsewhere */
	static const char *const once[] = {
	    "Host", "Content-Length", "Transfer-Encoding", "Authorization", "Origin"};
	unsigned seen = 0;
	const struct evkeyval *h;

	TAILQ_FOREACH(h, headers, next)
	{
		if (!is_token(h->key))
			return "the name of a header holds what may not stand there";
		for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
			if (strcasecmp(h->key, once[i]) != 0)
				continue;
			if ((seen & 1U << i) != 0)
				return "Host, Content-Length, Transfer-Encoding, Authorization and "
				       "Origin "
				       "may be given once";
			seen |= 1U << i;
		}
		if (strcasecmp(h->key, "Content-Length") == 0 && !is_length(h->value))
			return "Content-Length must be a number";
		/* evhttp takes any other for none, and the body for the next request */
		if (strcasecmp(h->key, "Transfer-Encoding") == 0 &&
		    strcasecmp(h->value, "chunked") != 0)
			return "the only Transfer-Encoding that is understood is chunked";
		if (is_head && (strcasecmp(h->key, "Transfer-Encoding") == 0 ||
				   (strcasecmp(h->key, "Content-Length") == 0 &&
				       strspn(h->value, "0") != strlen(h->value))))
			return "a HEAD request has no body";
	}
	return NULL;
}
