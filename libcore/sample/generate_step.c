/* Generation: what goes into one forward pass. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sample/generate_state.h"
#include "sample/lookup.h"

/* Starts completions of records whose prompt was run, earlier records first. */
static int fill_lanes(struct l2_generator *g, struct l2_err *err)
{
    struct l2_gen_flight *next;
    for (struct l2_gen_flight *t = g->head; t && g->pending > 0; t = next) {
        bool started = true;
        next = t->next;
        while (started && g->idle && t->first && t->started < g->opts.n_completions) {
            int rc;
            if (t->first[t->started].id == L2_NO_ID) { /* its first draw failed */
                t->started++;
                g->pending--;
                continue;
            }
            if ((rc = l2_gen_start(g, t, &started, err)) < 0)
                return rc;
        }
    }
    return L2_OK;
}

/* Admits records in order while there are fewer completions in sight than lanes, and one record
 * more, so that lanes that fall free find a prompt that was run. */
static void admit(struct l2_generator *g)
{
    for (struct l2_gen_flight *t = g->head; t && g->n_active + g->pending <= g->n_lanes;
         t = t->next) {
        if (t->finished || t->blocks > 0)
            continue;
        if (!l2_kv_budget_commit(&g->budget, l2_kv_blocks_for(l2_gen_positions(t))))
            break;
        t->blocks = l2_kv_blocks_for(l2_gen_positions(t));
        g->waiting -= g->opts.n_completions;
        g->pending += g->opts.n_completions;
    }
}

static bool prompt_waits(const struct l2_gen_flight *t)
{
    return !t->finished && t->blocks > 0 && t->prompt_fed < t->rec->prompt.n;
}

static bool any_prompt_waits(const struct l2_generator *g)
{
    for (const struct l2_gen_flight *t = g->head; t; t = t->next)
        if (prompt_waits(t))
            return true;
    return false;
}

static void add_lane_row(struct l2_generator *g, struct l2_gen_lane *lane, uint32_t token,
                         uint32_t ahead)
{
    g->rows[g->n_rows++] = (struct l2_row){.token = token, .seq = lane->seq, .wants_output = true};
    g->destinations[g->n_outputs++] = (struct l2_gen_destination){
        .lane = lane, .flight = lane->flight, .ahead = ahead, .token = token};
}

/* Rows of what may come after the lane's last token, as far as the completion has room for them and
 * one more. */
static void add_guesses(struct l2_generator *g, struct l2_gen_lane *lane, uint32_t most)
{
    const struct l2_growing *text = &lane->text;
    const struct l2_u32s *prompt = &lane->flight->rec->prompt;
    uint32_t guesses[L2_GEN_GUESS_ROWS];
    size_t room = text->max_new - text->n - 1;
    size_t n = l2_lookup(prompt->v, prompt->n, text->tokens.v + text->n_before, text->n, guesses,
                         most < room ? most : room);
    for (uint32_t i = 0; i < n; i++)
        add_lane_row(g, lane, guesses[i], i + 1);
}

/* While prompts wait they get a quarter of the rows at least, and all that decoding leaves. Lanes
 * beyond the others sit a batch out, which changes nothing in what they become. */
static void add_lanes(struct l2_generator *g, bool prompts_wait)
{
    uint32_t rows = g->max_rows, outputs = g->max_outputs, guesses = 0;
    if (prompts_wait) {
        rows -= rows / 4 > 0 ? rows / 4 : 1;
        outputs -= 1;
    } else if (g->opts.lookup > 0 && g->n_active > 0) {
        uint32_t most = g->n_lanes < L2_GEN_GUESS_ROWS ? g->n_lanes : L2_GEN_GUESS_ROWS;
        guesses = g->n_active < most ? (most - g->n_active) / g->n_active : 0;
        if (guesses > g->opts.lookup)
            guesses = g->opts.lookup;
    }
    for (struct l2_gen_lane *lane = g->active; lane && g->n_rows < rows && g->n_outputs < outputs;
         lane = lane->next) {
        add_lane_row(g, lane, lane->text.tokens.v[lane->text.tokens.n - 1], 0);
        if (guesses > 0)
            add_guesses(g, lane, guesses);
    }
}

/* Whether the batch runs a longer part of t's beginning, for another record, than is known: then t
 * does better to wait for the next one. */
