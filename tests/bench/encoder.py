#!/usr/bin/env python3
"""Relay's encoder beside ONNX Runtime: same machine, same run, one thread each, rounds interleaved.

    tests/bench/encoder.py RELAY_EMBED MODEL_FOLDER ONNX_FOLDER [ROUNDS]

ONNX_FOLDER holds f32.onnx and int8.onnx of encoder_onnx.py. Times are of the processor, not of the clock
on the wall, so other work on the machine disturbs both sides less; medians over all rounds, minima beside.
The last columns are encodes per second: Relay's by ONNX Runtime's, and Relay's int8 by its f32."""
import statistics
import subprocess
import sys
import time

import numpy as np
import onnxruntime

SHAPES = [(1, 16), (1, 64), (1, 256), (8, 16), (8, 64), (8, 256)]


class Relay:
    def __init__(self, program, model, precision):
        self.process = subprocess.Popen([program, model, precision, "-", "time"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def run(self, batch, tokens, runs):
        self.process.stdin.write(f"{batch} {tokens} {runs}\n")
        self.process.stdin.flush()
        return [int(ns) / 1e6 for ns in self.process.stdout.readline().split()]


class Onnx:
    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.wanted = {i.name for i in self.session.get_inputs()}

    def run(self, batch, tokens, runs):
        ids = np.array([[1000 + (i * 131 + t * 977) % 20000 for t in range(tokens)] for i in range(batch)])
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        feed = {name: value for name, value in feed.items() if name in self.wanted}
        times = []
        for _ in range(runs):
            start = time.thread_time()
            self.session.run(None, feed)
            times.append((time.thread_time() - start) * 1e3)
        return times


def cpu_name():
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def measure(sides, rounds):
    times = {(name, shape): [] for name in sides for shape in SHAPES}
    for _ in range(rounds):
        for shape in SHAPES:
            runs = max(1, 256 // (shape[0] * shape[1]))
            for name, side in sides.items():
                times[name, shape] += side.run(*shape, runs)
    return times


def main(program, model, onnx_folder, rounds=6):
    sides = {"relay f32": Relay(program, model, "f32"), "onnx f32": Onnx(f"{onnx_folder}/f32.onnx"),
             "relay int8": Relay(program, model, "int8"), "onnx int8": Onnx(f"{onnx_folder}/int8.onnx")}
    for side in sides.values():
        side.run(1, 64, 2)
    times = measure(sides, int(rounds))
    middle = {key: statistics.median(values) for key, values in times.items()}
    print(f"{cpu_name()}; onnxruntime {onnxruntime.__version__}; CPU ms, median (minimum)")
    print(f"{'batch x tokens':15s}" + "".join(f"{name:>17s}" for name in sides)
          + "   f32 ratio  int8 ratio  int8/f32")
    for shape in SHAPES:
        cells = [f"{middle[name, shape]:8.2f} ({min(times[name, shape]):6.2f})" for name in sides]
        f32, int8 = middle["relay f32", shape], middle["relay int8", shape]
        print(f"{shape[0]:5d} x {shape[1]:<7d}" + "".join(f"{cell:>17s}" for cell in cells)
              + f"{middle['onnx f32', shape] / f32:12.2f}{middle['onnx int8', shape] / int8:12.2f}{f32 / int8:10.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
