# Manual pages, in mdoc.
# SPDX-License-Identifier: MIT

dist_man_MANS += \
	%D%/l2-cat.1 \
	%D%/l2-clean.1 \
	%D%/l2-config.5 \
	%D%/l2-embed.1 \
	%D%/l2-eval.1 \
	%D%/l2-gatt.1 \
	%D%/l2-generate.1 \
	%D%/l2-model.1 \
	%D%/l2-plot.1 \
	%D%/l2-ppo.1 \
	%D%/l2-prefs.1 \
	%D%/l2-preprompt.1 \
	%D%/l2-rsample.1 \
	%D%/l2-score.1 \
	%D%/l2-stream.5 \
	%D%/l2-tokenize.1 \
	%D%/l2-train.1 \
	%D%/l2-vocab.1 \
	%D%/l2.7
