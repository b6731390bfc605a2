# The library: never prints, never exits. Lists are alphabetical within a layer.
# SPDX-License-Identifier: MIT

noinst_LIBRARIES += libcore/libl2.a

libcore_libl2_a_SOURCES = \
	%D%/util/arena.c \
	%D%/util/arena.h \
	%D%/util/buf.c \
	%D%/util/buf.h \
	%D%/util/err.c \
	%D%/util/err.h \
	%D%/util/gguf.c \
	%D%/util/gguf.h \
	%D%/util/gguf_write.c \
	%D%/util/gguf_write.h \
	%D%/util/ids.c \
	%D%/util/ids.h \
	%D%/util/input.c \
	%D%/util/input.h \
	%D%/util/jsonfile.c \
	%D%/util/jsonfile.h \
	%D%/util/map.c \
	%D%/util/map.h \
	%D%/util/num.c \
	%D%/util/num.h \
	%D%/util/philox.c \
	%D%/util/philox.h \
	%D%/util/pool.c \
	%D%/util/pool.h \
	%D%/util/sha256.c \
	%D%/util/sha256.h \
	%D%/util/utf8.c \
	%D%/util/utf8.h
libcore_libl2_a_SOURCES += \
	%D%/stream/cbor.h \
	%D%/stream/cbor_read.c \
	%D%/stream/cbor_write.c \
	%D%/stream/codec.c \
	%D%/stream/codec.h \
	%D%/stream/codec_encode.c \
	%D%/stream/decode.h \
	%D%/stream/decode_header.c \
	%D%/stream/decode_record.c \
	%D%/stream/decode_values.c \
	%D%/stream/fields.c \
	%D%/stream/fields.h \
	%D%/stream/frame.c \
	%D%/stream/frame.h \
	%D%/stream/header.c \
	%D%/stream/json.c \
	%D%/stream/json.h \
	%D%/stream/json_column.c \
	%D%/stream/json_read.c \
	%D%/stream/json_write.c \
	%D%/stream/reader.c \
	%D%/stream/record.c \
	%D%/stream/record.h \
	%D%/stream/resume.c \
	%D%/stream/resume.h \
	%D%/stream/stream.h \
	%D%/stream/writer.c
libcore_libl2_a_SOURCES += \
	%D%/text/bpe.h \
	%D%/text/bpe_build.c \
	%D%/text/bpe_merge.c \
	%D%/text/decode.c \
	%D%/text/encode.c \
	%D%/text/encode.h \
	%D%/text/gguf_vocab.c \
	%D%/text/normalize.c \
	%D%/text/normalize.h \
	%D%/text/spm_model.c \
	%D%/text/template.c \
	%D%/text/template.h \
	%D%/text/tokbin.c \
	%D%/text/vocab.c \
	%D%/text/vocab.h \
	%D%/text/vocab_impl.h
libcore_libl2_a_SOURCES += \
	%D%/data/benchrow.c \
	%D%/data/benchrow.h \
	%D%/data/hh.c \
	%D%/data/hh.h \
	%D%/data/idrow.c \
	%D%/data/idrow.h \
	%D%/data/row.c \
	%D%/data/row.h \
	%D%/data/shape.h \
	%D%/data/shape_read.c \
	%D%/data/shape_write.c
libcore_libl2_a_SOURCES += \
	%D%/model/fingerprint.c \
	%D%/model/fingerprint.h \
	%D%/model/gguf_read.c \
	%D%/model/gguf_read.h \
	%D%/model/gguf_write.c \
	%D%/model/gguf_write.h \
	%D%/model/hf_config.c \
	%D%/model/hf_config.h \
	%D%/model/hf_read.c \
	%D%/model/hf_read.h \
	%D%/model/hf_write.c \
	%D%/model/hparams.c \
	%D%/model/hparams.h \
	%D%/model/llama2c.c \
	%D%/model/llama2c.h \
	%D%/model/model.c \
	%D%/model/model.h \
	%D%/model/newdir.c \
	%D%/model/newdir.h \
	%D%/model/preset.c \
	%D%/model/preset.h \
	%D%/model/quant.c \
	%D%/model/quant.h \
	%D%/model/quant_encode.c \
	%D%/model/quant_encode.h \
	%D%/model/safetensors.c \
	%D%/model/safetensors.h \
	%D%/model/tensors.c \
	%D%/model/tensors.h
