/* Unit tests of checkpoints of training: damaged ones, those of other runs, losses that are not
 * finite and disks that are full. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "scratch.h"
#include "train_fixture.h"

struct run {
    char dir[SCRATCH_PATH];
    char path[SCRATCH_PATH + 16];
    struct l2_params *p;
    struct l2_data *d;
    struct l2_trainer *t;
    int fd;
};

static void run_begin(struct run *r, const struct l2_trainer_opts *o)
{
    struct l2_data_opts d = train_data_opts(L2_DATA_TEXT);
    scratch_make(r->dir);
    snprintf(r->path, sizeof r->path, "%s/step", r->dir);
    r->fd = train_texts(30);
    r->p = train_params(&train_hp, false);
    r->d = train_data(r->fd, &d);
    r->t = train_new(r->p, o);
}

static void run_end(struct run *r)
{
    l2_trainer_free(r->t);
    l2_data_free(r->d);
    l2_params_free(r->p);
    close(r->fd);
    scratch_remove(r->dir);
}

static void run_steps(struct run *r, int n)
{
    struct l2_step step;
    for (int i = 0; i < n; i++)
        assert_int_equal(l2_trainer_step(r->t, r->d, &step, &err), L2_OK);
}

static size_t n_values(const struct run *r)
{
    return r->p->offset[r->p->n_tensors];
}

static float *copy_values(const struct run *r)
{
    float *v = malloc(n_values(r) * sizeof *v);
    assert_non_null(v);
    memcpy(v, r->p->values, n_values(r) * sizeof *v);
    return v;
}

static int read_back(struct run *r, bool changed)
{
    bool data_changed;
    return l2_checkpoint_read(r->t, r->d, r->path, changed, &data_changed, &err);
}

/* Every flipped byte is found, every cut too; what cannot be read changes nothing. */
static void test_damaged(void **state)
{
    struct l2_trainer_opts o = train_opts(L2_DATA_TEXT);
    struct run r;
    size_t n;
    (void)state;
    run_begin(&r, &o);
    run_steps(&r, 2);
    assert_int_equal(l2_checkpoint_write(r.t, r.d, r.path, &err), L2_OK);
    run_steps(&r, 2);
    float *values = copy_values(&r);
    char *bytes = scratch_read(r.path, &n);
    for (size_t at = 0; at < n; at += at < 2000 ? 1 : 997) {
        bytes[at] ^= 0x10;
        scratch_write(r.dir, "step", bytes, n);
        int rc = read_back(&r, false);
        bytes[at] ^= 0x10;
        assert_true(at < 8    ? rc == L2_FORMAT
                    : at < 16 ? rc == L2_UNSUPPORTED
                              : rc == L2_CORRUPT || (at >= 24 && at < 48 && rc == L2_TRUNCATED));
        assert_non_null(strstr(err.file, r.path));
    }
    for (size_t len = 0; len < n; len += len < 200 ? 1 : 1009) {
        scratch_write(r.dir, "step", bytes, len);
        assert_int_equal(read_back(&r, false), len < 8 ? L2_FORMAT : L2_TRUNCATED);
    }
    assert_int_equal(l2_trainer_steps(r.t), 4);
    assert_memory_equal(values, r.p->values, n_values(&r) * sizeof(float));
    scratch_write(r.dir, "step", bytes, n);
    assert_int_equal(read_back(&r, false), L2_OK);
    assert_int_equal(l2_trainer_steps(r.t), 2);
    run_steps(&r, 2); /* the same two again */
    assert_memory_equal(values, r.p->values, n_values(&r) * sizeof(float));
    free(values);
    free(bytes);
    run_end(&r);
}

/* Reads r's checkpoint into a run of other options: refused by that name, or taken with changed. */
static void other_run(struct run *r, const struct l2_trainer_opts *o, const struct l2_data_opts *d,
                      const char *name, bool can_change)
{
    struct l2_params *p = train_params(&train_hp, false);
    struct l2_data *data = train_data(r->fd, d);
    struct l2_trainer *t = train_new(p, o);
    bool data_changed;
    char want[64];
    snprintf(want, sizeof want, "is of a run with %s ", name);
    assert_int_equal(l2_checkpoint_read(t, data, r->path, false, &data_changed, &err), L2_ARGUMENT);
    if (!strstr(err.text, want))
        fail_msg("%s: %s", name, err.text);
    int rc = l2_checkpoint_read(t, data, r->path, true, &data_changed, &err);
    assert_int_equal(rc, can_change ? L2_OK : L2_ARGUMENT);
    assert_int_equal(l2_trainer_steps(t), can_change ? 1 : 0);
    l2_trainer_free(t);
    l2_data_free(data);
    l2_params_free(p);
}

