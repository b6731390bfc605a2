# Tests: C programs and shell scripts that print TAP.
# SPDX-License-Identifier: MIT
#
# A unit test is three lines inside the condition below; a script is listed in l2_scripts.
#   l2_unit_tests += tests/unit/test_x
#   tests_unit_test_x_SOURCES = %D%/unit/test_x.c
#   tests_unit_test_x_LDADD = $(l2_test_libs)

TEST_EXTENSIONS = .sh
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_COMPILER = $(SHELL) $(srcdir)/%D%/cmocka-tap.sh
SH_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_COMPILER = $(SHELL)
AM_TESTS_ENVIRONMENT = \
	L2_SRC='$(abs_top_srcdir)'; export L2_SRC; \
	L2_BIN='$(abs_top_builddir)/cmd'; export L2_BIN; \
	L2_CC='$(CC)'; export L2_CC; \
	if test -z "$${L2_SHARED+set}" && test -f '$(abs_top_srcdir)/../shared/DATA.md'; then \
	  L2_SHARED='$(abs_top_srcdir)/../shared'; \
	fi; \
	export L2_SHARED;

l2_test_libs = $(l2_model_libs) $(CMOCKA_LIBS)
l2_unit_tests =
l2_scripts = \
	%D%/cmd/all-programs.sh \
	%D%/cmd/cat.sh \
	%D%/cmd/claims.sh \
	%D%/cmd/clean.sh \
	%D%/cmd/completion.sh \
	%D%/cmd/config.sh \
	%D%/cmd/corpus.sh \
	%D%/cmd/cut.sh \
	%D%/cmd/embed.sh \
	%D%/cmd/eval-judge.sh \
	%D%/cmd/eval-perplexity.sh \
	%D%/cmd/eval-presets.sh \
	%D%/cmd/eval-task.sh \
	%D%/cmd/eval.sh \
	%D%/cmd/distil.sh \
	%D%/cmd/evaluate.sh \
	%D%/cmd/examples.sh \
	%D%/cmd/faults.sh \
	%D%/cmd/gatt.sh \
	%D%/cmd/generate.sh \
	%D%/cmd/formats.sh \
	%D%/cmd/gguf.sh \
	%D%/cmd/interchange.sh \
	%D%/cmd/layers.sh \
	%D%/cmd/meta.sh \
	%D%/cmd/model.sh \
	%D%/cmd/pictures.sh \
	%D%/cmd/pipeline.sh \
	%D%/cmd/pipes.sh \
	%D%/cmd/plot.sh \
	%D%/cmd/ppo.sh \
	%D%/cmd/prefs.sh \
	%D%/cmd/preprompt.sh \
	%D%/cmd/quickstart.sh \
	%D%/cmd/readme.sh \
	%D%/cmd/recipe.sh \
	%D%/cmd/resume.sh \
	%D%/cmd/rounds.sh \
	%D%/cmd/reference.sh \
	%D%/cmd/rsample.sh \
	%D%/cmd/scale.sh \
	%D%/cmd/score.sh \
	%D%/cmd/tokenize-spm.sh \
	%D%/cmd/tokenize.sh \
	%D%/cmd/train.sh \
	%D%/cmd/use-cases.sh \
	%D%/cmd/vocab.sh \
	%D%/cmd/vocabularies.sh

if HAVE_CMOCKA
l2_unit_tests += tests/unit/test_bpe_words
tests_unit_test_bpe_words_SOURCES = %D%/unit/test_bpe_words.c
tests_unit_test_bpe_words_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_checkpoint
tests_unit_test_checkpoint_SOURCES = %D%/unit/scratch.c %D%/unit/scratch.h %D%/unit/stream_file.c \
	%D%/unit/stream_file.h %D%/unit/train_fixture.c %D%/unit/train_fixture.h \
	%D%/unit/test_checkpoint.c
tests_unit_test_checkpoint_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_clean
tests_unit_test_clean_SOURCES = %D%/unit/test_clean.c
tests_unit_test_clean_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_codec
tests_unit_test_codec_SOURCES = \
	%D%/unit/stream_samples.c \
	%D%/unit/stream_samples.h \
	%D%/unit/test_codec.c
tests_unit_test_codec_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_curve
tests_unit_test_curve_SOURCES = %D%/unit/test_curve.c
tests_unit_test_curve_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_data
tests_unit_test_data_SOURCES = %D%/unit/data_fixture.c %D%/unit/data_fixture.h %D%/unit/stream_file.c \
	%D%/unit/stream_file.h %D%/unit/test_data.c
