/* How long things took, counted in classes. */
#ifndef COMMON_HISTOGRAM_H
#define COMMON_HISTOGRAM_H

#include <jansson.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS 16

/* Zero-initialised is empty. */
struct histogram {
	uint64_t count[HISTOGRAM_BOUNDS + 1]; /* of each class alone; the last has no upper bound */
	double sum;
};

void histogram_add(struct histogram *h, double seconds);
/* {"0.001": 3, ..., "+Inf": 5, "sum": 0.25}: how many took at most so many seconds. New reference.
 */
json_t *histogram_json(const struct histogram *h);

#endif
