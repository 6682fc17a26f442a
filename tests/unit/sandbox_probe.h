/* What a program inside the agent's sandbox does for the tests; selected by its first argument. */
#ifndef TEST_SANDBOX_PROBE_H
#define TEST_SANDBOX_PROBE_H

/* Returns the exit status of `<test> inside <what> ...`. */
int sandbox_probe(int argc, char **argv);

#endif
