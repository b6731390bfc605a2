# What is installed beside the programs: presets of model shapes and of their training, rules for cleaning text,
# constraints for Ghost Attention, pre-prompts for safety.
# SPDX-License-Identifier: MIT

gattdir = $(pkgdatadir)/gatt
dist_gatt_DATA = %D%/gatt/constraints.yaml

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

dist_pkgdata_DATA = %D%/preprompts.yaml

rulesdir = $(pkgdatadir)/rules
dist_rules_DATA = \
	%D%/rules/default.yaml \
	%D%/rules/pii.yaml \
	%D%/rules/terms.yaml

tasksdir = $(pkgdatadir)/tasks
dist_tasks_DATA = \
	%D%/tasks/agieval.yaml \
	%D%/tasks/arc.yaml \
	%D%/tasks/bbh.yaml \
	%D%/tasks/bold.yaml \
	%D%/tasks/boolq.yaml \
	%D%/tasks/commonsenseqa.yaml \
	%D%/tasks/gsm8k.yaml \
	%D%/tasks/hellaswag.yaml \
	%D%/tasks/humaneval.yaml \
	%D%/tasks/math.yaml \
	%D%/tasks/mbpp.yaml \
	%D%/tasks/mmlu.yaml \
	%D%/tasks/naturalquestions.yaml \
	%D%/tasks/openbookqa.yaml \
	%D%/tasks/piqa.yaml \
	%D%/tasks/quac.yaml \
	%D%/tasks/siqa.yaml \
	%D%/tasks/squad.yaml \
	%D%/tasks/toxigen.yaml \
	%D%/tasks/triviaqa.yaml \
	%D%/tasks/truthfulqa-mc2.yaml \
	%D%/tasks/truthfulqa.yaml \
	%D%/tasks/winogrande.yaml

EXTRA_DIST += \
	%D%/distil-safety.sh \
	%D%/evaluate.sh \
	%D%/lora-7b.sh \
	%D%/models/SHA256SUMS \
	%D%/models/chat/config.json \
	%D%/models/chat/model.safetensors \
	%D%/models/chat/tokenizer.model \
	%D%/models/helpful/config.json \
	%D%/models/helpful/model.safetensors \
	%D%/models/helpful/tokenizer.model \
	%D%/models/safe/config.json \
	%D%/models/safe/model.safetensors \
	%D%/models/safe/tokenizer.model \
	%D%/prompts.jsonl \
	%D%/quickstart.sh \
	%D%/recipe/curve.svg \
	%D%/recipe/judge.awk \
	%D%/recipe/parts.sh \
	%D%/recipe/pictures.sh \
	%D%/recipe/prefer.sh \
	%D%/recipe/rules.yaml \
	%D%/recipe/run.sh \
	%D%/recipe/sizes.sh \
	%D%/recipe/table.sh \
	%D%/recipe/world.awk \
	%D%/rounds.sh \
	%D%/rounds.yaml \
	%D%/rsample-trl.sh \
	%D%/score-pairs.sh \
	%D%/show.awk \
	%D%/slurm-array.sh
