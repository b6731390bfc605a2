# What is installed beside the programs: presets of model shapes and of their training, rules for cleaning text.
# SPDX-License-Identifier: MIT

presetsdir = $(pkgdatadir)/presets
dist_presets_DATA = \
	%D%/presets/110m.yaml \
	%D%/presets/13b.yaml \
	%D%/presets/15m.yaml \
	%D%/presets/1b.yaml \
	%D%/presets/34b.yaml \
	%D%/presets/70b.yaml \
	%D%/presets/7b.yaml \
	%D%/presets/tiny.yaml \
	%D%/presets/train-13b.yaml \
	%D%/presets/train-34b.yaml \
	%D%/presets/train-70b.yaml \
	%D%/presets/train-7b.yaml

rulesdir = $(pkgdatadir)/rules
dist_rules_DATA = \
	%D%/rules/default.yaml \
	%D%/rules/pii.yaml \
	%D%/rules/terms.yaml

tasksdir = $(pkgdatadir)/tasks
dist_tasks_DATA = \
	%D%/tasks/gsm8k.yaml

EXTRA_DIST += \
	%D%/quickstart.sh \
	%D%/recipe/judge.awk \
	%D%/recipe/rules.yaml \
	%D%/recipe/run.sh \
	%D%/recipe/table.sh \
	%D%/recipe/world.awk \
	%D%/rounds.sh