tests_unit_test_data_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_data_answers
tests_unit_test_data_answers_SOURCES = %D%/unit/data_fixture.c %D%/unit/data_fixture.h %D%/unit/stream_file.c \
	%D%/unit/stream_file.h %D%/unit/test_data_answers.c
tests_unit_test_data_answers_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_encode
tests_unit_test_encode_SOURCES = %D%/unit/test_encode.c %D%/unit/scratch.c %D%/unit/scratch.h \
	%D%/unit/spm_writer.c %D%/unit/spm_writer.h
tests_unit_test_encode_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_engine
tests_unit_test_engine_SOURCES = %D%/unit/engine_fixture.c %D%/unit/engine_fixture.h \
	%D%/unit/test_engine.c
tests_unit_test_engine_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_engine_golden
tests_unit_test_engine_golden_SOURCES = %D%/unit/engine_fixture.c %D%/unit/engine_fixture.h \
	%D%/unit/test_engine_golden.c
tests_unit_test_engine_golden_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_expr
tests_unit_test_expr_SOURCES = %D%/unit/test_expr.c
tests_unit_test_expr_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_gatt
tests_unit_test_gatt_SOURCES = %D%/unit/test_gatt.c %D%/unit/scratch.c %D%/unit/scratch.h \
	%D%/unit/spm_writer.c %D%/unit/spm_writer.h %D%/unit/tiny_model.c %D%/unit/tiny_model.h
tests_unit_test_gatt_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_generate
tests_unit_test_generate_SOURCES = %D%/unit/generate_fixture.c %D%/unit/generate_fixture.h \
	%D%/unit/test_generate.c %D%/unit/scratch.c %D%/unit/scratch.h %D%/unit/tiny_model.c \
	%D%/unit/tiny_model.h
tests_unit_test_generate_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_grad
tests_unit_test_grad_SOURCES = %D%/unit/test_grad.c
tests_unit_test_grad_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_hfconfig
tests_unit_test_hfconfig_SOURCES = \
	%D%/unit/model_files.c \
	%D%/unit/model_files.h \
	%D%/unit/scratch.c \
	%D%/unit/scratch.h \
	%D%/unit/test_hfconfig.c
tests_unit_test_hfconfig_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_json
tests_unit_test_json_SOURCES = \
	%D%/unit/stream_samples.c \
	%D%/unit/stream_samples.h \
	%D%/unit/test_json.c
tests_unit_test_json_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_judge
tests_unit_test_judge_SOURCES = %D%/unit/test_judge.c
tests_unit_test_judge_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_kv
tests_unit_test_kv_SOURCES = %D%/unit/test_kv.c
tests_unit_test_kv_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_linear
tests_unit_test_linear_SOURCES = %D%/unit/test_linear.c
tests_unit_test_linear_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_long
tests_unit_test_long_SOURCES = \
	%D%/unit/ref_net.c \
	%D%/unit/ref_net.h \
	%D%/unit/scratch.c \
	%D%/unit/scratch.h \
	%D%/unit/test_long.c
tests_unit_test_long_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_lookup
tests_unit_test_lookup_SOURCES = %D%/unit/generate_fixture.c %D%/unit/generate_fixture.h \
	%D%/unit/test_lookup.c %D%/unit/scratch.c %D%/unit/scratch.h %D%/unit/tiny_model.c \
	%D%/unit/tiny_model.h
tests_unit_test_lookup_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_math
tests_unit_test_math_SOURCES = %D%/unit/test_math.c
tests_unit_test_math_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_model
tests_unit_test_model_SOURCES = \
	%D%/unit/scratch.c \
	%D%/unit/scratch.h \
	%D%/unit/test_model.c
tests_unit_test_model_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_model_bad
tests_unit_test_model_bad_SOURCES = \
	%D%/unit/model_files.c \
	%D%/unit/model_files.h \
	%D%/unit/scratch.c \
	%D%/unit/scratch.h \
	%D%/unit/test_model_bad.c
tests_unit_test_model_bad_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_narrow
tests_unit_test_narrow_SOURCES = %D%/unit/test_narrow.c
tests_unit_test_narrow_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_ops
tests_unit_test_ops_SOURCES = %D%/unit/test_ops.c
tests_unit_test_ops_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_net
tests_unit_test_net_SOURCES = %D%/unit/ref_net.c %D%/unit/ref_net.h %D%/unit/test_net.c
tests_unit_test_net_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_net_golden
tests_unit_test_net_golden_SOURCES = %D%/unit/scratch.c %D%/unit/scratch.h \
	%D%/unit/test_net_golden.c
