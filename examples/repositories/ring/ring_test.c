#include <stdio.h>
#include <string.h>

#include "ring.h"

static int failures;

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s: failed: %s\n", __FILE__, __LINE__, __func__, #condition); \
			failures++; \
		} \
	} while (0)

static void reads_what_was_written(void)
{
	struct ring r = {0};
	unsigned char out[RING_SIZE];

	CHECK(ring_write(&r, (const unsigned char *)"abc", 3) == 3);
	CHECK(ring_read(&r, out, sizeof(out)) == 3);
	CHECK(memcmp(out, "abc", 3) == 0);
}

static void wraps_around_the_end(void)
{
	struct ring r = {0};
	unsigned char out[RING_SIZE];

	ring_write(&r, (const unsigned char *)"abcdef", 6);
	ring_read(&r, out, 4);
	CHECK(ring_write(&r, (const unsigned char *)"ghijkl", 6) == 6);
	CHECK(ring_read(&r, out, sizeof(out)) == 8);
	CHECK(memcmp(out, "efghijkl", 8) == 0);
}

static void stores_only_what_fits(void)
{
	struct ring r = {0};
	unsigned char out[RING_SIZE];

	CHECK(ring_write(&r, (const unsigned char *)"abcdefghij", 10) == RING_SIZE);
	CHECK(ring_write(&r, (const unsigned char *)"k", 1) == 0);
	CHECK(ring_read(&r, out, sizeof(out)) == RING_SIZE);
	CHECK(memcmp(out, "abcdefgh", RING_SIZE) == 0);
}

int main(void)
{
	reads_what_was_written();
	wraps_around_the_end();
	stores_only_what_fits();
	if (failures == 0)
		puts("all tests passed");
	return failures != 0;
}
