#include "label.h"

#include <stdio.h>
#include <string.h>

void shelf_name(struct shelf *shelf, const char *name)
{
	strcpy(shelf->name, name);
}

int shelf_add(struct shelf *shelf, const char *text, int price)
{
	if (shelf->count == sizeof(shelf->labels) / sizeof(shelf->labels[0]))
		return 0;
	label_set(&shelf->labels[shelf->count++], text, price);
	return 1;
}
