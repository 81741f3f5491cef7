"""Trains the classifier of handwritten digits that ships with graphopt, and exports it to ONNX.

    pip install torch==2.13.0 scikit-learn onnxscript
    python examples/digits/train.py

The images are scikit-learn's own (1,797 of 8×8 pixels, from the UCI Optical Recognition of Handwritten Digits data
set), so nothing is downloaded.  Split and seed are fixed.  The batch normalisations stay nodes of their own in the
exported model: fusing them is the compiler's work, and the example is there to show it.

Writes `digits.onnx` (input `image`: float32 N×1×8×8 in 0..1; output `logits`: float32 N×10) and `test.npz`
(`image`: uint8 540×8×8 in 0..16, `label`: int64 540), which the training never sees, beside this file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

HERE = Path(__file__).parent
SEED = 2026
EPOCHS = 40
BATCH = 64
BRIGHTEST = 16.0


def block(channels_in: int, channels_out: int) -> nn.Sequential:
    """3×3 convolution, batch normalisation, Relu."""
    layers = nn.Sequential()
    layers.add_module("conv", nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False))
    layers.add_module("norm", nn.BatchNorm2d(channels_out))
    layers.add_module("relu", nn.ReLU())
    return layers


def classifier() -> nn.Sequential:
    """Three blocks, two poolings, one linear layer: 58,000 parameters."""
    layers = nn.Sequential()
    layers.add_module("stem", block(1, 32))
    layers.add_module("middle", block(32, 64))
    layers.add_module("pool", nn.MaxPool2d(2))
    layers.add_module("top", block(64, 64))
    layers.add_module("pool2", nn.MaxPool2d(2))
    layers.add_module("flatten", nn.Flatten())
    layers.add_module("dropout", nn.Dropout(0.3))
    layers.add_module("head", nn.Linear(64 * 2 * 2, 10))
    return layers


def shifted(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The same images, the whole batch moved by at most one pixel each way: 1,257 images are few."""
    down, right = torch.randint(-1, 2, (2,), generator=generator).tolist()
    return torch.roll(images, shifts=(down, right), dims=(2, 3))


def train(images: torch.Tensor, labels: torch.Tensor) -> nn.Sequential:
    """The classifier after `EPOCHS` passes over the images (float32 N×1×8×8), ready for inference."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    model = classifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        model.train()
        order = torch.randperm(len(images), generator=generator)
        for batch in order.split(BATCH):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(shifted(images[batch], generator)), labels[batch])
            loss.backward()
            optimizer.step()
        schedule.step()
    return model.eval()


def export(model: nn.Sequential, path: Path) -> None:
    """Writes the model with a symbolic batch size, its layers as they were trained."""
    program = torch.onnx.export(
        model,
        (torch.zeros(2, 1, 8, 8),),
        dynamo=True,
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
        opset_version=20,
        optimize=False,  # the exporter's own optimiser would fold the batch normalisations into the convolutions
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export(dynamo=True) gave no program")
    proto = program.model_proto
    for node in proto.graph.node:
        del node.metadata_props[:]  # stack traces of the exporting machine
    onnx.checker.check_model(proto, full_check=True)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def main() -> None:
    """Trains, reports the accuracy on the held-out images, writes the model and those images."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    digits = load_digits()
    seen, held_out, seen_labels, held_out_labels = train_test_split(
        digits.images, digits.target, test_size=0.3, random_state=SEED, stratify=digits.target
    )
    model = train(torch.tensor(seen / BRIGHTEST, dtype=torch.float32)[:, None], torch.tensor(seen_labels))
    with torch.no_grad():
        logits = model(torch.tensor(held_out / BRIGHTEST, dtype=torch.float32)[:, None])
    accuracy = (logits.argmax(1).numpy() == held_out_labels).mean()
    export(model, HERE / "digits.onnx")
    np.savez_compressed(HERE / "test.npz", image=held_out.astype(np.uint8), label=held_out_labels.astype(np.int64))
    print(f"accuracy on {len(held_out)} held-out images: {accuracy:.4f}")


if __name__ == "__main__":
    main()
