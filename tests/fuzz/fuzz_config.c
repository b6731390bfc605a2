/* Fuzz target: a config.json; what is read is written and read back as the same. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "fuzz.h"
#include "model/hf_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct l2_hparams hp, back;
    struct l2_buf out = {0};
    struct l2_err err;
    (void)fuzz_file("config.json", data, n);
    int rc = l2_hf_config_read(fuzz_dir(), &hp, &err);
    FUZZ_CHECK(rc == L2_OK || err.text[0] != '\0');
    if (rc == L2_OK && l2_hf_config_write(&out, &hp, L2_F32, &err) == L2_OK) {
        (void)fuzz_file("config.json", out.data, out.len);
        FUZZ_CHECK(l2_hf_config_read(fuzz_dir(), &back, &err) == L2_OK);
        FUZZ_CHECK(back.dim == hp.dim && back.hidden == hp.hidden && back.n_layers == hp.n_layers &&
                   back.head_dim == hp.head_dim && back.vocab_size == hp.vocab_size &&
                   back.rope_theta == hp.rope_theta && back.norm_eps == hp.norm_eps &&
                   back.tied == hp.tied && back.n_eos == hp.n_eos && back.n_labels == hp.n_labels);
    }
    l2_buf_release(&out);
    return 0;
}