tests_unit_test_net_golden_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_opt
tests_unit_test_opt_SOURCES = %D%/unit/test_opt.c
tests_unit_test_opt_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_ppo
tests_unit_test_ppo_SOURCES = %D%/unit/scratch.c %D%/unit/scratch.h %D%/unit/test_ppo.c
tests_unit_test_ppo_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_prefs
tests_unit_test_prefs_SOURCES = %D%/unit/test_prefs.c
tests_unit_test_prefs_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_preprompt
tests_unit_test_preprompt_SOURCES = %D%/unit/scratch.c %D%/unit/scratch.h %D%/unit/test_preprompt.c \
	%D%/unit/tokenizers.c %D%/unit/tokenizers.h
tests_unit_test_preprompt_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_quantised
tests_unit_test_quantised_SOURCES = %D%/unit/test_quantised.c
tests_unit_test_quantised_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_recover
tests_unit_test_recover_SOURCES = %D%/unit/stream_samples.c %D%/unit/stream_samples.h \
	%D%/unit/test_recover.c
tests_unit_test_recover_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_resume
tests_unit_test_resume_SOURCES = %D%/unit/test_resume.c
tests_unit_test_resume_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_sampler
tests_unit_test_sampler_SOURCES = %D%/unit/test_sampler.c
tests_unit_test_sampler_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_score
tests_unit_test_score_SOURCES = %D%/unit/test_score.c %D%/unit/scratch.c %D%/unit/scratch.h \
	%D%/unit/tiny_model.c %D%/unit/tiny_model.h
tests_unit_test_score_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_select
tests_unit_test_select_SOURCES = %D%/unit/test_select.c
tests_unit_test_select_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_shape
tests_unit_test_shape_SOURCES = %D%/unit/test_shape.c %D%/unit/scratch.c %D%/unit/scratch.h
tests_unit_test_shape_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_stop
tests_unit_test_stop_SOURCES = %D%/unit/test_stop.c
tests_unit_test_stop_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_stream
tests_unit_test_stream_SOURCES = \
	%D%/unit/stream_samples.c \
	%D%/unit/stream_samples.h \
	%D%/unit/test_stream.c
tests_unit_test_stream_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_template
tests_unit_test_template_SOURCES = %D%/unit/scratch.c %D%/unit/scratch.h %D%/unit/test_template.c \
	%D%/unit/tokenizers.c %D%/unit/tokenizers.h
tests_unit_test_template_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_tokjson
tests_unit_test_tokjson_SOURCES = %D%/unit/scratch.c %D%/unit/scratch.h %D%/unit/test_tokjson.c \
	%D%/unit/tokenizers.c %D%/unit/tokenizers.h
tests_unit_test_tokjson_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_trainer
tests_unit_test_trainer_SOURCES = %D%/unit/scratch.c %D%/unit/scratch.h %D%/unit/stream_file.c \
	%D%/unit/stream_file.h %D%/unit/train_fixture.c %D%/unit/train_fixture.h \
	%D%/unit/test_trainer.c
tests_unit_test_trainer_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_util
tests_unit_test_util_SOURCES = %D%/unit/test_util.c
tests_unit_test_util_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_vocab
tests_unit_test_vocab_SOURCES = %D%/unit/test_vocab.c %D%/unit/scratch.c %D%/unit/scratch.h \
	%D%/unit/spm_writer.c %D%/unit/spm_writer.h
tests_unit_test_vocab_LDADD = $(l2_test_libs)

l2_unit_tests += tests/unit/test_workers
tests_unit_test_workers_SOURCES = %D%/unit/stream_file.c %D%/unit/stream_file.h \
	%D%/unit/test_workers.c %D%/unit/train_fixture.c %D%/unit/train_fixture.h
tests_unit_test_workers_LDADD = $(l2_test_libs)
endif

