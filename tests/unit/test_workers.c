/* Unit tests of the reduction: workers that share the work of a step. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "train_fixture.h"

static void test_shards(void **state)
{
    static const size_t sizes[] = {0, 1, 16384, 16385, 100000, 1000003};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (uint32_t n = 1; n < 9; n++) {
            size_t at = 0;
            for (uint32_t w = 0; w < n; w++) {
                struct l2_shard s = l2_reduce_shard(sizes[i], w, n);
                assert_true(s.begin == at && s.end >= at);
                assert_true(s.end == sizes[i] || s.end % L2_REDUCE_RUN == 0);
                at = s.end;
            }
            assert_int_equal(at, sizes[i]);
        }
}

/* Workers that are threads of one process. */
#define MAX_WORKERS 3
struct team {
    pthread_barrier_t barrier;
    uint32_t n;
    void *shown[MAX_WORKERS]; /* what each works on */
};

struct worker {
    struct team *team;
    struct l2_reducer reducer;
    struct l2_data *d;
    struct l2_params *p;
    struct l2_trainer *t;
    struct l2_step step;
    int steps, rc;
};

static void show(struct worker *w, void *v)
{
    w->team->shown[w->reducer.worker] = v;
    (void)pthread_barrier_wait(&w->team->barrier);
}

static int team_sum(void *state, double *v, size_t n, struct l2_err *e)
{
    struct worker *w = state;
    double sums[64] = {0};
    (void)e;
    show(w, v);
    for (uint32_t k = 0; k < w->team->n; k++)
        for (size_t i = 0; i < n; i++)
            sums[i] += ((const double *)w->team->shown[k])[i];
    (void)pthread_barrier_wait(&w->team->barrier);
    memcpy(v, sums, n * sizeof *v);
    return L2_OK;
}

static int team_scatter(void *state, float *v, size_t n, struct l2_err *e)
{
    struct worker *w = state;
    struct l2_shard s = l2_reduce_shard(n, w->reducer.worker, w->team->n);
    (void)e;
    show(w, v);
    for (uint32_t k = 0; k < w->team->n; k++)
        for (size_t i = s.begin; k != w->reducer.worker && i < s.end; i++)
            v[i] += ((const float *)w->team->shown[k])[i];
    (void)pthread_barrier_wait(&w->team->barrier);
    return L2_OK;
}

static int team_gather(void *state, void *v, size_t n, size_t size, struct l2_err *e)
{
    struct worker *w = state;
    (void)e;
    show(w, v);
    for (uint32_t k = 0; k < w->team->n; k++) {
        struct l2_shard s = l2_reduce_shard(n, k, w->team->n);
        if (k != w->reducer.worker)
            memcpy((char *)v + s.begin * size, (const char *)w->team->shown[k] + s.begin * size,
                   (s.end - s.begin) * size);
    }
    (void)pthread_barrier_wait(&w->team->barrier);
    return L2_OK;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct l2_err local;
    for (int i = 0; i < w->steps && w->rc == L2_OK; i++)
        w->rc = l2_trainer_step(w->t, w->d, &w->step, &local);
    return NULL;
}

/* n workers with a model each take steps together. */
static void run_team(struct worker *w, uint32_t n, const struct l2_hparams *hp,
                     const struct l2_trainer_opts *opts, const int *fds)
{
    struct team team = {.n = n};
    pthread_t threads[MAX_WORKERS];
    assert_int_equal(pthread_barrier_init(&team.barrier, NULL, n), 0);
    for (uint32_t i = 0; i < n; i++) {
        struct l2_trainer_opts o = *opts;
        struct l2_data_opts d = train_data_opts(o.kind);
        w[i].team = &team;
        w[i].reducer = (struct l2_reducer){.worker = i,
                                           .n_workers = n,
                                           .state = &w[i],
                                           .sum = team_sum,
                                           .scatter = team_scatter,
                                           .gather = team_gather};
        o.reducer = &w[i].reducer;
        w[i].d = train_data(fds[i], &d);
        w[i].p = train_params(hp, false);
        w[i].t = train_new(w[i].p, &o);
    }
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &w[i]), 0);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&team.barrier);
}

static void release_team(struct worker *w, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        l2_trainer_free(w[i].t);
        l2_data_free(w[i].d);
        l2_params_free(w[i].p);
    }
}

/* Two and three workers do what one does, but for rounding, and have equal parameters: all of them,
 * or adapters. More than one shard each: the model has 40000 values. */
static void test_workers(void **state)
{
    struct l2_hparams hp = train_hp;
    struct l2_trainer_opts o = train_opts(L2_DATA_TEXT);
    int fds[MAX_WORKERS];
    (void)state;
    hp.dim = 64;
    hp.hidden = 96;
    for (int i = 0; i < MAX_WORKERS; i++)
        fds[i] = train_texts(30);
    for (int lora = 0; lora < 2; lora++) {
        o.lora = (struct l2_lora_opts){.rank = lora ? 40 : 0,
                                       .alpha = 8,
                                       .roles = L2_LORA_BIT(L2_T_GATE) | L2_LORA_BIT(L2_T_UP)};
        struct worker one = {.steps = 5};
        run_team(&one, 1, &hp, &o, fds);
        assert_int_equal(one.rc, L2_OK);
        for (uint32_t n = 2; n <= MAX_WORKERS; n++) {
            struct worker w[MAX_WORKERS] = {{.steps = 5}, {.steps = 5}, {.steps = 5}};
            run_team(w, n, &hp, &o, fds);
            const float *a = lora ? one.t->lora->values : one.p->values;
            size_t n_all = lora ? one.t->lora->n : one.p->offset[one.p->n_tensors];
            assert_true(n_all > L2_REDUCE_RUN);
            for (uint32_t k = 0; k < n; k++) {
                const float *b = lora ? w[k].t->lora->values : w[k].p->values;
                assert_int_equal(w[k].rc, L2_OK);
                assert_int_equal(w[k].step.rows, one.step.rows);
                assert_int_equal(w[k].step.sums.n, one.step.sums.n);
                assert_true(fabs(w[k].step.sums.loss / one.step.sums.loss - 1) < 1e-5);
                assert_true(fabs(w[k].step.grad_norm / one.step.grad_norm - 1) < 1e-4);
                for (size_t i = 0; i < n_all; i++)
                    assert_true(fabsf(a[i] - b[i]) < 1e-4f);
                assert_memory_equal(b, lora ? w[0].t->lora->values : w[0].p->values,
                                    n_all * sizeof *b);
            }
            release_team(w, n);
        }
        release_team(&one, 1);
    }
    for (int i = 0; i < MAX_WORKERS; i++)
        close(fds[i]);
}

/* When one worker's numbers are not finite all stop, and none waits for ever. */
static void test_worker_fails(void **state)
{
    struct l2_trainer_opts o = train_opts(L2_DATA_TEXT);
    struct worker w[2] = {{.steps = 0}, {.steps = 0}};
    int fds[2] = {train_texts(30), train_texts(30)};
    struct team team = {.n = 2};
    pthread_t threads[2];
    (void)state;
    run_team(w, 2, &train_hp, &o, fds);
    l2_params_at(w[1].p, L2_T_UP, 0)[0] = NAN;
    assert_int_equal(pthread_barrier_init(&team.barrier, NULL, 2), 0);
    for (int i = 0; i < 2; i++) {
        w[i].team = &team;
        w[i].steps = 3;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(w[i].rc, L2_CORRUPT);
        close(fds[i]);
    }
    pthread_barrier_destroy(&team.barrier);
    release_team(w, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_worker_fails),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