libcore_libl2_a_SOURCES += \
	%D%/kern/add.c \
	%D%/kern/aligned.c \
	%D%/kern/aligned.h \
	%D%/kern/attention.c \
	%D%/kern/backend.h \
	%D%/kern/blas.c \
	%D%/kern/blas.h \
	%D%/kern/causal.c \
	%D%/kern/causal.h \
	%D%/kern/cross_entropy.c \
	%D%/kern/dot.c \
	%D%/kern/expf.h \
	%D%/kern/gemm.c \
	%D%/kern/gemm.h \
	%D%/kern/gemm_bf16.c \
	%D%/kern/gemm_bf16.h \
	%D%/kern/layout.c \
	%D%/kern/layout.h \
	%D%/kern/linear.c \
	%D%/kern/linear.h \
	%D%/kern/math.c \
	%D%/kern/math.h \
	%D%/kern/narrow.c \
	%D%/kern/narrow.h \
	%D%/kern/native.c \
	%D%/kern/native_pack.c \
	%D%/kern/native_pack.h \
	%D%/kern/ops.h \
	%D%/kern/pack_quant.c \
	%D%/kern/pack_quant.h \
	%D%/kern/pairs_avx2.c \
	%D%/kern/pairs_avx512.c \
	%D%/kern/pairs_portable.c \
	%D%/kern/q8_avx2.c \
	%D%/kern/q8_avx512.c \
	%D%/kern/q8_portable.c \
	%D%/kern/ref.c \
	%D%/kern/ref.h \
	%D%/kern/rmsnorm.c \
	%D%/kern/rope.c \
	%D%/kern/scale.c \
	%D%/kern/simd.c \
	%D%/kern/simd.h \
	%D%/kern/simd_avx2.c \
	%D%/kern/simd_avx512.c \
	%D%/kern/simd_portable.c \
	%D%/kern/simd_set.h \
	%D%/kern/softmax.c \
	%D%/kern/swiglu.c \
	%D%/kern/vec.h \
	%D%/kern/vec_attention.h \
	%D%/kern/vec_grad.h \
	%D%/kern/vec_narrow.h \
	%D%/kern/vec_pairs.h \
	%D%/kern/vec_panel.h \
	%D%/kern/vec_q8.h \
	%D%/kern/vec_rows.h \
	%D%/kern/weight.c \
	%D%/kern/weight.h
libcore_libl2_a_SOURCES += \
	%D%/nn/attend.c \
	%D%/nn/engine.c \
	%D%/nn/engine.h \
	%D%/nn/engine_state.h \
	%D%/nn/forward.c \
	%D%/nn/init.c \
	%D%/nn/init.h \
	%D%/nn/kv.c \
	%D%/nn/kv.h \
	%D%/nn/net.c \
	%D%/nn/net.h \
	%D%/nn/net_backward.c \
	%D%/nn/net_batch.c \
	%D%/nn/net_forward.c \
	%D%/nn/net_heads.c \
	%D%/nn/net_linear.c \
	%D%/nn/net_state.h \
	%D%/nn/params.c \
	%D%/nn/params.h \
	%D%/nn/weights.c \
	%D%/nn/weights.h
libcore_libl2_a_SOURCES += \
	%D%/sample/admit.c \
	%D%/sample/admit.h \
	%D%/sample/budget.c \
	%D%/sample/budget.h \
	%D%/sample/embed.c \
	%D%/sample/embed.h \
	%D%/sample/feed.c \
	%D%/sample/feed.h \
	%D%/sample/generate.c \
	%D%/sample/generate.h \
	%D%/sample/generate_lane.c \
	%D%/sample/generate_state.h \
	%D%/sample/generate_step.c \
	%D%/sample/growing.c \
	%D%/sample/growing.h \
	%D%/sample/sampler.c \
	%D%/sample/sampler.h \
	%D%/sample/score.c \
	%D%/sample/score.h \
	%D%/sample/stop.c \
	%D%/sample/stop.h \
	%D%/sample/worker.h
libcore_libl2_a_SOURCES += \
	%D%/rlhf/curve.c \
	%D%/rlhf/curve.h \
	%D%/rlhf/expr.c \
	%D%/rlhf/expr.h \
	%D%/rlhf/gather.c \
	%D%/rlhf/gather.h \
	%D%/rlhf/overall.c \
	%D%/rlhf/overall.h \
	%D%/rlhf/select.c \
	%D%/rlhf/select.h
