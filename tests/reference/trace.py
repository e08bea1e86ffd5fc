"""The receipt of a run: everything that is needed to replay it, and what came out.

A safetensors file as `nitp trace` writes it: `init/<name>` and `final/<name>` (each parameter before
and after), `grad/<name>` (step 0, before clipping), `input_ids`, `labels`, `nitp_mask` and, with
`train.document_mask`, `document_starts` `[steps, accumulation, rows, T]`, a curve `[steps]` for each
name in `train.curves`, and the configuration as JSON under the metadata's key `config`.
"""

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor

from config import Config
from model import Parameters
from train import Batch, Trainer, curves


def inputs_of(config: Config) -> tuple[str, ...]:
    """The tensors of a batch, by name."""
    names = (field.name for field in fields(Batch))
    return tuple(name for name in names if name != "document_starts" or config.train.document_mask)


@dataclass
class Trace:
    config: Config
    inputs: dict[str, Tensor]  # by `inputs_of`, int64
    init: Parameters
    grad: Parameters
    final: Parameters
    curves: dict[str, Tensor]  # by the names of `train.curves`, float64

    def save(self, path: Path) -> None:
        """Parameters and gradients as float32, curves as float64."""
        tensors = {name: x.numpy() for name, x in (self.inputs | self.curves).items()}
        for group in "init", "grad", "final":
            for name, x in getattr(self, group).items():
                tensors[f"{group}/{name}"] = x.numpy().astype(np.float32)
        save_file(tensors, path, metadata={"config": self.config.to_json()})


def load(path: Path) -> Trace:
    """Reads a trace of any number types; parameters, gradients and curves come as float64."""
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        if "config" not in metadata:
            raise SystemExit(f"{path} is no trace: its metadata lacks the key `config`")
        config = Config.from_dict(json.loads(metadata["config"]))
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    if missing := [name for name in inputs_of(config) + curves(config) if name not in tensors]:
        raise SystemExit(f"{path} is no trace: it lacks {', '.join(missing)}")

    def group(prefix: str) -> Parameters:
        return {
            name.removeprefix(prefix): torch.from_numpy(x.astype(np.float64))
            for name, x in tensors.items()
            if name.startswith(prefix)
        }

    return Trace(
        config,
        inputs={name: torch.from_numpy(tensors[name].astype(np.int64)) for name in inputs_of(config)},
        init=group("init/"),
        grad=group("grad/"),
        final=group("final/"),
        curves={name: torch.from_numpy(tensors[name].astype(np.float64)) for name in curves(config)},
    )


def run(
    config: Config, init: Parameters, inputs: dict[str, Tensor], dtype: torch.dtype
) -> Trace:
    """Trains from `init` on the inputs, in `dtype`; the result is in float64."""
    trainer = Trainer(config, {name: x.to(dtype) for name, x in init.items()})
    steps, grad = [], {}
    for step, tensors in enumerate(zip(*(inputs[name] for name in inputs_of(config)), strict=True)):
        losses = trainer.accumulate(Batch(*tensors), step)
        if step == 0:
            grad = {name: x.grad.to(torch.float64, copy=True) for name, x in trainer.parameters.items()}
        steps.append(trainer.update(losses, step))
    return Trace(
        config,
        inputs,
        init,
        grad,
        final={name: x.detach().double() for name, x in trainer.parameters.items()},
        curves={
            name: torch.tensor([getattr(step, name) for step in steps], dtype=torch.float64)
            for name in curves(config)
        },
    )


def distance(a: Tensor, b: Tensor) -> float:
    """|a - b| relative to |b|, Euclidean; 0 where both are 0, infinite where a number is missing."""
    difference = (a - b).norm()
    if difference == 0:
        return 0.0
    relative = (difference / b.norm()).item()
    return math.inf if math.isnan(relative) else relative


@dataclass
class Comparison:
    """Relative distances of a trace from the one that is taken as right."""

    first: dict[str, float]  # each number of step 0
    curves: dict[str, float]  # over all steps
    grad: dict[str, float]  # each parameter
    final: dict[str, float]

    @property
    def worst(self) -> dict[str, float]:
        return {field.name: max(getattr(self, field.name).values()) for field in fields(self)}


def compare(a: Trace, right: Trace) -> Comparison:
    def each(x: dict[str, Tensor], y: dict[str, Tensor]) -> dict[str, float]:
        if missing := x.keys() ^ y.keys():
            raise SystemExit(f"only one of the two has {', '.join(sorted(missing))}")
        if wrong := [name for name in x if x[name].shape != y[name].shape]:
            raise SystemExit(f"the shapes of {', '.join(sorted(wrong))} differ")
        return {name: distance(x[name], y[name]) for name in y}

    first = [{name: x[:1] for name, x in trace.curves.items()} for trace in (a, right)]
    return Comparison(
        first=each(*first),
        curves=each(a.curves, right.curves),
        grad=each(a.grad, right.grad),
        final=each(a.final, right.final),
    )
