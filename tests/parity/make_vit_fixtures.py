#!/usr/bin/python3
"""Writes tests/parity/vit/<layout>/: tiny random ViTs as model.safetensors + config.json, and
expected.safetensors with images, logits and embeddings computed by PyTorch in float64.

Layouts: timm, hf, torchvision (torchvision's own class), vit-pytorch (PreNorm naming), face (the
Residual naming with Linear patches, model-width scale, cosine head).  Debian 12: python3-torch
1.13.1, python3-torchvision 0.14.1.  The forward passes are written out here from the published
architecture; no other package is needed.
"""
import json
import math
import os
import struct

import numpy as np
import torch
from torch.nn import functional as F

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vit")
N_IMAGES = 3


def save(path, tensors, half=()):
    """safetensors; names in `half` are stored as F16, names in BF as BF16."""
    header, blobs, at = {}, [], 0
    for name, t in tensors.items():
        t = t.detach().contiguous()
        if name in half:
            dtype, raw = "F16", t.to(torch.float16).numpy().tobytes()
        else:
            dtype, raw = "F32", t.to(torch.float32).numpy().tobytes()
        header[name] = {"dtype": dtype, "shape": list(t.shape),
                        "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        blobs.append(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def draw(g, *shape, scale=0.2, mean=0.0):
    """Random weights that are exactly representable in F16, so that both types mean the same."""
    x = torch.randn(*shape, generator=g, dtype=torch.float64) * scale + mean
    return x.to(torch.float16).to(torch.float64)


def parts(g, c):
    """One weight set under neutral names; q, k, v apart."""
    w, hid = c["width"], c["hidden"]
    n = (c["image"] // c["patch"]) ** 2 + 1
    p = {"patch_w": draw(g, w, c["channels"], c["patch"], c["patch"]), "patch_b": draw(g, w),
         "cls": draw(g, 1, 1, w), "pos": draw(g, 1, n, w),
         "norm_w": draw(g, w, mean=1), "norm_b": draw(g, w),
         "head_w": draw(g, c["classes"], w), "head_b": draw(g, c["classes"])}
    for i in range(c["depth"]):
        for s, shape in (("ln1", (w,)), ("ln2", (w,))):
            p[f"{i}.{s}_w"] = draw(g, *shape, mean=1)
            p[f"{i}.{s}_b"] = draw(g, *shape)
        for s, o, k in (("q", w, w), ("k", w, w), ("v", w, w), ("proj", w, w), ("fc1", hid, w),
                        ("fc2", w, hid)):
            p[f"{i}.{s}_w"] = draw(g, o, k)
            p[f"{i}.{s}_b"] = draw(g, o)
    return p


def forward(p, c, x, channels_last=False, scale=None, qkv_bias=True, cosine=None):
    """Pre-norm ViT, class token, exact GELU; logits and embeddings."""
    w, heads, size = c["width"], c["heads"], c["patch"]
    d = w // heads
    tau = scale if scale else d ** -0.5
    b, ch, side, _ = x.shape
    g = side // size
    patches = x.reshape(b, ch, g, size, g, size)
    if channels_last:
        rows = patches.permute(0, 2, 4, 3, 5, 1).reshape(b, g * g, size * size * ch)
        kernel = p["patch_w"]
    else:
        rows = patches.permute(0, 2, 4, 1, 3, 5).reshape(b, g * g, ch * size * size)
        kernel = p["patch_w"].reshape(w, -1)
    t = rows @ kernel.T + p["patch_b"]
    t = torch.cat([p["cls"].expand(b, 1, w), t], 1) + p["pos"]

    def norm(v, name):
        return F.layer_norm(v, (w,), p[name + "_w"], p[name + "_b"], c["eps"])

    def split(v):
        return v.reshape(b, -1, heads, d).transpose(1, 2)

    for i in range(c["depth"]):
        h = norm(t, f"{i}.ln1")
        q, k, v = (split(h @ p[f"{i}.{s}_w"].T + (p[f"{i}.{s}_b"] if qkv_bias else 0))
                   for s in "qkv")
        a = torch.softmax(tau * q @ k.transpose(2, 3), -1) @ v
        a = a.transpose(1, 2).reshape(b, -1, w)
        t = t + a @ p[f"{i}.proj_w"].T + p[f"{i}.proj_b"]
        h = norm(t, f"{i}.ln2")
        z = h @ p[f"{i}.fc1_w"].T + p[f"{i}.fc1_b"]
        z = 0.5 * z * (1 + torch.erf(z / math.sqrt(2)))
        t = t + z @ p[f"{i}.fc2_w"].T + p[f"{i}.fc2_b"]
    e = norm(t[:, 0], "norm")
    if cosine:
        return cosine * F.normalize(e) @ F.normalize(p["head_w"]).T, e
    return e @ p["head_w"].T + p["head_b"], e


def fused(p, i, kind):
    return torch.cat([p[f"{i}.{s}_{kind}"] for s in "qkv"])


def rename(p, c, top, block, qkv=None):
    """Neutral names to a layout's; qkv = pattern of the fused tensor or None."""
    out = {new: p[old] for old, new in top.items()}
    for i in range(c["depth"]):
        for old, new in block.items():
            for kind, word in (("w", "weight"), ("b", "bias")):
                out[f"{new.format(i)}.{word}"] = p[f"{i}.{old}_{kind}"]
        if qkv:
            out[qkv.format(i) + "weight"] = fused(p, i, "w")
            out[qkv.format(i) + "bias"] = fused(p, i, "b")
    return out


def write(layout, tensors, config, x, logits, e, half=()):
    folder = os.path.join(HERE, layout)
    os.makedirs(folder, exist_ok=True)
    save(os.path.join(folder, "model.safetensors"), tensors, half)
    save(os.path.join(folder, "expected.safetensors"),
         {"images": x, "logits": logits, "embeddings": e})
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f, indent=1)
        f.write("\n")


def hf_config(c, **extra):
    return {"model_type": "vit", "hidden_size": c["width"], "num_hidden_layers": c["depth"],
            "num_attention_heads": c["heads"], "intermediate_size": c["hidden"],
            "layer_norm_eps": c["eps"], "image_size": c["image"], "patch_size": c["patch"],
            "num_channels": c["channels"],
            "id2label": {str(i): f"class {i}" for i in range(c["classes"])}, **extra}


def images(g, c):
    return torch.randn(N_IMAGES, c["channels"], c["image"], c["image"], generator=g,
                       dtype=torch.float64).to(torch.float32).to(torch.float64)


def make_timm(g):
    c = dict(image=24, patch=8, channels=3, width=32, depth=2, heads=4, hidden=64, classes=5,
             eps=1e-6)
    p, x = parts(g, c), images(g, c)
    tensors = rename(p, c, {"patch_w": "patch_embed.proj.weight", "patch_b": "patch_embed.proj.bias",
                            "cls": "cls_token", "pos": "pos_embed", "norm_w": "norm.weight",
                            "norm_b": "norm.bias", "head_w": "head.weight", "head_b": "head.bias"},
                     {"ln1": "blocks.{}.norm1", "proj": "blocks.{}.attn.proj",
                      "ln2": "blocks.{}.norm2", "fc1": "blocks.{}.mlp.fc1",
                      "fc2": "blocks.{}.mlp.fc2"}, "blocks.{}.attn.qkv.")
    config = {"architecture": "vit_tiny_patch16_224", "num_classes": 5, "global_pool": "token",
              "label_names": ["ant", "bee", "cat", "dog", "elk"],
              "model_args": {"img_size": 24, "patch_size": 8, "embed_dim": 32, "depth": 2,
                             "num_heads": 4, "mlp_ratio": 2.0},
              "pretrained_cfg": {"input_size": [3, 24, 24], "crop_pct": 0.875, "mean": [0.5, 0.4, 0.3],
                                 "std": [0.5, 0.25, 0.2], "interpolation": "bicubic"}}
    write("timm", tensors, config, x, *forward(p, c, x))


def make_hf(g):
    c = dict(image=16, patch=4, channels=1, width=32, depth=2, heads=2, hidden=48, classes=7,
             eps=1e-12)
    p, x = parts(g, c), images(g, c)
    e, layer = "vit.embeddings.", "vit.encoder.layer.{}."
    tensors = rename(p, c, {"patch_w": e + "patch_embeddings.projection.weight",
                            "patch_b": e + "patch_embeddings.projection.bias",
                            "cls": e + "cls_token", "pos": e + "position_embeddings",
                            "norm_w": "vit.layernorm.weight", "norm_b": "vit.layernorm.bias",
                            "head_w": "classifier.weight", "head_b": "classifier.bias"},
                     {"ln1": layer + "layernorm_before", "q": layer + "attention.attention.query",
                      "k": layer + "attention.attention.key",
                      "v": layer + "attention.attention.value",
                      "proj": layer + "attention.output.dense", "ln2": layer + "layernorm_after",
                      "fc1": layer + "intermediate.dense", "fc2": layer + "output.dense"})
    half = {name for name in tensors if "encoder" in name}
    write("hf", tensors, hf_config(c, qkv_bias=True), x, *forward(p, c, x), half)


def make_torchvision(g):
    from torchvision.models.vision_transformer import VisionTransformer
    torch.manual_seed(5)
    m = VisionTransformer(image_size=32, patch_size=8, num_layers=2, num_heads=4, hidden_dim=32,
                          mlp_dim=64, num_classes=6).to(torch.float64).eval()
    with torch.no_grad():
        for q in m.parameters():
            q.copy_(draw(g, *q.shape, mean=1.0 if q.ndim == 1 and q.numel() == 32 else 0.0))
    c = dict(image=32, patch=8, channels=3, width=32, depth=2, heads=4, hidden=64, classes=6,
             eps=1e-6)
    x = images(g, c)
    with torch.no_grad():
        t = m._process_input(x)
        t = torch.cat([m.class_token.expand(N_IMAGES, -1, -1), t], 1)
        e = m.encoder(t)[:, 0]
        logits = m(x)
    write("torchvision", dict(m.state_dict()), hf_config(c), x, logits, e)


def vit_pytorch(g, c, embed, attn, ffn, head, scale, cosine):
    p = parts(g, c)
    p["patch_w"] = draw(g, c["width"], c["patch"] ** 2 * c["channels"])
    x = images(g, c)
    top = {"patch_w": embed + ".weight", "patch_b": embed + ".bias", "cls": "cls_token",
           "pos": "pos_embedding", "norm_w": "mlp_head.0.weight", "norm_b": "mlp_head.0.bias",
           "head_w": head + ".weight"}
    if not cosine:
        top["head_b"] = head + ".bias"
    tensors = rename(p, c, top, {"ln1": attn + "norm", "proj": attn + "fn.to_out.0",
                                 "ln2": ffn + "norm", "fc1": ffn + "fn.net.0",
                                 "fc2": ffn + "fn.net.3"})
    for i in range(c["depth"]):
        tensors[attn.format(i) + "fn.to_qkv.weight"] = fused(p, i, "w")
    return tensors, x, forward(p, c, x, True, scale, False, cosine)


def make_vit_pytorch(g):
    c = dict(image=16, patch=8, channels=3, width=32, depth=2, heads=4, hidden=64, classes=4,
             eps=1e-5)
    tensors, x, out = vit_pytorch(g, c, "to_patch_embedding.1", "transformer.layers.{}.0.",
                                  "transformer.layers.{}.1.", "mlp_head.1", None, None)
    write("vit-pytorch", tensors, hf_config(c, qkv_bias=False, patch_channels_last=True), x, *out)


def make_face(g):
    c = dict(image=16, patch=8, channels=3, width=32, depth=2, heads=4, hidden=64, classes=9,
             eps=1e-5)
    tensors, x, out = vit_pytorch(g, c, "patch_to_embedding", "transformer.layers.{}.0.fn.",
                                  "transformer.layers.{}.1.fn.", "loss", 32 ** -0.5, 64.0)
    # patch_channels_last is left at its default: the reader reorders the Linear patch map.
    write("face", tensors, hf_config(c, qkv_bias=False, attention_scale="model", head="cosine",
                                     head_scale=64, head_margin=0.35), x, *out)


def main():
    g = torch.Generator().manual_seed(20240607)
    for make in (make_timm, make_hf, make_torchvision, make_vit_pytorch, make_face):
        make(g)


if __name__ == "__main__":
    main()