check_PROGRAMS += $(l2_unit_tests)
TESTS += $(l2_unit_tests) $(l2_scripts)
EXTRA_DIST += $(l2_scripts) %D%/cmocka-tap.sh %D%/faults/faults.c %D%/fixtures.sh %D%/lib.sh %D%/run.sh \
	%D%/clean_near.py \
	%D%/compare.py \
	%D%/eval_answers.py \
	%D%/eval_choices.py \
	%D%/eval_perplexity.py \
	%D%/llama_numpy.py \
	%D%/lora_check.py \
	%D%/meta_writer.py \
	%D%/model_reader.py \
	%D%/prefs_table.py \
	%D%/spm_compare.py \
	%D%/stream_frames.py \
	%D%/stream_reader.py \
	%D%/torch_logits.py \
	%D%/train_curve.py \
	%D%/train_golden.py \
	%D%/golden/checkpoint/expected.f32 \
	%D%/golden/checkpoint/hf-bf16/config.json \
	%D%/golden/checkpoint/hf-bf16/model.safetensors \
	%D%/golden/checkpoint/hf-f16-sharded/config.json \
	%D%/golden/checkpoint/hf-f16-sharded/model-00001-of-00003.safetensors \
	%D%/golden/checkpoint/hf-f16-sharded/model-00002-of-00003.safetensors \
	%D%/golden/checkpoint/hf-f16-sharded/model-00003-of-00003.safetensors \
	%D%/golden/checkpoint/hf-f16-sharded/model.safetensors.index.json \
	%D%/golden/checkpoint/hf-f32/config.json \
	%D%/golden/checkpoint/hf-f32/model.safetensors \
	%D%/golden/checkpoint/rm-f32/config.json \
	%D%/golden/checkpoint/rm-f32/model.safetensors \
	%D%/golden/checkpoint/v0-tied.bin \
	%D%/golden/checkpoint/v0-untied.bin \
	%D%/golden/checkpoint/v1-tied.bin \
	%D%/golden/checkpoint/v1-untied.bin \
	%D%/golden/mk_checkpoint.py \
	%D%/golden/mk_pth.py \
	%D%/golden/mk_small_model.py \
	%D%/golden/mk_tokenizer_ids.mjs \
	%D%/golden/small.model \
	%D%/golden/tiny.pth \
	%D%/golden/stream.jsonl \
	%D%/golden/tokenizer/bytes-llama3.json \
	%D%/golden/tokenizer/bytes-llama3.jsonl \
	%D%/golden/tokenizer/bytes-smollm.json \
	%D%/golden/tokenizer/bytes-smollm.jsonl \
	%D%/golden/tokenizer/spm-metaspace.json \
	%D%/golden/tokenizer/spm-metaspace.jsonl \
	%D%/golden/tokenizer/spm-prepend.json \
	%D%/golden/tokenizer/spm-prepend.jsonl

# Fuzz targets: with libFuzzer where configured so, else on files (tests/cmd/corpus.sh). A target is
# three lines; its corpus is corpus/THING.
if FUZZ
fuzz_main =
fuzz_flags = $(AM_LDFLAGS) -fsanitize=fuzzer
else
fuzz_main = tests/fuzz/replay.c
fuzz_flags = $(AM_LDFLAGS)
endif
fuzz_common = %D%/fuzz/fuzz.c %D%/fuzz/fuzz.h
EXTRA_DIST += %D%/fuzz/replay.c %D%/fuzz/corpus

check_PROGRAMS += tests/fuzz/fuzz_config
tests_fuzz_fuzz_config_SOURCES = %D%/fuzz/fuzz_config.c $(fuzz_common)
nodist_tests_fuzz_fuzz_config_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_config_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_config_LDFLAGS = $(fuzz_flags)

check_PROGRAMS += tests/fuzz/fuzz_constraints
tests_fuzz_fuzz_constraints_SOURCES = %D%/fuzz/fuzz_constraints.c $(fuzz_common)
nodist_tests_fuzz_fuzz_constraints_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_constraints_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_constraints_LDFLAGS = $(fuzz_flags)

check_PROGRAMS += tests/fuzz/fuzz_expr
tests_fuzz_fuzz_expr_SOURCES = %D%/fuzz/fuzz_expr.c $(fuzz_common)
nodist_tests_fuzz_fuzz_expr_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_expr_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_expr_LDFLAGS = $(fuzz_flags)

check_PROGRAMS += tests/fuzz/fuzz_gguf
tests_fuzz_fuzz_gguf_SOURCES = %D%/fuzz/fuzz_gguf.c $(fuzz_common)
nodist_tests_fuzz_fuzz_gguf_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_gguf_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_gguf_LDFLAGS = $(fuzz_flags)

check_PROGRAMS += tests/fuzz/fuzz_json
tests_fuzz_fuzz_json_SOURCES = %D%/fuzz/fuzz_json.c $(fuzz_common)
nodist_tests_fuzz_fuzz_json_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_json_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_json_LDFLAGS = $(fuzz_flags)

check_PROGRAMS += tests/fuzz/fuzz_meta
tests_fuzz_fuzz_meta_SOURCES = %D%/fuzz/fuzz_meta.c $(fuzz_common)
nodist_tests_fuzz_fuzz_meta_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_meta_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_meta_LDFLAGS = $(fuzz_flags)

check_PROGRAMS += tests/fuzz/fuzz_model
tests_fuzz_fuzz_model_SOURCES = %D%/fuzz/fuzz_model.c $(fuzz_common)
nodist_tests_fuzz_fuzz_model_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_model_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_model_LDFLAGS = $(fuzz_flags)

