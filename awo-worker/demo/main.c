/* awo-demo-agent: takes claude's command line and a prompt, and plays an agent that needs no model.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awo-worker/demo/demo.h"
#include "common/clean.h"
#include "common/files.h"

#define PROMPT_MAX ((size_t)16 << 20)

enum { O_FORMAT = 256, O_VERBOSE, O_MODEL, O_TURNS, O_SESSION, O_SKIP, O_MODE };

/* clang-format off */
static const struct option options[] = {
	{"print", no_argument, NULL, 'p'},
	{"output-format", required_argument, NULL, O_FORMAT},
	{"verbose", no_argument, NULL, O_VERBOSE},
	{"model", required_argument, NULL, O_MODEL},
	{"max-turns", required_argument, NULL, O_TURNS},
	{"resume", required_argument, NULL, 'r'},
	{"session-id", required_argument, NULL, O_SESSION},
	{"dangerously-skip-permissions", no_argument, NULL, O_SKIP},
	{"permission-mode", required_argument, NULL, O_MODE},
	{"version", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{0},
};
/* clang-format on */

static void
help(void)
{
	size_t n;
	const struct demo_step *s = steps_all(&n);

	printf(
	    "usage: awo-demo-agent --print --output-format stream-json --verbose [--model NAME]\n"
	    "           [--max-turns N] [--resume ID | --session-id ID] "
	    "[--dangerously-skip-permissions]\n"
	    "       awo-demo-agent --version | --help\n"
	    "\n"
	    "Plays a coding agent without a model: reads a prompt from standard input, works in "
	    "the current\n"
	    "directory with the git program, and speaks the stream format of the claude program. "
	    "It tells\n"
	    "the steps of a work order by the title of their prompts:\n");
	for (size_t i = 0; i < n; i++)
		printf("  %-14s %s\n", s[i].name, s[i].title ? s[i].title : "any other text");
	printf("\n"
	       "Sessions and notes are kept in $HOME/.demo-agent. Lines of the request make it "
	       "misbehave in\n"
	       "every step, or in one: \"demo@execute: hang\". Those of a free prompt hold for "
	       "that prompt.\n");
	misbehave_help();
}

static _Noreturn void
usage_error(const char *text)
{
	fprintf(stderr, "Error: %s\n", text);
	exit(1);
}

int
main(int argc, char **argv)
{
	struct demo d = {.model = "awo-demo", .state_fd = -1};
	const char *resume = NULL, *session = NULL, *format = "text";
	bool print = false, verbose = false;
	char *last CLEAN_FREE = NULL;
	char *end;
	int c;

	clock_gettime(CLOCK_MONOTONIC, &d.start);
	while ((c = getopt_long(argc, argv, "pr:vh", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			print = true;
			break;
		case 'r':
			resume = optarg;
			break;
		case O_FORMAT:
			format = optarg;
			break;
		case O_VERBOSE:
			verbose = true;
			break;
		case O_MODEL:
			d.model = optarg;
			break;
		case O_SESSION:
			session = optarg;
			break;
		case O_SKIP:
		case O_MODE:
			break;
		case O_TURNS:
			errno = 0;
			d.max_turns = strtoul(optarg, &end, 10);
			if (errno || *end || optarg[0] < '1' || optarg[0] > '9')
				usage_error("--max-turns takes a number from 1");
			break;
		case 'v':
			puts(AWO_VERSION " (AWO demonstration agent)");
			return 0;
		case 'h':
			help();
			return 0;
		default:
			return 1;
		}
	}
	if (optind < argc)
		usage_error("the prompt is read from standard input");
	if (!print || strcmp(format, "stream-json") != 0)
		usage_error("only --print --output-format stream-json is supported");
	if (!verbose)
		usage_error("When using --print, --output-format=stream-json requires --verbose");
	signals_set_up();
	d.prompt = files_read_fd(STDIN_FILENO, PROMPT_MAX, &d.prompt_len);
	if (!d.prompt)
		usage_error(strerror(errno));
	if (d.prompt[strspn(d.prompt, " \t\r\n")] == '\0')
		usage_error("Input must be provided through stdin when using --print");
	session_open_state(&d);
	d.step = steps_recognise(d.prompt);
	if (resume && !session_resume(&d, resume)) {
		char *text = xasprintf("No conversation found with session ID: %s", resume);

		fprintf(stderr, "%s\n", text);
		stream_fail(&d, "error_during_execution", text);
	}
	if (!resume && !session_begin(&d, session))
		usage_error("the session ID is not valid or already in use");
	stream_init(&d);
	misbehave_remember(&d);
	misbehave(&d);
	last = d.told.false_success ? xstrdup("Everything is done.") : d.step->run(&d);
	stream_success(&d, last);
	/* nothing is buffered; a leak checker's exit handler would need ptrace, which no sandbox
	 * allows */
	_exit(0);
}
