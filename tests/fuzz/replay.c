/*
 * Runs a fuzz target without libFuzzer: over the files and directories that are named, then over
 * inputs made from them, the same ones each time.
 */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clean.h"
#include "common/files.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX ((size_t)1 << 20) /* of a file */
#define MADE_MAX ((size_t)64 << 10) /* of an input that is made */
#define CHANGES_MAX 8

struct input {
	char *name, *p;
	size_t len;
};

static struct input *inputs;
static size_t ninputs;

/* What runs, for the last words. */
static struct {
	const char *program, *name;
	const uint8_t *p;
	size_t len;
} now;

/* ---- when it ends badly: last words are worth a try; NOLINTBEGIN(bugprone-signal-handler) */

static void
keep_input(void)
{
	char path[256];
	ssize_t n;
	int fd;

	if (now.p == NULL)
		return;
	snprintf(path, sizeof(path), "crash-%s-%d", now.program, (int)getpid());
	fprintf(stderr, "the input, made from %s, is kept as %s\n", now.name, path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	n = fd < 0 ? -1 : write(fd, now.p, now.len);
	if (n != (ssize_t)now.len)
		perror(path);
	now.p = NULL;
}

static void
on_signal(int sig)
{
	keep_input();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* NOLINTEND(bugprone-signal-handler) */
/* Of the sanitizers' library, where that is linked; NOLINTNEXTLINE(bugprone-reserved-identifier) */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void
watch_for_the_end(void)
{
	static const int signals[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGALRM};

	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(keep_input);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		/* the sanitizers' own handlers tell more */
		if (__sanitizer_set_death_callback == NULL || signals[i] == SIGABRT ||
		    signals[i] == SIGALRM)
			signal(signals[i], on_signal);
	}
}

/* ---- the inputs */

static void
add_file(const char *path)
{
	struct input in = {.name = xstrdup(path)};

	in.p = files_read(AT_FDCWD, path, INPUT_MAX, &in.len);
	if (in.p == NULL) {
		perror(path);
		exit(2);
	}
	inputs = xrealloc(inputs, ninputs + 1, sizeof(*inputs));
	inputs[ninputs++] = in;
}

static int
is_shown(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* In the order of their names, so that what is made of them is the same everywhere. */
static void
add(const char *path)
{
	struct dirent **names = NULL;
	struct stat st;
	int n;

	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
		add_file(path);
		return;
	}
	n = scandir(path, &names, is_shown, alphasort);
	for (int i = 0; i < n; i++) {
		CLEAN_FREE char *file = xasprintf("%s/%s", path, names[i]->d_name);

		add_file(file);
		free(names[i]);
	}
	free(names);
}

static void
run(const char *name, const char *p, size_t len)
{
	/* a block of its own, as large as the input */
	uint8_t *copy = malloc(len > 0 ? len : 1);

	FUZZ_CHECK(copy != NULL);
	if (len > 0)
		memcpy(copy, p, len);
	now.name = name;
	now.p = copy;
	now.len = len;
	alarm(30);
	(void)LLVMFuzzerTestOneInput(copy, len);
	alarm(0);
	now.p = NULL;
	free(copy);
}

/* ---- making more */

static uint64_t state;

/* 0 to n - 1. */
static size_t
pick(size_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (size_t)(state >> 11) % n;
}

static void
insert(struct buf *b, size_t at, const char *p, size_t n)
{
	CLEAN_BUF struct buf tail = {0};

	buf_add(&tail, b->len > 0 ? b->p + at : "", b->len - at);
	b->len = at;
	buf_add(b, p, n);
	buf_add(b, tail.p != NULL ? tail.p : "", tail.len);
}

static void
erase(struct buf *b, size_t at, size_t n)
{
	memmove(b->p + at, b->p + at + n, b->len - at - n);
	b->len -= n;
}

static void
change(struct buf *b)
{
	static const unsigned char odd[] = {
	    0, 1, '\n', ' ', '"', '-', '/', ':', '[', '{', 0x7f, 0x80, 0xc2, 0xdd, 0xfe, 0xff};
	const struct input *other = &inputs[pick(ninputs)];
	size_t at = b->len > 0 ? pick(b->len) : 0, n = b->len > 0 ? 1 + pick(b->len - at) : 0;
	CLEAN_BUF struct buf part = {0};
	char c;

	if (n > 64 && pick(4) != 0)
		n = 1 + pick(64);
	switch (b->len > 0 ? pick(8) : 3) {
	case 0:
		b->p[at] = (char)(b->p[at] ^ (1 << pick(8)));
		break;
	case 1:
		b->p[at] = (char)odd[pick(sizeof(odd))];
		break;
	case 2:
		b->p[at] = (char)((unsigned char)b->p[at] + (pick(2) ? 1U : 255U));
		break;
	case 3:
		c = (char)(pick(2) ? odd[pick(sizeof(odd))] : pick(256));
		insert(b, at, &c, 1);
		break;
	case 4:
		erase(b, at, n);
		break;
	case 5:
		buf_add(&part, b->p + at, n);
		insert(b, pick(b->len), part.p, part.len);
		break;
	case 6:
		if (other->len > 0) {
			size_t from = pick(other->len), m = 1 + pick(other->len - from);

			insert(b, at, other->p + from, m > 64 && pick(2) ? 64 : m);
		}
		break;
	default:
		/* a digit more makes numbers leave their range */
		c = (char)('0' + pick(10));
		insert(b, at, &c, 1);
		break;
	}
	if (b->len > MADE_MAX)
		b->len = MADE_MAX;
}

static void
run_made(unsigned long runs)
{
	for (unsigned long i = 0; i < runs && ninputs > 0; i++) {
		const struct input *in = &inputs[pick(ninputs)];
		CLEAN_BUF struct buf b = {0};

		buf_add(&b, in->p, in->len < MADE_MAX ? in->len : MADE_MAX);
		for (size_t n = 1 + pick(CHANGES_MAX); n > 0; n--)
			change(&b);
		run(in->name, b.p != NULL ? b.p : "", b.len);
	}
}

static void
usage(const char *program)
{
	fprintf(stderr,
	    "usage: %s [-r RUNS] [-s SEED] FILE|DIRECTORY...\n"
	    "  -r RUNS  so many inputs are made from the given ones and run\n"
	    "  -s SEED  other ones\n",
	    program);
	exit(2);
}

int
main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	unsigned long runs = 0, seed = 1;
	int c;

	while ((c = getopt(argc, argv, "r:s:")) != -1) {
		if (c == 'r')
			runs = strtoul(optarg, NULL, 10);
		else if (c == 's')
			seed = strtoul(optarg, NULL, 10);
		else
			usage(argv[0]);
	}
	if (optind == argc)
		usage(argv[0]);
	now.program = slash != NULL ? slash + 1 : argv[0];
	state = 0x9e3779b97f4a7c15ULL ^ seed;
	watch_for_the_end();
	for (int i = optind; i < argc; i++)
		add(argv[i]);
	run("nothing", "", 0);
	for (size_t i = 0; i < ninputs; i++)
		run(inputs[i].name, inputs[i].p, inputs[i].len);
	run_made(runs);
	printf("%zu inputs, %lu made from them: nothing found\n", ninputs, runs);
	for (size_t i = 0; i < ninputs; i++) {
		free(inputs[i].name);
		free(inputs[i].p);
	}
	free(inputs);
	/* an empty corpus would test nothing */
	return ninputs > 0 ? 0 : 1;
}