static void test_other_settings(void **state)
{
    struct l2_trainer_opts o = train_opts(L2_DATA_TEXT), with;
    struct l2_data_opts d = train_data_opts(L2_DATA_TEXT), data;
    struct run r;
    (void)state;
    o.start = "0123";
    run_begin(&r, &o);
    run_steps(&r, 1);
    assert_int_equal(l2_checkpoint_write(r.t, r.d, r.path, &err), L2_OK);
#define CHANGED(field, value, name, can)                                                           \
    do {                                                                                           \
        with = o;                                                                                  \
        data = d;                                                                                  \
        field = value;                                                                             \
        other_run(&r, &with, &data, name, can);                                                    \
    } while (0)
    CHANGED(with.schedule.peak, 0.02, "lr", true);
    CHANGED(with.schedule.kind, L2_SCHEDULE_LINEAR, "schedule", true);
    CHANGED(with.schedule.least, 0.5, "min-lr", true);
    CHANGED(with.schedule.warmup, 3, "warmup", true);
    CHANGED(with.schedule.total, 101, "steps", true);
    CHANGED(with.adamw.beta1, 0.8, "beta1", true);
    CHANGED(with.adamw.beta2, 0.8, "beta2", true);
    CHANGED(with.adamw.eps, 1e-8, "eps", true);
    CHANGED(with.adamw.weight_decay, 0, "weight-decay", true);
    CHANGED(with.clip, 2, "clip", true);
    CHANGED(with.micro, 5, "micro-batches", true);
    CHANGED(with.products, L2_BF16, "bf16", true);
    CHANGED(with.start, "4567", "start", true);
    CHANGED(with.moments, L2_BF16, "moments", false);
    CHANGED(with.lora.rank, 2; with.lora.roles = L2_LORA_ALL;
            with.lora.alpha = 1, "lora-rank", false);
    CHANGED(data.context, 20, "context", true);
    CHANGED(data.seed, 8, "seed", true);
    CHANGED(data.epochs, 9, "epochs", true);
    CHANGED(data.cut_documents, true, "cut-documents", true);
    CHANGED(data.held_out, 0.2, "held-out", true);
#undef CHANGED
    run_end(&r);
}

/* A loss that is not finite stops the run, changes nothing and leaves the checkpoint. */
static void test_not_finite(void **state)
{
    struct l2_trainer_opts o = train_opts(L2_DATA_TEXT);
    struct l2_step step;
    struct run r;
    (void)state;
    run_begin(&r, &o);
    run_steps(&r, 2);
    assert_int_equal(l2_checkpoint_write(r.t, r.d, r.path, &err), L2_OK);
    float *good = copy_values(&r);
    l2_params_at(r.p, L2_T_UP, 1)[5] = NAN;
    float *bad = copy_values(&r);
    assert_int_equal(l2_trainer_step(r.t, r.d, &step, &err), L2_CORRUPT);
    assert_non_null(strstr(err.text, "step 3: loss "));
    assert_memory_equal(bad, r.p->values, n_values(&r) * sizeof(float));
    assert_int_equal(l2_trainer_steps(r.t), 2);
    assert_int_equal(read_back(&r, false), L2_OK);
    assert_memory_equal(good, r.p->values, n_values(&r) * sizeof(float));
    run_steps(&r, 1); /* no gradient of the bad step is left */
    for (size_t i = 0; i < n_values(&r); i++)
        assert_true(isfinite(r.p->values[i]));
    free(good);
    free(bad);
    run_end(&r);
}

/* A directory that is not there, and a full device. */
static void test_unwritable(void **state)
{
    struct l2_trainer_opts o = train_opts(L2_DATA_TEXT);
    struct run r;
    (void)state;
    run_begin(&r, &o);
    assert_int_equal(l2_checkpoint_write(r.t, r.d, r.path, &err), L2_OK);
    assert_int_equal(l2_checkpoint_write(r.t, r.d, "/nonexistent/step", &err), L2_SYSTEM);
    if (symlink("/dev/full", scratch_path(r.dir, "full.tmp")) == 0) {
        assert_int_equal(l2_checkpoint_write(r.t, r.d, scratch_path(r.dir, "full"), &err),
                         L2_SYSTEM);
        assert_non_null(strstr(err.text, "cannot write"));
        assert_int_not_equal(access(scratch_path(r.dir, "full"), F_OK), 0);
        assert_int_not_equal(access(scratch_path(r.dir, "full.tmp"), F_OK), 0);
    }
    assert_int_equal(read_back(&r, false), L2_OK);
    run_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_other_settings),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_unwritable),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
