/* The job specification that a worker starts with. */
#include "awo-worker/job.h"

#include <string.h>

#include "common/ids.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct awo_err err = {0};
	struct job job;

	if (job_parse(&job, (const char *)data, size, &err) == 0) {
		FUZZ_CHECK(ids_is_order(job.id) && strlen(job.nonce) == 64);
		FUZZ_CHECK(job.nsteps > 0 && job.total_steps >= job.steps[job.nsteps - 1].number);
		for (size_t i = 0; i < job.nsteps; i++)
			FUZZ_CHECK(job_is_name(job.steps[i].name));
		for (size_t i = 0; i < job.nprompts; i++)
			FUZZ_CHECK(job.prompts[i].text != NULL && job.prompts[i].id > 0);
		for (size_t i = 0; i < job.agent.env.n; i++)
			FUZZ_CHECK(strchr(job.agent.env.v[i], '=') != NULL);
		FUZZ_CHECK(job.branch_prefix != NULL && job.branch_id != NULL && job.host != NULL);
		FUZZ_CHECK(job.context != NULL && job.forge.kind != NULL);
	} else {
		FUZZ_CHECK(err.code == AWO_INVALID_ARGUMENT && err.msg[0] != '\0');
	}
	job_free(&job);
	return 0;
}
