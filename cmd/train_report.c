/* l2-train: what a run says: a log of JSON lines with TRL's names, lines for people, the summary.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "train.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "common/progress.h"
#include "common/report.h"

int l2_train_report_step(struct l2_train *t, const struct l2_step *step, struct l2_err *err)
{
    const struct l2_losses *s = &step->sums;
    struct l2_data_counts counts;
    uint64_t n = l2_trainer_steps(t->trainer);
    double seconds = l2_seconds() - t->started, rate;
    t->rows += step->rows;
    rate = seconds > 0 ? (double)t->rows / seconds : 0;
    l2_data_get_counts(t->data, &counts);
    double left = (double)(t->total > n ? t->total - n : 0) * seconds / (double)(n - t->first_step);
    if (t->has_rapl)
        l2_rapl_update(&t->rapl);
    json_t *o = json_object();
    l2_report_count(o, "step", n);
    l2_report_real(o, "loss", s->loss / (double)s->n);
    l2_report_real(o, "grad_norm", step->grad_norm);
    l2_report_real(o, "learning_rate", step->lr);
    l2_report_real(o, "epoch", l2_data_epochs(t->data));
    l2_report_count(o, "num_tokens", counts.tokens);
    l2_report_real(o, "tokens_per_second", rate);
    if (t->kind == L2_DATA_PAIRS) {
        l2_report_real(o, "accuracy", s->right / (double)s->n);
        l2_report_real(o, "margin", s->margin / (double)s->n);
    }
    int r = l2_report_line(t->log, t->opts->log, o, err);
    if (r == L2_OK && (n % (uint64_t)t->opts->log_every == 0 || n == t->total))
        l2_cli_note(t->cli,
                    "step %" PRIu64 " of %" PRIu64
                    ": loss %.4f, gradient %.3f, rate %.3g, %.0f tokens/s, %.1f GFLOP/s, "
                    "%.0f s left",
                    n, t->total, s->loss / (double)s->n, step->grad_norm, step->lr, rate,
                    rate * t->flops_per_row / 1e9, left);
    return r;
}

int l2_train_report_sample(struct l2_train *t, const char *text, size_t n, struct l2_err *err)
{
    json_t *o = json_object(), *value = json_stringn(n > 0 ? text : "", n);
    char *shown = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    if (!value) { /* a vocabulary whose pieces are no UTF-8 */
        json_decref(o);
        return L2_OK;
    }
    if (shown)
        l2_cli_note(t->cli, "step %" PRIu64 ": sample %s", l2_trainer_steps(t->trainer), shown);
    free(shown);
    l2_report_count(o, "step", l2_trainer_steps(t->trainer));
    json_object_set_new(o, "sample", value);
    return l2_report_line(t->log, t->opts->log, o, err);
}

/* The paper's table 2: power times time, times what the building takes besides (PUE);
 * CO2-equivalent by what a kWh stands for. --watts comes before the counters of the processor. */
void l2_train_report_energy(struct l2_train *t)
{
    const struct l2_train_opts *o = t->opts;
    double hours = (l2_seconds() - t->started) / 3600, kwh = hours * o->watts / 1000;
    if (t->has_rapl) {
        l2_rapl_update(&t->rapl);
        kwh = t->rapl.joules / 3.6e6;
    }
    l2_report_real(t->cli->report, "hours", hours);
    if (!t->has_rapl && o->watts == 0)
        return;
    json_object_set_new(t->cli->report, "energy_from", json_string(t->has_rapl ? "rapl" : "watts"));
    l2_report_real(t->cli->report, "energy_kwh", kwh * o->pue);
    if (o->co2_per_kwh > 0)
        l2_report_real(t->cli->report, "co2_kg", kwh * o->pue * o->co2_per_kwh);
}

static void set_accuracies(json_t *o, const struct l2_losses *l)
{
    l2_report_real(o, "eval_accuracy", l->right / (double)l->n);
    l2_report_real(o, "eval_margin", l->margin / (double)l->n);
    json_t *rated = json_object();
    for (int i = 0; i < L2_N_RATINGS; i++)
        if (l->n_rated[i] > 0)
            l2_report_real(rated, l2_rating_names[i], l->right_rated[i] / (double)l->n_rated[i]);
    if (json_object_size(rated) > 0)
        json_object_set(o, "eval_accuracy_by_rating", rated);
    json_decref(rated);
}

/* NULL where there is nothing to tell, or no memory. */
static json_t *eval_object(const struct l2_train *t)
{
    const struct l2_losses *l = &t->eval;
    json_t *o = l->n > 0 ? json_object() : NULL;
    if (!o)
        return NULL;
    l2_report_count(o, "step", t->evaluated - 1);
    l2_report_real(o, "eval_loss", l->loss / (double)l->n);
    l2_report_count(o, t->kind == L2_DATA_PAIRS ? "eval_pairs" : "eval_targets", l->n);
    if (t->kind == L2_DATA_PAIRS)
        set_accuracies(o, l);
    return o;
}

int l2_train_report_eval(struct l2_train *t, struct l2_err *err)
{
    uint64_t step = t->evaluated - 1;
    const struct l2_losses *l = &t->eval;
    double loss = l->loss / (double)l->n;
    if (l->n == 0)
        return L2_OK;
    if (t->kind == L2_DATA_PAIRS)
        l2_cli_note(t->cli,
                    "step %" PRIu64 ": held-out loss %.4f, accuracy %.4f on %" PRIu64 " pairs",
                    step, loss, l->right / (double)l->n, l->n);
    else
        l2_cli_note(t->cli, "step %" PRIu64 ": held-out loss %.4f, perplexity %.2f", step, loss,
                    exp(loss));
    return l2_report_line(t->log, t->opts->log, eval_object(t), err);
}

void l2_train_summarise_eval(struct l2_train *t)
{
    json_t *o = eval_object(t);
    if (o)
        json_object_update_missing(t->cli->report, o);
    json_decref(o);
}

void l2_train_report_data(struct l2_train *t)
{
    struct l2_data_counts c;
    const struct {
        const char *name;
        uint64_t n;
    } left_out[] = {{"truncated", (l2_data_get_counts(t->data, &c), c.truncated)},
                    {"dropped_overlong", c.dropped_overlong},
                    {"dropped_empty", c.dropped_empty},
                    {"dropped_no_pair", c.dropped_no_pair},
                    {"dropped_equal", c.dropped_equal}};
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (left_out[i].n > 0)
            l2_report_count(t->cli->report, left_out[i].name, left_out[i].n);
    l2_report_count(t->cli->report, "parameters", l2_hparams_parameters(&t->hp));
    l2_report_count(t->cli->report, "examples", c.examples);
    l2_report_count(t->cli->report, "tokens", c.tokens);
    l2_report_real(t->cli->report, "epochs", l2_data_epochs(t->data));
}