check_PROGRAMS += tests/fuzz/fuzz_near
tests_fuzz_fuzz_near_SOURCES = %D%/fuzz/fuzz_near.c $(fuzz_common)
nodist_tests_fuzz_fuzz_near_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_near_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_near_LDFLAGS = $(fuzz_flags)

check_PROGRAMS += tests/fuzz/fuzz_preprompts
tests_fuzz_fuzz_preprompts_SOURCES = %D%/fuzz/fuzz_preprompts.c $(fuzz_common)
nodist_tests_fuzz_fuzz_preprompts_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_preprompts_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_preprompts_LDFLAGS = $(fuzz_flags)

check_PROGRAMS += tests/fuzz/fuzz_record
tests_fuzz_fuzz_record_SOURCES = %D%/fuzz/fuzz_record.c $(fuzz_common)
nodist_tests_fuzz_fuzz_record_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_record_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_record_LDFLAGS = $(fuzz_flags)

check_PROGRAMS += tests/fuzz/fuzz_rules
tests_fuzz_fuzz_rules_SOURCES = %D%/fuzz/fuzz_rules.c $(fuzz_common)
nodist_tests_fuzz_fuzz_rules_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_rules_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_rules_LDFLAGS = $(fuzz_flags)

check_PROGRAMS += tests/fuzz/fuzz_safetensors
tests_fuzz_fuzz_safetensors_SOURCES = %D%/fuzz/fuzz_safetensors.c $(fuzz_common)
nodist_tests_fuzz_fuzz_safetensors_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_safetensors_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_safetensors_LDFLAGS = $(fuzz_flags)

check_PROGRAMS += tests/fuzz/fuzz_stream
tests_fuzz_fuzz_stream_SOURCES = %D%/fuzz/fuzz_stream.c $(fuzz_common)
nodist_tests_fuzz_fuzz_stream_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_stream_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_stream_LDFLAGS = $(fuzz_flags)

check_PROGRAMS += tests/fuzz/fuzz_task
tests_fuzz_fuzz_task_SOURCES = %D%/fuzz/fuzz_task.c $(fuzz_common)
nodist_tests_fuzz_fuzz_task_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_task_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_task_LDFLAGS = $(fuzz_flags)

check_PROGRAMS += tests/fuzz/fuzz_template
tests_fuzz_fuzz_template_SOURCES = %D%/fuzz/fuzz_template.c $(fuzz_common)
nodist_tests_fuzz_fuzz_template_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_template_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_template_LDFLAGS = $(fuzz_flags)

check_PROGRAMS += tests/fuzz/fuzz_tokjson
tests_fuzz_fuzz_tokjson_SOURCES = %D%/fuzz/fuzz_tokjson.c $(fuzz_common)
nodist_tests_fuzz_fuzz_tokjson_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_tokjson_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_tokjson_LDFLAGS = $(fuzz_flags)

check_PROGRAMS += tests/fuzz/fuzz_vocab
tests_fuzz_fuzz_vocab_SOURCES = %D%/fuzz/fuzz_vocab.c $(fuzz_common)
nodist_tests_fuzz_fuzz_vocab_SOURCES = $(fuzz_main)
tests_fuzz_fuzz_vocab_LDADD = $(l2_model_libs)
tests_fuzz_fuzz_vocab_LDFLAGS = $(fuzz_flags)

# make bench: figures, never part of make check. BENCH_ARGS are passed on, e.g. BENCH_ARGS='-r 3 1b:bf16'.
EXTRA_PROGRAMS += tests/bench/bench
CLEANFILES += tests/bench/bench$(EXEEXT)
tests_bench_bench_SOURCES = \
	%D%/bench/bench.c \
	%D%/bench/bench.h \
	%D%/bench/bench_model.c \
	%D%/bench/bench_model.h \
	%D%/bench/case_engine.c \
	%D%/bench/case_heads.c \
	%D%/bench/case_stream.c \
	%D%/bench/case_tokenize.c \
	%D%/bench/case_train.c \
	%D%/bench/probe.c
tests_bench_bench_LDADD = $(l2_model_libs)

.PHONY: bench
bench: tests/bench/bench$(EXEEXT)
	@shared='$(abs_top_srcdir)/../shared/data'; text=; \
	if test -f "$$shared/text/tinyshakespeare.txt"; then \
	  text="-x $$shared/text/tinyshakespeare.txt -z $$shared/llama2-tokenizer/tokenizer.model"; \
	fi; \
	tests/bench/bench$(EXEEXT) $$text $(BENCH_ARGS)
