#ifndef RING_H
#define RING_H

#include <stddef.h>

#define RING_SIZE 8

struct ring {
	unsigned char data[RING_SIZE];
	size_t head;  /* where the next byte is read */
	size_t count; /* bytes stored */
};

/* Stores up to n bytes and returns how many it stored. */
size_t ring_write(struct ring *r, const unsigned char *bytes, size_t n);

/* Takes up to n bytes out and returns how many it took. */
size_t ring_read(struct ring *r, unsigned char *bytes, size_t n);

#endif
