"""Writes all-MiniLM-L6-v2 as ONNX from its safetensors, for ONNX Runtime to be measured with.

The graph is what an exporter would write; ONNX Runtime's own optimiser then fuses attention, GELU and the
norms, and its own quantizer makes the int8 one. Needs onnx, onnxruntime and numpy."""
import math
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "embed"))
from reference import HEADS, LAYERS, read_tensors  # noqa: E402

DIM, HEAD = 384, 32


class Graph:
    def __init__(self, tensors):
        self.tensors, self.nodes, self.constants, self.count = tensors, [], [], 0

    def name(self):
        self.count += 1
        return f"v{self.count}"

    def constant(self, value, dtype=np.float32):
        name = self.name()
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def op(self, kind, *inputs, **attributes):
        out = self.name()
        self.nodes.append(helper.make_node(kind, list(inputs), [out], name=f"{kind}_{out}", **attributes))
        return out

    def weight(self, name, transpose=False):
        value = self.tensors[name]
        return self.constant(value.T if transpose else value)

    def linear(self, x, name):
        return self.op("Add", self.op("MatMul", x, self.weight(name + ".weight", True)), self.weight(name + ".bias"))

    def norm(self, x, name):
        return self.op("LayerNormalization", x, self.weight(name + ".LayerNorm.weight"),
                       self.weight(name + ".LayerNorm.bias"), axis=-1, epsilon=1e-12)

    def heads(self, x, perm):
        split = self.op("Reshape", x, self.constant([0, 0, HEADS, HEAD], np.int64))
        return self.op("Transpose", split, perm=perm)

    def attention(self, x, mask, at):
        q = self.heads(self.linear(x, at + ".attention.self.query"), [0, 2, 1, 3])
        k = self.heads(self.linear(x, at + ".attention.self.key"), [0, 2, 3, 1])
        v = self.heads(self.linear(x, at + ".attention.self.value"), [0, 2, 1, 3])
        scores = self.op("Div", self.op("MatMul", q, k), self.constant(math.sqrt(HEAD)))
        weights = self.op("Softmax", self.op("Add", scores, mask), axis=-1)
        mixed = self.op("Transpose", self.op("MatMul", weights, v), perm=[0, 2, 1, 3])
        mixed = self.op("Reshape", mixed, self.constant([0, 0, DIM], np.int64))
        out = self.linear(mixed, at + ".attention.output.dense")
        return self.norm(self.op("Add", out, x), at + ".attention.output")

    def gelu(self, x):
        erf = self.op("Erf", self.op("Div", x, self.constant(math.sqrt(2))))
        return self.op("Mul", self.op("Mul", x, self.op("Add", erf, self.constant(1.0))), self.constant(0.5))


def build(folder, path):
    g = Graph(read_tensors(f"{folder}/model.safetensors"))
    length = g.op("Gather", g.op("Shape", "input_ids"), g.constant(1, np.int64))
    positions = g.op("Range", g.constant(0, np.int64), length, g.constant(1, np.int64))
    x = g.op("Gather", g.weight("embeddings.word_embeddings.weight"), "input_ids")
    x = g.op("Add", x, g.op("Gather", g.weight("embeddings.position_embeddings.weight"), positions))
    x = g.op("Add", x, g.constant(g.tensors["embeddings.token_type_embeddings.weight"][0]))
    x = g.norm(x, "embeddings")
    axes = g.constant([1, 2], np.int64)
    mask = g.op("Cast", g.op("Unsqueeze", "attention_mask", axes), to=TensorProto.FLOAT)
    mask = g.op("Mul", g.op("Sub", g.constant(1.0), mask), g.constant(-1e4))
    for i in range(LAYERS):
        at = f"encoder.layer.{i}"
        x = g.attention(x, mask, at)
        inner = g.gelu(g.linear(x, at + ".intermediate.dense"))
        x = g.norm(g.op("Add", g.linear(inner, at + ".output.dense"), x), at + ".output")
    g.nodes[-1].output[0] = "last_hidden_state"
    shape = ["batch", "tokens"]
    graph = helper.make_graph(
        g.nodes, "minilm",
        [helper.make_tensor_value_info(n, TensorProto.INT64, shape) for n in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*shape, DIM])], g.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def main(folder, out):
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    build(folder, out / "plain.onnx")
    fused = optimizer.optimize_model(str(out / "plain.onnx"), model_type="bert", num_heads=HEADS, hidden_size=DIM,
                                     opt_level=0)
    fused.save_model_to_file(str(out / "f32.onnx"))
    print(f"fused: {fused.get_fused_operator_statistics()}")
    quantize_dynamic(str(out / "f32.onnx"), str(out / "int8.onnx"), per_channel=True, weight_type=QuantType.QInt8,
                     extra_options={"DefaultTensorType": TensorProto.FLOAT})


if __name__ == "__main__":
    main(*sys.argv[1:])
