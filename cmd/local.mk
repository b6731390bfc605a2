# The programs, and what they share: cmd/common is the only code that prints or exits.
# SPDX-License-Identifier: MIT
#
# A program is four lines (one that loads a model links $(l2_model_libs)):
#   bin_PROGRAMS += cmd/l2-cat
#   cmd_l2_cat_SOURCES = %D%/l2-cat.c
#   cmd_l2_cat_LDADD = $(l2_libs)

noinst_LIBRARIES += cmd/libcommon.a
cmd_libcommon_a_SOURCES = \
	%D%/common/chat.c \
	%D%/common/chat.h \
	%D%/common/cli.c \
	%D%/common/cli.h \
	%D%/common/completion.c \
	%D%/common/completion.h \
	%D%/common/config_file.c \
	%D%/common/config_file.h \
	%D%/common/config_print.c \
	%D%/common/memory.c \
	%D%/common/memory.h \
	%D%/common/message.c \
	%D%/common/message.h \
	%D%/common/modelopt.c \
	%D%/common/modelopt.h \
	%D%/common/modelshow.c \
	%D%/common/modelshow.h \
	%D%/common/npy.c \
	%D%/common/npy.h \
	%D%/common/opt.c \
	%D%/common/opt.h \
	%D%/common/opt_help.c \
	%D%/common/output.c \
	%D%/common/pipe.c \
	%D%/common/pipe_header.c \
	%D%/common/pipe_output.c \
	%D%/common/pipe.h \
	%D%/common/pipe_state.h \
	%D%/common/progress.c \
	%D%/common/progress.h \
	%D%/common/report.c \
	%D%/common/report.h \
	%D%/common/rows.c \
	%D%/common/rows.h \
	%D%/common/run.c \
	%D%/common/run.h \
	%D%/common/signals.c \
	%D%/common/signals.h \
	%D%/common/tally.c \
	%D%/common/tally.h \
	%D%/common/wanted.c \
	%D%/common/wanted.h

bin_PROGRAMS += cmd/l2-cat
cmd_l2_cat_SOURCES = \
	%D%/cat.h \
	%D%/cat_check.c \
	%D%/cat_choose.c \
	%D%/cat_from_json.c \
	%D%/cat_scores.c \
	%D%/cat_stats.c \
	%D%/cat_write.c \
	%D%/l2-cat.c
cmd_l2_cat_LDADD = $(l2_libs)

bin_PROGRAMS += cmd/l2-clean
cmd_l2_clean_SOURCES = %D%/clean.h %D%/clean_input.c %D%/clean_output.c %D%/l2-clean.c
cmd_l2_clean_CPPFLAGS = $(AM_CPPFLAGS) -DL2_RULESDIR='"$(rulesdir)"'
cmd_l2_clean_LDADD = $(l2_libs)

bin_PROGRAMS += cmd/l2-embed
cmd_l2_embed_SOURCES = %D%/l2-embed.c
cmd_l2_embed_LDADD = $(l2_model_libs)

bin_PROGRAMS += cmd/l2-eval
cmd_l2_eval_SOURCES = \
	%D%/eval.h \
	%D%/eval_asks.c \
	%D%/eval_check.c \
	%D%/eval_choices.c \
	%D%/eval_contam.c \
	%D%/eval_diversity.c \
	%D%/eval_files.c \
	%D%/eval_perplexity.c \
	%D%/eval_prefs.c \
	%D%/eval_results.c \
	%D%/eval_run.c \
	%D%/eval_safety.c \
	%D%/eval_samples.c \
	%D%/eval_task.c \
	%D%/eval_turns.c \
	%D%/eval_wins.c \
	%D%/judge.h \
	%D%/judge_rows.c \
	%D%/judge_table.c \
	%D%/l2-eval.c
cmd_l2_eval_CPPFLAGS = $(AM_CPPFLAGS) -DL2_TASKDIR='"$(tasksdir)"'
cmd_l2_eval_LDADD = $(l2_model_libs)

