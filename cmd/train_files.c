/* l2-train: its checkpoints, which of them are kept, and gradients as a file. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "train.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/safetensors.h"
#include "model/tensors.h"
#include "util/newfile.h"
#include "util/num.h"
#include "util/str.h"

#define PATH_BYTES 4096

/* The N of "step-N". */
static bool step_of(const char *name, uint64_t *step)
{
    return strncmp(name, "step-", 5) == 0 && l2_parse_u64(name + 5, step);
}

/* The largest and smallest numbers of checkpoints in dir, and how many there are. */
static int look(const char *dir, uint64_t *least, uint64_t *most, uint64_t *n, struct l2_err *err)
{
    *least = UINT64_MAX;
    *most = *n = 0;
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT ? L2_OK : l2_err_sys(err, errno, dir, "cannot open directory");
    const struct dirent *e;
    while ((e = readdir(d))) {
        uint64_t step;
        if (!step_of(e->d_name, &step))
            continue;
        *least = step < *least ? step : *least;
        *most = step > *most ? step : *most;
        ++*n;
    }
    closedir(d);
    return L2_OK;
}

static int checkpoint_path(const char *dir, uint64_t step, char out[PATH_BYTES], struct l2_err *err)
{
    if ((size_t)snprintf(out, PATH_BYTES, "%s/step-%" PRIu64, dir, step) >= PATH_BYTES)
        return l2_err_set(err, L2_ARGUMENT, "name of the directory of checkpoints is too long");
    return L2_OK;
}

int l2_train_find_checkpoint(const char *dir, char **path, struct l2_err *err)
{
    char name[PATH_BYTES];
    uint64_t least, most, n;
    *path = NULL;
    int r = look(dir, &least, &most, &n, err);
    if (r != L2_OK || n == 0)
        return r;
    r = checkpoint_path(dir, most, name, err);
    if (r == L2_OK && !(*path = strdup(name)))
        r = l2_err_memory(err, strlen(name));
    return r;
}

int l2_train_tidy(const char *dir, struct l2_err *err)
{
    int r = L2_OK;
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT ? L2_OK : l2_err_sys(err, errno, dir, "cannot open directory");
    const struct dirent *e;
    while (r == L2_OK && (e = readdir(d))) {
        if (strncmp(e->d_name, "step-", 5) == 0 && l2_ends_in(e->d_name, ".tmp") &&
            unlinkat(dirfd(d), e->d_name, 0) != 0 && errno != ENOENT)
            r = l2_err_sys(err, errno, e->d_name, "cannot remove");
    }
    closedir(d);
    return r;
}

/* Deletes the oldest checkpoints so that keep remain. */
static int prune(const char *dir, uint64_t keep, struct l2_err *err)
{
    char name[PATH_BYTES];
    uint64_t least, most, n;
    int r;
    while ((r = look(dir, &least, &most, &n, err)) == L2_OK && n > keep) {
        r = checkpoint_path(dir, least, name, err);
        if (r == L2_OK && unlink(name) != 0)
            r = l2_err_sys(err, errno, name, "cannot remove");
        if (r != L2_OK)
            break;
    }
    return r;
}

int l2_train_forget(const char *dir, struct l2_err *err)
{
    return prune(dir, 0, err);
}

int l2_train_save(struct l2_train *t, const char *dir, struct l2_err *err)
{
    char name[PATH_BYTES];
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return l2_err_sys(err, errno, dir, "cannot create directory");
    int r = checkpoint_path(dir, l2_trainer_steps(t->trainer), name, err);
    if (r == L2_OK)
        r = l2_checkpoint_write(t->trainer, t->data, name, err);
    return r == L2_OK ? prune(dir, (uint64_t)t->opts->keep, err) : r;
}

/* ---- gradients ---- */

static int write_head(struct l2_newfile *f, const struct l2_hparams *hp, struct l2_err *err)
{
    struct l2_buf head = {.len = 0};
    struct l2_st_writer w;
    int r = l2_st_write_begin(&w, &head, err);
    if (r == L2_OK)
        r = l2_st_write_add(&w, "loss", "F32", 0, 1, sizeof(float), err);
    for (size_t i = 0; i < l2_tensor_count(hp) && r == L2_OK; i++) {
        enum l2_role role;
        uint32_t layer, rows, cols;
        char name[128];
        l2_tensor_at(hp, i, &role, &layer);
        l2_role_shape(hp, role, &rows, &cols);
        l2_tensor_name(role, layer, name, sizeof name);
        uint64_t bytes = (uint64_t)rows * cols * sizeof(float);
        bool vector = !l2_roles[role].decayed;
        r = l2_st_write_add(&w, name, "F32", vector ? 0 : rows, vector ? rows * cols : cols, bytes,
                            err);
    }
    if (r == L2_OK)
        r = l2_st_write_end(&w, err);
    if (r == L2_OK)
        r = l2_newfile_write(f, head.data, head.len, err);
    l2_buf_release(&head);
    return r;
}

static int write_values(struct l2_newfile *f, const float *v, size_t n, struct l2_err *err)
{
    uint8_t bytes[4 * 4096];
    int r = L2_OK;
    for (size_t at = 0; at < n && r == L2_OK; at += 4096) {
        size_t part = n - at < 4096 ? n - at : 4096;
        l2_put_f32le_array(bytes, v + at, part);
        r = l2_newfile_write(f, bytes, 4 * part, err);
    }
    return r;
}

int l2_train_dump_gradients(struct l2_train *t, const struct l2_step *step, const char *path,
                            struct l2_err *err)
{
    struct l2_params *g = l2_trainer_grads(t->trainer);
    float loss = (float)(step->sums.loss / (double)step->sums.n);
    struct l2_newfile f;
    int r = l2_newfile_replace(&f, path, err);
    if (r != L2_OK)
        return r;
    r = write_head(&f, &g->hp, err);
    if (r == L2_OK)
        r = write_values(&f, &loss, 1, err);
    for (size_t i = 0; i < g->n_tensors && r == L2_OK; i++) {
        enum l2_role role;
        uint32_t layer, rows, cols;
        l2_tensor_at(&g->hp, i, &role, &layer);
        l2_role_shape(&g->hp, role, &rows, &cols);
        r = write_values(&f, l2_params_at(g, role, layer), (size_t)rows * cols, err);
    }
    return l2_newfile_close(&f, r, err);
}
