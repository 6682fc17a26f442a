/* Whether libgit2's archive links with what is absent: everything that its transports pull in. */
#include <git2.h>

int
main(int argc, char **argv)
{
	git_repository *repo = 0;

	return git_libgit2_init() < 0 || (argc > 2 && git_clone(&repo, argv[1], argv[2], 0) < 0);
}