bin_PROGRAMS += cmd/l2-gatt
cmd_l2_gatt_SOURCES = \
	%D%/gatt.h \
	%D%/gatt_make.c \
	%D%/gatt_measure.c \
	%D%/l2-gatt.c \
	%D%/sampling.c \
	%D%/sampling.h
cmd_l2_gatt_LDADD = $(l2_model_libs)

bin_PROGRAMS += cmd/l2-generate
cmd_l2_generate_SOURCES = %D%/l2-generate.c %D%/sampling.c %D%/sampling.h
cmd_l2_generate_LDADD = $(l2_model_libs)

bin_PROGRAMS += cmd/l2-model
cmd_l2_model_SOURCES = \
	%D%/l2-model.c \
	%D%/model.h \
	%D%/model_adapter.c \
	%D%/model_compare.c \
	%D%/model_convert.c \
	%D%/model_init.c \
	%D%/model_look.c \
	%D%/model_options.h \
	%D%/model_rewrite.c \
	%D%/model_show.c
cmd_l2_model_CPPFLAGS = $(AM_CPPFLAGS) -DL2_PRESETDIR='"$(presetsdir)"'
cmd_l2_model_LDADD = $(l2_libs)

bin_PROGRAMS += cmd/l2-plot
cmd_l2_plot_SOURCES = \
	%D%/l2-plot.c \
	%D%/plot.h \
	%D%/plot_accuracy.c \
	%D%/plot_curve.c \
	%D%/plot_figure.c \
	%D%/plot_gnuplot.c \
	%D%/plot_input.c \
	%D%/plot_log.c \
	%D%/plot_scores.c \
	%D%/plot_script.c \
	%D%/plot_theme.c \
	%D%/plot_wins.c
cmd_l2_plot_LDADD = $(l2_libs)

bin_PROGRAMS += cmd/l2-ppo
cmd_l2_ppo_SOURCES = %D%/l2-ppo.c %D%/optimiser.c %D%/optimiser.h %D%/ppo.h \
	%D%/ppo_command.c %D%/ppo_keep.c %D%/ppo_rollout.c %D%/ppo_setup.c
cmd_l2_ppo_LDADD = $(l2_model_libs)

bin_PROGRAMS += cmd/l2-preprompt
cmd_l2_preprompt_SOURCES = %D%/l2-preprompt.c
cmd_l2_preprompt_LDADD = $(l2_libs)

bin_PROGRAMS += cmd/l2-prefs
cmd_l2_prefs_SOURCES = %D%/l2-prefs.c
cmd_l2_prefs_LDADD = $(l2_libs)

bin_PROGRAMS += cmd/l2-rsample
cmd_l2_rsample_SOURCES = %D%/l2-rsample.c %D%/rsample.h %D%/rsample_show.c
cmd_l2_rsample_LDADD = $(l2_libs)

bin_PROGRAMS += cmd/l2-score
cmd_l2_score_SOURCES = %D%/l2-score.c
cmd_l2_score_LDADD = $(l2_model_libs)

bin_PROGRAMS += cmd/l2-tokenize
cmd_l2_tokenize_SOURCES = %D%/l2-tokenize.c
cmd_l2_tokenize_LDADD = $(l2_libs)

bin_PROGRAMS += cmd/l2-train
cmd_l2_train_SOURCES = \
	%D%/l2-train.c \
	%D%/optimiser.c \
	%D%/optimiser.h \
	%D%/train.h \
	%D%/train_files.c \
	%D%/train_report.c \
	%D%/train_sample.c \
	%D%/train_setup.c
cmd_l2_train_LDADD = $(l2_model_libs)

bin_PROGRAMS += cmd/l2-vocab
cmd_l2_vocab_SOURCES = %D%/l2-vocab.c
cmd_l2_vocab_LDADD = $(l2_libs)
