#ifndef LABEL_H
#define LABEL_H

#include <stddef.h>

#define LABEL_SIZE 16

struct label {
	char text[LABEL_SIZE];
	int price;
};

struct shelf {
	char name[LABEL_SIZE];
	struct label labels[4];
	size_t count;
};

/* Texts that do not fit are cut. */
void label_set(struct label *label, const char *text, int price);
/* Writes at most size bytes, the final 0 among them. */
void label_copy(char *out, size_t size, const struct label *label);

void shelf_name(struct shelf *shelf, const char *name);
/* 0 when the shelf is full. */
int shelf_add(struct shelf *shelf, const char *text, int price);

#endif
