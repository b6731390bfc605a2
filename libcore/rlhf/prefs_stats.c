/* What the paper's table 6 counts of preference pairs. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "rlhf/prefs.h"

struct counter {
    struct l2_pref_stats *stats;
    struct l2_encoder *encoder;
    struct l2_ids *ids;
};

static int count_text(const struct counter *c, const char *s, size_t n, uint64_t *tokens,
                      struct l2_err *err)
{
    c->ids->n = 0;
    int r = c->encoder ? l2_encode(c->encoder, s, n, 0, c->ids, err) : L2_OK;
    *tokens += c->ids->n;
    return r;
}

/* Adds a side's messages; those of the user are turns where turns. */
static int count_side(const struct counter *c, const struct l2_side *side, bool prompt, bool turns,
                      struct l2_err *err)
{
    struct l2_pref_stats *s = c->stats;
    size_t i;
    json_t *turn;
    int r = L2_OK;
    if (!side->turns) {
        *(prompt ? &s->prompts : &s->responses) += 1;
        s->turns += prompt && turns;
        return count_text(c, side->s ? side->s : "", side->n,
                          prompt ? &s->prompt_tokens : &s->response_tokens, err);
    }
    json_array_foreach(side->turns, i, turn)
    {
        const json_t *content = json_object_get(turn, "content");
        const char *role = json_string_value(json_object_get(turn, "role"));
        bool answer = role && strcmp(role, "assistant") == 0;
        bool user = role && strcmp(role, "user") == 0;
        *(answer ? &s->responses : &s->prompts) += answer || user;
        s->turns += user && turns;
        r = count_text(c, json_string_value(content), json_string_length(content),
                       answer ? &s->response_tokens : &s->prompt_tokens, err);
        if (r != L2_OK)
            return r;
    }
    return r;
}

int l2_pref_stats_row(struct l2_pref_stats *s, const struct l2_row *row, struct l2_encoder *encoder,
                      struct l2_ids *ids, struct l2_err *err)
{
    const struct counter c = {s, encoder, ids};
    uint64_t before = s->prompt_tokens + s->response_tokens;
    int r = count_side(&c, &row->prompt, true, true, err);
    uint64_t prompt = s->prompt_tokens + s->response_tokens;
    for (size_t i = 0; i < 2 && r == L2_OK; i++)
        r = count_side(&c, &row->completions[i], false, i == 0, err);
    uint64_t all = s->prompt_tokens + s->response_tokens;
    s->comparisons++;
    s->example_tokens += (double)(prompt - before) + (double)(all - prompt) / 2;
    return r;
}

void l2_pref_stats_record(struct l2_pref_stats *s, const struct l2_record *rec)
{
    uint64_t answers = 0, last = rec->completions[0].tokens.n + rec->completions[1].tokens.n;
    size_t n_turns = rec->spans.n / 2 + 1;
    for (size_t i = 0; i + 1 < rec->spans.n; i += 2)
        answers += rec->spans.v[i + 1] - rec->spans.v[i];
    s->comparisons++;
    s->turns += n_turns;
    s->prompts += n_turns;
    s->prompt_tokens += rec->prompt.n - answers;
    s->responses += n_turns - 1 + 2;
    s->response_tokens += answers + last;
    s->example_tokens += (double)rec->prompt.n + (double)last / 2;
}
