/* awoctl: the command line of agent work orders. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "awoctl/ctl.h"

int
main(int argc, char **argv)
{
	struct ctl_line line;
	struct ctl ctl = {.line = &line};
	struct awo_err err = {0};
	struct buf b = {0};
	int status = 0;

	/* widths of characters; everything that awoctl prints is UTF-8 */
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	int bad = ctl_parse(argc, argv, &line, &err);
	term_look(&ctl.out, STDOUT_FILENO, line.no_color);
	term_look(&ctl.err, STDERR_FILENO, line.no_color);
	if (bad < 0) {
		ctl_fail(&ctl, &err);
		status = CTL_EXIT_USAGE;
	} else if (line.version) {
		buf_adds(&b, "awoctl " AWO_VERSION "\n");
		ctl_out(&b);
	} else if (line.help) {
		ctl_print_help(&line, &b);
		ctl_out(&b);
	} else
		status = line.command->run(&ctl);
	client_close(ctl.client);
	ctl_line_free(&line);
	buf_free(&b);
	return status;
}
