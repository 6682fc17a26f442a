/* How long things took, counted in classes. */
#include "common/histogram.h"

#include <stdio.h>

static const double bounds[HISTOGRAM_BOUNDS] = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 1200, 3600};

void
histogram_add(struct histogram *h, double seconds)
{
	size_t i = 0;

	while (i < HISTOGRAM_BOUNDS && seconds > bounds[i])
		i++;
	h->count[i]++;
	h->sum += seconds;
}

json_t *
histogram_json(const struct histogram *h)
{
	json_t *j = json_object();
	uint64_t total = 0;
	char name[24];

	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		total += h->count[i];
		if (i < HISTOGRAM_BOUNDS)
			snprintf(name, sizeof(name), "%g", bounds[i]);
		else
			snprintf(name, sizeof(name), "+Inf");
		json_object_set_new(j, name, json_integer((json_int_t)total));
	}
	json_object_set_new(j, "sum", json_real(h->sum));
	return j;
}
