/* Fuzz target: rules for l2-clean in YAML; those that are taken are applied to texts. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "clean/cleaner.h"
#include "fuzz.h"
#include "util/utf8.h"

static const char *const texts[] = {
    "",
    "The cat sat on the mat.\n\nThe cat sat on the mat.\n",
    "<p>a &amp; b</p> 1234 5678 \x1b[1mX\x08X x@y.example aaaaaaaaaaaaaaaaaaaaaaaaaaaaab\r\n",
    "\xc3\xa4\xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x98\x80 \xd0\x90\xd0\xb1 bad \xff\xc3 bytes",
    "The cat sat on the mat.\n\nThe cat sat on the mat.\n",
};

static void clean(const struct l2_rules *rules)
{
    struct l2_cleaner_settings s = {.rules = rules, .memory = 1 << 16, .examples = 2};
    struct l2_cleaner *c;
    struct l2_cleaned out;
    struct l2_buf table = {0};
    struct l2_err err;
    if (l2_cleaner_new(&c, &s, &err) != L2_OK) {
        FUZZ_CHECK(err.code == L2_UNSUPPORTED);
        return;
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        FUZZ_CHECK(l2_cleaner_clean(c, "id", texts[i], strlen(texts[i]), &out, &err) == L2_OK);
        FUZZ_CHECK(!out.keep || l2_utf8_valid(out.text, out.n, NULL));
        FUZZ_CHECK(out.keep == !out.why);
    }
    json_t *report = l2_cleaner_report(c);
    FUZZ_CHECK(report && l2_clean_table(report, &table, &err) == L2_OK && table.len > 0);
    json_decref(report);
    l2_buf_release(&table);
    l2_cleaner_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct l2_rules rules;
    struct l2_err err;
    l2_rules_init(&rules);
    int r = l2_rules_parse(&rules, (const char *)data, n, "rules", &err);
    FUZZ_CHECK(r == L2_OK || err.text[0] != '\0');
    if (r == L2_OK)
        clean(&rules);
    l2_rules_release(&rules);
    return 0;
}
