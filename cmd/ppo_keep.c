/* l2-ppo: a run's checkpoints, and which of them is left by one that left its bounds. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "ppo.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/progress.h"

void l2_ppo_paths_release(struct l2_ppo_paths *p)
{
    free(p->checkpoint);
    free(p->before);
}

int l2_ppo_paths_make(struct l2_ppo_paths *p, const char *output, struct l2_err *err)
{
    size_t size = strlen(output) + sizeof ".ckpt.before";
    *p = (struct l2_ppo_paths){malloc(size), malloc(size)};
    if (!p->checkpoint || !p->before)
        return l2_err_memory(err, size);
    snprintf(p->checkpoint, size, "%s.ckpt", output);
    snprintf(p->before, size, "%s.ckpt.before", output);
    return L2_OK;
}

int l2_ppo_forget(const char *path, struct l2_err *err)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return L2_OK;
    return l2_err_sys(err, errno, path, "cannot remove");
}

/* With a limit on KL the checkpoint before is kept, too: whether a policy is within the limit is
 * seen in the iteration behind it. */
static int keep_before(const struct l2_ppo_run *r, const struct l2_ppo_paths *p, struct l2_err *err)
{
    if (r->args->max_kl == 0 || r->saved == 0)
        return L2_OK;
    int rc = l2_ppo_forget(p->before, err);
    if (rc == L2_OK && link(p->checkpoint, p->before) != 0)
        rc = l2_err_sys(err, errno, p->before, "cannot link");
    return rc;
}

int l2_ppo_save_run(struct l2_ppo_run *r, const struct l2_ppo_paths *p, struct l2_err *err)
{
    double begin = l2_seconds();
    const double numbers[L2_PPO_NUMBERS] = {
        (double)r->iteration, (double)r->pass, (double)r->position, (double)r->episodes,
        r->has_best,          r->best,         (double)r->worse,    (double)r->saved};
    int rc = keep_before(r, p, err);
    if (rc == L2_OK)
        rc = l2_ppo_save(r->ppo, numbers, p->checkpoint, err);
    r->saved_before = r->saved;
    r->saved = r->iteration;
    r->saving += l2_seconds() - begin;
    return rc;
}

int l2_ppo_restore_run(struct l2_ppo_run *r, const char *path, struct l2_err *err)
{
    double numbers[L2_PPO_NUMBERS];
    int rc = l2_ppo_restore(r->ppo, numbers, path, err);
    if (rc != L2_OK)
        return rc;
    r->iteration = (uint64_t)numbers[0];
    r->pass = (uint64_t)numbers[1];
    r->position = (uint64_t)numbers[2];
    r->episodes = (uint64_t)numbers[3];
    r->has_best = numbers[4] != 0;
    r->best = numbers[5];
    r->worse = (uint64_t)numbers[6];
    r->saved = r->iteration;
    r->saved_before = (uint64_t)numbers[7];
    return L2_OK;
}

/* The run has left its bounds. Where the checkpoint is of the policy that has, the one before takes
 * its place. */
void l2_ppo_keep_good(struct l2_ppo_run *r, const struct l2_ppo_paths *p)
{
    unsigned long long done = r->iteration;
    if (r->saved == r->iteration && r->saved_before > 0 && rename(p->before, p->checkpoint) == 0)
        r->saved = r->saved_before;
    if (r->saved == 0)
        l2_cli_note(r->cli, "stopped after iteration %llu, without a checkpoint", done);
    else if (r->saved == r->iteration)
        l2_cli_note(r->cli, "stopped after iteration %llu, whose policy the checkpoint has", done);
    else
        l2_cli_note(r->cli,
                    "stopped after iteration %llu; the checkpoint is that of iteration %llu, and "
                    "--resume --iterations %llu writes its model",
                    done, (unsigned long long)r->saved, (unsigned long long)r->saved);
}
