/* l2-train: a text that the model makes while it is trained. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "train.h"

#include <inttypes.h>
#include <string.h>

#include "sample/sampler.h"
#include "text/encode.h"
#include "util/philox.h"

static int begin_text(const struct l2_train *t, const struct l2_vocab *v, struct l2_ids *ids,
                      struct l2_err *err)
{
    const char *prompt = t->opts->sample_prompt;
    uint32_t bos = t->hp.bos != L2_NO_TOKEN ? t->hp.bos : l2_vocab_bos(v);
    struct l2_encoder *e = NULL;
    int r = L2_OK;
    if (bos != L2_NO_ID && bos < t->hp.vocab_size)
        r = l2_ids_append(ids, bos, err);
    if (r != L2_OK || !prompt)
        return r;
    r = l2_encoder_new(&e, v, err);
    if (r == L2_OK)
        r = l2_encode(e, prompt, strlen(prompt), 0, ids, err);
    l2_encoder_free(e);
    return r;
}

static bool is_eos(const struct l2_hparams *hp, uint32_t id)
{
    for (uint32_t i = 0; i < hp->n_eos; i++)
        if (hp->eos[i] == id)
            return true;
    return false;
}

/* Draws tokens one after the other; each is a pass over all before it, which is dear for long
 * samples but needs no cache of a model that changes with every step. */
static int go_on(struct l2_train *t, struct l2_ids *ids, uint32_t n_known, struct l2_err *err)
{
    const struct l2_sampler_opts neutral = l2_sampler_neutral();
    struct l2_philox_key key = l2_philox_key_of(t->opts->seed);
    size_t most = t->trainer_opts.max_rows;
    struct l2_sampler *s;
    int r = l2_sampler_new(&s, &neutral, t->hp.vocab_size, err);
    if (most > t->hp.context)
        most = t->hp.context;
    for (int64_t i = 0; i < t->opts->sample_tokens && ids->n < most && r == L2_OK; i++) {
        const float *logits;
        struct l2_draw draw;
        r = l2_trainer_logits(t->trainer, ids->v, ids->n, &logits, err);
        if (r == L2_OK)
            r = l2_sampler_draw(s, logits, NULL, 0,
                                l2_philox_uniform(key, l2_trainer_steps(t->trainer), ids->n), &draw,
                                err);
        if (r != L2_OK || is_eos(&t->hp, draw.id) || draw.id >= n_known)
            break;
        r = l2_ids_append(ids, draw.id, err);
    }
    l2_sampler_free(s);
    return r;
}

int l2_train_sample(struct l2_train *t, struct l2_err *err)
{
    struct l2_ids ids = {0};
    struct l2_buf text = {0};
    if (!t->vocab)
        return l2_err_at(err, L2_ARGUMENT, t->opts->model, -1,
                         "has no vocabulary, which --sample-every wants");
    int r = begin_text(t, t->vocab, &ids, err);
    if (r == L2_OK && ids.n == 0)
        r = l2_err_set(err, L2_ARGUMENT, "no BOS to begin a sample with: want --sample-prompt");
    if (r == L2_OK && ids.n > t->trainer_opts.max_rows)
        r = l2_err_set(err, L2_ARGUMENT,
                       "--sample-prompt has %zu tokens: the context has room for %u", ids.n,
                       (unsigned)t->trainer_opts.max_rows);
    if (r == L2_OK)
        r = go_on(t, &ids, l2_vocab_size(t->vocab), err);
    if (r == L2_OK)
        r = l2_decode(t->vocab, ids.v, ids.n, false, &text, err);
    if (r == L2_OK)
        r = l2_train_report_sample(t, (const char *)text.data, text.len, err);
    l2_buf_release(&text);
    l2_ids_release(&ids);
    return r;
}
