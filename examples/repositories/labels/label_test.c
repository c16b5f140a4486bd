#include "label.h"

#include <stdio.h>
#include <string.h>

static int failed;

static void expect_text(const char *what, const char *got, const char *wanted)
{
	if (strcmp(got, wanted) == 0)
		return;
	printf("FAIL %s: got \"%s\", wanted \"%s\"\n", what, got, wanted);
	failed = 1;
}

int main(void)
{
	struct label label;
	struct shelf shelf = {"", {{"", 0}}, 0};
	char copy[12];

	label_set(&label, "Green tea", 350);
	expect_text("a text that fits", label.text, "Green tea");
	label_copy(copy, sizeof(copy), &label);
	expect_text("its copy", copy, "Green tea");
	label_copy(copy, 6, &label);
	expect_text("a short copy", copy, "Green");

	if (!shelf_add(&shelf, "Black tea", 300)) {
		printf("FAIL an empty shelf has room\n");
		failed = 1;
	}
	shelf_name(&shelf, "A shelf with far too long a name");
	expect_text("a name that is cut", shelf.name, "A shelf with fa");
	expect_text("what lies behind it", shelf.labels[0].text, "Black tea");
	printf(failed ? "failed\n" : "ok\n");
	return failed;
}