static bool is_being_run(const struct l2_generator *g, const struct l2_gen_flight *t,
                         uint32_t known)
{
    for (const struct l2_gen_flight *u = g->head; u != t; u = u->next)
        if (!u->finished && u->prompt_fed > u->seq.len &&
            l2_prefix_common(&t->rec->prompt, &u->rec->prompt, u->prompt_fed) > known)
            return true;
    return false;
}

/* Takes what is known of t's prompt but for its last token, and makes room for all of it. *waits:
 * nothing was done. */
static int begin_prompt(struct l2_generator *g, struct l2_gen_flight *t, bool *waits,
                        struct l2_err *err)
{
    const struct l2_u32s *prompt = &t->rec->prompt;
    uint32_t n = (uint32_t)prompt->n - 1;
    *waits = false;
    if (l2_engine_shares_prefixes(g->engine)) {
        *waits = is_being_run(g, t, l2_kv_prefix_find(g->kv, prompt->v, n));
        if (*waits)
            return L2_OK;
        int rc = l2_kv_prefix_share(g->kv, &t->seq, prompt->v, n, err);
        if (rc < 0)
            return rc;
        t->prompt_fed = t->seq.len;
    }
    return l2_kv_seq_reserve(g->kv, &t->seq, n + 1, err);
}

static void add_prompt(struct l2_generator *g, struct l2_gen_flight *t)
{
    while (prompt_waits(t) && g->n_rows < g->max_rows) {
        bool last = t->prompt_fed + 1 == t->rec->prompt.n;
        if (last && g->n_outputs == g->max_outputs)
            return;
        g->rows[g->n_rows++] = (struct l2_row){
            .token = t->rec->prompt.v[t->prompt_fed++], .seq = &t->seq, .wants_output = last};
        if (last)
            g->destinations[g->n_outputs++] = (struct l2_gen_destination){.flight = t};
    }
}

static int add_prompts(struct l2_generator *g, struct l2_err *err)
{
    for (struct l2_gen_flight *t = g->head; t && g->n_rows < g->max_rows; t = t->next) {
        bool waits = false;
        if (!prompt_waits(t))
            continue;
        if (t->seq.n_blocks == 0) {
            int rc = begin_prompt(g, t, &waits, err);
            if (rc < 0)
                return rc;
        }
        if (!waits)
            add_prompt(g, t);
    }
    return L2_OK;
}

/* After the pass: makes known what it ran of prompts. */
static int publish_prompts(struct l2_generator *g, struct l2_err *err)
{
    int rc = L2_OK;
    for (struct l2_gen_flight *t = g->head; t && rc == L2_OK; t = t->next)
        if (!t->finished && t->prompt_fed > t->published) {
            rc = l2_kv_prefix_publish(g->kv, &t->seq, t->rec->prompt.v, (uint32_t)t->prompt_fed,
                                      err);
            t->published = t->prompt_fed;
        }
    return rc;
}

static int deliver(struct l2_generator *g, const float *values, struct l2_err *err)
{
    int rc = L2_OK;
    for (uint32_t i = 0; i < g->n_outputs; i++)
        g->destinations[i].logits = values + (size_t)i * g->hp->vocab_size;
    l2_gen_draw_all(g);
    for (uint32_t i = 0, n; i < g->n_outputs && rc == L2_OK; i += n) {
        const struct l2_gen_destination *d = &g->destinations[i];
        for (n = 1; i + n < g->n_outputs && d[n].ahead > 0; n++)
            ;
        rc = d->lane ? l2_gen_advance(g, d, n, err)
                     : l2_gen_draw_firsts(g, d->flight, d->logits, err);
    }
    return rc;
}

int l2_gen_step(struct l2_worker *w, struct l2_err *err)
{
    struct l2_generator *g = (struct l2_generator *)w;
    const float *values = NULL;
    int rc;
    g->n_rows = 0;
    g->n_outputs = 0;
    if ((rc = fill_lanes(g, err)) < 0)
        return rc;
    admit(g);
    add_lanes(g, any_prompt_waits(g));
    if ((rc = add_prompts(g, err)) < 0)
        return rc;
    if (g->n_rows == 0) /* all that was started has ended with its first token */
        return L2_OK;
    rc = l2_engine_forward(g->engine, g->rows, g->n_rows, L2_OUT_HEAD, &values, err);
    g->n_tokens += g->n_rows;
    if (rc == L2_OK && l2_engine_shares_prefixes(g->engine))
        rc = publish_prompts(g, err);
    return rc == L2_OK ? deliver(g, values, err) : rc;
}
