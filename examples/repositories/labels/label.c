#include "label.h"

#include <stdio.h>
#include <string.h>

void label_set(struct label *label, const char *text, int price)
{
	strcpy(label->text, text);
	label->price = price;
}

void label_copy(char *out, size_t size, const struct label *label)
{
	if (size == 0)
		return;
	strcpy(out, label->text);
}
