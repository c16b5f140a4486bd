#include "ring.h"

#include <string.h>

size_t ring_write(struct ring *r, const unsigned char *bytes, size_t n)
{
	size_t tail = (r->head + r->count) % RING_SIZE;

	if (n > RING_SIZE - tail)
		n = RING_SIZE - tail;
	memcpy(r->data + tail, bytes, n);
	r->count += n;
	return n;
}

size_t ring_read(struct ring *r, unsigned char *bytes, size_t n)
{
	size_t i;

	if (n > r->count)
		n = r->count;
	for (i = 0; i < n; i++)
		bytes[i] = r->data[(r->head + i) % RING_SIZE];
	r->head = (r->head + n) % RING_SIZE;
	r->count -= n;
	return n;
}
